// o-pfm: writes a float picture, linear rec2020 unless told otherwise, signed and unclamped (SPEC sections 4 to 6).

import { encodePfm } from '../formats/pfm.js';
import { encodeColours } from '../formats/picture.js';
import type { ModuleType } from '../graph/types.js';
import { asFloat, PictureSink, pictureParams, type PictureEncoder } from './picture-sink.js';

const encode: PictureEncoder = ({ width, height, rgba, primaries, curve }) => {
  const values = asFloat(rgba);
  let broken = 0;
  for (let i = 0; i < values.length; i += 4) if (!Number.isFinite(values[i]! + values[i + 1]! + values[i + 2]!)) broken++;
  // No conversion asked: the same bits as on the device.
  if (primaries === 'bt2020' && curve === 'linear') return { bytes: encodePfm(width, height, values, 4), broken };
  return { bytes: encodePfm(width, height, encodeColours(values, primaries, curve), 3), broken };
};

export const oPfm: ModuleType = {
  name: 'o-pfm',
  doc: 'writes a PFM picture: f32, linear rec2020 unless prim and trc say else',
  connectors: [{ name: 'input', type: 'sink', channels: 'rgba', format: 'f32' }],
  params: pictureParams('bt2020', 'linear'),
  create: () => new PictureSink('.pfm', encode, undefined, false),
};
