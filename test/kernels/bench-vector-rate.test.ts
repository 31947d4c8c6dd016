// bench/vector-rate: chains of x = a x + b.
import { useDevice } from '../unit/gpu-harness.js';
import { runKernel } from './harness.js';
import { bytesOf, values } from './step-run.js';

const gpu = useDevice();
const [CHAINS, LOCAL, GROUPS] = [8, 64, 3];

test.each(['f32', 'f16'])('%s', async (variant) => {
  // a = -1 in one half, 1 in the other: after 1 + 8 t steps b - x, and x + (1 + 8 t) b.
  const turns = 2;
  const x = Array.from({ length: 2 * CHAINS }, (_, i) => i - 3);
  const b = Array.from({ length: 2 * CHAINS }, (_, i) => ((i * 5) % 7) / 4);
  const want = [0, 1].map((c) => x.reduce((sum, v, i) => (i % 2 === c ? sum + (c === 0 ? b[i]! - v : v + (1 + 8 * turns) * b[i]!) : sum), 0));
  const start = bytesOf([...x, ...b, -1, 1], 'f32');
  const result = await runKernel(gpu.device, {
    kernel: 'bench/vector-rate', variant, spec: { 0: LOCAL }, groups: [GROUPS, 1, 1], push: new Uint8Array(Uint32Array.of(turns).buffer),
    uses: [{ name: 'start', access: 'r', bytes: start.byteLength }, { name: 'results', access: 'w', bytes: 8 * LOCAL * GROUPS }],
  }, new Map([['start', start]]));
  expect(values(result.get('results')!, 'f32')).toEqual(Float64Array.from({ length: 2 * LOCAL * GROUPS }, (_, i) => want[i % 2]!));
});
