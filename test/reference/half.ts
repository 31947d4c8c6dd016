// Reference: rounding to IEEE half precision, to mimic what the GPU stores as f16.

const HALF_MIN_EXPONENT = -14; // of the smallest normal number; below it the spacing stays the same
const HALF_MANTISSA_BITS = 10;
const HALF_OVERFLOW = 65536;

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** The f16 nearest to `value` (ties to even), as a number; beyond the f16 range an infinity. */
export function toHalf(value: number): number {
  if (!Number.isFinite(value) || value === 0) return value;
  const magnitude = Math.abs(value);
  let exponent = Math.floor(Math.log2(magnitude));
  if (2 ** exponent > magnitude) exponent--; // log2 may round up to the next integer
  const spacing = 2 ** (Math.max(exponent, HALF_MIN_EXPONENT) - HALF_MANTISSA_BITS);
  const rounded = roundHalfEven(magnitude / spacing) * spacing;
  return Math.sign(value) * (rounded >= HALF_OVERFLOW ? Infinity : rounded);
}

/** Rounding to f16 of a value kept multiplied by `scale`, as scaled gradients are. */
export const toScaledHalf = (scale: number) => (value: number): number => toHalf(value * scale) / scale;
