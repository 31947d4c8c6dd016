// Estimation of noise (SPEC section 1.3, docs/noise.md): known noise on charts and on real photographs, of all strengths.

import { InputError } from '../../ts/errors.js';
import { apply, convertPrimaries } from '../../ts/formats/colour.js';
import { estimateNoise, type NoiseEstimate } from '../../ts/noise/estimate.js';
import { evaluate, fitLine, startLine } from '../../ts/noise/line.js';
import { chi2Below, meanBelow } from '../../ts/noise/chi2.js';
import { FINE, layPatches, measurePatches } from '../../ts/noise/patches.js';
import { across, addNoise, chart, levels, noise, normals, photograph, type Picture, textureLine, variance, worst } from './noise-harness.js';

const steps = [0, 0.005, 0.02, 0.06, 0.18, 0.4, 0.7, 1];
const names = [...[0, 1, 2, 3].map((i) => `test_000${i}`), ...[0, 1, 2, 3, 4, 5, 6, 7].map((i) => `train_000${i}`)];
const photographs = new Map<string, Picture>();
beforeAll(async () => {
  for (const name of names) photographs.set(name, await photograph(name));
});

test.each(levels)('a chart: read noise %d, shot noise %d', (read, shot) => {
  const truth = noise(read, shot);
  const found = estimateNoise(addNoise(chart(steps), truth, 7));
  expect(worst(found, truth, [0, 1])).toBeLessThan(0.04);
  expect(found).toMatchObject({ reliable: true, reason: '', channels: undefined });
  expect(found.range[0]).toBeLessThan(0.01);
  expect(found.range[1]).toBeGreaterThan(0.99);
  expect(found.correlation).toBeGreaterThan(0.9);
  expect(found.correlation).toBeLessThan(1.1);
  expect(found.residual).toBeLessThan(0.06);
});

test.each([['read noise alone', 0.01, 0], ['shot noise alone', 0, 0.03]])('%s', (_, read, shot) => {
  const truth = noise(read, shot);
  const found = estimateNoise(addNoise(chart(steps.slice(1)), truth, 8));
  expect(worst(found, truth, [0.005, 1])).toBeLessThan(0.04);
});

/**
 * In a photograph, texture as flat as its flattest patches counts for noise, and makes what is found larger (textureLine). Beside that, within a tenth, at all
 * strengths; and where it matters, it is said.
 */
const cases = levels.flatMap(([read, shot]) => names.map((name): [string, number, number] => [name, read, shot]));

test.each(cases)('%s: read noise %d, shot noise %d', (name, read, shot) => {
  const truth = noise(read, shot);
  const photo = photographs.get(name)!;
  const found = estimateNoise(addNoise(photo, truth, 1));
  const [low, high] = found.range;
  const least = textureLine(photo, truth);
  if (found.reliable) for (const x of across(low, high)) expect(Math.abs(variance(found, x) / evaluate(least, x) - 1)).toBeLessThan(0.1);
  else expect(worst({ a: least.offset * 65535 ** 2, b: least.slope * 65535 }, truth, found.range)).toBeGreaterThan(0.05);
  if (worst(found, truth, found.range) > 0.3) expect(found.reliable).toBe(false);
  // From ISO 1,600-like on texture does not matter.
  if (read >= 0.008) expect(worst(found, truth, found.range)).toBeLessThan(name === 'test_0002' ? 0.12 : 0.1);
});

test('several pictures together fill each other up: dark ones and light ones', () => {
  const truth = noise(0.01, 0.02);
  const [dark, light] = [chart([0, 0.01, 0.02]), chart([0.3, 0.6, 0.9])].map((p, i) => addNoise(p, truth, 20 + i)) as [Picture, Picture];
  const both = estimateNoise([dark, light]);
  expect(worst(both, truth, [0, 0.9])).toBeLessThan(0.05);
  // The dark one alone knows little about shot noise.
  expect(estimateNoise(dark).range[1]).toBeLessThan(0.05);
});

test('channels with noise of their own are told apart, equal ones are not', () => {
  const own = [noise(0.004, 0.02), noise(0.002, 0.01), noise(0.008, 0.03)];
  const found = estimateNoise(addNoise(chart(steps, 160, [0.8, 1, 0.6]), own, 3));
  expect(found.channels).toBeDefined();
  found.channels!.forEach((ab, c) => expect(worst(ab, own[c]!, [0, 0.6])).toBeLessThan(0.08));
});

test('noise that the channels share shows in the luminance', () => {
  const truth = noise(0.01, 0.03);
  const clean = chart(steps);
  const own = addNoise(clean, truth, 13);
  // The noise of green, in all channels.
  const shared: Picture = { ...own, rgba: own.rgba.map((x, i) => (i % 4 === 3 ? x : own.rgba[i - (i % 4) + 1]!)) };
  const squares = 0.2627002 ** 2 + 0.6779981 ** 2 + 0.0593017 ** 2;
  expect(Math.abs(estimateNoise(own).luminance! - 1)).toBeLessThan(0.03);
  expect(Math.abs(estimateNoise(shared).luminance! * squares - 1)).toBeLessThan(0.03);
});

test.each([[false, 'bt2020'], [true, 'sRGB']] as const)('what is cut off at black and white does not count; of a file for screens: %p', (display, primaries) => {
  const truth = noise(0.01, 0.03);
  const { width, height, rgba } = addNoise(chart([0, 0.003, 0.01, 0.1, 0.2, 0.4, 0.8, 0.97, 1]), truth, 4);
  const [there, back] = [convertPrimaries('bt2020', primaries), convertPrimaries(primaries, 'bt2020')];
  const cut = new Float32Array(rgba.length);
  for (let i = 0; i < rgba.length; i += 4) {
    const signals = apply(there, [rgba[i]!, rgba[i + 1]!, rgba[i + 2]!]).map((x) => Math.min(1, Math.max(0, x)));
    cut.set(apply(back, signals as [number, number, number]), i);
  }
  const found = estimateNoise({ width, height, rgba: cut }, { display });
  expect(worst(found, truth, [0.1, 0.8])).toBeLessThan(0.06);
  expect(found.range[0]).toBeGreaterThan(0.02);
  expect(found.range[1]).toBeLessThan(0.9);
});

test('steps of codes count as the noise that they are', () => {
  const truth = noise(0.002, 0);
  const noisy = addNoise(chart([0.1, 0.3, 0.5, 0.9]), truth, 5);
  const step = 1 / 255;
  const found = estimateNoise({ ...noisy, rgba: noisy.rgba.map((x) => Math.round(x / step) * step) });
  expect(variance(found, 0.3) / (variance(truth, 0.3) + step ** 2 / 12)).toBeGreaterThan(0.85);
  expect(variance(found, 0.3) / (variance(truth, 0.3) + step ** 2 / 12)).toBeLessThan(1.15);
});

/** Each pixel the mean of itself and three neighbours. */
function blurred({ width, height, rgba }: Picture): Picture {
  const at = (x: number, y: number, c: number): number => rgba[4 * (Math.min(y, height - 1) * width + Math.min(x, width - 1)) + c]!;
  return { width, height, rgba: rgba.map((_, i) => {
    const [c, x, y] = [i % 4, Math.floor(i / 4) % width, Math.floor(i / 4 / width)];
    return (at(x, y, c) + at(x + 1, y, c) + at(x, y + 1, c) + at(x + 1, y + 1, c)) / 4;
  }) };
}

test('noise that is not white is reported', () => {
  const found = estimateNoise(blurred(addNoise(chart(steps), noise(0.02, 0.05), 6)));
  expect(found.correlation).toBeGreaterThan(2);
});

test('a picture without noise has none', () => {
  expect(estimateNoise(chart(steps))).toMatchObject({ a: 0, b: 0 });
});

test('one level of signal: right there, and said so', () => {
  const truth = noise(0.01, 0.03);
  const found = estimateNoise(addNoise(chart([0.3]), truth, 9));
  expect(Math.abs(variance(found, 0.3) / variance(truth, 0.3) - 1)).toBeLessThan(0.05);
  expect(found.reliable).toBe(false);
  expect(found.reason).toMatch(/one level/);
});

const thrown = (run: () => unknown): InputError => {
  try {
    run();
  } catch (e) {
    if (e instanceof InputError) return e;
    throw e;
  }
  throw new Error('nothing was thrown');
};

test('too small, and cut off everywhere', () => {
  const small = addNoise(chart([0.5], 40), noise(0.01, 0.01), 1);
  expect(thrown(() => estimateNoise(small))).toMatchObject({ code: 'NOISE_SMALL' });
  expect(thrown(() => estimateNoise({ width: 3, height: 5, rgba: new Float32Array(60).fill(0.5) })).message).toMatch(/^3x5: too small/);
  expect(thrown(() => estimateNoise(chart([1]), { display: true }))).toMatchObject({ code: 'NOISE_CLIPPED' });
  // Half of all pixels at black: too little is found, and said to be.
  const noisy = addNoise(chart([0]), noise(0.1, 0), 1);
  const found = estimateNoise({ ...noisy, rgba: noisy.rgba.map((x) => Math.max(0, x)) });
  expect(found.reliable).toBe(false);
  expect(found.reason).toMatch(/cut off/);
  expect(variance(found, 0)).toBeLessThan(0.01);
});

test('values that are not finite are passed over', () => {
  const truth = noise(0.01, 0.03);
  const noisy = addNoise(chart(steps), truth, 10);
  [NaN, Infinity, -Infinity, NaN].forEach((x, i) => (noisy.rgba[4000 * i + 1] = x));
  expect(worst(estimateNoise(noisy), truth, [0, 1])).toBeLessThan(0.05);
});

test('the same picture gives the same numbers', () => {
  const noisy = addNoise(chart(steps), noise(0.01, 0.03), 11);
  expect(estimateNoise(noisy)).toEqual<NoiseEstimate>(estimateNoise(noisy));
});

test("a patch's energies are those of the pixels, whatever the scale", () => {
  const z = normals(12);
  const white: Picture = { width: 512, height: 512, rgba: Float32Array.from({ length: 4 * 512 * 512 }, () => z()) };
  for (const scale of [1, 2, 4]) {
    const p = measurePatches(white, { most: 4096, scale });
    for (const key of ['coarse', 'fine'] as const) {
      const mean = p[key].subarray(0, 3 * p.count).reduce((s, x) => s + x, 0) / (3 * p.count);
      // Of n patches the mean is off by sqrt(2 / (3 n 15)) at one standard deviation.
      expect(Math.abs(mean - 1)).toBeLessThan(4 * Math.sqrt(2 / (45 * p.count)));
    }
  }
});

test('fine structure knows no ramps, edges along an axis, or anything coarse', () => {
  const draw = (of: (x: number, y: number) => number): Picture => ({ width: 8, height: 8, rgba: Float32Array.from({ length: 256 }, (_, i) => of(Math.floor(i / 4) % 8, Math.floor(i / 32))) });
  const coarse = (x: number, y: number): number => Math.cos((Math.PI * (2 * x + 1) * 3) / 16) * Math.cos((Math.PI * (2 * y + 1) * 2) / 16);
  for (const values of [(x: number): number => x, (x: number, y: number): number => 2 * x - 3 * y, (x: number): number => (x > 2 ? 1 : 0), coarse]) expect(measurePatches(draw(values), { most: 1 }).fine[0]).toBeLessThan(1e-12);
  expect(measurePatches(draw((x, y) => (x + y) % 2), { most: 1 }).fine[0]).toBeGreaterThan(0.1);
  expect(measurePatches(draw(coarse), { most: 1 }).coarse[0]).toBeGreaterThan(0.1);
});

test('patches lie within the picture, apart from each other, and everywhere', () => {
  for (const [width, height, most] of [[8, 8, 9], [100, 30, 1000], [6000, 4000, 16000], [9, 5000, 100]] as const) {
    const { x, y } = layPatches(width, height, 8, most);
    expect(x.length).toBeLessThanOrEqual(most);
    expect(x.length).toBeGreaterThanOrEqual(Math.min(most, Math.floor(width / 8) * Math.floor(height / 8)) * 0.8);
    expect(Math.max(...x)).toBeLessThanOrEqual(width - 8);
    expect(Math.max(...y)).toBeLessThanOrEqual(height - 8);
    expect(Math.max(...y)).toBeGreaterThanOrEqual(height * 0.9 - 16);
    if (x.length > 200) continue;
    for (let i = 0; i < x.length; i++) for (let j = 0; j < i; j++) expect(Math.max(Math.abs(x[i]! - x[j]!), Math.abs(y[i]! - y[j]!))).toBeGreaterThanOrEqual(8);
  }
});

test('chi squared', () => {
  // Table values: 95 % below.
  expect(chi2Below(1, 3.8415)).toBeCloseTo(0.95, 4);
  expect(chi2Below(40, 55.758)).toBeCloseTo(0.95, 4);
  expect(chi2Below(2, 2 * Math.LN2)).toBeCloseTo(0.5, 10);
  expect(chi2Below(40, 0)).toBe(0);
  expect(chi2Below(40, 1e9)).toBe(1);
  expect(meanBelow(FINE, 50)).toBeCloseTo(1, 10);
  // Of 2 degrees: the mean of exp(-x) cut at 1.
  expect(meanBelow(2, 1)).toBeCloseTo((1 - 2 / Math.E) / (1 - 1 / Math.E), 10);
});

test('the line passes below outliers, through 0 or level where it must', () => {
  const points = Array.from({ length: 20 }, (_, i) => ({ x: i / 20, v: (2 + 3 * (i / 20)) * (i % 3 === 0 ? 2 + i / 10 : 1), error: 0.02 }));
  const { line, weights } = fitLine(points, startLine(points));
  for (const x of [0, 0.5, 1]) expect(evaluate(line, x)).toBeCloseTo(2 + 3 * x, 6);
  points.forEach((_, i) => expect(weights[i]! > 0.9).toBe(i % 3 !== 0));
  const falling = [0.1, 0.5, 0.9].map((x) => ({ x, v: 2 - x, error: 0.02 }));
  expect(fitLine(falling, startLine(falling)).line.slope).toBe(0);
  const steep = [0.1, 0.5, 0.9].map((x) => ({ x, v: 2 * x - 0.05, error: 0.02 }));
  expect(fitLine(steep, startLine(steep)).line.offset).toBe(0);
});
