// kpn/fall: dE/dO of the levels from 2 on (SPEC 2), each from the finer one's, as dup makes them.
import { useDevice } from '../unit/gpu-harness.js';
import { batchOf, caseOf } from './batch.js';
import { nodesOf, runNodes } from './harness.js';
import { combinations, testKernel } from './kernel-test.js';
import { Tensors, checkDup, onLevels } from './step-check.js';
import { bytesOf, values } from './step-run.js';

const gpu = useDevice();
const params = { cascade: 'block' };

const rows = combinations({
  combine: ['blend', 'prediff'], pyramid: ['box', 'binomial'], up: ['bspline', 'bilinear'], shape: [[1, 1, 3], [6, 1, 3], [3, 21, 4], [37, 50, 7]],
} as const);
test.each(rows)('%s', async (_, { combine, pyramid, up, shape: [width, height, levels] }) => {
  const c = caseOf({ combine, pyramid, up, levels }, [width, height], 2, { params });
  // In place: levels 0 and 1 are rise's.
  await testKernel(gpu.device, c, { label: /^fall$/, outputs: [], check: (t) => onLevels(checkDup, t, undefined, 2) });
});

test('as many pixels as a workgroup has invocations', async () => {
  const side = 4 * Math.floor(Math.sqrt(gpu.device.info.limits.maxComputeWorkGroupInvocations));
  const c = caseOf({ levels: 4 }, [side, side], 1, { params });
  await testKernel(gpu.device, c, { label: /^fall$/, outputs: [], check: (t) => onLevels(checkDup, t, undefined, 2) });
  const more = await nodesOf(gpu.device, caseOf({ levels: 4 }, [side + 8, side], 1, { params }), /^(fall|dup .)$/);
  expect(more.map((node) => node.kernel)).toEqual(['kpn/dup', 'kpn/dup']);
});

test('where no gradient is, I may be anything', async () => {
  const c = caseOf({ levels: 3 }, [12, 8], 1, { params });
  const { contents } = batchOf(c);
  const I = values(contents.get('I')!, 'f32');
  const g = values(contents.get('dEdO')!, 'f32');
  for (const [p, bad] of [[96, NaN], [100, Infinity], [113, -Infinity]] as const) { // of level 1
    I.fill(bad, 4 * p, 4 * p + 4);
    g.fill(0, 4 * p, 4 * p + 3);
  }
  contents.set('I', bytesOf(I, 'f32')).set('dEdO', bytesOf(g, 'f32'));
  const t = new Tensors(c, await runNodes(gpu.device, c, /^fall$/, contents), 1);
  onLevels(checkDup, t, undefined, 2);
});
