// One run a folder: a lock file that names the process, taken over where that process is gone.

import { randomUUID } from 'node:crypto';
import { constants, unlinkSync } from 'node:fs';
import { copyFile, link, readFile, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { InputError, OutputError } from '../errors.js';

export const LOCK_NAME = 'lock';

interface Owner {
  pid: number;
  host: string;
  /** When the process began, as the kernel counts: a number that a later process of the same id doesn't have. */
  began: string;
  token: string;
}

/** Locks that this process holds: a quick end (a second Ctrl-C) gives them up too. */
const held = new Set<string>();
process.on('exit', () => {
  for (const path of held) removeQuietly(path);
});

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It is gone, or the folder is.
  }
}

export class Lock {
  private constructor(private readonly path: string) {
    held.add(path);
  }

  /**
   * Takes the folder, which must exist.
   * @throws InputError LOCKED where a living process has it, OutputError where nothing can be written there
   */
  static async take(folder: string): Promise<Lock> {
    const path = join(folder, LOCK_NAME);
    const mine = join(folder, `.${LOCK_NAME}.${process.pid}.${randomUUID()}`);
    const owner: Owner = { pid: process.pid, host: hostname(), began: (await beganAt(process.pid)) ?? '', token: randomUUID() };
    try {
      await writeFile(mine, JSON.stringify(owner), { flag: 'wx' });
      // A hard link appears with its contents, or not at all: nobody ever reads half a lock.
      for (let tries = 0; tries < 200; tries++) {
        if (await linked(mine, path)) return new Lock(path);
        await removeStale(folder, path, mine);
      }
    } catch (error) {
      if (error instanceof InputError) throw error;
      throw new OutputError('LOCK_FAILED', `the folder ${folder} can't be locked: ${(error as Error).message}`, { cause: error });
    } finally {
      await unlink(mine).catch(() => undefined);
    }
    throw new InputError('LOCKED', `another run has just taken the folder ${folder}`);
  }

  release(): void {
    if (held.delete(this.path)) removeQuietly(this.path);
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS') throw error;
    // A file system without hard links.
    return copyFile(from, to, constants.COPYFILE_EXCL).then(() => true, () => false);
  }
}

/** Removes the lock of a process that is gone; throws LOCKED where it lives or may live. */
async function removeStale(folder: string, path: string, mine: string): Promise<void> {
  if (!(await isStale(folder, path))) return;
  // Of several who find the same dead owner one at a time may remove its lock, and looks again: it may be a new one by then.
  const guard = `${path}.takeover`;
  if (await linked(mine, guard)) {
    try {
      if (await isStale(folder, path)) await unlink(path);
    } finally {
      await unlink(guard);
    }
    return;
  }
  const owner = parseOwner(await readFile(guard, 'utf8').catch(() => ''));
  if (owner && owner.host === hostname() && !(await isAlive(owner))) await unlink(guard).catch(() => undefined);
  await sleep(20);
}

/** Whether the lock's process is gone; false where there is no lock any more. */
async function isStale(folder: string, path: string): Promise<boolean> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return false;
  const owner = parseOwner(text);
  if (owner && owner.host !== hostname())
    throw new InputError('LOCKED', `a run on ${owner.host} (process ${owner.pid}) writes to ${folder}`, { hint: `If that run is gone, remove ${path}; or choose another --checkpoint-dir.` });
  if (owner && (await isAlive(owner)))
    throw new InputError('LOCKED', `another run (process ${owner.pid}) writes to ${folder}`, { hint: 'Wait until it is done, or give this run other outputs or another --checkpoint-dir.' });
  return true;
}

function parseOwner(text: string): Owner | undefined {
  try {
    const { pid, host, began, token } = JSON.parse(text) as Partial<Owner>;
    return typeof pid === 'number' && Number.isSafeInteger(pid) && pid > 0 && typeof host === 'string' ? { pid, host, began: String(began), token: String(token) } : undefined;
  } catch {
    return undefined;
  }
}

async function isAlive({ pid, began }: Owner): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const now = await beganAt(pid);
  return now !== undefined && (now === '' || began === '' || now === began);
}

/** Clock ticks since boot at which a process began; '' where there is no /proc; undefined for a process that has ended and that nobody waited for. */
async function beganAt(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field, the name in parentheses, may hold anything: fields are counted from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? undefined : (fields[19] ?? '');
}
