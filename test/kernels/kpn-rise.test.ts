// kpn/rise: up and loss of all levels, and the first dup, in one dispatch (SPEC 1.6, 1.7, 2), each checked like the kernels it stands for; under context
// guide a dispatch for each level, with what guides the next finer one.
import { CHOICES } from '../../ts/model/spec.js';
import { useDevice } from '../unit/gpu-harness.js';
import { batchOf, caseOf, without } from './batch.js';
import { nodesOf, runNodes } from './harness.js';
import { combinations, testKernel } from './kernel-test.js';
import { MATRIX_PATHS, onMatrices } from './paths.js';
import { Tensors, checkDup, checkGuide, checkLoss, checkUp, onLevels } from './step-check.js';
import { bytesOf, geometryOfCase, runSteps, values, type StepCase } from './step-run.js';

const gpu = useDevice();
const params = { cascade: 'block' };
const outputs = ['O', 'dOdIa', 'output', 'dEdO', 'downI'];
const check = (t: Tensors): void => {
  onLevels(checkUp, t);
  onLevels(checkLoss, t, undefined, 0, 1);
  onLevels(checkDup, t, undefined, 1, 2);
};

const options = { pyramid: CHOICES.pyramid, up: CHOICES.up } as const;
const rows = combinations({ combine: CHOICES.combine, ...options, shape: [[1, 1, 2], [6, 1, 3], [19, 34, 5]] } as const);
test.each(rows)('variant whole: %s', async (_, { combine, pyramid, up, shape: [width, height, levels] }) => {
  await testKernel(gpu.device, caseOf({ combine, pyramid, up, levels }, [width, height], 2, { params }), { label: /^rise$/, outputs, check });
});

// Several blocks each way, and the deepest levels that a block sees five pixels of.
test.each(combinations({ combine: CHOICES.combine } as const))('%s: 7 levels of a large tile', async (_, { combine }) => {
  const c = caseOf({ combine, up: 'bilinear', pyramid: 'binomial', levels: 7 }, [150, 9], 1, { params });
  await testKernel(gpu.device, c, { label: /^rise$/, outputs, check });
});

const guided = combinations({ combine: CHOICES.combine, ...options, shape: [[7, 1, 2], [20, 17, 4]] } as const);
test.each(guided)('variant guide: %s', async (_, { combine, pyramid, up, shape: [width, height, levels] }) => {
  const c = caseOf({ width: 64, context: 'guide', combine, pyramid, up, levels }, [width, height], 2, { params });
  await testKernel(gpu.device, c, { label: /^rise/, outputs: [...outputs, 'guide'], check: (t) => {
    check(t);
    onLevels(checkGuide, t, undefined, 0, levels - 1);
  } });
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

/** Every sum has the same order in both, so every bit is the same. */
const models = [
  ...CHOICES.combine.map((combine) => ({ combine, levels: 4 })),
  { combine: 'postdiff', pyramid: 'binomial', levels: 3 }, { combine: 'postdiff', up: 'bilinear', levels: 2 }, { combine: 'postdiff', up: 'bilinear', levels: 6 },
  { combine: 'postdiff', up: 'bilinear', levels: 5, width: 64, context: 'guide' }, { combine: 'prediff', levels: 3, width: 64, context: 'guide' },
] as const;
test.each(models)('a step by blocks is a step by levels: %p', async (model) => {
  const c: StepCase = { ...caseOf({ ...model, layers: 2 }, [21, 18], 2), frames: 2 };
  const byBlock = await runSteps(gpu.device, { ...c, params });
  const byLevel = await runSteps(gpu.device, { ...c, params: { cascade: 'level' } });
  const first = 4 * geometryOfCase(c).levels[0]!.pixels;
  byBlock.forEach((a, frame) => {
    const b = byLevel[frame]!;
    const gradient = (s: typeof a): Float64Array => values(s.get('dEdO')!, 'f32').map((v, i) => (i >= first && i % 4 === 3 ? 0 : v)); // there coarser levels may keep I.a
    expect(gradient(a)).toEqual(gradient(b));
    for (const name of ['O', 'dOdIa', 'output', 'dEdw', 'master', ...(model.combine === 'postdiff' ? ['dEdI'] : []), ...('context' in model ? ['guide'] : [])]) expect({ name, same: Buffer.compare(a.get(name)!, b.get(name)!) === 0 }).toEqual({ name, same: true });
  });
});

/** And with dE/dK from fall, where dE/dw is made in the pass back. */
onMatrices.each(MATRIX_PATHS.flatMap((path) => CHOICES.combine.map((combine) => [path, combine] as const)))('path %s, %s: the same fused', async (path, combine) => {
  const c: StepCase = caseOf({ combine, up: 'bilinear', levels: 5, layers: 4 }, [21, 18], 2, { path });
  const [byBlock, byLevel] = await Promise.all(['block', 'level'].map(async (cascade) => runSteps(gpu.device, { ...c, params: { cascade, gradient: 'fused' } })));
  expect(byBlock![0]!.get('dEdw')).toEqual(byLevel![0]!.get('dEdw'));
  expect(values(byBlock![0]!.get('dEdw')!, 'f32').some((v) => v !== 0)).toBe(true);
});

test.each([
  [{ chroma: true }, 'chroma is 1'], [{ levels: 1 }, 'there is one level'],
] as const)('%p: asked for it says why it cannot be', async (model, reason) => {
  await expect(nodesOf(gpu.device, caseOf(model, [8, 8], 1, { params }), /./)).rejects.toThrow(reason);
});
