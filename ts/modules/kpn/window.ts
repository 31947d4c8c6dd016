// What of a picture's pyramid is in memory (glsl/kpn/window.glsl): each level's part, in the coordinates of the whole picture.

import { levelSizes, noiseGains, type ModelSpec } from '../../model/spec.js';

/** A level of a picture's pyramid, and the part of it that is in memory; pixels. */
export interface WindowLevel {
  /** First pixel in memory. */
  x: number;
  y: number;
  /** The part in memory; it may reach past the level's end. */
  width: number;
  height: number;
  /** The whole level. */
  full: { width: number; height: number };
}

/** Levels that inference keeps: the model's, one more under prediff, whose mip is the result's base. */
export const levelsInMemory = (m: ModelSpec): number => (m.combine === 'prediff' ? m.levels + 1 : m.levels);

/** All of a picture of width x height pixels. */
export function wholePicture(m: ModelSpec, width: number, height: number): WindowLevel[] {
  return levelSizes(width, height, levelsInMemory(m) - 1).map((full) => ({ x: 0, y: 0, ...full, full }));
}

export interface WindowSettings {
  noise: { a: number; b: number };
  /** How far from the input to the result: 0..1. */
  strength: number;
}

export const WINDOW_BYTES = 16 + 2 * 8 * 16;

/** The uniform buffer. */
export function windowBytes(m: ModelSpec, levels: readonly WindowLevel[], { noise, strength }: WindowSettings): Uint8Array {
  const bytes = new ArrayBuffer(WINDOW_BYTES);
  const i32 = new Int32Array(bytes);
  const f32 = new Float32Array(bytes);
  f32.set([noise.a, noise.b, strength]);
  const gains = noiseGains(m.pyramid, levels.length);
  levels.forEach((l, i) => {
    i32.set([l.x, l.y, l.full.width, l.full.height], 4 + 4 * i);
    i32.set([l.width, l.height], 36 + 4 * i);
    f32[38 + 4 * i] = gains[i]!;
  });
  return new Uint8Array(bytes);
}
