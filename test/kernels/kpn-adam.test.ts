// kpn/adam: one update of weights and moments from what `step` decided, and the copies that the layers read (SPEC 3).
import { type AdamOptions, gradientNorm, random, toHalf } from '../reference/index.js';
import { hyperBytes } from '../../ts/modules/kpn-t/state.js';
import { useDevice } from '../unit/gpu-harness.js';
import { HYPER, caseOf, stateBytes } from './batch.js';
import { adamUpdate } from './expected.js';
import { nodesOf, runKernel } from './harness.js';
import { compare, exactly } from './step-check.js';
import { bytesOf, type Snapshot, values } from './step-run.js';

const gpu = useDevice();
const c = caseOf({ width: 32, layers: 2 }, [3, 3], 1);
const COUNT = 3 * 32 * 32;
const USED = 2 * 32 * 32 + 16 * 32;
const DEFAULTS: AdamOptions = { alpha: 0.01, beta1: 0.99, beta2: 0.999, eps: 1e-4, L2: 0.001, gradclip: 1000 };

const next = random(9);
const floats = (size: number, sign = true): Float64Array => Float64Array.from({ length: COUNT }, () => Math.fround(size * (sign ? 2 * next() - 1 : next())));

/** Runs adam with the decision that `step` takes for update n. */
async function update(before: { w: Float64Array; moment1: Float64Array; moment2: Float64Array; n: number }, dw: Float64Array, options: AdamOptions, go = true): Promise<Snapshot> {
  const [node] = await nodesOf(gpu.device, c, /^adam$/);
  const n = before.n + 1;
  const { alpha, beta1, beta2, eps, L2, gradclip } = options;
  const state = stateBytes({
    9: { f: Math.min(1, gradclip / gradientNorm(dw)) }, 10: { f: alpha / (1 - beta1 ** n) }, 11: { f: 1 / (1 - beta2 ** n) }, 14: go ? 1 : 0,
  });
  return runKernel(gpu.device, node!, new Map([
    ['state', state], ['hyper', hyperBytes({ ...HYPER, alpha, beta1, beta2, eps, l2: L2, gradclip })], ['dEdw', bytesOf(dw, 'f32')],
    ['master', bytesOf(before.w, 'f32')], ['moment1', bytesOf(before.moment1, 'f32')], ['moment2', bytesOf(before.moment2, 'f32')],
  ]));
}

test.each([
  ['the first', 0, {}],
  ['the second', 1, {}],
  ['the 1000th', 999, {}],
  ['no L2', 4, { L2: 0 }],
  ['much L2', 4, { L2: 0.5 }],
  ['clipped', 4, { gradclip: 0.1 }],
  ['large eps', 4, { eps: 0.5 }],
  ['other betas', 4, { beta1: 0.5, beta2: 0.9, alpha: 0.3 }],
] as const)('%s update', async (_, n, more) => {
  const options = { ...DEFAULTS, ...more };
  const before = { w: floats(0.3), moment1: n > 0 ? floats(1) : new Float64Array(COUNT), moment2: n > 0 ? floats(1, false) : new Float64Array(COUNT), n };
  const dw = floats(3);
  dw[5] = 0;
  for (const values of [before.w, before.moment1, before.moment2, dw]) values.fill(0, USED); // as a step finds them
  const result = await update(before, dw, options);
  const e = adamUpdate(before, dw, options);
  compare('moment1', values(result.get('moment1')!, 'f32'), e.moment1);
  compare('moment2', values(result.get('moment2')!, 'f32'), e.moment2);
  const w = values(result.get('master')!, 'f32');
  compare('weights', w, e.w);
  compare('f16 weights', values(result.get('w')!, 'f16').subarray(0, USED), exactly(w.subarray(0, USED).map(toHalf)));
  compare('rounded weights', values(result.get('rounded')!, 'f32').subarray(0, USED), exactly(w.subarray(0, USED).map(toHalf)));
});

test('where step says no, nothing is written', async () => {
  const before = { w: floats(0.3), moment1: floats(1), moment2: floats(1, false), n: 3 };
  const result = await update(before, floats(3), DEFAULTS, false);
  expect(values(result.get('master')!, 'f32')).toEqual(before.w);
  expect(values(result.get('moment1')!, 'f32')).toEqual(before.moment1);
  expect(values(result.get('moment2')!, 'f32')).toEqual(before.moment2);
  expect(new Set(new Uint32Array(result.get('rounded')!.slice().buffer))).toEqual(new Set([0x7e017e01])); // still poison
});

test('rows of the last matrix past the outputs are no weights: they stay', async () => {
  const before = { w: floats(0.3), moment1: floats(1), moment2: floats(1, false), n: 3 };
  const result = await update(before, floats(3), DEFAULTS);
  for (const [name, was] of Object.entries({ master: before.w, moment1: before.moment1, moment2: before.moment2 })) expect(values(result.get(name)!, 'f32').subarray(USED)).toEqual(was.subarray(USED));
  expect(new Set(new Uint32Array(result.get('rounded')!.slice().buffer, 4 * USED))).toEqual(new Set([0x7e017e01])); // still poison
});

test.each([[32000, 0], [32760, 1], [-40000, 1]])('a weight of %d goes over 32768 or not: step is told', async (w0, large) => {
  const before = { w: floats(0.3), moment1: floats(1e-3), moment2: floats(1, false).map((v) => 1 + v), n: 3 };
  [before.w[7], before.moment1[7]] = [w0, -Math.sign(w0)];
  const result = await update(before, new Float64Array(COUNT), { ...DEFAULTS, alpha: 10, L2: 0 });
  expect(new Uint32Array(result.get('state')!.slice().buffer)[18]).toBe(large);
});
