// Checks of arguments, before anything reaches the addon; the addon trusts what passed here.
import { GpuError } from '../errors.js';

/** Throws GpuError BAD_ARGUMENT with `message()` unless `ok`. */
export function require_(ok: boolean, message: () => string): asserts ok {
  if (!ok) throw new GpuError('BAD_ARGUMENT', message());
}

/** Whether `n` is an integer in [low, high]. */
export function isInteger(n: number, low: number, high: number = Number.MAX_SAFE_INTEGER): boolean {
  return Number.isSafeInteger(n) && n >= low && n <= high;
}

/** Throws unless [offset, offset + bytes) lies within [0, size). */
export function checkRange(what: string, offset: number, bytes: number, size: number): void {
  require_(isInteger(offset, 0) && isInteger(bytes, 0), () => `${what}: offset ${offset} and size ${bytes} must be whole numbers, not negative`);
  require_(offset + bytes <= size, () => `${what}: bytes ${offset} to ${offset + bytes} reach beyond its ${size}`);
}
