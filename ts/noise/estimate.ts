// Estimates a picture's noise profile (SPEC section 1.3): var(x) = (a + 65535 max(x, 0) b) / 65535^2 of linear values x, white = 1.
//
// Variance against mean over many small patches. The cosine transform of a patch gives two independent measures of white noise: coarse
// structure chooses the patches that are flat, fine structure of those is the noise, so that choosing biases nothing. docs/noise.md
// has the reasons and measurements.

import { InputError } from '../errors.js';
import { convertPrimaries, rec2020Luminance } from '../formats/colour.js';
import { fromHalf } from '../formats/half.js';
import { meanBelow } from './chi2.js';
import { evaluate, fitLine, type Line, type Point, startLine } from './line.js';
import { FINE, type LinearPicture, measurePatches, type Patches, SIDE } from './patches.js';

export type { LinearPicture } from './patches.js';

export interface NoiseOptions {
  /** The picture is linear rec2020 made from a file for screens, which ends at 0 and 1 of sRGB. Default: where its own channels end, if many pixels do. */
  display?: boolean;
}

/** Noise in units of SPEC section 1.3. */
export interface NoiseAb {
  a: number;
  b: number;
}

/** A point of the fit: what the flat patches of about this mean have. */
export interface LevelOfNoise {
  mean: number;
  /** Variance, of values 0..1. */
  variance: number;
  /** Its relative standard error. */
  error: number;
  /** How many patches (a channel of one counts one). */
  patches: number;
  /** How much it counted, 0..1; 0 is an outlier: structure everywhere. */
  weight: number;
}

export interface NoiseEstimate extends NoiseAb {
  /** Red, green, blue by themselves, where they differ by more than chance and a tenth; else undefined. */
  channels: readonly [NoiseAb, NoiseAb, NoiseAb] | undefined;
  /**
   * The luminance's noise over that of independent channels of this (a, b): 1 for white noise, more where channels have noise of their own or share it, as after
   * a JPEG's colour was halved. See forNetwork. Undefined: not measured.
   */
  luminance: number | undefined;
  /** Root mean square of (variance found / variance of the fit - 1) over the points that count. */
  residual: number;
  /** The least and largest mean among the points that count. */
  range: readonly [number, number];
  /** Patches that the fit rests on (a channel of one counts one). */
  patches: number;
  /** Noise of means of 2x2 pixels over what white noise would have there; about 1 for white noise, larger after demosaicing or JPEG. Undefined: not measured. */
  correlation: number | undefined;
  reliable: boolean;
  /** Why it is not reliable; '' where it is. */
  reason: string;
  levels: readonly LevelOfNoise[];
}

const CODES = 65535;
/** Patches of one picture: enough for half a percent, a few hundredths of a second. */
const MOST = 16000;
/** Points of the fit. */
const BINS = 24;
/** Fine energy above so many times the noise's is structure. */
const CUT = 1.35;
/** Variance of the difference between a patch's mean and that of what is around it, of white noise of variance 1. */
const DIFFERENCE = 1 / 64 + 1 / 192;
/** Patches whose mean is nearer to an end of the values than so many standard deviations are cut off, seen or not. The first that leaves enough of them. */
const ROOM = [2.5, 1.5, 0.5];
/** The same by the patch's own fine energy, where pixels at the ends have to be put up with. */
const CLEAR = [2.5, 1, 0.3];
/** The least number of values (channels of patches) for a fit. */
const ENOUGH = 96;
/** Points of less weight don't count. */
const COUNTS = 0.1;
const ROUNDS = 5;
/** A variance far below that of rounding to f32. */
const TINY = 1e-16;

/** A channel of a patch that may count. */
interface Values {
  count: number;
  channel: Uint8Array;
  mean: Float64Array;
  around: Float64Array;
  /** What the patch's signal is taken to be. */
  signal: Float64Array;
  coarse: Float64Array;
  fine: Float64Array;
  spectrum: Float32Array;
  /** Fine energy of the luminance: entry i / 3 is of the patch of which value i is the first channel. */
  luminance: Float64Array;
  /** Distance of the patch's mean from the nearest end of the values. */
  room: Float64Array;
  /** 1: pixels are at that end. */
  touches: Uint8Array;
}

/** Joins the patches of several pictures, one value a channel. */
function collect(pictures: readonly Patches[], clipGain: readonly number[]): Values {
  const total = pictures.reduce((n, p) => n + 3 * p.count, 0);
  const make = (): Float64Array => new Float64Array(total);
  const out: Values = { count: total, channel: new Uint8Array(total), mean: make(), around: make(), signal: make(), coarse: make(), fine: make(), spectrum: new Float32Array(total * FINE), luminance: new Float64Array(total / 3), room: make(), touches: new Uint8Array(total) };
  let at = 0;
  for (const p of pictures) {
    const n = 3 * p.count;
    for (const key of ['mean', 'around', 'coarse', 'fine'] as const) out[key].set(p[key].subarray(0, n), at);
    out.spectrum.set(p.spectrum.subarray(0, n * FINE), at * FINE);
    out.luminance.set(p.luminance.subarray(0, p.count), at / 3);
    for (let i = 0; i < n; i += 3) {
      const room = Math.min(...[0, 1, 2].map((c) => roomOf(p, i + c, c) / clipGain[c]!));
      const touches = [0, 1, 2].some((c) => touchesEnd(p, i + c, c)) ? 1 : 0;
      for (let c = 0; c < 3; c++) [out.room[at + i + c], out.channel[at + i + c], out.touches[at + i + c]] = [room, c, touches];
    }
    at += n;
  }
  return out;
}

const ATEND = 1e-5;

function touchesEnd(p: Patches, i: number, c: number): boolean {
  const { low, high } = p.ends[c]!;
  return p.min[i]! <= low + ATEND || p.max[i]! >= high - ATEND;
}

function roomOf(p: Patches, i: number, c: number): number {
  const { low, high } = p.ends[c]!;
  return Math.min(p.clipMean[i]! - low, high - p.clipMean[i]!);
}

/** Values of these indices. */
function pick(of: Float64Array, indices: Uint32Array): Float64Array {
  const out = new Float64Array(indices.length);
  for (let k = 0; k < out.length; k++) out[k] = of[indices[k]!]!;
  return out;
}

function countWhere(count: number, use: (i: number) => boolean): number {
  let n = 0;
  for (let i = 0; i < count; i++) if (use(i)) n++;
  return n;
}

/** Indices of values in order of signal, cut into parts of equal numbers (in order of index within). */
function binsOf(v: Values, use: (i: number) => boolean): Uint32Array[] {
  const all = new Uint32Array(v.count);
  let n = 0;
  for (let i = 0; i < v.count; i++) if (use(i)) all[n++] = i;
  const chosen = all.subarray(0, n);
  const sorted = pick(v.signal, chosen).sort();
  const bins = Math.max(1, Math.min(BINS, Math.floor(chosen.length / 40)));
  const ends = Array.from({ length: bins - 1 }, (_, k) => sorted[Math.floor(((k + 1) * sorted.length) / bins)]!);
  const parts = Array.from({ length: bins }, (): number[] => []);
  for (const i of chosen) parts[above(ends, v.signal[i]!)]!.push(i);
  return parts.filter((p) => p.length > 0).map((p) => Uint32Array.from(p));
}

/** How many of the ascending `ends` are <= x. */
function above(ends: readonly number[], x: number): number {
  let [from, to] = [0, ends.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (ends[middle]! <= x) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** The value that a share q of the sorted are below. */
const quantile = (sorted: ArrayLike<number>, q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;

/** The flat ones of a bin: coarse energy by the model's noise, or among the least of the bin. */
function flat(v: Values, bin: Uint32Array, line: Line | undefined): Uint32Array {
  const least = quantile(pick(v.coarse, bin).sort(), Math.max(0.1, Math.min(1, 24 / bin.length)));
  return bin.filter((i) => v.coarse[i]! <= Math.max(least, line ? 1.5 * evaluate(line, v.signal[i]!) : 0));
}

/** Variance of a bin, relative to the line: mean of the fine energies below a cut, which is put right for the cut. */
function centre(v: Values, chosen: Uint32Array, line: Line, freedom: number): { ratio: number; count: number } {
  const ratios = pick(v.fine, chosen);
  for (let k = 0; k < ratios.length; k++) ratios[k]! /= Math.max(evaluate(line, v.signal[chosen[k]!]!), TINY);
  return centreOf(ratios, freedom);
}

/** The mean of mean squares of so many degrees of freedom, without those that structure made larger. Sorts them. */
function centreOf(ratios: Float64Array, freedom: number): { ratio: number; count: number } {
  ratios.sort();
  let ratio = quantile(ratios, 0.5);
  let count = ratios.length;
  const put = meanBelow(freedom, CUT);
  for (let round = 0; round < 12; round++) {
    let sum = 0;
    for (count = 0; count < ratios.length && ratios[count]! < CUT * ratio; count++) sum += ratios[count]!;
    if (count === 0) break;
    ratio = sum / count / put;
  }
  return { ratio, count };
}

/** Degrees of freedom of `fine`, whose coefficients need not have the same energy: FINE for white noise. */
function freedomOf(v: Values, chosen: Uint32Array, line: Line): number {
  const power = new Float64Array(FINE);
  for (const i of chosen) {
    const scale = 1 / Math.max(evaluate(line, v.signal[i]!), TINY);
    if (v.fine[i]! * scale < 2) for (let k = 0; k < FINE; k++) power[k]! += v.spectrum[i * FINE + k]! * scale;
  }
  const [sum, squares] = power.reduce(([s, q], p) => [s + p, q + p * p] as [number, number], [0, 0] as [number, number]);
  return squares > 0 ? (sum * sum) / squares : FINE;
}

interface Fit {
  line: Line;
  levels: LevelOfNoise[];
  /** Coarse over fine energy of the patches that were taken for flat: about 0.9 for white noise alone. */
  structure: number;
  /** Patches had to be taken that are cut off a little by the ends of the values. */
  cut: boolean;
}

const toPoint = (l: LevelOfNoise): Point => ({ x: l.mean, v: l.variance, error: l.error });
const median = (values: readonly number[]): number => quantile([...values].sort((a, b) => a - b), 0.5);

function start(v: Values, bins: readonly Uint32Array[]): Line {
  const points = bins.map((bin): Point => {
    const chosen = flat(v, bin, undefined);
    const middle = (of: Float64Array): number => quantile(pick(of, chosen).sort(), 0.5);
    return { x: middle(v.mean), v: middle(v.fine), error: 2 / Math.sqrt(FINE * chosen.length) };
  });
  return startLine(points);
}

/** Mean of these with the weights of their fine energies in `centre`, and the mean weight. */
function weightedMean(v: Values, chosen: Uint32Array, line: Line): [number, number] {
  let [sum, weights] = [0, 0];
  for (const i of chosen) {
    const w = 1 / Math.max(evaluate(line, v.signal[i]!), TINY);
    sum += w * v.mean[i]!;
    weights += w;
  }
  return [sum / weights, weights / chosen.length];
}

/**
 * Sets `signal`: the mean of what is around the patch where the two means differ by no more than noise explains, so that the signal's error has
 * nothing to do with the patch's own noise; else the patch's own mean.
 */
function setSignal(v: Values, line: Line): void {
  for (let i = 0; i < v.count; i++) {
    const [mean, around] = [v.mean[i]!, v.around[i]!];
    const error = 3 * Math.sqrt(evaluate(line, around) * DIFFERENCE);
    v.signal[i] = Math.abs(mean - around) <= error ? around : mean;
  }
}

const countOf = (bins: readonly Uint32Array[]): number => bins.reduce((n, b) => n + b.length, 0);

/** The bins of what keeps its distance from the ends of the values, by the line's noise; from as far as leaves enough. */
function clearBins(v: Values, use: (i: number) => boolean, line: Line): { bins: Uint32Array[]; cut: boolean } {
  for (const room of ROOM) {
    const bins = binsOf(v, (i) => use(i) && v.room[i]! >= room * Math.sqrt(evaluate(line, v.signal[i]!)));
    if (countOf(bins) >= ENOUGH) return { bins, cut: room < ROOM[0]! };
  }
  return { bins: [], cut: true };
}

/** See Fit. */
function structureOf(v: Values, chosen: readonly Uint32Array[], line: Line): number {
  const each = chosen.map((c) => median([...c].map((i) => v.coarse[i]! / Math.max(evaluate(line, v.signal[i]!), TINY))));
  return each.length > 0 ? median(each) : Infinity;
}

/** Fits the values that `use` lets through, from a line near the result if one is known; undefined where too few are left. */
function fit(v: Values, use: (i: number) => boolean, near?: Line): Fit | undefined {
  v.signal.set(v.mean);
  // Patches that no pixel of is at an end; in a dark and noisy picture those at whose own noise the end is far enough from the mean.
  const rules = [(i: number): boolean => v.touches[i] === 0, ...CLEAR.map((k) => (i: number): boolean => v.room[i]! > k * Math.sqrt(v.fine[i]!))];
  const tries = rules.map((rule) => (i: number): boolean => v.fine[i]! > TINY && use(i) && rule(i));
  const leaves = (least: number): number => tries.findIndex((alive) => countWhere(v.count, alive) >= least);
  const many = leaves(Math.max(ENOUGH, v.count / 20));
  const at = many >= 0 ? many : leaves(ENOUGH);
  if (at < 0) return undefined;
  const alive = tries[at]!;
  let line = near ?? start(v, binsOf(v, alive));
  let result: Fit | undefined;
  for (let round = near ? ROUNDS - 2 : 0; round < ROUNDS; round++) {
    const by = line;
    setSignal(v, by);
    const clear = clearBins(v, alive, by);
    const { bins } = clear;
    const cut = clear.cut || at > 1;
    const chosen = bins.map((bin) => flat(v, bin, by)).filter((c) => c.length >= 8);
    if (chosen.length === 0) return undefined;
    const freedom = freedomOf(v, Uint32Array.from(chosen.flatMap((c) => [...c])), by);
    const levels = chosen.map((c): LevelOfNoise => {
      const { ratio, count } = centre(v, c, by, freedom);
      const [mean, weight] = weightedMean(v, c, by);
      return { mean, variance: ratio / weight, error: Math.sqrt(3 / (freedom * Math.max(1, count))), patches: count, weight: 0 };
    });
    const fitted = fitLine(levels.map(toPoint), startLine(levels.map(toPoint)));
    levels.forEach((l, i) => (l.weight = fitted.weights[i]!));
    line = fitted.line;
    result = { line, levels, cut, structure: structureOf(v, chosen.filter((_, k) => levels[k]!.weight > COUNTS), line) };
  }
  return result;
}

const toAb = ({ offset, slope }: Line): NoiseAb => orNone({ a: offset * CODES * CODES, b: slope * CODES });
/** What is far below the rounding to f32 is none. */
const orNone = ({ a, b }: NoiseAb): NoiseAb => ({ a: a < TINY * CODES * CODES ? 0 : a, b: b < TINY * CODES ? 0 : b });

/** Variance of values 0..1 at the signal x (SPEC section 1.3). */
export const noiseVariance = ({ a, b }: NoiseAb, x: number): number => (a + CODES * Math.max(x, 0) * b) / CODES / CODES;

/** The points that count, and their least and largest mean. */
function usedOf(f: Fit): { used: LevelOfNoise[]; range: readonly [number, number] } {
  const used = f.levels.filter((l) => l.weight > COUNTS);
  const means = used.map((l) => l.mean);
  return { used, range: used.length > 0 ? [Math.min(...means), Math.max(...means)] : [0, 0] };
}

/** Signals at which two fits are compared: the ends and the middle of the range. */
const across = ([low, high]: readonly [number, number]): number[] => [low, (low + high) / 2, high];

/** The channels' own noise where one is off the common one by more than chance and a tenth, somewhere in its range. */
function ownChannels(v: Values, common: Line): NoiseEstimate['channels'] {
  const fits = [0, 1, 2].map((c) => fit(v, (i) => v.channel[i] === c, common));
  const differs = fits.some((f) => {
    if (!f) return false;
    const { used, range } = usedOf(f);
    const chance = 3 / Math.sqrt(used.reduce((s, l) => s + l.error ** -2, 1e-9)) + 0.03;
    return across(range).some((x) => Math.abs(evaluate(f.line, x) / Math.max(evaluate(common, x), TINY) - 1) > 0.1 + chance);
  });
  if (!differs) return undefined;
  return fits.map((f) => toAb(f?.line ?? common)) as unknown as NoiseEstimate['channels'];
}

function judge(f: Fit, residual: number): string {
  const { used, range } = usedOf(f);
  const patches = used.reduce((n, l) => n + l.patches, 0);
  const share = used.length / f.levels.length;
  if (f.cut) return 'the noise reaches the ends of the values nearly everywhere: it is cut off, and was larger';
  if (patches < ENOUGH) return `only ${patches} flat patches: too small a picture, or structure everywhere`;
  if (f.structure > 2.5) return 'structure everywhere, or noise in blotches: the noise may be less, or more at coarser scales';
  if (share < 0.5) return `${f.levels.length - used.length} of ${f.levels.length} levels are off the line: structure there, or noise that is not of this form`;
  if (residual > 0.2) return 'the noise is not of the form a + b x: after a tone curve, say';
  if (range[1] < 1.5 * range[0]) return 'the picture has one level of signal only: a and b are not told apart, and hold near it';
  return '';
}

/** What is kept of a picture to estimate noise from: about 10 MB of 16,000 patches. */
export interface NoiseSamples {
  /** For messages. */
  size: string;
  base: Patches;
  /** Of means of 2x2 pixels. */
  half: Patches;
  /** How much larger noise is in the channels that clipping happened in. */
  clipGain: readonly number[];
}

/** Samples at most `most` patches of a picture. */
export function sampleNoise(picture: LinearPicture, options: NoiseOptions = {}, most = MOST): NoiseSamples {
  const clipMatrix = options.display ? convertPrimaries('bt2020', 'sRGB') : undefined;
  return {
    size: `${picture.width}x${picture.height}`,
    base: measurePatches(picture, { most, clipMatrix }),
    half: measurePatches(picture, { most: Math.ceil(most / 4), scale: 2, clipMatrix }),
    clipGain: (clipMatrix ?? [[1], [1], [1]]).map((row) => Math.hypot(...row)),
  };
}

/** sampleNoise of pixels in f32, or f16 as its bits. */
export function samplePixels(width: number, height: number, pixels: Float32Array | Uint16Array, options: NoiseOptions, most: number): NoiseSamples {
  return sampleNoise({ width, height, rgba: pixels.BYTES_PER_ELEMENT === 4 ? (pixels as Float32Array) : fromHalf(pixels as Uint16Array) }, options, most);
}


/**
 * The noise of a picture, or of several of the same camera and setting.
 * @throws InputError NOISE_SMALL: fewer than 32 patches of 8x8; NOISE_CLIPPED: nothing is left that does not end at black or white
 */
export function estimateNoise(pictures: LinearPicture | readonly LinearPicture[], options: NoiseOptions = {}): NoiseEstimate {
  const list = 'rgba' in pictures ? [pictures] : pictures;
  return estimateFrom(list.map((p) => sampleNoise(p, options, Math.ceil(MOST / list.length))));
}

/** The same from samples of the pictures. Throws as estimateNoise. */
export function estimateFrom(samples: readonly NoiseSamples[]): NoiseEstimate {
  const clipGain = samples[0]?.clipGain ?? [1, 1, 1];
  const v = collect(samples.map((s) => s.base), clipGain);
  if (v.count < ENOUGH) throw new InputError('NOISE_SMALL', `${[...new Set(samples.map((s) => s.size))].join(', ')}: too small to measure noise in`, { hint: `It takes at least ${ENOUGH / 3} patches of ${SIDE} x ${SIDE} pixels; give the noise by hand.` });
  const found = fit(v, () => true) ?? still(v);
  const { used, range } = usedOf(found);
  const residual = Math.sqrt(used.reduce((s, l) => s + (l.variance / Math.max(evaluate(found.line, l.mean), TINY) - 1) ** 2, 0) / Math.max(1, used.length));
  const reason = judge(found, residual);
  const luminance = luminanceOf(v, found.line);
  return {
    ...toAb(found.line), channels: ownChannels(v, found.line), luminance, residual, range,
    patches: used.reduce((s, l) => s + l.patches, 0), correlation: correlationOf(collect(samples.map((s) => s.half), clipGain), found), reliable: reason === '', reason, levels: found.levels,
  };
}

/** A picture without anything to fit: without any noise, or cut off everywhere. */
function still(v: Values): Fit {
  if (v.fine.some((f, i) => f <= TINY && v.touches[i] === 0)) return { line: { offset: 0, slope: 0 }, levels: [], structure: 0, cut: false };
  throw new InputError('NOISE_CLIPPED', 'no part of the picture is clear of black and white: its noise can not be measured', { hint: 'Give the noise by hand, or measure it on another picture of the same camera and ISO.' });
}

/** What the network is to be told of this noise: that of the luminance where it is off by more than a tenth. */
export function forNetwork({ a, b, luminance = 1 }: Pick<NoiseEstimate, 'a' | 'b' | 'luminance'>): NoiseAb {
  return Math.abs(luminance - 1) > 0.1 ? orNone({ a: a * luminance, b: b * luminance }) : { a, b };
}

const SQUARES = rec2020Luminance.map((x) => x * x);

/** See NoiseEstimate. */
function luminanceOf(v: Values, line: Line): number | undefined {
  setSignal(v, line);
  const flat: { coarse: number; ratio: number }[] = [];
  for (let i = 0; i < v.count; i += 3) {
    if (v.touches[i] !== 0) continue;
    let [coarse, expected] = [0, 0];
    for (let c = 0; c < 3; c++) {
      const noise = Math.max(evaluate(line, v.signal[i + c]!), TINY);
      coarse = Math.max(coarse, v.coarse[i + c]! / noise);
      expected += SQUARES[c]! * noise;
    }
    flat.push({ coarse, ratio: v.luminance[i / 3]! / expected });
  }
  flat.sort((p, q) => p.coarse - q.coarse);
  const few = Math.max(32, flat.length / 20);
  const ratios = Float64Array.from(flat.filter((p, n) => p.coarse <= 1.5 || n < few), (p) => p.ratio);
  return ratios.length < 32 ? undefined : centreOf(ratios, FINE).ratio;
}

/** See NoiseEstimate; `v` of means of 2x2 pixels. */
function correlationOf(v: Values, found: Fit): number | undefined {
  const half = v.count < ENOUGH ? undefined : fit(v, () => true, found.line);
  if (!half) return undefined;
  const { range } = usedOf(half);
  return median(across(range).map((x) => evaluate(half.line, x) / Math.max(evaluate(found.line, x), TINY)));
}
