// i-exr: reads an OpenEXR picture, or a sequence of them.

import type { InputFile } from '../files.js';
import { inWorker } from '../pictures/pool.js';
import { pictureSource, type Frame, type PictureReader } from './picture-source.js';

/** Linear, by the file's primaries into rec2020; f32. */
async function decode(bytes: Uint8Array, path: string): Promise<Frame> {
  const { width, height, rgba } = await inWorker('decodeExr', [bytes, path]);
  const range = { min: Infinity, max: -Infinity };
  for (const v of rgba) {
    if (v < range.min) range.min = v;
    if (v > range.max) range.max = v;
  }
  return { width, height, data: new Float32Array(rgba.buffer, rgba.byteOffset, rgba.length), range };
}

export const exrReader: PictureReader = {
  format: 'f32',
  // The decoder has no way to the header alone.
  header: async (file: InputFile) => decode(await file.read(0, file.bytes), file.path),
  decode,
};

export const iExr = pictureSource('i-exr', 'reads an OpenEXR picture or a sequence of them, by its primaries into linear rec2020', 'test.exr', exrReader);
