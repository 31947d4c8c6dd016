// kpn/unturn: results of the runs of cycle spinning turned back, added in order in f32, and the mean. Then spinning as a whole.
import type { ModelSpec } from '../../ts/model/spec.js';
import { forward, random, toHalf } from '../reference/index.js';
import { useDevice } from '../unit/gpu-harness.js';
import { checkInference } from './inference-check.js';
import { runInference, type InferenceCase } from './inference-run.js';
import { combinations } from './kernel-test.js';
import { PATHS } from './paths.js';
import { alignOf, placeOf, runCase, SPUN, spunCase, turnsOfCase } from './spin-cases.js';
import { bytesOf, values, type PictureFormat, type Snapshot } from './step-run.js';

const gpu = useDevice();

const resultOf = (k: number): string => (k === 0 ? 'result' : `result, run ${k}`);

/** rgba f16 of the mean, from the runs' results (picture, y, x, rgba). */
function meanOf(c: InferenceCase, results: readonly Float64Array[], add: (a: number, b: number) => number = (a, b) => Math.fround(a + b)): Float64Array {
  const { width, height } = c.inputs[0]!;
  const turns = turnsOfCase(c);
  const sizes = turns.map((_, k) => runCase(c, k).inputs[0]!);
  return Float64Array.from({ length: 4 * c.inputs.length * width * height }, (_, i) => {
    if (i % 4 === 3) return 1;
    const [x, y, picture] = [(i >> 2) % width, Math.floor((i >> 2) / width) % height, Math.floor((i >> 2) / width / height)];
    let sum = 0;
    turns.forEach((turn, k) => {
      const [u, v] = placeOf(turn, alignOf(c.model), { width, height }, x, y);
      const { width: across, height: down } = sizes[k]!;
      sum = add(sum, results[k]![4 * ((picture * down + v) * across + u) + (i % 4)]!);
    });
    return sum / turns.length;
  });
}

describe('variant first: the first run; variant next: those between; variant last: the last, and the mean', () => {
  test.each(combinations({ shape: SPUN, spin: [2, 8], combine: ['blend', 'prediff'] } as const))('%s', async (_, { shape, spin, combine }) => {
    const c = spunCase(shape, 'f16', spin, { combine });
    const next = random(5);
    const results = turnsOfCase(c).map((__, k) => {
      const { width, height } = runCase(c, k).inputs[0]!;
      return Float64Array.from({ length: 8 * width * height }, () => toHalf(next() < 0.1 ? 65504 : 20 * next() ** 4 - 1));
    });
    const contents: Snapshot = new Map(results.map((r, k) => [resultOf(k), bytesOf(r, 'f16')]));
    const snapshot = await runInference(gpu.device, c, /^unturn/, contents);
    expect(Array.from(values(snapshot.get('output')!, 'f16'))).toEqual(Array.from(meanOf(c, results), toHalf));
  });
});

/** What a run left, under the names of a case of its own. */
function runSnapshot(snapshot: Snapshot, k: number): Snapshot {
  const suffix = `, run ${k}`;
  const own = [...snapshot].flatMap(([name, data]): [string, Uint8Array][] => (k === 0 ? [[name, data]] : name.endsWith(suffix) ? [[name.slice(0, -suffix.length), data]] : []));
  const found = new Map(own);
  found.set('output', found.get('result')!);
  if (k > 0) found.set('img', found.get('turned')!);
  return found;
}

const RUNS: readonly (readonly [spin: number, shape: readonly [number, number, number], format: PictureFormat, c: Partial<InferenceCase>, model: Partial<ModelSpec>])[] = [
  [2, [19, 13, 3], 'f16', {}, { context: 'norm', ablend: 'sigmoid' }],
  [4, [7, 10, 3], 'f32', { limits: [2, 3], strength: 0.75 }, { context: 'norm', combine: 'postdiff', up: 'bilinear', ablend: 'sigmoid', layers: 2 }],
  [8, [5, 6, 3], 'f16', { limits: [1, 0] }, { context: 'guide', width: 64, combine: 'postdiff', up: 'bilinear', ablend: 'sigmoid', chroma: true }],
  [8, [10, 7, 2], 'f32', {}, { combine: 'prediff', pyramid: 'binomial', ablend: 'sigmoid' }],
  [8, [5, 3, 3], 'f16', {}, { context: 'norm', ablend: 'sigmoid' }],
];

const onPaths = PATHS.map((path): (typeof RUNS)[number] => [2, [21, 18, 3], 'f16', { path }, { context: 'norm', combine: 'postdiff', ablend: 'sigmoid', layers: 2 }]);

describe('every run by itself, and the mean of all', () => {
  test.each([...RUNS, ...onPaths])('%d of %j, %s, %j, %j', async (spin, shape, format, more, model) => {
    const c: InferenceCase = { ...spunCase(shape, format, spin, model), ...more };
    if (c.model.context !== 'star') c.weights = c.weights.map((w) => toHalf(w / 20)); // contexts relative to the noise are large
    const snapshot = await runInference(gpu.device, c);
    const results = turnsOfCase(c).map((_, k) => {
      checkInference(runCase(c, k), runSnapshot(snapshot, k));
      return values(snapshot.get(resultOf(k))!, 'f16');
    });
    const output = values(snapshot.get('output')!, 'f16');
    expect(Array.from(output)).toEqual(Array.from(meanOf(c, results), toHalf));
  });
});

test.each([2, 4, 8])('the mean of %d is the reference model\'s', async (spin) => {
  const c = spunCase([27, 21, 3], 'f16', spin, { context: 'norm', combine: 'postdiff', ablend: 'sigmoid' });
  c.weights = c.weights.map((w) => toHalf(w / 20));
  const pictures = turnsOfCase(c).map((_, k) => runCase(c, k).inputs.map((p) => forward(c.model, c.weights, p, c.noise)[0]!.O));
  const results = pictures.map((of) => Float64Array.from(of.flatMap((p) => Array.from({ length: 4 * p.width * p.height }, (_, i) => (i % 4 === 3 ? 1 : p.data[3 * (i >> 2) + (i % 4)]!)))));
  const expected = meanOf(c, results, (a, b) => a + b);
  const output = values((await runInference(gpu.device, c)).get('output')!, 'f16');
  const rms = (a: Float64Array, b: Float64Array): number => Math.sqrt(a.reduce((sum, v, i) => sum + (v - b[i]!) ** 2, 0) / a.length);
  // Rounding of M, O and the layers to f16 is 2^-11 a value; the runs differ by far more than that.
  expect(rms(output, expected)).toBeLessThan(2 ** -10);
  expect(rms(expected, results[0]!)).toBeGreaterThan(2 ** -6);
});
