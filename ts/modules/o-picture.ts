// o-jpg, o-png and o-tif: write pictures for looking at, sRGB unless told otherwise, clamped and rounded to nearest (SPEC sections 4 and 5).

import { InputError } from '../errors.js';
import { writeProfile } from '../formats/icc.js';
import { codesOfCurve, codesOfProfile, encodeCodes, type PictureKind } from '../formats/picture.js';
import type { ModuleType, ParamReader, ParamSpec, ShapeContext } from '../graph/types.js';
import { toCodes } from '../pictures/convert.js';
import { inWorker } from '../pictures/pool.js';
import { PictureSink, pictureParams, type EncodedPicture, type SinkPicture } from './picture-sink.js';

/** So many codes are worth the start of threads. */
const onThreads = 1 << 21;

/** Codes by the source's own profile where that is asked for and can be done, else by prim and trc; then the file. */
async function encode(picture: SinkPicture, params: ParamReader, kind: PictureKind, bits: 8 | 16, quality?: number): Promise<EncodedPicture> {
  const { width, height, rgba, primaries, curve, warn } = picture;
  const exif = params.int('exif') === 1 ? picture.exif : undefined;
  const own = params.int('icc') === 1 ? picture.icc : undefined;
  const how = own && codesOfProfile(own, bits);
  if (own && !how) warn(`the picture's colour profile is of a kind that can't be written; the output is ${primaries}`);
  const { codes, broken } = await toCodes(rgba, how ?? codesOfCurve(primaries, curve, bits));
  const icc = how ? own : writeProfile(primaries, curve);
  return { bytes: await encodeCodes(width, height, codes, kind, { icc, exif, quality, pack: codes.length >= onThreads ? (...strip) => inWorker('packStrip', strip) : undefined }), broken };
}

const params: ParamSpec[] = [
  ...pictureParams('sRGB', 'sRGB'),
  { name: 'exif', type: 'int', default: 1, min: 0, max: 1, doc: "1: keep the source picture's EXIF block" },
  { name: 'icc', type: 'int', default: 0, min: 0, max: 1, doc: "1: write in the source picture's own colour profile, where it has one, instead of prim and trc" },
];

export const oJpg: ModuleType = {
  name: 'o-jpg',
  doc: 'writes a JPEG picture, sRGB unless prim and trc say else',
  connectors: [{ name: 'input', type: 'sink', channels: 'rgba', format: 'ui8' }],
  params: [...params, { name: 'quality', type: 'float', default: 95, min: 0, max: 100, doc: 'JPEG quality; 90 and above keep colour at full resolution' }],
  create: () => new PictureSink('.jpg', (picture, p) => encode(picture, p, 'jpeg', 8, p.float('quality'))),
};

const bitsParam: ParamSpec = { name: 'bits', type: 'int', default: 16, min: 8, max: 16, doc: 'bits a channel: 8 or 16' };

const checkBits = (code: string) => (ctx: ShapeContext): void => {
  const bits = ctx.params.int('bits');
  if (bits !== 8 && bits !== 16) throw new InputError(code, `${ctx.info.module} writes 8 or 16 bits, not ${bits}`, { place: ctx.params.place('bits') });
};

const bitsOf = (p: ParamReader): 8 | 16 => (p.int('bits') === 8 ? 8 : 16);

export const oPng: ModuleType = {
  name: 'o-png',
  doc: 'writes a PNG picture of 8 or 16 bits, sRGB unless prim and trc say else',
  connectors: [{ name: 'input', type: 'sink', channels: 'rgba', format: 'ui16' }],
  params: [...params, bitsParam],
  create: () => new PictureSink('.png', (picture, p) => encode(picture, p, 'png', bitsOf(p)), checkBits('PNG_BITS')),
};

export const oTif: ModuleType = {
  name: 'o-tif',
  doc: 'writes a TIFF picture of 8 or 16 bits, sRGB unless prim and trc say else',
  connectors: [{ name: 'input', type: 'sink', channels: 'rgba', format: 'ui16' }],
  params: [...params, bitsParam],
  create: () => new PictureSink('.tif', (picture, p) => encode(picture, p, 'tiff', bitsOf(p)), checkBits('TIFF_BITS')),
};
