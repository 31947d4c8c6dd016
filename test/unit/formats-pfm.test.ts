// PFM files (SPEC section 6): every kind of header, every fault.

import { InputError } from '../../ts/errors.js';
import { decodePfm, encodePfm, parsePfmHeader, requireFinite } from '../../ts/formats/pfm.js';
import { failure } from './io-harness.js';

const values = [0.5, -1, 2, 3e38, 1e-40, 0, 7, 8, 9, 10, 11, 12];
/** A file of this header with `values`, little or big endian. */
function file(header: string, data = values, little = true): Uint8Array {
  const body = Buffer.alloc(4 * data.length);
  data.forEach((x, i) => (little ? body.writeFloatLE(x, 4 * i) : body.writeFloatBE(x, 4 * i)));
  return Buffer.concat([Buffer.from(header, 'latin1'), body]);
}
const rgb = (rgba: Float32Array): number[] => [...rgba].filter((_, i) => i % 4 !== 3);
const want = [...Float32Array.from(values)];

test.each([
  ['plain', 'PF\n2 2\n-1.0\n'],
  ['padded with zeros', 'PF\n2 2\n-1.000000\n'],
  ['all on one line', 'PF 2 2 -1 '],
  ['with comments', 'PF\n# a comment 9 9\n2 2 # the size\n-1.0\n'],
  ['with carriage returns', 'PF\r\n2 2\r\n-1.0\r\n'],
  ['with another factor', 'PF\n2 2\n-3.5e-2\n'],
])('header %s', (_, header) => {
  const p = decodePfm(file(header), 'a.pfm');
  expect(p).toMatchObject({ width: 2, height: 2, channels: 3, nonFinite: undefined, min: -1, max: Math.fround(3e38) });
  expect(rgb(p.rgba)).toEqual(want);
  expect([3, 7, 11, 15].map((i) => p.rgba[i])).toEqual([1, 1, 1, 1]);
});

test('big endian by a positive scale', () => {
  expect(rgb(decodePfm(file('PF\n2 2\n1.0\n', values, false), '').rgba)).toEqual(want);
});

test('one channel becomes grey, rows from top to bottom', () => {
  const p = decodePfm(file('Pf\n3 4\n-1.0\n'), '');
  expect([p.width, p.height, p.channels]).toEqual([3, 4, 1]);
  expect(rgb(p.rgba)).toEqual(want.flatMap((x) => [x, x, x]));
});

test('a first pixel that looks like a line end is a pixel', () => {
  // 0x0a is the first byte of this little-endian float.
  const tricky = new Float32Array(new Uint8Array([0x0a, 0, 0, 0x3f]).buffer)[0]!;
  const p = decodePfm(file('PF\n1 1\n-1.0\r', [tricky, 1, 2]), '');
  expect(rgb(p.rgba)).toEqual([tricky, 1, 2]);
});

test('what is written is read, and starts at a multiple of 16', () => {
  for (const width of [1, 3, 9, 10, 999]) {
    const rgba = Float32Array.from({ length: width * 2 * 4 }, (_, i) => (i % 4 === 3 ? 1 : Math.sin(i) * 10 ** (i % 7)));
    const bytes = encodePfm(width, 2, rgba, 4);
    const p = decodePfm(bytes, '');
    expect(p.dataOffset % 16).toBe(0);
    expect(Buffer.from(bytes.subarray(0, p.dataOffset)).toString()).toMatch(/^PF\n\d+ 2\n-1\.0+\n$/);
    expect(p.rgba).toEqual(rgba);
  }
});

test.each([
  ['an empty file', '', 'PFM_MAGIC', undefined],
  ['another magic', 'P6\n2 2\n255\n', 'PFM_MAGIC', 1],
  ['a word that begins like it', 'PFX\n2 2\n-1\n', 'PFM_MAGIC', 1],
  ['a width that is no number', 'PF\nx 2\n-1\n', 'PFM_HEADER', 2],
  ['a negative height', 'PF\n2 -2\n-1\n', 'PFM_HEADER', 2],
  ['a broken height', 'PF\n2 2.5\n-1\n', 'PFM_HEADER', 2],
  ['zero width', 'PF\n0 2\n-1\n', 'PFM_SIZE', 2],
  ['zero height', 'PF\n2\n0\n-1\n', 'PFM_SIZE', 3],
  ['an absurd size', 'PF\n99999999999999999999 2\n-1\n', 'PFM_SIZE', 2],
  ['a size whose bytes overflow 32 bits', 'PF\n65536 65536\n-1\n', 'PFM_TRUNCATED', undefined],
  ['scale zero', 'PF\n2 2\n0.0\n', 'PFM_HEADER', 3],
  ['scale NaN', 'PF\n2 2\nnan\n', 'PFM_HEADER', 3],
  ['scale infinite', 'PF\n2 2\n-1e999\n', 'PFM_HEADER', 3],
  ['a hexadecimal scale', 'PF\n2 2\n0x10\n', 'PFM_HEADER', 3],
  ['no scale', 'PF\n2 2\n', 'PFM_HEADER', undefined],
  ['no height', 'PF 2', 'PFM_HEADER', undefined],
  ['an endless comment', 'PF\n#' + 'x'.repeat(5000), 'PFM_HEADER', undefined],
])('%s', async (_, header, code, line) => {
  const e = await failure(() => decodePfm(Buffer.from(header, 'latin1'), 'a.pfm'));
  expect(e.code).toBe(code);
  expect(e.exitCode).toBe(2);
  expect(e.place!.file).toBe('a.pfm');
  if (line !== undefined) expect(e.place!.line).toBe(line);
});

test('one byte less or more than the header says', async () => {
  const whole = file('PF\n2 2\n-1.0\n');
  const less = await failure(() => decodePfm(whole.subarray(0, whole.length - 1), ''));
  expect(less.code).toBe('PFM_TRUNCATED');
  expect(less.message).toMatch(/2x2 pixels of 3 channels need 60 bytes with the header, the file has 59/);
  expect((await failure(() => decodePfm(Buffer.concat([whole, Buffer.of(0)]), ''))).code).toBe('PFM_TRAILING');
});

test('the size is checked without reading the pixels', () => {
  const head = Buffer.from('PF\n10000 10000\n-1.0\n');
  expect(parsePfmHeader(head, head.length + 1.2e9, '').fileBytes).toBe(1.2e9 + head.length);
  expect(() => parsePfmHeader(head, 1e9, '')).toThrow(InputError);
});

test('one pixel that is not finite is counted once', async () => {
  const p = decodePfm(file('PF\n2 2\n-1.0\n', [1, 1, 1, NaN, Infinity, NaN, 1, 1, 1, 1, 1, 1]), '');
  expect(p.nonFinite).toMatchObject({ pixels: 1, x: 1, y: 0, value: NaN });
  expect((await failure(() => requireFinite(p, 'b.pfm'))).message).toBe('1 pixel of the picture is NaN or infinite: it is NaN, at x = 1, y = 0');
});
