// IEEE binary16 <-> binary32, round to nearest even (SPEC sections 1.4 and 6: weights and pictures are kept in f16).

/** The largest finite f16. */
export const maxHalf = 65504;

/** Bits of a binary32 -> bits of the nearest binary16; ties to even, beyond 65520 infinity, NaN stays NaN. */
export function halfOf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const abs = bits & 0x7fffffff;
  if (abs > 0x7f800000) return sign | 0x7e00;
  if (abs >= 0x477ff000) return sign | 0x7c00;
  // Normal: re-bias the exponent; a carry out of the rounded mantissa increments it rightly.
  if (abs >= 0x38800000) return sign | ((abs - 0x38000000 + 0xfff + ((abs >>> 13) & 1)) >>> 13);
  if (abs < 0x33000000) return sign;
  // Subnormal: units of 2^-24.
  const shift = 126 - (abs >>> 23);
  const mantissa = (abs & 0x7fffff) | 0x800000;
  const floor = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const tie = 1 << (shift - 1);
  return sign | (floor + (rest > tie || (rest === tie && (floor & 1) === 1) ? 1 : 0));
}

export interface Halves {
  data: Uint16Array;
  /** Finite values that became infinite, and the index of the first. */
  overflows: number;
  firstOverflow: number;
}

/** f32 -> f16 bits. Overflow is counted, not thrown: the caller knows what to call the place. */
export function toHalf(values: Float32Array): Halves {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const data = new Uint16Array(values.length);
  let overflows = 0;
  let firstOverflow = -1;
  for (let i = 0; i < bits.length; i++) {
    const b = bits[i]!;
    const h = halfOf(b);
    data[i] = h;
    if ((h & 0x7fff) === 0x7c00 && (b & 0x7fffffff) !== 0x7f800000 && overflows++ === 0) firstOverflow = i;
  }
  return { data, overflows, firstOverflow };
}

let table: Float32Array | undefined;

function decodeTable(): Float32Array {
  const t = new Float32Array(65536);
  for (let h = 0; h < 65536; h++) {
    const e = (h >> 10) & 31;
    const m = h & 1023;
    const abs = e === 31 ? (m === 0 ? Infinity : NaN) : e === 0 ? m * 2 ** -24 : (1024 + m) * 2 ** (e - 25);
    t[h] = h & 0x8000 ? -abs : abs;
  }
  return t;
}

/** f16 bits -> f32, exact. */
export function fromHalf(halves: Uint16Array): Float32Array {
  table ??= decodeTable();
  const out = new Float32Array(halves.length);
  for (let i = 0; i < out.length; i++) out[i] = table[halves[i]!]!;
  return out;
}
