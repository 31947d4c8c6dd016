// Watches a training run from outside: validation, the best weights, early stopping, the log. It reads what training computes and
// changes none of it.

import type { Json, Score } from '../checkpoint/format.js';
import { InputError, VkpnError } from '../errors.js';
import { checkWritable, exists, writeAtomic } from '../files.js';
import { countNonFinite, encodeLut } from '../formats/lut.js';
import type { SpirvLoader } from '../graph/device-plan.js';
import type { CheckedGraph, RunAccess } from '../graph/run.js';
import { KpnT } from '../modules/kpn-t/kpn-t.js';
import { readState } from '../modules/kpn-t/state.js';
import { readWeights, type Weights } from './denoiser.js';
import type { LevelScores } from './evaluate.js';
import { RunLog, type Column, type Row, type RunLogFiles } from './run-log.js';
import { trainedWeights } from './trained.js';
import { ValidationSet, type Validated, type ValidationSetOptions } from './validation.js';

export interface WatchOptions {
  validation?: Omit<ValidationSetOptions, 'warn'> & {
    /** Frames between validations; undefined: by time, so that they cost little. */
    every?: number;
    /** Stops after so many validations in a row without a better one; undefined: never. */
    patience?: number;
  };
  log?: RunLogFiles;
  load: SpirvLoader;
  warn: (message: string) => void;
  /** Something to tell the user that is no warning. */
  say: (message: string) => void;
  /** The user's stop. */
  signal?: AbortSignal;
  /** Told of each validation once it is known. */
  onValidated?: (found: Validated, best: boolean) => void;
}

/** Of the run's time that validations by time may take, and the least seconds between them. */
const SHARE = 0.02;
const LEAST_SECONDS = 10;
const LOG_EVERY_SECONDS = 1;
/** Validations that a checkpoint holds; of more, every second of the older ones is left out. */
const MOST_KEPT = 500;

const TRAINING: readonly Column[] = [
  { name: 'loss', tag: 'train/loss' },
  { name: 'gradient_norm', tag: 'train/gradient_norm' },
  { name: 'learning_rate', tag: 'train/learning_rate' },
  { name: 'skipped_updates', tag: 'train/skipped_updates' },
];

const SCORES = [['psnr', 'srgb'], ['psnr', 'linear'], ['ssim', 'srgb'], ['ssim', 'linear']] as const;

function validationColumns(levels: readonly { name: string }[]): Column[] {
  return [{ name: 'validation_gain', tag: 'validation/gain' }, ...levels.flatMap(({ name }) => SCORES.map(([what, encoding]) => ({ name: `${what}_${encoding}_${name}`, tag: `${what}_${encoding}/${name}` })))];
}

const validationValues = ({ gain, levels }: Validated): Record<string, number> =>
  Object.fromEntries([['validation_gain', gain] as const, ...levels.flatMap(({ level, denoised }) => SCORES.map(([what, encoding]) => [`${what}_${encoding}_${level}`, denoised[0]![encoding][what]] as const))]);

/** The line in the best weights' text. */
const VALIDATED = /^validated: gain (\S+) after (\d+) frames, set (\w+)$/m;

interface Trainer {
  key: string;
  trainer: KpnT;
  /** Its matrix path is the one to validate with. */
  path: string;
}

/** The one network that the graph trains. Throws InputError NO_TRAINING, MANY_TRAININGS. */
function findTrainer({ run, file }: CheckedGraph): Trainer {
  const found = run.flatMap(({ node, instance }) => (instance instanceof KpnT ? [{ key: node.key, trainer: instance, path: node.params.string('path') }] : []));
  const place = { file };
  if (found.length === 0) throw new InputError('NO_TRAINING', 'the graph trains nothing: no kpn-t runs, so there is nothing to validate or log', { place, hint: 'leave out --validate, --log and --tensorboard' });
  if (found.length > 1) throw new InputError('MANY_TRAININGS', `the graph trains ${found.length} networks (${found.map((f) => f.key).join(', ')}): only one can be validated or logged`, { place });
  return found[0]!;
}

/** Where the best weights go: beside the weights, WEIGHTS.best.lut; else named after the graph. */
function bestName({ graph, file }: CheckedGraph, key: string): string {
  const sink = [...graph.nodes.values()].find((n) => n.type.name === 'o-lut' && [...n.inputs.values()].some((c) => c.source.key === key && c.output.name === 'w'));
  const name = sink ? sink.params.string('filename').replace(/\.lut$/i, '') : file.replace(/^.*[/\\]/, '').replace(/\.cfg$/i, '');
  return `${name}.best.lut`;
}

interface Progress {
  /** Of the newest validation that is known. */
  newest?: { frame: number; gain: number };
  best?: { frame: number; gain: number };
  /** Validations since the best. */
  since: number;
}

export class Watch {
  private readonly early = new AbortController();
  private progress: Progress = { since: 0 };
  private trainer!: Trainer;
  private frames = 0;
  private bestFile = '';
  private begun: number | undefined;
  private firstDone = 0;
  /** What threads get ready for validation. */
  private readying: Promise<void> | undefined;
  private ready = false;
  private done = 0;
  private prepared = false;
  private goneOnFrom: number | undefined;
  /** Seconds since the start at which the next validation by time, the next row of the log are due. */
  private validateAt = Infinity;
  private logAt = 0;
  private validatedFrame = -1;
  private loggedFrame = -1;
  private pending: Promise<void> | undefined;
  private failure: VkpnError | undefined;
  /** Seconds for which training waited, by what for; `before` the first frame, `after` the last. */
  private readonly waited = { before: 0, prepare: 0, validate: 0, log: 0, after: 0 };
  /** All that is known, oldest first. */
  readonly history: Validated[] = [];

  private constructor(
    private readonly options: WatchOptions,
    private readonly set: ValidationSet | undefined,
    private readonly log: RunLog | undefined,
  ) {}

  /** Reads pictures and checks files. No GPU work. Throws InputError. */
  static async open(options: WatchOptions): Promise<Watch> {
    const { validation, log, warn } = options;
    const begun = performance.now();
    const set = validation && (await ValidationSet.open({ ...validation, warn }));
    const columns = [...TRAINING, ...validationColumns(validation?.levels ?? [])];
    const watch = new Watch(options, set, log && (await RunLog.open(log, columns, warn)));
    watch.waited.before = (performance.now() - begun) / 1000;
    return watch;
  }

  get validates(): boolean {
    return this.set !== undefined;
  }

  /** Aborted when the patience is spent. */
  get stop(): AbortSignal {
    return this.early.signal;
  }

  /** For the progress line. */
  get note(): string | undefined {
    const { newest, best } = this.progress;
    return newest && best && `validation ${newest.gain.toFixed(2)} dB (best ${best.gain.toFixed(2)} at ${best.frame})`;
  }

  /** The frame that a submit must end before. */
  nextStop(done: number): number {
    const every = this.options.validation?.every;
    return every === undefined ? Infinity : done - (done % every) + every;
  }

  /** Once the graph is known. Throws InputError. */
  async attach(checked: CheckedGraph): Promise<void> {
    this.trainer = findTrainer(checked);
    this.frames = checked.graph.frames;
    if (!this.set) return;
    this.bestFile = bestName(checked, this.trainer.key);
    await checkWritable(this.bestFile, { place: { file: checked.file } });
  }

  /** After each slice of frames, with the device idle. */
  async slice(done: number, access: RunAccess): Promise<void> {
    this.done = done;
    if (this.begun === undefined) await this.timed('prepare', () => this.begin(access));
    const seconds = this.seconds();
    const every = this.options.validation?.every;
    const wanted = this.set !== undefined && (done === this.frames || (every !== undefined && done % every === 0));
    if (this.set && !this.prepared && (this.ready || wanted) && !(await this.prepare(this.set, access))) return;
    const due = every === undefined ? seconds >= this.validateAt && !this.pending && !this.nearEnd(access) : wanted && done % every === 0;
    if (due) await this.timed('validate', () => this.validate(access));
    else if (seconds >= this.logAt) await this.timed('log', () => this.logState(access));
  }

  /** After the last frame: validates the final weights, and waits for everything. Rejects with what could not be written. */
  async end(access: RunAccess): Promise<void> {
    await this.timed('after', () => this.finish(access));
  }

  private async finish(access: RunAccess): Promise<void> {
    if (this.prepared && this.done === this.frames && this.validatedFrame !== this.done) await this.validate(access);
    else if (this.begun !== undefined && this.loggedFrame !== this.done) await this.logState(access);
    await this.pending;
    if (this.failure) throw this.failure;
    await this.log?.close();
  }

  /** Frees the device's memory; waits for what is under way. */
  async close(): Promise<void> {
    await this.pending?.catch(() => undefined);
    await this.readying?.catch(() => undefined);
    this.set?.destroy();
  }

  private async timed<T>(what: keyof Watch['waited'], work: () => Promise<T>): Promise<T> {
    const begin = performance.now();
    const result = await work();
    this.waited[what] += (performance.now() - begin) / 1000;
    return result;
  }

  /** What watching cost, for people. */
  get costs(): string {
    const { before, prepare, validate, log, after } = this.waited;
    const ms = (s: number): string => `${(1000 * s).toFixed(0)} ms`;
    return `training waited ${ms(prepare)} for validation to be prepared, ${ms(validate)} for the device to denoise, ${ms(log)} for rows of the log; ${ms(before)} before the first frame, ${ms(after)} after the last`;
  }

  private seconds(): number {
    return (performance.now() - this.begun!) / 1000;
  }

  /** With the first slice: the clock, the log, and what threads can prepare. */
  private async begin(access: RunAccess): Promise<void> {
    this.begun = performance.now();
    this.firstDone = this.done;
    this.log?.begin(this.goneOnFrom);
    if (!this.set) return;
    this.readying = this.set.begin(access.device, this.options.load, await this.weights(access), this.params, this.options.signal).then(() => void (this.ready = true));
    this.readying.catch(() => undefined); // thrown where it is awaited
  }

  private get params(): string[] {
    return [`path:${this.trainer.path}`];
  }

  private prepare(set: ValidationSet, access: RunAccess): Promise<boolean> {
    return this.timed('prepare', () => this.makePrograms(set, access));
  }

  private async makePrograms(set: ValidationSet, access: RunAccess): Promise<boolean> {
    const { load, signal, validation } = this.options;
    await this.readying;
    const ready = await set.prepare(access.device, load, await this.weights(access), this.params, signal);
    if (ready === undefined) return false;
    if (this.goneOnFrom !== undefined) await this.takeBestFile(set.id);
    const count = `${set.crop} of ${validation!.files.length} picture${validation!.files.length === 1 ? '' : 's'}`;
    this.options.say(`validates on ${count}, noise ${validation!.levels.map((l) => l.name).join(', ')}; the best weights go to ${this.bestFile}`);
    this.validateAt = this.seconds() + this.interval(access);
    this.prepared = true;
    return true;
  }

  /** Whether the validation at the run's end comes so soon that another before it tells little. */
  private nearEnd(access: RunAccess): boolean {
    const speed = (this.done - this.firstDone) / this.seconds();
    return speed > 0 && (this.frames - this.done) / speed < this.interval(access) / 2;
  }

  /** Seconds to leave between validations. On a CPU scoring takes training's time too: about as much again. */
  private interval(access: RunAccess): number {
    const cost = (this.set?.pause ?? 0) * (access.device.info.type === 'cpu' ? 2 : 1);
    return Math.max(LEAST_SECONDS, cost / SHARE);
  }

  private weights(access: RunAccess): Promise<Weights> {
    return trainedWeights(this.trainer.key, this.trainer.trainer, access);
  }

  private async trainingValues(access: RunAccess): Promise<Record<string, number>> {
    const s = readState(await access.readBuffer(this.trainer.trainer.buffers.state));
    return { loss: s.smoothed, gradient_norm: s.norm, learning_rate: s.learningRate, skipped_updates: s.skipped };
  }

  private async logState(access: RunAccess): Promise<void> {
    if (!this.log) return;
    this.logAt = this.seconds() + LOG_EVERY_SECONDS;
    this.loggedFrame = this.done;
    this.log.add({ frame: this.done, seconds: this.seconds(), values: await this.trainingValues(access) });
  }

  /** Denoises with the weights of the moment; scoring goes on beside training. The one before is taken in first. */
  private async validate(access: RunAccess): Promise<void> {
    await this.pending;
    if (this.done < this.frames && this.progress.since >= (this.options.validation?.patience ?? Infinity)) return this.early.abort();
    const frame = this.done;
    const seconds = this.seconds();
    const weights = await this.weights(access);
    const training = this.log ? await this.trainingValues(access) : {};
    const results = await this.set!.denoise(weights.data);
    if (results === undefined) return; // the run is being stopped
    this.validatedFrame = this.loggedFrame = frame;
    this.validateAt = this.seconds() + this.interval(access);
    const found = this.set!.score(frame, results, frame === this.frames);
    this.log?.add(found.then((f): Row => ({ frame, seconds, values: { ...training, ...validationValues(f) } })));
    this.logAt = seconds + LOG_EVERY_SECONDS;
    this.pending = found.then((f) => this.take(f, weights)).finally(() => (this.pending = undefined));
    this.pending.catch(() => undefined); // thrown where it is awaited next
  }

  private async take(found: Validated, weights: Weights): Promise<void> {
    const { frame, gain } = found;
    this.history.push(found);
    const better = Number.isFinite(gain) && gain > (this.progress.best?.gain ?? -Infinity);
    this.progress = { newest: { frame, gain }, best: better ? { frame, gain } : this.progress.best, since: better ? 0 : this.progress.since + 1 };
    if (better) await this.keep(weights, found);
    this.options.onValidated?.(found, better);
  }

  /** A run that goes on may find better weights than its checkpoint knows of: scored after it was written. */
  private async takeBestFile(id: string): Promise<void> {
    if (!(await exists(this.bestFile))) return;
    const kept = await readWeights(this.bestFile).catch(() => undefined);
    const [, gain, frame, set] = VALIDATED.exec(kept?.shape.text ?? '') ?? [];
    if (set === id && Number(gain) > (this.progress.best?.gain ?? -Infinity)) this.progress.best = { frame: Number(frame), gain: Number(gain) };
  }

  /** Writes the best weights. Training goes on where that fails. */
  private async keep({ shape, data }: Weights, { gain, frame }: Validated): Promise<void> {
    const { width, height } = shape;
    if (countNonFinite({ format: 'f16' }, data).count > 0) return;
    try {
      await writeAtomic(this.bestFile, encodeLut({ width, height, channels: 1, format: 'f16', ssbo: true, data, text: `${shape.text ?? ''}validated: gain ${gain} after ${frame} frames, set ${this.set!.id}\n` }));
      this.failure = undefined;
    } catch (e) {
      if (!(e instanceof VkpnError)) throw e;
      if (!this.failure) this.options.warn(`${e.format()}\n  the run goes on`);
      this.failure = e;
    }
  }

  /** Sentences for the end of a run. */
  summary(): string[] {
    const { newest, best, since } = this.progress;
    if (!this.set || !newest || !best) return [];
    const scores = this.history.find((v) => v.frame === best.frame)?.levels;
    const shown = scores?.map((l: LevelScores) => `${l.level} ${l.denoised[0]!.srgb.psnr.toFixed(2)} dB, ${l.denoised[0]!.srgb.ssim.toFixed(4)} (noisy ${l.noisy.srgb.psnr.toFixed(2)}, ${l.noisy.srgb.ssim.toFixed(4)})`).join('; ');
    return [
      `validation, PSNR and SSIM, sRGB-encoded: best after ${best.frame} frames, ${best.gain.toFixed(2)} dB over the noisy pictures${shown === undefined ? '' : `: ${shown}`}; ${this.bestFile}`,
      ...(newest.frame === best.frame ? [] : [`the last, after ${newest.frame} frames: ${newest.gain.toFixed(2)} dB`]),
      ...(this.stop.aborted ? [`stopped early: ${since} validations without a better one`] : []),
    ];
  }

  /** For checkpoints: what a run that goes on must know. */
  save(): Json {
    const { history } = this;
    if (history.length > MOST_KEPT) history.splice(0, history.length, ...history.filter((h, i) => i % 2 === 0 || h.frame === this.progress.best?.frame || i === history.length - 1));
    return JSON.parse(JSON.stringify({ ...this.progress, frame: this.done, history: history.filter((v) => Number.isFinite(v.gain)) })) as Json;
  }

  restore(value: Json): void {
    const { frame, newest, best, since, history } = value as unknown as Progress & { frame: number; history: Validated[] };
    this.progress = { newest, best, since };
    this.history.splice(0, this.history.length, ...history);
    this.goneOnFrom = frame;
  }

  /** For checkpoints: how good the run is, less being better. */
  score(): Score | undefined {
    return this.progress.newest && { name: 'validation', value: -this.progress.newest.gain };
  }
}
