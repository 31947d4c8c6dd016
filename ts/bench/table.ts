// What `vkpn bench` prints for people: a line a yardstick, a line a case, columns aligned. Pure.

import type { CaseResult, Workload } from './bench.js';
import type { Yardstick } from './yardsticks.js';

/** Three significant digits, no exponent. */
export function short(x: number): string {
  if (!Number.isFinite(x)) return String(x);
  const digits = x === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(x))));
  return x.toFixed(Math.min(digits, 4));
}

const percent = (x: number | undefined): string => (x === undefined ? '-' : `${(100 * x).toFixed(x < 0.1 ? 1 : 0)} %`);

export function yardstickLine({ name, unit, rate, timing }: Yardstick): string {
  const [scale, word] = unit === 'B/s' ? [1e9, 'GB/s  '] : rate < 1e12 ? [1e9, 'GFLOP/s'] : [1e12, 'TFLOP/s'];
  const what = name === 'copy' ? 'copying, both ways' : name.startsWith('vector') ? `${name.slice(7)} multiply-adds` : `${name.split(' ')[0]} matrices, ${name.split(' ')[1]} sums`;
  const spread = (ns: number): string => short((rate / scale) * (timing.medianNs / ns));
  return `  ${what.padEnd(24)}${short(rate / scale).padStart(8)} ${word} (${spread(timing.p90Ns)} .. ${spread(timing.p10Ns)})`;
}

const titles: Record<Workload, string> = {
  infer: 'infer: the layers alone, x in memory to K in memory',
  train: 'train: the layers forward and backward, and dE/dw',
  step: 'step: a whole training step (cnngenin, kpn-t), 64x64 tiles',
  picture: 'picture: inference of a whole picture (kpn)',
};

/** Above the cases of a workload. `flop`: the column's unit. */
export function workloadTitle(workload: Workload, flop: string): string {
  const columns = ['path'.padEnd(15), ' W', ' H', 'pixels'.padStart(9), 'median us'.padStart(11), 'p10 .. p90'.padStart(21), 'Mpx/s'.padStart(8), flop.padStart(8), 'of rate'.padStart(8), 'GB/s'.padStart(6), 'of copy'.padStart(8)];
  if (workload === 'step') columns.push('steps/s'.padStart(8));
  return `\n${titles[workload]}\n  ${columns.join(' ')}`;
}

export function caseLine(c: CaseResult, flopScale: number): string {
  const name = [c.path.padEnd(15), String(c.width).padStart(2), String(c.layers).padStart(2), String(c.pixels).padStart(9)];
  if ('skipped' in c) return `  ${name.join(' ')}   skipped: ${c.skipped}`;
  if ('wrong' in c) return `  ${name.join(' ')}   WRONG: ${c.wrong}`;
  const { time: t } = c;
  const us = (ns: number): string => short(ns / 1000);
  const columns = [
    ...name, us(t.medianNs).padStart(11), `${us(t.p10Ns)} .. ${us(t.p90Ns)}`.padStart(21), short(t.pixelsPerSecond / 1e6).padStart(8),
    short(t.flopPerSecond / flopScale).padStart(8), percent(t.share).padStart(8), (t.bytesPerSecond === undefined ? '-' : short(t.bytesPerSecond / 1e9)).padStart(6), percent(t.bandwidthShare).padStart(8),
  ];
  if (c.workload === 'step') columns.push(short(1e9 / t.medianNs).padStart(8));
  return `  ${columns.join(' ')}`;
}
