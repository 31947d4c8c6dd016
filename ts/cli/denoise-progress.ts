// The progress of `vkpn denoise`: on a terminal a line that is kept up to date, elsewhere one now and then.

import { basename } from 'node:path';
import { duration } from './progress.js';

const terminalEveryMs = 200;
const plainEveryMs = 5000;

export class FileProgress {
  private readonly begin = performance.now();
  private readonly underWay = new Map<number, { stage: string; part: number }>();
  private readonly timer: NodeJS.Timeout | undefined;
  private finished = 0;
  private shown = false;

  constructor(
    private readonly out: NodeJS.WriteStream,
    private readonly names: readonly string[],
    on: boolean,
  ) {
    // By a timer: a large picture on a slow device is one long stage.
    if (on) this.timer = setInterval(() => this.print(), out.isTTY ? terminalEveryMs : plainEveryMs).unref();
  }

  stage(job: number, stage: string, part: number): void {
    this.underWay.set(job, { stage, part });
  }

  done(job: number): void {
    this.underWay.delete(job);
    this.finished++;
  }

  /** Makes room for a message. */
  clear(): void {
    if (this.shown) this.out.write('\r\u001b[K');
    this.shown = false;
  }

  stop(): void {
    clearInterval(this.timer);
    this.clear();
  }

  private print(): void {
    const seconds = (performance.now() - this.begin) / 1000;
    const each = [...this.underWay].map(([i, { stage, part }]) => `${stage} ${basename(this.names[i]!)}${part > 0 ? ` ${Math.round(100 * part)} %` : ''}`);
    const left = this.finished > 0 ? `, ${duration((seconds / this.finished) * (this.names.length - this.finished))} left` : '';
    const text = `${this.finished}/${this.names.length} pictures, ${duration(seconds)}${left} | ${each.join(', ')}`;
    if (!this.out.isTTY) return void this.out.write(`${text}\n`);
    this.out.write(`\r\u001b[K${text.slice(0, (this.out.columns || 80) - 1)}`);
    this.shown = true;
  }
}
