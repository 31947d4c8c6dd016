// kpn/cascade: up, loss and dup of all levels in one dispatch (SPEC 1.6, 1.7, 2), each checked like the kernels it stands for.
import { useDevice } from '../unit/gpu-harness.js';
import { batchOf, caseOf, without } from './batch.js';
import { nodesOf, runNodes } from './harness.js';
import { combinations, testKernel } from './kernel-test.js';
import { Tensors, checkDup, checkLoss, checkUp, onLevels } from './step-check.js';
import { bytesOf, runSteps, values, type StepCase } from './step-run.js';

const gpu = useDevice();
const params = { cascade: 'tile' };
const outputs = ['O', 'dOdIa', 'output', 'dEdO'];
const check = (t: Tensors): void => {
  onLevels(checkUp, t);
  onLevels(checkLoss, t, undefined, 0, 1);
  onLevels(checkDup, t, undefined, 1);
};

const rows = combinations({
  combine: ['blend', 'prediff'], pyramid: ['box', 'binomial'], up: ['bspline', 'bilinear'], shape: [[1, 1, 2], [6, 1, 3], [2, 7, 2], [7, 11, 5], [33, 18, 7]],
} as const);
test.each(rows)('%s', async (_, { combine, pyramid, up, shape: [width, height, levels] }) => {
  await testKernel(gpu.device, caseOf({ combine, pyramid, up, levels }, [width, height], 3, { params }), { label: /^cascade$/, outputs, check });
});

test.each(['l2', 'smape', 'cosh', 'rel', 'enc'] as const)('%s, reference in f32, and the most pixels there may be', async (loss) => {
  const c = caseOf({ loss, levels: 4 }, [64, 64], 1, { formats: { input: 'f16', ref: 'f32' }, params });
  await testKernel(gpu.device, c, { label: /^cascade$/, outputs, check });
});

test('a result that is not finite is marked and gives no gradient', async () => {
  const c = caseOf({ levels: 3 }, [12, 10], 2, { params });
  const batch = batchOf(c);
  const I = values(batch.contents.get('I')!, 'f32');
  for (const [p, bad] of [[5, NaN], [130, Infinity], [200, -Infinity]] as const) I.fill(bad, 4 * p, 4 * p + 4);
  const contents = without(batch, ...outputs).set('I', bytesOf(I, 'f32'));
  const t = new Tensors(c, await runNodes(gpu.device, c, /^cascade$/, contents), 1);
  onLevels(checkLoss, t, undefined, 0, 1);
  onLevels(checkDup, t, undefined, 1);
  const g = values(t.buffer('dEdO'), 'f32');
  for (const bad of [5, 130, 200]) expect(Array.from(g.subarray(4 * bad, 4 * bad + 4))).toEqual([0, 0, 0, -1]);
  expect(g.every(Number.isFinite)).toBe(true);
});

/** A dispatch for each level computes the same; the sums' order may differ, and does not by more than their rounding. */
test('a step by tile is a step by level', async () => {
  const c: StepCase = caseOf({ width: 32, layers: 2, levels: 4 }, [20, 24], 2);
  const [byTile] = await runSteps(gpu.device, { ...c, params });
  const [byLevel] = await runSteps(gpu.device, { ...c, params: { cascade: 'level' } });
  const [a, b] = [byTile!, byLevel!].map((s) => values(s.get('dEdw')!, 'f32'));
  const size = Math.hypot(...b!);
  expect(Math.hypot(...a!.map((v, i) => v - b![i]!)) / size).toBeLessThan(2e-4); // f16 roundings of dE/dK that fall the other way
});

test.each([
  [{ combine: 'postdiff' }, 'combine is postdiff'], [{ levels: 1 }, 'there is one level'],
] as const)('%p: asked for it says why it cannot be', async (model, reason) => {
  await expect(nodesOf(gpu.device, caseOf(model, [8, 8], 1, { params }), /./)).rejects.toThrow(reason);
});

test('a tile too large for a workgroup', async () => {
  await expect(nodesOf(gpu.device, caseOf({ levels: 2 }, [128, 130], 1, { params }), /./)).rejects.toThrow(/level 1 of a tile has 4160 pixels/);
});
