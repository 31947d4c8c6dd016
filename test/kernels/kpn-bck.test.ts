// kpn/bck: from dE/dO through apply and the layers to dE/dK and dE/dA (SPEC 2), on every path; fused: to the parts of dE/dw.
import { useDevice } from '../unit/gpu-harness.js';
import { batchOf, caseOf, slopesOf, without } from './batch.js';
import { nodesOf, runKernel, runNodes } from './harness.js';
import { testKernel } from './kernel-test.js';
import { KEEPING_PATHS, LAYER_VARIANTS, onConversions, onMatrices, PATHS } from './paths.js';
import { Tensors, checkBck, checkParts, onLevels } from './step-check.js';
import { bytesOf, values, type StepCase } from './step-run.js';

const gpu = useDevice();

const models = [
  { combine: 'blend', apply: 'softmax', ablend: 'plain', act: 'lrelu', layers: 2 },
  { combine: 'prediff', apply: 'plain', ablend: 'sigmoid', act: 'relu', layers: 1 },
  { combine: 'postdiff', apply: 'plain', ablend: 'clamped', act: 'none', layers: 1 },
  { combine: 'blend', apply: 'softmax', ablend: 'const', act: 'lrelu', layers: 1, width: 64 },
  { combine: 'blend', apply: 'softmax', ablend: 'sigmoid', act: 'lrelu', layers: 2, chroma: true },
  { combine: 'prediff', apply: 'plain', ablend: 'plain', act: 'lrelu', layers: 1, width: 64, chroma: true },
  { combine: 'postdiff', apply: 'plain', ablend: 'clamped', act: 'relu', layers: 1, chroma: true },
] as const;

describe.each(LAYER_VARIANTS)('variant %s', (_variant, more) => {
  test.each(models.map((m) => [Object.values(m).join(' '), m] as const))('%s', async (_, model) => {
    const c = caseOf(model, [13, 9], 3, more);
    await testKernel(gpu.device, c, { label: /^bck$/, outputs: ['dEdA'], check: (t, weights) => onLevels(checkBck, t, weights) });
  });
});

/** Where `rise` left it, dot(dE/dO, dO/dI.a) of level 0 is not worked out again: dO/dI.a is not even there. */
test.each([models[0], models[1]])('by blocks: $combine', async (model) => {
  const c = caseOf({ ...model, levels: 3 }, [13, 9], 3, { path: 'plain', params: { cascade: 'block' } });
  const batch = batchOf(c);
  const d = batch.contents.get('dOdIa')!;
  const coarser = values(d, 'f32').fill(NaN, 0, 4 * 13 * 9 * 3);
  const result = await runNodes(gpu.device, c, /^bck$/, without(batch, 'dEdA').set('dEdO', slopesOf(batch)).set('dOdIa', bytesOf(coarser, 'f32')));
  onLevels(checkBck, new Tensors(c, result.set('dOdIa', d), batch.scale), batch.weights);
});

/** Where the matrix is staged in pieces, unrolled: on GPUs, and on the CPU drivers that take straight-line code. */
test('variant plain.wide: 128 wide', async () => {
  const c = caseOf({ ...models[0], width: 128, context: 'norm' }, [13, 9], 3, { path: 'plain', frames: 1_000_000 });
  const [node] = await nodesOf(gpu.device, c, /^bck$/);
  expect(node!.variant).toMatch(/^plain\.(wide|rolled)$/);
  await testKernel(gpu.device, c, { label: /^bck$/, outputs: ['dEdA'], check: (t, weights) => onLevels(checkBck, t, weights) });
});

/** Matrix paths add dE/dw up in the same pass. The dE/dA that they keep to themselves is that of the split kernel, bit for bit. */
const fused = PATHS.filter((path) => path !== 'plain').map((path) => [`fused.${path}`, path] as const);
describe.each(fused.length ? fused : [['fused.khr', 'none'] as const])('variant %s', (_variant, path) => {
  const run = path === 'none' ? test.skip.each : test.each;
  run([models[1], models[3], models[4], models[5]].map((m) => [Object.values(m).join(' '), m] as const))('%s', async (_, model) => {
    for (const size of [[3, 1], [47, 31]] as const) {
      const split = caseOf(model, size, 3, { path });
      const batch = batchOf(split);
      const contents = await runNodes(gpu.device, split, /^bck$/, without(batch, 'dEdA'));
      const one = { ...split, params: { gradient: 'fused' } };
      const [node] = await nodesOf(gpu.device, one, /^bck$/);
      expect(node!.variant).toMatch(/^fused\./);
      // Where dE/dK comes from a kernel of its own it is given here, so that it is the split one's to the bit.
      const dEdA = contents.get('dEdA')!;
      const dK = dEdA.subarray(dEdA.byteLength - batch.contents.get('K')!.byteLength);
      const parts = await runNodes(gpu.device, one, /^bck$/, without(batch, 'parts').set('dK', dK));
      checkParts(new Tensors(split, new Map([...contents, ['parts', parts.get('parts')!]]), batch.scale));
    }
  });
});

/** Every second activation made anew, of what fwd keeps: dE/dw is, bit for bit, that of the build which is given all. */
async function expectSameParts(path: string, layers: number, act: 'lrelu' | 'relu', variant: RegExp): Promise<void> {
  const caseBy = (gradient: string): StepCase => caseOf({ context: 'norm', layers, act }, [23, 17], 3, { path, params: { gradient } });
  const batch = batchOf(caseBy('fused'));
  const [whole, sparse] = await Promise.all(['fused', 'sparse'].map(async (gradient) => {
    const c = caseBy(gradient);
    const forward = await runNodes(gpu.device, c, /^(pack|fwd)$/, without(batch, 'A', 'K', 'I'));
    if (gradient === 'sparse') expect((await nodesOf(gpu.device, c, /^bck$/))[0]!.variant).toMatch(variant);
    // Where dE/dK comes from a kernel of its own, any will do.
    return runNodes(gpu.device, c, /^bck$/, new Map([...without(batch, 'parts'), ...['A', 'K', 'I'].map((name) => [name, forward.get(name)!] as const), ['dK', batch.contents.get('K')!]]));
  }));
  expect(sparse!.get('parts')).toEqual(whole!.get('parts'));
  expect(values(sparse!.get('parts')!, 'f32').some((v) => v !== 0)).toBe(true);
}

describe.each(KEEPING_PATHS)('variant fused.sparse, path of %s', (path) => {
  onMatrices.each([2, 3, 6])('%d layers', (layers) => expectSameParts(path, layers, 'lrelu', /^fused\.sparse\.(khr|nv)(\.rolled)?$/));
});

/** Of relu, as lrelu's slope meets other roundings where the panel stays in registers. */
describe("variant 'fused.sparse.khr.resident'", () => {
  onConversions.each([2, 3, 6])('%d layers', (layers) => expectSameParts('khr', layers, 'relu', /^fused\.sparse\.khr\.resident$/));
});

/** dE/dK by a kernel of its own, which fused takes where there are too many sums: here by the node of a split graph. */
test.each(models.map((m) => [Object.values(m).join(' '), m] as const))('variant dK: %s', async (_, model) => {
  const c = caseOf(model, [13, 9], 3, { path: 'plain' });
  const [split] = await nodesOf(gpu.device, c, /^bck$/);
  const bytes = batchOf(c).contents.get('K')!.byteLength;
  const uses = split!.uses.map((use) => (use.name === 'dEdA' ? { ...use, bytes } : use));
  const batch = batchOf(c);
  const result = await runKernel(gpu.device, { ...split!, variant: 'dK', uses }, without(batch, 'dEdA'));
  const onlyK = { ...c, model: { ...c.model, layers: 0 } }; // then dEdA holds nothing but dE/dK
  onLevels(checkBck, new Tensors(onlyK, result, batch.scale));
});

test('asked for where it is not possible, it says why', async () => {
  await expect(nodesOf(gpu.device, caseOf({}, [8, 8], 1, { path: 'plain', params: { gradient: 'fused' } }), /./)).rejects.toThrow(/gradient fused is not possible with path plain/);
});
