// OpenEXR, bytes -> linear rec2020 (parse-exr reads the file: scan lines and tiles, f16 and f32, all compressions but those few that it names).

import parseExr from 'parse-exr';
import { InputError } from '../errors.js';
import { adapt, apply, convertPrimaries, invert, multiply, rgbToXyz, transpose, whiteD65, xyToXyz, type Matrix, type Vec3 } from './colour.js';

export interface Exr {
  width: number;
  height: number;
  /** (y, x, c), linear rec2020, alpha 1, top row first. */
  rgba: Float32Array;
}

/** FloatType of three.js, whose loader parse-exr is. */
const asFloat = 1015;
const redFormat = 1028;

interface Chromaticities {
  redX: number;
  redY: number;
  greenX: number;
  greenY: number;
  blueX: number;
  blueY: number;
  whiteX: number;
  whiteY: number;
}

/** Of a file's primaries to rec2020; without the attribute they are rec709's, as OpenEXR says. */
function toRec2020(c: Chromaticities | undefined): Matrix {
  if (!c) return convertPrimaries('sRGB', 'bt2020');
  const columns = transpose([xyToXyz([c.redX, c.redY]), xyToXyz([c.greenX, c.greenY]), xyToXyz([c.blueX, c.blueY])]);
  const white = xyToXyz([c.whiteX, c.whiteY]);
  const scale = apply(invert(columns), white);
  const scaled = columns.map((r) => r.map((x, i) => x * scale[i as 0 | 1 | 2])) as unknown as Matrix;
  return multiply(invert(rgbToXyz('bt2020')), multiply(adapt(white, xyToXyz(whiteD65)), scaled));
}

/**
 * Decodes a whole file. One channel becomes grey; alpha is dropped.
 * @throws InputError EXR_BROKEN, EXR_NAN
 */
export function decodeExr(bytes: Uint8Array, file: string): Exr {
  const fail = (code: string, message: string, hint?: string): InputError => new InputError(code, message, { place: { file }, hint });
  let exr: ReturnType<typeof parseExr>;
  try {
    exr = parseExr(new Uint8Array(bytes).buffer, asFloat);
  } catch (e) {
    throw fail('EXR_BROKEN', `not an OpenEXR file that can be read: ${e instanceof Error ? e.message : String(e)}`, 'Deep and multi-part files are not read; convert it to one part of half or float rgb.');
  }
  const { width, height, format } = exr;
  const data = exr.data as Float32Array;
  const [channels, g, b] = format === redFormat ? [1, 0, 0] : [4, 1, 2];
  const m = toRec2020((exr.header as { chromaticities?: Chromaticities }).chromaticities);
  const [mr, mg, mb]: [Vec3, Vec3, Vec3] = [m[0], m[1], m[2]];
  const rgba = new Float32Array(width * height * 4);
  for (let y = 0; y < height; y++) {
    let i = (height - 1 - y) * width * channels; // the reader's first row is the bottom one
    for (let x = 0, o = 4 * y * width; x < width; x++, o += 4, i += channels) {
      const [R, G, B] = [data[i]!, data[i + g]!, data[i + b]!];
      if (!Number.isFinite(R + G + B)) throw fail('EXR_NAN', `the pixel at x = ${x}, y = ${y} is NaN or infinite`, 'Write the picture anew, clamped.');
      rgba[o] = mr[0] * R + mr[1] * G + mr[2] * B;
      rgba[o + 1] = mg[0] * R + mg[1] * G + mg[2] * B;
      rgba[o + 2] = mb[0] * R + mb[1] * G + mb[2] * B;
      rgba[o + 3] = 1;
    }
  }
  return { width, height, rgba };
}
