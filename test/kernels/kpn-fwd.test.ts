// kpn/fwd: context, layers, kernels, convolution (SPEC 1.3 to 1.5), on every path.
import { useDevice } from '../unit/gpu-harness.js';
import { batchOf, caseOf, without } from './batch.js';
import type { ModelOptions } from '../reference/index.js';
import { nodesOf, runKernel, type Use } from './harness.js';
import { testKernel } from './kernel-test.js';
import { LAYER_VARIANTS } from './paths.js';
import { checkFwd, onLevels } from './step-check.js';
import { bytesOf, type Snapshot, type StepCase, values } from './step-run.js';

const gpu = useDevice();

const models = [
  { context: 'star', combine: 'prediff', apply: 'plain', act: 'relu' },
  { context: 'norm', layers: 2, ablend: 'sigmoid' },
  { context: 'window', width: 64, ablend: 'clamped', act: 'none' },
  { context: 'wnorm', width: 64, ablend: 'const' },
] as const;

describe.each(LAYER_VARIANTS)('variant %s', (_variant, more) => {
  test.each(models.map((m) => [Object.values(m).join(' '), m] as const))('%s', async (_, model) => {
    // 13 x 9 is no multiple of any workgroup's or panel's size.
    const c = caseOf(model, [13, 9], 3, more);
    await testKernel(gpu.device, c, { label: /^fwd$/, outputs: ['A', 'K', 'I'], check: (t, weights) => onLevels(checkFwd, t, weights) });
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

  test.each(['softmax', 'plain'] as const)('%s: unperturbed, it is the same', async (apply) => {
    const { before, held } = await holding({ apply, ablend: 'clamped' }, 0);
    expect(I(held)).toEqual(I(before));
  });

  test('without kinks it is fwd', async () => {
    const { before, held, free } = await holding({ act: 'none' }, 2);
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
