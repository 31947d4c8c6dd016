// Which crop of which picture lies where in the pool at which frame, and which pictures are held out. Pure functions of seed, frame
// and names: a run is the same every time, and one that is resumed finds the pool as it was.
//
//   draw k     a crop that enters the pool: 0 .. pool-1 before frame 0, then one more every `every` frames, each into the slot
//              of the oldest (k mod pool)
//   visit v    a decoded picture, from which `crops` draws in a row are cut: v = floor(k / crops)
//   epoch e    all pictures, in an order of its own: v = e * pictures + position

import { basename } from 'node:path';
import { randomUniform } from '../../model/init.js';

export interface Schedule {
  pictures: number;
  /** Slots on the device. */
  pool: number;
  /** Crops that are cut from a picture each time it is decoded. */
  crops: number;
  /** Frames from one replacement to the next. */
  every: number;
  seed: number;
}

/** The newest draw that frame `frame` sees. */
export const lastDraw = (s: Schedule, frame: number): number => s.pool - 1 + Math.floor(frame / s.every);

/** Mixes whole numbers into 32 bits (Murmur3's finaliser over a running sum). */
export function mix(...values: number[]): number {
  let h = 0x9e3779b9;
  for (const v of values) {
    h = Math.imul(h ^ (v >>> 0), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    h ^= h >>> 16;
  }
  return h >>> 0;
}

/** A random order of 0..n-1, by seed and epoch (Fisher and Yates). */
function shuffled(n: number, seed: number, epoch: number): Uint32Array {
  const random = randomUniform(mix(seed, 1, epoch));
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** The order of pictures: which one visit v is of. Keeps the order of the epochs asked for last. */
export class Order {
  private readonly epochs = new Map<number, Uint32Array>();

  constructor(private readonly s: Schedule) {}

  /** The picture of visit v; with `skip`, the one that takes its place where so many were found damaged: the next of the same epoch. */
  picture(v: number, skip = 0): number {
    const { pictures, seed } = this.s;
    const epoch = Math.floor(v / pictures);
    let order = this.epochs.get(epoch);
    if (!order) {
      if (this.epochs.size > 2) this.epochs.clear();
      this.epochs.set(epoch, (order = shuffled(pictures, seed, epoch)));
    }
    return order[((v % pictures) + skip) % pictures]!;
  }
}

/** Where draw k is cut: a point in [0, 1) x [0, 1) of the places that there are. */
export function place(s: Schedule, k: number): { u: number; v: number } {
  const random = randomUniform(mix(s.seed, 2, k));
  return { u: random(), v: random() };
}

/** Hash of a file's name: the same wherever the folder lies. */
function nameHash(path: string): number {
  return mix(...new TextEncoder().encode(basename(path)));
}

/**
 * Splits pictures into those to train on and `count` that are held out: the ones whose names have the smallest hashes. So it
 * depends on nothing else, and another picture in the folder changes one at most.
 */
export function holdOut(files: readonly string[], count: number): { train: string[]; held: string[] } {
  const out = new Set([...files].sort((a, b) => nameHash(a) - nameHash(b) || (a < b ? -1 : 1)).slice(0, count));
  return { train: files.filter((f) => !out.has(f)), held: files.filter((f) => out.has(f)) };
}
