// kpn/mlpbck: from dE/dK through the layers to dE/dA (SPEC 2), on every path.
import { useDevice } from '../unit/gpu-harness.js';
import { layerGradient } from './expected.js';
import { runKernel } from './harness.js';
import { MLP_CASES, mlpContents, mlpDispatch, modelOf, numbersOf, poisonBut } from './mlp-harness.js';
import { PATHS } from './paths.js';
import { compare } from './step-check.js';
import { bytesOf, values } from './step-run.js';

const gpu = useDevice();

describe.each(PATHS)('path %s', (path) => {
  test.each(MLP_CASES)('$width wide, $layers layers, $pixels pixels', async (c) => {
    const { width: W, layers: H, pixels } = c;
    const { weights, halves } = numbersOf(c);
    const A = halves((H + 1) * pixels * W, 1);
    const dK = bytesOf(halves(pixels * 16, 1), 'f16');
    const act = { name: 'A', access: 'r', bytes: 2 * A.length } as const;
    const dAct = { name: 'dEdA', access: 'rw', bytes: 2 * H * pixels * W + dK.byteLength } as const;
    const result = await runKernel(gpu.device, mlpDispatch(gpu.device, c, path, 'kpn/mlpbck', [act, dAct]),
      new Map([...mlpContents(c, path, weights), ['A', bytesOf(A, 'f16')], ['dEdA', poisonBut(dAct.bytes, dAct.bytes - dK.byteLength, dK)]]));
    const dA = Array.from({ length: H + 1 }, (_, l) => values(result.get('dEdA')!, 'f16', l * pixels * W, pixels * (l === H ? 16 : W)));
    expect(bytesOf(dA[H]!, 'f16')).toEqual(dK);
    for (let l = H; l > 0; l--)
      compare(`dE/dA ${l - 1}`, dA[l - 1]!, layerGradient(modelOf(c), weights, l, dA[l]!, A.subarray(l * pixels * W, (l + 1) * pixels * W), 1));
  });
});
