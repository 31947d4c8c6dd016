// .lut files (SPEC section 6): every datatype, every fault.

import { decodeLut, encodeLut, lutHeaderBytes, parseLutHeader, type Lut } from '../../ts/formats/lut.js';
import { failure } from './io-harness.js';

/** A header by hand, as the SPEC has it. */
function header(change: Partial<{ magic: number; version: number; channels: number; datatype: number; width: number; height: number }> = {}): Buffer {
  const h = { magic: 1234, version: 2, channels: 1, datatype: 16, width: 2, height: 3, ...change };
  const b = Buffer.alloc(16);
  b.writeUInt32LE(h.magic, 0);
  b.writeUInt16LE(h.version, 4);
  b.writeUInt8(h.channels, 6);
  b.writeUInt8(h.datatype, 7);
  b.writeUInt32LE(h.width, 8);
  b.writeUInt32LE(h.height, 12);
  return b;
}

test.each([
  [0, 'f16', false, 2], [1, 'f32', false, 4], [2, 'ui8', false, 1],
  [16, 'f16', true, 2], [17, 'f32', true, 4], [18, 'ui8', true, 1],
] as const)('datatype %i', (datatype, format, ssbo, size) => {
  for (const channels of [1, 2, 3, 4]) {
    const data = Buffer.from(Array.from({ length: 6 * channels * size }, (_, i) => i % 60));
    const bytes = Buffer.concat([header({ datatype, channels }), data, Buffer.from('tëxt\nkey: value\n')]);
    const lut = decodeLut(bytes, 'a.lut');
    expect(lut).toMatchObject({ width: 2, height: 3, channels, format, ssbo, text: 'tëxt\nkey: value\n' });
    expect(Buffer.from(lut.data).equals(data)).toBe(true);
    expect(Buffer.from(encodeLut(lut)).equals(bytes)).toBe(true);
  }
});

test('no text, and a C string', () => {
  const body = Buffer.concat([header(), Buffer.alloc(12)]);
  expect(decodeLut(body, '').text).toBe('');
  expect(decodeLut(Buffer.concat([body, Buffer.from('abc\0')]), '').text).toBe('abc');
});

test('encoding checks the number of values', () => {
  const lut: Lut = { width: 2, height: 2, channels: 1, format: 'f32', ssbo: true, data: new Uint8Array(15), text: '' };
  expect(() => encodeLut(lut)).toThrow(RangeError);
});

test.each([
  ['magic', { magic: 1235 }, 'LUT_MAGIC', /first word is 1235/],
  ['version', { version: 3 }, 'LUT_VERSION', /version 3; version 2/],
  ['no channels', { channels: 0 }, 'LUT_CHANNELS', /0 channels/],
  ['many channels', { channels: 5 }, 'LUT_CHANNELS', /5 channels/],
  ['datatype 3', { datatype: 3 }, 'LUT_DATATYPE', /datatype 3/],
  ['datatype 32', { datatype: 32 }, 'LUT_DATATYPE', /datatype 32/],
  ['no width', { width: 0 }, 'LUT_SIZE', /0x3/],
  ['no height', { height: 0 }, 'LUT_SIZE', /2x0/],
  ['an absurd size', { width: 0xffffffff, height: 0xffffffff }, 'LUT_SIZE', /4294967295x4294967295/],
  ['more values than bytes', { width: 3 }, 'LUT_TRUNCATED', /3x3 values of 1 channel in f16 need 34 bytes with the header, the file has 28/],
] as const)('%s', async (_, change, code, message) => {
  const e = await failure(() => decodeLut(Buffer.concat([header(change), Buffer.alloc(12)]), 'a.lut'));
  expect(e.code).toBe(code);
  expect(e.message).toMatch(message);
  expect(e.place).toEqual({ file: 'a.lut' });
});

test('short of a header, of values; longer than any text; not text', async () => {
  const codeOf = async (bytes: Uint8Array): Promise<string> => (await failure(() => decodeLut(bytes, ''))).code;
  expect(await codeOf(header().subarray(0, 15))).toBe('LUT_TRUNCATED');
  expect(await codeOf(new Uint8Array())).toBe('LUT_TRUNCATED');
  expect(await codeOf(Buffer.concat([header(), Buffer.alloc(11)]))).toBe('LUT_TRUNCATED');
  expect(await codeOf(Buffer.concat([header(), Buffer.alloc(12 + (1 << 20) + 1, 'a')]))).toBe('LUT_TRAILING');
  expect(await codeOf(Buffer.concat([header(), Buffer.alloc(12), Buffer.from([0xff, 0xfe])]))).toBe('LUT_TRAILING');
});

test('sizes are checked without reading the values', () => {
  expect(parseLutHeader(header({ width: 1 << 20, height: 1 << 12 }), lutHeaderBytes + 2 ** 33, '')).toMatchObject({ width: 1 << 20 });
});

test.each([[17, 4, 0x7f800000], [17, 4, 0x7fc00001], [16, 2, 0xfc00]])('values of datatype %i that are not finite', async (datatype, size, bits) => {
  const data = Buffer.alloc(6 * size);
  for (const i of [3, 5]) if (size === 4) data.writeUInt32LE(bits, 4 * i); else data.writeUInt16LE(bits, 2 * i);
  const e = await failure(() => decodeLut(Buffer.concat([header({ datatype }), data]), ''));
  expect(e.code).toBe('LUT_NAN');
  expect(e.message).toMatch(/^2 of the 6 values .* column 1, row 1$/);
});
