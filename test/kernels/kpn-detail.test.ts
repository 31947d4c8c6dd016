// kpn/detail: D = M - up2(M of the next level), for every level (SPEC 1.6, prediff).
import { useDevice } from '../unit/gpu-harness.js';
import { caseOf } from './batch.js';
import { STORAGES, combinations, testKernel } from './kernel-test.js';
import { checkDetail, onLevels } from './step-check.js';

const gpu = useDevice();

const rows = combinations({ pyramid: ['box', 'binomial'], up: ['bspline', 'bilinear'], shape: [[1, 1, 2], [1, 7, 3], [8, 5, 7], [19, 34, 4]] } as const);

describe.each(STORAGES)('variant %s', (_storage, params) => test.each(rows)('%s', async (_, row) => {
  const { pyramid, up, shape: [width, height, levels] } = row;
  const c = caseOf({ pyramid, up, combine: 'prediff', levels }, [width, height], 2, { params });
  await testKernel(gpu.device, c, { label: /^detail$/, outputs: ['detail'], check: (t) => onLevels(checkDetail, t) });
}));
