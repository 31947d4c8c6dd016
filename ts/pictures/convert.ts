// Colour arithmetic of whole pictures, spread over threads where a picture is large.

import { codesToHalf, lightToCodes, type Codes, type CodesToLight, type LightHalves, type LightToCodes } from '../formats/codes.js';
import { inWorker, poolSize } from './pool.js';

/** Pixels of a part: smaller ones cost more to hand over than to convert. */
const partPixels = 1 << 20;

/** Parts of an array of `channels` values a pixel: copies, to be given away. Undefined for a picture too small to divide. */
function parts<T extends Uint8Array | Uint16Array | Float32Array>(values: T, channels: number): T[] | undefined {
  const pixels = values.length / channels;
  const count = Math.min(poolSize, Math.floor(pixels / partPixels));
  if (count < 2) return undefined;
  const step = Math.ceil(pixels / count) * channels;
  return Array.from({ length: count }, (_, i) => values.slice(i * step, (i + 1) * step) as T);
}

function join<T extends Uint8Array | Uint16Array>(pieces: readonly T[], into: T): T {
  let at = 0;
  for (const piece of pieces) {
    into.set(piece, at);
    at += piece.length;
  }
  return into;
}

/** codesToHalf, on threads. */
export async function toHalfPicture(codes: Uint8Array | Uint16Array, light: CodesToLight): Promise<LightHalves> {
  const given = parts(codes, 3);
  if (!given) return codesToHalf(codes, light);
  const made = await Promise.all(given.map((part) => inWorker('codesToHalf', [part, light], [part.buffer as ArrayBuffer])));
  const first = made.findIndex((m) => m.overflows > 0);
  const before = made.slice(0, Math.max(first, 0)).reduce((sum, m) => sum + m.data.length / 4, 0);
  return {
    data: join(made.map((m) => m.data), new Uint16Array((codes.length / 3) * 4)),
    overflows: made.reduce((sum, m) => sum + m.overflows, 0),
    firstOverflow: first < 0 ? -1 : before + made[first]!.firstOverflow,
  };
}

/** lightToCodes, on threads. */
export async function toCodes(rgba: Float32Array | Uint16Array, how: LightToCodes): Promise<Codes> {
  const given = parts(rgba, 4);
  if (!given) return lightToCodes(rgba, how);
  const made = await Promise.all(given.map((part) => inWorker('lightToCodes', [part, how], [part.buffer as ArrayBuffer])));
  const length = (rgba.length / 4) * 3;
  const codes = join<Uint8Array | Uint16Array>(made.map((m) => m.codes), how.bits === 8 ? new Uint8Array(length) : new Uint16Array(length));
  return { codes, broken: made.reduce((sum, m) => sum + m.broken, 0) };
}
