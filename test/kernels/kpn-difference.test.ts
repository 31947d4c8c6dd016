// kpn/difference: the sum over pixels of the loss's differences, over the step (SPEC 7), absolute values on the sides where
// the unperturbed result has them.
import { useDevice } from '../unit/gpu-harness.js';
import { lossOf, lossSlope, random } from '../reference/index.js';
import { batchOf, caseOf, stateBytes } from './batch.js';
import { u } from './expected.js';
import { nodesOf, poison, runKernel } from './harness.js';
import { bytesOf, values, type StepCase } from './step-run.js';

const gpu = useDevice();
const losses = ['l2', 'smape', 'cosh', 'rel', 'enc', 'even'] as const;
const STEP = 2 ** -7;

interface Results { base: Float64Array; above: Float64Array; below: Float64Array }

async function difference(c: StepCase, { base, above, below }: Results, frame: number): Promise<{ value: number; rest: number[] }> {
  const [node] = await nodesOf(gpu.device, c, /^difference$/);
  const weights = node!.uses.find((use) => use.name === 'plus')!.bytes / 4;
  const at = (step: number): Uint8Array => bytesOf(Float64Array.from({ length: weights }, (_, i) => 0.25 + (i === 1030 ? step : 0)), 'f32');
  const targets = Uint32Array.from({ length: node!.uses.find((use) => use.name === 'targets')!.bytes / 4 }, (_, i) => (i === 2 ? 1030 : i));
  const dispatch = { ...node!, uses: node!.uses.map((use) => (use.name === 'differences' ? { ...use, access: 'rw' as const } : use)) };
  const before = poison(4 * weights);
  const result = await runKernel(gpu.device, dispatch, new Map([
    ...batchOf(c).contents, ['state', stateBytes({ 0: frame })], ['targets', new Uint8Array(targets.buffer)],
    ['O', bytesOf(base, 'f32')], ['O plus', bytesOf(above, 'f32')], ['O minus', bytesOf(below, 'f32')], ['plus', at(STEP)], ['minus', at(-STEP)], ['differences', before],
  ]));
  const all = new Uint32Array(result.get('differences')!.slice().buffer);
  const unchanged = new Uint32Array(before.slice().buffer);
  return { value: values(result.get('differences')!, 'f32', 1030, 1)[0]!, rest: [...all.keys()].filter((i) => all[i] !== unchanged[i]) };
}

const caseFor = (loss: (typeof losses)[number]): StepCase => caseOf({ loss }, [23, 17], 2, { params: { deriv: 1, dsample: 4 }, formats: { input: 'f16', ref: 'f32' } });

/** The loss of r with the sides of 0 and of the target where o has them. */
function held(loss: (typeof losses)[number], r: number, t: number, o: number, noise: { a: number; b: number }): number {
  const side = Math.sign(o - t);
  if (loss === 'smape') return (side * (r - t)) / (Math.sign(o) * r + Math.abs(t) + 0.001);
  if (loss === 'even') return side * (r - t) * Math.abs(lossSlope(loss, o, t, noise));
  return loss === 'enc' ? (side * (r - t)) / Math.sqrt(Math.abs(t) + 0.05) : lossOf(loss, r, t, noise);
}

/** Results of all signs on both sides of the reference; the perturbed ones further from it above and nearer below, some past it. */
function results(c: StepCase, pixels: number, change: number): Results {
  const next = random(5);
  const base = Float64Array.from({ length: 4 * pixels }, () => Math.fround(1.5 * next() - 0.2));
  const target = (i: number): number => c.tiles[Math.floor(i / (4 * 23 * 17))]?.reference.data[3 * ((i >> 2) % (23 * 17)) + (i % 4)] ?? 0;
  const moved = base.map((v, i) => change * next() * Math.sign(v - target(i)));
  return { base, above: base.map((v, i) => Math.fround(v + moved[i]!)), below: base.map((v, i) => Math.fround(v - moved[i]!)) };
}

const pixelsOf = async (c: StepCase): Promise<number> => (await nodesOf(gpu.device, c, /^difference$/))[0]!.uses.find((use) => use.name === 'O')!.bytes / 16;

test.each(losses)('%s: only the frame\'s weight, the sum of all pixels of the finest level', async (loss) => {
  const c = caseFor(loss);
  const r = results(c, await pixelsOf(c), 0.01);
  const { value, rest } = await difference(c, r, 3);
  let expected = 0;
  let bound = 0;
  c.tiles.forEach(({ reference, noise }, t) => {
    for (let p = 0; p < 23 * 17; p++)
      for (let ch = 0; ch < 3; ch++) {
        const i = 4 * (t * 23 * 17 + p) + ch;
        const target = reference.data[3 * p + ch]!;
        const [o, a, b] = [r.base[i]!, r.above[i]!, r.below[i]!];
        expected += held(loss, a, target, o, noise) - held(loss, b, target, o, noise);
        // Each loss carries some roundings of its size, and of its slope times the values that it is the difference of.
        bound += 16 * u * (lossOf(loss, a, target, noise) + Math.abs(lossSlope(loss, o, target, noise)) * (Math.abs(o) + Math.abs(target) + 0.001));
      }
  });
  expect(rest).toEqual([1030]);
  expect(Math.abs(value - expected / (2 * STEP))).toBeLessThanOrEqual(bound / (2 * STEP));
  // The bound would hide no pixel's share but the smallest.
  expect(Math.abs(expected)).toBeGreaterThan(20 * bound);
});

test('frame 0, and frames past the list, leave everything; a pixel that is not finite counts for nothing', async () => {
  const c = caseFor('l2');
  const r = results(c, await pixelsOf(c), 1e-3);
  for (const frame of [0, 9]) expect((await difference(c, r, frame)).rest).toEqual([]);
  const whole = (await difference(c, r, 3)).value;
  const broken = { base: r.base.slice(), above: r.above.slice(), below: r.below.slice() };
  broken.base[4 * 100 + 1] = NaN;
  const { value } = await difference(c, broken, 3);
  const d = (v: number, ch: number): number => (v - c.tiles[0]!.reference.data[300 + ch]!) ** 2;
  const share = [0, 1, 2].reduce((sum, ch) => sum + d(r.above[400 + ch]!, ch) - d(r.below[400 + ch]!, ch), 0) / (2 * STEP);
  expect(value).toBeCloseTo(whole - share, 4);
  expect(Math.abs(share)).toBeGreaterThan(1e-3);
});
