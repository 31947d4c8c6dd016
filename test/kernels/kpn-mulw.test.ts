// kpn/mulw: dE/dw as a sum over pixels, a part of them a workgroup (SPEC 2), on every path.
import { deviceFace, useDevice } from '../unit/gpu-harness.js';
import { random, toHalf } from '../reference/index.js';
import { batchOf, caseOf, without } from './batch.js';
import { runNodes } from './harness.js';
import { testKernel } from './kernel-test.js';
import { LAYER_VARIANTS, PATHS } from './paths.js';
import { Tensors, checkParts } from './step-check.js';
import { bytesOf, values } from './step-run.js';

const gpu = useDevice();

const cases = [
  { width: 32, layers: 2, size: [13, 9] },
  { width: 32, layers: 1, size: [1, 1] },
  { width: 32, layers: 1, size: [29, 31] }, // several runs a part
  { width: 64, layers: 1, size: [16, 8] },
  { width: 128, layers: 1, size: [7, 5] },
  { width: 32, layers: 1, size: [13, 9], chroma: true },
] as const;

describe.each(LAYER_VARIANTS)('variant %s', (_variant, more) => {
  test.each(cases.map((c) => [JSON.stringify(c), c] as const))('%s', async (_, { size, ...model }) => {
    const c = caseOf(model, size, 3, more);
    await testKernel(gpu.device, c, { label: /^mulw$/, outputs: ['parts'], check: checkParts });
  });
});

// What GPUs are given on the plain path: rows in groups, several columns an invocation.
test.each([...cases, { width: 64, layers: 1, size: [23, 17] } as const].map((c) => [JSON.stringify(c), c] as const))('plain, as on a GPU: %s', async (_, { size, ...model }) => {
  const asGpu = { ...deviceFace(gpu.device), info: { ...gpu.device.info, type: 'discrete' as const } };
  await testKernel(asGpu, caseOf(model, size, 3, { path: 'plain' }), { label: /^mulw$/, outputs: ['parts'], check: checkParts });
});

// What dE/dA is where a picture is even: the pixels under the taps are alike, so that dE/dK is but rounding. Values of a few 2^-24.
test.each(PATHS)('gradients and activations below the range of normal f16, path %s', async (path) => {
  const c = caseOf({ width: 32, layers: 1 }, [3, 2], 3, { path });
  const batch = batchOf(c);
  const next = random(4);
  const tiny = (name: string, some: number): void => {
    const v = values(batch.contents.get(name)!, 'f16').map((x) => (next() < some ? x * 2 ** -18 : x));
    batch.contents.set(name, bytesOf(v.map(toHalf), 'f16'));
  };
  tiny('dEdA', 1);
  tiny('A', 0.3);
  const after = await runNodes(gpu.device, c, /^mulw$/, without(batch, 'parts'));
  checkParts(new Tensors(c, after, batch.scale));
});
