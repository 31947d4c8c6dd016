// Checkpoints of one run: where they lie, when the next is due, writing them while the device goes on, going on from one.

import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname, relative, resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { InputError, OutputError, VkpnError } from '../errors.js';
import type { Device, DeviceInfo } from '../gpu/types.js';
import type { DevicePlan } from '../graph/device-plan.js';
import type { CheckedGraph } from '../graph/run.js';
import { trains, type RunNode } from '../graph/shapes.js';
import { vkpnVersion } from '../root.js';
import { bestIn, findCheckpoint, removeIfEmpty, removeLeftovers, setAside, storeCheckpoint, type Found } from './folder.js';
import { CHECKPOINT_VERSION, encodeCheckpoint, sha256Hex, type CheckpointInfo, type Json, type Score, type Tensor } from './format.js';
import { differences } from './graph-lines.js';
import { inputLines } from './inputs.js';
import { Lock } from './lock.js';
import { hostState, readTensors, restoreHostState, savedBuffers, seedsOf, writeTensors } from './state.js';

export type Interval = { seconds: number } | { frames: number };

export interface CheckpointOptions {
  /** How often; 0: never. Default: every 30 seconds where the graph trains or goes on, else never. */
  every?: Interval;
  /** Default: that of what is gone on from, else beside the first output, named after it. */
  dir?: string;
  /** Goes on: with the newest checkpoint of the folder (true), of another folder, or with a file. */
  resume?: boolean | string;
  /** Goes on though the graph is another. */
  resumeAnyway?: boolean;
  /** State of what watches the run from outside (validation, say), kept in the header. */
  watcher?: { save(): Json; restore(value: Json): void };
  /** By what the best checkpoint is chosen, less being better. Without, and as long as it is undefined: the smoothed loss. */
  score?: () => Score | undefined;
  onCheckpoint?: (path: string, frame: number) => void;
}

export const DEFAULT_SECONDS = 30;
const WATCHER = 'watcher';
const MOST_LINES = 20;

type Warn = (message: string) => void;

export class Checkpoints {
  /** The newest whole one: what a run would go on with. */
  last: { path: string; frame: number } | undefined;
  private run!: { nodes: readonly RunNode[]; plan: DevicePlan; device: DeviceInfo; saved: ReturnType<typeof savedBuffers> };
  private lastFrame: number;
  /** By the monotonic clock: the time of day may jump. */
  private lastAt = performance.now();
  private begun = performance.now();
  private pending: Promise<void> | undefined;
  /** Why the newest attempt failed; undefined once one succeeded. */
  private failure: VkpnError | undefined;
  private tidied = false;

  private constructor(
    private readonly dir: string,
    private readonly every: Interval,
    private readonly explicit: boolean,
    private readonly checked: CheckedGraph,
    private readonly options: CheckpointOptions,
    private readonly warn: Warn,
    private readonly lock: Lock | undefined,
    private readonly found: Found | undefined,
    private readonly changed: boolean,
    /** Where what was found lies in the folder itself: its run goes on there. */
    private readonly inPlace: boolean,
    private best: CheckpointInfo['best'],
  ) {
    this.lastFrame = this.first;
    if (found) this.last = { path: found.path, frame: found.checkpoint.frame };
  }

  /**
   * Locks the folder and reads what is gone on from; undefined where the run keeps no checkpoints. No GPU work.
   * @throws InputError LOCKED, CKPT_…, RESUME_CHANGED (the graph is another), RESUME_FRAMES (it has fewer frames than are done)
   */
  static async open(graph: CheckedGraph, options: CheckpointOptions, warn: Warn): Promise<Checkpoints | undefined> {
    const { resume = false } = options;
    const resuming = resume !== false;
    const every = options.every ?? { seconds: resuming || trains(graph.run) ? DEFAULT_SECONDS : 0 };
    const writes = ('seconds' in every ? every.seconds : every.frames) > 0;
    if (!writes && !resuming) return undefined;
    const checked = { ...graph, lines: [...graph.lines, ...(await inputLines(graph.run))] };
    const from = typeof resume === 'string' ? resume : undefined;
    const dir = options.dir ?? (from === undefined ? defaultFolder(checked) : from.endsWith('.ckpt') ? dirname(from) : from);
    let lock: Lock | undefined;
    if (writes) {
      await makeFolder(dir);
      lock = await Lock.take(dir);
    }
    try {
      if (writes) await removeLeftovers(dir);
      const found = resuming ? await findCheckpoint(from ?? dir, warn) : undefined;
      const changed = found !== undefined && checkGraphIs(checked, found, options.resumeAnyway ?? false, warn);
      const inPlace = found !== undefined && resolve(dirname(found.path)) === resolve(dir);
      const best = inPlace ? await bestIn(dir, found.checkpoint.frame) : null;
      return new Checkpoints(dir, every, resuming || options.every !== undefined, checked, options, warn, lock, found, changed, inPlace, best);
    } catch (error) {
      lock?.release();
      await removeIfEmpty(dir);
      throw error;
    }
  }

  /** The first frame that runs; the number of frames where none is left to run. */
  get first(): number {
    return this.found?.checkpoint.frame ?? 0;
  }

  /** Whether what is gone on from has come to its end, and written its outputs. */
  get complete(): boolean {
    return this.first === this.checked.graph.frames;
  }

  /** Uploads what is gone on from. Call with everything allocated, before the first frame. */
  attach(plan: DevicePlan, device: Device): void {
    const nodes = this.checked.run;
    this.run = { nodes, plan, device: device.info, saved: savedBuffers(nodes, plan.plan) };
    this.begun = this.lastAt = performance.now();
    if (!this.found) return;
    const { checkpoint } = this.found;
    const here = deviceText(device.info);
    const others = Object.keys(here).filter((k) => checkpoint.device[k] !== here[k]);
    if (others.length > 0) this.warn(`the checkpoint was made with ${others.map((k) => `${k} ${checkpoint.device[k] ?? '?'}`).join(', ')}, this is ${others.map((k) => here[k]).join(', ')}: the run goes on, but not to the same bits`);
    if (checkpoint.versions.vkpn !== vkpnVersion()) this.warn(`the checkpoint was made by vkpn ${checkpoint.versions.vkpn ?? '?'}, this is ${vkpnVersion()}: the run goes on, but perhaps not to the same bits`);
    writeTensors(this.run.saved, plan, checkpoint, this.changed, this.warn);
    restoreHostState(nodes, checkpoint.host);
    if (Object.hasOwn(checkpoint.host, WATCHER)) this.options.watcher?.restore(checkpoint.host[WATCHER]!);
  }

  /** The frame after `done` that a submit must end before, where checkpoints are counted in frames. */
  nextFrame(done: number): number {
    return 'frames' in this.every && this.every.frames > 0 ? (Math.floor(done / this.every.frames) + 1) * this.every.frames : Infinity;
  }

  /** Whether one should be written after so many frames. By time none is while another is being written; those counted in frames all are. */
  due(done: number): boolean {
    if (done === this.lastFrame || !this.lock) return false;
    return 'frames' in this.every ? done % this.every.frames === 0 : !this.pending && performance.now() - this.lastAt >= this.every.seconds * 1000;
  }

  /** Whether the state after the last frame of a run that came to its end is worth keeping: where there are checkpoints already, or some were asked for. */
  get wantsLast(): boolean {
    return this.explicit || this.tidied;
  }

  /** Downloads the state after `done` frames, with the device idle, and writes it while the device goes on. */
  async save(done: number, status: readonly { values: readonly { name: string; value: number }[] }[]): Promise<void> {
    if (!this.lock) return;
    await this.pending;
    if (done === this.lastFrame) return;
    const now = performance.now();
    const tensors = await readTensors(this.run.saved, this.run.plan);
    const info = this.describe(done, this.options.score?.() ?? lossOf(status));
    this.lastFrame = done;
    this.lastAt = now;
    this.pending = this.write(info, tensors).finally(() => (this.pending = undefined));
  }

  /** Waits for what is being written. */
  async settle(): Promise<void> {
    await this.pending;
  }

  /** Throws what kept the newest state from being saved, if anything did. */
  check(): void {
    if (this.failure) throw this.failure;
  }

  async close(): Promise<void> {
    await this.pending;
    this.lock?.release();
    if (this.lock) await removeIfEmpty(this.dir);
  }

  private describe(frame: number, score: Score | undefined): CheckpointInfo {
    const { nodes, device } = this.run;
    const good = score && Number.isFinite(score.value) ? { name: score.name, value: score.value } : null;
    const best = good && (this.best?.name !== good.name || good.value < this.best.value) ? { ...good, frame } : this.best;
    const host = hostState(nodes);
    const watched = this.options.watcher?.save();
    const { graph, file, text, lines } = this.checked;
    const previous = this.found?.checkpoint;
    return {
      run: (this.runId ??= previous?.run ?? randomUUID()),
      frame,
      frames: graph.frames,
      seeds: seedsOf(nodes),
      seconds: (previous?.seconds ?? 0) + (performance.now() - this.begun) / 1000,
      written: new Date().toISOString(),
      versions: { vkpn: vkpnVersion(), checkpoint: String(CHECKPOINT_VERSION), node: process.version },
      device: deviceText(device),
      graph: { file, text, lines, sha256: sha256Hex(lines.join('\n')) },
      score: good,
      best,
      host: watched === undefined ? host : { ...host, [WATCHER]: watched },
    };
  }
  private runId: string | undefined;

  /** Never rejects: a run goes on though its checkpoints can't be written, and says so. */
  private async write(info: CheckpointInfo, tensors: Tensor[]): Promise<void> {
    // The next frames are sent to the device first; then checksums are taken.
    await setImmediate();
    try {
      const pieces = encodeCheckpoint(info, tensors);
      if (!this.tidied) await setAside(this.dir, this.inPlace ? this.first : undefined);
      this.tidied = true;
      const isBest = info.best !== null && info.best.frame === info.frame;
      const path = await storeCheckpoint(this.dir, info.frame, pieces, isBest);
      this.last = { path, frame: info.frame };
      this.best = info.best;
      this.failure = undefined;
      this.options.onCheckpoint?.(path, info.frame);
    } catch (error) {
      this.failure = error instanceof VkpnError ? error : new OutputError('CKPT_WRITE', `the checkpoint of frame ${info.frame} can't be written: ${(error as Error).message}`, { cause: error });
      this.warn(`${this.failure.format()}\n  the run goes on; ${this.last ? `the last whole checkpoint is ${this.last.path}` : 'there is no checkpoint yet'}`);
    }
  }
}

async function makeFolder(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true });
  } catch (error) {
    throw new InputError('CKPT_FOLDER', `the folder ${dir} for checkpoints can't be made: ${(error as Error).message}`, { hint: 'Choose another --checkpoint-dir, or --checkpoint 0 for none.', cause: error });
  }
}

/** Beside the first output file, named after it; else in the working directory. */
function defaultFolder({ run }: CheckedGraph): string {
  const sinks = run.filter((r) => r.node.type.connectors.some((c) => c.type === 'sink') && r.node.type.params.some((p) => p.name === 'filename'));
  const first = sinks.find((r) => r.node.type.name === 'o-lut') ?? sinks[0];
  const name = first?.node.params.string('filename').replace(/\.\w{1,4}$/, '').replace(/%\d*d/, '') ?? '';
  return `${name === '' ? 'vkpn' : name}.checkpoints`;
}

/** Whether the graph differs from the checkpoint's. Throws where it does and may not, or where nothing is left to do. */
function checkGraphIs(checked: CheckedGraph, { path, checkpoint }: Found, anyway: boolean, warn: Warn): boolean {
  const lines = differences(checkpoint.graph.lines, checked.lines);
  if (lines.length > 0) {
    const shown = [...lines.slice(0, MOST_LINES), ...(lines.length > MOST_LINES ? [`… and ${lines.length - MOST_LINES} more`] : [])].map((line) => `\n  ${line}`).join('');
    const what = lines.every((line) => /^. input:/.test(line)) ? 'pictures were changed, added or removed: they are not those' : 'the graph is not the one';
    if (!anyway)
      throw new InputError('RESUME_CHANGED', `${what} that ${path} belongs to ("-" there, "+" here):${shown}`, { hint: 'Take these changes back, or go on with them: --resume-anyway' });
    warn(`going on from ${path} with ${what.startsWith('the') ? 'a changed graph' : 'changed pictures'} ("-" there, "+" here):${shown}`);
  }
  const { frames } = checked.graph;
  if (checkpoint.frame > frames)
    throw new InputError('RESUME_FRAMES', `${path} is of a run that has done ${checkpoint.frame} frames, more than the ${frames} of this graph`, { hint: 'Give the graph more frames, or start anew without --resume.' });
  return lines.length > 0;
}

function deviceText(info: DeviceInfo): Record<string, string> {
  return { device: info.name, driver: `${info.driverName} ${info.driverInfo}`.trim(), uuid: info.deviceUuid };
}

function lossOf(status: readonly { values: readonly { name: string; value: number }[] }[]): Score | undefined {
  return status.flatMap((s) => s.values).find((v) => v.name === 'loss');
}

/** How a run goes on from what it left, for messages. */
export function resumeHint({ last }: Pick<Checkpoints, 'last'>): string {
  if (!last) return 'No checkpoint had been written yet.';
  const shown = relative('.', last.path);
  return `The last checkpoint is ${shown.startsWith('..') ? last.path : shown} (after frame ${last.frame}): the same command with --resume goes on from there.`;
}
