// kpn/loss: the loss of every pixel and its gradient (SPEC 1.7, 2); pixels that are not finite are marked and give none.
import { useDevice } from '../unit/gpu-harness.js';
import { batchOf, caseOf, without } from './batch.js';
import { runNodes } from './harness.js';
import { combinations, testKernel } from './kernel-test.js';
import { Tensors, checkLoss, onLevels } from './step-check.js';
import { bytesOf, values } from './step-run.js';

const gpu = useDevice();
const losses = ['l2', 'smape', 'cosh', 'rel', 'enc', 'even'] as const;

test.each(combinations({ loss: losses, format: ['f16', 'f32'], size: [[1, 1], [13, 9]] } as const))('%s', async (_, row) => {
  const { loss, format, size } = row;
  const c = caseOf({ loss }, size, 3, { formats: { input: 'f16', ref: format } });
  await testKernel(gpu.device, c, { label: /^loss$/, outputs: ['dEdO'], check: (t) => onLevels(checkLoss, t, undefined, 0, 1) });
});

test.each(losses)('%s: equal, huge, infinite and NaN results', async (loss) => {
  const c = caseOf({ loss }, [4, 4], 1);
  const batch = batchOf(c);
  const O = values(batch.contents.get('O')!, 'f32');
  const ref = values(batch.contents.get('ref')!, 'f16');
  O.set([ref[0]!, ref[1]!, ref[2]!], 0); // no error at all: sgn 0 = 0
  O[4] = NaN;
  O[9] = Infinity;
  O[14] = -Infinity;
  O[16] = 1e20; // l2, cosh, rel: its loss is beyond f32
  O[20] = -100;
  const contents = without(batch, 'dEdO').set('O', bytesOf(O, 'f32'));
  const t = new Tensors(c, await runNodes(gpu.device, c, /^loss$/, contents), 1);
  onLevels(checkLoss, t, undefined, 0, 1);
  const g = values(t.buffer('dEdO'), 'f32');
  expect(Array.from(g.subarray(0, 4))).toEqual([0, 0, 0, 0]);
  for (const bad of [1, 2, 3]) expect(Array.from(g.subarray(4 * bad, 4 * bad + 4))).toEqual([0, 0, 0, -1]);
});
