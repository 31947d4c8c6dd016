// Colour arithmetic against published values (SPEC section 5).

import { adapt, apply, convertPrimaries, curve, curveNames, d65ToD50, invert, multiply, primaryNames, rec2020Luminance, rgbToXyz, whiteD50, whiteD65, xyToXyz, type Matrix, type Vec3 } from '../../ts/formats/colour.js';

/** Published matrices have this many decimals, so they are off by half a unit of the last. */
function expectMatrix(m: Matrix, want: readonly (readonly number[])[], decimals: number): void {
  want.flat().forEach((x, i) => expect(Math.abs(m.flat()[i]! - x)).toBeLessThan(0.51 * 10 ** -decimals));
}

test('matrices to XYZ, as published', () => {
  // IEC 61966-2-1; BT.2020 with its exact white; Adobe RGB (1998) section 4.3.5.3; Display P3 (computed in SMPTE EG 432-1's way).
  expectMatrix(rgbToXyz('sRGB'), [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], 4);
  expectMatrix(rgbToXyz('bt2020'), [[0.636958, 0.144617, 0.168881], [0.2627, 0.677998, 0.059302], [0, 0.028073, 1.060985]], 6);
  expectMatrix(rgbToXyz('AdobeRGB'), [[0.5767, 0.1856, 0.1882], [0.2973, 0.6274, 0.0753], [0.027, 0.0707, 0.9913]], 4);
  expectMatrix(rgbToXyz('P3'), [[0.4866, 0.2657, 0.1982], [0.229, 0.6917, 0.0793], [0, 0.0451, 1.0439]], 4);
  rgbToXyz('bt2020')[1].forEach((x, c) => expect(x).toBeCloseTo(rec2020Luminance[c as 0 | 1 | 2], 7));
});

test('BT.2087: sRGB primaries to BT.2020', () => {
  expectMatrix(convertPrimaries('sRGB', 'bt2020'), [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.088, 0.8956]], 4);
});

test('Bradford adaptation, as published by Lindbloom', () => {
  const m = adapt([0.95047, 1, 1.08883], [0.96422, 1, 0.82521]);
  expectMatrix(m, [[1.0478112, 0.0228866, -0.050127], [0.0295424, 0.9904844, -0.0170491], [-0.0092345, 0.0150436, 0.7521316]], 6);
  apply(d65ToD50(), xyToXyz(whiteD65)).forEach((x, c) => expect(x).toBeCloseTo(whiteD50[c as 0 | 1 | 2], 12));
});

test.each(primaryNames.flatMap((a) => primaryNames.map((b) => [a, b] as const)))('%s to %s and back is the identity, white stays white', (a, b) => {
  const there = convertPrimaries(a, b);
  expectMatrix(multiply(convertPrimaries(b, a), there), [[1, 0, 0], [0, 1, 0], [0, 0, 1]], 12);
  const white = (p: typeof a): Vec3 => (p === 'XYZ' ? xyToXyz(whiteD65) : [1, 1, 1]);
  apply(there, white(a)).forEach((x, c) => expect(x).toBeCloseTo(white(b)[c as 0 | 1 | 2], 12));
});

test('a matrix times its inverse', () => {
  const m: Matrix = [[1, 2, 3], [0, 1, 4], [5, 6, 0]];
  expect(invert(m).flat().map((x) => Math.round(x * 1e9) / 1e9)).toEqual([-24, 18, 5, 20, -15, -4, -5, 4, 1]);
});

describe('curves', () => {
  // [curve, light, signal, decimals]. sRGB: IEC; BT.709: 18 % grey; PQ: BT.2408 table (203 cd/m^2 is 58 %) and ST 2084; HLG: BT.2100 and BT.2408;
  // DCI: white of 48 cd/m^2 is code 3960 of 4095.
  test.each([
    ['sRGB', 0.5, 0.735357, 6], ['sRGB', 0.0031308, 0.04045, 5], ['sRGB', 0.214041, 0.5, 6], ['sRGB', 1, 1, 12],
    ['bt709', 0.18, 0.409, 3], ['bt709', 0.01, 0.045, 12], ['bt709', 1, 1, 12],
    ['PQ', 1, 0.580689, 6], ['PQ', 100 / 203, 0.508078, 6], ['PQ', 1000 / 203, 0.751827, 6], ['PQ', 10000 / 203, 1, 12],
    ['HLG', 1, 0.75, 7], ['HLG', 0, 0, 12],
    ['DCI', 1, 3960 / 4095, 4], ['DCI', 52.37 / 48, 1, 12],
    ['gamma2.2', 0.5, 0.72974, 5], ['linear', 0.3, 0.3, 12],
  ] as const)('%s: light %d is signal %d', (name, light, signal, decimals) => {
    expect(curve(name).encode(light)).toBeCloseTo(signal, decimals);
  });

  test('HLG: half the signal is a twelfth of its peak', () => {
    const peak = curve('HLG').decode(1);
    expect(curve('HLG').encode(peak / 12)).toBeCloseTo(0.5, 7);
  });

  test.each(curveNames)('%s: both ways, rising, mirrored below zero', (name) => {
    const { encode, decode } = curve(name);
    let last = -1;
    for (let i = 1; i <= 1000; i++) {
      const v = i / 1000;
      expect(encode(decode(v))).toBeCloseTo(v, 7);
      expect(decode(v)).toBeGreaterThan(last);
      last = decode(v);
      expect(encode(-last)).toBe(-encode(last));
    }
  });
});
