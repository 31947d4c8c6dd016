// kpn/fwd: context, layers, kernels, convolution (SPEC 1.3 to 1.5, 1.6 chroma), on every path; level by level under context guide.
import { useDevice } from '../unit/gpu-harness.js';
import { batchOf, caseOf, without } from './batch.js';
import type { ModelOptions } from '../reference/index.js';
import { nodesOf, runKernel, type Use } from './harness.js';
import { testKernel } from './kernel-test.js';
import { expectKept } from './mlp-harness.js';
import { KEEPING_PATHS, LAYER_VARIANTS, onConversions, onMatrices } from './paths.js';
import { checkFwd, onLevels } from './step-check.js';
import { slotsOf } from '../../ts/modules/kpn/path.js';
import { bytesOf, geometryOfCase, type Snapshot, type StepCase, values } from './step-run.js';

const gpu = useDevice();

const models = [
  { context: 'star', combine: 'prediff', apply: 'plain', act: 'relu' },
  { context: 'norm', layers: 2, ablend: 'sigmoid' },
  { context: 'window', width: 64, ablend: 'clamped', act: 'none' },
  { context: 'wnorm', width: 64, ablend: 'const' },
  { context: 'norm', chroma: true, apply: 'plain', ablend: 'clamped' },
  { context: 'guide', width: 64, combine: 'prediff', chroma: true },
] as const;

describe.each(LAYER_VARIANTS)('variant %s', (_variant, more) => {
  test.each(models.map((m) => [Object.values(m).join(' '), m] as const))('%s', async (_, model) => {
    // 13 x 9 is no multiple of any workgroup's or panel's size.
    const c = caseOf(model, [13, 9], 3, more);
    await testKernel(gpu.device, c, { label: /^fwd( \d)?$/, outputs: ['A', 'K', 'I'], check: (t, weights) => onLevels(checkFwd, t, weights) });
  });
});

/** A part of the pixels is all that a dispatch is to touch: runNodes keeps the others, and guards lie around the buffers. */
describe.each(LAYER_VARIANTS)('pixels 20 to before 91 of the batch, variant %s', (_variant, more) => {
  test.each([false, true])('chroma %p', async (chroma) => {
    const c = caseOf({ context: 'norm', chroma }, [13, 9], 1, more);
    const batch = batchOf(c);
    const [node] = await nodesOf(gpu.device, c, /^fwd$/);
    const uses = node!.uses.map((use) => (['A', 'K', 'I'].includes(use.name) ? { ...use, access: 'rw' as const } : use));
    const whole = await runAs(c, without(batch, 'A', 'K', 'I'));
    const part = await runKernel(gpu.device, { ...node!, uses, push: new Uint8Array(Uint32Array.of(20, 91).buffer) }, batch.contents);
    const { pixels } = geometryOfCase(c);
    for (const { name, bytes } of uses.filter((use) => use.access === 'rw')) {
      const [before, all, some] = [batch.contents, whole, part].map((s) => s.get(name)!);
      const planes = name === 'A' ? 2 : name === 'I' && chroma ? 2 : 1;
      const row = bytes / planes / pixels;
      const expected = before!.slice();
      for (let k = 0; k < planes; k++) expected.set(all!.subarray((k * pixels + 20) * row, (k * pixels + 91) * row), (k * pixels + 20) * row);
      expect({ name, equal: Buffer.compare(some!, expected) }).toEqual({ name, equal: 0 });
    }
  });
});

/** What is kept is, bit for bit, that of the build which keeps all. */
describe.each(KEEPING_PATHS)('variant sparse, path %s', (path) => {
  onMatrices.each([1, 2, 3, 6])('%d layers', async (layers) => {
    const [whole, sparse] = await Promise.all(['fused', 'sparse'].map((gradient) => {
      const c = caseOf({ context: 'norm', layers }, [13, 9], 3, { path, params: { gradient } });
      return runAs(c, without(batchOf(c), 'A', 'K', 'I'));
    }));
    expectKept(sparse!, whole!, layers);
    for (const name of ['K', 'I']) expect(sparse!.get(name)).toEqual(whole!.get(name));
  });
});

/**
 * Builds whose panel stays in registers, with weights from kpn/pack: what they keep of the activations, and all else, is to the bit that of the build which stores all
 * between layers: with relu, as lrelu's slope meets sums that are rounded already.
 */
describe.each([['anew.khr.resident', 'anew'], ['sparse.khr.resident', 'sparse'], ['khr.resident', 'all']] as const)('variant %s: x, what is kept, K and I', (variant, kept) => {
  onConversions.each([32, 64].flatMap((width) => [1, 2, 3, 6].map((layers) => ({ width, layers }))))('$width wide, $layers layers', async ({ width, layers }) => {
    const caseBy = (gradient: string): StepCase => caseOf({ context: 'norm', width, layers, act: 'relu' }, [13, 9], 3, { path: 'khr', params: { gradient } });
    const c = caseBy('fused');
    const whole = await runAs(c, without(batchOf(c), 'A', 'K', 'I'));
    const slot = whole.get('A')!.byteLength / (layers + 1);
    const [pack, fwd] = await nodesOf(gpu.device, caseBy('sparse'), /^(pack|fwd)$/);
    expect(fwd!.variant).toBe('sparse.khr.resident');
    const uses = fwd!.uses.map((use) => (use.name === 'A' ? { ...use, bytes: slotsOf(layers, kept) * slot } : use));
    const resident = await runKernel(gpu.device, { ...fwd!, variant, uses }, await runKernel(gpu.device, pack!, without(batchOf(c), 'A', 'K', 'I')));
    if (kept === 'sparse') expectKept(resident, whole, layers);
    else expect(resident.get('A')).toEqual(whole.get('A')!.subarray(0, slotsOf(layers, kept) * slot));
    for (const name of ['K', 'I']) expect(resident.get(name)).toEqual(whole.get(name));
  });
});

/** fwd as kpn-t dispatches it, and built otherwise, with the buffers after the weights replaced. */
async function runAs(c: StepCase, contents: Snapshot, variant?: (own: string) => string, rest?: (own: Map<string, Use>) => Use[]): Promise<Snapshot> {
  const [node] = await nodesOf(gpu.device, c, /^fwd$/);
  const named = new Map(node!.uses.map((use) => [use.name, use]));
  const read = node!.uses.filter((use) => use.access === 'r');
  return runKernel(gpu.device, { ...node!, variant: variant?.(node!.variant!) ?? node!.variant, uses: rest ? [...read, ...rest(named)] : node!.uses }, contents);
}

describe('variant held.f32: every kink stays on the side where the unperturbed pass found it', () => {
  const holding = async (model: Partial<ModelOptions>, change: number): Promise<{ before: Snapshot; held: Snapshot; free: Snapshot }> => {
    const c = caseOf(model, [13, 9], 2, { params: { deriv: 1 } });
    const batch = batchOf(c);
    const contents = without(batch, 'A', 'K', 'I');
    const before = await runAs(c, contents);
    // Every weight of the first layer but the bias's, turned round by `change` 2: activations change sides.
    const moved = new Map(contents).set('rounded', bytesOf(batch.weights.map((w, i) => (i >= 32 && i < 1024 ? w * (1 - change) : w)), 'f32'));
    const held = await runAs(c, new Map([...moved, ['A', before.get('A')!], ['K', before.get('K')!]]), () => 'held.f32', (own) => [own.get('I')!, { ...own.get('A')!, access: 'r' }, { ...own.get('K')!, access: 'r' }]);
    return { before, held, free: await runAs(c, moved) };
  };
  const I = (s: Snapshot): Float64Array => values(s.get('I')!, 'f32');

  test.each([['softmax', false], ['plain', false], ['plain', true]] as const)('%s, chroma %p: unperturbed, it is the same', async (apply, chroma) => {
    const { before, held } = await holding({ apply, chroma, ablend: 'clamped' }, 0);
    expect(I(held)).toEqual(I(before));
  });

  test.each([false, true])('chroma %p: without kinks it is fwd', async (chroma) => {
    const { before, held, free } = await holding({ act: 'none', chroma }, 2);
    expect(I(held)).toEqual(I(free));
    expect(I(held)).not.toEqual(I(before));
  });

  test('with them it is linear in what the layer gets: the blend weights of w and of -w are alike about the bias', async () => {
    const { before, held, free } = await holding({ act: 'relu' }, 2);
    const alpha = (s: Snapshot): Float64Array => I(s).filter((_, i) => i % 4 === 3);
    const bias = alpha((await holding({ act: 'relu' }, 1)).held);
    const [b, h, f] = [alpha(before), alpha(held), alpha(free)];
    for (let p = 0; p < b.length; p++) expect(Math.abs(b[p]! + h[p]! - 2 * bias[p]!)).toBeLessThan(64 * 2 ** -24 * 32);
    expect(f).not.toEqual(h);
  });
});
