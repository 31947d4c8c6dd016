// kpn/turn: the picture as each run of cycle spinning sees it, bit by bit.
import { useDevice } from '../unit/gpu-harness.js';
import { inferenceNodes, runInference } from './inference-run.js';
import { combinations } from './kernel-test.js';
import { runCase, SPUN, spunCase } from './spin-cases.js';
import { values } from './step-run.js';

const gpu = useDevice();

test.each(combinations({ shape: SPUN, format: ['f16', 'f32'], combine: ['blend', 'prediff'] } as const))('%s', async (_, { shape, format, combine }) => {
  const c = spunCase(shape, format, 8, { combine });
  const snapshot = await runInference(gpu.device, c, /^turn/);
  for (let k = 1; k < 8; k++) {
    const expected = runCase(c, k).inputs.flatMap((p) => Array.from({ length: 4 * p.width * p.height }, (__, i) => (i % 4 === 3 ? 3 : p.data[3 * (i >> 2) + (i % 4)]!)));
    expect([k, Array.from(values(snapshot.get(`turned, run ${k}`)!, format))]).toEqual([k, expected]);
  }
});

test('a single run turns nothing', async () => {
  const { nodes } = await inferenceNodes(gpu.device, spunCase([19, 35, 3], 'f16', 1));
  expect(nodes.map(({ label }) => label).filter((label) => label !== 'expand')).toEqual(['shrink 0', 'shrink 1', 'denoise 2', 'denoise 1', 'denoise 0']);
});
