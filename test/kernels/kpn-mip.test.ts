// kpn/mip: level 0 copied, the first levels of the box pyramid as means of 4^level pixels (SPEC 1.2).
import { MIP_DEPTH } from '../../ts/modules/kpn/geometry.js';
import { useDevice } from '../unit/gpu-harness.js';
import { caseOf } from './batch.js';
import { STORAGES, combinations, testKernel } from './kernel-test.js';
import { checkMip, onLevels } from './step-check.js';

const gpu = useDevice();

const rows = combinations({
  pyramid: ['box', 'binomial'], combine: ['blend', 'prediff'], format: ['f16', 'f32'], shape: [[1, 1, 3], [1, 7, 2], [5, 3, 4], [33, 18, 7]],
} as const);

describe.each(STORAGES)('variant %s', (_storage, params) => test.each(rows)('%s', async (_, row) => {
  const { pyramid, combine, format, shape: [width, height, levels] } = row;
  const c = caseOf({ pyramid, combine, levels }, [width, height], 3, { formats: { input: format, ref: 'f16' }, params });
  const depth = pyramid === 'binomial' ? 1 : Math.min(MIP_DEPTH, combine === 'prediff' ? levels + 1 : levels);
  await testKernel(gpu.device, c, { label: /^mip$/, outputs: ['mip'], check: (t) => onLevels(checkMip, t, undefined, 0, depth) });
}));
