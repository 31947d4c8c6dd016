// Runs the frames: slices of many frames a submit, uploads where something changes, sinks, progress, stopping.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Checkpoints } from '../checkpoint/checkpoints.js';
import { OutputError, type VkpnError } from '../errors.js';
import type { Device } from '../gpu/types.js';
import type { FramePlan } from './device-plan.js';
import { trains, type RunNode } from './shapes.js';
import type { FrameContext, Port, Status } from './types.js';

export interface LoopOptions {
  frames: number;
  fps: number;
  lastFrameOnly: boolean;
  /** Stops after the current submit; the sinks are written as they are. */
  signal?: AbortSignal;
  timestamps?: boolean;
  /** Seconds that one run of the program should take; default 0.1. */
  sliceSeconds?: number;
  /** Frames a slice at most. */
  maxSlice?: number;
  onProgress?: (progress: Progress) => void;
  onWarning?: (message: string) => void;
  onWritten?: (file: string) => void;
  /** After each slice, with the device idle. */
  onSlice?: (framesDone: number) => Promise<void> | void;
  /** The frame that a slice must end before: one that onSlice is to see. */
  nextStop?: (framesDone: number) => number;
  /** Attached: the run begins with their first frame, and keeps them. */
  checkpoints?: Checkpoints;
}

export interface Progress {
  /** The first frame of this run: not 0 where it goes on from a checkpoint. */
  first: number;
  /** Frames done, and to do in all. */
  done: number;
  frames: number;
  /** Since the first frame began. */
  seconds: number;
  /** Newest numbers of each module that has some. */
  status: { module: string; values: Status['values'] }[];
}

export interface LoopResult {
  /** The first frame that ran; not 0 where the run went on from a checkpoint. */
  first: number;
  /** Frames done, those before the first included. */
  done: number;
  seconds: number;
  stopped: boolean;
  files: string[];
  /** GPU nanoseconds a frame of each op of the program (with timestamps), means weighted by frames. */
  opNs?: number[];
  /** Seconds the device ran, uploads and sources took, sinks took, checkpoints took, waiting included. */
  stages: { device: number; sources: number; sinks: number; checkpoints: number };
}

const statusEverySeconds = 0.25;

/**
 * Runs all frames. Rejects with what a module or the device threw; work done so far is written if the device still answers. A run that trains goes on where an
 * output can't be written, and rejects at its end.
 */
export async function runFrames(run: readonly RunNode[], plan: FramePlan, device: Device, options: LoopOptions): Promise<LoopResult> {
  return new FrameLoop(run, plan, device, options).run();
}

class FrameLoop {
  private readonly start = performance.now();
  private readonly stages = { device: 0, sources: 0, sinks: 0, checkpoints: 0 };
  private readonly files: string[] = [];
  private readonly sinks: { run: RunNode; port: Port; pending: Promise<void> }[];
  private readonly first: number;
  private done: number;
  private written: number;
  /** Outputs that could not be written while training went on. */
  private readonly failures: VkpnError[] = [];
  private slice = 1;
  private opNs: number[] | undefined;
  private timedFrames = 0;
  private statusAt = -Infinity;
  private status: Progress['status'] = [];

  constructor(
    private readonly nodes: readonly RunNode[],
    private readonly plan: FramePlan,
    private readonly device: Device,
    private readonly options: LoopOptions,
  ) {
    this.first = this.done = this.written = options.checkpoints?.first ?? 0;
    this.sinks = nodes.flatMap((run) => {
      const name = run.node.type.connectors.find((c) => c.type === 'sink')?.name;
      const port = name === undefined ? undefined : plan.ports.get(run)?.inputs.get(name);
      return run.instance.write && port ? [{ run, port, pending: Promise.resolve() }] : [];
    });
  }

  async run(): Promise<LoopResult> {
    const { signal } = this.options;
    const interrupt = (): void => this.device.interrupt();
    signal?.addEventListener('abort', interrupt);
    try {
      await this.frames();
    } catch (error) {
      await this.rescue();
      throw error;
    } finally {
      signal?.removeEventListener('abort', interrupt);
    }
    const seconds = (performance.now() - this.start) / 1000;
    const stopped = this.done < this.options.frames;
    return { first: this.first, done: this.done, seconds, stopped, files: this.files.filter((file) => file !== ''), opNs: this.opNs, stages: this.stages };
  }

  private async frames(): Promise<void> {
    const { frames, signal, lastFrameOnly } = this.options;
    if (signal?.aborted) return;
    await this.timed('sources', () => this.beforeFrame(this.first));
    while (this.done < frames && !signal?.aborted) {
      const end = this.sliceEnd();
      await this.throttle(end);
      if (signal?.aborted) break;
      await this.runSlice(end);
      const due = this.done < frames && (this.options.checkpoints?.due(this.done) ?? false);
      await this.report(due || this.done === frames);
      if (due) await this.checkpoint();
      if (!lastFrameOnly && this.done === end) await this.timed('sinks', () => this.writeSinks());
      if (this.done === end && end < frames && !signal?.aborted) await this.timed('sources', () => this.beforeFrame(end));
    }
    // Of a run that was stopped the checkpoint comes first: it holds the most. Of one that is done it says that the outputs are written.
    const stopped = this.done < frames;
    if (stopped && this.done > this.first) await this.checkpoint();
    if (this.written < this.done) await this.timed('sinks', () => this.writeSinks());
    await this.timed('sinks', () => this.finishWriting());
    if (!stopped && this.failures.length === 0 && this.options.checkpoints?.wantsLast) await this.checkpoint();
    await this.timed('checkpoints', async () => this.options.checkpoints?.settle());
    this.checkWritten();
  }

  private async checkpoint(): Promise<void> {
    await this.timed('checkpoints', async () => this.options.checkpoints?.save(this.done, this.status));
  }

  /** Throws what could not be written while the run went on. */
  private checkWritten(): void {
    const [first, ...others] = this.failures;
    if (first) throw others.length === 0 ? first : new OutputError('OUTPUTS_FAILED', `${this.failures.length} outputs could not be written, first: ${first.message}`, { hint: first.hint, cause: first });
    this.options.checkpoints?.check();
  }

  /** The frame that the next run ends before. */
  private sliceEnd(): number {
    const { frames, lastFrameOnly, fps, maxSlice = Infinity, sliceSeconds = 0.1 } = this.options;
    if (!lastFrameOnly && this.sinks.length > 0) return this.done + 1;
    const kept = (this.options.checkpoints?.nextFrame(this.done) ?? Infinity) - this.done;
    const seen = (this.options.nextStop?.(this.done) ?? Infinity) - this.done;
    const throttled = fps > 0 ? Math.max(1, Math.floor(fps * sliceSeconds)) : Infinity;
    return this.nextChange(Math.min(frames, this.done + Math.min(this.slice, maxSlice, throttled, kept, seen)));
  }

  /** The first frame after this one, up to `limit`, before which something must be uploaded. */
  private nextChange(limit: number): number {
    let end = limit;
    for (const { instance, node } of this.nodes) {
      if (!instance.beforeFrame) continue;
      end = node.params.nextChange(this.done, end);
      if (instance.changesAt) for (let f = this.done + 1; f < end; f++) if (instance.changesAt(f)) end = f;
    }
    return end;
  }

  private async runSlice(end: number): Promise<void> {
    const { timestamps, sliceSeconds = 0.1 } = this.options;
    const count = end - this.done;
    const begin = performance.now();
    const result = await this.plan.run(count, timestamps ? { timestamps } : {});
    this.stages.device += (performance.now() - begin) / 1000;
    this.done += result.done;
    if (result.opNs) this.addTimes(result.opNs, result.done);
    if (result.done === count && result.seconds > 0) {
      // A power of two, as submits are: one recording is then replayed again and again.
      const wanted = 2 ** Math.floor(Math.log2(Math.max(1, (sliceSeconds / result.seconds) * count)));
      this.slice = Math.min(wanted, this.slice * 8);
    }
    await this.options.onSlice?.(this.done);
  }

  private addTimes(opNs: readonly number[], frames: number): void {
    this.timedFrames += frames;
    const weight = frames / this.timedFrames;
    const old = this.opNs;
    this.opNs = opNs.map((ns, i) => (old ? (old[i] ?? 0) * (1 - weight) + ns * weight : ns));
  }

  private context(run: RunNode): FrameContext {
    return {
      params: run.node.params,
      write: (buffer, data, offset) => this.plan.write(buffer, data, offset),
      read: (buffer, offset, bytes) => this.plan.read(buffer, offset, bytes),
    };
  }

  /** The first frame calls every module, later ones those for which something changes. */
  private async beforeFrame(frame: number): Promise<void> {
    for (const run of this.nodes) {
      const { instance, node } = run;
      if (!instance.beforeFrame) continue;
      const changes = frame === this.first || (instance.changesAt?.(frame) ?? false) || node.params.nextChange(frame - 1, frame + 1) === frame;
      if (changes) await instance.beforeFrame(this.context(run), frame);
    }
  }

  /** With `fps`, waits until the frame before `end` may begin. */
  private async throttle(end: number): Promise<void> {
    const { fps, signal } = this.options;
    if (!(fps > 0)) return;
    const wait = this.start + ((end - 1 - this.first) / fps) * 1000 - performance.now();
    if (wait > 0) await sleep(wait, undefined, { signal }).catch(() => undefined);
  }

  private async report(last: boolean): Promise<void> {
    const now = performance.now();
    if (last || now - this.statusAt > statusEverySeconds * 1000) {
      this.statusAt = now;
      this.status = [];
      for (const run of this.nodes) {
        const status = await run.instance.status?.(this.context(run));
        if (status) this.status.push({ module: run.node.key, values: status.values });
        for (const warning of status?.warnings ?? []) this.options.onWarning?.(`${run.node.key}: ${warning}`);
      }
    }
    this.options.onProgress?.({ first: this.first, done: this.done, frames: this.options.frames, seconds: (now - this.start) / 1000, status: this.status });
  }

  /** Reads what the sinks get; their encoding and writing overlaps the following frames. */
  private async writeSinks(): Promise<void> {
    const frame = this.done - 1;
    this.written = this.done;
    if (this.sinks.length > 0) for (const run of this.nodes) await run.instance.present?.(this.context(run));
    for (const sink of this.sinks) {
      const { instance } = sink.run;
      const { shape, buffer } = sink.port;
      const data = await this.plan.read(buffer);
      await sink.pending;
      const index = this.files.push('') - 1; // its place in the list, however long writing takes
      sink.pending = Promise.resolve(instance.write?.({ shape, data }, frame)).then((file) => this.noteFile(index, file), (error: unknown) => this.noteFailure(error));
      sink.pending.catch(() => undefined); // thrown where it is awaited next
    }
  }

  private noteFile(index: number, file: string | undefined): void {
    if (!file) return;
    this.files[index] = file;
    this.options.onWritten?.(file);
  }

  /** Training goes on without an output that can't be written; a run that only converts has no reason to. */
  private noteFailure(error: unknown): void {
    if (!(error instanceof OutputError) || !trains(this.nodes)) throw error;
    if (this.failures.push(error) === 1) this.options.onWarning?.(`${error.format()}\n  the run goes on`);
  }

  private async finishWriting(): Promise<void> {
    for (const result of await Promise.allSettled(this.sinks.map((s) => s.pending))) if (result.status === 'rejected') throw result.reason;
  }

  /** After an error in mid-run (a missing file of a sequence): keeps what was computed. The first error is the one to report. */
  private async rescue(): Promise<void> {
    try {
      if (this.done > this.first) await this.checkpoint();
      if (this.written < this.done) await this.writeSinks();
    } catch {
      // The device is gone or the sink was what failed.
    }
    await Promise.allSettled([...this.sinks.map((s) => s.pending), this.options.checkpoints?.settle()]);
  }

  private async timed(stage: 'sources' | 'sinks' | 'checkpoints', work: () => Promise<void>): Promise<void> {
    const begin = performance.now();
    await work();
    this.stages[stage] += (performance.now() - begin) / 1000;
  }
}
