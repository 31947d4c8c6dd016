// beside/place: both pictures where they belong, rounded to f16, in tiles, beside each other and below.
import { useDevice } from '../unit/gpu-harness.js';
import { runKernel } from './harness.js';
import { values } from './step-run.js';
import { fromHalf, toHalf } from '../../ts/formats/half.js';

const gpu = useDevice();

test.each([
  { width: 70, height: 3, tiles: 2, below: false, f32: [false, true] },
  { width: 5, height: 4, tiles: 1, below: true, f32: [true, false] },
  { width: 64, height: 2, tiles: 3, below: true, f32: [false, false] },
])('$width x $height, $tiles tiles, below $below', async ({ width, height, tiles, below, f32 }) => {
  const count = width * height * tiles * 4;
  const pictures = [1, -3].map((k) => Float32Array.from({ length: count }, (_, i) => k * ((i * 7919) % 10007) / 1000));
  const bytes = pictures.map((p, k) => new Uint8Array(f32[k] ? p.buffer : toHalf(p).data.buffer));
  const result = await runKernel(gpu.device, {
    kernel: 'beside/place', spec: { 0: 64, 1: f32[0]!, 2: f32[1]! }, push: new Uint8Array(Uint32Array.of(width, height, below ? 1 : 0).buffer), groups: [Math.ceil(width / 64), height, tiles],
    uses: [{ name: 'first', access: 'r', bytes: bytes[0]!.length }, { name: 'second', access: 'r', bytes: bytes[1]!.length }, { name: 'both', access: 'w', bytes: 4 * count }],
  }, new Map([['first', bytes[0]!], ['second', bytes[1]!]]));
  const [W, H] = below ? [width, 2 * height] : [2 * width, height];
  const expected = Float32Array.from({ length: 2 * count }, (_, i) => {
    const [c, x, y, t] = [i % 4, (i >> 2) % W, Math.floor((i >> 2) / W) % H, Math.floor((i >> 2) / (W * H))];
    return pictures[below ? Math.floor(y / height) : Math.floor(x / width)]![4 * ((t * height + (y % height)) * width + (x % width)) + c]!;
  });
  expect(Array.from(values(result.get('both')!, 'f16'))).toEqual(Array.from(fromHalf(toHalf(expected).data)));
});
