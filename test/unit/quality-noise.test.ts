// The noise that quality is measured at: its levels, its texts, its distribution, and that it is the same everywhere.
import { createHash } from 'node:crypto';
import { addNoise, NAMED_LEVELS, normals, parseLevels, parseProfile } from '../../ts/quality/noise.js';
import { noiseSigma } from '../reference/index.js';

const flat = (width: number, height: number, value: number): { width: number; height: number; rgba: Float32Array } => ({ width, height, rgba: new Float32Array(width * height * 4).fill(value) });
const moments = (values: readonly number[]): { mean: number; variance: number; kurtosis: number } => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const about = (k: number): number => values.reduce((s, v) => s + (v - mean) ** k, 0) / values.length;
  return { mean, variance: about(2), kurtosis: about(4) / about(2) ** 2 };
};

test('low, mid and high are the protocol\'s', () => {
  // read sigma; shot sigma at 0.18: together the sigma at 0.18.
  const sigmas = [[0.002, 0.008], [0.008, 0.03], [0.03, 0.09]];
  expect(NAMED_LEVELS.map((l) => l.name)).toEqual(['low', 'mid', 'high']);
  NAMED_LEVELS.forEach((level, i) => {
    const [read, shot] = sigmas[i] as [number, number];
    expect(noiseSigma(level, 0)).toBeCloseTo(read, 12);
    expect(noiseSigma(level, 0.18)).toBeCloseTo(Math.hypot(read, shot), 12);
  });
});

test('normals: mean 0, variance 1, kurtosis 3, no correlation between channels, neighbours or seeds', () => {
  const size = 180;
  const at = (seed: number): number[][] => {
    const out: number[][] = [[], [], []];
    for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) normals(x, y, seed).forEach((z, c) => out[c]!.push(z));
    return out;
  };
  const n = size * size;
  const error = 1 / Math.sqrt(n); // of a mean of n independent products
  const z = at(1);
  for (const channel of z) {
    const { mean, variance, kurtosis } = moments(channel);
    expect(Math.abs(mean)).toBeLessThan(4 * error);
    expect(Math.abs(variance - 1)).toBeLessThan(4 * Math.SQRT2 * error);
    expect(Math.abs(kurtosis - 3)).toBeLessThan(4 * Math.sqrt(24) * error);
    const beyond3 = 0.0026998 * n;
    expect(Math.abs(channel.filter((v) => Math.abs(v) > 3).length - beyond3)).toBeLessThan(4 * Math.sqrt(beyond3));
  }
  const [r, g, b] = z as [number[], number[], number[]];
  const shifted = (values: number[], by: number): number[] => values.map((_, i) => values[(i + by) % n]!);
  const correlation = (u: number[], v: number[]): number => u.reduce((s, x, i) => s + x * v[i]!, 0) / n;
  for (const [u, v] of [[r, g], [r, b], [g, b], [r, shifted(r, 1)], [r, shifted(r, size)], [r, at(2)[0]!]] as const) expect(Math.abs(correlation([...u], [...v]))).toBeLessThan(4 * error);
});

test('a value gets the noise of its own brightness; nothing is clipped; the fourth channel stays', () => {
  const level = NAMED_LEVELS[2]!;
  for (const value of [-0.2, 0, 0.18, 1, 3]) {
    const noisy = addNoise(flat(200, 150, value), level, 5);
    const rgb = Array.from(noisy.rgba).filter((_, i) => (i & 3) < 3);
    const { mean, variance } = moments(rgb);
    const want = noiseSigma(level, value) ** 2;
    expect(Math.abs(variance / want - 1)).toBeLessThan(4 * Math.sqrt(2 / rgb.length));
    expect(Math.abs(mean - value)).toBeLessThan(4 * Math.sqrt(want / rgb.length));
    expect(Array.from(noisy.rgba).filter((_, i) => (i & 3) === 3).every((v) => v === Math.fround(value))).toBe(true);
  }
});

test('the same bits on every machine', () => {
  const noisy = addNoise(flat(64, 48, 0.25), NAMED_LEVELS[1]!, 1);
  expect(createHash('sha256').update(new Uint8Array(noisy.rgba.buffer)).digest('hex')).toBe('1f41e1bc0b35beb1ce993568fcc1c1d0093989c3d4bb2a7e7fd80b8c1b10101c');
  const wider = addNoise(flat(80, 48, 0.25), NAMED_LEVELS[1]!, 1);
  expect(wider.rgba.subarray(4 * 80, 4 * 80 + 40)).toEqual(noisy.rgba.subarray(4 * 64, 4 * 64 + 40)); // by place, not by picture
});

test('texts', () => {
  expect(parseLevels('low, 0.01:0.02')).toEqual([NAMED_LEVELS[0], { name: '0.01:0.02', a: (0.01 * 65535) ** 2, b: (0.0004 / 0.18) * 65535 }]);
  expect(parseProfile('100:2.5')).toEqual({ name: '100:2.5', a: 100, b: 2.5 });
  for (const text of ['', 'lo', '1', '1:2:3', '-1:2', '1:', '1:x', 'Infinity:1']) {
    expect(() => parseProfile(text)).toThrow(`--noise can't be "${text}"`);
    expect(() => parseLevels(text)).toThrow(`--levels can't be "${text}"`);
  }
});
