// f16 <-> f32 (SPEC section 6): every half, and rounding to nearest even against a search.

import { fromHalf, maxHalf, toHalf } from '../../ts/formats/half.js';

const all = fromHalf(Uint16Array.from({ length: 65536 }, (_, i) => i));

test('known values', () => {
  const known: [number, number][] = [[0x0000, 0], [0x3c00, 1], [0xc000, -2], [0x7bff, maxHalf], [0x0400, 2 ** -14], [0x03ff, 1023 * 2 ** -24], [0x0001, 2 ** -24], [0x3555, 0.333251953125], [0x7c00, Infinity], [0xfc00, -Infinity]];
  for (const [bits, value] of known) {
    expect(all[bits]).toBe(value);
    expect(toHalf(Float32Array.of(value)).data[0]).toBe(bits);
  }
  expect(Object.is(all[0x8000], -0)).toBe(true);
  expect(all[0x7c01]).toBeNaN();
  expect(fromHalf(toHalf(Float32Array.of(NaN)).data)[0]).toBeNaN();
});

test('every half survives the way there and back', () => {
  const finite = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((h) => (h & 0x7c00) !== 0x7c00);
  const back = toHalf(fromHalf(finite));
  expect(back.data).toEqual(finite);
  expect(back.overflows).toBe(0);
});

test('rounds to nearest, ties to even: at, just below and just above the middle of every two neighbours', () => {
  const bits = new Uint32Array(1);
  const f = new Float32Array(bits.buffer);
  const near = (x: number, step: number): number => {
    f[0] = x;
    bits[0]! += step;
    return f[0]!;
  };
  const values: number[] = [];
  const want: number[] = [];
  for (let h = 0; h < 0x7bff; h++) {
    // The middle is exact in f32, and further f32 lie on either side of it.
    const middle = (all[h]! + all[h + 1]!) / 2;
    values.push(middle, near(middle, -1), near(middle, 1));
    want.push(h + (h & 1), h, h + 1);
  }
  const { data } = toHalf(Float32Array.from(values));
  expect(data).toEqual(Uint16Array.from(want));
  expect(toHalf(Float32Array.from(values, (v) => -v)).data).toEqual(Uint16Array.from(want, (h) => h | 0x8000));
});

test('counts what is beyond f16, and where it begins', () => {
  const r = toHalf(Float32Array.of(1, 65519.99, 65520, Infinity, -70000, NaN));
  expect(r).toMatchObject({ overflows: 2, firstOverflow: 2 });
  expect([...r.data.subarray(0, 5)]).toEqual([0x3c00, 0x7bff, 0x7c00, 0x7c00, 0xfc00]);
  expect(toHalf(Float32Array.of(Infinity))).toMatchObject({ overflows: 0, firstOverflow: -1 });
});
