// kpn/guide: G = up2 of the coarser level's result (SPEC 1.3, guide).
import { useDevice } from '../unit/gpu-harness.js';
import { caseOf } from './batch.js';
import { STORAGES, combinations, testKernel } from './kernel-test.js';
import { checkGuide, onLevels } from './step-check.js';

const gpu = useDevice();

const rows = combinations({ pyramid: ['box', 'binomial'], up: ['bspline', 'bilinear'], shape: [[1, 1, 2], [1, 7, 3], [8, 5, 7], [19, 34, 4]] } as const);

describe.each(STORAGES)('variant %s', (_storage, params) => test.each(rows)('%s', async (_, row) => {
  const { pyramid, up, shape: [width, height, levels] } = row;
  const c = caseOf({ width: 64, context: 'guide', pyramid, up, levels }, [width, height], 2, { params });
  await testKernel(gpu.device, c, { label: /^guide \d$/, outputs: ['guide'], check: (t) => onLevels(checkGuide, t, undefined, 0, levels - 1) });
}));
