// kpn/rise: up and loss of all levels, and the first dup, in one dispatch (SPEC 1.6, 1.7, 2), each checked like the kernels it stands for; under context
// guide a dispatch for each level, with what guides the next finer one.
import { CHOICES } from '../../ts/model/spec.js';
import { useDevice } from '../unit/gpu-harness.js';
import { batchOf, caseOf, without } from './batch.js';
import { nodesOf, runKernel, runNodes } from './harness.js';
import { combinations, testKernel } from './kernel-test.js';
import { MATRIX_PATHS, onMatrices } from './paths.js';
import { Tensors, checkBlockLosses, checkDup, checkGuide, checkLoss, checkSlopes, checkUp, onLevels } from './step-check.js';
import { bytesOf, runSteps, values, type Snapshot, type StepCase } from './step-run.js';

const gpu = useDevice();
const params = { cascade: 'block' };
const outputs = ['O', 'dOdIa', 'output', 'dEdO', 'downI', 'losses'];
/** Of blocks of that many pixels of level 0 each way. */
const checkBlocksOf = (block: number) => (t: Tensors): void => {
  onLevels(checkUp, t);
  if (t.snapshot.has('losses')) {
    onLevels(checkSlopes, t, undefined, 0, 1);
    checkBlockLosses(t, block);
  } else onLevels(checkLoss, t, undefined, 0, 1);
  onLevels(checkDup, t, undefined, 1, 2);
};
const check = checkBlocksOf(16);
/** Of `simple`: that it is what ran. */
const checkSimple = (t: Tensors, checkBlocks = check): void => {
  expect(t.snapshot.has('losses')).toBe(true);
  checkBlocks(t);
};

const options = { pyramid: CHOICES.pyramid, up: CHOICES.up } as const;
const shapes = [[1, 1, 2], [6, 1, 3], [19, 34, 5]] as const;
test.each(combinations({ combine: ['blend', 'prediff'], ...options, shape: shapes } as const))('variant simple: %s', async (_, { combine, pyramid, up, shape: [width, height, levels] }) => {
  await testKernel(gpu.device, caseOf({ combine, pyramid, up, levels }, [width, height], 2, { params }), { label: /^rise$/, outputs, check: (t) => checkSimple(t) });
});

test.each(combinations({ ...options, shape: shapes } as const))('variant post: %s', async (_, { pyramid, up, shape: [width, height, levels] }) => {
  await testKernel(gpu.device, caseOf({ combine: 'postdiff', pyramid, up, levels }, [width, height], 2, { params }), { label: /^rise$/, outputs, check });
});

// Many blocks: these are larger then.
test('blocks are large where there are many, small where workgroups are', async () => {
  const [many] = await nodesOf(gpu.device, caseOf({ levels: 2 }, [2, 2], 264, { params }), /^rise$/);
  const [few] = await nodesOf(gpu.device, caseOf({ levels: 2 }, [2, 2], 263, { params }), /^rise$/);
  expect([many, few].map((node) => [node!.spec![31], node!.spec![0], node!.groups])).toEqual([[16, 416, [1, 1, 264]], [8, 160, [1, 1, 263]]]);
});

test.each(combinations({ combine: ['blend', 'prediff'], up: CHOICES.up, shape: [[5, 3, 2], [71, 38, 3]] } as const))('variant simple, large blocks: %s', async (_, { combine, up, shape: [width, height, levels] }) => {
  const c = caseOf({ combine, up, levels }, [width, height], 2, { params });
  const large = async (of: StepCase): Promise<Snapshot> => {
    const [node] = await nodesOf(gpu.device, of, /^rise$/);
    const groups: [number, number, number] = [Math.ceil(Math.ceil(width / 2) / 16), Math.ceil(Math.ceil(height / 2) / 16), 2];
    const uses = node!.uses.map((use) => (use.name === 'losses' ? { ...use, bytes: 16 * groups[0] * groups[1] * groups[2] } : use));
    return runKernel(gpu.device, { ...node!, spec: { ...node!.spec, 0: 416, 31: 16 }, groups, uses }, without(batchOf(of), ...outputs));
  };
  const seen = await large(c);
  const t = new Tensors(c, seen, batchOf(c).scale);
  checkSimple(t, checkBlocksOf(32));
  // What is not looked at is not written, and changes nothing else.
  const unseen = await large({ ...c, shown: false });
  for (const name of outputs.filter((o) => seen.has(o))) expect([name, Buffer.compare(unseen.get(name)!, seen.get(name)!) === 0]).toEqual([name, !['O', 'dOdIa'].includes(name)]);
  const coarser = (snapshot: Snapshot): Uint8Array => snapshot.get('dOdIa')!.subarray(16 * t.geometry.levels[1]!.first);
  expect(Buffer.compare(coarser(unseen), coarser(seen))).toBe(0);
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

test('a result that is not finite is counted and gives no gradient', async () => {
  const c = caseOf({ levels: 2 }, [12, 10], 2, { params });
  const batch = batchOf(c);
  const I = values(batch.contents.get('I')!, 'f32');
  for (const [p, bad] of [[5, NaN], [130, Infinity], [200, -Infinity]] as const) I.fill(bad, 4 * p, 4 * p + 4);
  const contents = without(batch, ...outputs).set('I', bytesOf(I, 'f32'));
  const t = new Tensors(c, await runNodes(gpu.device, c, /^rise$/, contents), 1);
  onLevels(checkSlopes, t, undefined, 0, 1);
  checkBlockLosses(t, 16);
  onLevels(checkDup, t, undefined, 1);
  const g = values(t.buffer('dEdO'), 'f32');
  for (const bad of [5, 130, 200]) expect(Array.from(g.subarray(4 * bad, 4 * bad + 4))).toEqual([0, 0, 0, 0]);
  expect(values(t.buffer('losses'), 'f32').filter((_, i) => i % 4 === 0).reduce((sum, v) => sum + v, 0)).toBe(3);
  expect(g.every(Number.isFinite)).toBe(true);
});

/** Under postdiff every sum has the same order in both; drivers for the CPU then make the same bits. The others' differ by rounding. */
const models = [
  { combine: 'postdiff', levels: 4 }, { combine: 'postdiff', pyramid: 'binomial', levels: 3 }, { combine: 'postdiff', up: 'bilinear', levels: 2 }, { combine: 'postdiff', up: 'bilinear', levels: 6 },
  { combine: 'postdiff', up: 'bilinear', levels: 5, width: 64, context: 'guide' }, { combine: 'prediff', levels: 3, width: 64, context: 'guide' },
] as const;
const near = (a: Uint8Array, b: Uint8Array, exact: boolean, keep: (i: number) => boolean = () => true): void => {
  const [x, y] = [a, b].map((bytes) => values(bytes, 'f32').filter((_, i) => keep(i)));
  const size = Math.hypot(...y!);
  expect(size).toBeGreaterThan(0);
  expect(Math.hypot(...x!.map((v, i) => v - y![i]!)) / size).toBeLessThan(exact ? 1e-30 : 2e-4); // f16 roundings of dE/dK that fall the other way
};
test.each([...models, { combine: 'blend', levels: 4 }, { combine: 'prediff', levels: 4 }] as const)('a step by blocks is a step by levels: %p', async (model) => {
  const c: StepCase = caseOf({ ...model, layers: 2 }, [21, 18], 2);
  const exact = gpu.device.info.type === 'cpu' && model.combine === 'postdiff';
  const [byBlock] = await runSteps(gpu.device, { ...c, params });
  const [byLevel] = await runSteps(gpu.device, { ...c, params: { cascade: 'level' } });
  const isPost = model.combine === 'postdiff';
  for (const name of ['O', 'dOdIa', 'dEdw', 'history', ...(isPost ? ['dEdI'] : [])]) near(byBlock!.get(name)!, byLevel!.get(name)!, exact);
  near(byBlock!.get('dEdO')!, byLevel!.get('dEdO')!, exact, (i) => isPost || i % 4 < 3); // else the fourth channel is not the loss
});

/** And with dE/dK from fall, where dE/dw is made in the pass back. */
onMatrices.each(MATRIX_PATHS)('path %s: the same fused', async (path) => {
  const c: StepCase = caseOf({ combine: 'postdiff', up: 'bilinear', levels: 5, layers: 4 }, [21, 18], 2, { path });
  const [byBlock, byLevel] = await Promise.all(['block', 'level'].map(async (cascade) => runSteps(gpu.device, { ...c, params: { cascade, gradient: 'fused' } })));
  near(byBlock![0]!.get('dEdw')!, byLevel![0]!.get('dEdw')!, gpu.device.info.type === 'cpu');
});

test.each([
  [{ chroma: true }, 'chroma is 1'], [{ levels: 1 }, 'there is one level'],
] as const)('%p: asked for it says why it cannot be', async (model, reason) => {
  await expect(nodesOf(gpu.device, caseOf(model, [8, 8], 1, { params }), /./)).rejects.toThrow(reason);
});
