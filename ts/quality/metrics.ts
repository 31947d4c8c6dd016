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

/** The values that are compared: (y, x, rgb), clipped to [0, 1] and encoded. NaN counts as 0, as it would be shown. */
function shownValues({ rgba }: RgbaPicture, encoding: Encoding): Float64Array {
  const out = new Float64Array((rgba.length / 4) * 3);
  for (let i = 0, o = 0; i < rgba.length; i += 4)
    for (let c = 0; c < 3; c++) {
      const v = rgba[i + c]!;
      const clipped = v > 0 ? Math.min(v, 1) : 0;
      out[o++] = encoding === 'srgb' ? srgb(clipped) : clipped;
    }
  return out;
}

function luminanceOf(rgb: Float64Array): Float64Array {
  const [r, g, b] = rec2020Luminance;
  const out = new Float64Array(rgb.length / 3);
  for (let p = 0, i = 0; p < out.length; p++, i += 3) out[p] = r * rgb[i]! + g * rgb[i + 1]! + b * rgb[i + 2]!;
  return out;
}

/** Weighted means over the whole windows inside a width x height picture: (height - 10) rows of width - 10. */
function windowMeans(values: Float64Array, width: number, height: number): Float64Array {
  const w = width - SIZE + 1;
  const h = height - SIZE + 1;
  const rows = new Float64Array(w * height);
  for (let y = 0; y < height; y++)
    for (let k = 0; k < SIZE; k++) {
      const weight = WINDOW[k]!;
      for (let x = 0, from = y * width + k, to = y * w; x < w; x++) rows[to++]! += weight * values[from++]!;
    }
  const out = new Float64Array(w * h);
  for (let y = 0; y < h; y++)
    for (let k = 0; k < SIZE; k++) {
      const weight = WINDOW[k]!;
      for (let x = 0, from = (y + k) * w, to = y * w; x < w; x++) out[to++]! += weight * rows[from++]!;
    }
  return out;
}

function product(a: Float64Array, b: Float64Array): Float64Array {
  const out = new Float64Array(a.length);
  for (let i = 0; i < out.length; i++) out[i] = a[i]! * b[i]!;
  return out;
}

/** What SSIM needs of one picture: luminances and their windows' means and mean squares. */
interface Windows {
  luminance: Float64Array;
  mean: Float64Array;
  square: Float64Array;
}

function windowsOf(rgb: Float64Array, width: number, height: number): Windows {
  const luminance = luminanceOf(rgb);
  return { luminance, mean: windowMeans(luminance, width, height), square: windowMeans(product(luminance, luminance), width, height) };
}

function psnrOf(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return 10 * Math.log10(a.length / sum);
}

function ssimOf(u: Windows, v: Windows, width: number, height: number): number {
  const cross = windowMeans(product(u.luminance, v.luminance), width, height);
  let sum = 0;
  for (let i = 0; i < cross.length; i++) {
    const a = u.mean[i]!;
    const b = v.mean[i]!;
    const covariance = cross[i]! - a * b;
    const variances = u.square[i]! - a * a + v.square[i]! - b * b;
    sum += ((2 * a * b + C1) * (2 * covariance + C2)) / ((a * a + b * b + C1) * (variances + C2));
  }
  return sum / cross.length;
}

/** Compares results with one reference; what depends on the reference alone is computed once. */
export class Reference {
  private readonly shown = new Map<Encoding, { rgb: Float64Array; windows: Windows | undefined }>();

  constructor(private readonly picture: RgbaPicture) {}

  /** PSNR of a result. Throws RangeError where the sizes differ. */
  psnr(result: RgbaPicture, encoding: Encoding): number {
    return psnrOf(this.values(result, encoding), this.own(encoding).rgb);
  }

  /** SSIM of a result. Throws RangeError where the sizes differ. */
  ssim(result: RgbaPicture, encoding: Encoding): number {
    return this.similarity(this.values(result, encoding), encoding);
  }

  /** Everything. Throws RangeError where the sizes differ. */
  scores(result: RgbaPicture): Scores {
    const score = (encoding: Encoding): Score => {
      const rgb = this.values(result, encoding);
      return { psnr: psnrOf(rgb, this.own(encoding).rgb), ssim: this.similarity(rgb, encoding) };
    };
    return { linear: score('linear'), srgb: score('srgb') };
  }

  private values(result: RgbaPicture, encoding: Encoding): Float64Array {
    const { width, height } = this.picture;
    if (result.width !== width || result.height !== height)
      throw new RangeError(`pictures differ in size: ${result.width}x${result.height} and ${width}x${height}`);
    return shownValues(result, encoding);
  }

  private own(encoding: Encoding): { rgb: Float64Array; windows: Windows | undefined } {
    const known = this.shown.get(encoding);
    if (known) return known;
    const { width, height } = this.picture;
    const rgb = shownValues(this.picture, encoding);
    const made = { rgb, windows: Math.min(width, height) < SIZE ? undefined : windowsOf(rgb, width, height) };
    this.shown.set(encoding, made);
    return made;
  }

  private similarity(rgb: Float64Array, encoding: Encoding): number {
    const { width, height } = this.picture;
    const { windows } = this.own(encoding);
    return windows === undefined ? NaN : ssimOf(windowsOf(rgb, width, height), windows, width, height);
  }
}

/** PSNR in dB of a result against its reference. */
export const psnr = (result: RgbaPicture, reference: RgbaPicture, encoding: Encoding): number => new Reference(reference).psnr(result, encoding);

/** SSIM of a result against its reference. */
export const ssim = (result: RgbaPicture, reference: RgbaPicture, encoding: Encoding): number => new Reference(reference).ssim(result, encoding);

/** PSNR and SSIM, linear and sRGB-encoded. */
export const protocolScores = (result: RgbaPicture, reference: RgbaPicture): Scores => new Reference(reference).scores(result);
