// Values between keyframes, against numbers worked out by hand (SPEC section 5).
import { ease, insertKey, valueAt, type Key } from '../../ts/cfg/keyframes.js';
import type { Easing } from '../../ts/cfg/statement.js';

const key = (frame: number, value: number, easing: Easing = 'linear'): Key => ({ frame, value, easing });

test.each<[Easing, number, number]>([
  ['linear', 0.25, 0.25],
  ['in', 0.5, 0.125],
  ['in', 0.25, 0.015625],
  ['out', 0.5, 0.875],
  ['out', 0.25, 0.578125],
  ['smooth', 0.25, 0.15625],
  ['smooth', 0.5, 0.5],
  ['smooth', 0.75, 0.84375],
  ['step', 0.5, 0],
  ['step', 0.51, 1],
])('%s at %d is %d', (easing, t, value) => {
  expect(ease(easing, t)).toBe(value);
});

test('every easing begins at 0 and ends at 1', () => {
  for (const easing of ['linear', 'in', 'out', 'smooth', 'step'] as const) expect([ease(easing, 0), ease(easing, 1)]).toEqual([0, 1]);
});

test('the easing is the later keyframe\'s', () => {
  const keys = [key(0, 0, 'step'), key(10, 8, 'in'), key(20, 0, 'out')];
  expect(valueAt(keys, 5, true)).toBe(1); // 8 * 0.5^3
  expect(valueAt(keys, 15, true)).toBe(1); // 8 - 8 * (1 - 0.5^3)
});

test('before the first and after the last keyframe the nearest holds; on a keyframe its value', () => {
  const keys = [key(10, 1), key(20, 3)];
  expect([0, 10, 15, 20, 99].map((f) => valueAt(keys, f, true))).toEqual([1, 1, 2, 3, 3]);
});

test('whole numbers hold until the next keyframe', () => {
  const keys = [key(0, 1), key(10, 5, 'step')];
  expect([0, 6, 9, 10].map((f) => valueAt(keys, f, false))).toEqual([1, 1, 1, 5]);
});

test('keyframes may come in any order; one at the same frame replaces', () => {
  const keys: Key[] = [];
  for (const k of [key(20, 2), key(0, 0), key(10, 7), key(10, 1)]) insertKey(keys, k);
  expect(keys.map((k) => [k.frame, k.value])).toEqual([[0, 0], [10, 1], [20, 2]]);
});
