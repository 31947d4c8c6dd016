// Reference: kernel weights and blend weights from the network's outputs, the 15-tap convolution and its derivatives
// (SPEC 1.5, 1.6 chroma, 2 dapply).
import { type Image, TAPS, luminance, makeImage, pixel } from './image.js';

export type Apply = 'softmax' | 'plain';
export type AlphaBlend = 'plain' | 'sigmoid' | 'clamped' | 'const';

export interface ApplyOptions {
  readonly apply: Apply;
  /** Sharpness s of softmax. */
  readonly sharp: number;
  readonly ablend: AlphaBlend;
  readonly chroma: boolean;
}

export const TAP_COUNT = 15;
const GUARD = 10;
const GUARD_VALUE = 0.001;
const MIN_SUM = 0.001;

/** vkdt's guard of `plain`: taps this large are replaced and get no gradient. */
export const isGuarded = (K: number): boolean => Math.abs(K) >= GUARD;

const guardedTaps = (K: readonly number[]): number[] => K.map((v) => (isGuarded(v) ? GUARD_VALUE : v));
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Sum of the taps after the guard. */
export const guardedSum = (K: readonly number[]): number => sum(guardedTaps(K));

/** True where `plain` divides by the sum and not by its lower limit. */
export const dividesBySum = (total: number): boolean => total > MIN_SUM;

/** Kernel weights k_t from the 15 outputs K_t. */
export function kernelWeights(options: ApplyOptions, K: readonly number[]): number[] {
  if (options.apply === 'plain') {
    const taps = guardedTaps(K);
    const divisor = Math.max(MIN_SUM, sum(taps));
    return taps.map((v) => v / divisor);
  }
  const largest = Math.max(...K);
  const e = K.map((v) => Math.exp(options.sharp * (v - largest)));
  const total = sum(e);
  return e.map((v) => v / total);
}

/** Gradient by K_t from the gradient by k_t, dk. */
export function kernelWeightsBackward(options: ApplyOptions, K: readonly number[], dk: readonly number[]): number[] {
  const k = kernelWeights(options, K);
  const mean = sum(k.map((v, t) => v * dk[t]!)); // what the normalisation takes from every tap
  if (options.apply === 'softmax') return k.map((v, t) => options.sharp * v * (dk[t]! - mean));
  const total = guardedSum(K);
  const divisor = Math.max(MIN_SUM, total);
  return K.map((v, t) => (isGuarded(v) ? 0 : (dk[t]! - (dividesBySum(total) ? mean : 0)) / divisor));
}

/** Blend weight from its output K. */
export function blendWeight(ablend: AlphaBlend, K: number): number {
  switch (ablend) {
    case 'plain': return K;
    case 'sigmoid': return (0.5 * K) / Math.sqrt(1 + K * K) + 0.5;
    case 'clamped': return Math.min(Math.max(K, 0), 1);
    case 'const': return 1;
  }
}

export function blendWeightSlope(ablend: AlphaBlend, K: number): number {
  switch (ablend) {
    case 'plain': return 1;
    case 'sigmoid': return 0.5 / (1 + K * K) ** 1.5;
    case 'clamped': return K > 0 && K < 1 ? 1 : 0;
    case 'const': return 0;
  }
}

/**
 * One kernel with its blend weight: which outputs drive it, what it convolves and where the result goes.
 * Without chroma one part acts on rgb; with chroma one acts on luminance and one on rgb - luminance.
 */
export interface Part {
  /** First of its 16 outputs in K: 15 taps, then the blend weight. */
  readonly output: number;
  /** First of its channels in I and how many they are. */
  readonly channel: number;
  readonly count: number;
  /** Channel of its blend weight in I. */
  readonly alpha: number;
  /** What it convolves, of a pixel's rgb. */
  readonly select: (rgb: readonly number[]) => number[];
}

const RGB: Part = { output: 0, channel: 0, count: 3, alpha: 3, select: (rgb) => [...rgb] };
const LUMA: Part = { output: 0, channel: 0, count: 1, alpha: 4, select: (rgb) => [luminance(rgb)] };
const CHROMA: Part = { output: 16, channel: 1, count: 3, alpha: 5, select: (rgb) => rgb.map((v) => v - luminance(rgb)) };

export const parts = (chroma: boolean): readonly Part[] => (chroma ? [LUMA, CHROMA] : [RGB]);
/** Channels of I: r g b a, with chroma Y Cr Cg Cb aY aC. */
export const channelsOfI = (chroma: boolean): number => (chroma ? 6 : 4);
/** Outputs of the network: 16, with chroma 32. */
export const outputsOf = (chroma: boolean): number => (chroma ? 32 : 16);

const tapValues = (M: Image, x: number, y: number, part: Part): number[][] =>
  TAPS.map(([dx, dy]) => part.select(pixel(M, x + dx, y + dy)));

/** M (h, w, 3), K (h*w, outputs) -> I (h, w, 4 or 6). Under `prediff` M is D. */
export function applyForward(options: ApplyOptions, M: Image, K: Float64Array): Image {
  const outputs = outputsOf(options.chroma);
  const I = makeImage(M.width, M.height, channelsOfI(options.chroma));
  for (let y = 0; y < M.height; y++)
    for (let x = 0; x < M.width; x++)
      for (const part of parts(options.chroma)) {
        const p = y * M.width + x;
        const at = p * outputs + part.output;
        const k = kernelWeights(options, Array.from(K.subarray(at, at + TAP_COUNT)));
        const values = tapValues(M, x, y, part);
        for (let c = 0; c < part.count; c++)
          I.data[p * I.channels + part.channel + c] = sum(k.map((v, t) => v * values[t]![c]!));
        I.data[p * I.channels + part.alpha] = blendWeight(options.ablend, K[at + TAP_COUNT]!);
      }
  return I;
}

/** dE/dI (h, w, 4 or 6) -> dE/dK (h*w, outputs). A part whose gradient is exactly 0 gives 0, whatever M and K hold. */
export function applyBackward(options: ApplyOptions, M: Image, K: Float64Array, dI: Image): Float64Array {
  const outputs = outputsOf(options.chroma);
  const dK = new Float64Array(M.width * M.height * outputs);
  for (let y = 0; y < M.height; y++)
    for (let x = 0; x < M.width; x++)
      for (const part of parts(options.chroma)) {
        const p = y * M.width + x;
        const at = p * outputs + part.output;
        const g = pixel(dI, x, y, part.channel, part.count);
        if (g.some((v) => v !== 0)) {
          const dk = tapValues(M, x, y, part).map((value) => sum(value.map((v, c) => v * g[c]!)));
          dK.set(kernelWeightsBackward(options, Array.from(K.subarray(at, at + TAP_COUNT)), dk), at);
        }
        const gAlpha = dI.data[p * dI.channels + part.alpha]!;
        if (gAlpha !== 0) dK[at + TAP_COUNT] = gAlpha * blendWeightSlope(options.ablend, K[at + TAP_COUNT]!);
      }
  return dK;
}
