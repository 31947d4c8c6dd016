// kpn/mulw: dE/dw as a sum over pixels, a part of them a workgroup (SPEC 2), on every path.
import { useDevice } from '../unit/gpu-harness.js';
import { caseOf } from './batch.js';
import { testKernel } from './kernel-test.js';
import { LAYER_VARIANTS } from './paths.js';
import { checkParts } from './step-check.js';

const gpu = useDevice();

const cases = [
  { width: 32, layers: 2, size: [13, 9] },
  { width: 32, layers: 1, size: [1, 1] },
  { width: 32, layers: 1, size: [29, 47] }, // several runs a part
  { width: 64, layers: 1, size: [16, 8] },
  { width: 128, layers: 1, size: [7, 5] },
  { width: 32, layers: 1, size: [13, 9], chroma: true },
] as const;

describe.each(LAYER_VARIANTS)('variant %s', (_variant, more) => {
  test.each(cases.map((c) => [JSON.stringify(c), c] as const))('%s', async (_, { size, ...model }) => {
    const c = caseOf(model, size, 3, more);
    await testKernel(gpu.device, c, { label: /^mulw$/, outputs: ['parts'], check: checkParts });
  });
});
