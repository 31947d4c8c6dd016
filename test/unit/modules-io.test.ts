// The modules that read and write files: what they find, refuse and write (SPEC sections 4 to 6), without a device.

import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { apply, convertPrimaries, curve, type Vec3 } from '../../ts/formats/colour.js';
import { toHalf, fromHalf } from '../../ts/formats/half.js';
import { decodeLut, encodeLut } from '../../ts/formats/lut.js';
import { decodePfm, encodePfm } from '../../ts/formats/pfm.js';
import { decodePicture } from '../../ts/formats/picture.js';
import type { PortShape } from '../../ts/graph/types.js';
import { failure, floats, halves, module } from './io-harness.js';

let dir: string;
let home: string;
beforeEach(() => {
  home = process.cwd();
  dir = mkdtempSync(join(tmpdir(), 'vkpn-io-'));
  process.chdir(dir);
});
afterEach(() => {
  process.chdir(home);
  rmSync(dir, { recursive: true });
});

const ramp = (n: number, scale = 1): Float32Array => Float32Array.from({ length: n * 4 }, (_, i) => (i % 4 === 3 ? 1 : (i - n) * 0.37 * scale));
const pfm = (name: string, width: number, height: number, scale = 1): Float32Array => {
  const rgba = ramp(width * height, scale);
  writeFileSync(name, encodePfm(width, height, rgba, 4));
  return rgba;
};
const bytesOf = (a: Float32Array | Uint16Array): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
const rgbaShape = (width: number, height: number, more: Partial<PortShape> = {}): PortShape => ({ channels: 'rgba', format: 'f32', width, height, count: 1, ...more });

describe('i-pfm', () => {
  test('hands the picture over once, its noise with it', async () => {
    const want = pfm('a.pfm', 5, 3);
    const m = module('i-pfm', { filename: 'a.pfm', 'noise a': 7, 'noise b': 2 }, { graphDir: dir, frames: 9 });
    const { output } = await m.instance.shapes(m.ctx);
    expect(output).toMatchObject({ channels: 'rgba', format: 'f32', width: 5, height: 3, count: 1, noise: { a: 7, b: 2 }, perFrame: false, period: undefined });
    expect(output!.range!.min).toBe(want[0]);
    expect(output!.range!.max).toBe(want[4 * 14 + 2]);
    expect(floats(await m.frame(0))).toEqual(want);
    await m.frame(1);
    expect(m.uploads()).toBe(1);
    expect([1, 2, 8].map((f) => m.instance.changesAt!(f))).toEqual([false, false, false]);
  });

  test('looks beside the graph file, not in the working directory', async () => {
    mkdirSync('graphs');
    pfm('graphs/a.pfm', 2, 2);
    const m = module('i-pfm', { filename: 'a.pfm' }, { graphDir: join(dir, 'graphs') });
    expect((await m.instance.shapes(m.ctx)).output).toMatchObject({ width: 2, noise: undefined });
    const none = module('i-pfm', { filename: 'a.pfm' }, { graphDir: dir });
    expect((await failure(() => none.instance.shapes(none.ctx))).code).toBe('FILE_ENOENT');
  });

  test('keeps any finite value', async () => {
    const rgba = new Float32Array([3.4e38, -3.4e38, 1e-45, 1]);
    writeFileSync('a.pfm', encodePfm(1, 1, rgba, 4));
    const m = module('i-pfm', { filename: 'a.pfm' });
    await m.instance.shapes(m.ctx);
    expect(floats(await m.frame(0))).toEqual(rgba);
  });

  test('a sequence: frame plus startid, starting over at its end', async () => {
    const want = [3, 4, 5].map((n) => pfm(`s_000${n}.pfm`, 4, 2, n));
    const m = module('i-pfm', { filename: 's_%04d.pfm', startid: 3 }, { frames: 8 });
    expect((await m.instance.shapes(m.ctx)).output).toMatchObject({ perFrame: true, period: 3 });
    expect(m.warnings).toEqual([expect.stringMatching(/3 files for 8 frames/)]);
    for (let f = 0; f < 8; f++) expect(floats(await m.frame(f))).toEqual(want[f % 3]);
    expect([1, 2, 3].every((f) => m.instance.changesAt!(f))).toBe(true);
  });

  test('a sequence reads no more files than there are frames', async () => {
    [0, 1].forEach((n) => pfm(`s${n}.pfm`, 2, 2, n + 1));
    writeFileSync('s2.pfm', 'broken');
    const m = module('i-pfm', { filename: 's%d.pfm' }, { frames: 2 });
    expect((await m.instance.shapes(m.ctx)).output).toMatchObject({ period: 2 });
    expect(m.warnings).toEqual([]);
  });

  test('`hold` shows each file for several frames', async () => {
    const want = [0, 1].map((n) => pfm(`s_0${n}.pfm`, 2, 2, n + 1));
    const m = module('i-pfm', { filename: 's_%02d.pfm', hold: 3 }, { frames: 9 });
    expect((await m.instance.shapes(m.ctx)).output).toMatchObject({ period: 6 });
    const seen: number[] = [];
    for (let f = 0; f < 9; f++) seen.push(floats(await m.frame(f))[0]!);
    expect(seen).toEqual([0, 0, 0, 1, 1, 1, 0, 0, 0].map((n) => want[n]![0]));
    expect([1, 2, 3, 4, 5, 6].map((f) => m.instance.changesAt!(f))).toEqual([false, false, true, false, false, true]);
  });

  test('the next file of a sequence is read ahead', async () => {
    const want = [0, 1, 2].map((n) => pfm(`s${n}.pfm`, 2, 2, n + 1));
    const m = module('i-pfm', { filename: 's%d.pfm' }, { frames: 3 });
    await m.instance.shapes(m.ctx);
    await m.frame(0);
    // The second file was being read while frame 0 ran; the third was not yet.
    await new Promise((done) => setTimeout(done, 100));
    rmSync('s1.pfm');
    rmSync('s2.pfm');
    expect(floats(await m.frame(1))).toEqual(want[1]);
    expect((await failure(() => m.frame(2))).code).toBe('FILE_ENOENT');
  });

  test.each([
    ['crop', 2, 2, (w: number, x: number) => x + ((w - 2) >> 1)],
    ['mirror', 4, 3, (w: number, x: number) => (x < w ? x : 2 * w - 1 - x)],
  ] as const)('a sequence of differing sizes with fit %s', async (fit, width, height, from) => {
    const sizes = [[4, 2], [2, 3]] as const;
    const want = sizes.map(([w, h], n) => pfm(`s${n}.pfm`, w, h, n + 1));
    const m = module('i-pfm', { filename: 's%d.pfm', fit }, { frames: 2 });
    expect((await m.instance.shapes(m.ctx)).output).toMatchObject({ width, height });
    for (const [n, [w, h]] of sizes.entries()) {
      const got = floats(await m.frame(n));
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
          const at = 4 * (from(h, y) * w + from(w, x));
          expect(got.slice(4 * (y * width + x), 4 * (y * width + x) + 4)).toEqual(want[n]!.slice(at, at + 4));
        }
    }
  });

  test('refuses differing sizes, naming the file and the way out', async () => {
    pfm('s0.pfm', 4, 2);
    pfm('s1.pfm', 4, 2);
    pfm('s2.pfm', 2, 3);
    const m = module('i-pfm', { filename: 's%d.pfm' }, { frames: 3 });
    const e = await failure(() => m.instance.shapes(m.ctx));
    expect(e.code).toBe('SEQUENCE_SIZE');
    expect(e.message).toMatch(/s2\.pfm has 2x3 pixels, s0\.pfm has 4x2/);
    expect(e.hint).toMatch(/param:i-pfm:main:fit:crop/);
    expect(e.place).toEqual({ file: 'graph.cfg', line: 1 });
  });

  test('a file that changes size while the frames run is refused at its frame', async () => {
    pfm('s0.pfm', 4, 2);
    pfm('s1.pfm', 4, 2);
    const m = module('i-pfm', { filename: 's%d.pfm' }, { frames: 2 });
    await m.instance.shapes(m.ctx);
    pfm('s1.pfm', 2, 2);
    await m.frame(0);
    expect((await failure(() => m.frame(1))).message).toMatch(/s1\.pfm has 2x2/);
  });

  test('a gap in a sequence, and a sequence that starts elsewhere', async () => {
    pfm('s0.pfm', 2, 2);
    pfm('s2.pfm', 2, 2);
    const gap = module('i-pfm', { filename: 's%d.pfm' }, { frames: 5 });
    const e = await failure(() => gap.instance.shapes(gap.ctx));
    expect(e.code).toBe('SEQUENCE_GAP');
    expect(e.message).toMatch(/s1\.pfm \(number 2 is there\)/);
    pfm('t_0007.pfm', 2, 2);
    const late = module('i-pfm', { filename: 't_%04d.pfm' }, { frames: 5 });
    const l = await failure(() => late.instance.shapes(late.ctx));
    expect(l.code).toBe('SEQUENCE_EMPTY');
    expect(l.message).toContain(join(dir, 't_0000.pfm'));
    expect(l.hint).toMatch(/startid:7/);
  });

  test('NaN and infinite pixels are counted, the first is named', async () => {
    const rgba = ramp(12);
    rgba[4 * 6 + 1] = NaN;
    rgba[4 * 6 + 2] = Infinity;
    rgba[4 * 9] = -Infinity;
    writeFileSync('a.pfm', encodePfm(4, 3, rgba, 4));
    const m = module('i-pfm', { filename: 'a.pfm' });
    const e = await failure(() => m.instance.shapes(m.ctx));
    expect(e.code).toBe('PFM_NAN');
    expect(e.message).toBe('2 pixels of the picture are NaN or infinite: the first is NaN, at x = 2, y = 1');
    expect(e.place!.file).toBe(join(dir, 'a.pfm'));
  });

  test.each([
    ['missing', 'FILE_ENOENT', () => pfm('img_12800.pfm', 2, 2), /Did you mean img_12800\.pfm\?/],
    ['empty', 'FILE_EMPTY', () => writeFileSync('img_1280.pfm', ''), undefined],
    ['a folder', 'FILE_EISDIR', () => mkdirSync('img_1280.pfm'), undefined],
    ['a device', 'FILE_KIND', () => symlinkSync('/dev/zero', 'img_1280.pfm'), undefined],
    ['a loop of links', 'FILE_ELOOP', () => symlinkSync('img_1280.pfm', 'img_1280.pfm'), undefined],
    ['truncated', 'PFM_TRUNCATED', () => (pfm('img_1280.pfm', 9, 9), truncateSync('img_1280.pfm', 500)), undefined],
    ['a JPEG', 'PFM_MAGIC', () => writeFileSync('img_1280.pfm', Buffer.from([0xff, 0xd8, 0xff])), /i-jpg/],
  ])('a file that is %s', async (_, code, make, hint) => {
    make();
    const m = module('i-pfm', { filename: 'img_1280.pfm' }, { graphDir: dir });
    const e = await failure(() => m.instance.shapes(m.ctx));
    expect(e.code).toBe(code);
    expect(e.exitCode).toBe(2);
    expect(e.format()).toContain('img_1280.pfm');
    if (hint) expect(e.hint).toMatch(hint);
  });

  test('an unreadable file', async () => {
    pfm('a.pfm', 2, 2);
    chmodSync('a.pfm', 0);
    const m = module('i-pfm', { filename: 'a.pfm' });
    // Root reads anything; there it is read.
    if (process.getuid?.() === 0) await expect(m.instance.shapes(m.ctx)).resolves.toBeDefined();
    else expect((await failure(() => m.instance.shapes(m.ctx))).code).toBe('FILE_EACCES');
  });
});

describe('i-jpg and i-png', () => {
  const rgb = Uint8Array.from({ length: 6 * 4 * 3 }, (_, i) => (i * 29) % 256);
  const image = (data: Uint8Array | Uint16Array) => sharp(data, { raw: { width: 6, height: 4, channels: 3 } });

  test('a PNG arrives as f16, linear rec2020, alpha 1', async () => {
    await image(rgb).png().toFile('a.png');
    const m = module('i-png', { filename: 'a.png' });
    expect((await m.instance.shapes(m.ctx)).output).toMatchObject({ channels: 'rgba', format: 'f16', width: 6, height: 4 });
    const got = halves(await m.frame(0));
    const matrix = convertPrimaries('sRGB', 'bt2020');
    const { decode } = curve('sRGB');
    const want = new Float32Array(24 * 4).fill(1);
    for (let p = 0; p < 24; p++) want.set(apply(matrix, [0, 1, 2].map((c) => decode(rgb[3 * p + c]! / 255)) as unknown as Vec3), 4 * p);
    expect(got).toEqual(toHalf(want).data);
  });

  test('a sequence of JPEGs', async () => {
    for (const n of [0, 1]) await sharp({ create: { width: 8, height: 8, channels: 3, background: n === 0 ? '#000' : '#fff' } }).jpeg().toFile(`s_000${n}.jpg`);
    const m = module('i-jpg', { filename: 's_%04d.jpg' }, { frames: 3 });
    await m.instance.shapes(m.ctx);
    const first = [];
    for (const f of [0, 1, 2]) first.push(fromHalf(halves(await m.frame(f)))[0]);
    expect(first).toEqual([0, 1, 0]);
  });

  test('names the module that reads the other format', async () => {
    await image(rgb).png().toFile('a.jpg');
    await image(rgb).jpeg().toFile('a.png');
    await image(rgb).webp().toFile('b.png');
    const check = async (name: string, filename: string): Promise<string | undefined> => {
      const m = module(name, { filename });
      const e = await failure(() => m.instance.shapes(m.ctx));
      expect(e.code).toBe('PICTURE_KIND');
      return e.hint;
    };
    expect(await check('i-jpg', 'a.jpg')).toMatch(/i-png/);
    expect(await check('i-png', 'a.png')).toMatch(/i-jpg/);
    expect(await check('i-png', 'b.png')).toMatch(/Convert/);
  });

  test.each(['jpg', 'png'])('a truncated %s', async (kind) => {
    const big = sharp(Uint8Array.from({ length: 200 * 200 * 3 }, (_, i) => (i * i) % 251), { raw: { width: 200, height: 200, channels: 3 } });
    const whole = await (kind === 'jpg' ? big.jpeg() : big.png()).toBuffer();
    writeFileSync(`a.${kind}`, whole.subarray(0, whole.length >> 1));
    const m = module(`i-${kind}`, { filename: `a.${kind}` });
    const e = await failure(() => m.instance.shapes(m.ctx));
    expect(e.code).toBe('PICTURE_BROKEN');
    expect(e.message).not.toContain('\n');
  });
});

describe('i-lut', () => {
  const load = async (file: Parameters<typeof encodeLut>[0]) => {
    writeFileSync('a.lut', encodeLut(file));
    const m = module('i-lut', { filename: 'a.lut' });
    return { shape: (await m.instance.shapes(m.ctx)).output!, data: await m.frame(0) };
  };

  test('weights arrive as they are, with their text', async () => {
    const w = Uint16Array.from({ length: 32 * 128 }, (_, i) => i % 0x7c00);
    const text = 'lut contains weights for\n3 hidden layers\ncontext: norm\n';
    const { shape, data } = await load({ width: 32, height: 128, channels: 1, format: 'f16', ssbo: true, data: bytesOf(w), text });
    expect(shape).toEqual({ channels: 'ssbo', format: 'f16', width: 32, height: 128, count: 1, text });
    expect(halves(data)).toEqual(w);
  });

  test.each([
    [1, [7], [7, 7, 7, 1]],
    [2, [7, 5], [7, 7, 7, 5]],
    [3, [7, 5, 3], [7, 5, 3, 1]],
    [4, [7, 5, 3, 2], [7, 5, 3, 2]],
  ])('a picture of %i channels becomes rgba', async (channels, values, want) => {
    const picture = { width: 2, height: 3, channels, ssbo: false, text: '' };
    const f = Float32Array.from(Array(6).fill(values).flat());
    const f32 = await load({ ...picture, format: 'f32', data: bytesOf(f) });
    expect(f32.shape).toMatchObject({ channels: 'rgba', format: 'f32', width: 2, height: 3 });
    expect([...floats(f32.data)]).toEqual(Array(6).fill(want).flat());
    const f16 = await load({ ...picture, format: 'f16', data: bytesOf(toHalf(f).data) });
    expect([...fromHalf(halves(f16.data))]).toEqual(Array(6).fill(want).flat());
    const ui8 = await load({ ...picture, format: 'ui8', data: Uint8Array.from(f) });
    // The alpha of a picture without one is 1, which is 255 there.
    expect([...ui8.data.subarray(0, 4)]).toEqual(channels % 2 === 1 ? [...want.slice(0, 3), 255] : want);
  });

  test('broken weights are counted, the first named', async () => {
    const w = new Uint16Array(32 * 4);
    w[32 + 5] = 0x7e00;
    w[99] = 0xfc00;
    writeFileSync('a.lut', encodeLut({ width: 32, height: 4, channels: 1, format: 'f16', ssbo: true, data: bytesOf(w), text: '' }));
    const m = module('i-lut', { filename: 'a.lut' });
    const e = await failure(() => m.instance.shapes(m.ctx));
    expect(e.code).toBe('LUT_NAN');
    expect(e.message).toMatch(/^2 of the 128 values .* column 5, row 1$/);
  });
});

describe('sinks', () => {
  const write = async (name: string, values: Record<string, number | string>, shape: PortShape, data: Uint8Array, frame = 0) => {
    const m = module(name, values, { input: shape });
    expect(await m.instance.shapes(m.ctx)).toEqual({});
    return { file: await m.instance.write!({ shape, data }, frame), warnings: m.warnings };
  };
  const picture = ramp(15, 0.05);

  test('o-pfm writes the bits of the device, names by frame, appends its extension', async () => {
    const { file } = await write('o-pfm', { filename: 'out_%04d' }, rgbaShape(5, 3), bytesOf(picture), 12);
    expect(file).toBe('out_0012.pfm');
    expect(decodePfm(readFileSync(file), file).rgba).toEqual(picture);
    expect((await write('o-pfm', {}, rgbaShape(5, 3), bytesOf(picture))).file).toBe('output.pfm');
    expect((await write('o-pfm', { filename: 'x.pfm' }, rgbaShape(5, 3), bytesOf(picture))).file).toBe('x.pfm');
    expect(readdirSync('.').sort()).toEqual(['out_0012.pfm', 'output.pfm', 'x.pfm']);
  });

  test('o-pfm of f16, of tiles, in other colours', async () => {
    const half = toHalf(picture);
    const tiles = await write('o-pfm', { filename: 'tiles' }, rgbaShape(5, 1, { format: 'f16', count: 3 }), bytesOf(half.data));
    const read = decodePfm(readFileSync(tiles.file), '');
    expect([read.width, read.height]).toEqual([5, 3]);
    expect(read.rgba).toEqual(fromHalf(half.data));
    const other = await write('o-pfm', { filename: 'xyz', prim: 'XYZ', trc: 'gamma2.2' }, rgbaShape(5, 3), bytesOf(picture));
    const got = decodePfm(readFileSync(other.file), '').rgba;
    const m = convertPrimaries('bt2020', 'XYZ');
    const { encode } = curve('gamma2.2');
    for (let p = 0; p < 15; p++)
      apply(m, [picture[4 * p]!, picture[4 * p + 1]!, picture[4 * p + 2]!]).forEach((x, c) => expect(got[4 * p + c]).toBe(Math.fround(encode(x))));
  });

  test('pictures that are not finite are written, and said so', async () => {
    const broken = picture.slice();
    broken[5] = NaN;
    const { file, warnings } = await write('o-png', { bits: 8 }, rgbaShape(5, 3), bytesOf(broken));
    expect(warnings).toEqual([expect.stringMatching(/^1 of 15 pixels written to output\.png are NaN/)]);
    expect(existsSync(file)).toBe(true);
  });

  test.each([8, 16])('o-png of %i bits comes back through i-png', async (bits) => {
    const codes = Uint16Array.from({ length: 15 * 3 }, (_, i) => (i * (bits === 8 ? 5 : 1409)) % 2 ** bits);
    // What these codes are in the program's colours, as f32; writing them must find the codes again.
    const png = await sharp(bits === 8 ? Uint8Array.from(codes) : codes, { raw: { width: 5, height: 3, channels: 3 } }).toColourspace(bits === 8 ? 'srgb' : 'rgb16').png().toBuffer();
    const linear = await decodePicture(png, 'png', '', () => undefined);
    const { file } = await write('o-png', { bits }, rgbaShape(5, 3), bytesOf(linear.rgba));
    const raw = await sharp(file, { ignoreIcc: true }).toColourspace(bits === 8 ? 'srgb' : 'rgb16').raw({ depth: bits === 8 ? 'uchar' : 'ushort' }).toBuffer();
    expect(bits === 8 ? Uint16Array.from(raw) : new Uint16Array(raw.slice().buffer.slice(raw.byteOffset, raw.byteOffset + raw.length))).toEqual(codes);
  });

  test('o-jpg shrinks to --width and --height, keeps EXIF if asked', async () => {
    const flat = new Float32Array(64 * 32 * 4).fill(0.18);
    const exif = (await sharp({ create: { width: 4, height: 4, channels: 3, background: '#888' } }).withExif({ IFD0: { Artist: 'somebody' } }).jpeg().toBuffer());
    const block = (await decodePicture(exif, 'jpeg', '', () => undefined)).exif!;
    const shape = rgbaShape(64, 32, { exif: block });
    const { file } = await write('o-jpg', { width: 16, quality: 90 }, shape, bytesOf(flat));
    const meta = await sharp(file).metadata();
    expect([meta.width, meta.height, meta.format]).toEqual([16, 8, 'jpeg']);
    expect(meta.exif!.toString('latin1')).toContain('somebody');
    const { data } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
    const code = Math.round(255 * curve('sRGB').encode(0.18));
    expect(data.every((v) => Math.abs(v - code) <= 1)).toBe(true);
    const without = await write('o-jpg', { exif: 0 }, shape, bytesOf(flat));
    expect((await sharp(without.file).metadata()).exif).toBeUndefined();
  });

  test('shrinking averages what a pixel covers', async () => {
    const rgba = new Float32Array(5 * 4);
    [0, 1, 2, 3, 4].forEach((v, x) => rgba.fill(v, 4 * x, 4 * x + 4));
    const { file } = await write('o-pfm', { width: 2 }, rgbaShape(5, 1), bytesOf(rgba));
    const got = decodePfm(readFileSync(file), '');
    expect([got.width, got.height]).toEqual([2, 1]);
    // (0 + 1 + 2/2) / 2.5 and (2/2 + 3 + 4) / 2.5
    expect(got.rgba[0]).toBeCloseTo(0.8, 6);
    expect(got.rgba[4]).toBeCloseTo(3.2, 6);
  });

  test('o-lut writes what i-lut reads', async () => {
    const w = Uint16Array.from({ length: 32 * 128 }, (_, i) => i % 0x7c00);
    const shape: PortShape = { channels: 'ssbo', format: 'f16', width: 32, height: 128, count: 1, text: 'some words\n' };
    const { file } = await write('o-lut', { filename: 'mlp-w' }, shape, bytesOf(w));
    expect(file).toBe('mlp-w.lut');
    const bytes = readFileSync(file);
    // magic 1234, version 2, 1 channel, datatype 16, 32 x 128, all little endian.
    expect([...bytes.subarray(0, 16)]).toEqual([0xd2, 4, 0, 0, 2, 0, 1, 16, 32, 0, 0, 0, 128, 0, 0, 0]);
    expect(decodeLut(bytes, '')).toMatchObject({ width: 32, height: 128, text: 'some words\n' });
    const rgba = await write('o-lut', { filename: 'p' }, rgbaShape(5, 3), bytesOf(picture));
    expect([...readFileSync(rgba.file).subarray(6, 8)]).toEqual([4, 1]);
  });

  test('o-lut leaves the last good weights where the new ones are broken', async () => {
    writeFileSync('w.lut', 'good');
    const w = new Uint16Array(64).fill(0x7c00);
    const shape: PortShape = { channels: 'ssbo', format: 'f16', width: 64, height: 1, count: 1 };
    await expect(write('o-lut', { filename: 'w' }, shape, bytesOf(w))).rejects.toMatchObject({ code: 'LUT_NAN' });
    expect(readFileSync('w.lut', 'utf8')).toBe('good');
  });

  test.each([
    ['a missing folder', 'no/such/out', 'OUTPUT_FOLDER', /mkdir -p no\/such/],
    ['a file for a folder', 'file/out', 'OUTPUT_FOLDER', /another name/],
    ['an empty name', '', 'FILE_NAME', undefined],
    ['a folder for a name', 'folder/', 'FILE_NAME', undefined],
    ['a folder of the output’s name', 'folder', 'OUTPUT_IS_FOLDER', undefined],
    ['a folder that takes no files', '/proc/out', 'OUTPUT_FOLDER', /permissions/],
  ])('before the work: %s', async (_, filename, code, hint) => {
    writeFileSync('file', '');
    mkdirSync('folder');
    mkdirSync('folder.pfm');
    const m = module('o-pfm', { filename }, { input: rgbaShape(2, 2) });
    const e = await failure(() => m.instance.shapes(m.ctx));
    expect(e.code).toBe(code);
    expect(e.place).toEqual({ file: 'graph.cfg', line: 1 });
    if (hint) expect(e.hint).toMatch(hint);
    expect(readdirSync('.').sort()).toEqual(['file', 'folder', 'folder.pfm']);
  });

  test('wrong parameters and formats', async () => {
    const png = module('o-png', { bits: 12 }, { input: rgbaShape(2, 2) });
    expect((await failure(() => png.instance.shapes(png.ctx))).code).toBe('PNG_BITS');
    const lut = module('o-lut', {}, { input: rgbaShape(2, 2, { format: 'ui16' }) });
    expect((await failure(() => lut.instance.shapes(lut.ctx))).code).toBe('LUT_DATATYPE');
  });

  test('display writes nothing', () => {
    const m = module('display', {});
    expect(m.instance.shapes(m.ctx)).toEqual({});
    expect(m.instance.write).toBeUndefined();
  });
});
