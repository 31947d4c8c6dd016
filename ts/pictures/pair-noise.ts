// The noise that separates a noisy picture from a clean one of the same pixels (SPEC 1.3): var(x) = (a + 65535 max(x, 0) b) / 65535^2.

import { fromHalf } from '../formats/half.js';
import { fitLine, startLine, type Point } from '../noise/line.js';

const CODES = 65535;
/** Points of the fit, each of the values of about one brightness. */
const BINS = 24;
/** Standard deviation of normal values over the median of their absolute ones. */
const MAD = 1.4826;

/**
 * Fits to the differences, (pixel, rgba) f16. The spread of each brightness is taken by the median, so that a few edges that don't lie on
 * each other, or things that moved, change little.
 */
export function pairNoise(noisy: Uint16Array, clean: Uint16Array): { a: number; b: number } {
  const [n, c] = [fromHalf(noisy), fromHalf(clean)];
  const order = Uint32Array.from({ length: (n.length / 4) * 3 }, (_, i) => 4 * Math.floor(i / 3) + (i % 3)).sort((i, j) => c[i]! - c[j]!);
  const points: Point[] = [];
  const bins = Math.max(1, Math.min(BINS, Math.floor(order.length / 200)));
  for (let k = 0; k < bins; k++) {
    const bin = order.subarray(Math.floor((k * order.length) / bins), Math.floor(((k + 1) * order.length) / bins));
    const x = bin.reduce((s, i) => s + c[i]!, 0) / bin.length;
    const median = (values: Float64Array): number => values.sort()[values.length >> 1] ?? 0;
    const middle = median(Float64Array.from(bin, (i) => n[i]! - c[i]!));
    const v = (MAD * median(Float64Array.from(bin, (i) => Math.abs(n[i]! - c[i]! - middle)))) ** 2;
    // The median of absolute values knows the standard deviation to 1.17 / sqrt(2 n) of itself, the variance to twice that.
    if (v > 0) points.push({ x, v, error: 1.65 / Math.sqrt(bin.length) });
  }
  if (points.length === 0) return { a: 0, b: 0 };
  const { offset, slope } = fitLine(points, startLine(points)).line;
  return { a: offset * CODES ** 2, b: slope * CODES };
}
