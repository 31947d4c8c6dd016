// kpn/mlpbck: from dE/dK through the layers to dE/dA (SPEC 2), on every path; fused: to the parts of dE/dw.
import { useDevice } from '../unit/gpu-harness.js';
import { fusedLaunch, slotsOf, type Launch } from '../../ts/modules/kpn/path.js';
import { specOf } from '../../ts/modules/kpn/options.js';
import { layerGradient, weightGradient } from './expected.js';
import { runKernel } from './harness.js';
import { expectKept, layerPath, MLP_CASES, mlpContents, mlpDispatch, modelOf, numbersOf, poisonBut, runLayers, type MlpCase } from './mlp-harness.js';
import { ALL_PATHS, KEEPING_PATHS, onConversions, onMatrices, PATHS } from './paths.js';
import { compare } from './step-check.js';
import { bytesOf, values } from './step-run.js';

const gpu = useDevice();

describe.each(ALL_PATHS)('path %s', (path) => {
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

const fused = PATHS.filter((path) => path !== 'plain').map((path) => [`fused.${path}`, path] as const);
describe.each(fused.length ? fused : [['fused.khr', 'none'] as const])('variant %s', (_variant, path) => {
  const run = path === 'none' ? test.skip.each : test.each;
  run([{ width: 32, layers: 1, pixels: 77 }, { width: 32, layers: 3, pixels: 1 }, { width: 64, layers: 1, pixels: 512 }])('$width wide, $layers layers, $pixels pixels', async (c) => {
    const { width: W, layers: H, pixels } = c;
    const { weights, halves } = numbersOf(c);
    const A = halves((H + 1) * pixels * W, 1);
    const dK = bytesOf(halves(pixels * 16, 1), 'f16');
    const act = { name: 'A', access: 'r', bytes: 2 * A.length } as const;
    const dAct = { name: 'dEdA', access: 'rw', bytes: 2 * H * pixels * W + dK.byteLength } as const;
    const contents = new Map([...mlpContents(c, path, weights), ['A', bytesOf(A, 'f16')] as const, ['dK', dK] as const]);
    // dE/dA of the kernel that stores it: the fused one keeps the same to itself.
    const split = await runKernel(gpu.device, mlpDispatch(gpu.device, c, path, 'kpn/mlpbck', [act, dAct]), new Map([...contents, ['dEdA', poisonBut(dAct.bytes, dAct.bytes - dK.byteLength, dK)]]));
    const { parts, ...launch } = fusedLaunch(layerPath(gpu.device, path), gpu.device.info, specOf(modelOf(c), 64), W, H, pixels, 1, 'all')!;
    const count = (H + 1) * W * W;
    const dispatch = mlpDispatch(gpu.device, c, path, 'kpn/mlpbck', [act, { name: 'dK', access: 'r', bytes: dK.byteLength }, { name: 'parts', access: 'w', bytes: 4 * count * parts }]);
    const result = await runKernel(gpu.device, { ...dispatch, ...launch }, contents);
    const total = new Float64Array(count);
    values(result.get('parts')!, 'f32').forEach((v, i) => (total[i % count]! += v));
    for (let l = 0; l <= H; l++) {
      const rows = l === H ? 16 : W;
      const dA = values(split.get('dEdA')!, 'f16', l * pixels * W, pixels * rows);
      compare(`dE/dw ${l}`, total.subarray(l * W * W, (l * W + rows) * W), weightGradient(modelOf(c), l, dA, A.subarray(l * pixels * W, (l + 1) * pixels * W), pixels + 2));
    }
  });
});

/** dE/dw by a forward pass and one back that keep all or every second activation: what is kept, and what comes of it. */
async function train(c: MlpCase, path: string, kept: 'all' | 'sparse', resident = false): Promise<{ act: Uint8Array; parts: Uint8Array; back: string }> {
  const { width: W, layers: H, pixels } = c;
  const { weights, halves } = numbersOf(c);
  const row = 2 * pixels * W;
  const x = bytesOf(halves(pixels * W, 1), 'f16');
  const dK = bytesOf(halves(pixels * 16, 1), 'f16');
  const given = mlpContents(c, path, weights);
  const slots = slotsOf(H, kept);
  const { parts, ...launch } = fusedLaunch(layerPath(gpu.device, path), gpu.device.info, specOf(modelOf(c), 64), W, H, pixels, 1, kept)!;
  const act = (access: 'r' | 'rw') => ({ name: 'A', access, bytes: slots * row }) as const;
  const forward = mlpDispatch(gpu.device, c, path, 'kpn/mlp', [act('rw'), { name: 'K', access: 'w', bytes: 32 * pixels }], (name) => (kept === 'sparse' ? `sparse.${name}` : name), { resident });
  const A = (await runLayers(gpu.device, c, path, forward, new Map([...given, ['A', poisonBut(slots * row, 0, x)]]))).get('A')!;
  const back = mlpDispatch(gpu.device, c, path, 'kpn/mlpbck', [act('r'), { name: 'dK', access: 'r', bytes: dK.byteLength }, { name: 'parts', access: 'w', bytes: 4 * (H + 1) * W * W * parts }]);
  return { act: A, back: launch.variant, parts: (await runKernel(gpu.device, { ...back, ...launch }, new Map([...given, ['A', A], ['dK', dK]]))).get('parts')! };
}

/** What is kept is that of the kernel which keeps all, and so is dE/dw, both to the bit. */
function expectSame(sparse: Awaited<ReturnType<typeof train>>, whole: Awaited<ReturnType<typeof train>>, { width: W, layers: H, act }: MlpCase): void {
  expectKept(new Map([['A', sparse.act]]), new Map([['A', whole.act]]), H);
  expect(sparse.parts).toEqual(whole.parts);
  expect(values(sparse.parts, 'f32').filter((v) => v !== 0).length).toBeGreaterThan((H * W * W) / (act === 'relu' ? 8 : 2)); // of one pixel relu leaves a quarter
}

const SPARSE_CASES: readonly MlpCase[] = [{ width: 32, layers: 2, pixels: 77 }, { width: 32, layers: 3, pixels: 300 }, { width: 32, layers: 5, pixels: 1 }, { width: 32, layers: 6, pixels: 200 }];

/** Every second activation made anew. */
describe.each(KEEPING_PATHS)('variant fused.sparse, path %s', (path) => {
  onMatrices.each(SPARSE_CASES)('$width wide, $layers layers, $pixels pixels', async (c) => {
    expectSame(await train(c, path, 'sparse'), await train(c, path, 'all'), c);
  });
});

/** The same after forward passes whose panel stays in registers, by the same roundings. */
describe.each(['relu', 'lrelu', 'none'] as const)('variant fused.sparse.khr.resident, %s', (act) => {
  onConversions.each([...SPARSE_CASES, { width: 64, layers: 3, pixels: 77 }, { width: 64, layers: 6, pixels: 300 }].map((c) => ({ ...c, act })))('$width wide, $layers layers, $pixels pixels', async (c) => {
    const sparse = await train(c, 'khr', 'sparse', true);
    expect(sparse.back).toBe('fused.sparse.khr.resident');
    expectSame(sparse, await train(c, 'khr', 'all', true), c);
  });
});

/**
 * All activations made anew of x, in one batch of a workgroup and in several: dE/dw is that of the kernel which is given all, where the same pixels make a part. With relu but for the
 * order of f32 sums (where a batch has 128 pixels, its halves are summed apart); lrelu's slope meets sums that are rounded already (nearby() in kpn-mlp.test.ts). Both are far less than one pixel of a
 * batch or one channel left out would be.
 */
describe.each(['relu', 'lrelu'] as const)('variant fused.anew.khr: dE/dw of x alone, %s', (act) => {
  onConversions.each([1, 2, 3, 4, 6].flatMap((layers) => [77, 1, 300, 1000].map((pixels) => ({ width: 32, layers, pixels, act }))))('$layers layers, $pixels pixels', async (c) => {
    const { width: W, layers: H, pixels } = c;
    const { weights, halves } = numbersOf(c);
    const x = bytesOf(halves(pixels * W, 1), 'f16');
    const dK = bytesOf(halves(pixels * 16, 1), 'f16');
    const given = mlpContents(c, 'khr', weights);
    const kept = { name: 'A', access: 'rw', bytes: (H + 1) * x.byteLength } as const;
    const forward = mlpDispatch(gpu.device, c, 'khr', 'kpn/mlp', [kept, { name: 'K', access: 'w', bytes: 32 * pixels }]);
    const all = (await runKernel(gpu.device, forward, new Map([...given, ['A', poisonBut(kept.bytes, 0, x)]]))).get('A')!;
    // `batches` a part of what is made anew; where all is given batches have 64 pixels.
    const back = async (of: 'all' | 'anew', A: Uint8Array, batches: number): Promise<Uint8Array> => {
      const [launch, own] = [of, 'anew' as const].map((kind) => fusedLaunch(layerPath(gpu.device, 'khr'), gpu.device.info, specOf(modelOf(c), 64), W, H, pixels, 1, kind)!);
      const batch = Number(own!.spec[22]) * Number(own!.spec[23]);
      expect(batch).toBe(H <= 4 ? 64 : 128);
      const parts = Math.ceil(pixels / (batch * batches));
      const dispatch = mlpDispatch(gpu.device, c, 'khr', 'kpn/mlpbck', [{ ...kept, access: 'r', bytes: A.byteLength }, { name: 'dK', access: 'r', bytes: dK.byteLength }, { name: 'parts', access: 'w', bytes: 4 * (H + 1) * W * W * parts }]);
      const spec: Launch['spec'] = { ...launch!.spec, 17: of === 'all' ? (batch / 64) * batches : batches };
      if (of === 'all') expect(Number(spec[22]) * Number(spec[23])).toBe(64);
      return (await runKernel(gpu.device, { ...dispatch, variant: launch!.variant, spec, groups: [parts, 1, 1] }, new Map([...given, ['A', A], ['dK', dK]]))).get('parts')!;
    };
    for (const batches of [1, 3]) {
      const [anew, whole] = [await back('anew', x, batches), await back('all', all, batches)];
      const [a, b] = [values(anew, 'f32'), values(whole, 'f32')];
      expect(a.filter((v) => v !== 0).length).toBeGreaterThan(H * W * W / 8); // of one pixel relu leaves a quarter
      expect(rms(a.map((v, i) => v - b[i]!))).toBeLessThan((act === 'relu' ? 2 ** -20 : 2 ** -10) * rms(b));
    }
  });
});

const rms = (v: Float64Array): number => Math.sqrt(v.reduce((sum, x) => sum + x * x, 0) / v.length);
