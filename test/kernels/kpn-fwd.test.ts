// kpn/fwd: context, layers, kernels, convolution (SPEC 1.3 to 1.5), on every path.
import { useDevice } from '../unit/gpu-harness.js';
import { caseOf } from './batch.js';
import { testKernel } from './kernel-test.js';
import { LAYER_VARIANTS } from './paths.js';
import { checkFwd, onLevels } from './step-check.js';

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
