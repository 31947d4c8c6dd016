// The pictures of training: what they show is where it should be, with axes, legends and text; sinks draw values or keep them.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodePfm } from '../../ts/formats/pfm.js';
import { decodePicture } from '../../ts/formats/picture.js';
import type { DrawnPicture, PortShape } from '../../ts/graph/types.js';
import { PRESETS, type ModelSpec } from '../../ts/model/spec.js';
import { legible } from '../../ts/modules/kpn-t/drawing.js';
import { DEBUG_SIZE, drawDebug, drawGraph, drawVis, GRAPH_SIZE, kernelsOf, linearTicks, logTicks, smoothedLog, visSize, visValues } from '../../ts/modules/kpn-t/pictures.js';
import { pictureShapes } from '../../ts/modules/kpn-t/present.js';
import { applyForward, makeImage, random } from '../reference/index.js';
import { module } from './io-harness.js';

const small: ModelSpec = { ...PRESETS.classic, layers: 1 };

type Colour = (r: number, g: number, b: number) => boolean;
/** Pixels of a rectangle whose linear colour fits. */
function count(p: DrawnPicture, [x0, y0, x1, y1]: readonly [number, number, number, number], fits: Colour): number {
  let n = 0;
  for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) if (fits(p.rgba[4 * (y * p.width + x)]!, p.rgba[4 * (y * p.width + x) + 1]!, p.rgba[4 * (y * p.width + x) + 2]!)) n++;
  return n;
}
const dark: Colour = (r, g, b) => r + g + b < 0.3;
const blueish: Colour = (r, _, b) => b > 1.5 * r && b > 0.1;
const reddish: Colour = (r, _, b) => r > 1.5 * b && r > 0.1;
const white: Colour = (r, g, b) => r > 0.99 && g > 0.99 && b > 0.99;

describe('graph', () => {
  const history = Float32Array.from({ length: 500 }, (_, i) => 0.3 * Math.exp(-i / 150) + 0.01);

  test('axes, text and a line that falls', async () => {
    const p = await drawGraph(history, 500, small);
    expect([p.width, p.height, p.rgba.length]).toEqual([GRAPH_SIZE.width, GRAPH_SIZE.height, 4 * GRAPH_SIZE.width * GRAPH_SIZE.height]);
    // Title, legend, labels of both axes, the current value.
    for (const area of [[84, 14, 400, 34], [600, 36, 860, 52], [40, 64, 78, 484], [84, 488, 860, 510]] as const) expect(count(p, area, dark)).toBeGreaterThan(30);
    expect(count(p, [866, 64, 960, 484], blueish)).toBeGreaterThan(30);
    const lineAt = (x: number): number => {
      const ys = Array.from({ length: 420 }, (_, i) => 64 + i).filter((y) => count(p, [x, y, x + 1, y + 1], (r, _g, b) => blueish(r, _g, b) && r < 0.15) > 0);
      return ys.reduce((a, b) => a + b, 0) / ys.length;
    };
    expect(lineAt(150)).toBeLessThan(lineAt(300));
    expect(lineAt(300)).toBeLessThan(lineAt(600));
    expect(lineAt(600)).toBeLessThan(lineAt(850));
    // Logarithmic: an exponential falls evenly at first.
    expect(lineAt(300) - lineAt(200)).toBeCloseTo(lineAt(250) - lineAt(150), -1.2);
  });

  test.each([
    ['one frame', Float32Array.of(0.5), 1],
    ['a constant', new Float32Array(40).fill(0.25), 40],
    ['losses of 0, negative, infinite, NaN', Float32Array.of(0, -1, Infinity, NaN), 4],
    ['some of them broken', Float32Array.of(0.5, NaN, 0.3, 0, 0.2), 5],
    ['more frames than were kept', new Float32Array(100).fill(0.25), 100_000],
    ['a million frames', Float32Array.from({ length: 1 << 20 }, (_, i) => 1 + (i % 7)), 1 << 20],
  ])('%s: drawn, nothing thrown', async (_, losses, frames) => {
    const p = await drawGraph(losses, frames, small);
    expect(p.rgba.every(Number.isFinite)).toBe(true);
    expect(count(p, [0, 0, p.width, p.height], dark)).toBeGreaterThan(300);
  });

  test('ticks are round and inside', () => {
    expect(linearTicks(0, 999, 8)).toEqual([0, 200, 400, 600, 800]);
    expect(logTicks(0.004, 0.6).map((t) => Number(t.toPrecision(6)))).toEqual([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]);
    expect(logTicks(1e-9, 1e3).every((t) => Number.isInteger(Math.log10(Number(t.toPrecision(6)))))).toBe(true);
    expect(logTicks(1e-30, 1e30).length).toBeLessThanOrEqual(8);
    expect([0, 0.05, 12345, 1e-7, 2.5e9, -0.0667].map(legible)).toEqual(['0', '0.05', '12300', '1.0e-7', '2.5e9', '-0.0667']);
  });

  test('smoothing keeps a constant and an exponential, and lags nowhere', () => {
    smoothedLog(new Array<number>(50).fill(0.2), 10).forEach((v) => expect(v).toBeCloseTo(0.2, 12));
    const falling = Array.from({ length: 400 }, (_, i) => Math.exp(-i / 100));
    const smooth = smoothedLog(falling, 8);
    for (const i of [100, 200, 300]) expect(smooth[i]! / falling[i]!).toBeCloseTo(1, 5);
  });
});

describe('vis', () => {
  const next = random(1);
  const count2 = 2 * 32 * 32;
  const weights = Float32Array.from({ length: count2 }, (_, i) => (i < 1024 + 512 ? 2 * next() - 1 : 0));
  const derivatives = weights.map((w) => -3 * w);
  const values = visValues(small, weights, derivatives);

  test('a block a layer, weights above, derivatives below, unscaled and signed', () => {
    expect([visSize(small), values.length]).toEqual([{ width: 64, height: 64 }, 64 * 64 * 4]);
    for (const [l, o, i] of [[0, 0, 0], [0, 3, 31], [1, 15, 7], [1, 31, 31]] as const) {
      const w = weights[(32 * l + o) * 32 + i]!;
      const at = (row: number): number => 4 * ((row * 32 + o) * 64 + l * 32 + i);
      expect(Array.from(values.subarray(at(0), at(0) + 4))).toEqual([w, w, w, 1]);
      expect(values[at(1)]).toBe(derivatives[(32 * l + o) * 32 + i]!);
    }
  });

  test('drawn: sign by colour, white where nothing is, scales and text', async () => {
    const p = await drawVis(small, 'dE/dw', values);
    // Each weight is 8 x 8 pixels, from (40, 78) on; the second row 256 + 66 further down.
    const cell = (row: number, l: number, o: number, i: number): readonly [number, number, number, number] => {
      const [x, y] = [40 + l * 270 + 8 * i, 78 + row * 322 + 8 * o];
      return [x, y, x + 8, y + 8];
    };
    for (const [l, o, i] of [[0, 0, 0], [0, 9, 30], [1, 4, 4], [1, 15, 31]] as const) {
      const positive = weights[(32 * l + o) * 32 + i]! > 0;
      expect(count(p, cell(0, l, o, i), positive ? blueish : reddish)).toBe(64);
      expect(count(p, cell(1, l, o, i), positive ? reddish : blueish)).toBe(64);
    }
    expect(count(p, cell(0, 1, 20, 5), white)).toBe(64);
    // Both ends of both scales, and their labels.
    for (const y of [348, 670]) {
      expect(count(p, [40, y, 60, y + 10], reddish)).toBe(200);
      expect(count(p, [340, y, 360, y + 10], blueish)).toBe(200);
      expect(count(p, [40, y + 14, 360, y + 28], dark)).toBeGreaterThan(60);
    }
    expect(count(p, [40, 12, 400, 30], dark)).toBeGreaterThan(300);
  });

  test.each([['all zero', 0], ['not a number', NaN], ['infinite', Infinity]])('%s: drawn', async (_, v) => {
    const p = await drawVis(small, 'dE/dw', new Float32Array(64 * 64 * 4).fill(v));
    expect(p.rgba.every(Number.isFinite)).toBe(true);
  });

  test('the widest network still fits on a screen', async () => {
    const wide = { ...PRESETS.classic, width: 128, layers: 8 };
    const { width, height } = visSize(wide);
    const p = await drawVis(wide, 'dE/dw', new Float32Array(width * height * 4));
    expect([p.width < 1500, p.height < 700]).toEqual([true, true]);
  });
});

describe('debug', () => {
  test.each(['softmax', 'plain'] as const)('kernels as the reference makes them: %s', (apply) => {
    const next = random(2);
    const m: ModelSpec = { ...small, apply, ablend: 'sigmoid', sharp: 0.7 };
    const K = Float32Array.from({ length: 6 * 16 }, () => 2 * next());
    const { taps, alpha } = kernelsOf(m, K, 16);
    // A picture of one white pixel under tap t gives the tap's weight.
    const pixel = (v: number): ReturnType<typeof makeImage> => makeImage(3, 2, 3, new Float64Array(18).fill(v));
    const own = applyForward(m, pixel(1), Float64Array.from(K));
    for (let p = 0; p < 6; p++) {
      expect(taps.subarray(15 * p, 15 * p + 15).reduce((a, b) => a + b)).toBeCloseTo(own.data[4 * p]!, 5);
      expect(alpha[p]).toBeCloseTo(own.data[4 * p + 3]!, 5);
      if (apply === 'softmax') expect(taps[15 * p + 3]! / taps[15 * p + 9]!).toBeCloseTo(Math.exp(0.7 * (K[16 * p + 3]! - K[16 * p + 9]!)), 4);
    }
  });

  test.each([[64, 64], [5, 3], [1, 1]])('%d x %d: stars, alpha as colour, the crop before and after, legends', async (width, height) => {
    const n = width * height;
    const taps = new Float32Array(15 * n);
    for (let p = 0; p < n; p++) taps[15 * p + 7] = 1; // the centre alone
    const p = await drawDebug({
      width, height, taps, alpha: new Float32Array(n).map((_, i) => i % 2), input: new Float32Array(4 * n).fill(0.2), output: new Float32Array(4 * n).fill(0.8),
    }, small);
    expect([p.width, p.height]).toEqual([DEBUG_SIZE.width, DEBUG_SIZE.height]);
    // The first star: its centre tap is dark, its others are light; the gap around it has alpha's colour.
    expect(count(p, [40 + 2 + 12, 92 + 2 + 12, 40 + 2 + 18, 92 + 2 + 18], dark)).toBe(36);
    expect(count(p, [40 + 2 + 6, 92 + 2 + 12, 40 + 2 + 12, 92 + 2 + 18], white)).toBe(36);
    const violet: Colour = (r, g, b) => b > 1.2 * g && b > r && g > 0.2;
    const green: Colour = (r, g, b) => g > 1.2 * r && g > 1.2 * b;
    expect(count(p, [440, 60, 900, 76], violet) * count(p, [440, 60, 900, 76], green)).toBeGreaterThan(0);
    expect(count(p, [40, 60, 400, 76], dark)).toBeGreaterThan(60);
    const side = 40 + Math.min(20, width) * 36 + 40;
    const mean = (y: number): number => p.rgba[4 * ((y + 4) * p.width + side + 4)]!;
    // Exposed so that the result is at 0.7, both alike.
    expect([mean(112), mean(112 + 220)]).toEqual([expect.closeTo(0.175, 2), expect.closeTo(0.7, 2)]);
  });
});

describe('sinks', () => {
  let dir: string;
  beforeAll(() => void (dir = mkdtempSync(join(tmpdir(), 'vkpn-pictures-'))));
  afterAll(() => rmSync(dir, { recursive: true }));
  const { vis } = pictureShapes(small, false);
  const values = visValues(small, new Float32Array(2048).fill(-0.5), new Float32Array(2048).fill(70_000));
  const data = new Uint8Array(values.buffer);

  async function written(format: 'o-pfm' | 'o-png' | 'o-jpg', shape: PortShape = vis): Promise<Buffer> {
    const { instance, ctx } = module(format, { filename: join(dir, format) }, { input: shape });
    await instance.shapes(ctx);
    return readFileSync(await instance.write!({ shape, data }, 0));
  }

  test('o-pfm keeps the values, beyond what f16 holds', async () => {
    const p = decodePfm(await written('o-pfm'), 'vis.pfm');
    expect([p.width, p.height, p.rgba[0], p.rgba[4 * 64 * 40]]).toEqual([64, 64, -0.5, 70_000]);
  });

  test.each([['o-png', 'png'], ['o-jpg', 'jpeg']] as const)('%s draws them', async (format, kind) => {
    const p = await decodePicture(await written(format), kind, 'vis', () => undefined);
    expect([p.width, p.height]).toEqual([620, 726]);
    expect(count(p, [48, 88, 280, 320], reddish)).toBe(232 * 232);
    expect(count(p, [48, 410, 280, 640], blueish)).toBe(232 * 230);
  });

  test('a picture is written as it is', async () => {
    const p = await decodePicture(await written('o-png', { ...vis, draw: undefined }), 'png', 'plain', () => undefined);
    expect([p.width, p.height]).toEqual([64, 64]);
  });
});
