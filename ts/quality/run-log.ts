// What a training run leaves to be drawn later: a CSV file, a row a moment, and TensorBoard event files.

import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { InputError, OutputError } from '../errors.js';
import { checkWritable, exists, messageOf, writeAtomic } from '../files.js';
import { firstRecords, scalarRecord } from './tensorboard.js';

export interface Column {
  /** In the CSV file. */
  name: string;
  /** In TensorBoard. */
  tag: string;
}

export interface Row {
  frame: number;
  /** Since the run began. */
  seconds: number;
  /** By the columns' names; those that are missing stay empty. */
  values: Readonly<Record<string, number>>;
}

export interface RunLogFiles {
  csv?: string;
  /** A folder. */
  tensorboard?: string;
}

const LEADING = ['frame', 'seconds'];

export class RunLog {
  private readonly eventFile: string | undefined;
  /** Rows are written in the order in which they were added, however long each takes to be known. */
  private tail: Promise<void> = Promise.resolve();
  /** Why rows are missing. */
  private failure: OutputError | undefined;

  private constructor(
    private readonly files: RunLogFiles,
    private readonly columns: readonly Column[],
    private readonly warn: (message: string) => void,
  ) {
    if (files.tensorboard !== undefined) this.eventFile = join(files.tensorboard, `events.out.tfevents.${Math.floor(Date.now() / 1000)}.${hostname()}.${process.pid}`);
  }

  /** Checks that everything can be written; writes nothing yet. Throws InputError OUTPUT_FOLDER, OUTPUT_IS_FOLDER. */
  static async open(files: RunLogFiles, columns: readonly Column[], warn: (message: string) => void): Promise<RunLog> {
    const { csv, tensorboard } = files;
    if (csv !== undefined) await checkWritable(csv, {});
    if (tensorboard !== undefined) {
      await mkdir(tensorboard, { recursive: true }).catch((e: unknown) => {
        throw new InputError('OUTPUT_FOLDER', `the folder ${tensorboard} for TensorBoard can't be made: ${messageOf(e)}`, { hint: 'choose another one', cause: e });
      });
      await checkWritable(join(tensorboard, 'events'), {});
    }
    return new RunLog(files, columns, warn);
  }

  /** Begins the files. `goneOnFrom`: the run goes on from so many frames; later rows of the CSV file, which the run before left, are dropped. */
  begin(goneOnFrom?: number): void {
    this.enqueue(async () => {
      const { csv } = this.files;
      const header = `${[...LEADING, ...this.columns.map((c) => c.name)].join(',')}\n`;
      if (csv !== undefined) await writeAtomic(csv, new TextEncoder().encode(header + (goneOnFrom === undefined ? '' : await rowsUpTo(csv, header, goneOnFrom))));
      if (this.eventFile !== undefined) await appendFile(this.eventFile, Buffer.concat(firstRecords(Date.now() / 1000, goneOnFrom)));
    });
  }

  /** Adds a row, once it is known; undefined: none after all. */
  add(row: Row | Promise<Row | undefined>): void {
    const wallTime = Date.now() / 1000;
    this.enqueue(async () => {
      const known = await row;
      if (known === undefined) return;
      const { frame, seconds, values } = known;
      const { csv } = this.files;
      if (csv !== undefined) await appendFile(csv, `${[frame, seconds.toFixed(3), ...this.columns.map((c) => values[c.name] ?? '')].join(',')}\n`);
      if (this.eventFile === undefined) return;
      const tagged = this.columns.flatMap((c) => (values[c.name] === undefined ? [] : [[c.tag, values[c.name]!] as const]));
      await appendFile(this.eventFile, scalarRecord(wallTime, frame, Object.fromEntries(tagged)));
    });
  }

  /** When all rows are written. Rejects with OutputError LOG_FAILED where some could not be. */
  async close(): Promise<void> {
    await this.tail;
    if (this.failure) throw this.failure;
  }

  /** Training goes on without its log; that is said once. */
  private enqueue(write: () => Promise<void>): void {
    this.tail = this.tail.then(write).catch((e: unknown) => {
      if (this.failure) return;
      this.failure = new OutputError('LOG_FAILED', `writing the log failed: ${messageOf(e)}`, { hint: 'rows are missing from it', cause: e });
      this.warn(`${this.failure.format()}\n  the run goes on`);
    });
  }
}

/** The rows of a CSV file with this header, of frames up to this one. A file of other columns is begun anew. */
async function rowsUpTo(csv: string, header: string, frame: number): Promise<string> {
  if (!(await exists(csv))) return '';
  const text = await readFile(csv, 'utf8');
  if (!text.startsWith(header)) return '';
  const whole = text.slice(header.length, text.lastIndexOf('\n') + 1);
  return whole.split('\n').filter((line) => line !== '' && Number(line.split(',')[0]) <= frame).map((line) => `${line}\n`).join('');
}
