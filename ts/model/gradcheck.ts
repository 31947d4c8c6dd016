// Comparing gradients (SPEC 7): analytic against differences, and one shader path against another. Pure.

import { outputsOf, type ModelSpec } from './spec.js';

export interface Row {
  layer: number;
  /** Norm of the layer's analytic gradient. */
  norm: number;
  /** Weights compared. */
  weights: number;
  /** Root mean square of the errors over that of the gradient: |analytic - other| / |g|. */
  error: number;
  /** Largest single error over |g|, and the weight where it is. */
  largest: number;
  at: { out: number; in: number };
  bound: number;
  verdict: 'ok' | 'wrong' | 'unsettled';
}

/** Half a unit in the last place of f32 and f16, relative. */
const U32 = 2 ** -24;
const U16 = 2 ** -11;

/** Errors of one layer at these weights; `bound` and verdict are the caller's. */
function compareLayer(m: ModelSpec, layer: number, reference: Float32Array, other: (i: number) => number, indices: readonly number[]): Omit<Row, 'bound' | 'verdict'> {
  const matrix = m.width * m.width;
  const used = (layer < m.layers ? m.width : outputsOf(m)) * m.width;
  let norm2 = 0;
  for (let i = layer * matrix; i < layer * matrix + used; ++i) norm2 += reference[i]! ** 2;
  let error2 = 0;
  let largest = 0;
  let where = indices[0] ?? layer * matrix;
  for (const i of indices) {
    const e = Math.abs(reference[i]! - other(i));
    error2 += e * e;
    // NaN compares false, but must be found.
    if (!(e <= largest)) [largest, where] = [e, i];
  }
  const norm = Math.sqrt(norm2);
  const rms = norm / Math.sqrt(used);
  const relative = (e: number, of: number): number => (e === 0 ? 0 : e / of);
  return {
    layer, norm, weights: indices.length, at: { out: Math.floor((where % matrix) / m.width), in: where % m.width },
    error: relative(Math.sqrt(error2 / Math.max(1, indices.length)), rms), largest: relative(largest, norm),
  };
}

const byLayer = (m: ModelSpec, targets: ArrayLike<number>): number[][] => {
  const layers = Array.from({ length: m.layers + 1 }, (): number[] => []);
  for (const i of Array.from(targets)) layers[Math.floor(i / (m.width * m.width))]?.push(i);
  return layers;
};

export interface Differences {
  /** The f32 gradient, (layer, out, in). */
  analytic: Float32Array;
  /** Indices of the weights that differences were taken of. */
  targets: ArrayLike<number>;
  /** Differences over steps, from the largest on, each a quarter of the one before. */
  steps: readonly { step: number; differences: Float32Array }[];
  /** What rounding the result does to the loss: see `roundingOf`. */
  rounding: number;
}

/** Root of the sum of (dE/dO O)^2 over pixels and channels: of what is lost where every result is rounded, a unit's multiple. (pixel, 4) each. */
export function roundingOf(dEdO: Float32Array, result: Float32Array, pixels: number): number {
  let sum = 0;
  for (let p = 0; p < pixels; ++p) for (let c = 0; c < 3; ++c) sum += (dEdO[4 * p + c]! * result[4 * p + c]!) ** 2;
  return Math.sqrt(sum);
}

/**
 * A table, a row a layer. Two differences over steps 4h and h are extrapolated to step 0, which leaves an error of h^4. The
 * bound on an error over |g| has three parts, none of which depends on the gradient that is checked:
 * - 2e-4: sums of products in f32 in the gradient itself;
 * - rounding of the two losses of a difference: a result is a sum of 15 taps, and of 9 of the coarser level, on each level,
 *   so that it is off by u sqrt(24 levels / 3), u = 2^-24 of its size, a difference by u sqrt(8 levels) |dE/dO O| sqrt(2) / (2 h).
 *   Three times that is allowed;
 * - what is left of the steps' own error: they disagree by a part that goes with h^2; what goes with h^4 is about its square,
 *   of which four times are allowed.
 * The pair of steps with the least bound is taken. Where that is over a tenth of the gradient, nothing is proved: `unsettled`.
 */
export function compareDifferences(m: ModelSpec, d: Differences): Row[] {
  return byLayer(m, d.targets).map((indices, layer) => {
    const used = (layer < m.layers ? m.width : outputsOf(m)) * m.width;
    const pairs = d.steps.slice(1).map(({ step, differences: fine }, i) => {
      const coarse = d.steps[i]!.differences;
      const row = compareLayer(m, layer, d.analytic, (k) => (16 * fine[k]! - coarse[k]!) / 15, indices);
      const apart = compareLayer(m, layer, d.analytic, (k) => d.analytic[k]! + fine[k]! - coarse[k]!, indices).error;
      const noise = U32 * Math.sqrt(8 * m.levels) * d.rounding * (Math.SQRT2 / (2 * step));
      return { ...row, bound: 2e-4 + (noise === 0 ? 0 : (3 * noise * Math.sqrt(used)) / row.norm) + 4 * apart ** 2 };
    });
    const best = pairs.reduce((a, b) => (b.bound < a.bound ? b : a));
    if (best.error === 0) return { ...best, bound: 2e-4, verdict: 'ok' }; // a layer without influence has no gradient to relate anything to
    const right = best.error <= best.bound && best.largest <= best.bound;
    // Without a finite gradient nothing is relative to anything, and there is a difference.
    return { ...best, verdict: !(best.norm > 0 && Number.isFinite(best.norm)) ? 'wrong' : !(best.bound <= 0.1) ? 'unsettled' : right ? 'ok' : 'wrong' };
  });
}

/** What one path made of a tile. */
export interface PathRun {
  gradient: Float32Array;
  /** (pixel, 4) of the finest level: O and dE/dO. */
  result: Float32Array;
  dEdO: Float32Array;
  /** (1 + layer, pixel, W) of all levels: input and activations. */
  activations: Float32Array;
  /** (layer, pixel, W): dE/dA; more may follow. */
  dEdA: Float32Array;
}

/** Norm of a - b over that of a, of rgb. */
function distance(a: Float32Array, b: Float32Array, pixels: number): number {
  let error2 = 0;
  let norm2 = 0;
  for (let p = 0; p < pixels; ++p)
    for (let c = 0; c < 3; ++c) {
      error2 += (a[4 * p + c]! - b[4 * p + c]!) ** 2;
      norm2 += a[4 * p + c]! ** 2;
    }
  return error2 === 0 ? 0 : Math.sqrt(error2 / norm2);
}

/** The part of layer l's dE/dA that belongs to activations which the two paths have on different sides of 0. */
function flipped(m: ModelSpec, layer: number, reference: PathRun, other: PathRun): number {
  const size = reference.activations.length / (m.layers + 1);
  let flips2 = 0;
  let norm2 = 0;
  for (let i = 0; i < size; ++i) {
    const at = layer * size + i;
    const d = reference.dEdA[at]!;
    norm2 += d * d;
    if (reference.activations[at + size]! > 0 !== other.activations[at + size]! > 0) flips2 += Math.max(Math.abs(d), Math.abs(other.dEdA[at]!)) ** 2;
  }
  return flips2 === 0 ? 0 : Math.sqrt(flips2 / norm2);
}

/**
 * Another path's gradient against the f32 one, a row a layer. f16 rounds images, activations and their gradients to half a
 * unit u = 2^-11 each: a gradient that has gone through H + 1 layers forward and back is off by about u sqrt(2 H + 4). Two
 * more things enter as they are measured, because no constant bounds them:
 * - dE/dO comes from the rounded O: where result and reference are close it changes much;
 * - an activation that rounding takes to the other side of 0 changes its slope, in its layer and in those before.
 * That O is right is a check of its own (`compareResults`), so that a wrong forward pass can't hide in these. Sums over pixels
 * cancel in the gradient more than in the errors of the first two: six times them is allowed. 15 % is never passed.
 */
export function comparePaths(m: ModelSpec, reference: PathRun, other: PathRun, pixels: number): Row[] {
  const base = 6 * (U16 * Math.sqrt(2 * m.layers + 4) + distance(reference.dEdO, other.dEdO, pixels));
  const flips = Array.from({ length: m.layers }, (_, l) => flipped(m, l, reference, other));
  return Array.from({ length: m.layers + 1 }, (_, layer) => {
    const first = layer * m.width * m.width;
    const rows = layer < m.layers ? m.width : outputsOf(m);
    const row = compareLayer(m, layer, reference.gradient, (i) => other.gradient[i]!, Array.from({ length: rows * m.width }, (_unused, i) => first + i));
    const bound = Math.min(0.15, base + Math.hypot(...flips.slice(layer)));
    return { ...row, bound, verdict: row.error <= bound ? 'ok' : 'wrong' };
  });
}

/**
 * Largest distance of two paths' results O, over the largest result, and its bound: f16 rounds the image on each level, the
 * outputs of each layer, and the differences accumulate: 4 u sqrt(2 H + 4).
 */
export function compareResults(m: ModelSpec, reference: Float32Array, other: Float32Array, pixels: number): { error: number; bound: number; verdict: Row['verdict'] } {
  let largest = 0;
  let error = 0;
  for (let p = 0; p < pixels; ++p)
    for (let c = 0; c < 3; ++c) {
      const i = 4 * p + c;
      largest = Math.max(largest, Math.abs(reference[i]!));
      const e = Math.abs(reference[i]! - other[i]!);
      if (!(e <= error)) error = e;
    }
  const relative = error === 0 ? 0 : error / largest;
  const bound = 4 * U16 * Math.sqrt(2 * m.layers + 4);
  return { error: relative, bound, verdict: relative <= bound ? 'ok' : 'wrong' };
}

/** What a path stored of its layers; besides PathRun the weights that they read, their outputs, and the scale of f16 gradients. */
export interface StoredLayers {
  /** (1 + layer, pixel, W): input and activations. */
  activations: Float32Array;
  /** (pixel, outputs). */
  K: Float32Array;
  /** (layer, pixel, W), then (pixel, outputs): dE/dA, dE/dK; unscaled. */
  dEdA: Float32Array;
  /** (layer, out, in): dE/dw. */
  gradient: Float32Array;
  weights: Float32Array;
  scale: number;
}

/** An error over its bound, both over the norm of what should be. */
export interface Judged {
  error: number;
  bound: number;
}

/** Of one matrix: its outputs, dE/dw, and what goes back through it (not of the first: dE/dx is not computed). */
export interface LayerRow {
  layer: number;
  forward: Judged;
  weights: Judged;
  back?: Judged;
  verdict: 'ok' | 'wrong';
}

/** Sums for errors in the root mean square: of the values, the errors, and the sizes of the terms that a value is the sum of. */
class Sums {
  private value2 = 0;
  private error2 = 0;
  private terms2 = 0;
  private count = 0;

  add(value: number, device: number, terms: number): void {
    this.value2 += value * value;
    this.error2 += (device - value) ** 2;
    this.terms2 += terms * terms;
    ++this.count;
  }

  /** `roundings`: relative errors of a sum by its terms; `stored`: rounded to f16, of which the smallest is 2^-24 over `scale`. */
  judge(roundings: number, stored: boolean, scale = 1): Judged {
    const norm = Math.sqrt(this.value2);
    const error = Math.sqrt(this.error2);
    const bound = roundings * Math.sqrt(this.terms2) + (stored ? U16 * norm + (Math.sqrt(this.count) * 2 ** -25) / scale : 0);
    return error === 0 ? { error: 0, bound: 0 } : { error: error / norm, bound: bound / norm };
  }
}

/**
 * Each matrix of a path from what the path itself left in memory, in f64: outputs from inputs, dE/dA from the dE/dA above, dE/dw from
 * dE/dA and A. So nothing adds up over layers, no activation is on another side of 0, and bounds are those of one product: half a unit
 * of f16 where it is stored, `products` (of f32 sums W + 2 roundings) of the size of its terms. In dE/dw, sums over P pixels, rounding
 * errors are of either sign: 6 sqrt(P) of them.
 */
export function checkLayers(m: ModelSpec, run: StoredLayers, halfSums: boolean): LayerRow[] {
  const { width: W, layers: H } = m;
  const pixels = run.activations.length / ((H + 1) * W);
  const slope = m.act === 'lrelu' ? 0.001 : m.act === 'relu' ? 0 : 1;
  const matrices = halfSums ? 16 * U16 : 0;
  return Array.from({ length: H + 1 }, (_, layer): LayerRow => {
    const rows = layer < H ? W : outputsOf(m);
    const w = run.weights.subarray(layer * W * W, (layer * W + rows) * W);
    const at = (tensor: Float32Array, l: number, channels: number): Float32Array => tensor.subarray(l * pixels * W, l * pixels * W + pixels * channels);
    const input = at(run.activations, layer, W);
    const output = layer < H ? at(run.activations, layer + 1, W) : run.K;
    const above = at(run.dEdA, layer, rows);
    const below = layer > 0 ? at(run.dEdA, layer - 1, W) : undefined;
    const [forward, back, weights] = [new Sums(), new Sums(), new Sums()];
    const dw = new Float64Array(rows * W);
    const dwTerms = new Float64Array(rows * W);
    const v = new Float64Array(W);
    const vTerms = new Float64Array(W);
    for (let p = 0; p < pixels; ++p) {
      v.fill(0);
      vTerms.fill(0);
      for (let o = 0; o < rows; ++o) {
        const d = above[p * rows + o]!;
        let z = 0;
        let terms = 0;
        for (let i = 0, k = o * W; i < W; ++i, ++k) {
          const a = input[p * W + i]!;
          const t = w[k]! * a;
          z += t;
          terms += Math.abs(t);
          const g = d * a;
          dw[k]! += g;
          dwTerms[k]! += Math.abs(g);
          const b = w[k]! * d;
          v[i]! += b;
          vTerms[i]! += Math.abs(b);
        }
        forward.add(layer === H || z > 0 ? z : slope * z, output[p * rows + o]!, terms);
      }
      for (let i = 0; below && i < W; ++i) {
        const gate = input[p * W + i]! > 0 ? 1 : slope;
        back.add(v[i]! * gate, below[p * W + i]!, vTerms[i]! * gate);
      }
    }
    dw.forEach((g, k) => weights.add(g, run.gradient[layer * W * W + k]!, dwTerms[k]!));
    const judged = {
      forward: forward.judge((W + 2) * U32 + matrices, true),
      weights: weights.judge(6 * Math.sqrt(pixels) * U32 + matrices, false),
      ...(below ? { back: back.judge((rows + 2) * U32 + matrices, true, run.scale) } : {}),
    };
    const right = Object.values(judged).every(({ error, bound }) => error <= bound);
    return { layer, ...judged, verdict: right ? 'ok' : 'wrong' };
  });
}

/**
 * Two gradients of one path from the same activations, a row a layer: sums in another order, and with it some roundings of dE/dK and
 * dE/dA to f16 the other way, each 2^-10 of the value: four times that is allowed.
 */
export function compareGradients(m: ModelSpec, reference: Float32Array, other: Float32Array): Row[] {
  return Array.from({ length: m.layers + 1 }, (_, layer) => {
    const rows = layer < m.layers ? m.width : outputsOf(m);
    const row = compareLayer(m, layer, reference, (i) => other[i]!, Array.from({ length: rows * m.width }, (_unused, i) => layer * m.width * m.width + i));
    return { ...row, bound: 2 ** -8, verdict: row.error <= 2 ** -8 ? 'ok' : 'wrong' };
  });
}
