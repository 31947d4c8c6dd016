// JPEG and PNG: code values, profiles, orientation, round trips (SPEC sections 4 and 5).

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { convertPrimaries, curve, apply, type Curve, type Primaries, type Vec3 } from '../../ts/formats/colour.js';
import { isProfile, readProfile, writeProfile } from '../../ts/formats/icc.js';
import { decodePicture, encodePicture, quantise, readPictureHeader, type PictureKind } from '../../ts/formats/picture.js';
import { failure } from './io-harness.js';

const noWarning = (m: string): void => {
  throw new Error(m);
};
const decode = (bytes: Uint8Array, kind: PictureKind = 'png', warn = noWarning) => decodePicture(bytes, kind, 'a picture', warn);

/** Reproducible code values. */
function codes(n: number, top: number): number[] {
  let s = 12345;
  return Array.from({ length: n }, () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 2 ** 32) * (top + 1));
  });
}

/** What a code triple is in linear rec2020. */
function expected(rgb: Vec3, primaries: Primaries, trc: Curve, top: number): Vec3 {
  const { decode: d } = curve(trc);
  return apply(convertPrimaries(primaries, 'bt2020'), rgb.map((v) => d(v / top)) as unknown as Vec3);
}

function expectColours(rgba: Float32Array, rgb: ArrayLike<number>, primaries: Primaries, trc: Curve, top: number, bound: (v: number) => number): void {
  let worst = 0;
  for (let p = 0; p < rgba.length / 4; p++) {
    const want = expected([rgb[3 * p]!, rgb[3 * p + 1]!, rgb[3 * p + 2]!], primaries, trc, top);
    for (const c of [0, 1, 2] as const) worst = Math.max(worst, Math.abs(rgba[4 * p + c]! - want[c]) / bound(Math.max(...want)));
  }
  expect(worst).toBeLessThanOrEqual(1);
  expect(rgba[3]).toBe(1);
}

const f32 = (v: number): number => 2 ** -23 * v;
/** A profile's numbers are s15Fixed16: its matrix entries are off by up to 2^-17 (three of them a channel, and the adaptation
 * spreads them by less than 3), the curve's parameters likewise by 2^-17 each, its slope being below 3. */
const icc = (v: number): number => 2 ** -17 * 24 * v + 1e-6;

const raw = (data: number[], channels: 1 | 2 | 3 | 4, bits: 8 | 16, width: number) =>
  sharp(bits === 8 ? Uint8Array.from(data) : Uint16Array.from(data), { raw: { width, height: data.length / width / channels, channels } });

describe('decoding', () => {
  test.each([8, 16] as const)('%i-bit colour without a profile is sRGB', async (bits) => {
    const v = codes(60 * 3, 2 ** bits - 1);
    const png = await raw(v, 3, bits, 10).toColourspace(bits === 16 ? 'rgb16' : 'srgb').png().toBuffer();
    const p = await decode(png);
    expect([p.width, p.height]).toEqual([10, 6]);
    expectColours(p.rgba, v, 'sRGB', 'sRGB', 2 ** bits - 1, f32);
  });

  test.each([8, 16] as const)('%i-bit grey is grey, its alpha dropped', async (bits) => {
    const v = codes(40, 2 ** bits - 1);
    const space = bits === 16 ? 'grey16' : 'b-w';
    const thrice = v.flatMap((x) => [x, x, x]);
    const grey = await decode(await raw(v, 1, bits, 8).toColourspace(space).png().toBuffer());
    expectColours(grey.rgba, thrice, 'sRGB', 'sRGB', 2 ** bits - 1, f32);
    const alpha = await decode(await raw(v.flatMap((x, i) => [x, (i * 97) % 256]), 2, bits, 8).toColourspace(space).png().toBuffer());
    expect(alpha.rgba).toEqual(grey.rgba);
  });

  test.each([8, 16] as const)('%i-bit alpha is dropped, what lies below stays', async (bits) => {
    const v = codes(40 * 3, 2 ** bits - 1);
    const withAlpha = Array.from({ length: 40 }, (_, p) => [...v.slice(3 * p, 3 * p + 3), p]).flat();
    const p = await decode(await raw(withAlpha, 4, bits, 8).toColourspace(bits === 16 ? 'rgb16' : 'srgb').png().toBuffer());
    expectColours(p.rgba, v, 'sRGB', 'sRGB', 2 ** bits - 1, f32);
  });

  test('palette and one-bit pictures', async () => {
    const v = codes(16 * 3, 255);
    const palette = await raw([...v, ...v], 3, 8, 16).png({ palette: true, colours: 16, dither: 0 }).toBuffer();
    expect((await sharp(palette).metadata()).isPalette).toBe(true);
    expectColours((await decode(palette)).rgba, [...v, ...v], 'sRGB', 'sRGB', 255, f32);
    const bw = Array.from({ length: 32 }, (_, i) => 255 * (((i * i) >> 2) & 1));
    const bit = await raw(bw, 1, 8, 8).toColourspace('b-w').png({ palette: true, colours: 2 }).toBuffer();
    expect((await decode(bit)).rgba).toEqual(Float32Array.from(bw.flatMap((x) => { const l = Math.fround(expected([x, x, x], 'sRGB', 'sRGB', 255)[0]); return [l, l, l, 1]; })));
  });
});
