// o-jpg and o-png: write pictures for looking at, sRGB unless told otherwise, clamped and rounded to nearest (SPEC sections 4 and 5).

import { InputError } from '../errors.js';
import { encodePicture } from '../formats/picture.js';
import type { ModuleType, ShapeContext } from '../graph/types.js';
import { PictureSink, pictureParams } from './picture-sink.js';

export const oJpg: ModuleType = {
  name: 'o-jpg',
  doc: 'writes a JPEG picture, sRGB unless prim and trc say else',
  connectors: [{ name: 'input', type: 'sink', channels: 'rgba', format: 'ui8' }],
  params: [
    ...pictureParams('sRGB', 'sRGB'),
    { name: 'quality', type: 'float', default: 95, min: 0, max: 100, doc: 'JPEG quality; 90 and above keep colour at full resolution' },
    { name: 'exif', type: 'int', default: 1, min: 0, max: 1, doc: "1: keep the source picture's EXIF block" },
  ],
  create: () =>
    new PictureSink('.jpg', ({ width, height, rgba, primaries, curve, exif }, params) =>
      encodePicture(width, height, rgba, 'jpeg', { primaries, curve, bits: 8, quality: params.float('quality'), exif: params.int('exif') === 1 ? exif : undefined }),
    ),
};

function checkBits({ params }: ShapeContext): void {
  const bits = params.int('bits');
  if (bits !== 8 && bits !== 16) throw new InputError('PNG_BITS', `o-png writes 8 or 16 bits, not ${bits}`, { place: params.place('bits') });
}

export const oPng: ModuleType = {
  name: 'o-png',
  doc: 'writes a PNG picture of 8 or 16 bits, sRGB unless prim and trc say else',
  connectors: [{ name: 'input', type: 'sink', channels: 'rgba', format: 'ui16' }],
  params: [...pictureParams('sRGB', 'sRGB'), { name: 'bits', type: 'int', default: 16, min: 8, max: 16, doc: 'bits a channel: 8 or 16' }],
  create: () =>
    new PictureSink('.png', ({ width, height, rgba, primaries, curve }, params) => encodePicture(width, height, rgba, 'png', { primaries, curve, bits: params.int('bits') === 8 ? 8 : 16 }), checkBits),
};
