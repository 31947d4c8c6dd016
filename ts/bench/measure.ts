// Times of a program on the device: GPU timestamps of whole repetitions, after a warm-up; pipelines are made before.

import { GpuError } from '../errors.js';
import type { Program } from '../gpu/types.js';

/** GPU time of one repetition, the barrier behind it included. */
export interface Timing {
  medianNs: number;
  p10Ns: number;
  p90Ns: number;
  /** Repetitions that these are of. */
  repetitions: number;
  /** Medians of each op of the program, 0 for barriers. */
  opNs: number[];
}

/** The p-th percentile (0..100), between neighbours linear. `values` is not empty. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (p / 100) * (sorted.length - 1);
  const low = sorted[Math.floor(at)]!;
  return low + (sorted[Math.ceil(at)]! - low) * (at % 1);
}

const leastRepeats = 10;
const mostRepeats = 20_000;
const SETTLED = 0.5;
const LONGEST_WARM_UP = 5;

/**
 * Repeats the program for about `seconds`, after a warm-up. That takes half as long, and goes on until nothing got faster for half a second (or twice as long as
 * is measured): a GPU that had nothing to do while results were checked starts at a fifth of its clock. Half of the repetitions are timed whole, half by op.
 */
export async function measure(program: Program, seconds: number): Promise<Timing> {
  let spent = 0;
  let count = 1;
  let each = Infinity;
  const settle = Math.min(SETTLED, 2 * seconds);
  let settled = 0; // seconds without anything faster
  while (spent < seconds / 2 || (settled < settle && spent < LONGEST_WARM_UP)) {
    const { done, seconds: took } = await program.run(count);
    if (done < count) throw new GpuError('INTERRUPTED', 'the measurement was interrupted');
    spent += took;
    settled = took / count < 0.98 * each ? 0 : settled + took;
    each = Math.min(each, took / count);
    if (took < settle / 4) count = Math.min(mostRepeats, 2 * count);
  }
  const repeats = Math.min(mostRepeats, Math.max(leastRepeats, Math.ceil(seconds / each)));
  const { repeatNs = [], opNs = [], done } = await program.run(repeats, { timestamps: true });
  if (done < repeats) throw new GpuError('INTERRUPTED', 'the measurement was interrupted');
  const at = (p: number): number => percentile(repeatNs, p);
  return { medianNs: at(50), p10Ns: at(10), p90Ns: at(90), repetitions: repeatNs.length, opNs };
}
