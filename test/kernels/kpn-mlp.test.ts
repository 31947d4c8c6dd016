// kpn/mlp: the layers from x to K (SPEC 1.4), on every path, keeping the activations and not.
import { useDevice } from '../unit/gpu-harness.js';
import { hidden, outputs } from './expected.js';
import { runKernel } from './harness.js';
import { MLP_CASES, mlpContents, mlpDispatch, modelOf, numbersOf, poisonBut } from './mlp-harness.js';
import { ALL_PATHS } from './paths.js';
import { compare } from './step-check.js';
import { bytesOf, values } from './step-run.js';

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
