// Small patches of a picture, taken apart by an 8x8 cosine transform: the mean, and the energy of coarse and of fine structure. The
// transform is orthonormal: white noise of variance v has the energy v in each of its coefficients, independently.

import { rec2020Luminance, type Matrix } from '../formats/colour.js';

/** Side of a patch, pixels of its scale. */
export const SIDE = 8;

export interface LinearPicture {
  width: number;
  height: number;
  /** (y, x, c), linear, 4 values a pixel of which the first 3 count. */
  rgba: Float32Array;
}

/** What is measured of each patch: entry 3 n + c is channel c of patch n. Energies are of the picture's own pixels: a patch of s x s means counts s^2 fold. */
export interface Patches {
  count: number;
  mean: Float64Array;
  /** Mean of the pixels around the patch, up to half a side away: it knows the patch's signal and nothing of its noise. */
  around: Float64Array;
  /** Mean square of the coefficients that a picture of half the size holds as well (u, v < 4), but for the mean itself. */
  coarse: Float64Array;
  /** Mean square of those that only the full size holds (u or v >= 4), but for the axes (u or v = 0): edges along them, and ramps. */
  fine: Float64Array;
  /** Squares of the fine coefficients, FINE a channel. */
  spectrum: Float32Array;
  /** As `fine`, of the luminance: entry n. */
  luminance: Float64Array;
  /** The patch's mean by `clipMatrix`, and its least and largest pixel by it. */
  clipMean: Float64Array;
  min: Float64Array;
  max: Float64Array;
  /** What the values end at, a channel, where many pixels sit; infinite where they don't. */
  ends: readonly { low: number; high: number }[];
}

const isCoarse = (u: number, v: number): boolean => u + v > 0 && u < SIDE / 2 && v < SIDE / 2;
const isFine = (u: number, v: number): boolean => u > 0 && v > 0 && (u >= SIDE / 2 || v >= SIDE / 2);
const indices = (is: (u: number, v: number) => boolean): Uint8Array =>
  Uint8Array.from({ length: SIDE * SIDE }, (_, i) => i).filter((i) => is(i % SIDE, Math.floor(i / SIDE)));
const coarseIndices = indices(isCoarse);
const fineIndices = indices(isFine);
/** How many coefficients `fine` is the mean of. */
export const FINE = fineIndices.length;

// Rows of the transform, left half: even ones are symmetric, odd ones antisymmetric.
const half = SIDE / 2;
const basis = Float64Array.from({ length: SIDE * half }, (_, i) => {
  const [u, x] = [Math.floor(i / half), i % half];
  return Math.sqrt((u === 0 ? 1 : 2) / SIDE) * Math.cos((Math.PI * (2 * x + 1) * u) / (2 * SIDE));
});

/** Transforms one line of 8 values, `step` apart, in place. */
function transformLine(data: Float64Array, start: number, step: number): void {
  const at = (i: number): number => data[start + i * step]!;
  const [s0, s1, s2, s3] = [at(0) + at(7), at(1) + at(6), at(2) + at(5), at(3) + at(4)];
  const [d0, d1, d2, d3] = [at(0) - at(7), at(1) - at(6), at(2) - at(5), at(3) - at(4)];
  for (let u = 0; u < SIDE; u++) {
    const k = u * half;
    data[start + u * step] =
      (u & 1) === 0
        ? basis[k]! * s0 + basis[k + 1]! * s1 + basis[k + 2]! * s2 + basis[k + 3]! * s3
        : basis[k]! * d0 + basis[k + 1]! * d1 + basis[k + 2]! * d2 + basis[k + 3]! * d3;
  }
}

/** A number in [0, 1) that depends on n alone, and looks random. */
function scatter(n: number): number {
  let t = Math.imul(n ^ 0x9e3779b9, 0x85ebca6b);
  t ^= t >>> 13;
  t = Math.imul(t, 0xc2b2ae35);
  return ((t ^ (t >>> 16)) >>> 0) / 4294967296;
}

/** Where patches of this side lie: side by side where the picture has at most `most`, else one in each cell of a grid, somewhere in it (the same place each time). */
export function layPatches(width: number, height: number, side: number, most: number): { x: Uint32Array; y: Uint32Array } {
  let [nx, ny] = [Math.floor(width / side), Math.floor(height / side)];
  const share = Math.sqrt(most / Math.max(1, nx * ny));
  if (share < 1) {
    nx = Math.min(most, Math.max(1, Math.floor(nx * share)));
    ny = Math.min(ny, Math.floor(most / nx));
  }
  const [cellX, cellY] = [width / nx, height / ny];
  const x = new Uint32Array(nx * ny);
  const y = new Uint32Array(nx * ny);
  for (let n = 0; n < nx * ny; n++) {
    x[n] = Math.min(width - side, Math.floor((n % nx) * cellX + scatter(2 * n) * (cellX - side)));
    y[n] = Math.min(height - side, Math.floor(Math.floor(n / nx) * cellY + scatter(2 * n + 1) * (cellY - side)));
  }
  return { x, y };
}

/** Finds a value at which many pixels end: `sign` 1 the lowest, -1 the highest. */
class End {
  private readonly value = [Infinity, Infinity];
  private readonly pixels = [0, 0];
  /** Values nearer than this are one: codes went through a matrix in f32. */
  private static readonly same = 4e-6;

  constructor(private readonly sign: 1 | -1) {}

  see(x: number): void {
    const v = this.sign * x;
    if (v > this.value[1]! + End.same) return;
    if (v < this.value[0]! - End.same) {
      [this.value[1], this.pixels[1]] = [this.value[0]!, this.pixels[0]!];
      [this.value[0], this.pixels[0]] = [v, 1];
    } else if (v <= this.value[0]! + End.same) this.pixels[0]!++;
    else if (v < this.value[1]! - End.same) [this.value[1], this.pixels[1]] = [v, 1];
    else this.pixels[1]!++;
  }

  /** The end, or an infinite value: a peak there, and not the thin tail of a distribution (of codes, say), unless it is at 0 or 1. */
  found(): number {
    const [v, n] = [this.sign * this.value[0]!, this.pixels[0]!];
    const bound = Math.min(Math.abs(v), Math.abs(v - 1)) < 1e-4;
    return n >= 8 && (bound || n >= this.pixels[1]!) ? v : -this.sign * Infinity;
  }
}

const IDENTITY: Matrix = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];

export interface MeasureOptions {
  /** At most so many patches. */
  most: number;
  /** Patches of means of scale x scale pixels. */
  scale?: number;
  /** From the picture's channels to those that clipping happened in. */
  clipMatrix?: Matrix;
}

/** Measures patches of a picture. Those with a value that is not finite are left out; a picture smaller than a patch has none. */
export function measurePatches(picture: LinearPicture, { most, scale = 1, clipMatrix = IDENTITY }: MeasureOptions): Patches {
  const { width, height } = picture;
  const side = SIDE * scale;
  const { x, y } = width < side || height < side ? { x: [], y: [] } : layPatches(width, height, side, most);
  const make = (): Float64Array => new Float64Array(3 * x.length);
  const out = { count: 0, mean: make(), around: make(), coarse: make(), fine: make(), spectrum: new Float32Array(3 * FINE * x.length), luminance: new Float64Array(x.length), clipMean: make(), min: make(), max: make() };
  const low = [new End(1), new End(1), new End(1)];
  const high = [new End(-1), new End(-1), new End(-1)];
  const patch = [0, 1, 2].map(() => new Float64Array(SIDE * SIDE));
  for (let n = 0; n < x.length; n++) {
    if (!load(picture, x[n]!, y[n]!, scale, patch)) continue;
    clipRange(patch, clipMatrix, out, low, high);
    for (let c = 0; c < 3; c++) {
      analyse(patch[c]!, scale * scale, 3 * out.count + c, out);
      out.around[3 * out.count + c] = meanAround(picture, x[n]!, y[n]!, side, c) ?? out.mean[3 * out.count + c]!;
    }
    out.luminance[out.count] = luminanceOf(patch, scale * scale);
    out.count++;
  }
  return { ...out, ends: low.map((l, c) => ({ low: l.found(), high: high[c]!.found() })) };
}

/** Copies a patch, a channel an array; false where it has a value that is not finite. */
function load({ width, rgba }: LinearPicture, x: number, y: number, scale: number, patch: readonly Float64Array[]): boolean {
  let sum = 0;
  for (let c = 0; c < 3; c++) {
    const data = patch[c]!.fill(0);
    for (let j = 0; j < SIDE * scale; j++) {
      const line = SIDE * Math.floor(j / scale);
      for (let i = 0, from = 4 * ((y + j) * width + x) + c; i < SIDE * scale; i++, from += 4) data[line + (scale === 1 ? i : Math.floor(i / scale))]! += rgba[from]!;
    }
    for (let i = 0; i < data.length; i++) sum += data[i]! /= scale * scale;
  }
  return Number.isFinite(sum);
}

/** Of one channel; undefined where there is nothing around. */
function meanAround({ width, height, rgba }: LinearPicture, x: number, y: number, side: number, c: number): number | undefined {
  const reach = side / 2;
  const [left, right] = [Math.max(0, x - reach), Math.min(width, x + side + reach)];
  let [sum, count] = [0, 0];
  for (let j = Math.max(0, y - reach); j < Math.min(height, y + side + reach); j++) {
    const inside = j >= y && j < y + side;
    for (let i = left; i < right; i++) {
      if (inside && i === x) i += side;
      if (i >= right) break;
      sum += rgba[4 * (j * width + i) + c]!;
      count++;
    }
  }
  return count > 0 && Number.isFinite(sum) ? sum / count : undefined;
}

/** Of a patch's transformed channels. */
function luminanceOf(patch: readonly Float64Array[], gain: number): number {
  const [r, g, b] = patch as [Float64Array, Float64Array, Float64Array];
  let sum = 0;
  for (const i of fineIndices) sum += (rec2020Luminance[0] * r[i]! + rec2020Luminance[1] * g[i]! + rec2020Luminance[2] * b[i]!) ** 2;
  return (gain * sum) / FINE;
}

type Arrays = Pick<Patches, 'count' | 'mean' | 'coarse' | 'fine' | 'spectrum' | 'clipMean' | 'min' | 'max'>;

function clipRange(patch: readonly Float64Array[], matrix: Matrix, out: Arrays, low: readonly End[], high: readonly End[]): void {
  const [r, g, b] = patch as [Float64Array, Float64Array, Float64Array];
  for (let c = 0; c < 3; c++) {
    const [mr, mg, mb] = matrix[c as 0 | 1 | 2];
    let [min, max, sum] = [Infinity, -Infinity, 0];
    for (let i = 0; i < SIDE * SIDE; i++) {
      const v = mr * r[i]! + mg * g[i]! + mb * b[i]!;
      sum += v;
      if (v < min) min = v;
      if (v > max) max = v;
      low[c]!.see(v);
      high[c]!.see(v);
    }
    const o = 3 * out.count + c;
    out.clipMean[o] = sum / (SIDE * SIDE);
    out.min[o] = min;
    out.max[o] = max;
  }
}

function analyse(data: Float64Array, gain: number, o: number, out: Arrays): void {
  for (let j = 0; j < SIDE; j++) transformLine(data, j * SIDE, 1);
  for (let i = 0; i < SIDE; i++) transformLine(data, i, SIDE);
  out.mean[o] = data[0]! / SIDE;
  let coarse = 0;
  for (const i of coarseIndices) coarse += data[i]! * data[i]!;
  out.coarse[o] = (gain * coarse) / coarseIndices.length;
  let fine = 0;
  for (let k = 0; k < FINE; k++) {
    const square = gain * data[fineIndices[k]!]! ** 2;
    out.spectrum[FINE * o + k] = square;
    fine += square;
  }
  out.fine[o] = fine / FINE;
}
