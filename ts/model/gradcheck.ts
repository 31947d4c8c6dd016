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
  /** Differences over a step and over half of it. */
  coarse: Float32Array;
  fine: Float32Array;
  /** The smaller step. */
  step: number;
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
 * A table, a row a layer. The differences over two steps are extrapolated to step 0, which leaves an error of step^4.
 * The bound on an error over |g| has two parts:
 * - the gradient's own rounding, sums of products in f32, and what extrapolation leaves: 2e-4;
 * - rounding of the two losses of a difference. Each result O carries about two units of f32, so that a difference over
 *   step h has the error 2 u |dE/dO O| sqrt(2) / (2 h); extrapolation makes it sqrt(16 + 1/4)/3 = 1.34 times that. Four of
 *   these are allowed.
 * Where the two steps' differences are further apart than a tenth of the gradient, they say nothing: `unsettled`.
 */
export function compareDifferences(m: ModelSpec, d: Differences): Row[] {
  const noise = 1.34 * 2 * U32 * d.rounding * (Math.SQRT2 / (2 * d.step));
  return byLayer(m, d.targets).map((indices, layer) => {
    const row = compareLayer(m, layer, d.analytic, (i) => (4 * d.fine[i]! - d.coarse[i]!) / 3, indices);
    const apart = compareLayer(m, layer, d.analytic, (i) => d.analytic[i]! + d.fine[i]! - d.coarse[i]!, indices);
    const used = (layer < m.layers ? m.width : outputsOf(m)) * m.width;
    // `error` is relative to the rms of the gradient, and so is the noise of one weight.
    const bound = 2e-4 + (noise === 0 ? 0 : (4 * noise) / (row.norm / Math.sqrt(used)));
    const right = row.error <= bound && row.largest <= bound;
    return { ...row, bound, verdict: right ? 'ok' : apart.error > 0.1 ? 'unsettled' : 'wrong' };
  });
}

/**
 * Another path's gradient against the f32 one, a row a layer. `results`, `slopes`: O and dE/dO of both at level 0.
 * f16 rounds images, activations and their gradients, to half a unit u = 2^-11 each: a gradient that has gone through H + 1
 * layers forward and back is off by about u sqrt(2 H + 4). Besides, dE/dO is computed from the rounded O: where result and
 * reference are close it changes much, absolute values change sides. How much it changed is measured, and enters as it is;
 * that O itself is right is a check of its own (`compareResults`). Sums over pixels cancel in the gradient more than in the
 * error: eight times both is allowed, but never more than a quarter of the gradient.
 */
export function comparePaths(m: ModelSpec, reference: Float32Array, other: Float32Array, slopes: { reference: Float32Array; other: Float32Array; pixels: number }): Row[] {
  let error2 = 0;
  let norm2 = 0;
  for (let p = 0; p < slopes.pixels; ++p)
    for (let c = 0; c < 3; ++c) {
      const i = 4 * p + c;
      error2 += (slopes.reference[i]! - slopes.other[i]!) ** 2;
      norm2 += slopes.reference[i]! ** 2;
    }
  const bound = Math.min(0.25, 8 * (U16 * Math.sqrt(2 * m.layers + 4) + (error2 === 0 ? 0 : Math.sqrt(error2 / norm2))));
  return Array.from({ length: m.layers + 1 }, (_, layer) => {
    const first = layer * m.width * m.width;
    const rows = layer < m.layers ? m.width : outputsOf(m);
    const row = compareLayer(m, layer, reference, (i) => other[i]!, Array.from({ length: rows * m.width }, (_unused, i) => first + i));
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
