// Pictures with known noise, for tests of its estimation: photographs freed of their own noise, and charts.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodePicture } from '../../ts/formats/picture.js';
import { fitTo } from '../../ts/formats/pixels.js';
import { sampleNoise } from '../../ts/noise/estimate.js';
import { fitLine, startLine, type Line } from '../../ts/noise/line.js';
import type { Patches } from '../../ts/noise/patches.js';
import { packageRoot } from '../../ts/root.js';
import { random } from '../reference/index.js';

// Looked up once: under jest every use of a global is slow.
const { abs, cos, floor, log, max, min, PI, sin, sqrt } = Math;
const CODES2 = 65535 ** 2;

export interface Picture {
  width: number;
  height: number;
  rgba: Float32Array;
}

export interface Ab {
  a: number;
  b: number;
}

/** SPEC section 1.3, values 0..1. */
export const variance = ({ a, b }: Ab, x: number): number => (a + 65535 * (x > 0 ? x : 0) * b) / CODES2;

/** From the standard deviations at 0 and of shot noise at 0.18. */
export const noise = (read: number, shot: number): Ab => ({ a: (65535 * read) ** 2, b: (65535 * shot ** 2) / 0.18 });

/** Read sigma and shot sigma at 0.18: ISO 100-like to 25,600-like, the ends of SPEC section 4's ranges. */
export const levels = [[0.001, 0.004], [0.002, 0.008], [0.004, 0.015], [0.008, 0.03], [0.03, 0.09], [0.1, 0.16]] as const;

/** Standard normal numbers, by pairs (Box and Muller). */
export function normals(seed: number): () => number {
  const uniform = random(seed);
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const kept = spare;
      spare = undefined;
      return kept;
    }
    const radius = sqrt(-2 * log(1 - uniform()));
    const angle = 2 * PI * uniform();
    spare = radius * sin(angle);
    return radius * cos(angle);
  };
}

const drawn = new Map<number, Float32Array>();

/** The first n of a seed's normal numbers, kept for the next picture. */
function normalsOf(seed: number, n: number): Float32Array {
  let kept = drawn.get(seed);
  if (kept === undefined || kept.length < n) {
    const z = normals(seed);
    kept = Float32Array.from({ length: n }, z);
    drawn.set(seed, kept);
  }
  return kept;
}

/** A copy with white noise; a profile for all channels, or one each. */
export function addNoise(picture: Picture, profile: Ab | readonly Ab[], seed: number): Picture {
  const z = normalsOf(seed, picture.rgba.length);
  const of = [0, 1, 2].map((c) => ('a' in profile ? profile : profile[c]!));
  return { ...picture, rgba: picture.rgba.map((x, i) => (i % 4 === 3 ? x : x + z[i]! * sqrt(variance(of[i % 4]!, x)))) };
}

/** The mean of what is within 2.5 standard deviations, 5x5: takes out most of a photograph's own noise, and leaves edges and texture that is stronger. */
function sigmaFilter({ width, height, rgba }: Picture, own: Ab): Picture {
  const out = new Float32Array(rgba);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) {
        const middle = rgba[4 * (y * width + x) + c]!;
        const limit = 2.5 * sqrt(variance(own, middle));
        let sum = 0;
        let n = 0;
        for (let j = max(0, y - 2); j <= min(height - 1, y + 2); j++)
          for (let i = max(0, x - 2); i <= min(width - 1, x + 2); i++) {
            const v = rgba[4 * (j * width + i) + c]!;
            if (abs(v - middle) > limit) continue;
            sum += v;
            n++;
          }
        out[4 * (y * width + x) + c] = sum / n;
      }
  return { width, height, rgba: out };
}

/** The middle of one of examples/photos, 640 x 480, without most of its own noise, which at ISO 100 is as large as what tests add. */
export async function photograph(name: string): Promise<Picture> {
  const picture = await decodePicture(readFileSync(join(packageRoot, 'examples', 'photos', `${name}.jpg`)), 'jpeg', name, () => undefined);
  const [width, height] = [640, 480];
  return sigmaFilter({ width, height, rgba: fitTo(picture.rgba, picture.width, picture.height, width, height) }, noise(0.001, 0.004));
}

/** Flat fields of these signals, side by side, grey or each channel its own factor. */
export function chart(signals: readonly number[], side = 160, factors: readonly [number, number, number] = [1, 1, 1]): Picture {
  const [width, height] = [signals.length * side, side];
  const rgba = new Float32Array(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    const signal = signals[Math.floor((i % width) / side)]!;
    rgba.set([signal * factors[0], signal * factors[1], signal * factors[2], 1], 4 * i);
  }
  return { width, height, rgba };
}

/** The low end, low, middle, and high signal of a range. */
export const across = (low: number, high: number): number[] => [0, 0.05, 0.15, 0.4, 1].map((t) => max(0, low) + t * (high - max(0, low)));

/** The largest relative error of the variance at the low end, low, middle, and high signal of a range. */
export function worst(found: Ab, truth: Ab, [low, high]: readonly [number, number]): number {
  return max(...across(low, high).map((x) => abs(variance(found, x) / variance(truth, x) - 1)));
}

const measured = new Map<Picture, Patches>();

/**
 * Where the line lies on the texture that a picture without noise has in its flattest patches: those count for noise, which no estimate from one picture can
 * tell apart. In each of 24 groups by signal: the tenth of the patches with the least coarse structure, and all with less of it than chance makes of the noise
 * (0.365, a standard deviation of the mean of 15 squares); of these, what has not so much more fine structure than half of them that it stands out by itself.
 */
export function textureLine(clean: Picture, truth: Ab): Line {
  let patches = measured.get(clean);
  if (!patches) measured.set(clean, (patches = sampleNoise(clean).base));
  const { count, mean, coarse, fine } = patches;
  const noiseOf = (i: number): number => variance(truth, mean[i]!);
  const order = Array.from({ length: 3 * count }, (_, i) => i).sort((i, j) => mean[i]! - mean[j]!);
  const groups = 24;
  const points = Array.from({ length: groups }, (_, k) => {
    const group = order.slice(floor((k * order.length) / groups), floor(((k + 1) * order.length) / groups)).sort((i, j) => coarse[i]! / noiseOf(i) - coarse[j]! / noiseOf(j));
    const flat = group.filter((i, n) => n < max(24, group.length / 10) || coarse[i]! <= 0.365 * noiseOf(i));
    const excess = flat.map((i) => fine[i]! / noiseOf(i)).sort((p, q) => p - q);
    const like = excess.filter((e) => 1 + e < 1.35 * (1 + excess[excess.length >> 1]!));
    const x = flat.reduce((sum, i) => sum + mean[i]!, 0) / flat.length;
    return { x, v: variance(truth, x) * (1 + like.reduce((sum, e) => sum + e, 0) / like.length), error: 0.02 };
  });
  return fitLine(points, startLine(points)).line;
}
