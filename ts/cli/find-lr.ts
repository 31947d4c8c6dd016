// `vkpn train --find-lr`: a learning-rate range test. The rate rises exponentially from frame to frame; each frame's loss is told relative to
// that of the untrained network on the same tiles and noise, which takes away most of its scatter.

import { InputError } from '../errors.js';
import { toFloat } from '../formats/pixels.js';
import { loadSpirv, type Device } from '../gpu/index.js';
import { runGraph, type GraphSource } from '../graph/run.js';
import { withoutFiles } from '../modules/index.js';
import { KpnT } from '../modules/kpn-t/kpn-t.js';

const TRAINER = 'kpn-t:01';
const [LEAST, MOST] = [1e-5, 1];
export const FRAMES = 240;
/** Share of the newest frame in the smoothed curve. */
const NEWEST = 0.08;

export interface RangeTest {
  /** By frame: the rate, and ln of loss over the untrained network's, smoothed. */
  rows: { alpha: number; change: number }[];
  /** Where the curve falls fastest, where it is lowest, and where it has risen by half of its depth again (undefined: it never did). */
  steepest: number;
  lowest: number;
  diverged: number | undefined;
  suggestion: number;
}

export const ratesOf = (frames: number): number[] => Array.from({ length: frames }, (_, i) => LEAST * (MOST / LEAST) ** (i / (frames - 1)));

/** Reads the rate off the losses of both runs. Pure. Throws InputError LR_FLAT where nothing was learnt. */
export function rangeTest(alphas: readonly number[], losses: ArrayLike<number>, untrained: ArrayLike<number>): RangeTest {
  const rows: RangeTest['rows'] = [];
  let [sum, weight] = [0, 0];
  for (const [i, alpha] of alphas.entries()) {
    const ratio = losses[i]! / untrained[i]!;
    const value = Number.isFinite(ratio) && ratio > 0 ? Math.log(ratio) : 10;
    sum = (1 - NEWEST) * sum + NEWEST * value;
    weight = (1 - NEWEST) * weight + NEWEST;
    rows.push({ alpha, change: sum / weight });
  }
  const low = rows.reduce((best, r, i) => (r.change < rows[best]!.change ? i : best), 0);
  const depth = -rows[low]!.change;
  if (!(depth > 0.05)) throw new InputError('LR_FLAT', `the loss fell at no rate from ${LEAST} to ${MOST}: nothing to suggest`, { hint: 'look at the pictures and the noise: there may be nothing to learn' });
  const span = 12;
  let steep = 0;
  for (let i = span; i <= low; i++) if (rows[i]!.change - rows[i - span]!.change < rows[Math.min(steep + span, low)]!.change - rows[steep]!.change) steep = i - span;
  const after = rows.slice(low).find((r) => r.change > -depth / 2);
  const steepest = rows[Math.min(steep + span / 2, low)]!.alpha;
  return { rows, steepest, lowest: rows[low]!.alpha, diverged: after?.alpha, suggestion: Math.min(steepest, (after?.alpha ?? Infinity) / 10) };
}

/** Runs the graph twice for some hundred frames. Undefined if `signal` came. Throws as runGraph, and LR_FLAT. */
export async function findRate(source: GraphSource, device: Device, signal: AbortSignal): Promise<RangeTest | undefined> {
  const alphas = ratesOf(FRAMES);
  const losses = async (lines: readonly string[]): Promise<Float32Array | undefined> => {
    let found: Float32Array | undefined;
    const config = [`frames:${FRAMES}`, `param:${TRAINER}:decay:const`, `param:${TRAINER}:warmup:0`, ...lines];
    const { stopped } = await runGraph({
      ...source, registry: withoutFiles(), config, device: () => device, loadSpirv, lastFrameOnly: true, signal,
      inspect: async (access) => {
        const trainer = access.instance(TRAINER);
        if (trainer instanceof KpnT) found = toFloat('f32', await access.readBuffer(trainer.buffers.history));
      },
    });
    return stopped ? undefined : found;
  };
  const untrained = await losses([`param:${TRAINER}:alpha:0`]);
  const trained = untrained && (await losses(alphas.map((a, f) => `keyframe:${f}:${TRAINER}:alpha:0:1:${a.toExponential(6)}`)));
  return trained && rangeTest(alphas, trained, untrained);
}

/** The table that is printed. */
export function rangeTable(t: RangeTest): string {
  const step = Math.ceil(t.rows.length / 24);
  const lines = t.rows.filter((_r, i) => i % step === 0).map((r) => `${r.alpha.toExponential(2).padStart(10)}  ${(100 * (Math.exp(r.change) - 1)).toFixed(1).padStart(8)} %`);
  return ['      rate  loss against untrained', ...lines, `steepest at ${t.steepest.toExponential(1)}, lowest at ${t.lowest.toExponential(1)}, ${t.diverged === undefined ? 'no divergence' : `diverged at ${t.diverged.toExponential(1)}`}`, `suggestion: --alpha ${t.suggestion.toExponential(1)}`, ''].join('\n');
}
