// kpn/up: O of every level from I and the coarser O, what the blend weight multiplies, and the module's output (SPEC 1.6).
import { useDevice } from '../unit/gpu-harness.js';
import { caseOf } from './batch.js';
import { STORAGES, combinations, testKernel } from './kernel-test.js';
import { checkUp, onLevels } from './step-check.js';

const gpu = useDevice();

const rows = combinations({
  chroma: [false, true], combine: ['blend', 'prediff', 'postdiff'], pyramid: ['box', 'binomial'], up: ['bspline', 'bilinear'], shape: [[1, 1, 2], [6, 1, 3], [7, 11, 5], [9, 4, 1]],
} as const);

describe.each(STORAGES)('variant %s', (_storage, params) => test.each(rows)('%s', async (_, row) => {
  const { chroma, combine, pyramid, up, shape: [width, height, levels] } = row;
  const c = caseOf({ chroma, combine, pyramid, up, levels }, [width, height], 3, { params });
  await testKernel(gpu.device, c, { label: /^up \d$/, outputs: ['O', 'dOdIa', 'output'], check: (t) => onLevels(checkUp, t) });
}));
