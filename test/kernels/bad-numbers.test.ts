// Numbers that are not finite, huge or negative (SPEC 1.7): a bad pixel gives no gradient and is counted, the others give theirs, and training goes on.
import { readState } from '../../ts/modules/kpn-t/state.js';
import { ADAM_DEFAULTS, type Tile } from '../reference/index.js';
import { useDevice } from '../unit/gpu-harness.js';
import { Tensors, checkStep, stateAtStart } from './step-check.js';
import { checkWhole } from './step-whole.js';
import { caseOf } from './batch.js';
import { PATHS } from './paths.js';
import { runSteps, values, type Snapshot, type StepCase } from './step-run.js';

const gpu = useDevice();

/** The case with some channels of the first tile's input replaced: index -> value. */
function spoiled(c: StepCase, bad: Record<number, number>): StepCase {
  const [first, ...others] = c.tiles as [Tile, ...Tile[]];
  const data = first.input.data.slice();
  for (const [i, v] of Object.entries(bad)) data[Number(i)] = v;
  return { ...c, tiles: [{ ...first, input: { ...first.input, data } }, ...others], frames: 6 };
}

const at = (x: number, y: number, channel = 0): number => 3 * (13 * y + x) + channel;

async function trains(c: StepCase, path: string): Promise<{ bad: number }> {
  const snapshots = await runSteps(gpu.device, { ...c, path });
  const [first] = snapshots;
  const before = stateAtStart(c.weights!);
  const t = new Tensors(c, first!, before.scale, true);
  expect(checkStep(c, first!, before, ADAM_DEFAULTS, t)).toBe(true);
  // Its gradient is the whole reference's, which counts the bad pixels too (step-whole.ts has the bound).
  const bad = checkWhole(t, before);
  expect(readState(first!.get('state')!).badNow).toBe(bad);
  const last = snapshots.at(-1)!;
  const end = readState(last.get('state')!);
  expect(end).toMatchObject({ frame: 6, updates: 6, skipped: 0 });
  expect(end.badPixels).toBeGreaterThanOrEqual(6 * Math.min(1, bad));
  for (const name of ['master', 'moment1', 'moment2']) expect(values(last.get(name)!, 'f32').every(Number.isFinite)).toBe(true);
  return { bad };
}

describe.each(PATHS)('path %s', (path) => {
  const one = caseOf({ levels: 1, ablend: 'sigmoid' }, [13, 9], 2);
  const several = caseOf({ levels: 3, ablend: 'sigmoid' }, [13, 9], 2);

  test.each([['NaN', NaN], ['Infinity', Infinity], ['-Infinity', -Infinity]] as const)('%s in one pixel, one level: its neighbours are bad, as far as the taps reach', async (_, v) => {
    const { bad } = await trains(spoiled(one, { [at(6, 4, 1)]: v }), path);
    expect(bad).toBe(15); // the pixels that have it under a tap
  });

  test('several levels: all that up2 reaches', async () => {
    const { bad } = await trains(spoiled(several, { [at(0, 0)]: Infinity, [at(1, 0, 2)]: NaN }), path);
    expect(bad).toBeGreaterThan(15);
    expect(bad).toBeLessThan(2 * 13 * 9);
  });

  test.each(['prediff', 'postdiff'] as const)('%s', async (combine) => {
    await trains(spoiled(caseOf({ levels: 2, ablend: 'sigmoid', combine }, [13, 9], 3), { [at(12, 8)]: NaN }), path);
  });
});

test('huge and negative pixels are good ones; a gradient beyond f16 lowers the scale until it fits', async () => {
  const c = spoiled(caseOf({ levels: 3, ablend: 'sigmoid' }, [13, 9], 2), { [at(3, 3)]: 60000, [at(7, 7)]: -60000, [at(8, 2)]: -1 });
  const snapshots = await runSteps(gpu.device, { ...c, frames: 60, params: { alpha: 1e-5 } }); // small: else activations overflow
  const states = snapshots.map((s) => readState(s.get('state')!));
  expect(states[0]).toMatchObject({ badNow: 0, skipped: 1, updates: 0, scale: 64 });
  const end = states.at(-1)!;
  expect(end.badPixels).toBe(0);
  expect(end.updates).toBeGreaterThan(30);
  expect(end.updates + end.skipped).toBe(60);
  expect(values(snapshots.at(-1)!.get('master')!, 'f32').every(Number.isFinite)).toBe(true);
});

test('a picture of nothing but bad pixels: no gradient, an update by L2 and momentum alone', async () => {
  const c = caseOf({ levels: 1 }, [4, 4], 1);
  const bad = Object.fromEntries(Array.from({ length: 48 }, (_, i) => [i, NaN]));
  const [first] = await runSteps(gpu.device, { ...spoiled(c, bad), frames: 1 });
  expect(readState(first!.get('state')!)).toMatchObject({ badNow: 16, updates: 1, norm: 0, loss: 0 });
  expect(values(first!.get('dEdw')!, 'f32').every((v) => v === 0)).toBe(true);
});

describe('an update that would leave a weight or moment that is not finite (SPEC 3)', () => {
  const kept = ['master', 'moment1', 'moment2', 'w', 'rounded'];
  const same = (a: Snapshot, b: Snapshot): boolean[] => kept.map((name) => Buffer.compare(a.get(name)!, b.get(name)!) === 0);

  test('is skipped whole and counted, and training goes on with the next', async () => {
    const c = caseOf({ levels: 2, ablend: 'sigmoid' }, [13, 9], 1);
    const lines = ['keyFRAME:0:kpn-t:01:alpha:0:1:0.001', 'keyFRAME:4:kpn-t:01:alpha:0:1:1e9', 'keyFRAME:5:kpn-t:01:alpha:0:1:0.001'];
    const snapshots = await runSteps(gpu.device, { ...c, frames: 8, lines, params: { alpha: 0.001 } });
    const states = snapshots.map((s) => readState(s.get('state')!));
    const skipped = states.findIndex((s) => s.overflows > 0);
    expect(skipped).toBeGreaterThan(0);
    expect(states.map((s) => s.frame)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(states.at(-1)).toMatchObject({ updates: 8 - states.at(-1)!.skipped, skipped: states.at(-1)!.overflows, scale: 128 });
    expect(same(snapshots[skipped]!, snapshots[skipped - 1]!)).toEqual([true, true, true, true, true]);
    expect(states[skipped]!.updates).toBe(states[skipped - 1]!.updates);
    expect(same(snapshots[7]!, snapshots[6]!)).toEqual([false, false, false, false, false]);
    expect(states[7]!.updates).toBe(states[6]!.updates + 1);
  });

  test('eps 0 where some weight has never had a gradient: 0/0, so nothing is ever updated, and that is said', async () => {
    const grey = caseOf({ levels: 1 }, [8, 8], 1);
    const data = grey.tiles[0]!.input.data.map(() => 0.5); // saturation 0: no gradient for its weights
    const c = { ...grey, tiles: [{ ...grey.tiles[0]!, input: { ...grey.tiles[0]!.input, data } }], frames: 3, params: { eps: 0, L2: 0 } };
    const snapshots = await runSteps(gpu.device, c);
    expect(readState(snapshots[2]!.get('state')!)).toMatchObject({ frame: 3, updates: 0, skipped: 3, overflows: 3 });
    expect(values(snapshots[2]!.get('master')!, 'f32')).toEqual(c.weights);
  });

  test('what step knows of all weights without looking at them is true of each, whatever the options of a frame', async () => {
    const c = caseOf({ levels: 2, ablend: 'sigmoid' }, [13, 9], 1);
    const lines = [['beta1', 0.9, 0.5], ['beta2', 0.999, 0.6], ['gradclip', 1000, 0.001], ['L2', 0, 0.1]].flatMap(([name, a, b]) => [`keyframe:0:kpn-t:01:${name}:0:1:${a}`, `keyframe:30:kpn-t:01:${name}:0:1:${b}`]);
    const snapshots = await runSteps(gpu.device, { ...c, frames: 31, lines, params: { alpha: 0.01 } });
    for (const s of snapshots) {
      const state = new DataView(s.get('state')!.slice().buffer);
      const [ratio, second] = [state.getFloat32(64, true), state.getFloat32(68, true)];
      const [m, v] = [values(s.get('moment1')!, 'f32'), values(s.get('moment2')!, 'f32')];
      expect(Math.max(...m.map((x, i) => Math.abs(x) / (Math.sqrt(v[i]!) + 2 ** -30)))).toBeLessThanOrEqual(ratio);
      expect(Math.max(...v)).toBeLessThanOrEqual(second);
      expect(values(s.get('master')!, 'f32').every((w) => Math.abs(w) <= 32768)).toBe(true);
      expect(Number.isFinite(ratio)).toBe(true);
    }
    expect(readState(snapshots.at(-1)!.get('state')!)).toMatchObject({ updates: 31, skipped: 0 });
  });
});
