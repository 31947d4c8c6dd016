// PSNR and SSIM: against the reference's (f64, slow, written by itself), against ssim.js, and by worked values.
import { ssim as packageSsim } from 'ssim.js';
import { protocolScores, psnr, ssim, type RgbaPicture } from '../../ts/quality/metrics.js';
import { makeImage, psnr as referencePsnr, ssim as referenceSsim } from '../reference/index.js';

/** Reproducible numbers in [0, 1). */
function random(seed: number): () => number {
  let s = seed;
  return () => (s = (Math.imul(s, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

const picture = (width: number, height: number, value: (x: number, y: number, c: number) => number): RgbaPicture => {
  const rgba = new Float32Array(width * height * 4);
  for (let i = 0; i < rgba.length; i++) rgba[i] = value((i >> 2) % width, Math.floor(i / 4 / width), i & 3);
  return { width, height, rgba };
};
const asImage = (p: RgbaPicture): ReturnType<typeof makeImage> => makeImage(p.width, p.height, 4, Float64Array.from(p.rgba));

/** Edges, a ramp, and values below 0 and above 1; the fourth channel holds what must not be looked at. */
const scene = (width: number, height: number): RgbaPicture => picture(width, height, (x, y, c) => (c === 3 ? 1e9 * x : (x > width / 2 ? 0.7 : 0.1) + 0.5 * Math.sin(y / 3 + c) + x / width / 4));
const noisy = (p: RgbaPicture, amount: number, seed: number): RgbaPicture => {
  const next = random(seed);
  return { ...p, rgba: p.rgba.map((v) => v + amount * (next() - 0.5)) };
};

describe.each([[11, 11], [12, 40], [61, 33]])('%i x %i pixels', (width, height) => {
  const clean = scene(width, height);
  const result = noisy(clean, 0.2, 7);
  test.each(['linear', 'srgb'] as const)('%s: what the reference computes', (encoding) => {
    expect(psnr(result, clean, encoding)).toBeCloseTo(referencePsnr(asImage(result), asImage(clean), encoding), 9);
    expect(ssim(result, clean, encoding)).toBeCloseTo(referenceSsim(asImage(result), asImage(clean), encoding), 9);
  });
  test('all at once is the same', () => {
    const all = protocolScores(result, clean);
    for (const encoding of ['linear', 'srgb'] as const) expect(all[encoding]).toEqual({ psnr: psnr(result, clean, encoding), ssim: ssim(result, clean, encoding) });
  });
});

test('SSIM of ssim.js, on grey pictures of 8 bits', () => {
  const [width, height] = [48, 37];
  const code = (p: RgbaPicture): Uint8ClampedArray => Uint8ClampedArray.from(p.rgba, (_, i) => ((i & 3) === 3 ? 255 : 255 * p.rgba[i & ~3]!));
  const clean = code(scene(width, height));
  for (const amount of [0.1, 0.3, 1]) {
    const result = code(noisy(scene(width, height), amount, 3));
    const theirs = packageSsim({ data: result, width, height }, { data: clean, width, height }, { ssim: 'original', downsample: false });
    const back = (codes: Uint8ClampedArray): RgbaPicture => ({ width, height, rgba: Float32Array.from(codes, (v) => v / 255) });
    expect(ssim(back(result), back(clean), 'linear')).toBeCloseTo(theirs.mssim, 5);
    expect(theirs.mssim).toBeLessThan(0.99);
  }
});

test('a tenth off everywhere is 20 dB; equal pictures are infinitely good', () => {
  const grey = picture(16, 16, () => 0.5);
  expect(psnr(picture(16, 16, () => 0.6), grey, 'linear')).toBeCloseTo(20, 5);
  expect(protocolScores(grey, grey)).toEqual({ linear: { psnr: Infinity, ssim: 1 }, srgb: { psnr: Infinity, ssim: 1 } });
  // 12.92 x below the knee of the sRGB curve: 0.001 becomes 0.01292.
  expect(psnr(picture(16, 16, () => 0.001), picture(16, 16, () => 0), 'srgb')).toBeCloseTo(-20 * Math.log10(0.01292), 5);
});

test('values are clipped before they are compared; NaN counts as black', () => {
  const white = picture(12, 12, () => 1);
  expect(psnr(picture(12, 12, () => 7), white, 'srgb')).toBe(Infinity);
  expect(psnr(picture(12, 12, () => -3), picture(12, 12, () => 0), 'linear')).toBe(Infinity);
  expect(psnr(picture(12, 12, () => NaN), white, 'linear')).toBe(0);
});

test('SSIM looks at luminance, by rec2020', () => {
  const coloured = (r: number, g: number, b: number): RgbaPicture => picture(20, 20, (x, y, c) => [r, g, b][c]! * ((x >> 2) + (y >> 2) & 1));
  const [lr, lg] = [0.2627002, 0.6779981];
  // The same luminance in red and in green: the same structure to SSIM, and far from the same to PSNR.
  const [red, green] = [coloured(1, 0, 0), coloured(0, lr / lg, 0)];
  expect(ssim(red, green, 'linear')).toBeCloseTo(1, 6);
  expect(psnr(red, green, 'linear')).toBeLessThan(10);
});

test('constant pictures: SSIM is what the formula leaves', () => {
  // No variance: (2 a b + C1) / (a^2 + b^2 + C1).
  const [a, b] = [0.25, 0.5];
  expect(ssim(picture(11, 11, () => a), picture(11, 11, () => b), 'linear')).toBeCloseTo((2 * a * b + 1e-4) / (a * a + b * b + 1e-4), 9);
});

test('sizes that differ are refused; SSIM of a picture smaller than its window is no number', () => {
  expect(() => psnr(scene(12, 11), scene(11, 12), 'linear')).toThrow('12x11 and 11x12');
  const small = scene(10, 30);
  expect(protocolScores(noisy(small, 0.1, 1), small).srgb.ssim).toBeNaN();
});
