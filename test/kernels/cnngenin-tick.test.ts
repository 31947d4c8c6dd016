// cnngenin/tick: the frame number goes up by one.
import { useDevice } from '../unit/gpu-harness.js';
import { runKernel } from './harness.js';

const gpu = useDevice();

test.each([[0, 1], [41, 42], [0xffffffff, 0]])('%d -> %d', async (frame, next) => {
  const result = await runKernel(gpu.device, { kernel: 'cnngenin/tick', spec: { 0: 1 }, groups: [1, 1, 1], uses: [{ name: 'frame', access: 'rw', bytes: 4 }] },
    new Map([['frame', new Uint8Array(Uint32Array.of(frame).buffer)]]));
  expect(new Uint32Array(result.get('frame')!.slice().buffer)[0]).toBe(next);
});
