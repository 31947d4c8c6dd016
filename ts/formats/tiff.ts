// Writes TIFF files of 8 or 16 bits, rgb, with EXIF and ICC profile, which libvips would leave out (TIFF 6.0; deflate as in Adobe's supplement).

import { deflateSync } from 'node:zlib';
import { directoryBytes, readDirectory, type Entry } from './exif.js';

/** Values of a strip at least: enough to compress well, few enough to spread over threads. */
const stripValues = 1 << 20;
/** zlib's level: higher ones make photographs of 16 bits smaller by a percent at most. */
const level = 1;

/** Rows of rgb codes -> the bytes of a strip: differences to the left neighbour of the same channel (predictor 2), deflated. */
export function packStrip(codes: Uint8Array | Uint16Array, width: number, little: boolean): Uint8Array {
  const values = codes.slice();
  for (let line = 0; line < values.length; line += 3 * width) for (let i = line + 3 * width - 1; i >= line + 3; i--) values[i] = values[i]! - values[i - 3]!;
  const bytes = Buffer.from(values.buffer);
  if (values.BYTES_PER_ELEMENT === 2 && !little) bytes.swap16();
  return new Uint8Array(deflateSync(bytes, { level })); // memory of its own, which a thread can hand over
}

/** packStrip, or the same on another thread. */
export type PackStrip = (...strip: Parameters<typeof packStrip>) => Uint8Array | Promise<Uint8Array>;

/** An EXIF block is a TIFF without a picture: its directory moves behind the pixels and gets the picture's tags, its other parts stay where they are. */
function splitExif(exif: Uint8Array | undefined): { head: Uint8Array; little: boolean; entries: Entry[] } {
  const little = exif?.[0] !== 0x4d;
  if (!exif) return { head: Uint8Array.of(0x49, 0x49, 42, 0, 0, 0, 0, 0), little, entries: [] };
  const view = new DataView(exif.buffer, exif.byteOffset, exif.length);
  return { head: Uint8Array.from(exif), little, entries: readDirectory(view, view.getUint32(4, little), little) };
}

export interface TiffOptions {
  /** A TIFF structure, upright. */
  exif?: Uint8Array;
  icc?: Uint8Array;
  pack?: PackStrip;
}

/** @param codes rgb, 8 or 16 bits by the array */
export async function encodeTiff(width: number, height: number, codes: Uint8Array | Uint16Array, { exif, icc, pack = packStrip }: TiffOptions): Promise<Uint8Array> {
  const { head, little, entries } = splitExif(exif);
  const rows = Math.max(1, Math.floor(stripValues / (3 * width)));
  const values = rows * width * 3;
  const data = await Promise.all(Array.from({ length: Math.ceil(codes.length / values) }, async (_, k) => pack(codes.subarray(k * values, (k + 1) * values), width, little)));
  const pad = Buffer.alloc(head.length & 1);
  const numbers = (size: 2 | 4, values: readonly number[]): Uint8Array => {
    const view = new DataView(new ArrayBuffer(size * values.length));
    values.forEach((v, i) => (size === 2 ? view.setUint16(2 * i, v, little) : view.setUint32(4 * i, v, little)));
    return new Uint8Array(view.buffer);
  };
  const short = (tag: number, ...values: number[]): Entry => ({ tag, type: 3, count: values.length, value: numbers(2, values) });
  const long = (tag: number, values: readonly number[]): Entry => ({ tag, type: 4, count: values.length, value: numbers(4, values) });
  let at = head.length + pad.length;
  const offsets = data.map((d) => (at += d.length) - d.length);
  const bits = 8 * codes.BYTES_PER_ELEMENT;
  const own = [
    long(256, [width]), long(257, [height]), short(258, bits, bits, bits), short(259, 8), short(262, 2), long(273, offsets), short(274, 1), short(277, 3),
    long(278, [rows]), long(279, data.map((d) => d.length)), short(284, 1), short(317, 2),
    ...(icc ? [{ tag: 34675, type: 7, count: icc.length, value: icc }] : []),
  ];
  const taken = new Set(own.map((e) => e.tag));
  const gap = Buffer.alloc(at & 1);
  const directory = directoryBytes([...own, ...entries.filter((e) => !taken.has(e.tag))], at + gap.length, little);
  new DataView(head.buffer, head.byteOffset).setUint32(4, at + gap.length, little);
  return Buffer.concat([head, pad, ...data, gap, directory]);
}
