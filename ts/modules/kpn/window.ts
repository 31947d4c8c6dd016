// What of a picture's pyramid is in memory (glsl/kpn/window.glsl): each level's part, in the coordinates of the whole picture.

import type { Rect } from '../../graph/types.js';
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

/** The levels of a part of a picture; of all of it, or of one whose corner and size are multiples of what windowNeeds says. */
export function windowLevels(m: ModelSpec, picture: { width: number; height: number }, part: Rect): WindowLevel[] {
  const sizes = levelSizes(part.width, part.height, levelsInMemory(m) - 1);
  return levelSizes(picture.width, picture.height, levelsInMemory(m) - 1).map((full, i) => ({ x: part.x >> i, y: part.y >> i, ...sizes[i]!, full }));
}

/** Pixels from..to of a level. */
type Span = readonly [from: number, to: number];
const around = ([from, to]: Span, n: number): Span => [from - n, to + n];
/** The coarser pixels that up2 looks at for these. */
const above = ([from, to]: Span): Span => [(from >> 1) - 1, (to >> 1) + 1];
/** The finer pixels that these are made of. */
const below = (m: ModelSpec, [from, to]: Span): Span => (m.pyramid === 'box' ? [2 * from, 2 * to + 1] : [2 * from - 2, 2 * to + 2]);
const hull = (spans: readonly Span[]): Span => [Math.min(...spans.map((s) => s[0])), Math.max(...spans.map((s) => s[1]))];

/**
 * How many pixels around a part of the result decide on it, and what the corner of a window must be a multiple of. Worked out level by level, for a
 * part that is as the pyramid divides it: which pixels of O, of I and of M of each level the finest O needs.
 */
export function windowNeeds(m: ModelSpec): { halo: number; align: number } {
  const count = levelsInMemory(m);
  const align = 2 ** (count - 1);
  const sees = m.context === 'window' ? 4 : m.context === 'wnorm' ? 3 : 2;
  const M: Span[][] = Array.from({ length: count }, () => []);
  const last = align - 1;
  let O: Span = [0, last];
  for (let i = 0; i < m.levels; i++) {
    const I = m.combine === 'postdiff' ? hull([O, below(m, above(O))]) : O;
    const taps = around(I, sees);
    M[i]!.push(taps);
    if (m.combine === 'prediff') M[i + 1]!.push(above(taps));
    O = m.context === 'guide' ? hull([above(O), above(taps)]) : above(O);
  }
  if (m.combine === 'prediff') M[m.levels]!.push(O);
  for (let i = count - 1; i > 0; i--) M[i - 1]!.push(below(m, hull(M[i]!)));
  const [from, to] = hull(M[0]!);
  return { halo: Math.ceil(Math.max(-from, to - last) / align) * align, align };
}

export interface WindowSettings {
  noise: { a: number; b: number };
  /** How far from the input to the result: 0..1. */
  strength: number;
  /** How many standard deviations of its noise a pixel changes by at most; 0: any. */
  limits: { luminance: number; channel: number };
}

export const WINDOW_BYTES = 32 + 2 * 8 * 16;

/** The uniform buffer. */
export function windowBytes(m: ModelSpec, levels: readonly WindowLevel[], { noise, strength, limits }: WindowSettings): Uint8Array {
  const bytes = new ArrayBuffer(WINDOW_BYTES);
  const i32 = new Int32Array(bytes);
  const f32 = new Float32Array(bytes);
  f32.set([noise.a, noise.b, strength, 0, limits.luminance, limits.channel]);
  const gains = noiseGains(m.pyramid, levels.length);
  levels.forEach((l, i) => {
    i32.set([l.x, l.y, l.full.width, l.full.height], 8 + 4 * i);
    i32.set([l.width, l.height], 40 + 4 * i);
    f32[42 + 4 * i] = gains[i]!;
  });
  return new Uint8Array(bytes);
}
