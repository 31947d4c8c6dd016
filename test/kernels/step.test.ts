// A whole training step against the reference (SPEC 1 to 3): every tensor, every option pairwise, small and odd sizes.
import { ADAM_DEFAULTS, gradientNorm } from '../reference/index.js';
import { useDevice } from '../unit/gpu-harness.js';
import { adamUpdate, type MomentErrors } from './expected.js';
import { LONG_PATHS } from './paths.js';
import { checkOverflow, checkStep, checkUpdate, compare, stateAtStart, stateAfter, Tensors } from './step-check.js';
import { checkWhole } from './step-whole.js';
import { NARROW, listedCases, pairwiseCases } from './step-cases.js';
import { runSteps, values, type StepCase } from './step-run.js';

const gpu = useDevice();

/** Frame 0, whatever became of it, then the first that updates the weights, whole; and the update of the one after. */
async function check(c: StepCase): Promise<void> {
  const snapshots = await runSteps(gpu.device, c);
  let before = stateAtStart(c.weights!);
  let updated = false;
  for (const snapshot of snapshots) {
    if (updated) return void (checkOverflow(snapshot, before) || checkUpdate(snapshot, before, values(snapshot.get('dEdw')!, 'f32'), ADAM_DEFAULTS));
    updated = checkStep(c, snapshot, before, ADAM_DEFAULTS);
    before = stateAfter(snapshot);
  }
  expect(updated).toBe(true);
}

describe.each(LONG_PATHS)('32 wide, all options pairwise, path %s', (path) => {
  test.each(pairwiseCases({ context: NARROW, layers: [1, 2] }, { width: 32 }))('$name', ({ c }) => check({ ...c, path }));
});

// A driver on the CPU takes seconds to compile a wide layer, so these are few.
const shape = (width: number, height: number, levels: number, tiles: number) => ({ size: [width, height] as const, levels, tiles });
const wide = listedCases([
  { width: 64, context: 'window', ablend: 'sigmoid', shape: shape(11, 6, 3, 2) },
  { width: 64, context: 'wnorm', combine: 'prediff', act: 'relu', loss: 'enc', shape: shape(5, 9, 7, 1) },
  { width: 64, layers: 2, context: 'wnorm', combine: 'postdiff', pyramid: 'binomial', shape: shape(6, 5, 2, 3) },
  { width: 128, context: 'window', combine: 'prediff', kind: 'negative', shape: shape(7, 7, 2, 1) },
  { width: 32, layers: 8, context: 'norm', act: 'lrelu', ablend: 'sigmoid', shape: shape(12, 5, 3, 1) },
  { width: 32, shape: shape(64, 64, 4, 1) },
  { width: 32, layers: 2, context: 'norm', combine: 'postdiff', pyramid: 'binomial', shape: shape(70, 33, 5, 2) },
]);
test.each(wide)('$name', ({ c }) => check(c));

// Level by level, coarse to fine.
const guide = { width: 64, context: 'guide' } as const;
const guided = listedCases([
  { ...guide, combine: 'blend', shape: shape(23, 17, 3, 2) },
  { ...guide, combine: 'blend', chroma: true, pyramid: 'binomial', up: 'bilinear', ablend: 'sigmoid', shape: shape(9, 1, 4, 1) },
  { ...guide, combine: 'prediff', pyramid: 'binomial', kind: 'negative', shape: shape(5, 3, 7, 3) },
  { ...guide, combine: 'prediff', chroma: true, up: 'bilinear', kind: 'black', shape: shape(13, 10, 1, 2) },
  { ...guide, combine: 'postdiff', up: 'bilinear', shape: shape(1, 1, 3, 2) },
  { ...guide, combine: 'postdiff', chroma: true, pyramid: 'binomial', ablend: 'clamped', kind: 'huge', shape: shape(12, 9, 3, 2) },
]);
test.each(guided)('$name', ({ c }) => check(c));

/**
 * Ten steps beside the whole model in the reference, which goes on from what the device stored (step-whole.ts): that its parts are put together
 * rightly, without a rounding that grows. And the reference's Adam alone for all ten steps, from the device's gradients: there what one step
 * is off by is carried to the next, as a bound (adamUpdate).
 */
describe('beside the whole reference', () => {
  const cases = listedCases([
    { context: 'norm', ablend: 'sigmoid', loss: 'l2', shape: shape(12, 10, 3, 2) },
    { combine: 'prediff', pyramid: 'binomial', up: 'bilinear', layers: 2, shape: shape(11, 7, 2, 2) },
    { combine: 'postdiff', ablend: 'clamped', act: 'relu', loss: 'cosh', shape: shape(9, 9, 3, 1) },
    { context: 'norm', ablend: 'sigmoid', chroma: true, shape: shape(12, 10, 3, 2) },
    { combine: 'postdiff', chroma: true, layers: 2, shape: shape(10, 7, 3, 1) },
    { combine: 'prediff', chroma: true, shape: shape(10, 7, 3, 1) },
    { width: 64, context: 'guide', chroma: true, ablend: 'sigmoid', shape: shape(9, 11, 3, 1) },
  ]);
  const adam = { ...ADAM_DEFAULTS, alpha: 0.001, gradclip: 0.5 };

  test.each(cases)('$name', async ({ c }) => {
    const snapshots = await runSteps(gpu.device, { ...c, frames: 10, params: { alpha: 0.001, gradclip: 0.5 } });
    let before = stateAtStart(c.weights!);
    let free = before.moments;
    let off: MomentErrors | undefined;
    for (const snapshot of snapshots) {
      const t = new Tensors(c, snapshot, before.scale);
      expect(checkStep(c, snapshot, before, adam, t)).toBe(true);
      expect(checkWhole(t, before)).toBe(0);
      const e = adamUpdate(free, values(snapshot.get('dEdw')!, 'f32'), adam, off);
      before = stateAfter(snapshot);
      for (const name of ['w', 'moment1', 'moment2'] as const) compare(`${name}, free since the first step`, before.moments[name], e[name]);
      free = { w: e.w.value, moment1: e.moment1.value, moment2: e.moment2.value, n: before.moments.n };
      off = { w: e.w.bound, moment1: e.moment1.bound, moment2: e.moment2.bound };
    }
    expect(before.moments.n).toBe(10);
    // The bound has not grown to where it says nothing: ten steps' way is a hundred times as long.
    const way = gradientNorm(before.moments.w.map((v, i) => v - c.weights![i]!));
    expect(gradientNorm(off!.w)).toBeLessThan(way / 100);
  });
});
