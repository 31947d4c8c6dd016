// JPEG, PNG and TIFF, bytes <-> linear rec2020 (SPEC sections 4 and 5: i-jpg, i-png, i-tif, o-jpg, o-png; primaries and curves).
// sharp decodes and encodes code values only; all colour arithmetic is ours, in floating point, so nothing is clipped or rounded on the way.

import type { Metadata } from 'sharp';
import { InputError } from '../errors.js';
import { invertTable, lightTable, lightToCodes, type CodesToLight, type LightToCodes } from './codes.js';
import { convertPrimaries, curve, decodeTable, invert, type Curve, type Primaries } from './colour.js';
import { tagJpeg, tagPng, uprightExif } from './container.js';
import { exifOfTiff } from './exif.js';
import { isProfile, readProfile, writeProfile, type Profile } from './icc.js';
import { sharp } from './sharp.js';
import { encodeTiff, type PackStrip } from './tiff.js';

export type PictureKind = 'jpeg' | 'png' | 'tiff';

export interface Picture {
  width: number;
  height: number;
  /** (y, x, c), linear rec2020, alpha 1. */
  rgba: Float32Array;
  /** The camera's EXIF block, orientation set to upright. */
  exif?: Uint8Array;
  /** The colour profile in the file, whatever it is. */
  icc?: Uint8Array;
}

/** As shown: after the EXIF orientation. */
export interface PictureSize {
  width: number;
  height: number;
}

export interface PictureHeader extends PictureSize {
  bits: 8 | 16;
  icc?: Uint8Array;
  exif?: Uint8Array;
}

const kinds: Record<PictureKind, { name: string; module: string }> = { jpeg: { name: 'JPEG', module: 'i-jpg' }, png: { name: 'PNG', module: 'i-png' }, tiff: { name: 'TIFF', module: 'i-tif' } };

/** zlib's: higher ones take several times as long for a few per cent. */
const pngLevel = 6;

/** libvips reports several lines and its own function names; the first says it. */
const reason = (e: unknown): string => (typeof e === 'object' && e !== null && 'message' in e ? String(e.message) : String(e)).trim().split('\n')[0]!;

/**
 * Reads size, depth and profile without decoding pixels.
 * @throws InputError PICTURE_BROKEN, PICTURE_KIND, PICTURE_CMYK
 */
export async function readPictureHeader(bytes: Uint8Array, kind: PictureKind, file: string): Promise<PictureHeader> {
  const open = sharp();
  let meta: Metadata;
  try {
    meta = await open(bytes).metadata();
  } catch (e) {
    throw new InputError('PICTURE_BROKEN', `not a ${kinds[kind].name} file that can be read: ${reason(e)}`, { place: { file }, cause: e });
  }
  if (meta.format !== kind) {
    const right = Object.entries(kinds).find(([k]) => k === meta.format)?.[1].module;
    throw new InputError('PICTURE_KIND', `the file is ${meta.format.toUpperCase()}, not ${kinds[kind].name}`, { place: { file }, hint: right === undefined ? 'Convert it to PNG or JPEG first.' : `Name it as what it is; a graph reads it with ${right}.` });
  }
  if (meta.space === 'cmyk') throw new InputError('PICTURE_CMYK', 'the picture is CMYK, made for printing', { place: { file }, hint: 'Convert it to RGB first.' });
  if (meta.depth !== 'uchar' && meta.depth !== 'ushort')
    throw new InputError('PICTURE_DEPTH', `the ${kinds[kind].name} file has samples of the type ${meta.depth}, not of 8 or 16 bits`, { place: { file }, hint: 'Write it with 16 bits a channel, or as PFM or EXR.' });
  // Of a TIFF, libvips doesn't hand the block over.
  const exif = meta.exif ?? (kind === 'tiff' ? exifOfTiff(bytes) : undefined);
  return { width: meta.autoOrient.width, height: meta.autoOrient.height, bits: meta.depth === 'ushort' ? 16 : 8, icc: meta.icc, exif };
}

interface Codes {
  width: number;
  height: number;
  /** rgb code values. */
  data: Uint8Array | Uint16Array;
}

/** The code values as they are in the file (`embedded`: taken through the profile to P3 with sRGB's curve, by libvips), upright, without alpha. */
async function decodeCodes(bytes: Uint8Array, bits: 8 | 16, embedded: boolean, kind: PictureKind, file: string, onDecoding?: () => void): Promise<Codes> {
  let image = sharp()(bytes, { ignoreIcc: !embedded }).autoOrient().removeAlpha();
  if (embedded) image = image.pipelineColourspace('rgb16');
  image = bits === 16 ? image.toColourspace('rgb16').raw({ depth: 'ushort' }) : image.toColourspace('srgb').raw({ depth: 'uchar' });
  const decoding = image.toBuffer({ resolveWithObject: true });
  onDecoding?.();
  const { data, info } = await decoding.catch((e: unknown) => {
    throw new InputError('PICTURE_BROKEN', `the ${kinds[kind].name} file can't be decoded: ${reason(e)}`, { place: { file }, hint: 'Was it copied or written completely?', cause: e });
  });
  if (info.channels !== 3) throw new InputError('PICTURE_BROKEN', `the ${kinds[kind].name} file decodes to ${info.channels} channels`, { place: { file } });
  // No Buffer: its slices are no copies, and a thread that is given one gets the whole picture.
  const bytewise = new Uint8Array(data.buffer, data.byteOffset, data.length);
  const aligned = data.byteOffset % 2 === 0 ? bytewise : bytewise.slice();
  return { width: info.width, height: info.height, data: bits === 8 ? bytewise : new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2) };
}

const taggedAs = (primaries: Primaries, trc: Curve): Profile => {
  const { decode } = curve(trc);
  return { decode: [decode, decode, decode], toRec2020: convertPrimaries(primaries, 'bt2020'), space: 'rgb' };
};

/** Part of a picture, in pixels. */
export interface Area {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Code values of an area -> linear rec2020, through tables of the curves. */
function linearise({ data, width: stride }: Codes, { tables: [tr, tg, tb], matrix: [mr, mg, mb] }: CodesToLight): (area: Area) => Float32Array {
  return ({ x, y, width, height }) => {
    const rgba = new Float32Array(width * height * 4);
    let o = 0;
    for (let row = y; row < y + height; row++)
      for (let i = 3 * (row * stride + x), end = i + 3 * width; i < end; i += 3, o += 4) {
        const [r, g, b] = [tr[data[i]!]!, tg[data[i + 1]!]!, tb[data[i + 2]!]!];
        rgba[o] = mr[0] * r + mr[1] * g + mr[2] * b;
        rgba[o + 1] = mg[0] * r + mg[1] * g + mg[2] * b;
        rgba[o + 2] = mb[0] * r + mb[1] * g + mb[2] * b;
        rgba[o + 3] = 1;
      }
    return rgba;
  };
}

/** A decoded picture whose colours are converted where they are asked for: whole pictures of floats are large. */
export interface OpenPicture {
  width: number;
  height: number;
  exif?: Uint8Array;
  icc?: Uint8Array;
  /** rgb codes as decoded, and how they become light. */
  codes: Uint8Array | Uint16Array;
  light: CodesToLight;
  /** (y, x, c) of an area inside the picture, linear rec2020, alpha 1. */
  part(area: Area): Float32Array;
}

/**
 * Decodes a picture of 8 or 16 bits, colour, grey or palette, with or without alpha (which is dropped), upright.
 * Colours: by the embedded profile, else sRGB. Matrix and grey profiles are evaluated here; others by libvips, into P3.
 * @param warn told of a profile that can't be used
 * @param onDecoding called when the size is known and decoding goes on elsewhere: this thread has nothing to do until it is done
 * @throws InputError as readPictureHeader, and PICTURE_BROKEN for pixels that can't be decoded
 */
export async function openPictureBytes(bytes: Uint8Array, kind: PictureKind, file: string, warn: (message: string) => void, onDecoding?: (size: PictureSize) => void): Promise<OpenPicture> {
  const { bits, icc, exif, ...size } = await readPictureHeader(bytes, kind, file);
  const done = (codes: Codes, depth: 8 | 16, profile: Profile): OpenPicture => {
    const [r, g, b] = profile.decode;
    const red = decodeTable(r, 2 ** depth);
    const own = (decode: typeof r): Float64Array => (decode === r ? red : decodeTable(decode, 2 ** depth));
    const light: CodesToLight = { tables: [red, own(g), own(b)], matrix: profile.toRec2020 };
    return { width: codes.width, height: codes.height, exif: exif && uprightExif(exif), icc, codes: codes.data, light, part: linearise(codes, light) };
  };
  const codes = await decodeCodes(bytes, bits, false, kind, file, () => onDecoding?.(size));
  if (!icc) return done(codes, bits, taggedAs('sRGB', 'sRGB'));
  const profile = readProfile(icc);
  if (profile) return done(codes, bits, profile);
  if (isProfile(icc)) {
    const through = await decodeCodes(bytes, 16, true, kind, file);
    // libvips goes on without a profile it can't use; then the codes are the file's own.
    const scale = bits === 8 ? 257 : 1;
    if (!through.data.every((v, i) => v === codes.data[i]! * scale)) return done(through, 16, taggedAs('P3', 'sRGB'));
  }
  warn(`the colour profile in ${file} can't be used; its colours are taken for sRGB`);
  return done(codes, bits, taggedAs('sRGB', 'sRGB'));
}

/** The whole picture, as openPictureBytes opens it. */
export async function decodePicture(bytes: Uint8Array, kind: PictureKind, file: string, warn: (message: string) => void): Promise<Picture> {
  const { width, height, exif, icc, part } = await openPictureBytes(bytes, kind, file, warn);
  return { width, height, rgba: part({ x: 0, y: 0, width, height }), exif, icc };
}

/** How a file is written. */
export interface FileOptions {
  /** JPEG, 0..100. */
  quality?: number;
  exif?: Uint8Array;
  icc?: Uint8Array;
  /** TIFF: how strips are packed; default: here. */
  pack?: PackStrip;
}

export interface EncodeOptions extends FileOptions {
  primaries: Primaries;
  curve: Curve;
  bits: 8 | 16;
}

/** Linear rec2020 rgba -> signals of these primaries and this curve: rgb, unclamped. */
export function encodeColours(rgba: Float32Array, primaries: Primaries, trc: Curve): Float32Array {
  const [mr, mg, mb] = convertPrimaries('bt2020', primaries);
  const { encode } = curve(trc);
  const out = new Float32Array((rgba.length / 4) * 3);
  for (let i = 0, o = 0; i < rgba.length; i += 4, o += 3) {
    const r = rgba[i]!;
    const g = rgba[i + 1]!;
    const b = rgba[i + 2]!;
    out[o] = encode(mr[0] * r + mr[1] * g + mr[2] * b);
    out[o + 1] = encode(mg[0] * r + mg[1] * g + mg[2] * b);
    out[o + 2] = encode(mb[0] * r + mb[1] * g + mb[2] * b);
  }
  return out;
}

/** How light becomes codes of these primaries and this curve. */
export function codesOfCurve(primaries: Primaries, trc: Curve, bits: 8 | 16): LightToCodes {
  const table = lightTable(curve(trc).encode);
  return { matrix: convertPrimaries('bt2020', primaries), tables: [table, table, table], bits };
}

/** How light becomes codes of a profile; undefined where it is no rgb profile of the matrix kind with rising curves. */
export function codesOfProfile(icc: Uint8Array, bits: 8 | 16): LightToCodes | undefined {
  const profile = readProfile(icc);
  if (!profile || profile.space !== 'rgb') return undefined;
  const lights = profile.decode.map((decode) => decodeTable(decode, 65536));
  if (lights.some((t) => !t.every((v, i) => i === 0 || v >= t[i - 1]!) || !(t[65535]! > t[0]!))) return undefined;
  const [r, g, b] = lights.map((t) => lightTable(invertTable(t)));
  return { matrix: invert(profile.toRec2020), tables: [r!, g!, b!], bits };
}

/** Writes rgb codes as a file of this kind, 8 or 16 bits by the array, tagged. */
export async function encodeCodes(width: number, height: number, codes: Uint8Array | Uint16Array, kind: PictureKind, { quality = 95, ...tags }: FileOptions): Promise<Uint8Array> {
  if (kind === 'tiff') return encodeTiff(width, height, codes, tags);
  const image = sharp()(codes, { raw: { width, height, channels: 3 } }).toColourspace(codes.BYTES_PER_ELEMENT === 2 ? 'rgb16' : 'srgb');
  if (kind === 'png') return tagPng(await image.png({ compressionLevel: pngLevel }).toBuffer(), tags);
  // Full chroma at high quality: the point of a denoiser is clean colour.
  const q = Math.max(1, Math.round(quality));
  // Huffman tables made for the picture would take four times as long, for files 4 to 11 % smaller (docs/denoise.md).
  return tagJpeg(await image.jpeg({ quality: q, chromaSubsampling: q >= 90 ? '4:4:4' : '4:2:0', optimiseCoding: false }).toBuffer(), tags);
}

/** Encodes linear rec2020 rgba (alpha dropped), with an ICC profile where there is one for these primaries and curve. */
export async function encodePicture(width: number, height: number, rgba: Float32Array, kind: PictureKind, { primaries, curve: trc, bits, ...file }: EncodeOptions): Promise<Uint8Array> {
  return encodeCodes(width, height, lightToCodes(rgba, codesOfCurve(primaries, trc, bits)).codes, kind, { icc: writeProfile(primaries, trc), ...file });
}
