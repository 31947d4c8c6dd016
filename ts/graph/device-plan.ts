// A plan on a device: memory, kernels, and the program that is one frame.

import { GpuError } from '../errors.js';
import type { BufferView, Device, GpuBuffer, Kernel, Op, Program, RunResult } from '../gpu/types.js';
import { stepName, type Plan, type Slot, type Step } from './plan.js';
import type { NodeDesc, PlanBuffer } from './types.js';

/** SPIR-V of a file under glsl/ without ending, and of one of its variants. */
export type SpirvLoader = (kernel: string, variant?: string) => Uint8Array;

export const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;

/** What the frame loop runs: frames whole, or tile by tile (tiles.ts). */
export interface FramePlan {
  /** What each module finds at its inputs and left at its outputs. */
  readonly ports: Plan['ports'];
  /** Replays frames. */
  run(frames: number, options: { timestamps?: boolean }): Promise<RunResult>;
  /** Between runs, into buffers that keep their contents. */
  write(buffer: PlanBuffer, data: ArrayBufferView, offset?: number): void;
  read(buffer: PlanBuffer, offset?: number, bytes?: number): Promise<Uint8Array>;
}

const planBytes = (plan: Plan): number => plan.slots.reduce((sum, slot) => sum + roundUp(slot.bytes, 16), 0);

/** Why a plan can't fit on a device; undefined if it may. `share`: of the memory that the device has to give. */
export function shortage(plan: Plan, device: Device, share = 1): string | undefined {
  const { budget } = device.memory();
  const { name, limits } = device.info;
  const bytes = planBytes(plan);
  if (bytes > share * budget) return `the graph needs ${megabytes(bytes)}, ${name} has ${megabytes(budget)} to give`;
  for (const step of plan.steps)
    for (const use of step.kind === 'node' ? step.desc.uses : []) {
      const limit = use.kind === 'uniform' ? limits.maxUniformBufferRange : limits.maxStorageBufferRange;
      if (use.buffer.bytes > limit) return `${use.buffer.name} needs ${megabytes(use.buffer.bytes)}, ${name} lets a kernel see at most ${megabytes(limit)} at once`;
    }
  return undefined;
}

export class DevicePlan implements FramePlan {
  private readonly memory = new Map<Slot, GpuBuffer>();
  program!: Program;
  /** For each op of the program its step; undefined for barriers. */
  readonly opSteps: (Step | undefined)[] = [];

  private constructor(readonly plan: Plan) {}

  /**
   * Allocates and compiles everything; undefined if `signal` came meanwhile: compiling may take long, so threads do it. Rejects with GpuError
   * OUT_OF_MEMORY before it allocates what can't fit.
   */
  static async create(plan: Plan, device: Device, load: SpirvLoader, signal?: AbortSignal): Promise<DevicePlan | undefined> {
    const short = shortage(plan, device);
    if (short !== undefined) throw new GpuError('OUT_OF_MEMORY', short, { hint: 'use smaller pictures or tiles, a smaller batch, or a device with more memory' });
    const building = buildKernels(plan, device, load, signal);
    building.catch(() => undefined); // thrown where it is awaited
    const made = new DevicePlan(plan);
    try {
      for (const slot of plan.slots) made.memory.set(slot, device.buffer(slotName(slot), roundUp(slot.bytes, 16), slot.uniform ? { uniform: true } : {}));
      made.initialise();
      const kernels = await building;
      if (kernels === undefined) return made.freeMemory();
      made.program = device.program(made.ops(kernels), 'frame');
      return made;
    } catch (error) {
      made.freeMemory();
      throw error;
    }
  }

  get ports(): Plan['ports'] {
    return this.plan.ports;
  }

  run(frames: number, options: { timestamps?: boolean } = {}): Promise<RunResult> {
    return this.program.run(frames, options);
  }

  get bytes(): number {
    return planBytes(this.plan);
  }

  /** Fills buffers that have contents before frame 0. */
  private initialise(): void {
    for (const b of this.plan.buffers) {
      const slot = this.plan.slotOf.get(b);
      if (b.init === undefined || slot === undefined) continue;
      if (b.init === 'zero' || b.init.byteLength < b.bytes) this.gpu(slot).fill(0);
      if (b.init !== 'zero') this.gpu(slot).write(b.init);
    }
  }

  private ops(kernels: ReadonlyMap<NodeDesc, Kernel>): Op[] {
    const ops: Op[] = [];
    const add = (op: Op, step?: Step): void => {
      ops.push(op);
      this.opSteps.push(step);
    };
    this.plan.steps.forEach((step, i) => {
      if (this.plan.barriers.has(i)) add({ op: 'barrier' });
      const lead = this.plan.leads[i]!;
      if (step.kind === 'copy') return add({ op: 'copy', src: this.view(step.src), dst: this.view(step.dst), bytes: step.bytes, lead }, step);
      const { desc } = step;
      const kernel = kernels.get(desc);
      if (kernel === undefined) throw new Error(`no kernel for ${stepName(step)}`);
      add({ op: 'dispatch', kernel, bindings: desc.uses.map((u) => this.view(u.buffer)), push: desc.push, groups: desc.groups, label: stepName(step), lead }, step);
    });
    return ops;
  }

  private gpu(slot: Slot): GpuBuffer {
    const buffer = this.memory.get(slot);
    if (buffer === undefined) throw new Error('memory that was not allocated');
    return buffer;
  }

  private slot(b: PlanBuffer): Slot {
    const slot = this.plan.slotOf.get(b);
    if (slot === undefined) throw new Error(`nothing uses the buffer ${b.name}`);
    return slot;
  }

  private view(b: PlanBuffer): BufferView {
    return { buffer: this.gpu(this.slot(b)), offset: 0, bytes: roundUp(b.bytes, 4) };
  }

  /** Uploads between runs, into buffers that keep their contents. Nothing happens where no node reads the buffer. */
  write(b: PlanBuffer, data: ArrayBufferView, offset = 0): void {
    if (!b.persistent) throw new Error(`${b.name} is written by the host but is not persistent`);
    if (offset + data.byteLength > b.bytes) throw new Error(`${offset + data.byteLength} bytes written to ${b.name}, which has ${b.bytes}`);
    const slot = this.plan.slotOf.get(b);
    if (slot) this.gpu(slot).write(data, offset);
  }

  /** Downloads between runs. Of buffers that share memory, only those that live to the frame's end hold what they held. */
  read(b: PlanBuffer, offset = 0, bytes = b.bytes - offset): Promise<Uint8Array> {
    return this.gpu(this.slot(b)).read(offset, bytes);
  }

  /** Memory pieces, the largest first: bytes and the buffers inside. */
  memoryTable(): { bytes: number; buffers: string[] }[] {
    return this.plan.slots.map((s) => ({ bytes: roundUp(s.bytes, 16), buffers: s.buffers.map((b) => b.name) }));
  }

  destroy(): void {
    this.program.destroy();
    this.freeMemory();
  }

  private freeMemory(): undefined {
    for (const buffer of this.memory.values()) buffer.destroy();
    this.memory.clear();
  }
}

/** Kernels that are compiled at a time: a GPU's driver compiles each on the thread that asks, a CPU's driver has all cores to itself. */
const atOnce = (device: Device): number => (device.info.type === 'cpu' ? 1 : 16);

/** Builds a plan's kernels, which a device keeps, on threads; the largest first, because the last one is waited for. Undefined if `signal` came meanwhile. */
export async function buildKernels(plan: Plan, device: Device, load: SpirvLoader, signal?: AbortSignal): Promise<Map<NodeDesc, Kernel> | undefined> {
  const kernels = new Map<NodeDesc, Kernel>();
  const waiting = plan.steps.flatMap((step) => (step.kind === 'node' ? [{ desc: step.desc, spirv: load(step.desc.kernel, step.desc.variant) }] : []));
  waiting.sort((a, b) => b.spirv.length - a.spirv.length);
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next && !signal?.aborted; next = waiting.shift()) kernels.set(next.desc, await buildKernel(device, next.desc, next.spirv));
  };
  await Promise.all(Array.from({ length: atOnce(device) }, work));
  return signal?.aborted ? undefined : kernels;
}

function buildKernel(device: Device, desc: NodeDesc, spirv: Uint8Array): Promise<Kernel> {
  return device.buildKernel({
    name: desc.variant === undefined ? desc.kernel : `${desc.kernel}.${desc.variant}`,
    spirv,
    bindings: desc.uses.map((u) => u.kind ?? 'storage'),
    pushBytes: desc.push?.byteLength ?? 0,
    spec: desc.spec,
    subgroupSize: desc.subgroupSize,
    fullSubgroups: desc.fullSubgroups,
  });
}

function slotName(slot: Slot): string {
  const first = slot.buffers[0]?.name ?? '';
  return slot.buffers.length > 1 ? `${first} and ${slot.buffers.length - 1} more` : first;
}

/** For people. */
export function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 24 ? 2 : 0)} MiB`;
}
