// beside/place: both pictures one behind the other, rounded to f16, whatever the tiles.
import { useDevice } from '../unit/gpu-harness.js';
import { runKernel } from './harness.js';
import { values } from './step-run.js';
import { fromHalf, toHalf } from '../../ts/formats/half.js';

const gpu = useDevice();

test.each([
  { width: 70, height: 3, tiles: 2, f32: [false, true] },
  { width: 5, height: 4, tiles: 1, f32: [true, false] },
  { width: 64, height: 2, tiles: 3, f32: [false, false] },
])('$width x $height, $tiles tiles', async ({ width, height, tiles, f32 }) => {
  const count = width * height * tiles * 4;
  const pictures = [1, -3].map((k) => Float32Array.from({ length: count }, (_, i) => k * ((i * 7919) % 10007) / 1000));
  const bytes = pictures.map((p, k) => new Uint8Array(f32[k] ? p.buffer : toHalf(p).data.buffer));
  const result = await runKernel(gpu.device, {
    kernel: 'beside/place', spec: { 0: 64, 1: f32[0]!, 2: f32[1]! }, push: new Uint8Array(Uint32Array.of(width, height).buffer), groups: [Math.ceil(width / 64), height, tiles],
    uses: [{ name: 'first', access: 'r', bytes: bytes[0]!.length }, { name: 'second', access: 'r', bytes: bytes[1]!.length }, { name: 'both', access: 'w', bytes: 4 * count }],
  }, new Map([['first', bytes[0]!], ['second', bytes[1]!]]));
  const expected = Float32Array.from([...pictures[0]!, ...pictures[1]!]);
  expect(Array.from(values(result.get('both')!, 'f16'))).toEqual(Array.from(fromHalf(toHalf(expected).data)));
});
