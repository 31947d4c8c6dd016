// Worker threads for what would hold up the event loop: decoding raw and EXR files, colour arithmetic of large pictures.

import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { InputError, OutputError, type ErrorDetail } from '../errors.js';
import { packageRoot } from '../root.js';
import type { TaskName, Tasks } from './worker.js';

/** What a worker answers: the result, or the error's parts (classes don't cross threads). */
export type Answer = { id: number; result: unknown } | { id: number; error: { kind: 'input' | 'other'; code: string; message: string; detail: Omit<ErrorDetail, 'cause'> } };

interface Job {
  name: TaskName;
  args: unknown[];
  transfer: ArrayBuffer[];
  resolve: (result: never) => void;
  reject: (error: unknown) => void;
}

/** Threads beyond this only wait for memory. */
const most = 16;
export const poolSize = Math.max(1, Math.min(most, availableParallelism()));

const idle: Worker[] = [];
const queue: Job[] = [];
const busy = new Map<Worker, Job>();

/** Runs a task of worker.ts on a thread. `transfer`: buffers that the caller gives away. Rejects as the task does. */
export function inWorker<N extends TaskName>(name: N, args: Parameters<Tasks[N]>, transfer: ArrayBuffer[] = []): Promise<Awaited<ReturnType<Tasks[N]>>> {
  return new Promise((resolve, reject) => {
    queue.push({ name, args, transfer, resolve: resolve as Job['resolve'], reject });
    next();
  });
}

/** Starts as many threads as `count` tasks can use, ahead of them: starting takes as long as a megapixel. */
export function startThreads(count: number): void {
  for (let n = idle.length + busy.size; n < Math.min(count, poolSize); n++) {
    const worker = start();
    worker.unref();
    idle.push(worker);
  }
}

/** Runs jobs, so many at a time; results in the jobs' order. */
export async function inTurn<T>(jobs: readonly (() => Promise<T>)[], most: number): Promise<T[]> {
  const results: T[] = [];
  let at = 0;
  const work = async (): Promise<void> => {
    for (let i = at++; i < jobs.length; i = at++) results[i] = await jobs[i]!();
  };
  await Promise.all(Array.from({ length: Math.min(most, jobs.length) }, work));
  return results;
}

function next(): void {
  if (queue.length === 0 || (idle.length === 0 && busy.size >= poolSize)) return;
  const worker = idle.pop() ?? start();
  const job = queue.shift()!;
  busy.set(worker, job);
  worker.ref();
  worker.postMessage({ id: 0, name: job.name, args: job.args }, job.transfer);
}

function start(): Worker {
  // Under jest the sources are TypeScript: the thread always runs what the build made of them.
  const worker = new Worker(join(packageRoot, 'dist', 'pictures', 'worker.js'));
  worker.on('message', (answer: Answer) => {
    const job = busy.get(worker);
    busy.delete(worker);
    worker.unref(); // an idle thread must not keep the process alive
    idle.push(worker);
    if (job) settle(job, answer);
    next();
  });
  worker.on('error', (error) => {
    const job = busy.get(worker);
    busy.delete(worker);
    const at = idle.indexOf(worker);
    if (at >= 0) idle.splice(at, 1);
    job?.reject(error);
    next();
  });
  return worker;
}

function settle(job: Job, answer: Answer): void {
  if ('result' in answer) return job.resolve(answer.result as never);
  const { kind, code, message, detail } = answer.error;
  job.reject(kind === 'input' ? new InputError(code, message, detail) : new OutputError(code, message, detail));
}
