// `vkpn denoise`, the real command: what it writes, what it keeps, what it refuses (docs/denoise.md).
import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { exifOfTiff, readShot } from '../../ts/formats/exif.js';
import { decodePfm, encodePfm } from '../../ts/formats/pfm.js';
import { writeProfile } from '../../ts/formats/icc.js';
import { decodePicture, encodePicture } from '../../ts/formats/picture.js';
import { openPicture } from '../../ts/pictures/read.js';
import { packageRoot } from '../../ts/root.js';
import { withoutBanner } from '../validation/banner.js';
import { bayerDng } from './dng-file.js';

let dir: string;
beforeAll(() => (dir = mkdtempSync(join(tmpdir(), 'vkpn-denoise-'))));
afterAll(() => rmSync(dir, { recursive: true }));

interface Ran {
  code: number;
  out: string;
  err: string;
}
const vkpn = (...args: string[]): Promise<Ran> =>
  new Promise((done) => {
    execFile(process.execPath, [join(packageRoot, 'bin', 'vkpn'), ...args], { cwd: dir, env: { ...process.env, XDG_CONFIG_HOME: dir } }, (error, out, err) => done({ code: error ? Number(error.code) : 0, out: withoutBanner(out), err }));
  });
const denoise = (...args: string[]): Promise<Ran> => vkpn('denoise', ...args);

/** A part of a photograph with noise of the level mid; linear rec2020. */
const size = 96;
const noise = { a: 274870, b: 327.675 };
async function photograph(): Promise<{ clean: Float32Array; noisy: Float32Array }> {
  const all = await decodePicture(readFileSync(join(packageRoot, 'examples/photos/test_0001.jpg')), 'jpeg', 'x', () => undefined);
  const clean = new Float32Array(4 * size * size);
  for (let y = 0; y < size; y++) clean.set(all.rgba.subarray(4 * ((y + 200) * all.width + 300), 4 * ((y + 200) * all.width + 300 + size)), 4 * y * size);
  let seed = 1;
  const uniform = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const normal = (): number => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return { clean, noisy: clean.map((x, i) => (i % 4 === 3 ? 1 : x + (normal() * Math.sqrt(noise.a + 65535 * Math.max(x, 0) * noise.b)) / 65535)) };
}
const psnr = (a: Float32Array, b: Float32Array): number => {
  const sum = a.reduce((s, v, i) => s + (i % 4 === 3 ? 0 : (v - b[i]!) ** 2), 0);
  return -10 * Math.log10(sum / (0.75 * a.length));
};
const format = (name: string): string => name.slice(name.lastIndexOf('.') + 1);
const file = (name: string, bytes: Uint8Array | string): string => {
  writeFileSync(join(dir, name), bytes);
  return name;
};
const given = ['--noise', `${noise.a}:${noise.b}`];

describe('what it writes', () => {
  let clean: Float32Array;
  let noisy: Float32Array;
  beforeAll(async () => {
    ({ clean, noisy } = await photograph());
    file('in.pfm', encodePfm(size, size, noisy, 4));
  });
  const read = (name: string): Float32Array => decodePfm(readFileSync(join(dir, name)), name).rgba;

  test('the weights that come with it gain 4 dB; --print-cfg prints a graph of the same pixels; half strength is half way', async () => {
    const ran = await denoise('in.pfm', '-o', 'out.pfm', ...given);
    expect(ran).toMatchObject({ code: 0, err: expect.stringContaining('1 of 1 picture') as string });
    expect(psnr(read('out.pfm'), clean)).toBeGreaterThan(psnr(noisy, clean) + 4);
    expect(await denoise('in.pfm', '-o', 'best.pfm', ...given, '-w', 'best')).toMatchObject({ code: 0 });
    expect(psnr(read('best.pfm'), clean)).toBeGreaterThan(psnr(read('out.pfm'), clean) + 0.2);
    const printed = await denoise('in.pfm', '-o', 'again.pfm', ...given, '--print-cfg');
    expect(printed.code).toBe(0);
    file('graph.cfg', printed.out);
    expect(await vkpn('cli', '-g', 'graph.cfg')).toMatchObject({ code: 0 });
    expect(readFileSync(join(dir, 'again.pfm')).equals(readFileSync(join(dir, 'out.pfm')))).toBe(true);
    expect(await denoise('in.pfm', '-o', 'half.pfm', ...given, '--strength', '0.5')).toMatchObject({ code: 0 });
    const [out, half] = [read('out.pfm'), read('half.pfm')];
    expect(Math.max(...half.map((v, i) => Math.abs(v - (out[i]! + noisy[i]!) / 2)))).toBeLessThan(0.002);
  });

  test('--spin: better, in tiles too, and by the graph that it prints', async () => {
    expect(await denoise('in.pfm', '-o', 'one.pfm', ...given)).toMatchObject({ code: 0 });
    expect(await denoise('in.pfm', '-o', 'four.pfm', ...given, '--spin', '4')).toMatchObject({ code: 0 });
    expect(psnr(read('four.pfm'), clean)).toBeGreaterThan(psnr(read('one.pfm'), clean) + 0.1);
    const printed = await denoise('in.pfm', '-o', 'tiled.pfm', ...given, '--spin', '4', '--print-cfg');
    expect(printed.out).toContain('param:kpn:01:spin:4\n');
    file('graph.cfg', printed.out);
    expect(await vkpn('cli', '-g', 'graph.cfg', '--tile', '64')).toMatchObject({ code: 0 });
    expect(readFileSync(join(dir, 'tiled.pfm')).equals(readFileSync(join(dir, 'four.pfm')))).toBe(true);
    expect(await vkpn('cli', '-g', 'graph.cfg', '--config', 'param:kpn:01:spin:6')).toMatchObject({ code: 2, err: expect.stringMatching(/spin can't be "6"\n {2}there is: 1, 2, 4, 8\n/) as string });
  });

  test('a sharp picture with the noise of a low ISO is not made worse: no pixel moves farther than noise explains', async () => {
    const [a, b] = [792, 7.68]; // a Canon EOS 30D at ISO 640 (docs/noise.md)
    const lights = clean.map((_, i) => (i % 4 === 3 ? 1 : 0.01 + 0.9 * Math.max(0, Math.sin(1.7 * (i >> 2) * ((i >> 2) % 7))) ** 6));
    let seed = 3;
    const uniform = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647;
    const normal = (): number => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    const sd = (x: number): number => Math.sqrt(a + 65535 * Math.max(x, 0) * b) / 65535;
    const seen = lights.map((x, i) => (i % 4 === 3 ? 1 : x + normal() * sd(x)));
    file('lights.pfm', encodePfm(size, size, seen, 4));
    expect(await denoise('lights.pfm', '-o', 'lights.out.pfm', '--noise', `${a}:${b}`)).toMatchObject({ code: 0 });
    const out = read('lights.out.pfm');
    expect(psnr(out, lights)).toBeGreaterThan(psnr(seen, lights) - 0.5);
    const moved = out.map((v, i) => Math.abs(v - seen[i]!) / (sd(Math.max(v, seen[i]!)) + 2 ** -11 * Math.max(Math.abs(v), Math.abs(seen[i]!))));
    expect(Math.max(...moved)).toBeLessThan(6.01);
    expect(Math.max(...moved)).toBeGreaterThan(1);
  });

  test('--noise NAME takes a saved profile', async () => {
    mkdirSync(join(dir, 'vkpn'));
    file('vkpn/noise.json', JSON.stringify({ version: 1, profiles: [{ name: 'mine', kind: 'linear', points: [{ ...noise, pictures: 1, measured: '2026-01-01' }] }] }));
    expect(await denoise('in.pfm', '-o', 'named.pfm', '--noise', 'mine')).toMatchObject({ code: 0 });
    expect(readFileSync(join(dir, 'named.pfm')).equals(readFileSync(join(dir, 'out.pfm')))).toBe(true);
  });

  test('strength 0 is the picture: every format to within f16; formats, profile, EXIF, before | after', async () => {
    const icc = writeProfile('P3', 'sRGB')!;
    const { exif } = await sharp(await sharp({ create: { width: 1, height: 1, channels: 3, background: 'red' } }).withExif({ IFD0: { Make: 'Canon', Model: 'Canon EOS R5', Orientation: '6' }, IFD2: { ISOSpeedRatings: '3200' } }).jpeg().toBuffer()).metadata();
    const clamped = clean.map((v) => Math.min(Math.max(v, 0), 1));
    file('p3.png', await encodePicture(size, size, clamped, 'png', { primaries: 'P3', curve: 'sRGB', bits: 8, exif: exif!.subarray(6) }));
    for (const format of ['tiff16', 'png16', 'jpg', 'pfm']) {
      const ran = await denoise('p3.png', '-o', `${format}/`, '--format', format, '--strength', '0', '--quality', '100', '--noise', '0:1', ...(format === 'png16' ? ['--compare'] : []));
      expect(ran.code).toBe(0);
    }
    const before = await openPicture(join(dir, 'p3.png'));
    for (const [name, off] of [['tiff16/p3.tif', 0.001], ['png16/p3.png', 0.001], ['jpg/p3.jpg', 0.006], ['pfm/p3.pfm', 0.001]] as const) {
      const after = await openPicture(join(dir, name));
      expect([after.width, after.height]).toEqual([before.width, before.height]);
      const errors = after.rgba.map((v, i) => Math.abs(v - before.rgba[i]!));
      expect(format(name) === 'jpg' ? Math.sqrt(errors.reduce((s, e) => s + e * e, 0) / errors.length) : Math.max(...errors)).toBeLessThan(off);
      if (name.startsWith('pfm')) continue;
      expect(after.meta).toMatchObject({ camera: 'Canon EOS R5', iso: 3200 });
      expect(Buffer.from(after.meta.icc!).equals(icc)).toBe(true);
      expect((await sharp(join(dir, name)).metadata()).orientation ?? 1).toBe(1);
    }
    expect(readShot(exifOfTiff(readFileSync(join(dir, 'tiff16/p3.tif'))))).toMatchObject({ iso: 3200 });
    const both = await openPicture(join(dir, 'png16/p3-compare.png'));
    expect([both.width, both.height]).toEqual([2 * size, size]);
  });

  test('a folder with a broken picture: the others are written, the message names it, inputs stay', async () => {
    mkdirSync(join(dir, 'shoot'));
    for (const n of [1, 2, 10]) copyFileSync(join(dir, 'in.pfm'), join(dir, 'shoot', `img${n}.pfm`));
    writeFileSync(join(dir, 'shoot', 'img3.pfm'), 'PF\n96 96\n-1.0\nshort');
    writeFileSync(join(dir, 'shoot', 'notes.txt'), 'no picture');
    const ran = await denoise('shoot', '-o', 'clean', ...given);
    expect(ran.code).toBe(2);
    expect(ran.err).toMatch(/shoot\/img3\.pfm: .*truncated/);
    expect(ran.err).toMatch(/3 of 4 pictures .*1 failed: shoot\/img3\.pfm/);
    expect(readdirSync(join(dir, 'clean')).sort()).toEqual(['img1.pfm', 'img10.pfm', 'img2.pfm']);
    expect(readFileSync(join(dir, 'clean/img2.pfm')).equals(readFileSync(join(dir, 'out.pfm')))).toBe(true);
    expect(readFileSync(join(dir, 'shoot/img1.pfm')).equals(readFileSync(join(dir, 'in.pfm')))).toBe(true);
  });

  test('a raw file: noise as it is in it is found, the picture is full size, developed, and quieter', async () => {
    // A grey ramp as a sensor sees it: white balance 2, 1, 1.5; black 512, white 16383.
    const [W, H] = [512, 384];
    file('a.dng', bayerDng(W, H, { a: 40000, b: 60, seed: 5 }));
    const ran = await denoise('a.dng', '-o', 'raw.tif');
    expect(ran).toMatchObject({ code: 0 });
    const [, a, b] = /noise ([\d.]+):([\d.]+) \(estimated/.exec(ran.err)!.map(Number);
    expect(Math.abs(b! / 60 - 1)).toBeLessThan(0.15);
    expect(Math.abs(a! / 40000 - 1)).toBeLessThan(0.3);
    expect(await denoise('a.dng', '-o', 'plain.tif', '--strength', '0')).toMatchObject({ code: 0 });
    const [quiet, loud] = await Promise.all(['raw.tif', 'plain.tif'].map((n) => openPicture(join(dir, n))));
    expect([quiet!.width, quiet!.height]).toEqual([W, H]);
    const rms = (p: Float32Array): number => {
      let sum = 0;
      for (let y = 40; y < H - 40; y++) for (let x = 40; x < W - 40; x++) for (let c = 0; c < 3; c++) sum += (p[4 * (y * W + x) + c]! - 0.05 - (0.8 * x) / W) ** 2;
      return Math.sqrt(sum / (3 * (H - 80) * (W - 80)));
    };
    expect(rms(loud!.rgba)).toBeLessThan(0.035);
    expect(rms(quiet!.rgba)).toBeLessThan(rms(loud!.rgba) / 3);
    // No mesh of the two greens: what alternates from row to row, in blocks of 8x8.
    const mesh = (p: Float32Array): number => {
      let [sum, blocks] = [0, 0];
      for (let top = 40; top < H - 48; top += 8)
        for (let left = 40; left < W - 48; left += 8, blocks++) {
          let block = 0;
          for (let i = 0; i < 64; i++) block += p[4 * ((top + (i >> 3)) * W + left + (i & 7)) + 1]! * ((i >> 3) & 1 ? 1 : -1);
          sum += (block / 64) ** 2;
        }
      return Math.sqrt(sum / blocks);
    };
    expect(mesh(quiet!.rgba)).toBeLessThan(mesh(loud!.rgba) / 5);
  });

  test('a raw file of a camera held upright, before | after, in tiles: each half is the picture by itself', async () => {
    file('up.dng', bayerDng(768, 512, { a: 40000, b: 60, seed: 6, orientation: 6 }));
    const how = ['--noise', '40000:60', '--tile', '128'];
    expect(await denoise('up.dng', '-o', 'up.tif', ...how, '--compare')).toMatchObject({ code: 0, err: expect.stringMatching(/in \d+ tiles/) as string });
    expect(await denoise('up.dng', '-o', 'before.tif', ...how, '--strength', '0')).toMatchObject({ code: 0 });
    const [both, after, before] = await Promise.all(['up-compare.tif', 'up.tif', 'before.tif'].map((n) => openPicture(join(dir, n))));
    expect([both!.width, both!.height]).toEqual([1024, 768]);
    const half = (right: boolean): Float32Array => both!.rgba.filter((_, i) => (i >> 2) % 1024 >= 512 === right);
    expect(half(false)).toEqual(before!.rgba);
    expect(half(true)).toEqual(after!.rgba);
    expect(Buffer.from(before!.rgba.buffer).equals(Buffer.from(after!.rgba.buffer))).toBe(false);
  }, 240_000);
});

test.each([
  [['in.pfm', '-o', 'in.pfm', '--force'], /in\.pfm is an input .*never overwritten/],
  [['in.pfm', '-o', 'there.pfm'], /there\.pfm is there already\n.*--force/],
  [['in.pfm', '-o', 'x.jpg', '--format', 'png16'], /is no png16 file/],
  [['in.pfm', '-o', 'x.gif'], /files ending in \.gif are not written/],
  [['in.pfm', '-o', 'x.pfm', '--noise', '1:2:3'], /--noise 1:2:3 is not two numbers/],
  [['in.pfm', '-o', 'x.pfm', '--noise', '1:-2'], /--noise 1:-2 is not two numbers/],
  [['in.pfm', '-o', 'x.pfm', '--noise', 'nikkon'], /no noise profile/],
  [['in.pfm', '-o', 'x.pfm', '--strength', '2'], /number from 0 to 1/],
  [['in.pfm', '-o', 'x.pfm', '--spin', '3'], /'--spin <times>' argument '3' is invalid\. Allowed choices are 1, 2, 4, 8\./],
  [['in.pfm', '-o', 'x.pfm', '-w', 'gone.lut'], /gone\.lut is missing/],
  [['gone.jpg', '-o', 'x.jpg'], /gone\.jpg is missing/],
  [['in.pfm', 'there.pfm', '-o', 'there.pfm'], /is a file, but there are 2 pictures/],
  [['in.pfm', 'sub/in.pfm', '-o', 'both/'], /would both be written to/],
])('%j is refused before any work', async (args, words) => {
  mkdirSync(join(dir, 'sub'), { recursive: true });
  for (const name of ['in.pfm', 'there.pfm', 'sub/in.pfm']) if (!existsSync(join(dir, name))) file(name, encodePfm(64, 64, new Float32Array(64 * 64 * 4).fill(0.5), 4));
  const ran = await denoise(...args);
  expect(ran).toMatchObject({ code: 2, err: expect.stringMatching(words) as string });
  expect(['x.pfm', 'x.jpg', 'both'].filter((n) => existsSync(join(dir, n)))).toEqual([]);
});
