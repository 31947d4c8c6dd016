// The layers in f64 on the host, rounded to f16 where the kernels store: what `vkpn bench` compares results with (SPEC 1.4, 2). Pure.

import { fromHalf, toHalf } from '../formats/half.js';
import { randomUniform } from '../model/init.js';
import { SLOPE } from '../model/spec.js';

const outputs = 16;

/**
 * A pixel is drawn anew where a pre-activation is nearer to 0 than this: there a rounding decides which slope the gradient meets. Sums in f32 are off by
 * 1e-6, but now and then that turns a rounding to f16 the other way, and then the layers above are off by up to 0.002 (W=128, H=8).
 */
const margin = 2 ** -8.5;

/** As stored in f16. */
const rounded = (values: Float32Array): Float32Array => fromHalf(toHalf(values).data);
/** Without doubled effort: 0.001 v where v is not positive. */
const activate = (v: number): number => (v > 0 ? v : SLOPE * v);

export interface NetworkShape {
  width: number;
  layers: number;
}

/** Random weights and a period of random pixels, with all that comes of them. A batch holds the period again and again. */
export class Network {
  /** (layer, out, in), values of f16. */
  readonly weights: Float32Array;
  /** (pixel, W), values of f16. */
  readonly x: Float32Array;
  /** (pixel, 16): dE/dK, values of f16. */
  readonly dK: Float32Array;
  /** (pixel, 16), values of f16. */
  readonly K: Float32Array;
  /** A_{l-1} a layer, x first: (1 + layer, pixel, W). */
  private readonly A: Float32Array[];

  /** `period`: distinct pixels. Weights are scaled so that activations keep their size through the layers. */
  constructor(
    readonly shape: NetworkShape,
    readonly period: number,
    seed: number,
  ) {
    const { width: W, layers: H } = shape;
    const random = randomUniform(seed);
    const uniform = (count: number, bound: number): Float32Array => rounded(Float32Array.from({ length: count }, () => bound * (2 * random() - 1)));
    this.weights = uniform((H + 1) * W * W, Math.sqrt(6 / W));
    this.weights.fill(0, H * W * W + outputs * W);
    this.A = Array.from({ length: H + 1 }, () => new Float32Array(period * W));
    this.x = this.A[0]!;
    this.K = new Float32Array(period * outputs);
    this.dK = uniform(period * outputs, 1);
    for (let p = 0; p < period; ++p) while (!this.forward(p, uniform(W, 1)));
  }

  /** False where a pre-activation is too near to 0. */
  private forward(p: number, x: Float32Array): boolean {
    const { width: W, layers: H } = this.shape;
    let a = x;
    this.A[0]!.set(a, p * W);
    for (let l = 0; l < H; ++l) {
      const z = this.multiply(l, a, W);
      if (z.some((v) => Math.abs(v) < margin)) return false;
      a = rounded(Float32Array.from(z, activate));
      this.A[l + 1]!.set(a, p * W);
    }
    this.K.set(rounded(Float32Array.from(this.multiply(H, a, outputs))), p * outputs);
    return true;
  }

  private multiply(l: number, a: Float32Array, rows: number): Float64Array {
    const { width: W } = this.shape;
    const { weights } = this;
    const z = new Float64Array(rows);
    for (let o = 0; o < rows; ++o) {
      let sum = 0;
      for (let i = 0, at = (l * W + o) * W; i < W; ++i) sum += weights[at + i]! * a[i]!;
      z[o] = sum;
    }
    return z;
  }

  private dA: Float32Array[] | undefined;

  /** dE/dA a layer, dE/dK last, of the period. */
  private gradients(): Float32Array[] {
    if (this.dA) return this.dA;
    const { width: W, layers: H } = this.shape;
    const dA: Float32Array[] = Array.from({ length: H }, () => new Float32Array(this.period * W));
    dA.push(this.dK);
    for (let p = 0; p < this.period; ++p)
      for (let l = H; l > 0; --l) {
        const rows = l === H ? outputs : W;
        const below = new Float64Array(W);
        for (let o = 0; o < rows; ++o) {
          const d = dA[l]![p * rows + o]!;
          for (let i = 0, at = (l * W + o) * W; i < W; ++i) below[i]! += this.weights[at + i]! * d;
        }
        const A = this.A[l]!;
        dA[l - 1]!.set(rounded(Float32Array.from(below, (v, i) => (A[p * W + i]! > 0 ? v : SLOPE * v))), p * W);
      }
    return (this.dA = dA);
  }

  /** dE/dw (layer, out, in) of a batch of so many pixels. */
  gradient(pixels: number): Float64Array {
    const { width: W, layers: H } = this.shape;
    const dA = this.gradients();
    const dw = new Float64Array((H + 1) * W * W);
    for (let p = 0; p < Math.min(pixels, this.period); ++p) {
      const times = Math.floor((pixels - 1 - p) / this.period) + 1;
      for (let l = 0; l <= H; ++l) {
        const rows = l === H ? outputs : W;
        const A = this.A[l]!.subarray(p * W, (p + 1) * W);
        for (let o = 0; o < rows; ++o) {
          const d = times * dA[l]![p * rows + o]!;
          for (let i = 0, at = (l * W + o) * W; i < W; ++i) dw[at + i]! += d * A[i]!;
        }
      }
    }
    return dw;
  }
}

/** How far results are off, in parts of the wanted values' root mean square. */
export interface Deviation {
  rms: number;
  max: number;
}

/** What is off too far, in words; or the deviation. */
export type Verdict = { deviation: Deviation } | { wrong: string };

/** Bounds of Deviation. */
export interface Bounds {
  rms: number;
  max: number;
}

/**
 * Compares got[i] with want[i % want.length]; NaN is off by any measure. `name(i)` says which value i is.
 */
export function compare(got: ArrayLike<number>, want: ArrayLike<number>, bounds: Bounds, name: (i: number) => string): Verdict {
  let square = 0;
  for (let i = 0; i < want.length; ++i) square += want[i]! ** 2;
  const scale = Math.sqrt(square / want.length) || 1;
  let sum = 0;
  let max = 0;
  let worst = 0;
  for (let i = 0, k = 0; i < got.length; ++i, k = k + 1 === want.length ? 0 : k + 1) {
    const off = Math.abs(got[i]! - want[k]!);
    if (!(off <= max)) {
      max = off;
      worst = i;
      if (!(off < Infinity)) break;
    }
    sum += off * off;
  }
  const deviation = { rms: Math.sqrt(sum / got.length) / scale, max: max / scale };
  if (deviation.max <= bounds.max && deviation.rms <= bounds.rms) return { deviation };
  const value = `${name(worst)} is ${got[worst]}, not ${want[worst % want.length]}`;
  return { wrong: deviation.max <= bounds.max ? `root mean square error ${deviation.rms.toExponential(1)}, more than ${bounds.rms.toExponential(1)} of the values' own; most at ${value}` : value };
}
