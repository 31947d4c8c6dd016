// common/addressing.glsl: mirrored repeat with the edge pixel repeated, to 4 beyond either end (SPEC 1.1), for sizes down to 1.
import { mirror } from '../reference/index.js';
import { compileShader, useDevice } from '../unit/gpu-harness.js';
import { runKernel } from './harness.js';

const gpu = useDevice();

test.each([[1, true], [4, false]] as const)('sizes %d to 10, SMALL %p', async (least, small) => {
  const width = 18; // -4 .. 13: to 4 beyond the largest
  const count = 11 * width;
  const result = await runKernel(gpu.device, {
    kernel: 'test/mirror', spirv: compileShader('mirror'), spec: { 30: small }, push: new Uint8Array(Uint32Array.of(width, count).buffer), groups: [Math.ceil(count / 64), 1, 1],
    uses: [{ name: 'out', access: 'w', bytes: 4 * count }],
  }, new Map());
  const out = new Int32Array(result.get('out')!.slice().buffer);
  for (let n: number = least; n <= 10; n++) {
    const at = Array.from({ length: n + 8 }, (_, k) => k - 4);
    expect({ n, mirrored: at.map((i) => out[n * width + i + 4]) }).toEqual({ n, mirrored: at.map((i) => mirror(i, n)) });
  }
});
