// A whole training step against the reference (SPEC 1 to 3): every tensor, every option pairwise, small and odd sizes.
import { ADAM_DEFAULTS } from '../reference/index.js';
import { useDevice } from '../unit/gpu-harness.js';
import { checkOverflow, checkStep, checkUpdate, stateAtStart, stateAfter } from './step-check.js';
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

describe('32 wide, all options pairwise', () => {
  test.each(pairwiseCases({ context: NARROW, layers: [1, 2] }, { width: 32 }))('$name', ({ c }) => check(c));
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
