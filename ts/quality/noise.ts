// The noise that quality is measured at: named levels, their texts, and white noise that is the same everywhere (docs/quality.md).
// Pure. Profiles are SPEC's: var(x) = (a + 65535 max(x, 0) b) / 65535^2.

import { InputError } from '../errors.js';
import type { RgbaPicture } from './metrics.js';

export interface NoiseLevel {
  /** "low", or the text that it was given by. */
  name: string;
  a: number;
  b: number;
}

/** The signal at which the shot noise of a level is told. */
const GREY = 0.18;

/** A level by its read noise and its shot noise at 0.18, standard deviations in linear rec2020. */
export const levelOf = (name: string, read: number, shot: number): NoiseLevel => ({ name, a: (read * 65535) ** 2, b: (shot ** 2 / GREY) * 65535 });

export const NAMED_LEVELS: readonly NoiseLevel[] = [levelOf('low', 0.002, 0.008), levelOf('mid', 0.008, 0.03), levelOf('high', 0.03, 0.09)];

function pair(option: string, text: string, what: string): [number, number] {
  const [first, second, ...more] = text.split(':').map((word) => (word.trim() === '' ? NaN : Number(word)));
  if (first === undefined || second === undefined || more.length > 0 || !(first >= 0 && second >= 0 && Number.isFinite(first + second)))
    throw new InputError('NOISE_LEVEL', `${option} can't be "${text}"`, { hint: `it is ${what}, both 0 or more` });
  return [first, second];
}

/** `--noise`: a profile A:B. Throws InputError NOISE_LEVEL. */
export function parseProfile(text: string): NoiseLevel {
  const [a, b] = pair('--noise', text, 'a profile A:B with var(x) = (A + 65535 x B) / 65535^2');
  return { name: text, a, b };
}

/** `--levels`: with commas between, names of levels or READ:SHOT. Throws InputError NOISE_LEVEL. */
export function parseLevels(text: string): NoiseLevel[] {
  return text.split(',').map((word) => {
    const name = word.trim();
    const named = NAMED_LEVELS.find((l) => l.name === name);
    if (named) return named;
    return levelOf(name, ...pair('--levels', name, `${NAMED_LEVELS.map((l) => l.name).join(', ')} or READ:SHOT, the standard deviations of read noise and, at ${GREY}, of shot noise`));
  });
}

/** pcg4d (Jarzynski and Olano, "Hash Functions for GPU Rendering", JCGT 2020): four random words of a counter. */
function hash4(x: number, y: number, z: number, w: number): [number, number, number, number] {
  const mix = (v: number): number => Math.imul(v, 1664525) + 1013904223;
  let [a, b, c, d] = [mix(x), mix(y), mix(z), mix(w)];
  for (let i = 0; i < 2; i++) {
    a = (a + Math.imul(b, d)) | 0;
    b = (b + Math.imul(c, a)) | 0;
    c = (c + Math.imul(a, b)) | 0;
    d = (d + Math.imul(b, c)) | 0;
    if (i === 0) [a, b, c, d] = [a ^ (a >>> 16), b ^ (b >>> 16), c ^ (c >>> 16), d ^ (d >>> 16)];
  }
  return [a >>> 0, b >>> 0, c >>> 0, d >>> 0];
}

/** In (0, 1): never 0, never 1. */
const uniform = (word: number): number => (word + 0.5) / 2 ** 32;

/** Three standard normals for the pixel (x, y), from four uniforms by Box and Muller. */
export function normals(x: number, y: number, seed: number): [number, number, number] {
  const [a, b, c, d] = hash4(x, y, 0, seed);
  const [r, s] = [Math.sqrt(-2 * Math.log(uniform(a))), Math.sqrt(-2 * Math.log(uniform(c)))];
  const [t, u] = [2 * Math.PI * uniform(b), 2 * Math.PI * uniform(d)];
  return [r * Math.cos(t), r * Math.sin(t), s * Math.cos(u)];
}

/**
 * The picture with white noise of the level, not clipped. A value's noise depends on the seed, its place and itself alone: at every
 * level, and in every picture, the normals are the same.
 */
export function addNoise(picture: RgbaPicture, { a, b }: NoiseLevel, seed: number): RgbaPicture {
  const { width, height, rgba } = picture;
  const out = new Float32Array(rgba);
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i += 4) {
      const z = normals(x, y, seed);
      for (let c = 0; c < 3; c++) out[i + c] = rgba[i + c]! + (z[c]! * Math.sqrt(a + 65535 * Math.max(rgba[i + c]!, 0) * b)) / 65535;
    }
  return { width, height, rgba: out };
}
