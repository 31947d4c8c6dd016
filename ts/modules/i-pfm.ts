// i-pfm: reads a float picture, or a sequence of them (SPEC sections 4 and 6).

import type { InputFile } from '../files.js';
import { decodePfm, parsePfmHeader, pfmHeaderBytes, requireFinite } from '../formats/pfm.js';
import { pictureSource, type PictureReader } from './picture-source.js';

/** Linear rec2020, any finite f32. NaN and infinite pixels are counted and refused. */
export const pfmReader: PictureReader = {
  format: 'f32',
  header: async (file: InputFile) => parsePfmHeader(await file.read(0, pfmHeaderBytes), file.bytes, file.path),
  decode: async (bytes, path) => {
    const picture = decodePfm(bytes, path);
    requireFinite(picture, path);
    return { width: picture.width, height: picture.height, data: picture.rgba, range: { min: picture.min, max: picture.max } };
  },
};

export const iPfm = pictureSource('i-pfm', 'reads a PFM picture or a sequence of them, linear rec2020', 'test.pfm', pfmReader);
