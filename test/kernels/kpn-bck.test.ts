// kpn/bck: from dE/dO through apply and the layers to dE/dK and dE/dA (SPEC 2), on every path.
import { useDevice } from '../unit/gpu-harness.js';
import { caseOf } from './batch.js';
import { testKernel } from './kernel-test.js';
import { LAYER_VARIANTS } from './paths.js';
import { checkBck, onLevels } from './step-check.js';

const gpu = useDevice();

const models = [
  { combine: 'blend', apply: 'softmax', ablend: 'plain', act: 'lrelu', layers: 2 },
  { combine: 'prediff', apply: 'plain', ablend: 'sigmoid', act: 'relu', layers: 1 },
  { combine: 'postdiff', apply: 'plain', ablend: 'clamped', act: 'none', layers: 1 },
  { combine: 'blend', apply: 'softmax', ablend: 'const', act: 'lrelu', layers: 1, width: 64 },
] as const;

describe.each(LAYER_VARIANTS)('variant %s', (_variant, more) => {
  test.each(models.map((m) => [Object.values(m).join(' '), m] as const))('%s', async (_, model) => {
    const c = caseOf(model, [13, 9], 3, more);
    await testKernel(gpu.device, c, { label: /^bck$/, outputs: ['dEdA'], check: (t, weights) => onLevels(checkBck, t, weights) });
  });
});
