// Reference: the losses and their gradients (SPEC 1.7, 2 loss), by one channel of one pixel.
import { type Image, type Noise, makeImage } from './image.js';

export type Loss = 'l2' | 'smape' | 'cosh' | 'rel' | 'enc' | 'even';

const SMAPE_EPS = 0.001;
const ENC_OFFSET = 0.05;
const MIN_VARIANCE = 1e-10;

/** Variance of the noise at the reference's value, kept from 0. */
const variance = (t: number, noise: Noise): number => Math.max((noise.a + 65535 * Math.max(t, 0) * noise.b) / 65535 ** 2, MIN_VARIANCE);

/** What the loss `even` divides by: between the noise's sigma and what `enc` divides by. */
const evening = (t: number, noise: Noise): number => (variance(t, noise) * (Math.abs(t) + ENC_OFFSET)) ** 0.25;

/** Loss of result `r` against reference `t`. */
export function lossOf(loss: Loss, r: number, t: number, noise: Noise): number {
  switch (loss) {
    case 'l2': return (r - t) ** 2;
    case 'smape': return Math.abs(r - t) / (Math.abs(r) + Math.abs(t) + SMAPE_EPS);
    case 'cosh': return 2 * Math.sinh((r - t) / 2) ** 2; // cosh - 1 without its cancellation
    case 'rel': return (r - t) ** 2 / variance(t, noise);
    case 'enc': return Math.abs(r - t) / Math.sqrt(Math.abs(t) + ENC_OFFSET);
    case 'even': return Math.abs(r - t) / evening(t, noise);
  }
}

/** Derivative of `lossOf` by r; the sign of 0 is 0. */
export function lossSlope(loss: Loss, r: number, t: number, noise: Noise): number {
  const sign = Math.sign(r - t);
  switch (loss) {
    case 'l2': return 2 * (r - t);
    case 'smape': return (sign * (Math.abs(t) + SMAPE_EPS + t * Math.sign(r))) / (Math.abs(r) + Math.abs(t) + SMAPE_EPS) ** 2;
    case 'cosh': return Math.sinh(r - t);
    case 'rel': return (2 * (r - t)) / variance(t, noise);
    case 'enc': return sign / Math.sqrt(Math.abs(t) + ENC_OFFSET);
    case 'even': return sign / evening(t, noise);
  }
}

export interface LossResult {
  /** Loss of every pixel, summed over rgb, (h*w); 0 where the pixel is bad. */
  readonly perPixel: Float64Array;
  /** Sum over pixels and rgb. */
  readonly loss: number;
  /** dE/dO_0, (h, w, 3); 0 where the pixel is bad. */
  readonly dO: Image;
  /** Pixels whose result, loss or gradient is NaN or infinite. */
  readonly badPixels: number;
}

/** Loss of a tile, output and reference (h, w, 3). */
export function lossForward(loss: Loss, output: Image, reference: Image, noise: Noise): LossResult {
  const n = output.width * output.height;
  const perPixel = new Float64Array(n);
  const dO = makeImage(output.width, output.height, 3);
  let badPixels = 0;
  for (let p = 0; p < n; p++) {
    const r = output.data.subarray(p * 3, p * 3 + 3);
    const t = reference.data.subarray(p * 3, p * 3 + 3);
    const value = r.reduce((sum, v, c) => sum + lossOf(loss, v, t[c]!, noise), 0);
    const slope = r.map((v, c) => lossSlope(loss, v, t[c]!, noise));
    if (![value, ...r, ...slope].every(Number.isFinite)) {
      badPixels++;
      continue;
    }
    perPixel[p] = value;
    dO.data.set(slope, p * 3);
  }
  return { perPixel, loss: perPixel.reduce((a, b) => a + b, 0), dO, badPixels };
}
