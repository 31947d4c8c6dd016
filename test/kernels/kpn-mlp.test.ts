// kpn/mlp: the layers from x to K (SPEC 1.4), on every path, keeping the activations and not.
import { useDevice } from '../unit/gpu-harness.js';
import { hidden, outputs } from './expected.js';
import { slotsOf } from '../../ts/modules/kpn/path.js';
import { runKernel } from './harness.js';
import { MLP_CASES, mlpContents, mlpDispatch, modelOf, numbersOf, poisonBut } from './mlp-harness.js';
import { ALL_PATHS, PATHS } from './paths.js';
import { compare } from './step-check.js';
import { bytesOf, values, type Snapshot } from './step-run.js';

const gpu = useDevice();

describe.each(ALL_PATHS)('path %s', (path) => {
  test.each(MLP_CASES)('$width wide, $layers layers, $pixels pixels', async (c) => {
    const { width: W, layers: H, pixels } = c;
    const m = modelOf(c);
    const { weights, halves } = numbersOf(c);
    const x = bytesOf(halves(pixels * W, 1), 'f16');
    const out = { name: 'K', access: 'w', bytes: 32 * pixels } as const;
    const contents = mlpContents(c, path, weights);

    const act = { name: 'A', access: 'rw', bytes: (H + 1) * x.byteLength } as const;
    const kept = await runKernel(gpu.device, mlpDispatch(gpu.device, c, path, 'kpn/mlp', [act, out]), new Map([...contents, ['A', poisonBut(act.bytes, 0, x)]]));
    const A = Array.from({ length: H + 1 }, (_, l) => values(kept.get('A')!, 'f16', l * pixels * W, pixels * W));
    expect(Buffer.compare(kept.get('A')!.subarray(0, x.byteLength), x)).toBe(0);
    for (let l = 0; l < H; l++) compare(`A ${l}`, A[l + 1]!, hidden(m, weights, l, A[l]!));
    compare('K', values(kept.get('K')!, 'f16'), outputs(m, weights, A[H]!));

    const input = { name: 'x', access: 'r', bytes: x.byteLength } as const;
    const inferred = await runKernel(gpu.device, mlpDispatch(gpu.device, c, path, 'kpn/mlp', [input, out], (name) => `infer.${name}`, { infers: true }), new Map([...contents, ['x', x]]));
    expect(Buffer.compare(inferred.get('K')!, kept.get('K')!)).toBe(0);
  });
});

/** What is kept is, bit for bit, that of the build which keeps all. */
const matrices = PATHS.filter((path) => path !== 'plain');
describe.each(matrices.length ? matrices : ['none'])('variant sparse, path %s', (path) => {
  const run = path === 'none' ? test.skip.each : test.each;
  run([...MLP_CASES, { width: 32, layers: 6, pixels: 50 }])('$width wide, $layers layers, $pixels pixels', async (c) => {
    const { width: W, layers: H, pixels } = c;
    const { weights, halves } = numbersOf(c);
    const x = bytesOf(halves(pixels * W, 1), 'f16');
    const [whole, sparse] = await Promise.all([H + 1, slotsOf(H, true)].map((slots, i) => {
      const act = { name: 'A', access: 'rw', bytes: slots * x.byteLength } as const;
      const dispatch = mlpDispatch(gpu.device, c, path, 'kpn/mlp', [act, { name: 'K', access: 'w', bytes: 32 * pixels }], (name) => (i === 1 ? `sparse.${name}` : name));
      return runKernel(gpu.device, dispatch, new Map([...mlpContents(c, path, weights), ['A', poisonBut(act.bytes, 0, x)]]));
    }));
    const tensors = (of: Snapshot): Uint8Array[] => Array.from({ length: of.get('A')!.byteLength / x.byteLength }, (_, i) => of.get('A')!.subarray(i * x.byteLength, (i + 1) * x.byteLength));
    expect(tensors(sparse!)).toEqual(tensors(whole!).filter((_, i) => i === 0 || (H - i) % 2 === 0));
    expect(sparse!.get('K')).toEqual(whole!.get('K'));
  });
});
