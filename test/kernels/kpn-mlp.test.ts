// kpn/mlp: the layers from x to K (SPEC 1.4), on every path, keeping the activations and not.
import { useDevice } from '../unit/gpu-harness.js';
import { hidden, outputs } from './expected.js';
import { slotsOf } from '../../ts/modules/kpn/path.js';
import { runKernel } from './harness.js';
import { expectKept, MLP_CASES, mlpContents, mlpDispatch, modelOf, numbersOf, poisonBut, runLayers, type MlpCase } from './mlp-harness.js';
import { ALL_PATHS, KEEPING_PATHS, onConversions, onMatrices } from './paths.js';
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
    const infer = mlpDispatch(gpu.device, c, path, 'kpn/mlp', [input, out], (name) => `infer.${name}`, { resident: true });
    const K = (await runLayers(gpu.device, c, path, infer, new Map([...contents, ['x', x]]))).get('K')!;
    if (infer.variant === 'infer.khr.resident') nearby(c, weights, A, values(kept.get('K')!, 'f16'), values(K, 'f16'));
    else expect(Buffer.compare(K, kept.get('K')!)).toBe(0);
  });
});

/**
 * khr.resident rounds sums to f16 before the activation's slope, which is an f16 too, instead of after: three roundings of what is below 0 instead
 * of one. That, with what it makes of later sums and the roundings that it turns, bounds how far K may be from that of the build that keeps A.
 */
function nearby(c: MlpCase, weights: Float64Array, A: Float64Array[], kept: Float64Array, inferred: Float64Array): void {
  const { width: W, layers: H, pixels } = c;
  const through = (l: number, rows: number, off: Float64Array): Float64Array =>
    Float64Array.from({ length: pixels * rows }, (_, i) => {
      const [p, o] = [Math.floor(i / rows), i % rows];
      let sum = 0;
      for (let k = 0; k < W; k++) sum += Math.abs(weights[(l * W + o) * W + k]!) * off[p * W + k]!;
      return sum;
    });
  let off = new Float64Array(pixels * W);
  for (let l = 0; l < H; l++) {
    const before = through(l, W, off);
    // A sum that is off may be rounded the other way; one that is below 0, or so near that it may be, is rounded three times, the last of them maybe below f16's normal numbers.
    off = before.map((d, i) => d + (d > 0 ? 2 ** -10 * Math.abs(A[l + 1]![i]!) + 2 ** -24 : 0) + (A[l + 1]![i]! <= d ? 3 * 2 ** -11 * Math.abs(A[l + 1]![i]!) + 2 ** -24 : 0)) as Float64Array<ArrayBuffer>;
  }
  const bound = through(H, 16, off);
  const wrong = kept.findIndex((v, i) => !(Math.abs(inferred[i]! - v) <= bound[i]! + 2 ** -10 * Math.abs(v) + 2 ** -24));
  expect({ wrong, kept: kept[wrong], inferred: inferred[wrong], bound: bound[wrong] }).toEqual({ wrong: -1 });
  // It says something: K is known to a few roundings a layer, added up as if all had one sign; one of 32 channels left out would be 2^-2.5.
  expect(Math.max(...bound)).toBeLessThan(2 ** -5 * Math.max(...kept.map(Math.abs)));
}

/** What is kept is, bit for bit, that of the build which keeps all. */
describe.each(KEEPING_PATHS)('variant sparse, path %s', (path) => {
  onMatrices.each([...MLP_CASES, { width: 32, layers: 6, pixels: 50 }])('$width wide, $layers layers, $pixels pixels', async (c) => {
    const { width: W, layers: H, pixels } = c;
    const { weights, halves } = numbersOf(c);
    const x = bytesOf(halves(pixels * W, 1), 'f16');
    const [whole, sparse] = await Promise.all([H + 1, slotsOf(H, 'sparse')].map((slots, i) => {
      const act = { name: 'A', access: 'rw', bytes: slots * x.byteLength } as const;
      const dispatch = mlpDispatch(gpu.device, c, path, 'kpn/mlp', [act, { name: 'K', access: 'w', bytes: 32 * pixels }], (name) => (i === 1 ? `sparse.${name}` : name));
      return runKernel(gpu.device, dispatch, new Map([...mlpContents(c, path, weights), ['A', poisonBut(act.bytes, 0, x)]]));
    }));
    expectKept(sparse!, whole!, H);
    expect(sparse!.get('K')).toEqual(whole!.get('K'));
  });
});

/** What builds keep whose panel stays in registers: all and every second one the same to the bit, with relu those of the other builds; and x stays. */
describe.each(['relu', 'lrelu'] as const)("variants khr.resident and sparse.khr.resident, %s", (act) => {
  onConversions.each([...MLP_CASES, { width: 32, layers: 6, pixels: 50 }, { width: 64, layers: 6, pixels: 200 }].map((c) => ({ ...c, act })))('$width wide, $layers layers, $pixels pixels', async (c) => {
    const { width: W, layers: H, pixels } = c;
    const { weights, halves } = numbersOf(c);
    const x = bytesOf(halves(pixels * W, 1), 'f16');
    const run = async (kept: 'all' | 'sparse', resident: boolean) => {
      const bytes = slotsOf(H, kept) * x.byteLength;
      const dispatch = mlpDispatch(gpu.device, c, 'khr', 'kpn/mlp', [{ name: 'A', access: 'rw', bytes }, { name: 'K', access: 'w', bytes: 32 * pixels }], (name) => (kept === 'sparse' ? `sparse.${name}` : name), { resident });
      expect(dispatch.variant).toBe(`${kept === 'sparse' ? 'sparse.' : ''}khr${resident ? '.resident' : ''}`);
      return runLayers(gpu.device, c, 'khr', dispatch, new Map([...mlpContents(c, 'khr', weights), ['A', poisonBut(bytes, 0, x)]]));
    };
    const [stored, whole, sparse] = await Promise.all([run('all', false), run('all', true), run('sparse', true)]);
    expectKept(sparse, whole, H);
    expect(sparse.get('K')).toEqual(whole.get('K'));
    expect(whole.get('A')!.subarray(0, x.byteLength)).toEqual(x);
    if (act === 'relu') for (const name of ['A', 'K']) expect(whole.get(name)).toEqual(stored.get(name));
    else if (H <= 3) { // what bounds K after more says nothing
      const A = Array.from({ length: H + 1 }, (_, l) => values(stored.get('A')!, 'f16', l * pixels * W, pixels * W));
      nearby(c, weights, A, values(stored.get('K')!, 'f16'), values(whole.get('K')!, 'f16'));
    }
  });
});
