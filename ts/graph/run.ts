// From graph file text to finished run: what the command line, the tests and the other commands share.

import { dirname } from 'node:path';
import { readCfg, readLines } from '../cfg/read.js';
import { Checkpoints, resumeHint, type CheckpointOptions } from '../checkpoint/checkpoints.js';
import { graphLines, graphText } from '../checkpoint/graph-lines.js';
import type { Statement } from '../cfg/statement.js';
import { GpuError, InputError } from '../errors.js';
import type { Device, DeviceInfo } from '../gpu/types.js';
import { buildKernels, DevicePlan, shortage, type FramePlan, type SpirvLoader } from './device-plan.js';
import { runFrames, type LoopOptions, type LoopResult } from './frame-loop.js';
import { buildGraph, runOrder, type Graph } from './graph.js';
import { makePlan, stepName, type Plan, type PlanOptions } from './plan.js';
import { findShapes, type RunNode } from './shapes.js';
import { planTiled, TiledPlan, type TileOptions, type Tiling } from './tiles.js';
import type { ModuleInstance, ModuleType, PlanBuffer } from './types.js';

export interface GraphSource {
  /** The graph file's name for messages; its folder is where inputs are looked up. */
  file: string;
  /** Its text, or its statements where something was replaced in them. */
  text?: string;
  statements?: readonly Statement[];
  /** Further lines, after the file's. */
  config?: readonly string[];
  /** Default: the folder of `file`. */
  graphDir?: string;
  registry: ReadonlyMap<string, ModuleType>;
  lenient?: boolean;
  onWarning?: (message: string) => void;
}

/** A graph that passed every check that needs no device. */
export interface CheckedGraph {
  graph: Graph;
  /** The modules that run, in order. */
  run: RunNode[];
  file: string;
  /** The statements, as a file. */
  text: string;
  /** Everything that decides what is computed, a line each: two graphs with the same lines compute the same. */
  lines: string[];
}

export interface RunOptions extends GraphSource, Omit<PlanOptions, 'window'>, TileOptions, Partial<Omit<LoopOptions, 'frames' | 'onSlice' | 'checkpoints'>> {
  /** Called once the graph is found right. The caller closes the device. */
  device: () => Promise<Device> | Device;
  loadSpirv: SpirvLoader;
  /** Told when each stage begins: "plan", "pipelines", "frames". */
  onStage?: (stage: string) => void;
  onPlan?: (plan: Plan, graph: CheckedGraph) => Promise<void> | void;
  /** Where a picture is divided: after each tile, how many of the frame's are done. */
  onTile?: (done: number, tiles: number) => void;
  /** After each slice of frames, with the device idle. */
  onSlice?: (framesDone: number, access: RunAccess) => Promise<void> | void;
  /** Keeps checkpoints, goes on from one; without it the run does neither. */
  checkpoint?: CheckpointOptions;
  /** After the last frame, before the buffers go. */
  inspect?: (access: RunAccess) => Promise<void> | void;
}

/** A running graph seen from outside. Modules by `MOD:INST`. */
export interface RunAccess {
  plan: Plan;
  device: Device;
  instance(module: string): ModuleInstance;
  /** An output's contents; of outputs that share memory, only what a sink reads is sure to be whole. */
  read(module: string, output: string): Promise<Uint8Array>;
  readBuffer(buffer: PlanBuffer): Promise<Uint8Array>;
  /** A buffer by its name in the plan: "kpn-t:01 weights". */
  buffer(name: string): PlanBuffer;
}

export interface RunSummary extends LoopResult {
  frames: number;
  /** The newest checkpoint. */
  checkpoint?: { path: string; frame: number };
  /** Seconds of each stage before the frames; `process` from the process's start to the graph. */
  startup: { process: number; check: number; device: number; plan: number; pipelines: number };
  /** GPU nanoseconds a frame of each step (with timestamps), over all its tiles. */
  stepNs: { step: string; kernel: string; ns: number }[];
  /** How the picture was divided, where it had to be. */
  tiling?: Tiling;
  /** Device memory of the plan: in all, and each piece with the buffers that share it. */
  memory: { bytes: number; pieces: { bytes: number; buffers: string[] }[] };
}

/** Reads, checks and sizes a graph. Throws InputError; no GPU work. */
export async function checkGraph(source: GraphSource): Promise<CheckedGraph> {
  const warn = source.onWarning ?? (() => undefined);
  const lenient = { lenient: source.lenient ?? false, warn: (error: { format(): string }) => warn(error.format()) };
  const statements = [
    ...(source.statements ?? readCfg(source.text ?? '', source.file, lenient)),
    ...readLines(source.config ?? [], '--config', lenient),
  ];
  const graph = buildGraph(statements, source.registry, lenient);
  const run = await findShapes(graph, runOrder(graph), source.graphDir ?? dirname(source.file), warn);
  for (const { instance } of run) graph.frames = instance.frames?.() ?? graph.frames;
  return { graph, run, file: source.file, text: graphText(statements), lines: graphLines(graph, run) };
}

/** The plan for a device, without running it. */
export function planGraph(checked: CheckedGraph, device: DeviceInfo): Plan {
  return makePlan(checked.run, device);
}

/** Opens the device and builds a graph's kernels, so that runGraph finds both ready. Rejects as runGraph does before its frames. */
export async function warmUp(options: GraphSource & TileOptions & Pick<RunOptions, 'device' | 'loadSpirv' | 'signal'>): Promise<void> {
  const { run } = await checkGraph(options);
  const device = await options.device();
  await buildKernels(planTiled(run, device, options).plan, device, options.loadSpirv, options.signal);
}

/** Runs a graph to its end, or until `signal`. Throws InputError before any GPU work, GpuError or OutputError after. */
export async function runGraph(options: RunOptions): Promise<RunSummary> {
  const started = performance.now() / 1000;
  const clock = new Clock();
  const checked = await checkGraph(options);
  const check = clock.lap();
  const warn = options.onWarning ?? (() => undefined);
  const checkpoints = options.checkpoint && (await Checkpoints.open(checked, options.checkpoint, warn));
  try {
    return await runChecked(checked, options, checkpoints, clock, { process: started, check });
  } finally {
    await checkpoints?.close();
  }
}

async function runChecked(checked: CheckedGraph, options: RunOptions, checkpoints: Checkpoints | undefined, clock: Clock, before: { process: number; check: number }): Promise<RunSummary> {
  const { graph, run } = checked;
  const startup = { ...before, device: 0, plan: 0, pipelines: 0 };
  if (checkpoints?.complete) return { ...nothingDone, first: graph.frames, done: graph.frames, stopped: false, frames: graph.frames, startup, checkpoint: checkpoints.last };
  const device = await options.device();
  startup.device = clock.lap();
  options.onStage?.('plan');
  const { plan, tiling } = planTiled(run, device, options);
  await options.onPlan?.(plan, checked);
  startup.plan = clock.lap();
  options.onStage?.('pipelines');
  const devicePlan = await DevicePlan.create(plan, device, options.loadSpirv, options.signal).catch(async (error: unknown) => {
    throw error instanceof GpuError && error.code === 'OUT_OF_MEMORY' ? await withBatchHint(error, checked, options, device) : error;
  });
  startup.pipelines = clock.lap();
  const first = checkpoints?.first ?? 0;
  if (devicePlan === undefined) return { ...nothingDone, first, done: first, frames: graph.frames, startup };
  options.onStage?.('frames');
  try {
    checkpoints?.attach(devicePlan, device);
    const { onTile } = options;
    const frames = tiling ? new TiledPlan(run, devicePlan, tiling, onTile, options.signal) : devicePlan;
    const access = runAccess(run, plan, frames, device);
    const { onSlice, inspect } = options;
    const result = await runFrames(run, frames, device, {
      ...options,
      frames: graph.frames,
      fps: graph.fps,
      lastFrameOnly: options.lastFrameOnly ?? false,
      checkpoints,
      onSlice: onSlice && ((done) => onSlice(done, access)),
    });
    await inspect?.(access);
    const memory = { bytes: devicePlan.bytes, pieces: devicePlan.memoryTable() };
    return { ...result, frames: graph.frames, startup, stepNs: stepTimes(devicePlan, result.opNs), memory, tiling, checkpoint: checkpoints?.last };
  } catch (error) {
    throw checkpoints ? withResumeHint(error, checkpoints) : error;
  } finally {
    devicePlan.destroy();
  }
}

/** Of the memory that a device has to give a plan may take this much to be sure of it: pieces don't fill it without gaps. */
const SURE = 0.85;

/** Too little memory, with the largest batch (of powers of two) that fits, where a module has one. */
async function withBatchHint(error: GpuError, checked: CheckedGraph, options: RunOptions, device: Device): Promise<GpuError> {
  const batched = checked.run.find((r) => r.node.type.params.some((p) => p.name === 'batch') && r.node.params.int('batch') > 1)?.node;
  if (batched === undefined) return error;
  for (let batch = 2 ** Math.ceil(Math.log2(batched.params.int('batch')) - 1); batch >= 1; batch /= 2) {
    const line = `param:${batched.key}:batch:${batch}`;
    const smaller = await checkGraph({ ...options, config: [...(options.config ?? []), line], onWarning: () => undefined });
    if (shortage(makePlan(smaller.run, device.info, options), device, SURE) === undefined)
      return new GpuError(error.code, error.message, { cause: error, hint: `a batch of ${batch} fits: ${line} (vkpn train: --batch ${batch})` });
  }
  return new GpuError(error.code, error.message, { cause: error, hint: `not even a batch of 1 fits: ${error.hint ?? ''}` });
}

/** What broke off the frames, with where the run can go on. */
function withResumeHint(error: unknown, checkpoints: Checkpoints): unknown {
  if ((!(error instanceof GpuError) && !(error instanceof InputError)) || error.code.startsWith('CKPT_')) return error;
  const { code, message, place } = error;
  const hint = [error.hint, resumeHint(checkpoints)].filter((text) => text !== undefined).join('\n  ');
  return error instanceof GpuError ? new GpuError(code, message, { place, cause: error, hint }) : new InputError(code, message, { place, cause: error, hint });
}

/** Stopped before the first frame. */
const nothingDone = { first: 0, done: 0, seconds: 0, stopped: true, files: [], stages: { device: 0, sources: 0, sinks: 0, checkpoints: 0 }, stepNs: [], memory: { bytes: 0, pieces: [] } };

function stepTimes(devicePlan: DevicePlan, opNs: readonly number[] = []): RunSummary['stepNs'] {
  return devicePlan.opSteps.flatMap((step, i) => {
    if (step === undefined || opNs[i] === undefined) return [];
    return [{ step: stepName(step), kernel: step.kind === 'node' ? step.desc.kernel : 'copy', ns: opNs[i] }];
  });
}

function runAccess(run: readonly RunNode[], plan: Plan, frames: FramePlan, device: Device): RunAccess {
  const find = (module: string): RunNode => {
    const node = run.find((r) => r.node.key === module);
    if (node === undefined) throw new Error(`${module} doesn't run`);
    return node;
  };
  return {
    plan,
    device,
    instance: (module) => find(module).instance,
    read: (module, output) => {
      const port = plan.ports.get(find(module))?.outputs.get(output);
      if (port === undefined) throw new Error(`${module} has no output ${output} in the plan`);
      return frames.read(port.buffer);
    },
    readBuffer: (buffer) => frames.read(buffer),
    buffer: (name) => {
      const buffer = plan.buffers.find((b) => b.name === name);
      if (buffer === undefined) throw new Error(`no buffer ${name}; there is: ${plan.buffers.map((b) => b.name).join(', ')}`);
      return buffer;
    },
  };
}

class Clock {
  private last = performance.now();

  /** Seconds since the last lap. */
  lap(): number {
    const now = performance.now();
    const seconds = (now - this.last) / 1000;
    this.last = now;
    return seconds;
  }
}
