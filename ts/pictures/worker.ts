// What runs on the threads of pool.ts. Each task is a plain function; its result's large arrays are handed over, not copied.

import { parentPort } from 'node:worker_threads';
import { InputError, VkpnError } from '../errors.js';
import { codesToHalf, lightToCodes } from '../formats/codes.js';
import { developHalf, developPixels, developRows } from '../formats/develop.js';
import { packStrip } from '../formats/tiff.js';
import { samplePixels } from '../noise/estimate.js';
import type { Answer } from './pool.js';

/** A task whose modules are loaded with its first call: threads that convert pixels start in a third of the time without them. */
function later<A extends unknown[], R>(load: () => Promise<(...args: A) => R | Promise<R>>): (...args: A) => Promise<R> {
  return async (...args) => (await load())(...args);
}

const tasks = {
  codesToHalf, lightToCodes, developHalf, developPixels, developRows, packStrip, samplePixels,
  decodeExr: later(async () => (await import('../formats/exr.js')).decodeExr),
  decodeRaw: later(async () => (await import('../formats/raw.js')).decodeRaw),
  readRawHeader: later(async () => (await import('../formats/raw.js')).readRawHeader),
  cutPicture: later(async () => (await import('./cut.js')).cutPicture),
  noisyCase: later(async () => (await import('../quality/scoring.js')).noisyCase),
  scoreDevicePicture: later(async () => (await import('../quality/scoring.js')).scoreDevicePicture),
};
export type Tasks = typeof tasks;
export type TaskName = keyof Tasks;

/** The buffers of a result's typed arrays, which go over to the receiver. */
function buffersOf(result: unknown): ArrayBuffer[] {
  if (typeof result !== 'object' || result === null) return [];
  const arrays = (ArrayBuffer.isView(result) ? [result] : Object.values(result)).filter((v): v is ArrayBufferView => ArrayBuffer.isView(v));
  return [...new Set(arrays.map((v) => v.buffer))].filter((b): b is ArrayBuffer => b instanceof ArrayBuffer);
}

parentPort?.on('message', ({ id, name, args }: { id: number; name: TaskName; args: never[] }) => {
  const task = tasks[name] as (...args: never[]) => unknown;
  Promise.resolve()
    .then(() => task(...args))
    .then(
      (result) => parentPort?.postMessage({ id, result } satisfies Answer, buffersOf(result)),
      (e: unknown) => {
        const known = e instanceof VkpnError;
        const error = { kind: e instanceof InputError ? ('input' as const) : ('other' as const), code: known ? e.code : 'WORKER', message: e instanceof Error ? e.message : String(e), detail: known ? { place: e.place, hint: e.hint } : {} };
        parentPort?.postMessage({ id, error } satisfies Answer);
      },
    );
});
