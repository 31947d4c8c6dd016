// The progress line: a bar on a terminal, a plain line now and then on a pipe.

import type cliProgress from 'cli-progress';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Progress } from '../graph/frame-loop.js';
import { packageRoot } from '../root.js';

const plainEverySeconds = 5;
/** Share of the newest value in the smoothed loss. */
const smoothing = 0.1;

export class ProgressLine {
  private readonly bar: cliProgress.SingleBar | undefined;
  private started = false;
  private printedAt = 0;
  private readonly smoothed = new Map<string, number>();
  private readonly rate = new Rate(5);
  /** For the time that is left: pauses, as of a validation, come and go within it. */
  private readonly longRate = new Rate(60);
  private last: Progress | undefined;
  private tileAt = performance.now();
  /** Stands at the line's end. */
  note: string | undefined;

  constructor(private readonly out: NodeJS.WriteStream) {
    if (!out.isTTY) return;
    const { SingleBar } = createRequire(join(packageRoot, 'package.json'))('cli-progress') as typeof cliProgress; // here, because runs without a terminal start sooner
    this.bar = new SingleBar({ format: '{bar} {value}/{total} | {text}', stream: out, hideCursor: true, clearOnComplete: false, gracefulExit: false, barsize: 20, linewrap: false, fps: 10 });
  }

  update(progress: Progress): void {
    this.rate.add(progress);
    this.longRate.add(progress);
    if (progress.status !== this.last?.status) this.smooth(progress);
    this.last = progress;
    if (this.bar) {
      if (!this.started) this.bar.start(progress.frames, 0, { text: '' });
      this.bar.update(progress.done, { text: this.text(progress) });
    } else if (progress.seconds - this.printedAt >= plainEverySeconds || (!this.started && progress.seconds > 1) || progress.done === progress.frames) {
      this.printedAt = progress.seconds;
      this.line(progress);
    }
    this.started = true;
  }

  /** Within a frame: a picture that is done tile by tile. */
  tile(done: number, tiles: number): void {
    const text = `tile ${done}/${tiles}`;
    const frames = this.last?.done ?? 0;
    if (this.bar) {
      if (!this.started) this.bar.start(this.last?.frames ?? 1, 0, { text });
      this.started = true;
      this.bar.update(frames, { text });
    } else if (performance.now() - this.tileAt >= plainEverySeconds * 1000 && done < tiles) {
      this.tileAt = performance.now();
      this.out.write(`frame ${frames} | ${text}\n`);
    }
  }

  /** Ends the line; says the last state on a pipe if it wasn't said. */
  stop(): void {
    this.bar?.stop();
    if (!this.bar && this.last && this.last.seconds !== this.printedAt) this.line(this.last);
    this.last = undefined;
  }

  /** A message above the bar. */
  clear(): void {
    if (this.bar && this.started) this.out.write('\r\u001b[K');
  }

  private line(progress: Progress): void {
    this.out.write(`frame ${progress.done}/${progress.frames} | ${this.text(progress)}\n`);
  }

  private text(progress: Progress): string {
    const perSecond = this.rate.perSecond();
    const long = this.longRate.perSecond();
    const left = long > 0 ? (progress.frames - progress.done) / long : NaN;
    const parts = [`${short(perSecond)} frames/s`, `${duration(left)} left`];
    const several = progress.status.filter(({ values }) => values.length > 0).length > 1;
    for (const { module, values } of progress.status)
      for (const { name } of values) parts.push(`${several ? `${module} ` : ''}${name} ${short(this.smoothed.get(`${module} ${name}`) ?? NaN)}`);
    return [...parts, ...(this.note === undefined ? [] : [this.note])].join(' | ');
  }

  /** Takes in new numbers (the same object comes again between measurements). */
  private smooth(progress: Progress): void {
    for (const { module, values } of progress.status)
      for (const { name, value } of values) {
        const key = `${module} ${name}`;
        const old = name === 'loss' ? this.smoothed.get(key) : undefined;
        this.smoothed.set(key, old !== undefined && Number.isFinite(old) ? old + smoothing * (value - old) : value);
      }
  }
}

/** Frames a second over the last few seconds: the first frames are slower than the rest. */
class Rate {
  private readonly points: { done: number; seconds: number }[] = [];

  /** Over so many of the last seconds. */
  constructor(private readonly window: number) {}

  add({ first, done, seconds }: Progress): void {
    if (this.points.length === 0) this.points.push({ done: first, seconds: 0 });
    this.points.push({ done, seconds });
    while (this.points.length > 2 && seconds - (this.points[1]?.seconds ?? 0) > this.window) this.points.shift();
  }

  perSecond(): number {
    const first = this.points[0];
    const last = this.points.at(-1);
    return first && last && last.seconds > first.seconds ? (last.done - first.done) / (last.seconds - first.seconds) : 0;
  }
}

/** A number in about four characters' worth of digits. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e6 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
}

/** "1h 02m", "3m 20s", "12s" */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const s = Math.round(seconds);
  const two = (n: number): string => String(n).padStart(2, '0');
  if (s >= 3600) return `${Math.floor(s / 3600)}h ${two(Math.floor((s % 3600) / 60))}m`;
  return s >= 60 ? `${Math.floor(s / 60)}m ${two(s % 60)}s` : `${s}s`;
}
