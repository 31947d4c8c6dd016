// bench/copy: every word, and none past the count.
import { useDevice } from '../unit/gpu-harness.js';
import { runKernel } from './harness.js';

const gpu = useDevice();
const LOCAL = 64;

test.each([1, 255, 256, 1000])('%i words', async (words) => {
  const from = new Uint8Array(16 * words).map((_, i) => (i * 37 + (i >> 8)) & 255);
  const result = await runKernel(gpu.device, {
    kernel: 'bench/copy', spec: { 0: LOCAL }, groups: [Math.ceil(words / (4 * LOCAL)), 1, 1], push: new Uint8Array(Uint32Array.of(words).buffer),
    uses: [{ name: 'from', access: 'r', bytes: from.byteLength }, { name: 'to', access: 'w', bytes: from.byteLength }],
  }, new Map([['from', from]]));
  expect(Buffer.compare(result.get('to')!, from)).toBe(0);
});
