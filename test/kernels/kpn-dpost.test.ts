// kpn/dpost: dE/dI.rgb = I.a g - down^T up2^T(I.a g), exact transposes, mirrored borders and odd sizes included (SPEC 2).
import { useDevice } from '../unit/gpu-harness.js';
import { caseOf } from './batch.js';
import { combinations, testKernel } from './kernel-test.js';
import { checkPost, onLevels } from './step-check.js';

const gpu = useDevice();

const rows = combinations({ chroma: [false, true], pyramid: ['box', 'binomial'], shape: [[1, 1, 2], [2, 1, 3], [3, 5, 3], [9, 9, 1], [12, 17, 4]] } as const);

test.each(rows)('%s', async (_, row) => {
  const { chroma, pyramid, shape: [width, height, levels] } = row;
  const c = caseOf({ chroma, combine: 'postdiff', pyramid, levels }, [width, height], 3);
  await testKernel(gpu.device, c, { label: /^dpost /, outputs: ['dEdI'], check: (t) => onLevels(checkPost, t) });
});
