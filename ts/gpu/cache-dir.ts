// The user's cache folder, and files in it that may be lost, damaged or shared by several processes at any time.
import { createHash, randomUUID } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { home } from '../home.js';

const keepDays = 30;
const day = 24 * 3600 * 1000;

/** $XDG_CACHE_HOME/vkpn or ~/.cache/vkpn; undefined where there is no home, or where VKPN_NO_CACHE=1 says to keep and trust nothing. */
export function userCacheDir(): string | undefined {
  if (process.env.VKPN_NO_CACHE === '1') return undefined;
  const xdg = process.env.XDG_CACHE_HOME;
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, 'vkpn');
  const folder = home();
  return folder === undefined ? undefined : join(folder, '.cache', 'vkpn');
}

export function sha256(...parts: (string | Uint8Array)[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** As mkdir's `recursive`, which never returns where the system answers ENOENT to a new folder, as under /proc. */
function makeFolder(dir: string): void {
  if (existsSync(dir)) return;
  makeFolder(dirname(dir));
  try {
    mkdirSync(dir);
  } catch (error) {
    if (!existsSync(dir)) throw error; // else another process was faster
  }
}

const magic = Buffer.from('VKPNPC1\n');
const headerBytes = magic.length + 32 + 32;

/**
 * One cached blob. File: magic, SHA-256 of the key, SHA-256 of the data, the data. What is missing, damaged or of another key
 * reads as undefined; what cannot be written is not.
 */
export class CacheFile {
  private readonly path: string;
  private readonly keyHash: Buffer;

  /** @param kind first part of the file's name; files of the same kind that nobody used for a month are removed */
  constructor(
    private readonly dir: string,
    private readonly kind: string,
    key: string,
  ) {
    this.keyHash = sha256(key);
    this.path = join(dir, `${kind}-${this.keyHash.toString('hex').slice(0, 32)}.bin`);
  }

  read(): Uint8Array | undefined {
    const data = this.open();
    try {
      // Its time says when it was last of use.
      if (data !== undefined) utimesSync(this.path, new Date(), new Date());
    } catch {
      // a folder of someone else's: the file is good all the same
    }
    return data;
  }

  /** Whether it is there, intact, and was written in the last `ms` milliseconds. */
  writtenWithin(ms: number): boolean {
    return this.age() < ms && this.open() !== undefined;
  }

  /** Whole or not at all: temporary name, fsync, rename. */
  write(data: Uint8Array): void {
    const temporary = `${this.path}.${randomUUID()}.tmp`;
    try {
      makeFolder(this.dir);
      const file = openSync(temporary, 'w', 0o600);
      try {
        this.fill(file, data);
        renameSync(temporary, this.path);
      } catch {
        rmSync(temporary, { force: true });
      }
      this.prune();
    } catch {
      // no cache then: the folder cannot be made or written
    }
  }

  private fill(file: number, data: Uint8Array): void {
    try {
      const whole = Buffer.concat([magic, this.keyHash, sha256(data), data]);
      for (let at = 0; at < whole.length; ) at += writeSync(file, whole, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }

  private open(): Uint8Array | undefined {
    try {
      const file = readFileSync(this.path);
      const data = file.subarray(headerBytes);
      const expected = Buffer.concat([magic, this.keyHash, sha256(data)]);
      return file.subarray(0, headerBytes).equals(expected) ? data : undefined;
    } catch {
      return undefined;
    }
  }

  private age(): number {
    try {
      return Date.now() - statSync(this.path).mtimeMs;
    } catch {
      return Infinity;
    }
  }

  private prune(): void {
    for (const name of readdirSync(this.dir)) {
      if (!name.startsWith(`${this.kind}-`)) continue;
      const path = join(this.dir, name);
      const limit = name.endsWith('.tmp') ? day : keepDays * day;
      if (Date.now() - statSync(path).mtimeMs > limit) rmSync(path, { force: true });
    }
  }
}
