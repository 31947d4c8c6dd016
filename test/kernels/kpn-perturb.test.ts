// kpn/perturb: frame n's copies differ from the weights in the list's nth weight alone, by the step (SPEC 7).
import { useDevice } from '../unit/gpu-harness.js';
import { batchOf, caseOf, stateBytes } from './batch.js';
import { nodesOf, runKernel } from './harness.js';
import { bytesOf, values } from './step-run.js';

const gpu = useDevice();
const STEP = 2 ** -6;
const c = caseOf({}, [4, 4], 1, { params: { deriv: 1, dsample: 5, dstep: STEP } });
const targets = Uint32Array.from([3, 700, 1023, 1024, 0, 31, 1535, 2, 5, 99]);

test.each([[0], [1], [3], [7], [10], [11], [4000]])('frame %d', async (frame) => {
  const [node] = await nodesOf(gpu.device, c, /^perturb$/);
  const weights = values(batchOf(c).contents.get('rounded')!, 'f32');
  expect(node!.uses.find((use) => use.name === 'targets')!.bytes).toBe(4 * targets.length);
  const result = await runKernel(gpu.device, node!, new Map([
    ['state', stateBytes({ 0: frame })], ['targets', new Uint8Array(targets.buffer)], ['rounded', bytesOf(weights, 'f32')],
  ]));
  for (const [name, step] of [['plus', STEP], ['minus', -STEP]] as const) {
    const expected = weights.slice();
    const target = targets[frame - 1];
    if (target !== undefined) expected[target] = Math.fround(expected[target]! + step);
    expect(Array.from(values(result.get(name)!, 'f32'))).toEqual(Array.from(expected));
  }
});
