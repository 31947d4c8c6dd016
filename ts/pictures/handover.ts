// Pictures that a command has decoded already and hands to the graph it runs: a source module that is asked for the same file takes it from
// here, once, instead of reading it again.

import type { Raw } from '../formats/raw.js';
import type { Frame } from '../modules/picture-source.js';

export interface HandedOver {
  /** What i-jpg, i-png, i-tif, i-pfm and i-exr load. */
  frame?: Frame;
  /** What i-raw loads; its pixels in f16. */
  raw?: Omit<Raw, 'rgba'> & { data: Uint16Array };
}

const waiting = new Map<string, HandedOver>();

/** @param path absolute, as the graph's `filename` resolves */
export const handOver = (path: string, picture: HandedOver): void => void waiting.set(path, picture);

/** Takes a picture that waits. */
export function takeOver<K extends keyof HandedOver>(path: string, kind: K): HandedOver[K] {
  const found = waiting.get(path)?.[kind];
  if (found) waiting.delete(path);
  return found;
}

/** Looks at one without taking it. */
export const peekOver = (path: string): HandedOver | undefined => waiting.get(path);

/** Takes back what no graph asked for. */
export const withdraw = (path: string): void => void waiting.delete(path);
