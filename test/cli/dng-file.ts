// Writes small raw files for tests: a DNG with a Bayer mosaic of a grey ramp from left to right, noise of a known profile on it.

import { directoryBytes, type Entry } from '../../ts/formats/exif.js';

const [black, white] = [512, 16383];
/** As shot: a grey gives these in red and blue. */
const neutral = [0.5, 1, 1 / 1.5] as const;

/** Light 0.05 at the left to 0.85 at the right, grey after white balance; a and b as SPEC has them, of camera rgb. RGGB. */
export function bayerDng(width: number, height: number, { a, b, seed, orientation = 1 }: { a: number; b: number; seed: number; orientation?: number }): Uint8Array {
  let state = seed;
  const uniform = (): number => (state = (state * 48271) % 2147483647) / 2147483647;
  const normal = (): number => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  const data = new Uint16Array(width * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const value = (0.05 + (0.8 * x) / width) * neutral[((y & 1) + (x & 1)) as 0 | 1 | 2];
      const noisy = value + (normal() * Math.sqrt(a + 65535 * value * b)) / 65535;
      data[y * width + x] = Math.max(0, Math.min(white, Math.round(black + noisy * (white - black))));
    }
  const entry = (tag: number, type: number, count: number, value: ArrayBufferView): Entry => ({ tag, type, count, value: new Uint8Array(value.buffer, value.byteOffset, value.byteLength) });
  const short = (tag: number, ...v: number[]): Entry => entry(tag, 3, v.length, Uint16Array.from(v));
  const long = (tag: number, v: number): Entry => entry(tag, 4, 1, Uint32Array.of(v));
  const bytes = (tag: number, type: number, ...v: number[]): Entry => entry(tag, type, v.length, Uint8Array.from(v));
  const text = (tag: number, s: string): Entry => bytes(tag, 2, ...Buffer.from(`${s}\0`));
  const rational = (tag: number, type: 5 | 10, v: readonly number[]): Entry => entry(tag, type, v.length, Int32Array.from(v.flatMap((x) => [Math.round(x * 10000), 10000])));
  const at = 8;
  // XYZ -> camera: that of sRGB under D65, so that balanced camera rgb is sRGB.
  const matrix = [3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.204, 1.057];
  const entries = [
    long(254, 0), long(256, width), long(257, height), short(258, 16), short(259, 1), short(262, 32803), text(271, 'Test'), text(272, 'Ramp'), long(273, at), short(274, orientation), short(277, 1),
    long(278, height), long(279, data.byteLength), short(284, 1), short(33421, 2, 2), bytes(33422, 1, 0, 1, 1, 2), bytes(50706, 1, 1, 4, 0, 0), bytes(50707, 1, 1, 1, 0, 0), text(50708, 'Test Ramp'),
    short(50714, black), short(50717, white), rational(50721, 10, matrix), rational(50728, 5, neutral), short(50778, 21),
  ];
  const header = Uint8Array.from([0x49, 0x49, 42, 0, ...new Uint8Array(Uint32Array.of(at + data.byteLength).buffer)]);
  return Buffer.concat([header, new Uint8Array(data.buffer), directoryBytes(entries, at + data.byteLength, true)]);
}
