// Colours of large pictures on threads (ts/pictures/convert.ts): the same as on one, whatever memory the values are in.

import sharp from 'sharp';
import { codesToHalf, lightToCodes, type CodesToLight } from '../../ts/formats/codes.js';
import { decodeTable } from '../../ts/formats/colour.js';
import { codesOfCurve, openPictureBytes } from '../../ts/formats/picture.js';
import { toCodes, toHalfPicture } from '../../ts/pictures/convert.js';

// Large enough for two parts, and not a multiple of anything.
const pixels = 2 * 2 ** 20 + 1234;
const table = decodeTable((v) => v * v, 256);
const light: CodesToLight = { tables: [table, table, table], matrix: [[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0, 0.2, 0.8]] };
const codes = Uint8Array.from({ length: 3 * pixels }, (_, i) => (i * 7 + (i >> 9)) & 255);

test('codes to light and back', async () => {
  const whole = codesToHalf(codes, light);
  const made = await toHalfPicture(codes, light);
  expect(Buffer.compare(Buffer.from(made.data.buffer), Buffer.from(whole.data.buffer))).toBe(0);
  expect(made).toMatchObject({ overflows: 0, firstOverflow: -1 });
  expect(codes.length).toBe(3 * pixels); // not given away
  for (const bits of [8, 16] as const) {
    const how = codesOfCurve('bt2020', 'sRGB', bits);
    const one = lightToCodes(whole.data, how).codes;
    // In shared memory, as it comes, and not.
    for (const rgba of [made.data, whole.data]) expect(Buffer.compare(Buffer.from((await toCodes(rgba, how)).codes.buffer), Buffer.from(one.buffer))).toBe(0);
  }
}, 60_000);

test('what is beyond f16, or no number, is counted over all parts, the first in the whole picture', async () => {
  const bright: CodesToLight = { ...light, matrix: [[1e6, 0, 0], [0, 1, 0], [0, 0, 1]] };
  const dark = new Uint8Array(3 * pixels);
  const at = pixels - 100; // in the second part
  dark[3 * at] = dark[3 * at + 3] = 255;
  const { data, ...made } = await toHalfPicture(dark, bright);
  expect(made).toEqual({ overflows: 2, firstOverflow: at });
  expect((await toCodes(data, codesOfCurve('bt2020', 'sRGB', 8))).broken).toBe(2);
}, 60_000);

test('a decoded picture is no Buffer, of which slices are views: a thread would be given all of it', async () => {
  for (const bits of [8, 16]) {
    const image = sharp({ create: { width: 5, height: 3, channels: 3, background: 'red' } });
    const png = await (bits === 16 ? image.toColourspace('rgb16') : image).png().toBuffer();
    const opened = await openPictureBytes(png, 'png', 'x', () => undefined);
    expect(opened.codes.slice(3).buffer.byteLength).toBe((42 * bits) / 8);
  }
});
