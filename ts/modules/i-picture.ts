// i-jpg, i-png and i-tif: read pictures of 8 or 16 bits, by their profile or as sRGB, into linear rec2020 (SPEC section 4).

import { InputError } from '../errors.js';
import type { InputFile } from '../files.js';
import { openPictureBytes, readPictureHeader, type PictureKind } from '../formats/picture.js';
import { startConverters, toHalfPicture } from '../pictures/convert.js';
import { pictureSource, type Frame, type PictureReader } from './picture-source.js';

/** Bytes that hold the headers of most pictures; some have more metadata. */
const headBytes = 1 << 20;

/** Of JPEG, PNG and TIFF files. */
export function pictureReader(kind: PictureKind): PictureReader {
  return {
    format: 'f16',
    header: async (file: InputFile) => {
      const head = await file.read(0, headBytes);
      if (head.length === file.bytes) return readPictureHeader(head, kind, file.path);
      return readPictureHeader(head, kind, file.path).catch(async () => readPictureHeader(await file.read(0, file.bytes), kind, file.path));
    },
    decode: async (bytes, path, warn, onDecoding): Promise<Frame> => {
      const { width, height, codes, light, exif, icc } = await openPictureBytes(bytes, kind, path, warn, (size) => {
        startConverters(size.width * size.height);
        onDecoding?.(size);
      });
      const half = await toHalfPicture(codes, light);
      if (half.overflows > 0) {
        const pixel = half.firstOverflow;
        throw new InputError('F16_OVERFLOW', `${half.overflows} values of the picture are beyond f16's 65504; the first is at x = ${pixel % width}, y = ${Math.floor(pixel / width)}`, { place: { file: path }, hint: 'Its colour profile is probably wrong.' });
      }
      return { width, height, data: half.data, exif, icc };
    },
  };
}

export const iJpg = pictureSource('i-jpg', 'reads a JPEG picture or a sequence of them', 'test.jpg', pictureReader('jpeg'));
export const iPng = pictureSource('i-png', 'reads a PNG picture of 8 or 16 bits or a sequence of them', 'test.png', pictureReader('png'));
export const iTif = pictureSource('i-tif', 'reads a TIFF picture of 8 or 16 bits or a sequence of them', 'test.tif', pictureReader('tiff'));
