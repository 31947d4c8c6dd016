// .lut files: weights, lookup tables and small pictures, bytes <-> typed arrays (SPEC section 6).

import { InputError } from '../errors.js';
import type { Format } from '../graph/types.js';
import { fromHalf } from './half.js';

export interface LutHeader {
  width: number;
  height: number;
  channels: number;
  format: Exclude<Format, 'ui16'>;
  /** Datatypes 16 and above: a plain array, not a picture. */
  ssbo: boolean;
}

export interface Lut extends LutHeader {
  /** width*height*channels values, little endian, as in the file. */
  data: Uint8Array;
  /** Free text behind the data. */
  text: string;
}

export const lutHeaderBytes = 16;
const magic = 1234;
const version = 2;
const formats = ['f16', 'f32', 'ui8'] as const;
const bytesOf = { f16: 2, f32: 4, ui8: 1 } as const;
/** Longer text than this is no description. */
const maxTextBytes = 1 << 20;
const maxSide = 1 << 24;

const bad = (file: string, code: string, message: string, hint?: string): InputError => new InputError(code, message, { place: { file }, hint });

/** Bytes of the values alone. */
export const lutDataBytes = (h: LutHeader): number => h.width * h.height * h.channels * bytesOf[h.format];

/**
 * Parses and checks a header against the size of its file, before anything is allocated.
 * @throws InputError LUT_TRUNCATED, LUT_MAGIC, LUT_VERSION, LUT_CHANNELS, LUT_DATATYPE, LUT_SIZE, LUT_TRAILING
 */
export function parseLutHeader(head: Uint8Array, fileBytes: number, file: string): LutHeader {
  if (head.length < lutHeaderBytes) throw bad(file, 'LUT_TRUNCATED', `the .lut file has ${fileBytes} bytes, less than its header of ${lutHeaderBytes}`);
  const view = new DataView(head.buffer, head.byteOffset, lutHeaderBytes);
  if (view.getUint32(0, true) !== magic) throw bad(file, 'LUT_MAGIC', `not a .lut file: its first word is ${view.getUint32(0, true)}, not ${magic}`);
  if (view.getUint16(4, true) !== version) throw bad(file, 'LUT_VERSION', `the .lut file has version ${view.getUint16(4, true)}; version ${version} can be read`);
  const channels = view.getUint8(6);
  if (channels < 1 || channels > 4) throw bad(file, 'LUT_CHANNELS', `the .lut file says ${channels} channels; 1 to 4 can be read`);
  const datatype = view.getUint8(7);
  const format = formats[datatype & ~16];
  if (!format) throw bad(file, 'LUT_DATATYPE', `the .lut file has the unknown datatype ${datatype}`, 'Known are 0 f16, 1 f32, 2 ui8, 16 ssbo f16, 17 ssbo f32, 18 ssbo ui8.');
  const [width, height] = [view.getUint32(8, true), view.getUint32(12, true)];
  if (width === 0 || height === 0 || width > maxSide || height > maxSide) throw bad(file, 'LUT_SIZE', `the .lut file says its size is ${width}x${height}`, `Sides of 1 to ${maxSide} can be read.`);
  const header: LutHeader = { width, height, channels, format, ssbo: datatype >= 16 };
  const expected = lutHeaderBytes + lutDataBytes(header);
  const claim = `${width}x${height} values of ${channels} channel${channels === 1 ? '' : 's'} in ${format} need ${expected} bytes with the header, the file has ${fileBytes}`;
  if (fileBytes < expected) throw bad(file, 'LUT_TRUNCATED', `the .lut file is truncated: ${claim}`, 'Was it copied or written completely?');
  if (fileBytes > expected + maxTextBytes) throw bad(file, 'LUT_TRAILING', `the .lut file is longer than its header says: ${claim}`, 'The size in the header is probably wrong.');
  return header;
}

/** Index of the first NaN or infinite value, and their number. `data` as in Lut. */
export function countNonFinite(h: { format: Format }, data: Uint8Array): { count: number; first: number } {
  let count = 0;
  let first = -1;
  if (h.format !== 'f16' && h.format !== 'f32') return { count, first };
  const bytes = data.byteOffset % 4 === 0 ? data : new Uint8Array(data);
  const values = h.format === 'f16' ? fromHalf(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)) : new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i]!) && count++ === 0) first = i;
  return { count, first };
}

/** Decodes a whole file. Throws as parseLutHeader, and LUT_TRAILING where no text follows, LUT_NAN where a value is not finite (counted, the first named). */
export function decodeLut(bytes: Uint8Array, file: string): Lut {
  const h = parseLutHeader(bytes.subarray(0, lutHeaderBytes), bytes.length, file);
  const end = lutHeaderBytes + lutDataBytes(h);
  // (Not slice: a Buffer's slice is no copy.)
  const data = new Uint8Array(bytes.subarray(lutHeaderBytes, end));
  const { count, first } = countNonFinite(h, data);
  if (count > 0) {
    const value = Math.floor(first / h.channels);
    throw bad(file, 'LUT_NAN', `${count} of the ${h.width * h.height * h.channels} values in the .lut file are NaN or infinite; the first is in column ${value % h.width}, row ${Math.floor(value / h.width)}`, 'These weights are broken: train again, perhaps with a smaller alpha or gradclip.');
  }
  return { ...h, data, text: decodeText(bytes.subarray(end), file) };
}

/** The text behind the data. Bytes that are none mean that the header's size is wrong. A C string's closing zero is no part of it. */
function decodeText(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/\0+$/, '');
  } catch {
    throw bad(file, 'LUT_TRAILING', `the ${bytes.length} bytes behind the .lut file's values are not text`, 'The size in the header is probably wrong.');
  }
}

/** Encodes a file. `data` holds width*height*channels values of `format`, little endian. */
export function encodeLut(lut: Lut): Uint8Array {
  const text = new TextEncoder().encode(lut.text);
  const out = new Uint8Array(lutHeaderBytes + lutDataBytes(lut) + text.length);
  if (lut.data.length !== lutDataBytes(lut)) throw new RangeError(`lut: ${lut.data.length} bytes given for ${lutDataBytes(lut)}`);
  const view = new DataView(out.buffer);
  view.setUint32(0, magic, true);
  view.setUint16(4, version, true);
  view.setUint8(6, lut.channels);
  view.setUint8(7, formats.indexOf(lut.format) + (lut.ssbo ? 16 : 0));
  view.setUint32(8, lut.width, true);
  view.setUint32(12, lut.height, true);
  out.set(lut.data, lutHeaderBytes);
  out.set(text, lutHeaderBytes + lut.data.length);
  return out;
}
