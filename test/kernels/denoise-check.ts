// What kpn/denoise may leave of a level, given M of it and of the coarser level and the coarser O, all as the device holds them.
// Nothing between context and result is stored, so what rounding to f16 inside may do is carried along: every number is known
// to lie in a range, and a range that is rounded is that of its rounded ends. Most ranges are a single f16 number.
import { type Image, type ModelOptions, type Noise, TAPS, activate, activationSlope, applyForward, guardedSum, outputsOf, kernelWeights, LUMINANCE, makeImage, mlpShape, multiply, noiseGain, pixel, toHalf } from '../reference/index.js';
import { applied, channelSource, combined, context, detail, type Expected, guide, kernelOf, layerTerms, partCount, partOf, partTerms, planes, productsError, u } from './expected.js';

/** Numbers within `bound` of `value`. */
interface Range {
  value: Float64Array;
  bound: Float64Array;
}

const exact = (value: Float64Array): Range => ({ value, bound: new Float64Array(value.length) });
const abs = (v: Float64Array): Float64Array => v.map(Math.abs);
const sum = (v: readonly number[]): number => v.reduce((a, b) => a + b, 0);
const imageOf = (like: Image, channels: number, data: Float64Array): Image => makeImage(like.width, like.height, channels, data);

/** What numbers within the range become in f16. */
function rounded({ value, bound }: Range): Range {
  const low = value.map((v, i) => toHalf(v - bound[i]!));
  const high = value.map((v, i) => toHalf(v + bound[i]!));
  return { value: low.map((l, i) => (l + high[i]!) / 2), bound: low.map((l, i) => (high[i]! - l) / 2) };
}

/** One product for all pixels; f32 sums of W terms. */
function product(model: ModelOptions, weights: Float64Array, layer: number, input: Range): Range {
  const shape = mlpShape(model);
  const terms = layerTerms(model, weights, layer, input.value);
  const carried = multiply(shape, abs(weights), layer, input.bound);
  return { value: multiply(shape, weights, layer, input.value), bound: carried.map((e, i) => e + productsError(model.width + 2) * (terms[i]! + e)) };
}

function activated(model: ModelOptions, { value, bound }: Range): Range {
  const error = (z: number, e: number): number => (z < -e ? Math.abs(activationSlope(model.act, z)) : 1) * e;
  return { value: value.map((z) => activate(model.act, z)), bound: value.map((z, i) => error(z, bound[i]!)) };
}

/** Under prediff the taps, D, are rounded, and so is the guide: what a channel of the context may be off by for that. */
function lookErrors(model: ModelOptions, tapErrors: Image, guideErrors: Image, sigma: Image): Float64Array {
  const W = model.width;
  const relative = model.context !== 'star' && model.context !== 'window';
  const result = new Float64Array(sigma.width * sigma.height * W);
  for (let y = 0; y < sigma.height; y++)
    for (let x = 0; x < sigma.width; x++)
      for (let c = 0; c < W; c++) {
        const source = channelSource(model.context, c);
        if (!source) continue;
        const errors = source.from === 'taps' ? tapErrors : guideErrors;
        const at = pixel(errors, x + source.at[0], y + source.at[1]);
        const lum = (e: readonly number[]): number => sum(e.map((v, k) => v * LUMINANCE[k]!));
        const own = typeof source.of === 'number' ? at[source.of]! : source.of === 'sat' ? 2 * Math.max(...at) : lum(at) + (source.against ? lum(pixel(errors, x, y)) : 0);
        result[(y * sigma.width + x) * W + c] = own / (relative ? 4 * pixel(sigma, x, y)[0]! : 1);
      }
  return result;
}

/** Bound of what may be anything. (Not infinite: 0 times that is not a number.) */
const UNKNOWN = 1e12;

/** Largest change of the kernel's weights, each, for changes of K within `e`. */
function kernelChange(model: ModelOptions, K: number[], e: number[]): number[] {
  const k = kernelWeights(model, K);
  if (model.apply === 'softmax') return k.map((v) => v * Math.expm1(2 * model.sharp * Math.max(...e)));
  if (K.some((v, t) => Math.abs(Math.abs(v) - 10) <= e[t]!)) return k.map(() => UNKNOWN); // the guard may or may not replace it
  const free = e.map((v, t) => (Math.abs(K[t]!) >= 10 ? 0 : v));
  const total = sum(free);
  const divisor = Math.max(0.001, guardedSum(K) - total);
  return k.map((v, t) => (free[t]! + Math.abs(v) * total) / divisor);
}

/** I (h, w, 4) of each part, from taps and K. */
function filtered(model: ModelOptions, taps: Image, tapError: Image, K: Range): Range[] {
  const bounds = applied(model, taps, K.value);
  const slope = { plain: 1, sigmoid: 0.5, clamped: 1, const: 0 }[model.ablend];
  const last = (p: number, part: number): number => p * outputsOf(model.chroma) + 16 * part + 15;
  return planes(model, applyForward(model, taps, K.value)).map(({ data: value }, part) => {
    const { bound } = bounds[part]!;
    const terms = partTerms(model, part, imageOf(taps, 3, abs(taps.data)));
    const errors = partTerms(model, part, tapError);
    for (let y = 0; y < taps.height; y++)
      for (let x = 0; x < taps.width; x++) {
        const p = y * taps.width + x;
        const own = kernelOf(model, K.value, p, part);
        const k = kernelWeights(model, own);
        const change = kernelChange(model, own, kernelOf(model, K.bound, p, part));
        for (let c = 0; c < 3; c++)
          bound[4 * p + c]! += sum(TAPS.map(([dx, dy], t) => {
            const e = pixel(errors, x + dx, y + dy)[c]!;
            return change[t]! * (pixel(terms, x + dx, y + dy)[c]! + e) + Math.abs(k[t]!) * e;
          }));
        bound[4 * p + 3]! += slope * K.bound[last(p, part)]!;
      }
    return { value, bound };
  });
}

/** O of a level, or under postdiff I of each part (h, w, 4), which is then all that denoise leaves. */
function result(model: ModelOptions, I: readonly Range[], like: Image, below: Image | undefined): Range[] {
  if (model.combine === 'postdiff' && below) return [...I];
  const O = combined(model, I.map(({ value }) => imageOf(like, 4, value)), below);
  const U = below && imageOf(like, 3, combined(model, I.map(({ value }) => imageOf(like, 4, value.map((v, i) => (i % 4 === 3 ? 0 : v)))), below).value);
  const bound = O.bound.slice();
  for (let part = 0; part < partCount(model); part++) {
    const { value, bound: errors } = I[part]!;
    const smooth = U && model.combine === 'blend' ? partOf(model, part, U).data : undefined;
    for (let i = 0; i < bound.length; i++) {
      const at = 4 * Math.floor(i / 3);
      const error = errors[at + (i % 3)]!;
      const [a, da] = U ? [Math.abs(value[at + 3]!), errors[at + 3]!] : [1, 0];
      const d = Math.abs(value[at + (i % 3)]! - (smooth?.[i] ?? 0));
      bound[i]! += a * error + da * (d + error) + 14 * u * da * d; // of the blend weight a times what it multiplies, d
    }
  }
  return [{ value: O.value, bound }];
}

/** How many standard deviations of its noise a pixel changes by at most, of its luminance and of each channel (0: any), and how much of what is left is applied. */
export interface Finish {
  noise: Noise;
  limits: readonly [luminance: number, channel: number];
  strength: number;
}

/**
 * From the network's result (h, w, 3) to kpn's at the finest level. The share of a change that is applied lies in a range where the result does: between those of the least
 * and of the largest change and noise within it.
 */
export function finished(given: Float64Array, O: Range, { noise, limits, strength }: Finish): Range {
  const value = O.value.slice();
  const bound = O.bound.slice();
  const [luminance, channel] = limits;
  if (luminance === 0 && channel === 0 && strength === 1) return { value, bound };
  const sd = (variances: readonly number[], weights: readonly number[]): number => Math.sqrt(sum(variances.map((v, c) => weights[c]! ** 2 * v))) / 65535;
  for (let i = 0; i < value.length; i += 3) {
    const at = [i, i + 1, i + 2];
    const change = at.map((k) => O.value[k]! - given[k]!);
    const error = at.map((k) => O.bound[k]! + 4 * u * (Math.abs(O.value[k]!) + Math.abs(given[k]!)));
    const variances = (by: number): number[] => at.map((k, c) => noise.a + 65535 * noise.b * Math.max(given[k]!, O.value[k]! + by * error[c]!, 0));
    const rules = [{ limit: luminance, weights: LUMINANCE }, ...at.map((_, c) => ({ limit: channel, weights: at.map((__, k) => (k === c ? 1 : 0)) }))].filter(({ limit }) => limit > 0);
    /** The share where the change is `by` errors nearer to 0 (-1) or farther (1), and the noise the other way. */
    const share = (by: number): number => Math.min(1, ...rules.map(({ limit, weights }) => {
      const moved = Math.abs(sum(change.map((d, c) => d * weights[c]!))) + by * sum(error.map((e, c) => e * Math.abs(weights[c]!)));
      return moved <= 0 ? 1 : (limit * sd(variances(-by), weights)) / moved;
    }));
    const [least, middle, most] = [share(1), share(0), share(-1)];
    const off = Math.max(most - middle, middle - least) + 16 * u * middle;
    at.forEach((k, c) => {
      value[k] = given[k]! + strength * middle * change[c]!;
      bound[k] = strength * (middle * error[c]! + off * (Math.abs(change[c]!) + error[c]!)) + 4 * u * (Math.abs(O.value[k]!) + Math.abs(given[k]!));
    });
  }
  return { value, bound };
}

export interface Level {
  level: number;
  M: Image;
  /** Under prediff. */
  coarserM: Image | undefined;
  /** O of the coarser level, under prediff at the coarsest its M; undefined at the coarsest of the others. */
  below: Image | undefined;
  noise: Noise;
  /** Where this level's O is kpn's result. */
  finish: Finish | undefined;
}

/** O; under postdiff, but for the coarsest level, I of each part. */
export function denoised(model: ModelOptions, weights: Float64Array, { level, M, coarserM, below, noise, finish }: Level): Expected[] {
  const gain = noiseGain(level, model.pyramid);
  const D = coarserM ? rounded(detail(model, M, coarserM)) : exact(M.data);
  const taps = imageOf(M, 3, D.value);
  const tapError = imageOf(M, 3, D.bound);
  const G = model.context === 'guide' && below && level < model.levels - 1 ? rounded(guide(model, M, below)) : exact(M.data);
  const seen = context(model, { M, taps, G: imageOf(M, 3, G.value), noise, gain });
  const sigma = imageOf(M, 1, Float64Array.from({ length: M.width * M.height }, (_, p) => Math.max(1e-5, sigmaOf(M, p, noise, gain))));
  const more = lookErrors(model, tapError, imageOf(M, 3, G.bound), sigma);
  let A = rounded({ value: seen.value, bound: seen.bound.map((e, i) => e + more[i]! * (1 + 2 ** -10)) });
  for (let l = 0; l < model.layers; l++) A = rounded(activated(model, product(model, weights, l, A)));
  const I = filtered(model, taps, tapError, rounded(product(model, weights, model.layers, A)));
  const results = result(model, I, M, below);
  return results.map((O) => ({ ...(finish ? finished(M.data, O, finish) : O), stored: 1 }));
}

function sigmaOf(M: Image, p: number, { a, b }: Noise, gain: number): number {
  const lum = sum([0, 1, 2].map((c) => M.data[3 * p + c]! * LUMINANCE[c]!));
  return (gain * Math.sqrt(a + 65535 * Math.max(lum, 0) * b)) / 65535;
}
