// Whole graphs, timed: the training step (cnngenin, kpn-t) and a picture's inference (kpn), on synthetic pictures that are put into
// the device's memory before. Built by the modules themselves, so that what is timed is what `vkpn cli` runs.

import { toHalf } from '../formats/half.js';
import { toFloat } from '../formats/pixels.js';
import { loadSpirv, type Device, type Program } from '../gpu/index.js';
import { DevicePlan } from '../graph/device-plan.js';
import { makePlan, stepName, type Plan } from '../graph/plan.js';
import { checkGraph } from '../graph/run.js';
import type { RunNode } from '../graph/shapes.js';
import type { FrameContext, ModuleType, PlanBuffer } from '../graph/types.js';
import { initialWeights, randomUniform } from '../model/init.js';
import { levelSizes, PRESETS, weightsText, type ModelSpec, type Preset } from '../model/spec.js';
import { cnngenin } from '../modules/cnngenin.js';
import { display } from '../modules/display.js';
import { kpn } from '../modules/kpn/kpn.js';
import { kpnT, type KpnT } from '../modules/kpn-t/kpn-t.js';
import { compare, type Bounds, type Verdict } from './network.js';

const tileSize = 64;
/** Frames that the graph is said to have; only the learning rate's decay would depend on it, and there is none. */
const frames = 1_000_000;

/** Another path's result of the same data may be off so far: roundings to f16 add up over layers and levels. */
const boundsOfStep: Bounds = { rms: 2 ** -6, max: 2 ** -2 };
const boundsOfPicture: Bounds = { rms: 2 ** -9, max: 2 ** -4 };

/** A picture of waves with noise on them, in [0.05, 0.95], rgba f16. */
function picture(width: number, height: number, seed: number): Uint16Array {
  const random = randomUniform(seed);
  const row = Float32Array.from({ length: 4 * (width + 977) }, (_, i) => 0.5 + 0.3 * Math.sin(i / 37 + (i % 4)) + 0.15 * (2 * random() - 1));
  const noisy = toHalf(row).data;
  const pixels = new Uint16Array(4 * width * height);
  for (let y = 0; y < height; ++y) pixels.set(noisy.subarray(4 * ((y * 331) % 977), 4 * (((y * 331) % 977) + width)), 4 * width * y);
  return pixels;
}

/** A source of a graph with these contents, in memory that keeps them. */
function source(name: string, shape: Awaited<ReturnType<ReturnType<ModuleType['create']>['shapes']>>['x'], data: Uint16Array): { type: ModuleType; buffer: () => PlanBuffer } {
  let made: PlanBuffer | undefined;
  const type: ModuleType = {
    name, doc: 'data of a benchmark', params: [],
    connectors: [{ name: 'output', type: 'source', channels: shape!.channels, format: shape!.format }],
    create: () => ({
      shapes: () => ({ output: shape! }),
      build: (ctx) => void (made = ctx.output('output', { init: new Uint8Array(data.buffer) })),
    }),
  };
  return { type, buffer: () => made! };
}

/** A graph on the device, before its first frame. */
export class GraphRun {
  private constructor(
    readonly nodes: readonly RunNode[],
    private readonly plan: Plan,
    readonly devicePlan: DevicePlan,
  ) {}

  static async create(device: Device, text: string, types: readonly ModuleType[]): Promise<GraphRun> {
    const { run } = await checkGraph({ file: 'bench', text, registry: new Map(types.map((t) => [t.name, t])) });
    const plan = makePlan(run, device.info);
    const devicePlan = await DevicePlan.create(plan, device, loadSpirv);
    const made = new GraphRun(run, plan, devicePlan!);
    for (const node of run) await node.instance.beforeFrame?.(made.context(node), 0);
    return made;
  }

  context(node: RunNode): FrameContext {
    return {
      params: node.node.params,
      write: (buffer, data, offset) => this.devicePlan.write(buffer, data, offset),
      read: (buffer, offset, bytes) => this.devicePlan.read(buffer, offset, bytes),
    };
  }

  get program(): Program {
    return this.devicePlan.program;
  }

  /** Of each op of the program; barriers have none. */
  get opNames(): string[] {
    return this.devicePlan.opSteps.map((step) => (step ? stepName(step) : ''));
  }

  node(module: string): RunNode {
    return this.nodes.find((n) => n.node.key === module)!;
  }

  /** What a sink finds. */
  async sink(module: string): Promise<Float32Array> {
    return toFloat('f16', await this.devicePlan.read(this.plan.ports.get(this.node(module))!.inputs.get('input')!.buffer));
  }

  destroy(): void {
    this.devicePlan.destroy();
  }
}

/** Pixels of all levels that go through the layers. */
export function pixelsOf(m: ModelSpec, width: number, height: number, tiles = 1): number {
  return tiles * levelSizes(width, height, m.levels - 1).reduce((sum, s) => sum + s.width * s.height, 0);
}

export const stepPixels = (preset: Preset, tiles: number): number => pixelsOf(PRESETS[preset], tileSize, tileSize, tiles);

/** A preset's network, with as many hidden layers as it says or others. */
export interface PresetNetwork {
  preset: Preset;
  layers: number;
}

/** The training step of a network, `tiles` tiles of 64x64 with synthetic noise, cut at random from a picture. */
export async function prepareStep(device: Device, { preset, layers }: PresetNetwork, path: string, tiles: number, seed: number): Promise<GraphRun> {
  const side = 512;
  const input = source('i-bench', { channels: 'rgba', format: 'f16', width: side, height: side, count: 1 }, picture(side, side, seed));
  return GraphRun.create(device, `frames:${frames}
module:i-bench:ref
module:cnngenin:01
module:kpn-t:01
module:display:main
connect:i-bench:ref:output:cnngenin:01:refi
connect:cnngenin:01:imgo:kpn-t:01:input
connect:cnngenin:01:refo:kpn-t:01:ref
connect:cnngenin:01:noiseab:kpn-t:01:noiseab
connect:kpn-t:01:output:display:main:input
param:cnngenin:01:generate:2
param:cnngenin:01:noise:log
param:cnngenin:01:batch:${tiles}
param:cnngenin:01:seed:${seed}
param:kpn-t:01:init:1
param:kpn-t:01:seed:${seed}
param:kpn-t:01:preset:${preset}
param:kpn-t:01:layers:${layers}
param:kpn-t:01:path:${path}
param:kpn-t:01:alpha:0.001
param:kpn-t:01:gradclip:1
`, [input.type, cnngenin, kpnT, display]);
}

/** dE/dw of the first frame, f32. */
export async function firstGradient(step: GraphRun): Promise<Float32Array> {
  await step.program.run(1);
  return floats(step, 'dEdw');
}

async function floats(step: GraphRun, name: 'dEdw' | 'master'): Promise<Float32Array> {
  const bytes = await step.devicePlan.read((step.node('kpn-t:01').instance as KpnT).buffers[name]);
  return new Float32Array(bytes.slice().buffer);
}

/**
 * After `firstGradient`: whether that is the same as `want` (the plain path's, in f32 sums from f16 activations as well) and whether
 * `further` steps update, but for the few whose gradients overflow until their scale is found, and leave finite weights. A step that
 * was skipped is right too: its norm is not finite, and its tile's loss may be large.
 */
export async function checkStep(step: GraphRun, gradient: Float32Array, want: Float32Array, further: number): Promise<Verdict> {
  const verdict = compare(gradient, want, boundsOfStep, (i) => `dE/dw[${i}] of the first step`);
  if ('wrong' in verdict) return verdict;
  if (!gradient.some((g) => g !== 0)) return { wrong: 'dE/dw of the first step is all zeros' };
  await step.program.run(further);
  const node = step.node('kpn-t:01');
  const state = await (node.instance as KpnT).readState(step.context(node));
  if (state.badPixels > 0) return { wrong: `${state.badPixels} pixels had a result that is not finite` };
  if (state.updates + state.skipped !== further + 1 || state.skipped > (further + 1) / 4) return { wrong: `${further + 1} steps made ${state.updates} updates and skipped ${state.skipped}` };
  if (!Number.isFinite(state.loss)) return { wrong: `after ${further + 1} steps the loss is ${state.loss}` };
  const weights = await floats(step, 'master');
  const bad = weights.findIndex((w) => !Number.isFinite(w));
  return bad < 0 ? verdict : { wrong: `after ${further + 1} steps weight ${bad} is ${weights[bad]}` };
}

export interface PictureRun {
  graph: GraphRun;
  /** Puts another picture in. */
  use(seed: number): void;
}

/** Inference of a whole picture, random weights. */
export async function preparePicture(device: Device, { preset, layers }: PresetNetwork, path: string, width: number, height: number, spin: number, seed: number): Promise<PictureRun> {
  const m = { ...PRESETS[preset], layers };
  const input = source('i-bench', { channels: 'rgba', format: 'f16', width, height, count: 1 }, picture(width, height, seed));
  const weights = source('w-bench', { channels: 'ssbo', format: 'f16', width: m.width, height: (m.layers + 1) * m.width, count: 1, text: weightsText(m) }, toHalf(initialWeights(m, seed)).data);
  const graph = await GraphRun.create(device, `frames:1
module:i-bench:main
module:w-bench:w
module:kpn:01
module:display:main
connect:i-bench:main:output:kpn:01:input
connect:w-bench:w:output:kpn:01:w
connect:kpn:01:output:display:main:input
param:kpn:01:noise a:1000
param:kpn:01:noise b:10
param:kpn:01:path:${path}
param:kpn:01:spin:${spin}
`, [input.type, weights.type, kpn, display]);
  return { graph, use: (other) => graph.devicePlan.write(input.buffer(), picture(width, height, other)) };
}

/** The results of two pictures: what lies in memory from one can't pass for the other's. */
export async function twoPictures(run: PictureRun, seed: number): Promise<[Float32Array, Float32Array]> {
  const results: Float32Array[] = [];
  for (const s of [seed + 1, seed]) {
    run.use(s);
    await run.graph.program.run(1);
    results.push(await run.graph.sink('display:main'));
  }
  return results as [Float32Array, Float32Array];
}

export function checkPictures(got: readonly Float32Array[], want: readonly Float32Array[], width: number): Verdict {
  const verdicts = got.map((g, k) => compare(g, want[k]!, boundsOfPicture, (i) => `picture ${k + 1}, pixel ${(i >> 2) % width}, ${Math.floor((i >> 2) / width)}, channel ${i % 4},`));
  return verdicts.find((v) => 'wrong' in v) ?? verdicts[1]!;
}
