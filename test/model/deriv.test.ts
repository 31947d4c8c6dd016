// kpn-t's derivative mode (SPEC 7) on the device: differences against the reference's analytic gradient; what is frozen.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadSpirv } from '../../ts/gpu/index.js';
import { checkGraph, runGraph } from '../../ts/graph/run.js';
import { compareDifferences, roundingOf } from '../../ts/model/gradcheck.js';
import { outputsOf, weightCount, type ModelSpec } from '../../ts/model/spec.js';
import { modules } from '../../ts/modules/index.js';
import { targetsOf } from '../../ts/modules/kpn-t/deriv.js';
import type { KpnT } from '../../ts/modules/kpn-t/kpn-t.js';
import { packageRoot } from '../../ts/root.js';
import { caseOf } from '../kernels/batch.js';
import { runSteps, values, type Snapshot, type StepCase } from '../kernels/step-run.js';
import { evaluate, toHalf } from '../reference/index.js';
import { useDevice } from '../unit/gpu-harness.js';

const gpu = useDevice();
const last = async (c: StepCase): Promise<Snapshot> => (await runSteps(gpu.device, c, { maxSlice: 4096 })).at(-1)!;
const f32 = (s: Snapshot, name: string): Float32Array => Float32Array.from(values(s.get(name)!, 'f32'));

const models: [string, Partial<ModelSpec>, readonly [number, number]][] = [
  ['classic', { sharp: 0.1 }, [13, 9]],
  ['leaky kinks in two layers, 1x7', { layers: 2 }, [1, 7]],
  ['relu, smape, postdiff', { act: 'relu', loss: 'smape', combine: 'postdiff' }, [12, 7]],
  ['norm, enc, sigmoid', { context: 'norm', loss: 'enc', ablend: 'sigmoid', pyramid: 'binomial' }, [13, 9]],
  ['plain kernels, clamped, prediff, cosh', { apply: 'plain', ablend: 'clamped', combine: 'prediff', loss: 'cosh' }, [9, 11]],
  ['rel', { loss: 'rel', act: 'none' }, [10, 10]],
  ['chroma, postdiff, plain kernels', { chroma: true, combine: 'postdiff', apply: 'plain', ablend: 'clamped' }, [9, 8]],
  ['guide and chroma', { width: 64, context: 'guide', chroma: true, ablend: 'sigmoid', loss: 'enc' }, [9, 7]],
];

test.each(models)('%s: differences are the reference\'s gradient, also over steps that take activations across 0', async (_, model, size) => {
  const make = (dstep: number): StepCase => caseOf(model, size, 2, { params: { deriv: 1, dsample: 16, dstep }, formats: { input: 'f32', ref: 'f32' } });
  const steps: { step: number; differences: Float32Array }[] = [];
  let s: Snapshot = new Map();
  for (const step of [2 ** -5, 2 ** -7, 2 ** -9]) {
    s = await last(make(step));
    steps.push({ step, differences: f32(s, 'differences') });
  }
  const c = make(1);
  const reference = evaluate(c.model, c.weights!.map(toHalf), c.tiles);
  const targets = targetsOf(c.model, 16, 1);
  const pixels = size[0] * size[1] * 2;
  const rows = compareDifferences(c.model, {
    analytic: Float32Array.from(reference.dw), targets, steps, rounding: roundingOf(f32(s, 'dEdO'), f32(s, 'O'), pixels),
  });
  expect(rows.map((r) => r.verdict)).toEqual(rows.map(() => 'ok'));
  // The bounds say something.
  for (const r of rows) expect([r.weights, r.bound < 0.03]).toEqual([16, true]);
  // Weights that weren't asked for stay 0.
  const asked = new Set(targets);
  expect(steps[0]!.differences.every((d, i) => asked.has(i) || d === 0)).toBe(true);
});

test('all weights that are read, in order; rows past the outputs are none of them', () => {
  const m = caseOf({ layers: 2 }).model;
  const targets = targetsOf(m, 0, 1);
  expect(Array.from(targets)).toEqual(Array.from({ length: 2 * 1024 + 16 * 32 }, (_, i) => i));
  expect(weightCount(m) - targets.length).toBe((32 - outputsOf(m)) * 32);
});

test('a sample: as many of each layer, no weight twice, by the seed', () => {
  const m = caseOf({ layers: 2 }).model;
  const layerOf = (i: number): number => Math.floor(i / 1024);
  const targets = Array.from(targetsOf(m, 40, 7));
  expect(new Set(targets).size).toBe(120);
  for (const l of [0, 1, 2]) expect(targets.filter((i) => layerOf(i) === l)).toHaveLength(40);
  expect(targets.every((i) => i < 2 * 1024 + 512)).toBe(true);
  expect(Array.from(targetsOf(m, 40, 7))).toEqual(targets);
  expect(Array.from(targetsOf(m, 40, 8))).not.toEqual(targets);
});

const graph = join(packageRoot, 'examples', 'mlp', 'mlp.cfg');
const source = (config: string[]) => ({ file: graph, text: readFileSync(graph, 'utf8'), config, registry: modules });
const set = (name: string, value: string | number): string => `param:kpn-t:01:${name}:${value}`;

test.each([[1, 0, 1 + 1024 + 512], [1, 7, 15], [2, 0, 24]])('deriv %d, dsample %d: %d frames, whatever the graph says', async (deriv, dsample, frames) => {
  const checked = await checkGraph(source([set('deriv', deriv), set('dsample', dsample), set('layers', 1), 'frames:3']));
  expect(checked.graph.frames).toBe(frames);
});

test('random tiles, noise and weights stay as in frame 0', async () => {
  // Fresh tiles and noise in every frame: the losses of ten frames would all differ.
  const random = ['param:cnngenin:01:generate:2', 'param:cnngenin:01:noise:log', 'param:cnngenin:01:size:8', set('layers', 1)];
  const losses = async (config: string[]): Promise<{ losses: Set<number>; weights: number[] }> => {
    const found = { losses: new Set<number>(), weights: [] as number[] };
    await runGraph({
      ...source([...random, ...config]), device: () => gpu.device, loadSpirv, lastFrameOnly: true,
      inspect: async (access) => {
        const { history, weights } = (access.instance('kpn-t:01') as KpnT).buffers;
        found.losses = new Set(values(await access.readBuffer(history), 'f32'));
        found.weights = Array.from(values(await access.readBuffer(weights), 'f16'));
      },
    });
    return found;
  };
  const frozen = await losses([set('deriv', 1), set('dsample', 5)]);
  expect(frozen.losses.size).toBe(1);
  expect((await losses(['frames:10', set('alpha', 0)])).losses.size).toBe(10);
  expect(frozen.weights).toEqual((await losses([set('deriv', 2)])).weights);
  expect(frozen.weights).not.toEqual((await losses(['frames:2'])).weights);
});
