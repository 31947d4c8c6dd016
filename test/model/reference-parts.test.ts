// The reference's parts one by one: addressing, taps, pyramid and its transposes, contexts, kernel weights, losses, combining,
// against what SPEC 1 and 2 say in numbers; and the invariants that tell a shifted or leaking operator.
import {
  CLASSIC, CONTEXT_CHANNELS, type Combine, type Image, type LinearMap, LUMINANCE, type Loss, type ModelOptions, type Pyramid, TAPS, type Up,
  activationSlope, addScaled, applyForward, applySeparable, blendWeight, blendWeightSlope, channels, combineBackward, combineForward, contexts, down, downMap, downTransposed, dot,
  evaluate, forward, joinLevels, kernelWeights, kernelWeightsBackward, lossOf, lossSlope, luminance, makeImage, makeTile, makeWeights, mirror, mlpForward, mulw, noiseGain,
  noiseSigma, pairwise, picture, pixel, random, saturation, toHalf, toScaledHalf, transpose, up2, up2Map, up2Transposed,
} from '../reference/index.js';

const PYRAMIDS = [['box', 'bspline'], ['box', 'bilinear'], ['binomial', 'bspline'], ['binomial', 'bilinear']] as const;
const COMBINES: readonly Combine[] = ['blend', 'prediff', 'postdiff'];

/** Whole numbers: with weights that are powers of two every sum below is exact. */
const integers = (width: number, height: number, count: number, next: () => number): Image =>
  makeImage(width, height, count, Array.from({ length: width * height * count }, () => Math.floor(2000 * next()) - 1000));

describe('addressing', () => {
  test('mirrors with the edge pixel repeated', () => {
    expect([-8, -3, -2, -1, 0, 2, 3, 4, 5, 6, 7].map((i) => mirror(i, 3))).toEqual([1, 2, 1, 0, 0, 2, 2, 1, 0, 0, 1]);
    expect([-5, -1, 0, 1, 7].map((i) => mirror(i, 1))).toEqual([0, 0, 0, 0, 0]);
  });

  test('taps are SPEC\'s picture, row by row', () => {
    const rows = ['  x  ', 'xxxxx', ' xxx ', 'xxxxx', '  x  '];
    const drawn = rows.flatMap((row, y) => [...row].flatMap((mark, x) => (mark === 'x' ? [[x - 2, y - 2]] : [])));
    expect(TAPS).toEqual(drawn);
    expect(TAPS[7]).toEqual([0, 0]);
  });

  test('luminance of white is 1, saturation is the spread', () => {
    expect(luminance([1, 1, 1])).toBeCloseTo(1, 15);
    expect(LUMINANCE).toEqual([0.2627002, 0.6779981, 0.0593017]);
    expect(saturation([0.2, -0.5, 0.1])).toBeCloseTo(0.7, 15);
  });
});

describe('pyramid', () => {
  test('box averages 2x2, the missing row and column by mirroring', () => {
    expect(down(makeImage(3, 3, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9]), 'box').data).toEqual(Float64Array.of(3, 4.5, 7.5, 9));
  });

  test('binomial is centred on every second pixel', () => {
    const impulse = makeImage(9, 1, 1, [0, 0, 0, 0, 256, 0, 0, 0, 0]);
    expect(down(impulse, 'binomial').data).toEqual(Float64Array.of(0, 16, 96, 16, 0));
    expect(down(makeImage(2, 1, 1, [16, 0]), 'binomial').data).toEqual(Float64Array.of(6 + 4)); // 0 1 | 0 1 | 1 0 around: -1 -> 0, -2 -> 1
  });

  test('box and bspline: a coarse pixel reaches 6x6 fine ones', () => {
    const impulse = makeImage(5, 5, 1);
    impulse.data[12] = 256;
    const fine = up2(impulse, 10, 10, 'box', 'bspline');
    const w = [0, 0, 1, 5, 10, 10, 5, 1, 0, 0];
    expect(Array.from(fine.data)).toEqual(w.flatMap((wy) => w.map((wx) => wx * wy)));
  });

  test.each(PYRAMIDS)('%s %s: weights sum to 1 and sizes are ceil(n/2)', (pyramid, up) => {
    const sums = (map: LinearMap): number[] => map.coefficients.reduce((out, [o, , w]) => ((out[o]! += w), out), new Array<number>(map.outputs).fill(0));
    for (let size = 1; size <= 70; size++) {
      expect(downMap(size, pyramid).outputs).toBe(Math.floor((size + 1) / 2));
      expect([...sums(downMap(size, pyramid)), ...sums(up2Map(size, pyramid, up))].every((sum) => sum === 1)).toBe(true);
    }
  });

  test.each(PYRAMIDS)('%s %s: <up2 x, y> = <x, up2^T y> and <down x, y> = <x, down^T y>, exactly', (pyramid, up) => {
    const next = random(1);
    for (let width = 1; width <= 70; width++) {
      const height = 1 + ((width * 37) % 70);
      const fine = integers(width, height, 2, next);
      const coarse = integers(Math.ceil(width / 2), Math.ceil(height / 2), 2, next);
      expect(dot(up2(coarse, width, height, pyramid, up).data, fine.data)).toBe(dot(coarse.data, up2Transposed(fine, pyramid, up).data));
      expect(dot(down(fine, pyramid).data, coarse.data)).toBe(dot(fine.data, downTransposed(coarse, width, height, pyramid).data));
    }
  });

  test('a transpose with one coefficient off by a 256th is noticed', () => {
    const map = up2Map(7, 'box', 'bspline');
    const [[o, i, weight], ...rest] = map.coefficients as [[number, number, number], ...[number, number, number][]];
    const wrong: LinearMap = transpose({ ...map, coefficients: [[o, i, weight + 1 / 256], ...rest] });
    const x = integers(4, 1, 1, random(2));
    const y = integers(7, 1, 1, random(3));
    const single: LinearMap = { inputs: 1, outputs: 1, coefficients: [[0, 0, 1]] };
    expect(dot(applySeparable(map, single, x).data, y.data)).toBe(dot(x.data, applySeparable(transpose(map), single, y).data));
    expect(dot(applySeparable(map, single, x).data, y.data)).not.toBe(dot(x.data, applySeparable(wrong, single, y).data));
  });

  /** Largest shift of a ramp that goes `levels` down and up again, away from the borders. */
  function rampShift(downwards: Pyramid, upwards: Pyramid, up: Up, levels: number): number {
    const size = 96;
    const ramp = makeImage(size, size, 1, Array.from({ length: size * size }, (_, p) => (p % size) + 3 * Math.floor(p / size)));
    const pyramid = [ramp];
    for (let i = 0; i < levels; i++) pyramid.push(down(pyramid[i]!, downwards));
    let image = pyramid[levels]!;
    for (let i = levels - 1; i >= 0; i--) image = up2(image, pyramid[i]!.width, pyramid[i]!.height, upwards, up);
    const difference = addScaled(image, ramp, -1);
    let largest = 0;
    for (let y = 30; y < size - 30; y++) for (let x = 30; x < size - 30; x++) largest = Math.max(largest, Math.abs(difference.data[y * size + x]!));
    return largest;
  }

  test.each(PYRAMIDS)('%s %s: a ramp goes down and up unshifted', (pyramid, up) => {
    for (const levels of [1, 2, 3]) expect(rampShift(pyramid, pyramid, up, levels)).toBeLessThan(1e-12);
    expect(rampShift(pyramid, pyramid === 'box' ? 'binomial' : 'box', up, 1)).toBeGreaterThan(0.9); // half a pixel in x, half in y
  });

  test.each(['box', 'binomial'] as const)('%s: noise gains are the operators\' squared coefficients', (pyramid) => {
    const size = 512;
    const unit = (i: number): Image => makeImage(size, 1, 1, Array.from({ length: size }, (_, k) => (k === i ? 1 : 0)));
    for (let level = 1; level <= 4; level++) {
      let variance = 0; // of the middle pixel of the level, one axis
      for (let i = 0; i < size; i++) {
        let row = unit(i);
        for (let l = 0; l < level; l++) row = applySeparable(downMap(row.width, pyramid), { inputs: 1, outputs: 1, coefficients: [[0, 0, 1]] }, row);
        variance += row.data[row.width / 2]! ** 2;
      }
      expect(noiseGain(level, pyramid)).toBeCloseTo(variance, 14);
    }
  });

  test('noise gains are SPEC\'s', () => {
    expect([0, 1, 2, 3, 4, 5, 6].map((i) => noiseGain(i, 'box'))).toEqual([1, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625]);
    expect([0, 1, 2, 3].map((i) => noiseGain(i, 'binomial').toFixed(3))).toEqual(['1.000', '0.273', '0.123', '0.060']);
    for (let i = 3; i < 7; i++) expect(noiseGain(i + 1, 'binomial') / noiseGain(i, 'binomial')).toBeCloseTo(0.5, 1);
  });
});

describe('contexts', () => {
  const next = random(4);
  const M = picture('negative', 9, 8, next, 0.5);
  const D = picture('negative', 9, 8, next, 0.1);
  const G = picture('photo', 9, 8, next, 0.5);
  const noise = { a: 3e5, b: 20 };
  const gain = 0.5;
  const lum = (image: Image, x: number, y: number): number => luminance(pixel(image, x, y));
  const sat = (image: Image, x: number, y: number): number => saturation(pixel(image, x, y));
  const at = (data: Float64Array, W: number, x: number, y: number): number[] => Array.from(data.subarray((y * 9 + x) * W, (y * 9 + x + 1) * W));
  const sigmaAt = (x: number, y: number): number => (gain * Math.sqrt(3e5 + 65535 * Math.max(lum(M, x, y), 0) * 20)) / 65535;
  const clamp = (v: number): number => Math.max(-64, Math.min(64, v));
  const places = [[0, 0], [8, 7], [4, 3], [0, 6]] as const;
  const near = (actual: readonly number[], expected: readonly number[]): void => {
    expect(actual.length).toBe(expected.length);
    actual.forEach((v, i) => expect(v).toBeCloseTo(expected[i]!, 12));
  };
  const padded = (values: number[], W: number): number[] => [...values, ...new Array<number>(W - values.length).fill(0)];

  test.each(places)('star at (%i, %i)', (x, y) => {
    const expected = TAPS.flatMap(([dx, dy]) => [lum(D, x + dx, y + dy), sat(D, x + dx, y + dy)]);
    near(at(contexts('star', 64, { M, taps: D, noise, gain }), 64, x, y), padded([...expected, sigmaAt(x, y), 1], 64));
  });

  test.each(places)('window at (%i, %i)', (x, y) => {
    const got = at(contexts('window', 128, { M, taps: M, noise, gain }), 128, x, y);
    const absolute = (px: number, py: number): number => luminance(pixel(M, px, py).map(Math.abs));
    expect(got[8 * (2 + 4) + (-3 + 4)]).toBeCloseTo(absolute(x + 2, y - 3), 14); // x is the slow index
    expect(got[8 * (-4 + 4) + (3 + 4)]).toBeCloseTo(absolute(x - 4, y + 3), 14);
    expect(got[36]).toBeCloseTo(absolute(x, y), 14);
    expect(got.slice(64).every((v) => v === 0)).toBe(true);
    expect(got.slice(0, 64).every((v) => v > 0)).toBe(true);
  });

  test.each(places)('norm at (%i, %i)', (x, y) => {
    const s = sigmaAt(x, y);
    const expected = TAPS.flatMap(([dx, dy]) => [clamp((lum(M, x + dx, y + dy) - lum(M, x, y)) / (4 * s)), clamp(sat(M, x + dx, y + dy) / (4 * s))]);
    near(at(contexts('norm', 32, { M, taps: M, noise, gain }), 32, x, y), [...expected, Math.log2(s) / 8, 1]);
  });

  const cross = [[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]] as const;

  test.each(places)('wnorm at (%i, %i)', (x, y) => {
    const s = sigmaAt(x, y);
    const expected: number[] = [];
    for (let j = -3; j <= 3; j++) for (let i = -3; i <= 3; i++) expected.push(clamp((lum(M, x + i, y + j) - lum(M, x, y)) / (4 * s)));
    for (const [dx, dy] of cross) expected.push(clamp(sat(M, x + dx, y + dy) / (4 * s)));
    near(at(contexts('wnorm', 64, { M, taps: M, noise, gain }), 64, x, y), padded([...expected, Math.log2(s) / 8, 1], 64));
  });

  test.each(places)('guide at (%i, %i), taps of D, colour differences of M', (x, y) => {
    const s = sigmaAt(x, y);
    const taps = (image: Image): number[] => TAPS.map(([dx, dy]) => clamp((lum(image, x + dx, y + dy) - lum(image, x, y)) / (4 * s)));
    const sats = (image: Image): number[] => cross.map(([dx, dy]) => clamp(sat(image, x + dx, y + dy) / (4 * s)));
    const rgb = pixel(M, x, y).map((v, c) => clamp((v - pixel(G, x, y)[c]!) / (4 * s)));
    const lums = cross.map(([dx, dy]) => clamp((lum(M, x + dx, y + dy) - lum(G, x + dx, y + dy)) / (4 * s)));
    const expected = [...taps(D), ...taps(G), ...sats(D), ...sats(G), ...rgb, ...lums, Math.log2(s) / 8, 1];
    near(at(contexts('guide', 64, { M, taps: D, G, noise, gain }), 64, x, y), padded(expected, 64));
    expect(expected.length).toBe(CONTEXT_CHANNELS.guide);
  });

  test('without noise sigma is kept from 0 where it divides, not where it is an input', () => {
    const quiet = { M, taps: M, noise: { a: 0, b: 0 }, gain };
    expect(at(contexts('star', 32, quiet), 32, 3, 3)[30]).toBe(0);
    const norm = at(contexts('norm', 32, quiet), 32, 3, 3);
    expect(norm[30]).toBeCloseTo(Math.log2(1e-5) / 8, 14);
    TAPS.forEach(([dx, dy], t) => expect(norm[2 * t]).toBeCloseTo(clamp((lum(M, 3 + dx, 3 + dy) - lum(M, 3, 3)) / 4e-5), 10));
    expect(norm.some((v) => v === 64) && norm.some((v) => v === -64)).toBe(true);
  });

  test('the guide is up2 of the coarser result, the picture itself at the coarsest level', () => {
    const model: ModelOptions = { ...CLASSIC, width: 64, context: 'guide', levels: 3 };
    for (const combine of COMBINES) {
      const levels = forward({ ...model, combine }, makeWeights(model, random(5)), M, noise);
      expect(levels[2]!.G!.data).toEqual(levels[2]!.M.data);
      expect(levels[0]!.G!.data).toEqual(up2(levels[1]!.O, 9, 8, 'box', 'bspline').data);
    }
  });
});

describe('perceptron', () => {
  test('index of a weight is l*W*W + out*W + in, unused rows are never read', () => {
    const shape = { width: 20, layers: 1, outputs: 16, act: 'none' } as const;
    const weights = new Float64Array(800);
    weights[3 * 20 + 5] = 2; // layer 0: A[3] = 2 x[5]
    weights[400 + 7 * 20 + 3] = 10; // layer 1: K[7] = 10 A[3]
    weights[400 + 16 * 20 + 3] = NaN;
    const x = new Float64Array(20).fill(0).map((_, i) => i);
    const { A, K } = mlpForward(shape, weights, x);
    expect(A[0]![3]).toBe(10);
    expect(Array.from(K)).toEqual([0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0]);
    const dK = new Float64Array(16);
    dK[7] = 3;
    const dw = mulw(shape, x, { A }, [new Float64Array(20), dK]);
    expect(dw[400 + 7 * 20 + 3]).toBe(30);
    expect(dw.filter((v) => v !== 0).length).toBe(1);
  });

  test('activations: leaky slope 0.001, relu 0, none 1; 0 counts as not positive', () => {
    const values = (act: 'lrelu' | 'relu' | 'none'): number[] => {
      const weights = Float64Array.of(1, 0, 0, 0, 0, 0, 0, 0);
      return [2, -2].map((v) => mlpForward({ width: 2, layers: 1, outputs: 2, act }, weights, Float64Array.of(v, 0)).A[0]![0]!);
    };
    expect(values('lrelu')).toEqual([2, -0.002]);
    expect(values('relu')).toEqual([2, -0]);
    expect(values('none')).toEqual([2, -2]);
    expect([1, 0, -1].map((A) => activationSlope('lrelu', A))).toEqual([1, 0.001, 0.001]);
    expect([1, 0, -1].map((A) => activationSlope('none', A))).toEqual([1, 1, 1]);
  });
});

describe('kernels', () => {
  const softmax = { apply: 'softmax', sharp: 0.1, ablend: 'plain', chroma: false } as const;
  const plain = { ...softmax, apply: 'plain' } as const;
  const K = Array.from({ length: 15 }, (_, t) => Math.sin(3 * t) + 0.4);

  test('softmax is exp(s K) by its sum, and sums to 1 for any input', () => {
    const e = K.map((v) => Math.exp(0.1 * v));
    const total = e.reduce((a, b) => a + b);
    kernelWeights(softmax, K).forEach((k, t) => expect(k).toBeCloseTo(e[t]! / total, 15));
    for (const scale of [0, 1, -1, 1e3, 1e8]) expect(kernelWeights(softmax, K.map((v) => v * scale)).reduce((a, b) => a + b)).toBeCloseTo(1, 14);
  });

  test('plain divides by the sum, by 0.001 if that is larger, and guards large taps', () => {
    const sum = K.reduce((a, b) => a + b);
    kernelWeights(plain, K).forEach((k, t) => expect(k).toBeCloseTo(K[t]! / sum, 15));
    expect(kernelWeights(plain, K.map(() => -1))[0]).toBe(-1000);
    const guarded = [10, -12, ...new Array<number>(13).fill(1)];
    expect(kernelWeights(plain, guarded)[0]).toBeCloseTo(0.001 / 13.002, 15);
    expect(kernelWeightsBackward(plain, guarded, K).slice(0, 2)).toEqual([0, 0]);
    expect(kernelWeights(plain, guarded).reduce((a, b) => a + b)).toBeCloseTo(1, 14);
    expect(kernelWeights(plain, [9.999, ...new Array<number>(14).fill(0)])[0]).toBe(1);
  });

  test('derivatives are SPEC\'s formulas', () => {
    const M = Array.from({ length: 15 }, (_, t) => Math.cos(t));
    for (const taps of [K, K.map((v) => -v), [10, ...K.slice(1)]]) {
      const S = taps.reduce((a, v) => a + (Math.abs(v) >= 10 ? 0.001 : v), 0);
      const I = dot(kernelWeights(plain, taps), M);
      const expected = taps.map((v, t) => (Math.abs(v) >= 10 ? 0 : (M[t]! - (S > 0.001 ? I : 0)) / Math.max(0.001, S)));
      kernelWeightsBackward(plain, taps, M).forEach((v, t) => expect(v).toBeCloseTo(expected[t]!, 10));
      const k = kernelWeights(softmax, taps);
      const soft = taps.map((_, t) => k.reduce((sum, ku, u) => sum + M[u]! * 0.1 * ku * ((u === t ? 1 : 0) - k[t]!), 0));
      kernelWeightsBackward(softmax, taps, M).forEach((v, t) => expect(v).toBeCloseTo(soft[t]!, 14));
    }
  });

  test('blend weights', () => {
    expect([-3, 0, 2].map((v) => blendWeight('plain', v))).toEqual([-3, 0, 2]);
    expect([-3, 0, 0.5, 1, 2].map((v) => blendWeight('clamped', v))).toEqual([0, 0, 0.5, 1, 1]);
    expect([-3, 0, 0.5, 1, 2].map((v) => blendWeightSlope('clamped', v))).toEqual([0, 0, 1, 0, 0]);
    expect(blendWeight('const', 7)).toBe(1);
    expect(blendWeightSlope('const', 7)).toBe(0);
    expect(blendWeight('sigmoid', 0)).toBe(0.5);
    expect(blendWeight('sigmoid', 0.75)).toBeCloseTo(0.5 * 0.6 + 0.5, 15);
    expect(blendWeightSlope('sigmoid', 0.75)).toBeCloseTo(0.5 * 0.8 ** 3, 15);
  });

  test('the tap order of K is that of the taps: a one-hot kernel shifts the picture', () => {
    const M = picture('photo', 6, 5, random(6));
    const K16 = new Float64Array(30 * 16);
    for (let p = 0; p < 30; p++) K16[p * 16 + 4] = 1; // tap 4 is (1, -1)
    const I = applyForward(plain, M, K16);
    for (const [x, y] of [[0, 0], [5, 4], [3, 2]] as const) expect(pixel(I, x, y)).toEqual(pixel(M, x + 1, y - 1));
  });

  test('chroma: equal kernels and weights give what one kernel gives, split into Y and rgb - Y', () => {
    const M = picture('negative', 6, 5, random(7));
    const K16 = Float64Array.from({ length: 30 * 16 }, random(8));
    const K32 = new Float64Array(30 * 32);
    for (let p = 0; p < 30; p++) for (const half of [0, 16]) K32.set(K16.subarray(p * 16, p * 16 + 16), p * 32 + half);
    const one = applyForward(softmax, M, K16);
    const two = applyForward({ ...softmax, chroma: true }, M, K32);
    for (let p = 0; p < 30; p++) {
      const [Y, r, g, b, aY, aC] = pixel(two, p % 6, Math.floor(p / 6), 0, 6) as [number, number, number, number, number, number];
      [r, g, b].forEach((c, i) => expect(Y + c).toBeCloseTo(one.data[p * 4 + i]!, 14));
      expect([aY, aC]).toEqual([one.data[p * 4 + 3], one.data[p * 4 + 3]]);
      expect(luminance([r, g, b])).toBeCloseTo(0, 14);
    }
  });
});

describe('losses', () => {
  const noise = { a: 1e5, b: 30 };
  const value: Record<Loss, (r: number, t: number) => number> = {
    l2: (r, t) => (r - t) * (r - t),
    smape: (r, t) => Math.abs(r - t) / (Math.abs(r) + Math.abs(t) + 0.001),
    cosh: (r, t) => (Math.exp(r - t) + Math.exp(t - r)) / 2 - 1,
    rel: (r, t) => (r - t) ** 2 / ((1e5 + 65535 * Math.max(t, 0) * 30) / 65535 ** 2),
    enc: (r, t) => Math.abs(r - t) / Math.sqrt(Math.abs(t) + 0.05),
    even: (r, t) => Math.abs(r - t) / Math.sqrt(Math.sqrt((1e5 + 65535 * Math.max(t, 0) * 30) / 65535 ** 2) * Math.sqrt(Math.abs(t) + 0.05)),
  };
  const pairs = [[0.3, 0.7], [0.7, 0.3], [-0.2, 0.4], [0.4, -0.2], [-0.5, -0.1], [2, 1e-4]] as const;

  test.each(Object.keys(value) as Loss[])('%s: value and slope', (loss) => {
    for (const [r, t] of pairs) {
      expect(lossOf(loss, r, t, noise) / value[loss](r, t)).toBeCloseTo(1, 13);
      const h = 1e-5;
      const difference = (lossOf(loss, r + h, t, noise) - lossOf(loss, r - h, t, noise)) / (2 * h);
      expect(lossSlope(loss, r, t, noise) / difference).toBeCloseTo(1, 7);
      expect((lossSlope(loss, r, t, noise) * 1.001) / difference).not.toBeCloseTo(1, 7);
    }
  });

  test('the sign of 0 is 0', () => {
    for (const loss of ['smape', 'enc', 'l2', 'cosh', 'rel', 'even'] as const) expect(Math.abs(lossSlope(loss, 0.5, 0.5, noise))).toBe(0);
    expect(lossSlope('smape', 0, 0.5, noise)).toBeCloseTo(-1 / 0.501, 14);
  });

  test('rel without noise divides by the least variance', () => {
    expect(lossOf('rel', 1, 0, { a: 0, b: 0 })).toBeCloseTo(1e10, 0);
    expect(noiseSigma({ a: 65535 ** 2, b: 0 }, 0.5)).toBe(1);
  });
});

describe('combining levels', () => {
  const next = random(9);
  const L = LUMINANCE;
  const image = (count: number): Image => makeImage(7, 6, count, Array.from({ length: 42 * count }, () => 2 * next() - 1));

  test.each(pairwise({ combine: COMBINES, way: PYRAMIDS }).map(({ combine, way }) => [combine, ...way] as const))('%s %s %s: SPEC\'s formulas', (combine, pyramid, up) => {
    const options = { combine, pyramid, up, chroma: false };
    const [I, U, g] = [image(4), image(3), image(3)];
    const rgb = channels(I, 0, 3);
    const smooth = up2(down(rgb, pyramid), 7, 6, pyramid, up);
    const O = combineForward(options, I, U);
    const { dI, dU } = combineBackward(options, I, U, g);
    const weighted = makeImage(7, 6, 3, g.data.map((v, i) => v * I.data[Math.floor(i / 3) * 4 + 3]!));
    const through = downTransposed(up2Transposed(weighted, pyramid, up), 7, 6, pyramid);
    for (let p = 0; p < 42; p++) {
      const a = I.data[p * 4 + 3]!;
      let dAlpha = 0;
      for (let c = 0; c < 3; c++) {
        const [i, u, s, gc] = [rgb.data[p * 3 + c]!, U.data[p * 3 + c]!, smooth.data[p * 3 + c]!, g.data[p * 3 + c]!];
        const expected = { blend: a * i + (1 - a) * u, prediff: u + a * i, postdiff: u + a * (i - s) }[combine];
        expect(O.data[p * 3 + c]).toBeCloseTo(expected, 13);
        dAlpha += gc * { blend: i - u, prediff: i, postdiff: i - s }[combine];
        expect(dU!.data[p * 3 + c]).toBeCloseTo(combine === 'blend' ? (1 - a) * gc : gc, 13);
        expect(dI.data[p * 4 + c]).toBeCloseTo(a * gc - (combine === 'postdiff' ? through.data[p * 3 + c]! : 0), 13);
      }
      expect(dI.data[p * 4 + 3]).toBeCloseTo(dAlpha, 13);
    }
  });

  test('blend with chroma: SPEC\'s formulas', () => {
    const options = { combine: 'blend', pyramid: 'box', up: 'bspline', chroma: true } as const;
    const [I, U, g] = [image(6), image(3), image(3)];
    const O = combineForward(options, I, U);
    const { dI, dU } = combineBackward(options, I, U, g);
    for (let p = 0; p < 42; p++) {
      const [Y, r, gr, b, aY, aC] = Array.from(I.data.subarray(p * 6, p * 6 + 6)) as [number, number, number, number, number, number];
      const C = [r, gr, b];
      const u = Array.from(U.data.subarray(p * 3, p * 3 + 3));
      const uY = luminance(u);
      const gp = Array.from(g.data.subarray(p * 3, p * 3 + 3));
      const s = gp[0]! + gp[1]! + gp[2]!;
      const got = Array.from(dI.data.subarray(p * 6, p * 6 + 6));
      const expected = [aY * s, ...gp.map((v) => aC * v), s * (Y - uY), dot(gp, C.map((v, c) => v - (u[c]! - uY)))];
      got.forEach((v, c) => expect(v).toBeCloseTo(expected[c]!, 13));
      for (let c = 0; c < 3; c++) {
        expect(dU!.data[p * 3 + c]).toBeCloseTo((1 - aC) * gp[c]! + (aC - aY) * s * L[c]!, 13);
        expect(O.data[p * 3 + c]).toBeCloseTo(aY * Y + (1 - aY) * uY + aC * C[c]! + (1 - aC) * (u[c]! - uY), 13);
      }
    }
  });

  test('the coarsest level is I\'s colour, its blend weight unused', () => {
    const I = image(6);
    const options = { combine: 'blend', pyramid: 'box', up: 'bspline', chroma: true } as const;
    const O = combineForward(options, I, undefined);
    expect(O.data[4]).toBeCloseTo(I.data[6]! + I.data[6 + 2]!, 15);
    const { dI, dU } = combineBackward(options, I, undefined, image(3));
    expect(dU).toBeUndefined();
    for (let p = 0; p < 42; p++) expect([dI.data[p * 6 + 4], dI.data[p * 6 + 5]]).toEqual([0, 0]);
  });

  test.each(COMBINES)('%s: a constant picture stays constant, whatever the weights', (combine) => {
    for (const [pyramid, up] of PYRAMIDS)
      for (const [width, height] of [[1, 1], [5, 3], [6, 7]] as const)
        for (const chroma of [false, true]) {
          const model: ModelOptions = { ...CLASSIC, combine, pyramid, up, chroma, levels: 3, sharp: 1 };
          const flat = makeImage(width, height, 3, Array.from({ length: width * height * 3 }, (_, i) => [0.7, 0.2, -0.1][i % 3]!));
          const O = forward(model, makeWeights(model, random(10)), flat, { a: 1e5, b: 9 })[0]!.O;
          O.data.forEach((v, i) => expect(v).toBeCloseTo(flat.data[i]!, 12));
        }
  });

  test('a constant picture does not stay constant under kernels that do not sum to 1', () => {
    const model: ModelOptions = { ...CLASSIC, apply: 'plain', levels: 2 };
    const flat = makeImage(5, 4, 3, new Float64Array(60).fill(0.5));
    const K: (name: string, data: Float64Array) => void = (name, data) => void (name === 'K' && data.fill(-1));
    const O = forward(model, makeWeights(model, random(11)), flat, { a: 1e5, b: 9 }, { visit: K })[0]!.O;
    expect(Math.abs(O.data[0]! - 0.5)).toBeGreaterThan(0.1);
  });
});

describe('whole model', () => {
  test('levels: O_L = M_L under prediff, D = M - up2(coarser M); blend weight 0 leaves the coarser levels', () => {
    const model: ModelOptions = { ...CLASSIC, combine: 'prediff', levels: 3 };
    const { input, noise } = makeTile('photo', 11, 6, random(12));
    const silent = forward(model, new Float64Array(4 * 32 * 32), input, noise); // K = 0: alpha 0
    const M3 = down(down(down(channels(input, 0, 3), 'box'), 'box'), 'box');
    expect(silent[2]!.O.data).toEqual(up2(M3, 3, 2, 'box', 'bspline').data);
    expect(silent[1]!.taps.data).toEqual(addScaled(silent[1]!.M, up2(silent[2]!.M, 6, 3, 'box', 'bspline'), -1).data);
  });

  test('every level sees the noise of its own level: M\'s, by the gain', () => {
    for (const pyramid of ['box', 'binomial'] as const) {
      const { input, noise } = makeTile('photo', 9, 7, random(17));
      const model: ModelOptions = { ...CLASSIC, pyramid, combine: 'prediff', levels: 4 };
      forward(model, makeWeights(model, random(18)), input, noise).forEach(({ x, M }, level) => {
        for (const p of [0, M.width * M.height - 1])
          expect(x[p * 32 + 30]).toBeCloseTo(noiseSigma(noise, luminance(M.data.subarray(p * 3, p * 3 + 3)), noiseGain(level, pyramid)), 15);
      });
    }
  });

  test('a wrong number of weights is refused', () => {
    const { input, noise } = makeTile('photo', 3, 3, random(13));
    expect(() => forward(CLASSIC, new Float64Array(5), input, noise)).toThrow('expected 4096 values, got 5');
  });

  test('sums: loss over tiles, gradient over levels, norm over layers; joined levels are one batch', () => {
    const model: ModelOptions = { ...CLASSIC, layers: 1, levels: 2 };
    const tiles = [makeTile('photo', 4, 3, random(14)), makeTile('photo', 2, 2, random(15))];
    const result = evaluate(model, makeWeights(model, random(16)), tiles);
    const levels = result.tiles.flatMap((tile) => tile.gradients);
    result.dw.forEach((v, i) => expect(v).toBeCloseTo(levels.reduce((sum, level) => sum + level.dw[i]!, 0), 12));
    expect(result.meanLoss).toBeCloseTo(result.loss / 16, 14);
    expect(result.norm).toBeCloseTo(Math.hypot(...result.dw), 12);
    expect(result.dwLayers.map((layer) => layer.length)).toEqual([1024, 1024]);
    expect(joinLevels(result.tiles[0]!.levels, (level) => level.K).length).toBe((12 + 4) * 16);
  });
});

describe('half precision', () => {
  test.each([
    [1 / 3, 0.333251953125], [65504, 65504], [65519.99, 65504], [65520, Infinity], [-65520, -Infinity], [2049, 2048], [2051, 2052],
    [2 ** -24, 2 ** -24], [2 ** -25, 0], [1.001 * 2 ** -25, 2 ** -24], [-0.1, -0.0999755859375], [2 ** -14 * (1 - 2 ** -12), 2 ** -14], [0, 0], [Infinity, Infinity],
  ])('%p rounds to %p', (value, expected) => {
    expect(toHalf(value) + 0).toBe(expected); // + 0: -0 is 0
  });

  test('NaN stays, scaled values keep what would underflow', () => {
    expect(toHalf(NaN)).toBeNaN();
    expect(toHalf(1e-9)).toBe(0);
    expect(toScaledHalf(2 ** 20)(1e-9) / 1e-9).toBeCloseTo(1, 3);
  });
});
