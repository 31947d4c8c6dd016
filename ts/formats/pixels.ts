// Pictures as arrays of 4 values a pixel: formats, fitting to a size, shrinking (SPEC section 5: formats convert, `--width`, `--height`).

import type { Format } from '../graph/types.js';
import { fromHalf } from './half.js';

/** A buffer's bytes as f32; ui8 and ui16 codes become 0..1. */
export function toFloat(format: Format, bytes: Uint8Array): Float32Array {
  const b = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  if (format === 'f32') return new Float32Array(b.buffer, b.byteOffset, b.length / 4);
  if (format === 'f16') return fromHalf(new Uint16Array(b.buffer, b.byteOffset, b.length / 2));
  if (format === 'ui8') return Float32Array.from(b, (v) => v / 255);
  return Float32Array.from(new Uint16Array(b.buffer, b.byteOffset, b.length / 2), (v) => v / 65535);
}

/** Index of a coordinate outside 0..n-1: mirrored repeat, the edge pixel repeated (SPEC section 1.1). */
export function mirror(i: number, n: number): number {
  const m = ((i % (2 * n)) + 2 * n) % (2 * n);
  return m < n ? m : 2 * n - 1 - m;
}

/** A width x height picture made W x H: cut out of its middle where it is larger, mirrored on at right and bottom where smaller. */
export function fitTo<T extends Float32Array | Uint16Array>(data: T, width: number, height: number, W: number, H: number): T {
  if (width === W && height === H) return data;
  const out = (data instanceof Float32Array ? new Float32Array(W * H * 4) : new Uint16Array(W * H * 4)) as T;
  const left = Math.max(0, (width - W) >> 1);
  const top = Math.max(0, (height - H) >> 1);
  for (let y = 0; y < H; y++) {
    const line = mirror(y + top, height) * width;
    for (let x = 0; x < W; x++) {
      const from = 4 * (line + mirror(x + left, width));
      out.set(data.subarray(from, from + 4), 4 * (y * W + x));
    }
  }
  return out;
}

/** The size within maxWidth x maxHeight (0: no limit) that keeps the proportions; never larger than the picture. */
export function limitSize(width: number, height: number, maxWidth: number, maxHeight: number): { width: number; height: number } {
  const scale = Math.min(1, (maxWidth || width) / width, (maxHeight || height) / height);
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/** One direction of `shrink`: lines of `n` pixels, `stride` values apart, `start` values between the `lines`. */
function shrinkAxis(data: Float32Array, n: number, N: number, lines: number, at: (line: number, i: number) => number, out: Float32Array, atOut: (line: number, i: number) => number): void {
  for (let I = 0; I < N; I++) {
    const [begin, end] = [(I * n) / N, ((I + 1) * n) / N];
    for (let i = Math.floor(begin); i < Math.min(n, Math.ceil(end)); i++) {
      const weight = ((Math.min(i + 1, end) - Math.max(i, begin)) * N) / n;
      for (let line = 0; line < lines; line++) for (let c = 0; c < 4; c++) out[atOut(line, I) + c]! += weight * data[at(line, i) + c]!;
    }
  }
}

/** Area-averaging reduction: each new pixel is the mean of what it covers. */
export function shrink(rgba: Float32Array, width: number, height: number, W: number, H: number): Float32Array {
  if (width === W && height === H) return rgba;
  const narrow = new Float32Array(W * height * 4);
  shrinkAxis(rgba, width, W, height, (y, x) => 4 * (y * width + x), narrow, (y, x) => 4 * (y * W + x));
  const out = new Float32Array(W * H * 4);
  shrinkAxis(narrow, height, H, W, (x, y) => 4 * (y * W + x), out, (x, y) => 4 * (y * W + x));
  return out;
}
