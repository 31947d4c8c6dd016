// Reference: pictures as f64 arrays, the addressing rule, the 15 taps and the colour measures (SPEC 1.1, 1.3).

/** A picture, row-major and interleaved: `data[(y * width + x) * channels + c]`. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Float64Array;
}

/** Noise profile of a picture: var(x) = (a + 65535 max(x, 0) b) / 65535^2. */
export interface Noise {
  readonly a: number;
  readonly b: number;
}

/** Luminance weights of linear rec2020; they sum to 1. */
export const LUMINANCE = [0.2627002, 0.6779981, 0.0593017] as const;

/** Offsets (dx, dy) of the 15 taps in the order of SPEC 1.1; tap 7 is the centre. */
export const TAPS: readonly (readonly [number, number])[] = [
  [0, -2],
  [-2, -1], [-1, -1], [0, -1], [1, -1], [2, -1],
  [-1, 0], [0, 0], [1, 0],
  [-2, 1], [-1, 1], [0, 1], [1, 1], [2, 1],
  [0, 2],
];
export const CENTRE_TAP = 7;

/** A new picture; `data`, if given, is copied. Throws RangeError if its length does not fit. */
export function makeImage(width: number, height: number, channels: number, data?: ArrayLike<number>): Image {
  const length = width * height * channels;
  if (data && data.length !== length)
    throw new RangeError(`${width}x${height}x${channels} needs ${length} values, got ${data.length}`);
  return { width, height, channels, data: data ? Float64Array.from(data) : new Float64Array(length) };
}

/** Index inside 0..size-1 of position `i`, mirrored with the edge pixel repeated: -1 -> 0, -2 -> 1, size -> size-1. */
export function mirror(i: number, size: number): number {
  const period = 2 * size;
  const inPeriod = ((i % period) + period) % period;
  return inPeriod < size ? inPeriod : period - 1 - inPeriod;
}

/** Channels first..first+count-1 of the pixel at (x, y), mirrored outside. */
export function pixel(image: Image, x: number, y: number, first = 0, count = 3): number[] {
  const start = (mirror(y, image.height) * image.width + mirror(x, image.width)) * image.channels + first;
  const values: number[] = [];
  for (let c = 0; c < count; c++) values.push(image.data[start + c]!);
  return values;
}

export function dot(u: ArrayLike<number>, v: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < u.length; i++) sum += u[i]! * v[i]!;
  return sum;
}

export const luminance = (rgb: ArrayLike<number>): number => dot(LUMINANCE, rgb);

/** max(r, g, b) - min(r, g, b). */
export const saturation = (rgb: readonly number[]): number => Math.max(...rgb) - Math.min(...rgb);

/** Standard deviation of the noise at value `value`, in units of the picture, for white noise scaled by `gain`. */
export function noiseSigma(noise: Noise, value: number, gain = 1): number {
  return (gain * Math.sqrt(noise.a + 65535 * Math.max(value, 0) * noise.b)) / 65535;
}

/** Keeps channels first..first+count-1. */
export function channels(image: Image, first: number, count: number): Image {
  const out = makeImage(image.width, image.height, count);
  for (let p = 0; p < image.width * image.height; p++)
    for (let c = 0; c < count; c++) out.data[p * count + c] = image.data[p * image.channels + first + c]!;
  return out;
}

/** `u + factor * v`, pictures of one shape. */
export function addScaled(u: Image, v: Image, factor: number): Image {
  if (u.data.length !== v.data.length || u.width !== v.width) throw new RangeError('pictures differ in shape');
  return makeImage(u.width, u.height, u.channels, u.data.map((value, i) => value + factor * v.data[i]!));
}
