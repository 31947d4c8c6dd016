// kpn/fall: dE/dO of the levels from 2 on (SPEC 2), each from the finer one's, as dup makes them; under postdiff dE/dI of all levels.
import { CHOICES } from '../../ts/model/spec.js';
import { useDevice } from '../unit/gpu-harness.js';
import { batchOf, caseOf, without, type Batch } from './batch.js';
import { nodesOf, runNodes } from './harness.js';
import { combinations } from './kernel-test.js';
import { Tensors, checkDup, checkPost, onLevels } from './step-check.js';
import { bytesOf, geometryOfCase, values, type Snapshot, type StepCase } from './step-run.js';

const gpu = useDevice();
const params = { cascade: 'block' };

/** Contents as rise leaves them: with dE/dO of level 1 lies I.a. */
function risen(batch: Batch): Snapshot {
  const { c, contents } = batch;
  const I = values(contents.get('I')!, 'f32');
  const g = values(contents.get('dEdO')!, 'f32');
  const { first, pixels } = geometryOfCase(c).levels[1]!;
  for (let p = first; p < first + pixels; p++) g[4 * p + 3] = I[4 * p + 3]!;
  return without(batch, 'dEdI', 'up2T').set('dEdO', bytesOf(g, 'f32'));
}

// In place: levels 0 and 1 are rise's.
async function testFall(c: StepCase, contents = risen(batchOf(c))): Promise<void> {
  const t = new Tensors(c, await runNodes(gpu.device, c, /^fall$/, contents), 1);
  onLevels(checkDup, t, undefined, 2);
  if (c.model.combine === 'postdiff') onLevels(checkPost, t);
}

const options = { pyramid: CHOICES.pyramid, up: CHOICES.up } as const;
const rows = combinations({ combine: ['blend', 'prediff'], ...options, shape: [[1, 1, 3], [3, 21, 4], [19, 34, 6]] } as const);
test.each(rows)('variant rest: %s', async (_, { combine, pyramid, up, shape: [width, height, levels] }) => {
  await testFall(caseOf({ combine, pyramid, up, levels }, [width, height], 2, { params }));
});

const postdiff = combinations({ ...options, shape: [[1, 1, 2], [2, 17, 2], [6, 1, 3], [3, 21, 4], [33, 19, 6]] } as const);
test.each(postdiff)('variant post: %s', async (_, { pyramid, up, shape: [width, height, levels] }) => {
  await testFall(caseOf({ combine: 'postdiff', pyramid, up, levels }, [width, height], 2, { params }));
});

test('as many pixels as a workgroup has invocations', async () => {
  const { maxComputeWorkGroupInvocations: invocations, maxComputeSharedMemorySize: shared } = gpu.device.info.limits;
  const side = 4 * Math.floor(Math.sqrt(Math.min(invocations, Math.floor(shared / 28 / 32) * 32)));
  await testFall(caseOf({ combine: 'postdiff', levels: 4 }, [side, side], 1, { params }));
  const more = async (combine: 'blend' | 'postdiff'): Promise<string[]> =>
    (await nodesOf(gpu.device, caseOf({ combine, levels: 4 }, [4 * side, side], 1, { params }), /^(fall|dup .|part .|dpost .)$/)).map((node) => node.kernel);
  expect(await more('blend')).toEqual(['kpn/dup', 'kpn/dup']);
  expect(await more('postdiff')).toEqual([...Array.from({ length: 5 }, () => 'kpn/dup'), ...Array.from({ length: 4 }, () => 'kpn/dpost')]);
});

test.each(['blend', 'postdiff'] as const)('%s: where no gradient is, I may be anything', async (combine) => {
  const c = caseOf({ combine, levels: 3 }, [12, 8], 1, { params });
  const batch = batchOf(c);
  const I = values(batch.contents.get('I')!, 'f32');
  const g = values(batch.contents.get('dEdO')!, 'f32');
  for (const [p, bad] of [[30, NaN], [96, NaN], [100, Infinity], [113, -Infinity]] as const) { // of levels 0 and 1
    I.fill(bad, 4 * p, 4 * p + 4);
    g.fill(0, 4 * p, 4 * p + 3);
  }
  batch.contents.set('I', bytesOf(I, 'f32')).set('dEdO', bytesOf(g, 'f32'));
  await testFall(c, risen(batch));
});
