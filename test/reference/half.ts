// Reference: rounding to IEEE half precision, to mimic what the GPU stores as f16.

const HALF_MIN_EXPONENT = -14; // of the smallest normal number; below it the spacing stays the same
const HALF_EPSILON = 2 ** -10; // spacing, in parts of the power of two below
const HALF_OVERFLOW = 65536;

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Powers of two from that of the smallest normal number up; a table, because tests round hundreds of millions of numbers. */
const POWERS = Float64Array.from({ length: 31 }, (_, i) => 2 ** (HALF_MIN_EXPONENT + i));
const power = (exponent: number): number => POWERS[exponent - HALF_MIN_EXPONENT]!;

/** The f16 nearest to `value` (ties to even), as a number; beyond the f16 range an infinity. */
export function toHalf(value: number): number {
  if (!Number.isFinite(value) || value === 0) return value;
  const magnitude = Math.abs(value);
  if (magnitude >= HALF_OVERFLOW) return Math.sign(value) * Infinity;
  let exponent = Math.max(Math.floor(Math.log2(magnitude)), HALF_MIN_EXPONENT);
  if (exponent > HALF_MIN_EXPONENT && power(exponent) > magnitude) exponent--; // log2 may round up to the next integer
  const spacing = power(exponent) * HALF_EPSILON;
  const rounded = roundHalfEven(magnitude / spacing) * spacing;
  return Math.sign(value) * (rounded >= HALF_OVERFLOW ? Infinity : rounded);
}

/** Rounding to f16 of a value kept multiplied by `scale`, as scaled gradients are. */
export const toScaledHalf = (scale: number) => (value: number): number => toHalf(value * scale) / scale;
