// The batch of pixels: where each level of each tile lies (glsl/kpn/geometry.glsl).

import { levelSizes, noiseGains, type ModelSpec } from '../../model/spec.js';

/** Levels of the box pyramid that one dispatch makes, from blocks of 16x16 pixels; deeper ones come from the level before. */
export const MIP_DEPTH = 5;

export interface Level {
  /** First pixel in the batch. */
  first: number;
  width: number;
  height: number;
  /** Pixels of this level over all tiles. */
  pixels: number;
}

export interface Geometry {
  tiles: number;
  /** One more than the model's levels, where prediff needs the next mip. */
  levels: Level[];
  /** Pixels that go through the MLP. */
  pixels: number;
  /** Pixels of all mips. */
  mipPixels: number;
  /** The uniform buffer. */
  bytes: Uint8Array;
}

/** Layout of `tiles` tiles of width x height pixels. */
export function geometryOf(m: ModelSpec, tiles: number, width: number, height: number): Geometry {
  let first = 0;
  const levels = levelSizes(width, height, m.levels).map((s) => {
    const level = { first, ...s, pixels: tiles * s.width * s.height };
    first += level.pixels;
    return level;
  });
  const pixels = levels[m.levels]!.first;
  const bytes = new ArrayBuffer(16 + 8 * 16);
  const u32 = new Uint32Array(bytes);
  const f32 = new Float32Array(bytes);
  u32.set([m.levels, tiles, pixels, 0]);
  const gains = noiseGains(m.pyramid, m.levels);
  levels.forEach((l, i) => {
    u32.set([l.first, l.width, l.height], 4 + 4 * i);
    f32[7 + 4 * i] = gains[i]!;
  });
  return { tiles, levels, pixels, mipPixels: first, bytes: new Uint8Array(bytes) };
}
