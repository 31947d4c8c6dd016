// Reference: how close a result is, as the quality figures are measured: PSNR linear and sRGB-encoded of the values clipped
// to [0, 1], and SSIM (Wang et al. 2004) on luminance.
import { type Image, channels, luminance, makeImage } from './image.js';

/** The sRGB curve of a linear value in [0, 1]. */
export const srgbEncode = (v: number): number => (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055);

const clip = (v: number): number => Math.min(Math.max(v, 0), 1);

/** Values clipped to [0, 1] and, if asked, sRGB-encoded: what PSNR and SSIM compare. */
export function displayed(image: Image, encoding: 'linear' | 'srgb'): Image {
  const rgb = channels(image, 0, 3);
  return makeImage(rgb.width, rgb.height, 3, rgb.data.map((v) => (encoding === 'srgb' ? srgbEncode(clip(v)) : clip(v))));
}

function sameShape(u: Image, v: Image): void {
  if (u.width !== v.width || u.height !== v.height)
    throw new RangeError(`pictures differ in size: ${u.width}x${u.height} and ${v.width}x${v.height}`);
}

/** Peak signal to noise ratio in dB, peak 1, over all pixels and rgb; Infinity for equal pictures. */
export function psnr(result: Image, reference: Image, encoding: 'linear' | 'srgb'): number {
  sameShape(result, reference);
  const r = displayed(result, encoding).data;
  const t = displayed(reference, encoding).data;
  const error = r.reduce((sum, v, i) => sum + (v - t[i]!) ** 2, 0) / r.length;
  return -10 * Math.log10(error);
}

const SSIM_SIZE = 11;
const SSIM_SIGMA = 1.5;
const C1 = 0.01 ** 2;
const C2 = 0.03 ** 2;

function gaussian(): number[] {
  const g = Array.from({ length: SSIM_SIZE }, (_, i) => Math.exp(-((i - (SSIM_SIZE - 1) / 2) ** 2) / (2 * SSIM_SIGMA ** 2)));
  const total = g.reduce((a, b) => a + b, 0);
  return g.map((v) => v / total);
}

/** Weighted means over the whole windows inside the picture, row-major. */
function windowMeans(values: Float64Array, width: number, height: number): Float64Array {
  const g = gaussian();
  const w = width - SSIM_SIZE + 1;
  const h = height - SSIM_SIZE + 1;
  const rows = new Float64Array(w * height);
  for (let y = 0; y < height; y++) for (let x = 0; x < w; x++) g.forEach((v, k) => (rows[y * w + x]! += v * values[y * width + x + k]!));
  const out = new Float64Array(w * h);
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) g.forEach((v, k) => (out[y * w + x]! += v * rows[(y + k) * w + x]!));
  return out;
}

/** Mean structural similarity of the luminances, 11x11 Gaussian windows (sigma 1.5), dynamic range 1. At least 11x11 pixels. */
export function ssim(result: Image, reference: Image, encoding: 'linear' | 'srgb'): number {
  sameShape(result, reference);
  const { width, height } = result;
  if (Math.min(width, height) < SSIM_SIZE) throw new RangeError(`SSIM needs ${SSIM_SIZE} pixels a side, picture is ${width}x${height}`);
  const luma = (image: Image): Float64Array => {
    const shown = displayed(image, encoding).data;
    return Float64Array.from({ length: width * height }, (_, p) => luminance(shown.subarray(p * 3, p * 3 + 3)));
  };
  const u = luma(result);
  const v = luma(reference);
  const means = (values: Float64Array): Float64Array => windowMeans(values, width, height);
  const [mu, mv, uu, vv, uv] = [u, v, u.map((a) => a * a), v.map((a) => a * a), u.map((a, i) => a * v[i]!)].map(means) as [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array];
  const similarity = mu.map((a, i) => {
    const b = mv[i]!;
    const covariance = uv[i]! - a * b;
    const variances = uu[i]! - a * a + vv[i]! - b * b;
    return ((2 * a * b + C1) * (2 * covariance + C2)) / ((a * a + b * b + C1) * (variances + C2));
  });
  return similarity.reduce((a, b) => a + b, 0) / similarity.length;
}
