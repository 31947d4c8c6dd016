// The reference's optimiser (SPEC 3), tile generator (SPEC 4 cnngenin) and quality measures, against numbers worked out apart.
import {
  ADAM_DEFAULTS, type AdamOptions, CLASSIC, type Image, adamStep, addNoise, clipped, cutTile, displayed, evaluate, exposedNoise, gradientNorm, initialState, usualNorm, type UsualNorm,
  makeImage, makeTile, makeWeights, mosaic, picture, pixel, psnr, random, srgbEncode, ssim, weightCount, xavierBound, xavierWeights,
} from '../reference/index.js';

const plainAdam: AdamOptions = { alpha: 0.01, beta1: 0.9, beta2: 0.99, eps: 1e-8, L2: 0, gradclip: Infinity };

describe('Adam', () => {
  test('the first step is alpha along the sign of the gradient', () => {
    const state = adamStep(initialState(Float64Array.of(1, 2, 3)), Float64Array.of(0.5, -20, 0), plainAdam);
    expect(Array.from(state.w)).toEqual([expect.closeTo(0.99, 8), expect.closeTo(2.01, 8), 3]);
    expect([state.n, state.skipped]).toEqual([1, 0]);
    expect(state.moment1[0]).toBeCloseTo(0.05, 15);
    expect(state.moment2[1]).toBeCloseTo(4, 13);
  });

  test('ten steps follow the closed form of the moments', () => {
    const gradients = Array.from({ length: 10 }, (_, n) => Math.sin(1 + 3 * n));
    let state = initialState(Float64Array.of(0.3));
    let w = 0.3;
    gradients.forEach((_, step) => {
      state = adamStep(state, Float64Array.of(gradients[step]!), plainAdam);
      const n = step + 1;
      const weighted = (beta: number, power: number): number =>
        gradients.slice(0, n).reduce((sum, g, k) => sum + (1 - beta) * beta ** (n - 1 - k) * g ** power, 0) / (1 - beta ** n);
      w -= (0.01 * weighted(0.9, 1)) / (Math.sqrt(weighted(0.99, 2)) + 1e-8);
      expect(state.w[0]).toBeCloseTo(w, 13);
    });
    expect(state.n).toBe(10);
  });

  test('eps is outside the root', () => {
    const { w } = adamStep(initialState(Float64Array.of(0)), Float64Array.of(1e-3), { ...plainAdam, eps: 1e-3 });
    expect(w[0]).toBeCloseTo(-0.005, 12);
  });

  test('the gradient is clipped first, then L2 is added', () => {
    const options = { ...plainAdam, gradclip: 1, L2: 0.1 };
    const state = adamStep(initialState(Float64Array.of(5, 0)), Float64Array.of(3, 4), options);
    expect(state.moment1[0]).toBeCloseTo(0.1 * (3 / 5 + 2 * 0.1 * 5), 14);
    expect(state.moment1[1]).toBeCloseTo(0.1 * (4 / 5), 14);
    expect(Array.from(clipped(Float64Array.of(3, 4), 5))).toEqual([3, 4]);
    expect(gradientNorm(clipped(Float64Array.of(30, 40), 5))).toBeCloseTo(5, 14);
  });

  test.each([NaN, Infinity, -Infinity, 1e200])('an update that would write NaN or infinity (gradient %p) is skipped whole and counted', (bad) => {
    const before = adamStep(initialState(Float64Array.of(1, 2)), Float64Array.of(1, 1), plainAdam);
    const after = adamStep(before, Float64Array.of(1, bad), plainAdam);
    expect(after).toEqual({ ...before, skipped: 1 });
    expect(adamStep(after, Float64Array.of(1, 1), plainAdam)).toEqual({ ...adamStep(before, Float64Array.of(1, 1), plainAdam), skipped: 1 });
  });

  test('what is stored is rounded as asked', () => {
    const state = adamStep(initialState(Float64Array.of(0.1)), Float64Array.of(1 / 3), plainAdam, Math.fround);
    for (const data of [state.w, state.moment1, state.moment2]) expect(data[0]).toBe(Math.fround(data[0]!));
  });

  test('unused rows of the last matrix stay 0 and training lowers the loss', () => {
    const tile = makeTile('photo', 8, 8, random(1));
    let state = initialState(makeWeights(CLASSIC, random(2)));
    const losses = Array.from({ length: 12 }, () => {
      const { dw, loss } = evaluate(CLASSIC, state.w, [tile]);
      state = adamStep(state, dw, ADAM_DEFAULTS);
      return loss;
    });
    expect(losses.at(-1)!).toBeLessThan(losses[0]! * 0.9);
    expect(state.w.subarray(3 * 1024 + 16 * 32).every((v) => v === 0)).toBe(true);
    expect(state.w.subarray(0, 3 * 1024 + 16 * 32).some((v) => v === 0)).toBe(false);
  });
});

describe('outlier', () => {
  const fresh: UsualNorm = { count: 0, mean: 0, variance: 0 };
  const after = (norms: readonly number[], outlier: number, from = fresh): { usual: UsualNorm; skipped: number } =>
    norms.reduce<{ usual: UsualNorm; skipped: number }>(({ usual, skipped }, norm) => {
      const next = usualNorm(usual, norm, outlier);
      return { usual: next.usual, skipped: skipped + (next.skip ? 1 : 0) };
    }, { usual: from, skipped: 0 });

  test('mean and variance of the first hundred are those of all of them; none is skipped', () => {
    const logs = Array.from({ length: 100 }, (_, i) => ((7 * i) % 13) / 4);
    const { usual, skipped } = after(logs.map(Math.exp), 0.1);
    const mean = logs.reduce((a, b) => a + b) / 100;
    expect([usual.count, skipped]).toEqual([100, 0]);
    expect(usual.mean).toBeCloseTo(mean, 12);
    expect(usual.variance).toBeCloseTo(logs.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 100, 12);
  });

  test('one outlier is skipped and changes little; gradients that stay long are usual after some tens', () => {
    const learnt = after(Array.from({ length: 100 }, (_, i) => (i % 2 ? 1 : 2)), 5).usual;
    const once = usualNorm(learnt, 1e6, 5);
    expect(once.skip).toBe(true);
    expect(once.usual.mean - learnt.mean).toBeCloseTo(0.05 * Math.sqrt(learnt.variance), 12);
    expect(usualNorm(once.usual, 2, 5).skip).toBe(false);
    expect(after(new Array<number>(200).fill(1e6), 5, learnt).skipped).toBeGreaterThan(10);
    expect(after(new Array<number>(200).fill(1e6), 5, learnt).skipped).toBeLessThan(60);
  });
});

test('Xavier: uniform within sqrt(6 / 2W), unused rows 0', () => {
  const shape = { width: 64, layers: 3, outputs: 32 };
  const w = xavierWeights(shape, random(3));
  expect(w.length).toBe(weightCount(shape));
  expect(xavierBound(64)).toBeCloseTo(0.2165, 4);
  const used = w.subarray(0, 3 * 4096 + 32 * 64);
  expect(used.every((v) => Math.abs(v) <= xavierBound(64))).toBe(true);
  expect(used.reduce((sum, v) => sum + v * v, 0) / used.length / (xavierBound(64) ** 2 / 3)).toBeCloseTo(1, 1);
  expect(w.subarray(3 * 4096 + 32 * 64).every((v) => v === 0)).toBe(true);
});

describe('tiles', () => {
  const image = makeImage(5, 4, 3, Array.from({ length: 60 }, (_, i) => i));
  const cut = { x: 1, y: 1, size: 3, flipX: false, flipY: false, ev: 0 };

  test('cut, flip and expose', () => {
    expect(pixel(cutTile(image, cut), 0, 0)).toEqual(pixel(image, 1, 1));
    expect(pixel(cutTile(image, { ...cut, flipX: true }), 0, 2)).toEqual(pixel(image, 3, 3));
    expect(pixel(cutTile(image, { ...cut, flipY: true }), 2, 0)).toEqual(pixel(image, 3, 3));
    expect(pixel(cutTile(image, { ...cut, ev: -1 }), 1, 1)).toEqual(pixel(image, 2, 2).map((v) => v / 2));
    expect(pixel(cutTile(image, { ...cut, x: 0, size: 8 }), 6, 0)).toEqual(pixel(image, 3, 1)); // mirrored beyond the picture
  });

  test('a Bayer mosaic holds the site\'s value three times, red at (0, 0)', () => {
    const m = mosaic(image);
    expect([pixel(m, 0, 0), pixel(m, 1, 0), pixel(m, 0, 1), pixel(m, 1, 1)]).toEqual([[0, 0, 0], [4, 4, 4], [16, 16, 16], [20, 20, 20]]);
  });

  test('noise has the variance of its profile', () => {
    const noise = { a: 4e6, b: 100 };
    const reference = makeImage(2, 1, 3, [0, 0.25, 1, -1, 0.5, 4]);
    const noisy = addNoise(reference, [1, 1, -1, 2, 0, 1], noise);
    const sigma = (v: number): number => Math.sqrt(4e6 + 65535 * v * 100) / 65535;
    [sigma(0), 0.25 + sigma(0.25), 1 - sigma(1), -1 + 2 * sigma(0), 0.5, 4 + sigma(4)].forEach((v, i) => expect(noisy.data[i]).toBeCloseTo(v, 14));
  });

  test('exposing a noisy picture and its profile is the same as noise at the new exposure', () => {
    const noise = { a: 4e6, b: 100 };
    const c = 2 ** 1.3;
    const z = [0.3, -1, 2];
    const exposed = addNoise(makeImage(1, 1, 3, [0.1, 0.2, 0.3]), z, noise).data.map((v) => v * c);
    const again = addNoise(makeImage(1, 1, 3, [0.1 * c, 0.2 * c, 0.3 * c]), z, exposedNoise(noise, 1.3)).data;
    exposed.forEach((v, i) => expect(again[i]).toBeCloseTo(v, 14));
  });
});

describe('quality', () => {
  const flat = (value: number, width = 16, height = 12): Image => makeImage(width, height, 3, new Float64Array(width * height * 3).fill(value));

  test('PSNR: a tenth off everywhere is 20 dB, values beyond [0, 1] count as clipped', () => {
    expect(psnr(flat(0.6), flat(0.5), 'linear')).toBeCloseTo(20, 12);
    expect(psnr(flat(7), flat(0.9), 'linear')).toBeCloseTo(20, 12);
    expect(psnr(flat(-3), flat(0), 'linear')).toBe(Infinity);
    expect(psnr(flat(0.6), flat(0.5), 'srgb')).toBeCloseTo(-20 * Math.log10(srgbEncode(0.6) - srgbEncode(0.5)), 10);
    expect(() => psnr(flat(0, 3, 4), flat(0, 4, 3), 'linear')).toThrow('3x4 and 4x3');
  });

  test('the sRGB curve', () => {
    expect(srgbEncode(0)).toBe(0);
    expect(srgbEncode(1)).toBeCloseTo(1, 14);
    expect(srgbEncode(0.18)).toBeCloseTo(0.46136, 5);
    expect(srgbEncode(0.0031308)).toBeCloseTo(srgbEncode(0.00313081), 6);
    expect(displayed(flat(2), 'srgb').data[0]).toBeCloseTo(1, 14);
  });

  test('SSIM: 1 for equal pictures, its luminance term for flat ones, less for noisier ones', () => {
    const photo = picture('photo', 24, 20, random(4));
    expect(ssim(photo, photo, 'srgb')).toBeCloseTo(1, 12);
    expect(ssim(flat(0.4), flat(0.6), 'linear')).toBeCloseTo((2 * 0.24 + 1e-4) / (0.16 + 0.36 + 1e-4), 9);
    const next = random(5);
    const z = photo.data.map(() => next() - 0.5);
    const noisy = (amount: number): number => ssim(makeImage(24, 20, 3, photo.data.map((v, i) => v + amount * z[i]!)), photo, 'linear');
    expect([noisy(0), noisy(0.1), noisy(0.3), noisy(0.9)].every((v, i, all) => i === 0 || v < all[i - 1]!)).toBe(true);
    expect(() => ssim(flat(0, 10, 30), flat(0, 10, 30), 'linear')).toThrow('11 pixels a side');
  });

  test('SSIM of one window is the formula with Gaussian weights', () => {
    const next = random(6);
    const [u, v] = [picture('photo', 11, 11, next), picture('photo', 11, 11, next)];
    const weights = Array.from({ length: 121 }, (_, p) => Math.exp(-((((p % 11) - 5) ** 2 + (Math.floor(p / 11) - 5) ** 2) / (2 * 1.5 ** 2))));
    const total = weights.reduce((a, b) => a + b);
    const Y = (image: Image, p: number): number => 0.2627002 * image.data[3 * p]! + 0.6779981 * image.data[3 * p + 1]! + 0.0593017 * image.data[3 * p + 2]!;
    const mean = (f: (p: number) => number): number => weights.reduce((sum, w, p) => sum + (w / total) * f(p), 0);
    const [mu, mv] = [mean((p) => Y(u, p)), mean((p) => Y(v, p))];
    const [vu, vv] = [mean((p) => (Y(u, p) - mu) ** 2), mean((p) => (Y(v, p) - mv) ** 2)];
    const uv = mean((p) => (Y(u, p) - mu) * (Y(v, p) - mv));
    const expected = ((2 * mu * mv + 1e-4) * (2 * uv + 9e-4)) / ((mu ** 2 + mv ** 2 + 1e-4) * (vu + vv + 9e-4));
    expect(ssim(u, v, 'linear')).toBeCloseTo(expected, 12);
  });
});
