// i-set: a folder of pictures as a pool of crops (SPEC 4, ts/modules/i-set, ts/pictures/cut.ts), without a device. Needs `npm run build`:
// pictures are decoded on threads.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { curve } from '../../ts/formats/colour.js';
import { fromHalf, toHalf } from '../../ts/formats/half.js';
import { encodePfm } from '../../ts/formats/pfm.js';
import { checkGraph } from '../../ts/graph/run.js';
import type { FrameContext, ModuleType, PlanBuffer, PortShape } from '../../ts/graph/types.js';
import { iSet, PictureSet } from '../../ts/modules/i-set/i-set.js';
import { place } from '../../ts/modules/i-set/schedule.js';
import { cutOnThread } from '../../ts/pictures/cut-queue.js';
import { packageRoot } from '../../ts/root.js';
import { random } from '../reference/index.js';
import { withoutBanner } from '../validation/banner.js';
import { failure } from './io-harness.js';

jest.setTimeout(120_000);

let dir: string;
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'vkpn-set-'))));
afterEach(() => rmSync(dir, { recursive: true }));

/** Values that say which picture a pixel is of, and where: (picture + 1, x, y) / 4096, so that f16 holds them. */
const marked = (picture: number, width: number, height: number): Float32Array =>
  Float32Array.from({ length: 4 * width * height }, (_, i) => [(picture + 1) / 1024, ((i >> 2) % width) / 1024, Math.floor((i >> 2) / width) / 1024, 1][i % 4]!);
const write = (name: string, picture: number, width: number, height: number, rgba = marked(picture, width, height)): void => writeFileSync(join(dir, name), encodePfm(width, height, rgba, 4));

const end: ModuleType = { name: 'end', doc: '', connectors: [{ name: 'input', type: 'sink', channels: '*', format: '*' }], params: [], create: () => ({ shapes: () => ({}), build: () => undefined }) };

interface Opened {
  instance: PictureSet;
  shapes: Record<string, PortShape>;
  warnings: string[];
  /** What the outputs hold when frame `frame` runs; frames in rising order. */
  at(frame: number): Promise<Record<'output' | 'ref' | 'noise', Uint8Array>>;
  writes: number;
}

/** An i-set as a graph makes it. */
async function open(params: Record<string, string | number>, outputs = ['output'], frames = 1000): Promise<Opened> {
  const warnings: string[] = [];
  const text = [
    `frames:${frames}`, 'module:i-set:01', ...outputs.flatMap((o) => [`module:end:${o}`, `connect:i-set:01:${o}:end:${o}:input`]),
    ...Object.entries(params).map(([k, v]) => `param:i-set:01:${k}:${v}`),
  ].join('\n');
  const { run } = await checkGraph({ file: join(dir, 'graph.cfg'), text, registry: new Map([iSet, end].map((m) => [m.name, m])), onWarning: (m) => void warnings.push(m) });
  const node = run.find((r) => r.instance instanceof PictureSet)!;
  const held: Record<string, Uint8Array> = {};
  const bytes = (s: PortShape): number => s.width * s.height * s.count * (s.channels === 'rgba' ? 8 : 4);
  const output = (name: string): PlanBuffer => {
    held[name] = new Uint8Array(bytes(node.shapes[name]!));
    return { id: 0, name, bytes: held[name].length, persistent: true };
  };
  const instance = node.instance as PictureSet;
  instance.build({ ...node.context, output } as unknown as Parameters<PictureSet['build']>[0]);
  const opened: Opened = {
    instance, shapes: node.shapes, warnings, writes: 0,
    at: async (frame) => {
      const ctx: FrameContext = {
        params: node.node.params, read: () => Promise.reject(new Error('nothing to read')),
        write: (buffer, data, offset = 0) => {
          opened.writes++;
          held[buffer.name]!.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
        },
      };
      await instance.beforeFrame(ctx, frame);
      return Object.fromEntries(Object.entries(held).map(([k, v]) => [k, v.slice()])) as Awaited<ReturnType<Opened['at']>>;
    },
  };
  return opened;
}

const values = (bytes: Uint8Array): Float32Array => fromHalf(new Uint16Array(bytes.slice().buffer));
/** Of each crop of `size`: picture, and where its first pixel lies in it. */
const crops = (bytes: Uint8Array, size: number): { picture: number; x: number; y: number }[] => {
  const v = values(bytes);
  return Array.from({ length: v.length / (4 * size * size) }, (_, i) => {
    const p = 4 * i * size * size;
    return { picture: Math.round(1024 * v[p]!) - 1, x: Math.round(1024 * v[p + 1]!), y: Math.round(1024 * v[p + 2]!) };
  });
};

test('a small folder is kept as a whole: crops cover every picture, smaller ones are mirrored on, nothing changes', async () => {
  write('a.pfm', 0, 20, 16);
  write('b.pfm', 1, 8, 8);
  write('c.pfm', 2, 5, 9);
  const set = await open({ folder: '.', size: 8, pool: 100, reduce: '1' });
  expect(set.shapes['output']).toMatchObject({ width: 8, height: 8, count: 3 * 2 + 1 + 2, perFrame: false });
  const { output } = await set.at(0);
  expect(crops(output, 8)).toEqual([
    { picture: 0, x: 0, y: 0 }, { picture: 0, x: 6, y: 0 }, { picture: 0, x: 12, y: 0 }, { picture: 0, x: 0, y: 8 }, { picture: 0, x: 6, y: 8 }, { picture: 0, x: 12, y: 8 },
    { picture: 1, x: 0, y: 0 }, { picture: 2, x: 0, y: 0 }, { picture: 2, x: 0, y: 1 },
  ]);
  const v = values(output);
  const at = (crop: number, x: number, y: number): number[] => [...v.subarray(4 * (64 * crop + 8 * y + x), 4 * (64 * crop + 8 * y + x) + 4)].map((t) => 1024 * t);
  expect(at(3, 7, 5)).toEqual([1, 7, 13, 1024]);
  expect(at(7, 4, 2)).toEqual([3, 4, 2, 1024]);
  expect(at(7, 5, 2)).toEqual([3, 4, 2, 1024]); // mirrored: x = 5 is 4 again, 7 is 2
  expect(at(7, 7, 2)).toEqual([3, 2, 2, 1024]);
  expect([1, 16, 999].some((f) => set.instance.changesAt(f))).toBe(false);
  const { writes } = set;
  await set.at(500);
  expect(set.writes).toBe(writes);
});

describe('a folder that is larger than the pool', () => {
  const params = { folder: 'many', size: 8, pool: 6, crops: 2, every: 5, reduce: '1' };
  const sizes = [[20, 16], [9, 30], [8, 8], [40, 11], [12, 12]] as const;
  beforeEach(() => {
    mkdirSync(join(dir, 'many', 'more'), { recursive: true });
    sizes.forEach(([w, h], i) => write(i < 3 ? `many/p${i}.pfm` : `many/more/p${i}.pfm`, i, w, h));
  });
  /** Picture numbers in the order of the files: natural order of the paths. */
  const order = [3, 4, 0, 1, 2];

  test('one crop is replaced every few frames, the oldest first; each is where its draw says; all pictures in turn', async () => {
    const set = await open(params);
    expect(set.shapes['output']).toMatchObject({ count: 6, perFrame: true });
    expect(Array.from({ length: 12 }, (_, f) => set.instance.changesAt(f))).toEqual([true, false, false, false, false, true, false, false, false, false, true, false]);
    const schedule = { pictures: 5, pool: 6, crops: 2, every: 5, seed: 1 };
    let before = crops((await set.at(0)).output, 8);
    const seen = before.slice();
    for (let k = 6; k < 60; k++) {
      const now = crops((await set.at(5 * (k - 5))).output, 8);
      expect(now.map((c, i) => (i === k % 6 ? undefined : c))).toEqual(before.map((c, i) => (i === k % 6 ? undefined : c)));
      seen.push(now[k % 6]!);
      before = now;
    }
    seen.forEach(({ picture, x, y }, k) => {
      const [w, h] = sizes[picture]!;
      const { u, v } = place(schedule, k);
      expect({ k, x, y }).toEqual({ k, x: Math.floor(u * (w - 7)), y: Math.floor(v * (h - 7)) });
    });
    // Six epochs of five visits of two crops.
    for (let e = 0; e < 6; e++) expect(seen.slice(10 * e, 10 * e + 10).map((c) => c.picture).sort()).toEqual([0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
    expect(order.length).toBe(set.instance.pictures.length);
    expect(set.instance.pictures.map(({ path }) => Number(/p(\d)[^/]*$/.exec(path)![1]))).toEqual(order);
  });

  test('the same twice, another with another seed; a run that begins in the middle finds the pool as it was', async () => {
    const [one, two, other, late] = [await open(params), await open(params), await open({ ...params, seed: 2 }), await open(params)];
    let last: Uint8Array = new Uint8Array();
    for (const f of [0, 5, 10, 15, 40, 45]) {
      const { output } = await one.at(f);
      expect((await two.at(f)).output).toEqual(output);
      last = output;
    }
    expect((await other.at(45)).output).not.toEqual(last);
    expect((await late.at(47)).output).toEqual(last);
  });

  test('a damaged picture is passed over with one warning, wherever it is met; the others go on as they were', async () => {
    const whole = await open(params);
    truncateSync(join(dir, 'many', 'p1.pfm'), 200);
    const set = await open(params);
    const [a, b] = [(await set.at(0)).output, (await whole.at(0)).output];
    const frames = Array.from({ length: 20 }, (_, i) => 5 * i);
    const seen = new Set(crops(a, 8).map((c) => c.picture));
    for (const f of frames) crops((await set.at(f)).output, 8).forEach((c) => seen.add(c.picture));
    expect([...seen].sort()).toEqual([0, 2, 3, 4]);
    expect(set.warnings.filter((w) => w.includes('p1.pfm'))).toHaveLength(1);
    expect(set.warnings.join()).toContain('left out');
    const [left, right] = [crops(a, 8), crops(b, 8)];
    right.forEach((c, i) => c.picture !== 1 && expect(left[i]).toEqual(c));
  });

  test('a picture that vanishes while training goes on, or becomes a smaller one: told once, the others go on', async () => {
    const set = await open(params);
    await set.at(0);
    rmSync(join(dir, 'many', 'more', 'p3.pfm'));
    write('many/p1.pfm', 1, 9, 9);
    let seen: number[] = [];
    for (let f = 5; f < 300; f += 5) seen = crops((await set.at(f)).output, 8).map((c) => c.picture);
    expect(seen).not.toContain(3);
    expect([...new Set(seen)].every((n) => n < 5)).toBe(true);
    expect(set.warnings).toHaveLength(1);
    expect(set.warnings[0]).toMatch(/p3\.pfm.*missing/);
  });

  test('a folder of damaged pictures alone ends with the reason, before anything runs or when it is met', async () => {
    sizes.forEach((_s, i) => truncateSync(join(dir, i < 3 ? `many/p${i}.pfm` : `many/more/p${i}.pfm`), 200));
    const error = await failure(() => open(params));
    expect(error).toMatchObject({ code: 'SET_UNREADABLE', place: { line: 5 } });
    expect(error.hint).toContain('p2.pfm');
  });

  test('held-out pictures never come', async () => {
    const set = await open({ ...params, holdout: 2 });
    expect(set.instance.pictures.length).toBe(3);
    const seen = new Set<number>();
    for (let f = 0; f < 100; f += 5) crops((await set.at(f)).output, 8).forEach((c) => seen.add(c.picture));
    expect(seen.size).toBe(3);
    expect((await failure(() => open({ ...params, holdout: 5 }))).code).toBe('SET_HELD_OUT');
  });

  test('of names that are asked for: only these', async () => {
    const names = async (pattern: string): Promise<string[]> => (await open({ ...params, names: pattern })).instance.pictures.map(({ path }) => path.slice(path.lastIndexOf('/') + 1));
    expect(await names('p*.pfm')).toHaveLength(5);
    expect(await names('p3*')).toEqual(['p3.pfm']);
    expect(await names('*4.pfm')).toEqual(['p4.pfm']);
    expect((await failure(() => names('.*'))).code).toBe('SET_NAMES');
    expect((await failure(() => names('p'))).code).toBe('SET_NAMES');
  });
});

test('damaged pictures of a small folder: the others take their slots; the same each time', async () => {
  ['a', 'b', 'c'].forEach((n, i) => write(`${n}.pfm`, i, 16, 8));
  const bytes = encodePfm(16, 8, marked(1, 16, 8).fill(NaN), 4);
  writeFileSync(join(dir, 'b.pfm'), bytes); // its header is right
  const runs = [await open({ folder: '.', size: 8, pool: 100 }), await open({ folder: '.', size: 8, pool: 100 })];
  const [one, two] = [(await runs[0]!.at(0)).output, (await runs[1]!.at(0)).output];
  expect(crops(one, 8).map((c) => c.picture)).toEqual([0, 0, 0, 0, 2, 2]);
  expect(one).toEqual(two);
});

test('every format and depth: grey, palette, alpha, turned by EXIF; values as the reader gives them', async () => {
  const rgb = (n: number, f: (i: number) => number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => f(i));
  const raw = (channels: 1 | 3 | 4, width = 12, height = 9) => sharp(rgb(width * height * channels, (i) => (i * 37) % 256), { raw: { width, height, channels } });
  await raw(1).png().toFile(join(dir, 'grey.png'));
  await raw(4).png().toFile(join(dir, 'alpha.png'));
  await raw(3).png({ palette: true }).toFile(join(dir, 'palette.png'));
  await raw(3).jpeg().withMetadata({ orientation: 6 }).toFile(join(dir, 'turned.jpg'));
  await raw(3).toColourspace('rgb16').tiff().toFile(join(dir, 'deep.tif'));
  const set = await open({ folder: '.', size: 16, pool: 100 });
  const { output } = await set.at(0);
  expect(set.instance.pictures.length).toBe(5);
  const v = values(output);
  // grey.png is third by name (alpha, deep, grey, palette, turned): its codes through sRGB's curve, alike in all channels.
  for (const [x, y] of [[0, 0], [11, 8], [5, 3]] as const) {
    const p = 4 * (2 * 256 + 16 * y + x);
    const expected = curve('sRGB').decode((((12 * y + x) * 37) % 256) / 255);
    for (let c = 0; c < 3; c++) expect(v[p + c]).toBeCloseTo(expected, 3);
  }
  // turned.jpg is 9 wide and 12 high: column 9 mirrors column 8.
  const turned = (x: number, y: number): number => v[4 * (4 * 256 + 16 * y + x)]!;
  for (let y = 0; y < 12; y++) expect(turned(9, y)).toBe(turned(8, y));
  expect([...Array(12).keys()].every((y) => turned(8, y) === turned(7, y))).toBe(false);
});

test('reduction is the mean of linear light over whole blocks; the default leaves 1.5 million pixels', async () => {
  const [w, h, r] = [31, 22, 3];
  const rgba = Float32Array.from({ length: 4 * w * h }, (_, i) => (i % 4 === 3 ? 1 : Math.fround(Math.abs(Math.sin(i)))));
  write('a.pfm', 0, w, h, rgba);
  const cut = await cutOnThread({ path: join(dir, 'a.pfm'), size: 10, reduce: r, places: [{ u: 0, v: 0.999 }] });
  expect(cut).toMatchObject({ width: 10, height: 7 });
  const mean = (x: number, y: number, c: number): number => Array.from({ length: r * r }, (_, i) => rgba[4 * ((r * y + Math.floor(i / r)) * w + r * x + (i % r)) + c]!).reduce((a, b) => a + b) / (r * r);
  const got = fromHalf(cut.crops);
  const expected = Float32Array.from({ length: 4 * 10 * 7 }, (_, i) => mean((i >> 2) % 10, Math.floor((i >> 2) / 10), i % 4));
  expect(got.subarray(0, expected.length)).toEqual(fromHalf(toHalf(expected).data));
  await sharp({ create: { width: 3000, height: 2000, channels: 3, background: '#777' } }).png().toFile(join(dir, 'b.png'));
  expect(await cutOnThread({ path: join(dir, 'b.png'), size: 8, reduce: 0, places: [] })).toMatchObject({ width: 1500, height: 1000 });
});

test('values beyond what exposure leaves room for in f16 are held at that', async () => {
  write('a.pfm', 0, 8, 8, new Float32Array(256).fill(1e6));
  const { crops: got } = await cutOnThread({ path: join(dir, 'a.pfm'), size: 8, reduce: 1, places: [{ u: 0, v: 0 }] });
  expect(Math.max(...fromHalf(got))).toBe(65504 / 64);
});

describe('pairs', () => {
  const params = { folder: 'noisy', clean: 'clean', size: 16, pool: 4, crops: 2, every: 3 };
  const [a, b] = [3e4, 2];
  const next = random(5);
  const gauss = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  beforeEach(() => {
    for (const f of ['noisy', 'clean']) mkdirSync(join(dir, f));
    for (let i = 0; i < 4; i++) {
      const clean = marked(i, 40, 40).map((v, k) => (k % 4 === 3 ? 1 : v * 8));
      const k = 4 ** i; // each picture has noise of its own
      write(`clean/p${i}.pfm`, i, 40, 40, clean);
      write(`noisy/p${i}.pfm`, i, 40, 40, clean.map((v, j) => (j % 4 === 3 ? 1 : v + (gauss() * Math.sqrt(a * k + 65535 * v * b * k)) / 65535)));
    }
  });

  test('the same crop of both, whatever is drawn', async () => {
    const set = await open(params, ['output', 'ref', 'noise']);
    for (let f = 0; f < 60; f += 3) {
      const { output, ref } = await set.at(f);
      const [noisy, clean] = [values(output), values(ref)];
      expect(clean.every((v, i) => Math.abs(v - noisy[i]!) < 6 * Math.sqrt(64 * (a + 65535 * v * b)) / 65535 + v / 1024)).toBe(true);
      expect(noisy).not.toEqual(clean);
    }
  });

  test('each crop comes with the noise of its picture', async () => {
    const set = await open({ ...params, size: 40 }, ['output', 'ref', 'noise']);
    const { ref, noise } = await set.at(0);
    const ab = new Float32Array(noise.slice().buffer);
    values(ref).filter((_v, i) => i % 6400 === 0).forEach((v, i) => {
      const k = 4 ** (Math.round(v * 128) - 1);
      // 4,800 values: sigma to a few percent; at the middle brightness, 0.15.
      const [found, right] = [ab[2 * i]! + 65535 * 0.15 * ab[2 * i + 1]!, (a + 65535 * 0.15 * b) * k];
      expect(found / right).toBeGreaterThan(0.85);
      expect(found / right).toBeLessThan(1.15);
    });
  });

  test('a profile that is given is handed on', async () => {
    const set = await open({ ...params, 'noise a': 5, 'noise b': 7 }, ['output', 'ref', 'noise']);
    expect(set.shapes['output']!.noise).toEqual({ a: 5, b: 7 });
    expect([...new Float32Array((await set.at(0)).noise.slice().buffer)]).toEqual([5, 7, 5, 7, 5, 7, 5, 7]);
  });

  test('one without a partner is left out; sizes that differ, no partners at all, and reduction are refused', async () => {
    rmSync(join(dir, 'clean', 'p2.pfm'));
    write('clean/p3.pfm', 3, 39, 40);
    const set = await open(params, ['output', 'ref']);
    expect(set.warnings.join()).toMatch(/1 of 4 pictures have no clean counterpart.*p2\.pfm/);
    for (let f = 0; f < 30; f += 3) expect(crops((await set.at(f)).ref, 16).every((c) => c.picture >= 0 && Math.round((c.picture + 1) / 8) <= 2)).toBe(true);
    expect(set.warnings.join()).toMatch(/p3\.pfm.*40x40.*39x40/);
    expect((await failure(() => open({ ...params, reduce: '2' }, ['output', 'ref']))).code).toBe('SET_REDUCED_PAIRS');
    for (let i = 0; i < 4; i++) rmSync(join(dir, 'clean', `p${i}.pfm`), { force: true });
    write('clean/q.pfm', 0, 40, 40);
    expect((await failure(() => open(params, ['output', 'ref']))).code).toBe('SET_NO_PAIRS');
    expect((await failure(() => open({ folder: 'noisy' }, ['output', 'ref']))).code).toBe('SET_NO_CLEAN');
  });
});

test('folders that are missing, empty, or files', async () => {
  expect(await failure(() => open({ folder: 'none' }))).toMatchObject({ code: 'FOLDER_ENOENT', place: { line: 5 } });
  mkdirSync(join(dir, 'empty'));
  writeFileSync(join(dir, 'empty', 'notes.txt'), 'x');
  writeFileSync(join(dir, 'empty', '.hidden.jpg'), 'x');
  expect(await failure(() => open({ folder: 'empty' }))).toMatchObject({ code: 'FOLDER_EMPTY' });
  writeFileSync(join(dir, 'file'), 'x');
  expect(await failure(() => open({ folder: 'file' }))).toMatchObject({ code: 'FOLDER_ENOTDIR' });
});

test('memory stays as it is, however many pictures go by', async () => {
  const [width, height] = [3000, 2000];
  const codes = Uint8Array.from({ length: 3 * width * height }, (_, i) => 100 + ((i >> 9) % 90) + (i % 17));
  await sharp(codes, { raw: { width, height, channels: 3 } }).jpeg().toFile(join(dir, 'one.jpg'));
  mkdirSync(join(dir, 'set'));
  for (let i = 0; i < 40; i++) symlinkSync('../one.jpg', join(dir, 'set', `p${i}.jpg`));
  const text = 'frames:136\nmodule:i-set:01\nmodule:display:01\nconnect:i-set:01:output:display:01:input\nparam:i-set:01:folder:set\nparam:i-set:01:pool:8\nparam:i-set:01:every:1';
  // The codes of such a picture take 18 MB, as floats it is 96: in 36 visits anything that is kept would be seen.
  const script = `
    const { checkGraph } = await import(${JSON.stringify(join(packageRoot, 'dist', 'graph', 'run.js'))});
    const { withoutFiles } = await import(${JSON.stringify(join(packageRoot, 'dist', 'modules', 'index.js'))});
    const { run } = await checkGraph({ file: './g.cfg', text: ${JSON.stringify(text)}, registry: withoutFiles() });
    const { instance, context, node } = run.find((r) => r.node.type.name === 'i-set');
    instance.build({ ...context, output: () => ({}) });
    const rss = [], kept = [];
    for (let f = 0; f < 136; f++) {
      await instance.beforeFrame({ params: node.params, write: () => undefined }, f);
      globalThis.gc();
      const used = process.memoryUsage();
      rss.push(used.rss / 1e6);
      kept.push((used.heapUsed + used.external) / 1e6);
    }
    console.log(JSON.stringify({ rss, kept }));`;
  writeFileSync(join(dir, 'watch.mjs'), script);
  const child = spawnSync(process.execPath, ['--expose-gc', 'watch.mjs'], { cwd: dir, encoding: 'utf8' });
  expect(child.stderr).toBe('');
  const { rss, kept } = JSON.parse(withoutBanner(child.stdout)) as Record<'rss' | 'kept', number[]>;
  // Of some frames the middle: how many pictures are being decoded at once, and when memory is given back to the system, is chance. Twenty pictures lie between, 380 MB if
  // only their codes were kept; the allocator holds on to more or less of what was freed.
  const growth = (of: number[]): number => {
    const middle = (from: number, to: number): number => of.slice(from, to).sort((a, b) => a - b)[(to - from) >> 1]!;
    return middle(96, 136) - middle(16, 56);
  };
  expect(Math.max(...rss)).toBeLessThan(1000);
  expect(growth(kept)).toBeLessThan(100);
  expect(growth(rss)).toBeLessThan(300);
});
