// The reference's analytic gradients against central differences to 1e-6, layer by layer and tensor by tensor, for every
// variant pairwise, on awkward pictures and sizes; and that the check notices when a gradient is wrong (SPEC 2).
import {
  CLASSIC, CONTEXT_CHANNELS, type ForwardLevel, GradientCheck, type Hooks, type Image, type ModelOptions, PICTURE_KINDS, type Result, TAP_COUNT, TAPS, type Target, type Verdict,
  dot, evaluate, kernelWeights, makeImage, makeTile, makeWeights, mirror, mlpShape, pairwise, pixel, random, rowsOf, toHalf, up2, xavierBound,
} from '../reference/index.js';

const CASES = pairwise({
  context: ['star', 'window', 'norm', 'wnorm', 'guide'],
  loss: ['l2', 'smape', 'cosh', 'rel', 'enc'],
  levels: [4, 2, 3, 1, 7],
  kind: PICTURE_KINDS,
  ablend: ['plain', 'sigmoid', 'clamped', 'const'],
  combine: ['blend', 'prediff', 'postdiff'],
  act: ['lrelu', 'relu', 'none'],
  layers: [2, 1, 3, 8],
  apply: ['softmax', 'plain'],
  sharp: [0.1, 1],
  pyramid: ['box', 'binomial'],
  up: ['bspline', 'bilinear'],
  chroma: [false, true],
} as const);

/** Odd, thin and tiny ones: 1 to 70 a side. */
const SIZES = [[5, 4], [7, 3], [1, 1], [3, 3], [7, 5], [1, 2], [2, 1], [6, 7], [1, 70], [67, 1], [13, 3], [2, 31]] as const;

/** Index of the element of the largest magnitude in data[from..to-1]. */
function largestIndex(data: Float64Array, from: number, to: number): number {
  let best = from;
  for (let i = from; i < to; i++) if (Math.abs(data[i]!) > Math.abs(data[best]!)) best = i;
  return best;
}

/** Weights of every layer: the one with the largest gradient, and random ones. */
function weightTargets(check: GradientCheck, count: number, next: () => number): Target[] {
  const { width, layers } = check.model;
  return Array.from({ length: layers + 1 }, (_, layer) => {
    const start = layer * width * width;
    const used = rowsOf(mlpShape(check.model), layer) * width;
    const indices = Array.from({ length: count }, () => start + Math.floor(next() * used));
    return [largestIndex(check.result.dw, start, start + used), ...indices];
  }).flat().map((index) => ({ name: 'w', tile: 0, level: 0, layer: -1, index }));
}

/** Of a level's tensors: the element with the largest gradient, the first and the last pixel's, and random ones. */
function tensorTargets(check: GradientCheck, tile: number, level: number, count: number, next: () => number): Target[] {
  const whole = [['O', -1], ['I', -1], ['K', -1], ['Z', 0], ['Z', check.model.layers - 1]] as const;
  return whole.flatMap(([name, layer]) => {
    const size = check.tensor({ name, tile, level, layer, index: 0 }).length;
    const largest = largestIndex(check.gradient({ name, tile, level, layer, index: 0 }), 0, size);
    const indices = [largest, 0, size - 1, ...Array.from({ length: count }, () => Math.floor(next() * size))];
    return [...new Set(indices)].map((index): Target => ({ name, tile, level, layer, index }));
  }).filter((target) => !sitsOnKink(check, target));
}

/** Exactly on a kink (black input) there is no derivative to compare with, unless SPEC's is the mean of both sides' (sgn 0 = 0). */
function sitsOnKink(check: GradientCheck, target: Target): boolean {
  const value = check.tensor(target)[target.index]!;
  if (target.name === 'Z') return check.model.act !== 'none' && value === 0;
  const isAlpha = target.name === 'K' && target.index % 16 === 15;
  return isAlpha && check.model.ablend === 'clamped' && (value === 0 || value === 1);
}

const verdicts = (check: GradientCheck, targets: readonly Target[]): (Target & Verdict)[] => targets.map((target) => ({ ...target, ...check.check(target) }));
const disagreements = (check: GradientCheck, targets: readonly Target[]): unknown[] => verdicts(check, targets).filter(({ agrees }) => !agrees);

test('the cases let every two values of two options meet', () => {
  const options = { a: [1, 2, 3], b: ['x', 'y'], c: [true, false], d: [1, 2, 3, 4] } as const;
  const rows = pairwise(options);
  for (const a of options.a) for (const d of options.d) expect(rows.some((row) => row.a === a && row.d === d)).toBe(true);
  for (const b of options.b) for (const c of options.c) expect(rows.some((row) => row.b === b && row.c === c)).toBe(true);
  expect(rows.length).toBeLessThan(20);
});

describe('gradients agree with central differences', () => {
  test.each(CASES.map((options, i) => [`${i} ${SIZES[i % SIZES.length]!.join('x')} ${Object.values(options).join(' ')}`, i] as const))('%s', (_, i) => {
    const { kind, ...options } = CASES[i]!;
    const next = random(i + 1);
    const model: ModelOptions = { ...options, width: CONTEXT_CHANNELS[options.context] > 32 ? 64 : 32 };
    const [width, height] = SIZES[i % SIZES.length]!;
    const isCosh = model.loss === 'cosh'; // grows exponentially, beyond 700 it is infinite; plain kernels may amplify a thousandfold
    const tile = makeTile(kind, width, height, next, isCosh && model.apply === 'plain' ? 0.02 : 1, isCosh ? 5 : 6e4);
    const check = new GradientCheck(model, makeWeights(model, next), [tile]);
    expect(check.result.badPixels).toBe(0);
    if (kind !== 'black' && width * height > 1) expect(check.result.norm).toBeGreaterThan(0);
    const levels = [...new Set([0, 1, model.levels - 1].filter((level) => level < model.levels))];
    const targets = [...weightTargets(check, 2, next), ...levels.flatMap((level) => tensorTargets(check, 0, level, 1, next))];
    const found = verdicts(check, targets);
    expect(found.filter(({ agrees }) => !agrees)).toEqual([]);
    const telling = found.filter(({ value, allowed }) => Math.abs(value) > 1000 * allowed);
    if (kind !== 'black' && width * height > 2) expect(telling.length).toBeGreaterThan(targets.length / 4);
  });
});

describe('borders of larger pictures', () => {
  const tiny: ModelOptions = { ...CLASSIC, width: 16, layers: 1, sharp: 1, ablend: 'sigmoid' };
  test.each([
    [33, 65, 'box', 'bspline', 'blend'], [70, 67, 'binomial', 'bspline', 'postdiff'], [34, 47, 'box', 'bilinear', 'prediff'],
    [19, 40, 'binomial', 'bilinear', 'blend'], [49, 22, 'box', 'bspline', 'postdiff'], [41, 17, 'binomial', 'bspline', 'prediff'],
  ] as const)('%ix%i %s %s %s', (width, height, pyramid, up, combine) => {
    const next = random(width * height);
    const model = { ...tiny, pyramid, up, combine };
    const check = new GradientCheck(model, makeWeights(model, next), [makeTile('photo', width, height, next)]);
    const targets = [0, 1, 3].flatMap((level) => {
      const { width: w, height: h } = check.result.tiles[0]!.levels[level]!.M;
      const corners = [0, w - 1, (h - 1) * w, h * w - 1, Math.floor(h / 2) * w];
      return corners.flatMap((p): Target[] => [
        { name: 'O', tile: 0, level, layer: -1, index: p * 3 + 1 },
        { name: 'I', tile: 0, level, layer: -1, index: p * 4 + 2 },
      ]);
    });
    expect(disagreements(check, targets)).toEqual([]);
  });
});

test.each(['rel', 'even'] as const)('a batch sums over tiles of any size, each with its own noise (%s)', (loss) => {
  const next = random(5);
  const model: ModelOptions = { ...CLASSIC, context: 'norm', loss, layers: 2, levels: 3, sharp: 1 };
  const weights = makeWeights(model, next);
  const tiles = [makeTile('photo', 5, 4, next), makeTile('negative', 3, 7, next)];
  const check = new GradientCheck(model, weights, tiles);
  expect(disagreements(check, [...weightTargets(check, 2, next), ...tensorTargets(check, 1, 1, 2, next)])).toEqual([]);
  const apart = tiles.map((tile) => evaluate(model, weights, [tile]));
  expect(check.result.loss).toBeCloseTo(apart[0]!.loss + apart[1]!.loss, 6);
  const otherNoise = evaluate(model, weights, [tiles[0]!, { ...tiles[1]!, noise: tiles[0]!.noise }]);
  expect(Math.abs(otherNoise.loss / check.result.loss - 1)).toBeGreaterThan(1e-3);
});

describe('a pixel that is NaN or infinite gives no gradient and is counted', () => {
  test.each([[NaN, 'star', 15], [Infinity, 'star', 15], [NaN, 'window', 64]] as const)('%p in context %s', (value, context, bad) => {
    const next = random(6);
    const model: ModelOptions = { ...CLASSIC, width: 64, context, layers: 1, levels: 1 };
    const tile = makeTile('photo', 15, 15, next);
    tile.input.data[(7 * 15 + 7) * 3] = value;
    const check = new GradientCheck(model, makeWeights(model, next), [tile]);
    expect(check.result.badPixels).toBe(bad); // as many as see it
    expect(Number.isFinite(check.result.norm) && check.result.norm > 0).toBe(true);
    expect(disagreements(check, weightTargets(check, 3, next))).toEqual([]);
  });

  test('on every level', () => {
    const next = random(7);
    const model: ModelOptions = { ...CLASSIC, chroma: true, combine: 'postdiff', layers: 2, levels: 3 };
    const tile = makeTile('photo', 40, 40, next);
    tile.input.data[5] = NaN;
    const { badPixels, dw, meanLoss } = evaluate(model, makeWeights(model, next), [tile]);
    expect(badPixels).toBeGreaterThan(15);
    expect(badPixels).toBeLessThan(1600);
    expect(dw.every(Number.isFinite) && Number.isFinite(meanLoss)).toBe(true);
  });
});

describe('the check notices', () => {
  const model: ModelOptions = { ...CLASSIC, layers: 2, levels: 3, sharp: 1, ablend: 'sigmoid' };
  const weights = makeWeights(model, random(8));
  const tiles = [makeTile('photo', 7, 6, random(9))];
  const clean = new GradientCheck(model, weights, tiles);
  const broken = (visit: Hooks['visit']): GradientCheck => new GradientCheck(model, weights, tiles, { visit });
  const level1: Pick<Target, 'tile' | 'level' | 'layer'> = { tile: 0, level: 1, layer: -1 };

  /** The target of the largest gradient in the tensor passes clean and fails broken. */
  function expectNoticed(visit: Hooks['visit'], target: Omit<Target, 'index'>, indices?: readonly number[]): void {
    const gradient = clean.gradient({ ...target, index: 0 });
    for (const index of indices ?? [largestIndex(gradient, 0, gradient.length)]) {
      expect(clean.check({ ...target, index }).agrees).toBe(true);
      expect(broken(visit).check({ ...target, index }).agrees).toBe(false);
    }
  }

  test.each([['dO', 'O', -1], ['dI', 'I', -1], ['dK', 'K', -1], ['dA', 'Z', 0], ['dA', 'Z', 1]] as const)('%s off by a thousandth (by %s, layer %i)', (name, of, layer) => {
    const scale: Hooks['visit'] = (tensor, data, where) => {
      if (tensor === name && where.level === 1 && (name !== 'dA' || where.layer === layer)) data.forEach((v, i) => (data[i] = v * 1.001));
    };
    expectNoticed(scale, { ...level1, name: of, layer });
  });

  test.each([0, 1, 2])('weights of layer %i off by a thousandth at one level', (layer) => {
    const square = model.width ** 2;
    const index = layer * square + largestIndex(clean.result.dwLayers[layer]!, 0, square);
    const scale: Hooks['visit'] = (tensor, data, { level }) => {
      if (tensor === 'dw' && level === 0) data.forEach((v, i) => (data[i] = v * 1.001));
    };
    expectNoticed(scale, { ...level1, level: 0, name: 'w' }, [index]);
  });

  const at = (level: number): ForwardLevel => clean.result.tiles[0]!.levels[level]!;
  const gradientsAt = (level: number): Result['tiles'][number]['gradients'][number] => clean.result.tiles[0]!.gradients[level]!;

  test('softmax without the gradient of its normalisation', () => {
    const { K, taps } = at(1);
    const visit: Hooks['visit'] = (tensor, data, { level }) => {
      if (tensor !== 'dK' || level !== 1) return;
      for (let p = 0; p < K.length / 16; p++) {
        const k = kernelWeights(model, Array.from(K.subarray(p * 16, p * 16 + TAP_COUNT)));
        const x = p % taps.width;
        const g = pixel(gradientsAt(1).dI, x, (p - x) / taps.width);
        TAPS.forEach(([dx, dy], t) => (data[p * 16 + t] = model.sharp * k[t]! * dot(g, pixel(taps, x + dx, (p - x) / taps.width + dy))));
      }
    };
    expectNoticed(visit, { ...level1, name: 'K' }, [7, 16 * 5 + 2]);
  });

  test('blend weight without the coarser result', () => {
    const visit: Hooks['visit'] = (tensor, data, { level }) => {
      if (tensor === 'dI' && level === 1)
        for (let p = 0; p < data.length / 4; p++) data[p * 4 + 3] = dot(gradientsAt(1).dO.data.subarray(p * 3, p * 3 + 3), at(1).I.data.subarray(p * 4, p * 4 + 3));
    };
    expectNoticed(visit, { ...level1, name: 'I' }, [3, 4 * 5 + 3]);
  });

  test('up2 transposed by gathering, right inside and wrong where an odd size ends', () => {
    const fine = gradientsAt(0).dO;
    const alpha = at(0).I;
    const dU = makeImage(fine.width, fine.height, 3, fine.data.map((g, i) => g * (1 - alpha.data[Math.floor(i / 3) * 4 + 3]!)));
    const visit: Hooks['visit'] = (tensor, data, { level }) => {
      if (tensor === 'dO' && level === 1) data.set(gatheredUp2Transposed(dU).data);
    };
    const w = at(1).O.width;
    expectNoticed(visit, { ...level1, name: 'O' }, [3 * (w - 1), 3 * (2 * w - 1) + 2]);
    const inside: Target = { ...level1, name: 'O', index: 3 * (w + 1) };
    expect(broken(visit).check(inside).agrees).toBe(true);
  });

  test('an activation without its slope', () => {
    const visit: Hooks['visit'] = (tensor, data, { level, layer }) => {
      if (tensor === 'dA' && level === 1 && layer === 1) data.forEach((v, i) => (data[i] = at(1).A[1]![i]! > 0 ? v : v * 1000));
    };
    const Z = at(1).Z[1]!;
    const negative = Z.findIndex((z, i) => z < 0 && Math.abs(gradientsAt(1).dA[1]![i]!) > 0);
    expect(broken(visit).check({ ...level1, name: 'Z', layer: 1, index: negative }).agrees).toBe(false);
  });

  test('a step across a kink: the check passes with smaller ones, this one would not', () => {
    const z = at(1).Z[0]!;
    const index = z.findIndex((v, i) => v > 0 && v < 0.02 && Math.abs(gradientsAt(1).dA[0]![i]!) > 1e-5);
    const target: Target = { ...level1, name: 'Z', layer: 0, index };
    const lossAt = (step: number): number =>
      evaluate(model, weights, tiles, { visit: (name, data, { level, layer }) => {
        if (name === 'Z' && level === 1 && layer === 0) data[index]! += step;
      } }).loss;
    const step = 2 * z[index]!;
    const across = (lossAt(step) - lossAt(-step)) / (2 * step);
    expect(clean.check(target).agrees).toBe(true);
    expect(Math.abs(across / clean.analytic(target) - 1)).toBeGreaterThan(0.1);
  });

  test('a guide that is differentiated, though no gradient flows through it', () => {
    const guided: ModelOptions = { ...model, width: 64, context: 'guide' };
    const next = random(10);
    const w = makeWeights(guided, next);
    const check = new GradientCheck(guided, w, tiles);
    const index = 2 * 64 * 64 + largestIndex(check.result.dwLayers[2]!, 0, 64 * 64);
    const target: Target = { ...level1, level: 0, name: 'w', index };
    expect(check.check(target).agrees).toBe(true);
    const lossAt = (step: number): number => evaluate(guided, w.map((v, i) => (i === index ? v + step : v)), tiles).loss;
    const moving = (lossAt(1e-6) - lossAt(-1e-6)) / 2e-6;
    expect(Math.abs(moving / check.analytic(target) - 1)).toBeGreaterThan(1e-4);
  });
});

/** What a gather over fine neighbours gives for box and bspline: interior weights everywhere, fine pixels mirrored. */
function gatheredUp2Transposed(fine: Image): Image {
  const weights = [1, 5, 10, 10, 5, 1].map((v) => v / 16); // of fine 2c-2 .. 2c+3
  const out = makeImage(Math.ceil(fine.width / 2), Math.ceil(fine.height / 2), 3);
  for (let y = 0; y < out.height; y++)
    for (let x = 0; x < out.width; x++)
      weights.forEach((wy, j) => weights.forEach((wx, i) => {
        const from = (mirror(2 * y - 2 + j, fine.height) * fine.width + mirror(2 * x - 2 + i, fine.width)) * 3;
        for (let c = 0; c < 3; c++) out.data[(y * out.width + x) * 3 + c]! += wx * wy * fine.data[from + c]!;
      }));
  return out;
}

describe('rounding hooks', () => {
  const weights = makeWeights(CLASSIC, random(11));
  const tiles = [makeTile('photo', 8, 8, random(12))];

  test('round what they name, where it is read', () => {
    const exact = evaluate(CLASSIC, weights, tiles).tiles[0]!;
    const rounded = evaluate(CLASSIC, weights, tiles, { quantise: { M: toHalf, A: toHalf, K: toHalf, dK: toHalf } }).tiles[0]!;
    const { levels: [level], gradients: [gradient] } = rounded;
    for (const data of [level!.M.data, ...level!.A, level!.K, gradient!.dK]) expect(data.every((v) => v === toHalf(v))).toBe(true);
    expect(level!.O.data.every((v) => v === toHalf(v))).toBe(false);
    expect(level!.O.data).not.toEqual(exact.levels[0]!.O.data);
    expect(rounded.loss.loss / exact.loss.loss).toBeCloseTo(1, 2);
  });

  test('leave everything as it is by default', () => {
    expect(evaluate(CLASSIC, weights, tiles, { quantise: { A: (v) => v } }).dw).toEqual(evaluate(CLASSIC, weights, tiles).dw);
    expect(Math.max(...weights)).toBeLessThanOrEqual(xavierBound(32));
    expect(up2(makeImage(1, 1, 1, [3]), 2, 2, 'box', 'bspline').data).toEqual(Float64Array.of(3, 3, 3, 3));
  });
});
