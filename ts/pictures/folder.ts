// The pictures under a folder, and those of two folders that belong together by their names.

import { readdir } from 'node:fs/promises';
import { basename, extname, join, relative } from 'node:path';
import { InputError, type Place } from '../errors.js';
import { natural } from './natural.js';
import { kindOfName } from './read.js';

/**
 * All picture files under a folder, folders inside it included, by the endings of their names; in natural order (img2 before img10). What
 * begins with a dot is passed over.
 * @throws InputError FOLDER_<errno>, FOLDER_EMPTY
 */
export async function picturesUnder(folder: string, place?: Place): Promise<string[]> {
  const found: string[] = [];
  const look = async (dir: string): Promise<void> => {
    for (const entry of await readdir(dir, { withFileTypes: true })) {
      if (entry.name.startsWith('.')) continue;
      const path = join(dir, entry.name);
      if (entry.isDirectory()) await look(path);
      else if ((entry.isFile() || entry.isSymbolicLink()) && kindOfName(path) !== undefined) found.push(path);
    }
  };
  try {
    await look(folder);
  } catch (e) {
    const code = typeof e === 'object' && e !== null && 'code' in e ? String(e.code) : 'UNKNOWN';
    const why: Record<string, string> = { ENOENT: 'is missing', ENOTDIR: 'is no folder', EACCES: 'may not be read: permission denied', EPERM: 'may not be read: permission denied' };
    throw new InputError(`FOLDER_${code}`, `the folder ${folder} ${why[code] ?? `can't be read: ${String(e)}`}`, { place, cause: e });
  }
  if (found.length === 0) throw new InputError('FOLDER_EMPTY', `the folder ${folder} has no picture that can be read`, { place, hint: 'pictures go by the endings of their names: jpg png tif pfm exr, and those of camera raw files' });
  return found.sort(natural);
}

export interface Pairs {
  pairs: { path: string; clean: string }[];
  /** Pictures without a counterpart. */
  alone: string[];
}

/** Pictures of two folders that have the same path in them, endings apart. */
export function pairUp(noisy: readonly string[], noisyFolder: string, clean: readonly string[], cleanFolder: string): Pairs {
  const key = (path: string, folder: string): string => {
    const inside = relative(folder, path);
    return inside.slice(0, inside.length - extname(basename(inside)).length);
  };
  const counterparts = new Map(clean.map((path) => [key(path, cleanFolder), path]));
  const result: Pairs = { pairs: [], alone: [] };
  for (const path of noisy) {
    const partner = counterparts.get(key(path, noisyFolder));
    if (partner === undefined) result.alone.push(path);
    else result.pairs.push({ path, clean: partner });
  }
  return result;
}
