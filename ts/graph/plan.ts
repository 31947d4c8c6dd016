// Nodes in order, buffers with lifetimes and shared memory, barriers: what a frame does, before any GPU object exists.

import type { DeviceInfo } from '../gpu/types.js';
import { shapeBytes, trains, type RunNode } from './shapes.js';
import type { BuildContext, NodeDesc, PlanBuffer, Port, PortShape } from './types.js';
import { isInput } from './graph.js';

export type Step =
  | { kind: 'node'; module: string; desc: NodeDesc }
  | { kind: 'copy'; module: string; label: string; src: PlanBuffer; dst: PlanBuffer; bytes: number };

/** A piece of device memory that buffers with separate lifetimes share. */
export interface Slot {
  bytes: number;
  buffers: PlanBuffer[];
  /** Bound as a uniform buffer somewhere. */
  uniform: boolean;
}

export interface Plan {
  steps: Step[];
  /** Indices of the steps that a full barrier precedes. Between frames stands one anyway. */
  barriers: Set<number>;
  /** By how many barriers each step may come earlier in a frame that follows another (findLeads). */
  leads: number[];
  buffers: PlanBuffer[];
  slots: Slot[];
  slotOf: Map<PlanBuffer, Slot>;
  /** What each module that runs finds at its inputs and left at its outputs. */
  ports: Map<RunNode, { inputs: Map<string, Port>; outputs: Map<string, Port> }>;
}

/** A step's use of memory; `memory` is whatever identifies it (a buffer, or the slot it lies in). */
export interface Access<M> {
  memory: M;
  reads: boolean;
  writes: boolean;
}

export interface PlanOptions {
  /** False: every buffer has memory of its own, so that a test finds all of them whole after a frame. Default true. */
  shareMemory?: boolean;
  /** The plan is for windows of this size of all pictures. */
  window?: { width: number; height: number };
}

/** Asks every module for its nodes. No GPU work; `device` is only described. */
export function makePlan(run: readonly RunNode[], device: DeviceInfo, options: PlanOptions = {}): Plan {
  const builder = new PlanBuilder(run, device, options.window);
  run.forEach((r) => builder.build(r));
  builder.copyFeedback();
  const { steps, buffers, ports } = builder;
  const used = steps.map(accesses);
  const barriers = findBarriers(used);
  const segments = segmentsOf(steps.length, barriers);
  // Only in training many frames follow each other. For pictures memory counts, which leads would keep from being shared.
  const leads = trains(run) ? findLeads(used, segments) : steps.map(() => 0);
  const lifetimes = findLifetimes(steps, buffers, builder.kept);
  const slots = shareMemory(buffers, inSegments(lifetimes, used, segments, leads), countOf(segments), options.shareMemory ?? true);
  const slotOf = new Map(slots.flatMap((slot) => slot.buffers.map((b) => [b, slot] as const)));
  for (const step of steps)
    if (step.kind === 'node')
      for (const use of step.desc.uses) {
        const slot = slotOf.get(use.buffer);
        if (slot && use.kind === 'uniform') slot.uniform = true;
      }
  return { steps, barriers, leads, buffers, slots, slotOf, ports };
}

class PlanBuilder {
  readonly steps: Step[] = [];
  readonly buffers: PlanBuffer[] = [];
  readonly ports = new Map<RunNode, { inputs: Map<string, Port>; outputs: Map<string, Port> }>();
  /** Read by the host or by the frame's end: live from their first write to the end of the frame. */
  readonly kept = new Set<PlanBuffer>();
  private readonly byNode: Map<RunNode['node'], RunNode>;
  /** Last frame's contents, by the output they are of. */
  private readonly feedback = new Map<string, { buffer: PlanBuffer; source: RunNode; output: string }>();

  constructor(
    run: readonly RunNode[],
    private readonly device: DeviceInfo,
    private readonly window: PlanOptions['window'],
  ) {
    this.byNode = new Map(run.map((r) => [r.node, r]));
  }

  build(run: RunNode): void {
    const inputs = new Map<string, Port>();
    const outputs = new Map<string, Port>();
    this.ports.set(run, { inputs, outputs });
    for (const [name, c] of run.node.inputs) {
      const source = this.byNode.get(c.source);
      if (source === undefined) throw new Error(`${c.source.key} doesn't run, but ${run.node.key} reads it`);
      const port = c.feedback ? this.feedbackPort(source, c.output.name) : this.ports.get(source)?.outputs.get(c.output.name);
      if (port) inputs.set(name, port);
      if (port && run.node.type.connectors.some((x) => x.name === name && x.type === 'sink')) this.kept.add(port.buffer);
    }
    const key = run.node.key;
    const context: BuildContext = {
      ...run.context,
      device: this.device,
      port: (name) => inputs.get(name),
      output: (name, options) => this.output(run, name, options),
      buffer: (name, bytes, options) => this.buffer(`${key} ${name}`, bytes, options),
      node: (desc) => void this.steps.push({ kind: 'node', module: key, desc }),
      copy: (src, dst, bytes) => void this.steps.push({ kind: 'copy', module: key, label: `copy to ${dst.name}`, src, dst, bytes }),
    };
    run.instance.build(context);
    // Every output exists, so that a reader finds a buffer; one that nothing writes is caught by findLifetimes.
    for (const c of run.node.type.connectors) if (!isInput(c) && run.context.isConnected(c.name)) this.output(run, c.name);
  }

  /** At the frame's end, what feedback reads in the next frame is put aside. */
  copyFeedback(): void {
    for (const { buffer, source, output } of this.feedback.values()) {
      const src = this.ports.get(source)?.outputs.get(output)?.buffer;
      if (src === undefined) throw new Error(`${source.node.key} has no output ${output}`);
      this.steps.push({ kind: 'copy', module: source.node.key, label: `feedback ${output}`, src, dst: buffer, bytes: buffer.bytes });
    }
  }

  private feedbackPort(source: RunNode, output: string): Port {
    const key = `${source.node.key}:${output}`;
    const shape = this.shape(source, output);
    let entry = this.feedback.get(key);
    if (entry === undefined) {
      entry = { buffer: this.buffer(`${key} of the frame before`, shapeBytes(shape), { init: 'zero' }), source, output };
      this.feedback.set(key, entry);
    }
    return { shape, buffer: entry.buffer };
  }

  private shape(run: RunNode, output: string): PortShape {
    const shape = run.shapes[output];
    if (shape === undefined) throw new Error(`${run.node.key} has no output ${output}`);
    return shape.channels === 'rgba' ? { ...shape, ...this.window } : shape;
  }

  private output(run: RunNode, name: string, options?: BufferOptions): PlanBuffer {
    const outputs = this.ports.get(run)?.outputs;
    const known = outputs?.get(name);
    if (known !== undefined) return known.buffer;
    const shape = this.shape(run, name);
    const buffer = this.buffer(`${run.node.key}:${name}`, shapeBytes(shape), options);
    outputs?.set(name, { shape, buffer });
    return buffer;
  }

  private buffer(name: string, bytes: number, options: BufferOptions = {}): PlanBuffer {
    if (!Number.isSafeInteger(bytes) || bytes <= 0) throw new Error(`the buffer ${name} has ${bytes} bytes`);
    const { init } = options;
    if (init !== undefined && init !== 'zero' && init.byteLength > bytes) throw new Error(`the buffer ${name} of ${bytes} bytes is given ${init.byteLength}`);
    const buffer: PlanBuffer = { id: this.buffers.length, name, bytes, persistent: (options.persistent ?? false) || init !== undefined, init };
    this.buffers.push(buffer);
    return buffer;
  }
}

interface BufferOptions {
  persistent?: boolean;
  init?: 'zero' | Uint8Array;
}

/** What a step does to which buffers. */
export function accesses(step: Step): Access<PlanBuffer>[] {
  if (step.kind === 'copy')
    return [
      { memory: step.src, reads: true, writes: false },
      { memory: step.dst, reads: false, writes: true },
    ];
  return step.desc.uses.map((u) => ({ memory: u.buffer, reads: u.access !== 'w', writes: u.access !== 'r' }));
}

/**
 * The steps that need a barrier before them: where a step reads or writes what an earlier step since the last barrier
 * wrote, or writes what one read. Set as late as possible, which gives the fewest.
 */
export function findBarriers<M>(steps: readonly Access<M>[][]): Set<number> {
  const barriers = new Set<number>();
  const read = new Set<M>();
  const written = new Set<M>();
  steps.forEach((step, i) => {
    if (step.some((a) => written.has(a.memory) || (a.writes && read.has(a.memory)))) {
      barriers.add(i);
      read.clear();
      written.clear();
    }
    for (const a of step) {
      if (a.reads) read.add(a.memory);
      if (a.writes) written.add(a.memory);
    }
  });
  return barriers;
}

/** For each step the number of barriers before it in its frame: steps with the same one may run at the same time. */
export function segmentsOf(steps: number, barriers: ReadonlySet<number>): number[] {
  let segment = 0;
  return Array.from({ length: steps }, (_, i) => (barriers.has(i) ? ++segment : segment));
}

/** How many segments a frame has. */
const countOf = (segments: readonly number[]): number => 1 + (segments.at(-1) ?? 0);

/**
 * The segments at a frame's end beside which the next frame's first ones may run. What trains ends with small sums that wait more than they compute; dispatches
 * further ahead fill the device themselves.
 */
const MOST_LEAD = 3;

const conflict = <M>(a: readonly Access<M>[], b: readonly Access<M>[]): boolean => a.some((x) => b.some((y) => x.memory === y.memory && (x.writes || y.writes)));

/**
 * By how many segments each step of a frame may come earlier where another frame went before: training data of the next frame beside the sums of this one.
 * A step that comes `lead` earlier than its segment s takes part in segment s - lead, of the frame before if that is negative (-1 is its last one). It has
 * a barrier between it and all steps, of both frames, that it may not overlap, in the same order as without leads.
 */
export function findLeads<M>(steps: readonly Access<M>[][], segments: readonly number[]): number[] {
  const count = countOf(segments);
  const most = Math.min(MOST_LEAD, count - 1);
  const places: number[] = [];
  steps.forEach((step, i) => {
    const own = segments[i]!;
    let place = own < most ? -most : own;
    steps.forEach((other, j) => {
      if (place === own || !conflict(step, other)) return;
      if (j < i) place = Math.max(place, places[j]! + 1);
      place = Math.max(place, segments[j]! - count + 1); // of the frame before
    });
    places.push(place);
  });
  return places.map((place, i) => segments[i]! - place);
}

/** Steps, or segments, [first, last] between which a buffer's contents matter. Of segments the first may lie in the frame before (findLeads). */
export interface Lifetime {
  first: number;
  last: number;
}

/** Lifetimes of the buffers that need not outlive a frame; persistent ones have none. Checks that nothing is read unwritten. */
export function findLifetimes(steps: readonly Step[], buffers: readonly PlanBuffer[], kept: ReadonlySet<PlanBuffer>): Map<PlanBuffer, Lifetime> {
  const lifetimes = new Map<PlanBuffer, Lifetime>();
  steps.forEach((step, i) => {
    const used = accesses(step);
    for (const a of used) {
      if (a.memory.persistent) continue;
      const life = lifetimes.get(a.memory);
      if (life) life.last = i;
      else if (used.some((b) => b.memory === a.memory && b.reads)) throw new Error(`${stepName(step)} reads ${a.memory.name} before anything writes it`);
      else lifetimes.set(a.memory, { first: i, last: i });
    }
  });
  for (const buffer of buffers) {
    if (buffer.persistent) continue;
    const life = lifetimes.get(buffer);
    if (life && kept.has(buffer)) life.last = steps.length;
    if (!life && kept.has(buffer)) throw new Error(`nothing writes ${buffer.name}, but a sink reads it`);
  }
  return lifetimes;
}

/** `MOD:INST label` */
export function stepName(step: Step): string {
  return `${step.module} ${step.kind === 'node' ? step.desc.label : step.label}`;
}

/** Lifetimes of steps as lifetimes of segments, from the earliest that leads allow on. */
export function inSegments(lifetimes: ReadonlyMap<PlanBuffer, Lifetime>, steps: readonly Access<PlanBuffer>[][], segments: readonly number[], leads: readonly number[]): Map<PlanBuffer, Lifetime> {
  return new Map([...lifetimes].map(([buffer, { last }]) => {
    const places = steps.flatMap((step, i) => (step.some((a) => a.memory === buffer) ? [segments[i]! - leads[i]!] : []));
    return [buffer, { first: Math.min(...places), last: segments[last] ?? countOf(segments) - 1 }];
  }));
}

/**
 * Puts buffers into memory, the largest first. Two share where one's lifetime ends before the other's begins *and* a barrier
 * stands between: so sharing never makes another barrier necessary. A buffer that nothing uses gets no memory. `lifetimes`: segments; `count`: segments
 * of a frame. `share` false: none share.
 */
export function shareMemory(buffers: readonly PlanBuffer[], lifetimes: ReadonlyMap<PlanBuffer, Lifetime>, count: number, share = true): Slot[] {
  const slots: Slot[] = [];
  const ends = (a: Lifetime, b: Lifetime, later: number): boolean => a.last < b.first + later || b.last + later < a.first;
  // Also of the frames before and after.
  const apart = (a: Lifetime, b: Lifetime): boolean => [-count, 0, count].every((later) => ends(a, b, later));
  const fits = (slot: Slot, life: Lifetime): boolean =>
    slot.buffers.every((other) => {
      const theirs = lifetimes.get(other);
      return theirs !== undefined && apart(theirs, life);
    });
  for (const buffer of [...buffers].sort((a, b) => b.bytes - a.bytes || a.id - b.id)) {
    const life = lifetimes.get(buffer);
    if (life === undefined && !buffer.persistent) continue;
    const slot = share && life && slots.find((s) => fits(s, life));
    if (slot) slot.buffers.push(buffer);
    else slots.push({ bytes: buffer.bytes, buffers: [buffer], uniform: false });
  }
  return slots;
}
