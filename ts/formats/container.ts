// Puts an ICC profile and an EXIF block into encoded PNG and JPEG files, leaving their pixels alone (SPEC section 4, o-jpg and o-png).
// (sharp would convert the pixels to the profile it attaches; ours are there already.)

import { deflateSync } from 'node:zlib';

export interface Metadata {
  icc?: Uint8Array;
  /** A TIFF structure, without "Exif\0\0". */
  exif?: Uint8Array;
}

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});
/** CRC-32 of PNG chunks (node's zlib.crc32 is not in every Node 20). */
export const crc32 = (bytes: Uint8Array): number => ~bytes.reduce((c, b) => crcTable[(c ^ b) & 255]! ^ (c >>> 8), 0xffffffff) >>> 0;

function pngChunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), out.length - 4);
  return out;
}

/** Chunks go right behind IHDR, which is always 8 + 25 bytes long. */
export function tagPng(png: Uint8Array, { icc, exif }: Metadata): Uint8Array {
  const chunks: Uint8Array[] = [];
  if (icc) chunks.push(pngChunk('iCCP', Buffer.concat([Buffer.from('ICC profile\0\0', 'latin1'), deflateSync(icc)])));
  if (exif) chunks.push(pngChunk('eXIf', exif));
  return Buffer.concat([png.subarray(0, 33), ...chunks, png.subarray(33)]);
}

function jpegSegment(marker: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([0xff, marker, (body.length + 2) >> 8, (body.length + 2) & 255]), body]);
}
const maxSegment = 65533;

/** Segments go behind SOI and, where there is one, JFIF's APP0. An EXIF block too long for a segment is left out. */
export function tagJpeg(jpeg: Uint8Array, { icc, exif }: Metadata): Uint8Array {
  const at = jpeg[2] === 0xff && jpeg[3] === 0xe0 ? 4 + ((jpeg[4]! << 8) | jpeg[5]!) : 2;
  const segments: Uint8Array[] = [];
  if (exif && exif.length + 6 <= maxSegment) segments.push(jpegSegment(0xe1, Buffer.from('Exif\0\0', 'latin1'), exif));
  if (icc) segments.push(jpegSegment(0xe2, Buffer.from('ICC_PROFILE\0\x01\x01', 'latin1'), icc));
  return Buffer.concat([jpeg.subarray(0, at), ...segments, jpeg.subarray(at)]);
}

/**
 * A camera's EXIF block for a picture already turned upright: orientation 1, and no thumbnail (it would show the old picture).
 * undefined where the block is no TIFF structure. `exif` with or without "Exif\0\0".
 */
export function uprightExif(exif: Uint8Array): Uint8Array | undefined {
  const prefixed = Buffer.from(exif.subarray(0, 6)).toString('latin1') === 'Exif\0\0';
  const tiff = new Uint8Array(exif.subarray(prefixed ? 6 : 0));
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.length);
  if (tiff.length < 14) return undefined;
  const order = view.getUint16(0);
  const little = order === 0x4949;
  const ifd = view.getUint32(4, little);
  if ((!little && order !== 0x4d4d) || ifd + 2 > tiff.length) return undefined;
  const entries = view.getUint16(ifd, little);
  const next = ifd + 2 + 12 * entries;
  if (next + 4 > tiff.length) return undefined;
  for (let at = ifd + 2; at < next; at += 12) if (view.getUint16(at, little) === 0x0112) view.setUint16(at + 8, 1, little);
  view.setUint32(next, 0, little);
  return tiff;
}
