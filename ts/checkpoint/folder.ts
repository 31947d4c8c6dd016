// The folder of a run's checkpoints: names, the newest whole one, what is kept, what an earlier run left.

import { link, mkdir, readdir, rename, rmdir, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { InputError } from '../errors.js';
import { exists, withInput, writeAtomic } from '../files.js';
import { decodeCheckpoint, decodeHeader, headerBytes, PROLOGUE_BYTES, type Checkpoint, type CheckpointInfo } from './format.js';

export const BEST_NAME = 'best.ckpt';
/** Where the checkpoints go that a new run finds. */
export const PREVIOUS_NAME = 'previous';
const KEPT = 3;
const pattern = /^frame-(\d{9,10})\.ckpt$/;

export const checkpointName = (frame: number): string => `frame-${String(frame).padStart(9, '0')}.ckpt`;

/** The checkpoints in a folder by their names, the newest first; none where there is no folder. */
export async function listCheckpoints(dir: string): Promise<{ path: string; frame: number }[]> {
  const names = await readdir(dir).catch((): string[] => []);
  const found = names.flatMap((name) => {
    const frame = pattern.exec(name)?.[1];
    return frame === undefined ? [] : [{ path: join(dir, name), frame: Number(frame) }];
  });
  return found.sort((a, b) => b.frame - a.frame);
}

export interface Found {
  path: string;
  checkpoint: Checkpoint;
}

/** Reads and checks a file. Throws InputError. */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
  return withInput(path, {}, async (file) => {
    // Before all of a large file is read: is it one at all?
    const bytes = headerBytes(await file.read(0, PROLOGUE_BYTES), file.bytes, path);
    decodeHeader(await file.read(0, PROLOGUE_BYTES + bytes), file.bytes, path);
    return decodeCheckpoint(await file.read(0, file.bytes), path);
  });
}

/**
 * The checkpoint that `path` means: a file, or the newest of a folder. A damaged one is warned of, and the one before it taken.
 * @throws InputError CKPT_NONE where there is none, CKPT_DAMAGED where none is whole
 */
export async function findCheckpoint(path: string, warn: (message: string) => void): Promise<Found> {
  const kind = await stat(path).catch(() => undefined);
  const folder = kind?.isDirectory() ?? false;
  if (!kind) throw new InputError('CKPT_NONE', `there is no checkpoint ${path}`, { hint: 'Without --resume the run starts at frame 0; checkpoints lie in a folder named after the first output, or in --checkpoint-dir.' });
  const inFolder = await listCheckpoints(folder ? path : dirname(path));
  const frame = Number(pattern.exec(basename(path))?.[1] ?? Infinity);
  const candidates = folder ? inFolder : [{ path, frame }, ...inFolder.filter((c) => c.frame < frame)];
  if (candidates.length === 0) throw new InputError('CKPT_NONE', `the folder ${path} holds no checkpoint`, { hint: 'Without --resume the run starts at frame 0.' });
  const reasons: string[] = [];
  for (const [i, candidate] of candidates.entries()) {
    try {
      return { path: candidate.path, checkpoint: await readCheckpoint(candidate.path) };
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      reasons.push(error.message);
      const next = candidates[i + 1];
      if (next) warn(`${error.message}; the one before it is tried: ${next.path}`);
    }
  }
  throw new InputError('CKPT_DAMAGED', `no checkpoint can be read: ${reasons.join('; ')}`);
}

/** Writes a checkpoint whole or not at all, then removes those that are too many; `best`: under the best one's name as well. Throws OutputError. */
export async function storeCheckpoint(dir: string, frame: number, pieces: Uint8Array[], best: boolean): Promise<string> {
  const path = join(dir, checkpointName(frame));
  await writeAtomic(path, ...pieces);
  if (best) await alsoAs(path, join(dir, BEST_NAME), pieces);
  for (const { path: old } of (await listCheckpoints(dir)).slice(KEPT)) await unlink(old).catch(() => undefined);
  return path;
}

/** A second name for a file, in place of what has it; a copy where the file system has no hard links. */
async function alsoAs(path: string, name: string, pieces: Uint8Array[]): Promise<void> {
  const temp = join(dirname(name), `.${basename(name)}.${process.pid}.${randomUUID()}.tmp`);
  try {
    await link(path, temp);
    await rename(temp, name);
    // Renaming one name of a file to another of its names leaves both.
    await unlink(temp).catch(() => undefined);
  } catch {
    await unlink(temp).catch(() => undefined);
    await writeAtomic(name, ...pieces);
  }
}

/** The score of the folder's best checkpoint; null where there is none, or none of `last` frames at most. */
export async function bestIn(dir: string, last: number): Promise<CheckpointInfo['best']> {
  const best = await readCheckpoint(join(dir, BEST_NAME)).catch(() => undefined);
  return best && best.frame <= last && best.score ? { ...best.score, frame: best.frame } : null;
}

/** Moves checkpoints for which this is not the future (frames after `first`; of a run that starts anew all) to the folder "previous", in place of what lies there. */
export async function setAside(dir: string, first: number | undefined): Promise<void> {
  const own = await listCheckpoints(dir);
  const aside = own.filter((c) => first === undefined || c.frame > first).map((c) => c.path);
  const best = join(dir, BEST_NAME);
  if ((await exists(best)) && (first === undefined || (await bestIn(dir, first)) === null)) aside.push(best);
  if (aside.length === 0) return;
  const previous = join(dir, PREVIOUS_NAME);
  await mkdir(previous, { recursive: true });
  for (const c of await listCheckpoints(previous)) await unlink(c.path);
  await unlink(join(previous, BEST_NAME)).catch(() => undefined);
  for (const path of aside) await rename(path, join(previous, basename(path)));
}

/** Removes what a killed process left half-written. The folder is locked: nobody else is writing. */
export async function removeLeftovers(dir: string): Promise<void> {
  for (const name of await readdir(dir).catch((): string[] => [])) if (/^\..*\.ckpt\..*\.tmp$/.test(name)) await unlink(join(dir, name)).catch(() => undefined);
}

/** Removes the folder if nothing is in it. */
export async function removeIfEmpty(dir: string): Promise<void> {
  await rmdir(dir).catch(() => undefined);
}
