// kpn/rise: up and loss of all levels, and the first dup, in one dispatch (SPEC 1.6, 1.7, 2), each checked like the kernels it stands for.
import { useDevice } from '../unit/gpu-harness.js';
import { batchOf, caseOf, without } from './batch.js';
import { nodesOf, runNodes } from './harness.js';
import { combinations, testKernel } from './kernel-test.js';
import { Tensors, checkDup, checkLoss, checkUp, onLevels } from './step-check.js';
import { bytesOf, runSteps, values, type StepCase } from './step-run.js';

const gpu = useDevice();
const params = { cascade: 'block' };
const outputs = ['O', 'dOdIa', 'output', 'dEdO'];
const check = (t: Tensors): void => {
  onLevels(checkUp, t);
  onLevels(checkLoss, t, undefined, 0, 1);
  onLevels(checkDup, t, undefined, 1, 2);
};

const rows = combinations({
  combine: ['blend', 'prediff'], pyramid: ['box', 'binomial'], up: ['bspline', 'bilinear'], shape: [[1, 1, 2], [6, 1, 3], [2, 33, 2], [37, 50, 7]],
} as const);
test.each(rows)('%s', async (_, { combine, pyramid, up, shape: [width, height, levels] }) => {
  await testKernel(gpu.device, caseOf({ combine, pyramid, up, levels }, [width, height], 2, { params }), { label: /^rise$/, outputs, check });
});

test.each(['l2', 'smape', 'cosh', 'rel', 'enc', 'even'] as const)('%s, reference in f32', async (loss) => {
  const c = caseOf({ loss, levels: 4 }, [33, 18], 3, { formats: { input: 'f16', ref: 'f32' }, params });
  await testKernel(gpu.device, c, { label: /^rise$/, outputs, check });
});

test('a result that is not finite is marked and gives no gradient', async () => {
  const c = caseOf({ levels: 2 }, [12, 10], 2, { params });
  const batch = batchOf(c);
  const I = values(batch.contents.get('I')!, 'f32');
  for (const [p, bad] of [[5, NaN], [130, Infinity], [200, -Infinity]] as const) I.fill(bad, 4 * p, 4 * p + 4);
  const contents = without(batch, ...outputs).set('I', bytesOf(I, 'f32'));
  const t = new Tensors(c, await runNodes(gpu.device, c, /^rise$/, contents), 1);
  onLevels(checkLoss, t, undefined, 0, 1);
  onLevels(checkDup, t, undefined, 1);
  const g = values(t.buffer('dEdO'), 'f32');
  for (const bad of [5, 130, 200]) expect(Array.from(g.subarray(4 * bad, 4 * bad + 4))).toEqual([0, 0, 0, -1]);
  expect(g.every(Number.isFinite)).toBe(true);
});

/** A dispatch for each level computes the same; the sums' order may differ, and does not by more than their rounding. */
test('a step by blocks is a step by levels', async () => {
  const c: StepCase = caseOf({ width: 32, layers: 2, levels: 4 }, [20, 24], 2);
  const [byBlock] = await runSteps(gpu.device, { ...c, params });
  const [byLevel] = await runSteps(gpu.device, { ...c, params: { cascade: 'level' } });
  const [a, b] = [byBlock!, byLevel!].map((s) => values(s.get('dEdw')!, 'f32'));
  const size = Math.hypot(...b!);
  expect(Math.hypot(...a!.map((v, i) => v - b![i]!)) / size).toBeLessThan(2e-4); // f16 roundings of dE/dK that fall the other way
});

test.each([
  [{ combine: 'postdiff' }, 'combine is postdiff'], [{ levels: 1 }, 'there is one level'],
] as const)('%p: asked for it says why it cannot be', async (model, reason) => {
  await expect(nodesOf(gpu.device, caseOf(model, [8, 8], 1, { params }), /./)).rejects.toThrow(reason);
});
