// kpn/expand: f16 weights as f32, every one of the 65,536 patterns.
import { useDevice } from '../unit/gpu-harness.js';
import { runKernel } from './harness.js';
import { values } from './step-run.js';

const gpu = useDevice();

test.each([65536, 65534, 2])('%d values', async (count) => {
  const halves = new Uint8Array(Uint16Array.from({ length: count }, (_, i) => i).buffer);
  const result = await runKernel(gpu.device, {
    kernel: 'kpn/expand', spec: { 0: 64 }, push: new Uint8Array(Uint32Array.of(count / 2).buffer), groups: [Math.ceil(count / 128), 1, 1],
    uses: [{ name: 'w', access: 'r', bytes: 2 * count }, { name: 'rounded', access: 'w', bytes: 4 * count }],
  }, new Map([['w', halves]]));
  expect(values(result.get('rounded')!, 'f32')).toEqual(values(halves, 'f16'));
});
