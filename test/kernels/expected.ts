// What each kernel must compute from given inputs, by the reference (test/reference), and how far from that it may be.
//
// The bounds are derived, not fitted. u = 2^-24 is the relative error of one f32 operation. A sum of n terms in any order is
// off by at most n u T, T the sum of the absolute values of its terms; functions are as exact as Vulkan requires of them
// (division 2.5 ulp = 5u, inversesqrt 2 ulp, sqrt the two together, exp 3 + 2|x| ulp, log2 3 ulp). T is found by running the
// reference with absolute values: all resamplings have weights >= 0. Each function says its count of roundings N. Constants add
// up to more roundings than there are, never to another order of magnitude: a term that is missing or has another weight is far
// outside. What is then stored as f16 must be the rounding of a number within the bound (`compare`).
import {
  type AdamOptions, type Image, type ModelOptions, type Noise, TAPS, activate, activationSlope, adamStep, addScaled, applyBackward,
  applyForward, blendWeightSlope, channels, contexts, down, downTransposed, gradientNorm, guardedSum,
  isGuarded, kernelWeights, outputsOf, parts, lossOf, lossSlope, luminance, makeImage, mlpShape, multiply, noiseSigma, pixel, rowsOf, saturation, up2, up2Transposed, LUMINANCE,
} from '../reference/index.js';

/** A picture between two steps of a kernel: exact where it is what the device left in memory, else known but for errors this large. */
export interface Known {
  image: Image;
  error?: Image;
}

/** What is expected, as a picture. */
export const known = ({ value, bound }: Expected, { width, height }: Image): Known => ({ image: makeImage(width, height, 3, value), error: makeImage(width, height, 3, bound) });

/** Values and the largest error allowed to each. */
export interface Expected {
  value: Float64Array;
  bound: Float64Array;
  /** Given where the value is stored in the batch's format, multiplied by this: it is rounded, and infinite past its range. */
  stored?: number;
}

export const u = 2 ** -24;

/**
 * Relative error of a sum of n products of f16, by the sum of their absolute values. Where matrices sum in f16 (paths.ts), products of a
 * tile, 16 at most, go through as many roundings to f16 first.
 */
export const productsError = (n: number): number => n * u + (process.env.VKPN_F16_SUMS === undefined ? 0 : 16 * 2 ** -11);

const abs = (image: Image): Image => makeImage(image.width, image.height, image.channels, image.data.map(Math.abs));
const rgb = (image: Image): Image => channels(image, 0, 3);
const expected = (value: Float64Array, bound: (v: number, i: number) => number): Expected => ({ value, bound: value.map(bound) });
const stored = (e: Expected, scale = 1): Expected => ({ ...e, stored: scale });
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const map3 = (image: Image, f: (value: number, p: number, c: number) => number): Image =>
  makeImage(image.width, image.height, 3, rgb(image).data.map((v, i) => f(v, Math.floor(i / 3), i % 3)));

/** mip, box: level `level` straight from the picture; a mean of 4^level pixels: N = 4^level. */
export function boxMip(input: Image, level: number): Expected {
  let exact = rgb(input);
  let terms = abs(exact);
  for (let i = 0; i < level; i++) [exact, terms] = [down(exact, 'box'), down(terms, 'box')];
  return stored(expected(exact.data, (_, i) => (level === 0 ? 0 : 4 ** level * u * terms.data[i]!)));
}

/** down of an image: 25 terms and their weights: N = 27. */
export function downOnce(model: ModelOptions, fine: Image, isStored: boolean): Expected {
  const terms = down(abs(rgb(fine)), model.pyramid);
  const e = expected(down(rgb(fine), model.pyramid).data, (_, i) => 27 * u * terms.data[i]!);
  return isStored ? stored(e) : e;
}

/** detail: 9 terms, their weights, a difference: N = 12. */
export function detail(model: ModelOptions, M: Image, coarse: Image): Expected {
  const enlarge = (c: Image): Image => up2(c, M.width, M.height, model.pyramid, model.up);
  const terms = addScaled(abs(M), enlarge(abs(coarse)), 1);
  return stored(expected(addScaled(M, enlarge(coarse), -1).data, (_, i) => 12 * u * terms.data[i]!));
}

/** up2 of O: 9 terms and their weights: N = 12. */
export function guide(model: ModelOptions, like: Image, coarser: Image): Expected {
  const { U, UTerms } = enlarged(model, like, coarser);
  return stored(expected(U!.data, (_, i) => 12 * u * UTerms!.data[i]!));
}

interface Seen {
  M: Image;
  taps: Image;
  /** Context guide: the guide, M at the coarsest level. */
  G?: Image | undefined;
  noise: Noise;
  gain: number;
}

/** Error of a pixel's luminance: three products and two sums. */
const luminanceError = (v: readonly number[]): number => 5 * u * sum(v.map((x, c) => Math.abs(x) * LUMINANCE[c]!));

/** Sigma of the pixel and its error. A root's error is that of its argument y by 2 sqrt(y), near 0 the root of y's error. */
function sigmaAndError({ M, noise, gain }: Seen, x: number, y: number): { sigma: number; error: number } {
  const centre = pixel(M, x, y);
  const sigma = noiseSigma(noise, luminance(centre), gain);
  const shot = 65535 * noise.b;
  const argument = noise.a + shot * Math.max(luminance(centre), 0);
  const dy = 6 * u * argument + shot * luminanceError(centre);
  const root = argument > 2 * dy ? dy / (2 * Math.sqrt(argument - dy)) : Math.sqrt(2 * dy);
  return { sigma, error: (gain * root) / 65535 + 12 * u * sigma };
}

/** A channel's number before it is divided by sigma, where it is, and that number's error. */
interface Looked {
  size: number;
  error: number;
}

const CROSS = [[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]] as const;

type Look = (at: readonly [number, number]) => Looked;

/** Luminance and saturation of the pixel there; `against` the centre's luminance. */
function looks(image: Image, x: number, y: number): { lum: Look; sat: Look; against: Look } {
  const at = (d: readonly [number, number]): number[] => pixel(image, x + d[0], y + d[1]);
  const lum: Look = (d) => ({ size: Math.abs(luminance(at(d))), error: luminanceError(at(d)) });
  const centre = lum([0, 0]);
  return {
    lum,
    sat: (d) => ({ size: saturation(at(d)), error: 2 * u * saturation(at(d)) }),
    against: (d) => ({ size: Math.abs(luminance(at(d)) - luminance(at([0, 0]))), error: lum(d).error + centre.error }),
  };
}

/** Where a channel of the context looks: luminance, saturation or a colour of the taps, the guide, or what M differs from it by. */
export interface Source {
  at: readonly [number, number];
  of: 'lum' | 'sat' | 0 | 1 | 2;
  from: 'taps' | 'G' | 'M - G';
  /** Less the centre's. */
  against?: boolean;
}

/** Undefined for channels that look at no pixel but the centre's noise. */
export function channelSource(context: ModelOptions['context'], channel: number): Source | undefined {
  const taps = { from: 'taps', against: context !== 'star' && context !== 'window' } as const;
  const lum = (at: Source['at'] | undefined, from: Source['from'] = 'taps'): Source | undefined => at && { at, of: 'lum', from, against: from !== 'M - G' && taps.against };
  const sat = (at: Source['at'] | undefined, from: Source['from'] = 'taps'): Source | undefined => at && { at, of: 'sat', from };
  if (context === 'window') return channel < 64 ? lum([Math.floor(channel / 8) - 4, (channel % 8) - 4]) : undefined;
  if (context === 'wnorm') return channel < 49 ? lum([(channel % 7) - 3, Math.floor(channel / 7) - 3]) : sat(CROSS[channel - 49]);
  if (context === 'guide') {
    if (channel < 30) return channel < 15 ? lum(TAPS[channel]) : lum(TAPS[channel - 15], 'G');
    if (channel < 40) return channel < 35 ? sat(CROSS[channel - 30]) : sat(CROSS[channel - 35], 'G');
    return channel < 43 ? { at: [0, 0], of: (channel - 40) as 0 | 1 | 2, from: 'M - G' } : lum(CROSS[channel - 43], 'M - G');
  }
  if (channel >= 30) return undefined;
  return channel % 2 ? sat(TAPS[channel >> 1]) : lum(TAPS[channel >> 1]);
}

function looked({ at, of, from, against }: Source, { M, taps, G }: Seen, x: number, y: number): Looked {
  const own = looks(from === 'G' ? G! : taps, x, y);
  if (from !== 'M - G') return of === 'sat' ? own.sat(at) : against ? own.against(at) : own.lum(at);
  const [m, g] = [M, G!].map((image) => pixel(image, x + at[0], y + at[1])) as [number[], number[]];
  if (typeof of === 'number') return { size: Math.abs(m[of]! - g[of]!), error: 0 };
  return { size: Math.abs(luminance(m) - luminance(g)), error: luminanceError(m) + luminanceError(g) };
}

const SIGMA_CHANNEL: Record<ModelOptions['context'], number> = { star: 30, norm: 30, wnorm: 54, guide: 48, window: -1 };

/** The context (SPEC 1.3): errors of luminance, saturation, sigma, and where divided by sigma those of the quotient. */
export function context(model: ModelOptions, seen: Seen): Expected {
  const W = model.width;
  const { width, height } = seen.M;
  const value = contexts(model.context, W, seen);
  const bound = new Float64Array(value.length);
  const relative = model.context !== 'star' && model.context !== 'window';
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const { sigma, error } = sigmaAndError(seen, x, y);
      const s = Math.max(sigma, 1e-5);
      for (let c = 0; c < W; c++) {
        const source = channelSource(model.context, c);
        let e = 0;
        if (source) {
          const own = looked(source, seen, x, y);
          e = relative ? (own.error + own.size * (error / s + 12 * u)) / (4 * s) : own.error;
        } else if (c === SIGMA_CHANNEL[model.context]) e = relative ? (error / s / Math.LN2 + 8 * u * Math.abs(Math.log2(s)) + 2 ** -21) / 8 : error;
        bound[(y * width + x) * W + c] = e;
      }
    }
  return stored({ value, bound });
}

/**
 * Sizes of factors in f16, for the error of a sum of products. Matrix units align products by their factors' exponents, and f16 has none
 * below that of 2^-14: where dE/dA is a few 2^-24, as under a kernel whose taps all see the same pixel, up to ten of f32's bits are lost
 * (an H100: dE/dw of 2e-11, off by 1e-5 of itself). `scale`: of what f16 holds.
 */
const sizesOf = (values: Float64Array, scale = 1): Float64Array => values.map((v) => (v === 0 ? 0 : Math.max(Math.abs(v), SMALLEST_EXPONENT / scale)));
const SMALLEST_EXPONENT = 2 ** -14;

/** Sum of the sizes of the terms of a layer's product. */
export const layerTerms = (model: ModelOptions, weights: Float64Array, layer: number, input: Float64Array): Float64Array =>
  multiply(mlpShape(model), sizesOf(weights), layer, sizesOf(input));

/** A hidden layer: W terms, the slope: N = W + 2. Products of two f16 are exact in f32. */
export function hidden(model: ModelOptions, weights: Float64Array, layer: number, input: Float64Array): Expected {
  const z = multiply(mlpShape(model), weights, layer, input);
  const terms = layerTerms(model, weights, layer, input);
  const value = z.map((v) => activate(model.act, v));
  return stored(expected(value, (_, i) => {
    const e = productsError(model.width + 2) * terms[i]!;
    const slope = z[i]! < -e ? Math.abs(activationSlope(model.act, z[i]!)) : 1;
    return slope * e;
  }));
}

/** K: W terms. */
export function outputs(model: ModelOptions, weights: Float64Array, input: Float64Array): Expected {
  const terms = layerTerms(model, weights, model.layers, input);
  return stored(expected(multiply(mlpShape(model), weights, model.layers, input), (_, i) => productsError(model.width + 2) * terms[i]!));
}

/**
 * Relative error of the kernel's weights. softmax: of exp(a), 3|a| u by its argument and 3 + 2|a| ulp of its own, of the
 * sum as much again, and 25 further roundings. plain: the sum's 15 terms may cancel; 8 further roundings.
 */
function kernelError(model: ModelOptions, K: readonly number[]): number {
  if (model.apply === 'softmax') return (14 * model.sharp * (Math.max(...K) - Math.min(...K)) + 40) * u;
  const terms = sum(K.map((v) => (isGuarded(v) ? 0.001 : Math.abs(v))));
  return (16 * terms * u) / Math.max(0.001, guardedSum(K)) + 8 * u;
}

/** Number of kernels of a pixel. */
export const partCount = (model: ModelOptions): number => parts(model.chroma).length;

/** What part `k` is of a picture, as rgb: luminance three times over. */
export function partOf(model: ModelOptions, k: number, image: Image): Image {
  const part = parts(model.chroma)[k]!;
  const out = makeImage(image.width, image.height, 3);
  for (let p = 0; p < image.width * image.height; p++) {
    const v = part.select(Array.from(image.data.subarray(image.channels * p, image.channels * p + 3)));
    for (let c = 0; c < 3; c++) out.data[3 * p + c] = v[part.count === 1 ? 0 : c]!;
  }
  return out;
}

/** The same of terms' absolute values: what adds up to a part of rgb. */
export function partTerms(model: ModelOptions, k: number, terms: Image): Image {
  if (!model.chroma) return terms;
  return map3(terms, (v, p) => (k === 0 ? 0 : v) + luminance(terms.data.subarray(terms.channels * p, terms.channels * p + 3)));
}

/** Further roundings of what is a part of rgb: those of luminance and of the difference. */
const partRoundings = (model: ModelOptions): number => (model.chroma ? 6 : 0);

export const kernelOf = (model: ModelOptions, K: Float64Array, p: number, k: number): number[] => {
  const at = p * outputsOf(model.chroma) + 16 * k;
  return Array.from(K.subarray(at, at + 15));
};

/** Of a tensor in the reference's form, (h, w, 4 or 6), the parts as (h, w, 4) each: rgb and what belongs to the blend weight. */
export function planes(model: ModelOptions, I: Image): Image[] {
  return parts(model.chroma).map((part) => {
    const out = makeImage(I.width, I.height, 4);
    for (let p = 0; p < I.width * I.height; p++) {
      for (let c = 0; c < 3; c++) out.data[4 * p + c] = I.data[I.channels * p + part.channel + (part.count === 1 ? 0 : c)]!;
      out.data[4 * p + 3] = I.data[I.channels * p + part.alpha]!;
    }
    return out;
  });
}

/** I, a part each: 15 terms besides the weights' own errors; the blend weight 8 roundings of sigmoid, none of the others. */
export function applied(model: ModelOptions, taps: Image, K: Float64Array): Expected[] {
  const extra = partRoundings(model);
  return planes(model, applyForward(model, taps, K)).map(({ data: value }, part) => {
    const terms = partTerms(model, part, abs(taps));
    const bound = new Float64Array(value.length);
    for (let y = 0; y < taps.height; y++)
      for (let x = 0; x < taps.width; x++) {
        const p = y * taps.width + x;
        const Kt = kernelOf(model, K, p, part);
        const k = kernelWeights(model, Kt).map(Math.abs);
        const e = kernelError(model, Kt) + (17 + extra) * u;
        for (let c = 0; c < 3; c++) bound[4 * p + c] = e * sum(TAPS.map(([dx, dy], t) => k[t]! * pixel(terms, x + dx, y + dy)[c]!));
        bound[4 * p + 3] = model.ablend === 'sigmoid' ? 8 * u : 0;
      }
    return { value, bound };
  });
}

/**
 * The picture that the blend weight of part `k` multiplies (dO/dI.a) and its error, N = 12. I is that part's; `coarse`, under postdiff:
 * down(I) of it.
 */
export function blended(model: ModelOptions, k: number, I: Image, U: Image | undefined, UTerms: Image | undefined, coarse?: Known): Expected {
  const zero = new Float64Array(3 * I.width * I.height);
  if (!U || !UTerms) return { value: zero, bound: zero };
  if (model.combine === 'prediff') return { value: rgb(I).data, bound: zero };
  const ofBlend = (): { U: Image; UTerms: Image } => ({ U: partOf(model, k, U), UTerms: partTerms(model, k, UTerms) });
  const { U: smooth, UTerms: terms } = model.combine === 'blend' ? ofBlend() : enlarged(model, I, coarse?.image);
  const { U: error } = enlarged(model, I, coarse?.error);
  const colour = rgb(I);
  return expected(addScaled(colour, smooth!, -1).data, (_, i) => (12 + partRoundings(model)) * u * (Math.abs(colour.data[i]!) + terms!.data[i]!) + (error?.data[i] ?? 0));
}

/** up2(Oc) and the sum of its terms' absolute values. */
export function enlarged(model: ModelOptions, I: Image, coarse: Image | undefined): { U?: Image; UTerms?: Image } {
  if (!coarse) return {};
  const enlarge = (c: Image): Image => up2(c, I.width, I.height, model.pyramid, model.up);
  return { U: enlarge(rgb(coarse)), UTerms: enlarge(abs(rgb(coarse))) };
}

/** O = U + I.a d of each part, d as above: U's 9 terms, N = 14 (16 of two parts) and the error of d. The coarsest level is the parts' sum. */
export function combined(model: ModelOptions, I: readonly Image[], coarser: Image | undefined, coarse?: readonly Known[]): Expected {
  const { U, UTerms } = enlarged(model, I[0]!, coarser);
  const value = U ? U.data.slice() : new Float64Array(3 * I[0]!.width * I[0]!.height);
  const N = 12 + 2 * I.length;
  const bound = value.map((_, i) => (UTerms ? N * u * UTerms.data[i]! : 0));
  I.forEach((part, k) => {
    const d = U ? blended(model, k, part, U, UTerms, coarse?.[k]) : expected(rgb(part).data, () => 0);
    d.value.forEach((v, i) => {
      const alpha = U ? part.data[4 * Math.floor(i / 3) + 3]! : 1;
      value[i]! += alpha * v;
      bound[i]! += Math.abs(alpha) * ((U || model.chroma ? N * u : 0) * Math.abs(v) + d.bound[i]!);
    });
  });
  return { value, bound };
}

/** Errors of one channel's loss and its derivative, by r; r and t are exact. */
function lossErrors(model: ModelOptions, r: number, t: number, noise: Noise): { loss: number; slope: number } {
  const loss = lossOf(model.loss, r, t, noise);
  const slope = Math.abs(lossSlope(model.loss, r, t, noise));
  if (model.loss === 'smape') {
    const m = Math.abs(r) + Math.abs(t) + 0.001;
    return { loss: 16 * u * loss, slope: (16 * u * (2 * Math.abs(t) + 0.001)) / m ** 2 }; // |t| + t sgn r may cancel
  }
  if (model.loss === 'cosh') {
    // sinh as exp(d) - exp(-d): the errors of both, 3 + 2|d| ulp each, and of their arguments.
    const sinhError = (d: number): number => (12 + 6 * Math.abs(d)) * u * Math.exp(Math.abs(d));
    const half = Math.sinh((r - t) / 2);
    const e = sinhError((r - t) / 2);
    return { loss: 4 * Math.abs(half) * e + 2 * e * e + 4 * u * loss, slope: sinhError(r - t) };
  }
  return { loss: 20 * u * loss, slope: 20 * u * slope };
}

/** dE/dO_0 and every pixel's loss: (h*w, 4), the loss in the fourth channel, -1 where the pixel is bad. */
export function lossGradient(model: ModelOptions, O: Image, ref: Image, noise: Noise): Expected {
  const n = O.width * O.height;
  const value = new Float64Array(4 * n);
  const bound = new Float64Array(4 * n);
  for (let p = 0; p < n; p++) {
    const r = Array.from(O.data.subarray(3 * p, 3 * p + 3));
    const t = Array.from(ref.data.subarray(ref.channels * p, ref.channels * p + 3));
    const losses = r.map((v, c) => lossOf(model.loss, v, t[c]!, noise));
    const slopes = r.map((v, c) => lossSlope(model.loss, v, t[c]!, noise));
    if (![...r, ...losses, ...slopes].every((v) => Math.abs(v) < 3.4e38)) {
      value[4 * p + 3] = -1;
      continue;
    }
    value.set([...slopes, sum(losses)], 4 * p);
    const errors = r.map((v, c) => lossErrors(model, v, t[c]!, noise));
    // Intermediate results below 2^-126 may become 0.
    bound.set([...errors.map((e) => e.slope + 2 ** -126), sum(errors.map((e) => e.loss)) + 3 * u * sum(losses) + 2 ** -126], 4 * p);
  }
  return { value, bound };
}

const times = (image: Image, I: Image, f: (a: number) => number): Image => map3(image, (v, p) => (v === 0 ? 0 : v * f(I.data[4 * p + 3]!)));

/** What of dE/dO `g` goes to the coarser level, before up2^T, and its terms' absolute values. I is of each part. */
function handedOn(model: ModelOptions, I: readonly Image[], g: Image): { through: Image; terms: Image } {
  if (model.combine !== 'blend') return { through: rgb(g), terms: abs(rgb(g)) };
  if (!model.chroma) {
    const through = times(g, I[0]!, (a) => 1 - a);
    return { through, terms: abs(through) };
  }
  // (1 - a_C) g + (a_C - a_Y) s L; where there is no gradient at all, alpha may be anything.
  const pick = (f: (g: readonly number[], c: number, aY: number, aC: number) => number): Image => map3(g, (_, p, c) => {
    const own = Array.from(g.data.subarray(g.channels * p, g.channels * p + 3));
    return own.every((v) => v === 0) ? 0 : f(own, c, I[0]!.data[4 * p + 3]!, I[1]!.data[4 * p + 3]!);
  });
  return {
    through: pick((own, c, aY, aC) => (1 - aC) * own[c]! + (aC - aY) * sum(own) * LUMINANCE[c]!),
    terms: pick((own, c, aY, aC) => Math.abs((1 - aC) * own[c]!) + Math.abs(aC - aY) * sum(own.map(Math.abs)) * LUMINANCE[c]!),
  };
}

/** dE/dO of the coarser level from dE/dO `g` of this one: up to 36 terms of 3 factors, N = 40, with chroma a further sum: 48. */
export function coarserGradient(model: ModelOptions, I: readonly Image[], g: Image): Expected {
  const { through, terms } = handedOn(model, I, g);
  const bound = up2Transposed(terms, model.pyramid, model.up);
  return expected(up2Transposed(through, model.pyramid, model.up).data, (_, i) => (model.chroma ? 48 : 40) * u * bound.data[i]!);
}

/** up2^T of I.a g (postdiff), of a part: N = 40. */
export function weightedTransposed(model: ModelOptions, I: Image, g: Image): Expected {
  const through = times(g, I, (a) => a);
  const terms = up2Transposed(abs(through), model.pyramid, model.up);
  return expected(up2Transposed(through, model.pyramid, model.up).data, (_, i) => 40 * u * terms.data[i]!);
}

/** dE/dI.rgb of a part under postdiff, from up2^T(I.a g): 25 terms (mirrored ones several times), a difference: N = 40. */
export function postGradient(model: ModelOptions, I: Image, g: Image, up2T: Known | undefined): Expected {
  if (!up2T) return expected(rgb(g).data, () => 0);
  const own = times(g, I, (a) => a);
  const under = (coarse: Image): Image => downTransposed(coarse, I.width, I.height, model.pyramid);
  const value = addScaled(own, under(up2T.image), -1);
  const terms = addScaled(abs(own), under(abs(up2T.image)), 1);
  const error = up2T.error && under(up2T.error);
  return expected(value.data, (_, i) => 40 * u * terms.data[i]! + (error?.data[i] ?? 0));
}

interface KernelGradientInputs {
  taps: Image;
  K: Float64Array;
  /** (h, w, 4) as the device has it, of each part. */
  I: readonly Image[];
  /** dO/dI.a as the device has it, of each part. */
  d: readonly Image[];
  /** dE/dO. */
  g: Image;
  /** dE/dI.rgb of each part, under postdiff. */
  post?: readonly Image[] | undefined;
  coarsest: boolean;
  scale: number;
}

/** dE/dI of a part as rgb, and by its blend weight: (h, w, 4). */
function partGradient(model: ModelOptions, { I, d, g, post, coarsest }: KernelGradientInputs, k: number): Image {
  const isPlain = coarsest && model.combine !== 'prediff';
  const dI = makeImage(g.width, g.height, 4);
  for (let p = 0; p < g.width * g.height; p++)
    for (let c = 0; c < 3; c++) {
      const own = g.data[g.channels * p + c]!;
      dI.data[4 * p + c] = post ? post[k]!.data[3 * p + c]! : isPlain || own === 0 ? own : I[k]!.data[4 * p + 3]! * own;
      dI.data[4 * p + 3]! += own === 0 ? 0 : own * d[k]!.data[3 * p + c]!;
    }
  return dI;
}

/**
 * dE/dK. Taps: (dI . M_t - dI . I) times the weight: 6 products and their sums, N = 12, the kernel's own error, and the
 * error of I (the reference takes the mean of dI . M_t over the kernel, the device dI . I). Blend weight: dot(g, d) times
 * the slope, N = 20. With chroma the same of each part, luminance as a colour of three equal numbers.
 */
export function kernelGradient(model: ModelOptions, inputs: KernelGradientInputs): Expected {
  const { taps, K, I, d, g, scale } = inputs;
  const dIs = I.map((_, k) => partGradient(model, inputs, k));
  const whole = makeImage(g.width, g.height, model.chroma ? 6 : 4); // in the reference's form: by luminance, the sum over rgb
  parts(model.chroma).forEach((part, k) => {
    for (let p = 0; p < g.width * g.height; p++) {
      const own = Array.from(dIs[k]!.data.subarray(4 * p, 4 * p + 3));
      (part.count === 1 ? [sum(own)] : own).forEach((v, c) => (whole.data[whole.channels * p + part.channel + c] = v));
      whole.data[whole.channels * p + part.alpha] = dIs[k]!.data[4 * p + 3]!;
    }
  });
  const value = applyBackward(model, taps, K, whole);
  const bound = new Float64Array(value.length);
  const outputs = outputsOf(model.chroma);
  const N = 14 + partRoundings(model);
  const IErrors = applied(model, taps, K);
  I.forEach((part, k) => {
    const terms = partTerms(model, k, abs(taps));
    for (let y = 0; y < part.height; y++)
      for (let x = 0; x < part.width; x++) {
        const p = y * part.width + x;
        const Kt = kernelOf(model, K, p, k);
        const weight = kernelWeights(model, Kt);
        const divisor = Math.max(0.001, guardedSum(Kt));
        const G = [0, 1, 2].map((c) => Math.abs(dIs[k]!.data[4 * p + c]!));
        const mean = sum(G.map((v, c) => v * Math.abs(part.data[4 * p + c]!)));
        const meanError = sum(G.map((v, c) => v * IErrors[k]!.bound[4 * p + c]!));
        TAPS.forEach(([dx, dy], t) => {
          const factor = model.apply === 'softmax' ? model.sharp * weight[t]! : isGuarded(Kt[t]!) ? 0 : 1 / divisor;
          const along = sum(pixel(terms, x + dx, y + dy).map((v, c) => v * G[c]!)) + mean;
          bound[outputs * p + 16 * k + t] = factor * (along * (kernelError(model, Kt) + N * u) + meanError);
        });
        const own = sum([0, 1, 2].map((c) => Math.abs(g.data[g.channels * p + c]! * d[k]!.data[3 * p + c]!)));
        const last = outputs * p + 16 * k + 15;
        bound[last] = 20 * u * own * blendWeightSlope(model.ablend, K[last]!);
      }
  });
  return stored({ value, bound }, scale);
}

/** dE/dA_{l-1} from dE/dA_l: as many terms as rows, the slope: N = rows + 2. */
export function layerGradient(model: ModelOptions, weights: Float64Array, layer: number, above: Float64Array, A: Float64Array, scale: number): Expected {
  const W = model.width;
  const rows = rowsOf(mlpShape(model), layer);
  const value = new Float64Array(A.length);
  const terms = new Float64Array(A.length);
  const [weightSizes, aboveSizes] = [sizesOf(weights), sizesOf(above, scale)];
  for (let p = 0; p < A.length / W; p++)
    for (let o = 0; o < rows; o++) {
      const [d, size] = [above[p * rows + o]!, aboveSizes[p * rows + o]!];
      for (let i = 0, at = (layer * W + o) * W; i < W; i++, at++) {
        value[p * W + i]! += weights[at]! * d;
        terms[p * W + i]! += weightSizes[at]! * size;
      }
    }
  const slopes = A.map((a) => activationSlope(model.act, a));
  return stored({ value: value.map((v, i) => v * slopes[i]!), bound: terms.map((v, i) => productsError(rows + 2) * v * slopes[i]!) }, scale);
}

/** dE/dw of matrix `layer`, (rows, W), over all pixels: `n` roundings in the longest sum. `scale`: of dA where it is f16. */
export function weightGradient(model: ModelOptions, layer: number, dA: Float64Array, input: Float64Array, n: number, scale = 1): Expected {
  const W = model.width;
  const rows = rowsOf(mlpShape(model), layer);
  const value = new Float64Array(rows * W);
  const terms = new Float64Array(rows * W);
  const [gradientSizes, inputSizes] = [sizesOf(dA, scale), sizesOf(input)];
  for (let p = 0; p < input.length / W; p++)
    for (let o = 0; o < rows; o++) {
      const g = dA[p * rows + o]!;
      const size = gradientSizes[p * rows + o]!;
      if (g !== 0)
        for (let i = 0; i < W; i++) {
          value[o * W + i]! += g * input[p * W + i]!;
          terms[o * W + i]! += size * inputSizes[p * W + i]!;
        }
    }
  return expected(value, (_, i) => productsError(n) * terms[i]!);
}

export interface Moments {
  w: Float64Array;
  moment1: Float64Array;
  moment2: Float64Array;
  /** Updates made so far. */
  n: number;
}

/** What weights and moments may be off by. */
export type MomentErrors = Record<'w' | 'moment1' | 'moment2', Float64Array>;

/**
 * One Adam update from the device's own dE/dw, and from weights and moments that are the device's within `off` (default: exactly). Each f32
 * operation's error is carried to the result; 1 - beta^n, which the device keeps by recursion, is off by 3 roundings an update.
 */
export function adamUpdate(before: Moments, dw: Float64Array, options: AdamOptions, off?: MomentErrors): Record<'w' | 'moment1' | 'moment2', Expected> {
  const after = adamStep({ ...before, skipped: 0 }, dw, options);
  const { alpha, beta1, beta2, eps, L2, gradclip } = options;
  const factor = Math.min(1, gradclip / gradientNorm(dw));
  const n = before.n + 1;
  const debias1 = 1 - beta1 ** n;
  const debias2 = 1 - beta2 ** n;
  // The norm is a sum of squares over up to 2^17 weights in 256 lanes: 2^9 terms in a row at most, 8 levels, its root.
  const factorError = factor < 1 ? 600 * u : 0;
  const e1 = dw.map(() => 0);
  const e2 = dw.map(() => 0);
  const ew = dw.map((g0, i) => {
    const clipped = Math.abs(factor * g0);
    const decayed = Math.abs(2 * L2 * before.w[i]!);
    const g = factor * g0 + 2 * L2 * before.w[i]!;
    const offW = off?.w[i] ?? 0;
    const eg = clipped * (factorError + 2 * u) + 4 * u * (decayed + 2 * L2 * offW) + u * Math.abs(g) + 2 * L2 * offW;
    e1[i] = 3 * u * Math.abs(beta1 * before.moment1[i]!) + (1 - beta1) * (eg + 3 * u * (Math.abs(g) + eg)) + u * Math.abs(after.moment1[i]!);
    e1[i]! += (1 + 4 * u) * beta1 * (off?.moment1[i] ?? 0);
    e2[i] = 4 * u * Math.abs(after.moment2[i]!) + (1 - beta2) * (2 * Math.abs(g) * eg + eg * eg) + 2 ** -149;
    e2[i]! += (1 + 4 * u) * beta2 * (off?.moment2[i] ?? 0);
    const square = after.moment2[i]! / debias2;
    const root = Math.sqrt(square);
    const eSquare = e2[i]! / debias2 + (3 * n + 6) * u * square;
    const eRoot = square > 2 * eSquare ? eSquare / (2 * Math.sqrt(square - eSquare)) : Math.sqrt(2 * eSquare);
    const denominator = root + eps;
    const step = Math.abs((alpha * after.moment1[i]!) / debias1 / denominator);
    const eStep = (alpha * e1[i]!) / debias1 / denominator + step * ((eRoot + 8 * u * root) / denominator + (3 * n + 12) * u);
    return eStep + u * (Math.abs(after.w[i]!) + step + offW) + offW;
  });
  return { w: { value: after.w, bound: ew }, moment1: { value: after.moment1, bound: e1 }, moment2: { value: after.moment2, bound: e2 } };
}
