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
  isGuarded, kernelWeights, lossOf, lossSlope, luminance, makeImage, mlpShape, multiply, noiseSigma, pixel, rowsOf, saturation, up2, up2Transposed, LUMINANCE,
} from '../reference/index.js';

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

interface Seen {
  M: Image;
  taps: Image;
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

/** The offset that a channel of the context looks at and what it takes there; undefined for the others. */
export function channelSource(context: ModelOptions['context'], channel: number): { at: readonly [number, number]; of: 'lum' | 'sat' } | undefined {
  const cross = [[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]] as const;
  if (context === 'window') return channel < 64 ? { at: [Math.floor(channel / 8) - 4, (channel % 8) - 4], of: 'lum' } : undefined;
  if (context === 'wnorm') {
    if (channel < 49) return { at: [(channel % 7) - 3, Math.floor(channel / 7) - 3], of: 'lum' };
    return channel < 54 ? { at: cross[channel - 49]!, of: 'sat' } : undefined;
  }
  return channel < 30 ? { at: TAPS[channel >> 1]!, of: channel % 2 ? 'sat' : 'lum' } : undefined;
}

/** The context (SPEC 1.3): errors of luminance, saturation, sigma, and where divided by sigma those of the quotient. */
export function context(model: ModelOptions, seen: Seen): Expected {
  const W = model.width;
  const { width, height } = seen.M;
  const value = contexts(model.context, W, { ...seen, G: undefined });
  const bound = new Float64Array(value.length);
  const relative = model.context === 'norm' || model.context === 'wnorm';
  const sigmaChannel = model.context === 'star' || model.context === 'norm' ? 30 : model.context === 'wnorm' ? 54 : -1;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const { sigma, error } = sigmaAndError(seen, x, y);
      const s = Math.max(sigma, 1e-5);
      const centre = pixel(seen.taps, x, y);
      for (let c = 0; c < W; c++) {
        const at = (y * width + x) * W + c;
        const source = channelSource(model.context, c);
        let e = 0;
        if (source) {
          const v = pixel(seen.taps, x + source.at[0], y + source.at[1]);
          const own = source.of === 'lum' ? luminanceError(v) : 2 * u * saturation(v);
          const difference = source.of === 'lum' ? luminance(v) - luminance(centre) : saturation(v);
          const ofCentre = source.of === 'lum' ? luminanceError(centre) : 0;
          e = relative ? (own + ofCentre + Math.abs(difference) * (error / s + 12 * u)) / (4 * s) : own;
        } else if (c === sigmaChannel) {
          e = relative ? (error / s / Math.LN2 + 8 * u * Math.abs(Math.log2(s)) + 2 ** -21) / 8 : error;
        }
        bound[at] = e;
      }
    }
  return stored({ value, bound });
}

/** Sum of the absolute values of the terms of a layer's product. */
const layerTerms = (model: ModelOptions, weights: Float64Array, layer: number, input: Float64Array): Float64Array =>
  multiply(mlpShape(model), weights.map(Math.abs), layer, input.map(Math.abs));

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

const tapsOf = (K: Float64Array, p: number, outs: number): number[] => Array.from(K.subarray(p * outs, p * outs + 15));

/** I: 15 terms besides the weights' own errors; the blend weight 8 roundings of sigmoid, none of the others. */
export function applied(model: ModelOptions, taps: Image, K: Float64Array): Expected {
  const value = applyForward(model, taps, K).data;
  const bound = new Float64Array(value.length);
  for (let y = 0; y < taps.height; y++)
    for (let x = 0; x < taps.width; x++) {
      const p = y * taps.width + x;
      const Kt = tapsOf(K, p, 16);
      const k = kernelWeights(model, Kt).map(Math.abs);
      const e = kernelError(model, Kt) + 17 * u;
      for (let c = 0; c < 3; c++) bound[4 * p + c] = e * sum(TAPS.map(([dx, dy], t) => k[t]! * Math.abs(pixel(taps, x + dx, y + dy)[c]!)));
      bound[4 * p + 3] = model.ablend === 'sigmoid' ? 8 * u : 0;
    }
  return { value, bound };
}

/** The picture that I's blend weight multiplies (dO/dI.a) and its error, N = 12. `coarse`, under postdiff: down(I). */
export function blended(model: ModelOptions, I: Image, U: Image | undefined, UTerms: Image | undefined, coarse?: Image): Expected {
  const zero = new Float64Array(3 * I.width * I.height);
  if (!U || !UTerms) return { value: zero, bound: zero };
  if (model.combine === 'prediff') return { value: rgb(I).data, bound: zero };
  const { U: smooth, UTerms: terms } = model.combine === 'blend' ? { U, UTerms } : enlarged(model, I, coarse);
  const colour = rgb(I);
  return expected(addScaled(colour, smooth!, -1).data, (_, i) => 12 * u * (Math.abs(colour.data[i]!) + terms!.data[i]!));
}

/** up2(Oc) and the sum of its terms' absolute values. */
export function enlarged(model: ModelOptions, I: Image, coarse: Image | undefined): { U?: Image; UTerms?: Image } {
  if (!coarse) return {};
  const enlarge = (c: Image): Image => up2(c, I.width, I.height, model.pyramid, model.up);
  return { U: enlarge(rgb(coarse)), UTerms: enlarge(abs(rgb(coarse))) };
}

/** O = U + I.a d, d as above: U's 9 terms, N = 14 and the error of d. The coarsest level is exact. */
export function combined(model: ModelOptions, I: Image, coarser: Image | undefined, coarse?: Image): Expected {
  const { U, UTerms } = enlarged(model, I, coarser);
  if (!U || !UTerms) return expected(rgb(I).data, () => 0);
  const d = blended(model, I, U, UTerms, coarse);
  const alpha = (i: number): number => I.data[4 * Math.floor(i / 3) + 3]!;
  return expected(U.data.map((v, i) => v + alpha(i) * d.value[i]!), (_, i) => {
    const a = Math.abs(alpha(i));
    return 14 * u * (UTerms.data[i]! + a * Math.abs(d.value[i]!)) + a * d.bound[i]!;
  });
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

/** dE/dO of the coarser level from dE/dO `g` of this one: up to 36 terms of 3 factors: N = 40. */
export function coarserGradient(model: ModelOptions, I: Image, g: Image): Expected {
  const through = model.combine === 'blend' ? times(g, I, (a) => 1 - a) : rgb(g);
  const terms = up2Transposed(abs(through), model.pyramid, model.up);
  return expected(up2Transposed(through, model.pyramid, model.up).data, (_, i) => 40 * u * terms.data[i]!);
}

/** up2^T of I.a g (postdiff): N = 40. */
export function weightedTransposed(model: ModelOptions, I: Image, g: Image): Expected {
  const through = times(g, I, (a) => a);
  const terms = up2Transposed(abs(through), model.pyramid, model.up);
  return expected(up2Transposed(through, model.pyramid, model.up).data, (_, i) => 40 * u * terms.data[i]!);
}

/** dE/dI.rgb under postdiff from the part up2^T(I.a g): 25 terms (mirrored ones several times), a difference: N = 40. */
export function postGradient(model: ModelOptions, I: Image, g: Image, part: Image | undefined): Expected {
  if (!part) return expected(rgb(g).data, () => 0);
  const own = times(g, I, (a) => a);
  const value = addScaled(own, downTransposed(part, I.width, I.height, model.pyramid), -1);
  const terms = addScaled(abs(own), downTransposed(abs(part), I.width, I.height, model.pyramid), 1);
  return expected(value.data, (_, i) => 40 * u * terms.data[i]!);
}

interface KernelGradientInputs {
  taps: Image;
  K: Float64Array;
  /** (h, w, 4) as the device has it. */
  I: Image;
  /** dO/dI.a as the device has it. */
  d: Image;
  /** dE/dO. */
  g: Image;
  /** dE/dI.rgb, under postdiff. */
  post?: Image | undefined;
  coarsest: boolean;
  scale: number;
}

/**
 * dE/dK. Taps: (dI . M_t - dI . I) times the weight: 6 products and their sums, N = 12, the kernel's own error, and the
 * error of I (the reference takes the mean of dI . M_t over the kernel, the device dI . I). Blend weight: dot(g, d) times
 * the slope, N = 20.
 */
export function kernelGradient(model: ModelOptions, { taps, K, I, d, g, post, coarsest, scale }: KernelGradientInputs): Expected {
  const isPlain = coarsest && model.combine !== 'prediff';
  const dI = makeImage(I.width, I.height, 4);
  for (let p = 0; p < I.width * I.height; p++) {
    for (let c = 0; c < 3; c++) {
      const own = g.data[g.channels * p + c]!;
      dI.data[4 * p + c] = post ? post.data[3 * p + c]! : isPlain || own === 0 ? own : I.data[4 * p + 3]! * own;
      dI.data[4 * p + 3]! += own === 0 ? 0 : own * d.data[3 * p + c]!;
    }
  }
  const value = applyBackward(model, taps, K, dI);
  const bound = new Float64Array(value.length);
  const IError = applied(model, taps, K).bound;
  for (let y = 0; y < I.height; y++)
    for (let x = 0; x < I.width; x++) {
      const p = y * I.width + x;
      const Kt = tapsOf(K, p, 16);
      const k = kernelWeights(model, Kt);
      const divisor = Math.max(0.001, guardedSum(Kt));
      const G = [0, 1, 2].map((c) => Math.abs(dI.data[4 * p + c]!));
      const mean = sum(G.map((v, c) => v * Math.abs(I.data[4 * p + c]!)));
      const meanError = sum(G.map((v, c) => v * IError[4 * p + c]!));
      TAPS.forEach(([dx, dy], t) => {
        const factor = model.apply === 'softmax' ? model.sharp * k[t]! : isGuarded(Kt[t]!) ? 0 : 1 / divisor;
        const along = sum(pixel(taps, x + dx, y + dy).map((v, c) => Math.abs(v) * G[c]!)) + mean;
        bound[16 * p + t] = factor * (along * (kernelError(model, Kt) + 14 * u) + meanError);
      });
      const terms = sum([0, 1, 2].map((c) => Math.abs(g.data[g.channels * p + c]! * d.data[3 * p + c]!)));
      bound[16 * p + 15] = 20 * u * terms * blendWeightSlope(model.ablend, K[16 * p + 15]!);
    }
  return stored({ value, bound }, scale);
}

/** dE/dA_{l-1} from dE/dA_l: as many terms as rows, the slope: N = rows + 2. */
export function layerGradient(model: ModelOptions, weights: Float64Array, layer: number, above: Float64Array, A: Float64Array, scale: number): Expected {
  const W = model.width;
  const rows = rowsOf(mlpShape(model), layer);
  const value = new Float64Array(A.length);
  const terms = new Float64Array(A.length);
  for (let p = 0; p < A.length / W; p++)
    for (let o = 0; o < rows; o++)
      for (let i = 0; i < W; i++) {
        const term = weights[(layer * W + o) * W + i]! * above[p * rows + o]!;
        value[p * W + i]! += term;
        terms[p * W + i]! += Math.abs(term);
      }
  const slopes = A.map((a) => activationSlope(model.act, a));
  return stored({ value: value.map((v, i) => v * slopes[i]!), bound: terms.map((v, i) => productsError(rows + 2) * v * slopes[i]!) }, scale);
}

/** dE/dw of matrix `layer`, (rows, W), over all pixels: `n` roundings in the longest sum. */
export function weightGradient(model: ModelOptions, layer: number, dA: Float64Array, input: Float64Array, n: number): Expected {
  const W = model.width;
  const rows = rowsOf(mlpShape(model), layer);
  const value = new Float64Array(rows * W);
  const terms = new Float64Array(rows * W);
  for (let p = 0; p < input.length / W; p++)
    for (let o = 0; o < rows; o++) {
      const g = dA[p * rows + o]!;
      if (g !== 0)
        for (let i = 0; i < W; i++) {
          value[o * W + i]! += g * input[p * W + i]!;
          terms[o * W + i]! += Math.abs(g * input[p * W + i]!);
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

/**
 * One Adam update from the device's own dE/dw, weights and moments. Each f32 operation's error is carried to the result;
 * 1 - beta^n, which the device keeps by recursion, is off by 3 roundings an update.
 */
export function adamUpdate(before: Moments, dw: Float64Array, options: AdamOptions): Record<'w' | 'moment1' | 'moment2', Expected> {
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
    const eg = clipped * (factorError + 2 * u) + 4 * u * decayed + u * Math.abs(g);
    e1[i] = 3 * u * Math.abs(beta1 * before.moment1[i]!) + (1 - beta1) * (eg + 3 * u * Math.abs(g)) + u * Math.abs(after.moment1[i]!);
    e2[i] = 4 * u * Math.abs(after.moment2[i]!) + (1 - beta2) * (2 * Math.abs(g) * eg + eg * eg) + 2 ** -149;
    const square = after.moment2[i]! / debias2;
    const root = Math.sqrt(square);
    const eSquare = e2[i]! / debias2 + (3 * n + 6) * u * square;
    const eRoot = square > 2 * eSquare ? eSquare / (2 * Math.sqrt(square - eSquare)) : Math.sqrt(2 * eSquare);
    const denominator = root + eps;
    const step = Math.abs((alpha * after.moment1[i]!) / debias1 / denominator);
    const eStep = (alpha * e1[i]!) / debias1 / denominator + step * ((eRoot + 8 * u * root) / denominator + (3 * n + 12) * u);
    return eStep + u * (Math.abs(after.w[i]!) + step);
  });
  return { w: { value: after.w, bound: ew }, moment1: { value: after.moment1, bound: e1 }, moment2: { value: after.moment2, bound: e2 } };
}
