// Which pictures a run reads, as lines to compare like those of its graph: going on with others would give other weights.

import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { dirname, relative, sep } from 'node:path';
import type { RunNode } from '../graph/shapes.js';

/** Of more files than this, the date stands for the contents: looking into each would take minutes on a slow disk. */
const MOST_READ = 1000;
/** Bytes that are looked at, at the beginning, in the middle and at the end. */
const PART = 16384;
const AT_ONCE = 16;

/** "input:i-jpg:ref:a.jpg:1234 bytes, 89abcdef01234567". Paths are relative to the folder that a module's files have in common: where that is, the graph says. */
export async function inputLines(run: readonly RunNode[]): Promise<string[]> {
  const files = run.flatMap(({ node, instance }) => {
    const paths = instance.inputs?.() ?? [];
    const folder = commonFolder(paths);
    return paths.map((path) => ({ path, name: `input:${node.key}:${relative(folder, path)}` }));
  });
  const lines: string[] = [];
  for (let i = 0; i < files.length; i += AT_ONCE)
    lines.push(...(await Promise.all(files.slice(i, i + AT_ONCE).map(async ({ path, name }) => `${name}:${await contents(path, files.length <= MOST_READ)}`))));
  return lines;
}

function commonFolder(paths: readonly string[]): string {
  let folder = dirname(paths[0] ?? '');
  while (!paths.every((path) => path.startsWith(folder.endsWith(sep) ? folder : folder + sep))) folder = dirname(folder);
  return folder;
}

/** Size and a hash of some parts, or the date. What can't be read is told when it is needed. */
async function contents(path: string, read: boolean): Promise<string> {
  const file = await open(path, 'r').catch(() => undefined);
  if (!file) return 'missing';
  try {
    const { size, mtime } = await file.stat();
    if (!read) return `${size} bytes, ${mtime.toISOString().replaceAll(':', '.')}`;
    const hash = createHash('sha256');
    for (const at of [0, Math.floor(size / 2), Math.max(0, size - PART)]) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(PART), 0, PART, at);
      hash.update(buffer.subarray(0, bytesRead));
    }
    return `${size} bytes, ${hash.digest('hex').slice(0, 16)}`;
  } catch {
    return 'unreadable';
  } finally {
    await file.close();
  }
}
