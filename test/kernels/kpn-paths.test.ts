// The paths against each other and whole steps by matrices (SPEC 1.4, 2): every width, one to eight layers, batches that are no
// multiple of anything, 8x8x8 and, by flexible dimensions, 16x16x16. Needs a driver with VK_KHR_cooperative_matrix: the second run
// of `npm test`. What must hold of each kernel alone is the reference's bound (step-check.ts), which is the same for all paths:
// products of f16 with f32 sums, rounded to f16 once. Two paths differ by no more than both bounds, so agreement follows.
import { listedPath } from '../../ts/gpu/matrix.js';
import { listDevices } from '../../ts/gpu/index.js';
import { readState } from '../../ts/modules/kpn-t/state.js';
import { ADAM_DEFAULTS, random, toHalf } from '../reference/index.js';
import { useDevice } from '../unit/gpu-harness.js';
import { PATHS } from './paths.js';
import { checkStep, stateAtStart } from './step-check.js';
import { listedCases, testWeights, tilesOf } from './step-cases.js';
import { runSteps, values, type StepCase } from './step-run.js';

const gpu = useDevice();
const info = listDevices()[0]!;
const shape = (width: number, height: number, levels: number, tiles: number) => ({ size: [width, height] as const, levels, tiles });

const cases = listedCases([
  { width: 32, layers: 8, context: 'norm', act: 'lrelu', ablend: 'sigmoid', shape: shape(12, 5, 3, 1) },
  { width: 32, layers: 3, shape: shape(17, 9, 2, 3) },
  { width: 64, layers: 2, context: 'wnorm', combine: 'postdiff', pyramid: 'binomial', shape: shape(6, 5, 2, 3) },
  { width: 64, layers: 5, context: 'norm', loss: 'enc', shape: shape(13, 7, 1, 1) },
  { width: 128, layers: 1, context: 'window', combine: 'prediff', shape: shape(7, 7, 2, 1) },
  { width: 128, layers: 3, context: 'norm', act: 'relu', shape: shape(11, 3, 1, 1) },
  { width: 64, layers: 3, context: 'guide', chroma: true, ablend: 'sigmoid', loss: 'enc', shape: shape(11, 9, 3, 2) },
]).map(({ name, c }) => ({ name, c: { ...c, frames: 1 } }));

/** Frame 0 on a path, every tensor within the reference's bounds; all are chosen so that nothing overflows. */
async function check(c: StepCase, path: string): Promise<void> {
  const [snapshot] = await runSteps(gpu.device, { ...c, path });
  expect(checkStep(c, snapshot!, stateAtStart(c.weights!), ADAM_DEFAULTS)).toBe(true);
}

const on = (path: string): jest.It => (PATHS.includes(path) ? test : test.skip);
describe.each(['khr', 'nv'])('whole steps, %s', (path) => {
  on(path).each(cases)('$name', ({ c }) => check(c, path));
});

describe('khr, 16x16x16 by flexible dimensions', () => {
  const there = 'shape' in listedPath(info, 'khr', { VKPN_TILE: '16x16x16' });
  beforeAll(() => void (process.env.VKPN_TILE = '16x16x16'));
  afterAll(() => void delete process.env.VKPN_TILE);
  (there ? test : test.skip).each([cases[1]!, cases[3]!])('$name', ({ c }) => check(c, 'khr'));
});

/** Weights and loss after 50 steps. */
async function train(c: StepCase): Promise<{ master: Float64Array; loss: number }> {
  const snapshot = (await runSteps(gpu.device, c, { maxSlice: 50 })).at(-1)!;
  const state = readState(snapshot.get('state')!);
  expect([state.frame, state.skipped]).toEqual([50, 0]);
  return { master: values(snapshot.get('master')!, 'f32'), loss: state.smoothed };
}

const rms = (a: Float64Array, b: Float64Array): number => Math.sqrt(a.reduce((s, x, i) => s + (x - b[i]!) ** 2, 0) / a.length);

describe.each(['khr', 'nv'])('50 steps, %s', (path) => {
  // What two runs may differ by cannot be derived from one step's rounding: training amplifies it. So it is measured: a run whose
  // first weights differ by one f16 rounding each (half of them up, half down), which is what the paths' roundings amount to in every
  // step, not only the first. Another path must stay within twice that, and both must have learned the same.
  on(path)('as far from plain as rounding leads', async () => {
    const tiles = tilesOf(['photo'], 24, 20, 5);
    const model = { ...cases[1]!.c.model, layers: 2, levels: 3, context: 'norm' as const };
    const weights = testWeights(model, 3, 0.05);
    const next = random(9);
    const moved = weights.map((w) => (w === 0 ? 0 : toHalf(w * (1 + (next() < 0.5 ? -1 : 1) * 2 ** -10))));
    const base: StepCase = { model, tiles, frames: 50, weights, path: 'plain', params: { alpha: 0.001, L2: 0 } };
    const plain = await train(base);
    const control = await train({ ...base, weights: moved });
    const other = await train({ ...base, path });
    const learned = rms(plain.master, weights);
    const allowed = rms(control.master, plain.master);
    expect(learned).toBeGreaterThan(20 * allowed); // else the comparison says nothing
    expect(rms(other.master, plain.master)).toBeLessThan(2 * allowed);
    expect(Math.abs(other.loss / plain.loss - 1)).toBeLessThan(2 * Math.abs(control.loss / plain.loss - 1) + 2 ** -10);
  });
});
