// Files behind an input's `filename` parameter: one, or a numbered sequence `%04d` (SPEC section 4).

import { readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { InputError } from '../errors.js';
import type { ShapeContext } from '../graph/types.js';

const pattern = /%(0?)(\d*)d/;

/** The number written as the pattern (`%04d`, `%d`) in the name says; a name without a pattern stays. */
export function numbered(name: string, n: number): string {
  return name.replace(pattern, (_, zero: string, digits: string) => String(n).padStart(Number(digits || 0), zero === '' ? ' ' : '0'));
}

export const isSequence = (name: string): boolean => pattern.test(name);

/** The numbers that files of this pattern have in their folder. */
async function numbersPresent(path: string): Promise<Set<number>> {
  const names = await readdir(dirname(path)).catch((): string[] => []);
  const [before, after] = basename(path).split(pattern.exec(basename(path))![0]) as [string, string];
  const numbers = names.filter((n) => n.startsWith(before) && n.endsWith(after)).map((n) => n.slice(before.length, n.length - after.length));
  return new Set(numbers.filter((n) => /^ *\d+$/.test(n)).map(Number).filter((n) => names.includes(numbered(basename(path), n))));
}

/**
 * Paths of the files, in order, relative to the graph file's folder. A sequence has as many as there are frames or files,
 * counted from `startid`; when it is shorter than the frames it starts over (training on a few photographs).
 * @throws InputError FILE_NAME, SEQUENCE_EMPTY, SEQUENCE_GAP (a number missing among files that are there)
 */
export async function sequenceFiles(ctx: ShapeContext, hold: number): Promise<string[]> {
  const name = ctx.params.string('filename');
  const place = ctx.params.place('filename');
  if (name === '') throw new InputError('FILE_NAME', `${ctx.info.module}:${ctx.info.inst} has an empty filename`, { place });
  const path = resolve(ctx.graphDir, name);
  if (!isSequence(name)) return [path];
  if (!isSequence(basename(name))) throw new InputError('FILE_NAME', `the number of a sequence must be in the file's name, not in its folder: ${name}`, { place });
  const start = ctx.params.int('startid');
  const wanted = Math.ceil(ctx.frames / hold);
  const present = await numbersPresent(path);
  let count = 0;
  while (count < wanted && present.has(start + count)) count++;
  const missing = join(dirname(path), numbered(basename(path), start + count));
  const later = Math.min(...[...present].filter((n) => n > start + count && n < start + wanted));
  if (count === 0) {
    const first = [...present].sort((a, b) => a - b)[0];
    throw new InputError('SEQUENCE_EMPTY', `the first file of the sequence is missing: ${missing}`, { place, hint: first === undefined ? 'The number in a file is the frame plus startid.' : `The first one there has number ${first}: set startid:${first}.` });
  }
  if (Number.isFinite(later)) throw new InputError('SEQUENCE_GAP', `a file is missing in the sequence: ${missing} (number ${later} is there)`, { place, hint: 'A sequence has consecutive numbers.' });
  if (count < wanted) ctx.warn(`the sequence ${name} has ${count} file${count === 1 ? '' : 's'} for ${ctx.frames} frames; it starts over when it ends`);
  return Array.from({ length: count }, (_, i) => join(dirname(path), numbered(basename(path), start + i)));
}
