// Weights before training (SPEC 3): Xavier uniform, the same for a seed on every device. Pure.

import { outputsOf, weightCount, type ModelSpec } from './spec.js';

/** Uniform numbers in [0, 1) from a 32-bit seed (mulberry32): enough for initial weights, and the same everywhere. */
export function randomUniform(seed: number): () => number {
  let s = seed >>> 0;
  return () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), s | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** (layer, out, in) f32: uniform in +-sqrt(6/(W+W)); rows of the last matrix past its outputs are 0. */
export function initialWeights(m: ModelSpec, seed: number): Float32Array {
  const random = randomUniform(seed);
  const bound = Math.sqrt(6 / (2 * m.width));
  const used = m.layers * m.width * m.width + outputsOf(m) * m.width;
  return Float32Array.from({ length: weightCount(m) }, (_, i) => (i < used ? bound * (2 * random() - 1) : 0));
}
