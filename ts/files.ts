// Reading and writing files with clear errors; results are written whole or not at all (SPEC sections 4 and 6).

import { createHash } from 'node:crypto';
import { constants, unlinkSync } from 'node:fs';
import { access, type FileHandle, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { editDistance } from './cfg/suggest.js';
import { InputError, OutputError, type Place } from './errors.js';

/** Where the file was asked for: the place of a parameter, say. */
export interface Asked {
  place?: Place;
}

// By shape, not by class: under jest, Node's errors are not of the test's Error class.
const codeOf = (e: unknown): string => (typeof e === 'object' && e !== null && 'code' in e ? String(e.code) : 'UNKNOWN');
/** What an error says, of whatever class. */
export const messageOf = (e: unknown): string => (typeof e === 'object' && e !== null && 'message' in e ? String(e.message) : String(e));

/** What to do about a file that isn't there: names near it in its folder, or the part of the path that is missing. */
async function missingHint(path: string): Promise<string> {
  const dir = dirname(path);
  const names = await readdir(dir).catch(() => undefined);
  if (!names) return `The folder ${dir} is missing or can't be read.`;
  const want = basename(path);
  if (want.length > 200) return 'The name is very long.';
  const limit = Math.max(2, Math.floor(want.length / 3));
  const near = names
    .map((name) => ({ name, d: editDistance(want, name) }))
    .filter(({ d }) => d <= limit)
    .sort((a, b) => a.d - b.d || (a.name < b.name ? -1 : 1))
    .slice(0, 3);
  return near.length > 0 ? `Did you mean ${near.map(({ name }) => name).join(' or ')}?` : "Names are looked up relative to the graph file's folder.";
}

async function readError(path: string, e: unknown, asked: Asked): Promise<InputError> {
  const code = codeOf(e);
  const why: Record<string, string> = { ENOENT: 'is missing', ENOTDIR: 'is missing: a part of its path is no folder', EACCES: 'may not be read: permission denied', EPERM: 'may not be read: permission denied', ELOOP: 'is a loop of links', ENAMETOOLONG: 'has too long a name', EISDIR: 'is a folder, not a file' };
  const hint = code === 'ENOENT' ? await missingHint(path) : undefined;
  return new InputError(`FILE_${code}`, `the file ${path} ${why[code] ?? `can't be read: ${messageOf(e)}`}`, { place: asked.place, hint, cause: e });
}

/** An open file of known size. */
export interface InputFile {
  path: string;
  bytes: number;
  /** Reads exactly these bytes (fewer only at the file's end). */
  read(offset: number, bytes: number): Promise<Uint8Array>;
}

async function readAt(handle: FileHandle, offset: number, bytes: number): Promise<Uint8Array> {
  const out = new Uint8Array(bytes);
  let got = 0;
  while (got < bytes) {
    // One read call takes less than 2^31 bytes.
    const { bytesRead } = await handle.read(out, got, Math.min(bytes - got, 1 << 30), offset + got);
    if (bytesRead === 0) break;
    got += bytesRead;
  }
  return got === bytes ? out : out.subarray(0, got);
}

/**
 * Opens a regular file, hands it to `use`, closes it.
 * @throws InputError FILE_<errno> where it is missing (with near names), unreadable, a folder or no regular file; FILE_EMPTY
 */
export async function withInput<T>(path: string, asked: Asked, use: (file: InputFile) => Promise<T>): Promise<T> {
  let handle: FileHandle;
  let bytes: number;
  try {
    // Looked at before it is opened: opening a pipe would wait for its writer.
    const s = await stat(path);
    if (s.isDirectory()) throw Object.assign(new Error('is a directory'), { code: 'EISDIR' });
    if (!s.isFile()) throw new InputError('FILE_KIND', `the file ${path} is a device or a pipe, not a file on disk`, { place: asked.place });
    bytes = s.size;
    if (bytes === 0) throw new InputError('FILE_EMPTY', `the file ${path} is empty`, { place: asked.place });
    handle = await open(path, 'r');
  } catch (e) {
    throw e instanceof InputError ? e : await readError(path, e, asked);
  }
  const read = async (offset: number, n: number): Promise<Uint8Array> => {
    try {
      return await readAt(handle, offset, Math.min(n, bytes - offset));
    } catch (e) {
      throw await readError(path, e, asked);
    }
  };
  try {
    return await use({ path, bytes, read });
  } finally {
    await handle.close();
  }
}

/** Whether a file (or anything else) of this name exists. */
export const exists = (path: string): Promise<boolean> => stat(path).then(() => true, () => false);

/**
 * Checks, before the work starts, that `path` can be written: its folder exists and takes new files, and it is no folder itself.
 * @throws InputError OUTPUT_FOLDER, OUTPUT_IS_FOLDER
 */
export async function checkWritable(path: string, asked: Asked): Promise<void> {
  const dir = dirname(path);
  const s = await stat(dir).catch(() => undefined);
  const fail = (message: string, hint: string): InputError => new InputError('OUTPUT_FOLDER', message, { place: asked.place, hint });
  if (!s) throw fail(`the folder ${dir} for the output ${basename(path)} is missing`, `Make it: mkdir -p ${dir}`);
  if (!s.isDirectory()) throw fail(`${dir}, where the output ${basename(path)} should go, is no folder`, 'Choose another name for the output.');
  // access() answers for root and for read-only file systems alike, except that root may "write" to some pseudo file systems: try it.
  const probe = join(dir, `.${basename(path)}.${process.pid}.probe`);
  try {
    await access(dir, constants.W_OK | constants.X_OK);
    await (await open(probe, 'wx')).close();
    await unlink(probe);
  } catch (e) {
    throw fail(`the folder ${dir} for the output ${basename(path)} is not writable (${codeOf(e)})`, 'Choose another folder or change its permissions.');
  }
  await removeLeftovers(path);
  const target = await stat(path).catch(() => undefined);
  if (target?.isDirectory()) throw new InputError('OUTPUT_IS_FOLDER', `the output ${path} is a folder`, { place: asked.place, hint: 'Choose another name for the output.' });
}

let serial = 0;
/** Of temporary names: process ids of one machine say nothing about another's, on a disk that both use. */
const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
/** Temporary files of this process that are there now. */
const writing = new Set<string>();
// A second Ctrl-C ends the process in the middle of a write. (What a kill leaves, the next run removes: removeLeftovers.)
process.on('exit', () => {
  for (const temp of writing) {
    try {
      unlinkSync(temp);
    } catch {
      // Not made yet, or renamed already.
    }
  }
});

const temporary = (path: string): string => join(dirname(path), `.${basename(path)}.${host}.${process.pid}.${serial++}.tmp`);

/** Removes temporary files that a process which is gone left beside `path`. */
async function removeLeftovers(path: string): Promise<void> {
  const prefix = `.${basename(path)}.${host}.`;
  for (const name of await readdir(dirname(path)).catch((): string[] => [])) {
    const pid = name.startsWith(prefix) ? /^(\d+)\.\d+\.tmp$/.exec(name.slice(prefix.length))?.[1] : undefined;
    if (pid !== undefined && !isRunning(Number(pid))) await unlink(join(dirname(path), name)).catch(() => undefined);
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (e) {
    return codeOf(e) === 'EPERM';
  }
}

/** Makes a rename durable. Some file systems can't sync folders; the data are safe all the same. */
async function syncFolder(dir: string): Promise<void> {
  const handle = await open(dir, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

/**
 * Writes a file whole or not at all: to a temporary name in the same folder, synced, renamed, the folder synced.
 * On failure an older file of this name is as it was, and nothing else is left.
 * @throws OutputError WRITE_FAILED
 */
export async function writeAtomic(path: string, ...chunks: Uint8Array[]): Promise<void> {
  const temp = temporary(path);
  writing.add(temp);
  try {
    const handle = await open(temp, 'wx', 0o666);
    try {
      for (const chunk of chunks) await handle.writeFile(chunk);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temp, path);
  } catch (e) {
    await unlink(temp).catch(() => undefined);
    const code = codeOf(e);
    const hint = code === 'ENOSPC' ? 'The disk is full.' : code === 'EDQUOT' ? 'The disk quota is used up.' : undefined;
    throw new OutputError('WRITE_FAILED', `writing ${path} failed: ${messageOf(e)}`, { hint, cause: e });
  } finally {
    writing.delete(temp);
  }
  await syncFolder(dirname(path));
}
