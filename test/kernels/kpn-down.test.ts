// kpn/down: one level of the pyramid from the one before (SPEC 1.2): of the stored image, and of I under postdiff.
import { MIP_DEPTH } from '../../ts/modules/kpn/geometry.js';
import { useDevice } from '../unit/gpu-harness.js';
import { batchOf, caseOf } from './batch.js';
import { runNodes } from './harness.js';
import { STORAGES, combinations, testKernel } from './kernel-test.js';
import { Tensors, checkDown, checkDownI, onLevels } from './step-check.js';

const gpu = useDevice();
const shapes = [[1, 1, 3], [1, 6, 2], [5, 3, 7], [33, 18, 6]] as const;

// In place: the levels before are as the test says, the others are filled one by one. Box: those too deep for kpn/mip.
const rows = combinations({ pyramid: ['binomial', 'box'], combine: ['blend', 'prediff'], shape: shapes } as const);
const inPlace = rows.filter(([, { pyramid, shape }]) => pyramid === 'binomial' || shape[2] > MIP_DEPTH);

describe.each(STORAGES)('variant %s', (_storage, params) => test.each(inPlace)('%s', async (_, row) => {
  const { pyramid, combine, shape: [width, height, levels] } = row;
  const count = combine === 'prediff' ? levels + 1 : levels;
  const first = pyramid === 'box' ? MIP_DEPTH : 1;
  const c = caseOf({ pyramid, combine, levels }, [width, height], 2, { params });
  const batch = batchOf(c);
  const result = await runNodes(gpu.device, c, /^mip \d/, batch.contents);
  onLevels(checkDown, new Tensors(c, result, batch.scale), undefined, first, count);
  // What is not the kernel's to write stays: the levels before the first, and every alpha is 1 where it writes.
  const before = new Tensors(c, batch.contents, 1);
  const after = new Tensors(c, result, 1);
  for (let level = 0; level < first; level++) expect(after.image('mip', 'stored', level, 1, 4)).toEqual(before.image('mip', 'stored', level, 1, 4));
}));

test.each(combinations({ chroma: [false, true], pyramid: ['box', 'binomial'], shape: shapes } as const))('variant float: %s', async (_, row) => {
  const { chroma, pyramid, shape: [width, height, levels] } = row;
  const c = caseOf({ chroma, pyramid, combine: 'postdiff', levels }, [width, height], 3);
  await testKernel(gpu.device, c, { label: /^down /, outputs: ['downI'], check: (t) => onLevels(checkDownI, t, undefined, 1) });
});
