// kpn/fall: dE/dO of the levels from 2 on (SPEC 2), each from the finer one's, as dup makes them; under postdiff dE/dI of all levels.
import { CHOICES } from '../../ts/model/spec.js';
import { useDevice } from '../unit/gpu-harness.js';
import { batchOf, caseOf, slopesOf, without, type Batch } from './batch.js';
import { nodesOf, runKernel, runNodes } from './harness.js';
import { combinations } from './kernel-test.js';
import { MATRIX_PATHS, onMatrices } from './paths.js';
import { Tensors, checkBck, checkDup, checkPost, onLevels } from './step-check.js';
import { bytesOf, values, type Snapshot, type StepCase } from './step-run.js';

const gpu = useDevice();
const params = { cascade: 'block' };

/** Contents without what fall makes, or keeps to itself. */
const risen = (batch: Batch): Snapshot => without(batch, 'dEdI', 'up2T');

// In place: levels 0 and 1 are rise's.
async function testFall(c: StepCase, contents = risen(batchOf(c))): Promise<void> {
  const t = new Tensors(c, await runNodes(gpu.device, c, /^fall$/, contents), 1);
  onLevels(checkDup, t, undefined, 2);
  if (c.model.combine === 'postdiff') onLevels(checkPost, t);
}

const options = { pyramid: CHOICES.pyramid, up: CHOICES.up } as const;
const rows = combinations({ combine: ['blend', 'prediff'], ...options, shape: [[1, 1, 3], [3, 21, 4], [19, 34, 6]] } as const);
test.each(rows)('variant simple: %s', async (_, { combine, pyramid, up, shape: [width, height, levels] }) => {
  await testFall(caseOf({ combine, pyramid, up, levels }, [width, height], 2, { params }));
});

const postdiff = combinations({ ...options, shape: [[1, 1, 2], [2, 17, 2], [6, 1, 3], [3, 21, 4], [33, 19, 6]] } as const);
test.each(postdiff)('variant post: %s', async (_, { pyramid, up, shape: [width, height, levels] }) => {
  await testFall(caseOf({ combine: 'postdiff', pyramid, up, levels }, [width, height], 2, { params }));
});

/** With dE/dK, where that has no place in bck: four layers are too many sums for it. As bck.dK makes it, of dE/dI as above; drivers for the CPU make the same bits. */
const withK = [
  ...combinations({ combine: ['postdiff'], pyramid: CHOICES.pyramid, shape: [[7, 1, 2], [37, 18, 4]] } as const),
  ...combinations({ combine: ['blend', 'prediff'], pyramid: CHOICES.pyramid, shape: [[7, 1, 3], [37, 18, 4]] } as const),
] as const;
describe.each(MATRIX_PATHS)('variants post.dK and simple.dK, path %s', (path) => {
  onMatrices.each(withK)('%s', async (_, { combine, pyramid, shape: [width, height, levels] }) => {
    const c = caseOf({ combine, pyramid, up: 'bilinear', levels, layers: 4 }, [width, height], 2, { path, params: { ...params, gradient: 'fused' } });
    const batch = batchOf(c);
    if (combine !== 'postdiff') batch.contents.set('dEdO', slopesOf(batch));
    const contents = risen(batch);
    const [fall] = await nodesOf(gpu.device, c, /^fall$/);
    expect(fall!.variant).toBe(combine === 'postdiff' ? 'post.dK' : 'simple.dK');
    const joined = await runNodes(gpu.device, c, /^fall$/, contents);
    const split = { ...c, params };
    const apart = await runNodes(gpu.device, split, /^fall$/, contents);
    const exact = gpu.device.info.type === 'cpu';
    if (exact) expect(joined.get('dEdO')).toEqual(apart.get('dEdO'));
    const given = new Map([...batch.contents, ...apart, ['dEdO', joined.get('dEdO')!] as const, ['dEdA', joined.get('dK')!] as const]);
    onLevels(checkBck, new Tensors({ ...c, model: { ...c.model, layers: 0 } }, given, batch.scale)); // then dEdA holds nothing but dE/dK
    const [bck] = await nodesOf(gpu.device, { ...split, path: 'plain' }, /^bck$/);
    const uses = bck!.uses.map((use) => (use.name === 'dEdA' ? { ...use, bytes: joined.get('dK')!.byteLength } : use));
    const alone = await runKernel(gpu.device, { ...bck!, variant: 'dK', uses }, given);
    if (exact) expect(joined.get('dK')).toEqual(alone.get('dEdA'));
  });
});

test('as many pixels as a workgroup has invocations', async () => {
  const { maxComputeWorkGroupInvocations: invocations, maxComputeSharedMemorySize: shared } = gpu.device.info.limits;
  const side = 4 * Math.floor(Math.sqrt(Math.min(invocations, Math.floor(shared / 24 / 32) * 32)));
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
