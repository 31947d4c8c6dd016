// How close a picture is to its reference: PSNR and SSIM (Wang et al. 2004), of linear values and of sRGB-encoded ones.
// The protocol is docs/quality.md's: values are clipped to [0, 1] first, in linear rec2020; sRGB means that its curve is put on
// these values, primary by primary. Pure; sums are f64, in a fixed order: the same pictures give the same bits.

import { curve, rec2020Luminance } from '../formats/colour.js';

/** A picture as the project keeps it: (y, x, c), 4 values a pixel of which the last is not looked at, linear rec2020. */
export interface RgbaPicture {
  width: number;
  height: number;
  rgba: Float32Array;
}

export const ENCODINGS = ['linear', 'srgb'] as const;
export type Encoding = (typeof ENCODINGS)[number];

export interface Score {
  /** dB, peak 1, over all pixels and rgb; Infinity for equal pictures. */
  psnr: number;
  /** -1..1, mean over the whole windows inside the picture; NaN where a side has less than 11 pixels. */
  ssim: number;
}
export type Scores = Record<Encoding, Score>;

const { encode: srgb } = curve('sRGB');
/** Length of the window, and its Gaussian's standard deviation. */
const SIZE = 11;
const SIGMA = 1.5;
/** (0.01)^2 and (0.03)^2 of a dynamic range of 1. */
const C1 = 1e-4;
const C2 = 9e-4;

const bell = Float64Array.from({ length: SIZE }, (_, i) => Math.exp(-((i - (SIZE - 1) / 2) ** 2) / (2 * SIGMA ** 2)));
const bellSum = bell.reduce((a, b) => a + b, 0);
const WINDOW = bell.map((v) => v / bellSum);

/** Row y of what is compared: rgb, clipped to [0, 1] and encoded. NaN counts as 0, as it would be shown. */
function shownRow({ width, rgba }: RgbaPicture, y: number, encoding: Encoding, out: Float64Array): void {
  for (let i = 4 * width * y, o = 0; o < 3 * width; i += 4)
    for (let c = 0; c < 3; c++) {
      const v = rgba[i + c]!;
      const clipped = v > 0 ? Math.min(v, 1) : 0;
      out[o++] = encoding === 'srgb' ? srgb(clipped) : clipped;
    }
}

function luminanceRow(rgb: Float64Array, out: Float64Array): void {
  const [r, g, b] = rec2020Luminance;
  for (let x = 0, i = 0; x < out.length; x++, i += 3) out[x] = r * rgb[i]! + g * rgb[i + 1]! + b * rgb[i + 2]!;
}

/** out[x] = the window's weighted mean of u[x ..] * v[x ..]; v undefined: of u alone. */
function meansAlong(out: Float64Array, u: Float64Array, v?: Float64Array): void {
  out.fill(0);
  for (let k = 0; k < SIZE; k++) {
    const weight = WINDOW[k]!;
    if (v) for (let x = 0; x < out.length; x++) out[x]! += weight * (u[x + k]! * v[x + k]!);
    else for (let x = 0; x < out.length; x++) out[x]! += weight * u[x + k]!;
  }
}

/** What SSIM takes the windows' means of: two luminances, their squares, their product. */
const MOMENTS = 5;

/** Adds up SSIM row by row, holding the means along the last 11 rows alone: a picture's worth of memory a thread would be a lot, and slower. */
class Similarity {
  private readonly width: number;
  private readonly u: Float64Array;
  private readonly v: Float64Array;
  /** Row y of the picture is at y % 11. */
  private readonly rows: Float64Array[][];
  private readonly means: Float64Array[];
  private sum = 0;

  constructor(pictureWidth: number) {
    this.width = pictureWidth - SIZE + 1;
    this.u = new Float64Array(pictureWidth);
    this.v = new Float64Array(pictureWidth);
    this.rows = Array.from({ length: SIZE }, () => Array.from({ length: MOMENTS }, () => new Float64Array(this.width)));
    this.means = Array.from({ length: MOMENTS }, () => new Float64Array(this.width));
  }

  /** Rows in order, from 0. */
  add(y: number, a: Float64Array, b: Float64Array): void {
    const { u, v } = this;
    luminanceRow(a, u);
    luminanceRow(b, v);
    const row = this.rows[y % SIZE]!;
    meansAlong(row[0]!, u);
    meansAlong(row[1]!, v);
    meansAlong(row[2]!, u, u);
    meansAlong(row[3]!, v, v);
    meansAlong(row[4]!, u, v);
    if (y >= SIZE - 1) this.window(y - SIZE + 1);
  }

  /** The windows whose first row is this. */
  private window(first: number): void {
    for (const [moment, mean] of this.means.entries()) {
      mean.fill(0);
      for (let k = 0; k < SIZE; k++) {
        const weight = WINDOW[k]!;
        const row = this.rows[(first + k) % SIZE]![moment]!;
        for (let x = 0; x < this.width; x++) mean[x]! += weight * row[x]!;
      }
    }
    const [mu, mv, uu, vv, uv] = this.means as [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array];
    for (let x = 0; x < this.width; x++) {
      const a = mu[x]!;
      const b = mv[x]!;
      const covariance = uv[x]! - a * b;
      const variances = uu[x]! - a * a + vv[x]! - b * b;
      this.sum += ((2 * a * b + C1) * (2 * covariance + C2)) / ((a * a + b * b + C1) * (variances + C2));
    }
  }

  mean(height: number): number {
    return this.sum / (this.width * (height - SIZE + 1));
  }
}

/** PSNR; `similarity` sees the rows that are compared. */
function psnrOf(result: RgbaPicture, reference: RgbaPicture, encoding: Encoding, similarity?: Similarity): number {
  const { width, height } = reference;
  if (result.width !== width || result.height !== height)
    throw new RangeError(`pictures differ in size: ${result.width}x${result.height} and ${width}x${height}`);
  const a = new Float64Array(3 * width);
  const b = new Float64Array(3 * width);
  let squares = 0;
  for (let y = 0; y < height; y++) {
    shownRow(result, y, encoding, a);
    shownRow(reference, y, encoding, b);
    for (let i = 0; i < a.length; i++) squares += (a[i]! - b[i]!) ** 2;
    similarity?.add(y, a, b);
  }
  return 10 * Math.log10((3 * width * height) / squares);
}

function scoreOf(result: RgbaPicture, reference: RgbaPicture, encoding: Encoding): Score {
  const { width, height } = reference;
  const similarity = Math.min(width, height) < SIZE ? undefined : new Similarity(width);
  return { psnr: psnrOf(result, reference, encoding, similarity), ssim: similarity?.mean(height) ?? NaN };
}

/** PSNR and SSIM of a result against its reference, linear and sRGB-encoded. Throws RangeError where the sizes differ. */
export const protocolScores = (result: RgbaPicture, reference: RgbaPicture): Scores => ({ linear: scoreOf(result, reference, 'linear'), srgb: scoreOf(result, reference, 'srgb') });

/** PSNR in dB alone. Throws as protocolScores. */
export const psnr = (result: RgbaPicture, reference: RgbaPicture, encoding: Encoding): number => psnrOf(result, reference, encoding);

/** SSIM alone. Throws as protocolScores. */
export const ssim = (result: RgbaPicture, reference: RgbaPicture, encoding: Encoding): number => scoreOf(result, reference, encoding).ssim;
