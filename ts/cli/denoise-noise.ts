// `vkpn denoise --noise`: what the option says, and the noise of a picture by it.

import { InputError } from '../errors.js';
import { estimateFrom, forNetwork, samplePixels, type NoiseOptions, type NoiseSamples } from '../noise/estimate.js';
import { namedProfile, profileFor } from '../noise/profiles.js';
import { inWorker } from '../pictures/pool.js';
import type { FileKind } from '../pictures/read.js';

export type NoiseChoice = { kind: 'given'; a: number; b: number } | { kind: 'auto' } | { kind: 'named'; name: string };

/** A picture as far as its noise goes. */
export interface NoisyPicture {
  file: FileKind;
  width: number;
  height: number;
  /** (y, x, c), 4 values a pixel, f16 or f32. */
  pixels: Uint16Array | Float32Array;
  camera?: string;
  iso?: number;
}

export interface ChosenNoise {
  a: number;
  b: number;
  /** For people: where it is from. */
  from: string;
  /** Why it may be wrong; '' where nothing speaks against it. */
  doubt: string;
}

/** `a:b`, `auto` or a saved profile's name. @throws InputError DENOISE_NOISE */
export function parseNoise(text: string): NoiseChoice {
  if (text === 'auto') return { kind: 'auto' };
  if (text.includes(':')) {
    const numbers = text.split(':').map((t) => (t.trim() === '' ? NaN : Number(t)));
    if (numbers.length !== 2 || numbers.some((n) => !Number.isFinite(n) || n < 0)) throw new InputError('DENOISE_NOISE', `--noise ${text} is not two numbers a:b, each 0 or more`, { hint: 'var(x) = (a + 65535 x b) / 65535^2; `vkpn profile` measures them, and auto lets vkpn do it.' });
    return { kind: 'given', a: numbers[0]!, b: numbers[1]! };
  }
  if (text.trim() === '') throw new InputError('DENOISE_NOISE', '--noise is empty', { hint: 'Give a:b, auto, or the name of a saved profile.' });
  return { kind: 'named', name: text };
}

/** Patches of 8x8 that are measured: a quarter more than the pictures have with which the estimate is tested (docs/noise.md); more would not make it better. */
const patches = 6000;
/** Side of a part that is looked at, and how many there are across and down at most: the estimate needs no more. */
const part = 512;
const across = 4;

/** Samples parts spread over the picture, on threads where there are several. */
async function samples({ width, height, pixels }: NoisyPicture, options: NoiseOptions): Promise<NoiseSamples[]> {
  const places = (n: number): number[] => {
    const count = Math.min(across, Math.max(1, Math.floor(n / part)));
    const side = Math.min(part, n);
    return Array.from({ length: count }, (_, i) => (count === 1 ? (n - side) >> 1 : Math.round((i * (n - side)) / (count - 1))));
  };
  const [w, h] = [Math.min(part, width), Math.min(part, height)];
  const corners = places(height).flatMap((y) => places(width).map((x) => ({ x, y })));
  const each = Math.ceil(patches / corners.length);
  const cut = (x: number, y: number): Uint16Array | Float32Array => {
    const values = pixels.BYTES_PER_ELEMENT === 2 ? new Uint16Array(4 * w * h) : new Float32Array(4 * w * h);
    for (let row = 0; row < h; row++) values.set(pixels.subarray(4 * ((y + row) * width + x), 4 * ((y + row) * width + x + w)), 4 * row * w);
    return values;
  };
  // Parts are nobody's pictures: messages name the whole.
  const whole = (of: NoiseSamples): NoiseSamples => ({ ...of, size: `${width}x${height}` });
  if (corners.length === 1) return [whole(samplePixels(w, h, cut(corners[0]!.x, corners[0]!.y), options, each))];
  return Promise.all(corners.map(async ({ x, y }) => {
    const values = cut(x, y);
    return whole(await inWorker('samplePixels', [w, h, values, options, each], [values.buffer as ArrayBuffer]));
  }));
}

/** The kind of noise that profiles tell apart. */
const kindOf = (file: FileKind): 'display' | 'linear' | 'raw' => (file === 'raw' ? 'raw' : file === 'pfm' || file === 'exr' ? 'linear' : 'display');

/**
 * auto: a saved profile of this camera at this ISO, measured on files of this kind (what a camera makes of a JPEG, its raw profile doesn't
 * know); else by what the picture shows.
 * @throws InputError NO_PROFILE, PROFILE_ISO, PROFILES_…, NOISE_…
 */
export async function noiseOf(choice: NoiseChoice, picture: NoisyPicture): Promise<ChosenNoise> {
  if (choice.kind === 'given') return { a: choice.a, b: choice.b, from: 'given', doubt: '' };
  const kind = kindOf(picture.file);
  const saved = choice.kind === 'named' ? await namedProfile(choice.name, picture.iso) : await profileFor(picture.camera, picture.iso, kind);
  if (saved) return { a: saved.a, b: saved.b, from: `profile ${saved.from}`, doubt: saved.kind === kind ? '' : `the profile was measured on ${saved.kind} pictures, this one is ${kind}` };
  const e = estimateFrom(await samples(picture, kind === 'display' ? { display: true } : {}));
  return { ...forNetwork(e), from: 'estimated', doubt: e.reason };
}
