// Colour arithmetic of whole pictures, spread over threads where a picture is large.

import { codesArray, codesToHalf, lightToCodes, type Codes, type CodesToLight, type LightHalves, type LightToCodes } from '../formats/codes.js';
import { inWorker, poolSize, startThreads } from './pool.js';

/** Pixels of a part: smaller ones cost more to hand over than to convert. */
const partPixels = 1 << 20;

const partsOf = (pixels: number): number => Math.min(poolSize, Math.floor(pixels / partPixels));

/** Starts the threads that will convert a picture of so many pixels. */
export const startConverters = (pixels: number): void => startThreads(partsOf(pixels));

/**
 * Converts an array of `channels` values a pixel in parts, each by `convert`, which is told the part's first pixel and what it gives away: of values that are
 * not in shared memory, parts are copies. Undefined for a picture too small to divide.
 */
function inParts<T extends Uint8Array | Uint16Array | Float32Array, R>(values: T, channels: number, convert: (part: T, first: number, given: ArrayBuffer[]) => Promise<R>): Promise<R[]> | undefined {
  const pixels = values.length / channels;
  const count = partsOf(pixels);
  if (count < 2) return undefined;
  const step = Math.ceil(pixels / count);
  return Promise.all(Array.from({ length: count }, (_, i) => {
    const [from, to] = [i * step * channels, (i + 1) * step * channels];
    if (values.buffer instanceof SharedArrayBuffer) return convert(values.subarray(from, to) as T, i * step, []);
    const part = values.slice(from, to) as T;
    return convert(part, i * step, [part.buffer as ArrayBuffer]);
  }));
}

/** codesToHalf, on threads. */
export async function toHalfPicture(codes: Uint8Array | Uint16Array, light: CodesToLight): Promise<LightHalves> {
  const data = new Uint16Array(new SharedArrayBuffer((codes.length / 3) * 8));
  const made = await inParts(codes, 3, async (part, first, given) => {
    const values = (part.length / 3) * 4;
    const { overflows, firstOverflow } = await inWorker('codesToHalf', [part, light, data.subarray(4 * first, 4 * first + values)], given);
    return { overflows, firstOverflow: firstOverflow < 0 ? -1 : first + firstOverflow };
  });
  if (!made) return codesToHalf(codes, light, data);
  return { data, overflows: made.reduce((sum, m) => sum + m.overflows, 0), firstOverflow: made.find((m) => m.firstOverflow >= 0)?.firstOverflow ?? -1 };
}

/** lightToCodes, on threads. */
export async function toCodes(rgba: Float32Array | Uint16Array, how: LightToCodes): Promise<Codes> {
  const codes = codesArray(how.bits, rgba.length / 4, true);
  const made = await inParts(rgba, 4, async (part, first, given) => {
    const into = codes.subarray(3 * first, 3 * first + (part.length / 4) * 3);
    return (await inWorker('lightToCodes', [part, how, into], given)).broken;
  });
  if (!made) return lightToCodes(rgba, how, codes);
  return { codes, broken: made.reduce((sum, n) => sum + n, 0) };
}
