// Code values of 8 or 16 bits <-> light, a whole picture's worth at a time: by tables, so that 24 megapixels take a fraction of a second.

import type { Matrix } from './colour.js';
import { fromHalf, halfOf } from './half.js';

/** rgb codes -> linear rec2020: the light of each code, then the matrix. */
export interface CodesToLight {
  tables: readonly [Float64Array, Float64Array, Float64Array];
  matrix: Matrix;
}

/** What `codesToHalf` made. */
export interface LightHalves {
  /** (y, x, c) f16, alpha 1. */
  data: Uint16Array;
  /** Values beyond f16, and the pixel of the first. */
  overflows: number;
  firstOverflow: number;
}

const one = 0x3c00;

/** rgb codes -> f16 rgba, in `data`. Values beyond f16 are counted and become infinite. */
export function codesToHalf(codes: Uint8Array | Uint16Array, { tables: [tr, tg, tb], matrix: [mr, mg, mb] }: CodesToLight, data: Uint16Array = new Uint16Array((codes.length / 3) * 4)): LightHalves {
  const pixels = codes.length / 3;
  const f32 = new Float32Array(3);
  const bits = new Uint32Array(f32.buffer);
  let overflows = 0;
  let firstOverflow = -1;
  for (let p = 0, i = 0, o = 0; p < pixels; p++, i += 3, o += 4) {
    const r = tr[codes[i]!]!;
    const g = tg[codes[i + 1]!]!;
    const b = tb[codes[i + 2]!]!;
    f32[0] = mr[0] * r + mr[1] * g + mr[2] * b;
    f32[1] = mg[0] * r + mg[1] * g + mg[2] * b;
    f32[2] = mb[0] * r + mb[1] * g + mb[2] * b;
    for (let c = 0; c < 3; c++) {
      const h = halfOf(bits[c]!);
      data[o + c] = h;
      if ((h & 0x7fff) === 0x7c00 && overflows++ === 0) firstOverflow = p;
    }
    data[o + 3] = one;
  }
  return { data, overflows, firstOverflow };
}

/** Linear rec2020 -> codes: the matrix, then the signal of each light, by lightTable. */
export interface LightToCodes {
  matrix: Matrix;
  tables: readonly [Float32Array, Float32Array, Float32Array];
  bits: 8 | 16;
}

// A light's place in a table is the top of its f32: sign and exponent, and ten bits of the fraction. Between places the signal is
// interpolated: over a thousandth of its value a curve of any kind bends by less than 0.01 of a 16-bit code.
const shift = 13;
const fraction = (1 << shift) - 1;
/** PQ's signal 1 is 49 times diffuse white. */
const largest = 128;
const places = (f32BitsOf(largest) >>> shift) + 2;

function f32BitsOf(x: number): number {
  return new Uint32Array(Float32Array.of(x).buffer)[0]!;
}

/** Signals of all lights from 0 to 128, clamped to 0..1. */
export function lightTable(encode: (light: number) => number): Float32Array {
  const lights = new Float32Array(Uint32Array.from({ length: places }, (_, i) => i << shift).buffer);
  return Float32Array.from(lights, (x) => Math.min(Math.max(encode(x), 0), 1));
}

export interface Codes {
  /** rgb */
  codes: Uint8Array | Uint16Array;
  /** Pixels with a value that is NaN or infinite. */
  broken: number;
}

/** Room for the codes of so many pixels. */
export const codesArray = (bits: 8 | 16, pixels: number, shared = false): Uint8Array | Uint16Array => {
  const memory = new (shared ? SharedArrayBuffer : ArrayBuffer)((3 * pixels * bits) / 8);
  return bits === 8 ? new Uint8Array(memory) : new Uint16Array(memory);
};

/** rgba in f32, or f16 as its bits -> rgb codes, in `codes`, clamped, rounded to nearest; NaN becomes 0. Alpha is dropped. */
export function lightToCodes(rgba: Float32Array | Uint16Array, { matrix: [mr, mg, mb], tables: [tr, tg, tb], bits }: LightToCodes, codes = codesArray(bits, rgba.length / 4)): Codes {
  let broken = 0;
  const top = 2 ** bits - 1;
  const f32 = new Float32Array(1);
  const u32 = new Uint32Array(f32.buffer);
  const code = (light: number, table: Float32Array): number => {
    if (!(light > 0)) return 0;
    f32[0] = light < largest ? light : largest;
    const b = u32[0]!;
    const i = b >>> shift;
    const low = table[i]!;
    return (low + (table[i + 1]! - low) * ((b & fraction) / (fraction + 1))) * top + 0.5;
  };
  // Blocks that stay in the cache, where halves have to become floats first.
  const block = 1 << 14;
  for (let from = 0; from < rgba.length; from += block) {
    const part = rgba.subarray(from, Math.min(from + block, rgba.length));
    const values = part.BYTES_PER_ELEMENT === 4 ? (part as Float32Array) : fromHalf(part as Uint16Array);
    for (let i = 0, o = (from / 4) * 3; i < values.length; i += 4, o += 3) {
      const r = values[i]!;
      const g = values[i + 1]!;
      const b = values[i + 2]!;
      if (r - r + (g - g) + (b - b) !== 0) broken++;
      codes[o] = code(mr[0] * r + mr[1] * g + mr[2] * b, tr);
      codes[o + 1] = code(mg[0] * r + mg[1] * g + mg[2] * b, tg);
      codes[o + 2] = code(mb[0] * r + mb[1] * g + mb[2] * b, tb);
    }
  }
  return { codes, broken };
}

/** The inverse of a table of light by code that rises: light -> signal 0..1. */
export function invertTable(light: Float64Array): (x: number) => number {
  const last = light.length - 1;
  return (x) => {
    if (!(x > light[0]!)) return 0;
    if (x >= light[last]!) return 1;
    let [lo, hi] = [0, last];
    while (hi - lo > 1) {
      const mid = (lo + hi) >> 1;
      if (light[mid]! <= x) lo = mid;
      else hi = mid;
    }
    return (lo + (x - light[lo]!) / (light[hi]! - light[lo]!)) / last;
  };
}

