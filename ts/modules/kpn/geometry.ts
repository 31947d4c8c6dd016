// The batch of pixels: where each level of each tile lies (glsl/kpn/geometry.glsl).

import { levelSizes, noiseGains, type ModelSpec } from '../../model/spec.js';

/** Levels of the box pyramid that one dispatch makes, from blocks of 32x32 pixels; deeper ones come from the level before. */
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

/**
 * Factor f and shift s by which floor(n / d) = floor((n + 1) f / 2^(32 + s)) for all n < 2^31: f is rounded down, which n + 1 makes up for, and
 * 2^32 - 1 where d is a power of two (2^s). (Warren, Hacker's Delight, 10-9.)
 */
export function divisor(d: number): [factor: number, shift: number] {
  const bits = 32 - Math.clz32(d - 1); // 2^bits >= d
  return 2 ** bits === d ? [2 ** 32 - 1, bits] : [Number((1n << BigInt(31 + bits)) / BigInt(d)), bits - 1];
}

/** Whether a side of one of these levels is shorter than 4 pixels: SMALL of glsl/common/addressing.glsl. */
export const hasSmallLevel = (levels: readonly { width: number; height: number }[]): boolean => levels.some((l) => Math.min(l.width, l.height) < 4);

/** Layout of `tiles` tiles of width x height pixels. */
export function geometryOf(m: ModelSpec, tiles: number, width: number, height: number): Geometry {
  let first = 0;
  const levels = levelSizes(width, height, m.levels).map((s) => {
    const level = { first, ...s, pixels: tiles * s.width * s.height };
    first += level.pixels;
    return level;
  });
  const pixels = levels[m.levels]!.first;
  const bytes = new ArrayBuffer(16 + 2 * 8 * 16);
  const u32 = new Uint32Array(bytes);
  const f32 = new Float32Array(bytes);
  u32.set([m.levels, tiles, pixels, 0]);
  const gains = noiseGains(m.pyramid, m.levels);
  levels.forEach((l, i) => {
    u32.set([l.first, l.width, l.height], 4 + 4 * i);
    f32[7 + 4 * i] = gains[i]!;
    u32.set([...divisor(l.width * l.height), ...divisor(l.width)], 36 + 4 * i);
  });
  return { tiles, levels, pixels, mipPixels: first, bytes: new Uint8Array(bytes) };
}
