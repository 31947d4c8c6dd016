// Portable float maps, bytes <-> f32 pixels (SPEC section 6): rows top to bottom, linear rec2020.

import { InputError } from '../errors.js';

export interface PfmHeader {
  width: number;
  height: number;
  channels: 1 | 3;
  littleEndian: boolean;
  /** Where the pixels start, and the file's size by this header. */
  dataOffset: number;
  fileBytes: number;
}

/** Values of a picture that are not finite: how many pixels have one, and where the first is. */
export interface NonFinite {
  pixels: number;
  x: number;
  y: number;
  value: number;
}

export interface Pfm extends PfmHeader {
  /** (y, x, c), alpha 1; one channel becomes grey. */
  rgba: Float32Array;
  nonFinite: NonFinite | undefined;
  min: number;
  max: number;
}

/** Bytes of a file that surely hold the header; more than this is not a header. */
export const pfmHeaderBytes = 4096;
const maxSide = 1 << 20;
const hostIsLittle = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

const bad = (file: string, code: string, message: string, hint?: string, line?: number): InputError =>
  new InputError(code, message, { place: { file, line }, hint });

/** Reads blank-separated words; `#` starts a comment that runs to the end of its line. */
function* headerWords(head: Uint8Array): Generator<{ word: string; line: number; end: number }, undefined> {
  let line = 1;
  for (let i = 0; i < head.length; ) {
    const c = head[i]!;
    if (c === 0x23) while (i < head.length && head[i] !== 0x0a) i++;
    else if (isBlank(c)) {
      if (c === 0x0a) line++;
      i++;
    } else {
      let j = i;
      while (j < head.length && !isBlank(head[j]!)) j++;
      if (j === head.length || j - i > 64) return undefined;
      yield { word: String.fromCharCode(...head.subarray(i, j)), line, end: j };
      i = j;
    }
  }
  return undefined;
}
const isBlank = (c: number): boolean => c === 0x20 || (c >= 0x09 && c <= 0x0d);
const shown = (word: string): string => `"${word.slice(0, 20).replace(/[^\x20-\x7e]/g, '?')}"`;

/**
 * Parses and checks a header against the size of its file, before anything is allocated.
 * @param head the file's first bytes, pfmHeaderBytes of them or all
 * @throws InputError PFM_MAGIC, PFM_HEADER, PFM_SIZE, PFM_TRUNCATED, PFM_TRAILING
 */
export function parsePfmHeader(head: Uint8Array, fileBytes: number, file: string): PfmHeader {
  const magic = String.fromCharCode(...head.subarray(0, 2));
  if ((magic !== 'PF' && magic !== 'Pf') || head.length < 3 || !isBlank(head[2]!))
    throw bad(file, 'PFM_MAGIC', `not a PFM file: it starts with ${shown(String.fromCharCode(...head.subarray(0, 8)))}, not "PF" or "Pf"`, 'JPEG and PNG files are read by i-jpg and i-png.', 1);
  const words = headerWords(head);
  words.next();
  const side = (name: string): number => {
    const w = words.next().value;
    if (!w) throw bad(file, 'PFM_HEADER', `the PFM header ends before its ${name}`);
    if (!/^\d+$/.test(w.word)) throw bad(file, 'PFM_HEADER', `the ${name} in the PFM header is ${shown(w.word)}, not a whole number`, undefined, w.line);
    const n = Number(w.word);
    if (n === 0) throw bad(file, 'PFM_SIZE', `the picture's ${name} is 0`, undefined, w.line);
    if (n > maxSide) throw bad(file, 'PFM_SIZE', `the picture's ${name} is ${w.word.slice(0, 20)}, beyond the limit of ${maxSide}`, undefined, w.line);
    return n;
  };
  const width = side('width');
  const height = side('height');
  const s = words.next().value;
  if (!s) throw bad(file, 'PFM_HEADER', 'the PFM header ends before its scale');
  const scale = Number(s.word);
  if (!Number.isFinite(scale) || scale === 0 || !/^[-+\d.eE]+$/.test(s.word))
    throw bad(file, 'PFM_HEADER', `the scale in the PFM header is ${shown(s.word)}, not a number other than 0`, 'A little-endian file has -1.0 there, a big-endian one 1.0.', s.line);
  const channels = magic === 'PF' ? 3 : 1;
  const dataBytes = width * height * channels * 4;
  let dataOffset = s.end + 1;
  // "\r\n" after the scale: the byte after \r belongs to the pixels unless the size says otherwise.
  if (head[s.end] === 0x0d && head[s.end + 1] === 0x0a && fileBytes === dataOffset + 1 + dataBytes) dataOffset++;
  const expected = dataOffset + dataBytes;
  const claim = `${width}x${height} pixels of ${channels} channel${channels === 1 ? '' : 's'} need ${expected} bytes with the header, the file has ${fileBytes}`;
  if (fileBytes < expected) throw bad(file, 'PFM_TRUNCATED', `the PFM file is truncated: ${claim}`, 'Was it copied or written completely?');
  if (fileBytes > expected) throw bad(file, 'PFM_TRAILING', `the PFM file is longer than its header says: ${claim}`, 'The size in the header is probably wrong.');
  return { width, height, channels, littleEndian: scale < 0, dataOffset, fileBytes: expected };
}

/** The file's values as f32 in the host's byte order; a copy, since pixels need not start at a multiple of 4. */
function pixelValues(bytes: Uint8Array, h: PfmHeader): Float32Array {
  const raw = new Uint8Array(bytes.subarray(h.dataOffset, h.fileBytes));
  if (h.littleEndian !== hostIsLittle) Buffer.from(raw.buffer).swap32();
  return new Float32Array(raw.buffer);
}

/** Decodes a whole file. NaN and infinite pixels are counted, not refused: the caller decides. Throws as parsePfmHeader. */
export function decodePfm(bytes: Uint8Array, file: string): Pfm {
  const h = parsePfmHeader(bytes.subarray(0, pfmHeaderBytes), bytes.length, file);
  const v = pixelValues(bytes, h);
  const rgba = new Float32Array(h.width * h.height * 4);
  let min = Infinity;
  let max = -Infinity;
  let nonFinite: NonFinite | undefined;
  const [toG, toB] = h.channels === 3 ? [1, 2] : [0, 0];
  for (let p = 0, i = 0; p < h.width * h.height; p++, i += h.channels) {
    const r = v[i]!;
    const g = v[i + toG]!;
    const b = v[i + toB]!;
    rgba[4 * p] = r;
    rgba[4 * p + 1] = g;
    rgba[4 * p + 2] = b;
    rgba[4 * p + 3] = 1;
    min = Math.min(min, r, g, b);
    max = Math.max(max, r, g, b);
    if (Number.isFinite(r) && Number.isFinite(g) && Number.isFinite(b)) continue;
    const value = [r, g, b].find((x) => !Number.isFinite(x))!;
    nonFinite ??= { pixels: 0, x: p % h.width, y: Math.floor(p / h.width), value };
    nonFinite.pixels++;
  }
  return { ...h, rgba, nonFinite, min, max };
}

/** Throws InputError PFM_NAN naming how many pixels are not finite and the first of them. */
export function requireFinite(picture: Pfm, file: string): void {
  const n = picture.nonFinite;
  if (!n) return;
  const kind = Number.isNaN(n.value) ? 'NaN' : 'infinite';
  const them = n.pixels === 1 ? `1 pixel of the picture is NaN or infinite: it is ${kind}` : `${n.pixels} pixels of the picture are NaN or infinite: the first is ${kind}`;
  throw new InputError('PFM_NAN', `${them}, at x = ${n.x}, y = ${n.y}`, { place: { file }, hint: 'Such a pixel would poison the whole training; write the picture anew, clamped.' });
}

/**
 * Encodes little-endian `PF`, the header padded so that pixels start at a multiple of 16 bytes.
 * @param values (y, x, c), `stride` values a pixel of which the first 3 are written
 */
export function encodePfm(width: number, height: number, values: Float32Array, stride: 3 | 4): Uint8Array {
  let header = `PF\n${width} ${height}\n-1.0`;
  header += '0'.repeat((16 - ((header.length + 1) % 16)) % 16) + '\n';
  const out = new Uint8Array(header.length + width * height * 12);
  out.set(Buffer.from(header, 'latin1'));
  const v = new Float32Array(out.buffer, header.length);
  for (let p = 0, i = 0; p < width * height; p++) for (let c = 0; c < 3; c++) v[i++] = values[stride * p + c]!;
  if (!hostIsLittle) Buffer.from(out.buffer, header.length).swap32();
  return out;
}
