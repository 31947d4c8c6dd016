// The paths against each other and whole steps by matrices (SPEC 1.4, 2): every width, one to eight layers, batches that are no
// multiple of anything, 8x8x8 and, by flexible dimensions, 16x16x16. Needs a driver with VK_KHR_cooperative_matrix: the second run
// of `npm test`. What must hold of each kernel alone is the reference's bound (step-check.ts), which is the same for all paths:
// products of f16 with f32 sums, rounded to f16 once. Two paths differ by no more than both bounds, so agreement follows.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { GpuError } from '../../ts/errors.js';
import { listedPath } from '../../ts/gpu/matrix.js';
import { listDevices, type Device } from '../../ts/gpu/index.js';
import { slotsOf } from '../../ts/modules/kpn/path.js';
import { readState } from '../../ts/modules/kpn-t/state.js';
import { ADAM_DEFAULTS } from '../reference/index.js';
import { packageRoot } from '../../ts/root.js';
import { deviceFace, scratch, useDevice } from '../unit/gpu-harness.js';
import { keepingPath, onConversions, PATHS } from './paths.js';
import { checkStep, stateAfter, stateAtStart, Tensors } from './step-check.js';
import { listedCases, testWeights, tilesOf } from './step-cases.js';
import { runSteps, type StepCase, values } from './step-run.js';
import { checkWhole } from './step-whole.js';

const gpu = useDevice();
const info = listDevices()[0]!;
const shape = (width: number, height: number, levels: number, tiles: number) => ({ size: [width, height] as const, levels, tiles });

const cases = listedCases([
  { width: 32, layers: 8, context: 'norm', act: 'lrelu', ablend: 'sigmoid', shape: shape(12, 5, 3, 1) },
  { width: 32, layers: 3, shape: shape(17, 9, 2, 3) },
  { width: 64, layers: 2, context: 'wnorm', combine: 'postdiff', pyramid: 'binomial', shape: shape(6, 5, 2, 3) },
  { width: 32, layers: 4, context: 'norm', shape: shape(9, 5, 1, 1) },
  { width: 64, layers: 6, context: 'norm', shape: shape(5, 9, 2, 1) },
  { width: 32, layers: 7, context: 'norm', ablend: 'sigmoid', shape: shape(7, 3, 1, 3) },
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

// Kernel by kernel the plain path in tiles is tested beside the others; this is how they go together.
describe('whole steps, plain tiled', () => {
  test.each(cases.filter(({ c: { model: { width, layers } } }) => [[64, 6], [32, 7], [128, 3]].some(([w, h]) => width === w && layers === h)))('$name', ({ c }) => check(c, 'plain tiled'));
});

/** Also where a pixel's numbers overflow, and all that it left is cleared. */
const [given, ...others] = cases[1]!.c.tiles;
const overflowing = { ...cases[1]!.c, tiles: [{ ...given!, input: { ...given!.input, data: given!.input.data.map((v, i) => (i === 100 ? Infinity : v)) } }, ...others] };
describe.each(['khr', 'nv'])('a step that makes every second activation anew has the gradient of one that keeps all, %s', (path) => {
  on(path).each([cases[0]!.c, cases[1]!.c, { ...cases[1]!.c, model: { ...cases[1]!.c.model, layers: 2 }, weights: undefined }, overflowing])('case %#', async (c) => {
    const run = async (gradient: string) => runSteps(gpu.device, { ...c, frames: 2, path: keepingPath(path), params: { ...c.params, gradient } });
    const all = await run('fused'), sparse = await run('sparse');
    expect(sparse.map((s) => s.get('dEdw'))).toEqual(all.map((s) => s.get('dEdw')));
    expect(sparse[0]!.get('A')!.byteLength).toBeLessThan(all[0]!.get('A')!.byteLength);
    expect(readState(sparse[1]!.get('state')!).badPixels > 0).toBe(c === overflowing);
  });
});

const sixLayers = { ...cases[1]!.c, model: { ...cases[1]!.c.model, layers: 6, act: 'relu' as const }, weights: undefined };
describe.each([['all', 'anew', 2 ** -18, [cases[1]!.c, cases[3]!.c, sixLayers, overflowing]], ['every second of the', 'sparse', 2 ** -16, [cases[1]!.c, cases[2]!.c, cases[4]!.c, sixLayers, overflowing]]] as const)('a step whose panel stays in registers and that makes %s activations anew has the gradient of one that keeps all, but for roundings', (_, gradient, bound, of) => {
  onConversions.each(of)('case %#', async (c) => {
    const run = async (gradient: string) => runSteps(gpu.device, { ...c, frames: 2, path: 'khr', params: { ...c.params, gradient } });
    const [all, anew] = [(await run('fused'))[0]!, (await run(gradient))[0]!];
    const [a, b] = [all, anew].map((s) => values(s.get('dEdw')!, 'f32'));
    const most = Math.max(...a!.map(Math.abs));
    expect(most).toBeGreaterThan(0);
    // lrelu's slope, 2^-10, of sums that are rounded before or after (2^-11), and what follows: a D that is rounded the other way is 2^-11 of a pixel's part.
    expect(Math.max(...a!.map((v, i) => Math.abs(v - b![i]!)))).toBeLessThan(bound * most);
    const layers = c.model.layers!;
    expect(anew.get('A')!.byteLength).toBe((all.get('A')!.byteLength / (layers + 1)) * slotsOf(layers, gradient));
    expect(readState(anew.get('state')!).badPixels).toBe(readState(all.get('state')!).badPixels);
    expect(readState(anew.get('state')!).badPixels > 0).toBe(c === overflowing);
  });
});

describe('khr, 16x16x16 by flexible dimensions', () => {
  const there = 'shape' in listedPath(info, 'khr', { VKPN_TILE: '16x16x16' });
  beforeAll(() => void (process.env.VKPN_TILE = '16x16x16'));
  afterAll(() => void delete process.env.VKPN_TILE);
  (there ? test : test.skip).each([cases[1]!, cases.find(({ c: { model } }) => model.layers === 5)!])('$name', ({ c }) => check(c, 'khr'));
});

// How far two runs of fifty steps drift apart cannot be bounded by one step's rounding: training amplifies it, and every bound on that growth that can
// be derived is so wide that it says nothing. So every one of the fifty steps is held to the reference's bound from the state that the step
// before it left: all tensors, dE/dw, norm, loss, moments, weights, and how they hang together (step-whole.ts). Two paths for which that
// holds make, from any state, the same step to within the sum of both bounds: what they differ by after fifty is what training makes of rounding.
describe.each(['plain', 'khr', 'nv'])('50 steps, %s', (path) => {
  on(path)('each within the reference\'s bound of the state before it', async () => {
    const model = { ...cases[1]!.c.model, layers: 2, levels: 3, context: 'norm' as const };
    const weights = testWeights(model, 3, 0.05);
    const adam = { ...ADAM_DEFAULTS, alpha: 0.001, L2: 0 };
    const c: StepCase = { model, tiles: tilesOf(['photo'], 10, 7, 5), frames: 50, weights, path, params: { alpha: adam.alpha, L2: adam.L2 } };
    const losses: number[] = [];
    let before = stateAtStart(weights);
    for (const snapshot of await runSteps(gpu.device, c)) {
      const t = new Tensors(c, snapshot, before.scale);
      expect(checkStep(c, snapshot, before, adam, t)).toBe(true);
      expect(checkWhole(t, before)).toBe(0);
      before = stateAfter(snapshot);
      losses.push(readState(snapshot.get('state')!).loss);
    }
    expect(before.moments.n).toBe(50);
    expect(losses.at(-1)! / losses[0]!).toBeLessThan(0.9); // it has learned
  });
});

describe.each(['plain', 'khr', 'nv'])('path %s fails: that is said, and no other path takes over', (path) => {
  const { c } = cases[0]!;

  on(path)('at a pipeline', async () => {
    const { device } = gpu;
    const asked: string[] = [];
    const refuses: Device = {
      ...deviceFace(device),
      buildKernel: async (desc) => {
        asked.push(desc.name);
        if (/^kpn\/bck/.test(desc.name)) throw new GpuError('VULKAN', `${desc.name}: vkCreateComputePipelines: VK_ERROR_UNKNOWN`);
        return device.buildKernel(desc);
      },
    };
    await expect(runSteps(refuses, { ...c, path })).rejects.toMatchObject({ code: 'VULKAN', exitCode: 4, message: expect.stringContaining(`kpn/bck.${path}`) });
    // GPUs' kernels are built side by side: others of this path may have been asked for as well.
    const layers = asked.filter((name) => /^kpn\/(fwd|bck|mulw)/.test(name));
    for (const kernel of ['fwd', 'bck']) expect(layers).toContainEqual(expect.stringMatching(new RegExp(`^kpn/${kernel}\\.${path}`)));
    expect(layers.filter((name) => !name.split('.').includes(path))).toEqual([]);
  });

  // The real process; the device is lost in the middle of its frames.
  on(path)('in mid-run', () => {
    const dir = mkdtempSync(join(scratch, 'lost-'));
    const args = ['cli', '-g', join(packageRoot, 'examples', 'demo.cfg'), '--path', path, '--last-frame-only', '-d', 'all', '--config', 'frames:20', 'param:cnngenin:01:size:32'];
    const { status, stderr } = spawnSync(process.execPath, [join(packageRoot, 'bin', 'vkpn'), ...args], { cwd: dir, encoding: 'utf8', env: { ...process.env, VKPN_LOSE_DEVICE: '10' } });
    expect(stderr).toMatch(/VK_ERROR_DEVICE_LOST/);
    expect(stderr.match(/stage pipelines/g)).toHaveLength(1); // it was planned once
    expect([status, readdirSync(dir)]).toEqual([3, []]);
  });
});
