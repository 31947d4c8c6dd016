// Animated numbers: the value between keyframes (SPEC section 5).

import type { Easing } from './statement.js';

export interface Key {
  frame: number;
  value: number;
  easing: Easing;
}

/** Progress 0..1 between two keyframes, eased. */
export function ease(easing: Easing, t: number): number {
  switch (easing) {
    case 'linear':
      return t;
    case 'in':
      return t * t * t;
    case 'out':
      return 1 - (1 - t) ** 3;
    case 'smooth':
      return t * t * (3 - 2 * t);
    case 'step':
      return t > 0.5 ? 1 : 0;
  }
}

/**
 * The value at a frame. `keys` are sorted by frame, at least one; before the first and after the last the nearest holds.
 * `interpolate` false (whole numbers): the earlier keyframe holds until the later one.
 */
export function valueAt(keys: readonly Key[], frame: number, interpolate: boolean): number {
  const laterIndex = keys.findIndex((key) => key.frame > frame);
  const later = keys[laterIndex];
  const earlier = laterIndex < 0 ? keys[keys.length - 1] : keys[laterIndex - 1];
  if (earlier === undefined) return later?.value ?? NaN;
  if (later === undefined || !interpolate) return earlier.value;
  const t = ease(later.easing, (frame - earlier.frame) / (later.frame - earlier.frame));
  return earlier.value + (later.value - earlier.value) * t;
}

/** Adds a key in order of frames; one at the same frame is replaced. */
export function insertKey(keys: Key[], key: Key): void {
  const index = keys.findIndex((k) => k.frame >= key.frame);
  if (index < 0) keys.push(key);
  else keys.splice(index, keys[index]?.frame === key.frame ? 1 : 0, key);
}
