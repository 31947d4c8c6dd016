// Division by a level's sizes with a factor and a shift (ts/modules/kpn/geometry.ts, glsl/kpn/geometry.glsl).
import { divisor } from '../../ts/modules/kpn/geometry.js';

const divided = (n: number, [factor, shift]: [number, number]): number => Number((BigInt(n) + 1n) * BigInt(factor) >> BigInt(32 + shift));

test('divides what may be a pixel by what may be a size', () => {
  const sizes = [...Array.from({ length: 300 }, (_, i) => i + 1), 4095, 4096, 4097, 64 * 64, 65521, 2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1, 2 ** 30 - 1, 2 ** 30, 2 ** 30 + 1, 2 ** 31 - 1];
  for (const d of sizes) {
    const by = divisor(d);
    expect(by.every((v, i) => Number.isInteger(v) && v >= 0 && v < 2 ** (i === 0 ? 32 : 5))).toBe(true);
    // Where a quotient changes, near the ends and in between.
    const multiples = [0, 1, 2, 3, 1000, Math.floor((2 ** 31 - 1) / d / 2), Math.floor((2 ** 31 - 1) / d)].map((q) => q * d);
    for (const n of multiples.flatMap((m) => [m - 1, m, m + 1, m + d - 1]).concat(2 ** 31 - 2, 2 ** 31 - 1).filter((v) => v >= 0 && v < 2 ** 31)) expect([n, d, divided(n, by)]).toEqual([n, d, Math.floor(n / d)]);
  }
});
