// Cases for tests: deterministic random numbers, pictures of every awkward kind, and pairwise choices among variants.
import { outputsOf } from './apply.js';
import { type Image, makeImage } from './image.js';
import type { ModelOptions, Tile } from './model.js';
import { xavierWeights } from './optimiser.js';

/** Uniform in [0, 1), the same sequence for the same seed (the mulberry32 generator). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export const PICTURE_KINDS = ['photo', 'black', 'huge', 'negative'] as const;
export type PictureKind = (typeof PICTURE_KINDS)[number];

/** A picture (h, w, 3): uniform values in [0, amplitude); all black; a few of `hugeness` among them; or of both signs. */
export function picture(kind: PictureKind, width: number, height: number, next: () => number, amplitude = 1, hugeness = 6e4): Image {
  const value: Record<PictureKind, () => number> = {
    photo: () => amplitude * next(),
    black: () => 0,
    huge: () => (next() < 0.1 ? hugeness : amplitude) * next(),
    negative: () => amplitude * (2 * next() - 1),
  };
  return makeImage(width, height, 3, Array.from({ length: width * height * 3 }, value[kind]));
}

/** A tile whose input is of the kind given; its reference is always an ordinary picture. */
export function makeTile(kind: PictureKind, width: number, height: number, next: () => number, amplitude = 1, hugeness = 6e4): Tile {
  const noise = { a: next() * 2e6, b: next() * 50 };
  return { input: picture(kind, width, height, next, amplitude, hugeness), reference: picture('photo', width, height, next, amplitude), noise };
}

export const makeWeights = (model: ModelOptions, next: () => number): Float64Array =>
  xavierWeights({ width: model.width, layers: model.layers, outputs: outputsOf(model.chroma) }, next);

type Factors = Record<string, readonly unknown[]>;
type Row<F extends Factors> = { [name in keyof F]: F[name][number] };

/**
 * Rows such that every two values of two factors meet in one of them. Greedy: each row starts from a pair not yet met,
 * the other factors take the values that meet most new pairs.
 */
export function pairwise<F extends Factors>(factors: F): Row<F>[] {
  const names = Object.keys(factors);
  const key = (a: number, va: number, b: number, vb: number): string => (a < b ? `${a}=${va},${b}=${vb}` : `${b}=${vb},${a}=${va}`);
  const open = new Map<string, [number, number, number, number]>();
  for (let a = 0; a < names.length; a++)
    for (let b = a + 1; b < names.length; b++)
      factors[names[a]!]!.forEach((_, va) => factors[names[b]!]!.forEach((__, vb) => open.set(key(a, va, b, vb), [a, va, b, vb])));
  const rows: Row<F>[] = [];
  for (let first = open.values().next(); !first.done; first = open.values().next()) {
    const [a, va, b, vb] = first.value;
    const chosen = new Map<number, number>([[a, va], [b, vb]]);
    names.forEach((name, f) => {
      if (chosen.has(f)) return;
      const gains = factors[name]!.map((_, v) => [...chosen].filter(([g, vg]) => open.has(key(f, v, g, vg))).length);
      const best = Math.max(...gains);
      const ties = gains.flatMap((gain, v) => (gain === best ? [v] : []));
      chosen.set(f, ties[rows.length % ties.length]!);
    });
    for (const [f, v] of chosen) for (const [g, vg] of chosen) if (f !== g) open.delete(key(f, v, g, vg));
    rows.push(Object.fromEntries(names.map((name, f) => [name, factors[name]![chosen.get(f)!]])) as Row<F>);
  }
  return rows;
}
