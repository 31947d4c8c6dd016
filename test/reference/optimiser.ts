// Reference: gradient clipping, L2, Adam with bias correction, the rules about NaN, and the initial weights (SPEC 3).
import { weightCount } from './mlp.js';

export interface AdamOptions {
  readonly alpha: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly L2: number;
  readonly gradclip: number;
}

/** kpn-t's defaults. */
export const ADAM_DEFAULTS: AdamOptions = { alpha: 0.01, beta1: 0.99, beta2: 0.999, eps: 0.0001, L2: 0.001, gradclip: 1000 };

export interface AdamState {
  readonly w: Float64Array;
  readonly moment1: Float64Array;
  readonly moment2: Float64Array;
  /** Updates made so far. */
  readonly n: number;
  /** Updates skipped so far. */
  readonly skipped: number;
}

export const initialState = (w: Float64Array): AdamState => ({
  w: Float64Array.from(w), moment1: new Float64Array(w.length), moment2: new Float64Array(w.length), n: 0, skipped: 0,
});

export const gradientNorm = (g: Float64Array): number => Math.sqrt(g.reduce((sum, v) => sum + v * v, 0));

/** g scaled down to the norm `gradclip` if it is longer. */
export function clipped(g: Float64Array, gradclip: number): Float64Array {
  const norm = gradientNorm(g);
  return norm > gradclip ? g.map((v) => (v * gradclip) / norm) : Float64Array.from(g);
}

/**
 * One update from the unscaled gradient dw; `round` (e.g. Math.fround) is applied to what is stored. If any weight or
 * moment came out NaN or infinite, all stay as they are, n too, and the update counts as skipped.
 */
export function adamStep(state: AdamState, dw: Float64Array, options: AdamOptions, round: (value: number) => number = (v) => v): AdamState {
  const { alpha, beta1, beta2, eps, L2, gradclip } = options;
  const n = state.n + 1;
  const g = clipped(dw, gradclip).map((v, i) => v + 2 * L2 * state.w[i]!);
  const moment1 = state.moment1.map((m, i) => round(beta1 * m + (1 - beta1) * g[i]!));
  const moment2 = state.moment2.map((m, i) => round(beta2 * m + (1 - beta2) * g[i]! ** 2));
  const w = state.w.map((v, i) => {
    const mean = moment1[i]! / (1 - beta1 ** n);
    const square = moment2[i]! / (1 - beta2 ** n);
    return round(v - (alpha * mean) / (Math.sqrt(square) + eps));
  });
  const isFinite = [w, moment1, moment2].every((values) => values.every(Number.isFinite));
  return isFinite ? { w, moment1, moment2, n, skipped: state.skipped } : { ...state, skipped: state.skipped + 1 };
}

/** What gradients usually are: mean and variance of log |g|, of `count` gradients. */
export interface UsualNorm {
  readonly count: number;
  readonly mean: number;
  readonly variance: number;
}

/**
 * Parameter `outlier` (docs/cfg.md): takes a gradient's norm in; whether its update is skipped. Over the first 100 gradients mean and variance are
 * those of all of them; after that each counts a hundredth, no farther from the mean than `outlier` standard deviations (a sixteenth at least).
 */
export function usualNorm(usual: UsualNorm, norm: number, outlier: number): { usual: UsualNorm; skip: boolean } {
  if (norm === 0) return { usual, skip: false };
  const { count, mean, variance } = usual;
  const value = Math.log(norm);
  if (count < 100) {
    // Welford's recursion, exact.
    const next = mean + (value - mean) / (count + 1);
    return { usual: { count: count + 1, mean: next, variance: (count * variance + (value - mean) * (value - next)) / (count + 1) }, skip: false };
  }
  const limit = outlier * Math.max(Math.sqrt(variance), 1 / 16);
  const counted = Math.min(mean + limit, Math.max(mean - limit, value));
  // Mean and mean square as exponential means, the variance from them.
  const next = 0.99 * mean + 0.01 * counted;
  const square = 0.99 * (variance + mean * mean) + 0.01 * counted * counted;
  return { usual: { count, mean: next, variance: square - next * next }, skip: value > mean + limit };
}

/** Xavier: initial weights are uniform in +-this. */
export const xavierBound = (width: number): number => Math.sqrt(6 / (width + width));

/** Xavier-uniform weights in SPEC's layout from `random`, uniform in [0, 1); unused rows of the last matrix are 0. */
export function xavierWeights(shape: { width: number; layers: number; outputs: number }, random: () => number): Float64Array {
  const { width, layers, outputs } = shape;
  return new Float64Array(weightCount(shape)).map((_, i) => {
    const layer = Math.floor(i / width ** 2);
    const row = Math.floor(i / width) % width;
    return layer < layers || row < outputs ? (2 * random() - 1) * xavierBound(width) : 0;
  });
}
