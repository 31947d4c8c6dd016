// `vkpn train --report`: gathers what the page (page.ts) shows, and writes it.

import { basename, resolve } from 'node:path';
import { writeAtomic } from '../files.js';
import { fromHalf } from '../formats/half.js';
import { encodePicture } from '../formats/picture.js';
import { toFloat } from '../formats/pixels.js';
import { loadSpirv, type Device } from '../gpu/index.js';
import type { RunAccess, RunOptions, RunSummary } from '../graph/run.js';
import { cutOnThread } from '../pictures/cut-queue.js';
import { KpnT } from '../modules/kpn-t/kpn-t.js';
import { drawVis, visValues } from '../modules/kpn-t/pictures.js';
import { readState } from '../modules/kpn-t/state.js';
import { Denoiser, readWeights } from '../quality/denoiser.js';
import { psnr, type RgbaPicture } from '../quality/metrics.js';
import { addNoise, NAMED_LEVELS } from '../quality/noise.js';
import type { Validated } from '../quality/validation.js';
import { vkpnVersion } from '../root.js';
import { reportPage, type Crop, type Report } from './page.js';

const TRAINER = 'kpn-t:01';
/** Width and height of the crops. */
const CROP = 320;
const SEED = 1;

/** Looks at a run's end. */
export class Recorder {
  loss: Float32Array = new Float32Array();
  weights: Uint8Array = new Uint8Array();
  skipped = 0;

  readonly hooks: Partial<RunOptions> = { inspect: (access) => this.look(access) };

  private async look(access: RunAccess): Promise<void> {
    const trainer = access.instance(TRAINER);
    if (!(trainer instanceof KpnT)) throw new Error(`${TRAINER} is no kpn-t`);
    const { state, history, rounded, dEdw } = trainer.buffers;
    const floats = async (buffer: typeof history): Promise<Float32Array> => toFloat('f32', await access.readBuffer(buffer));
    const s = readState(await access.readBuffer(state));
    this.skipped = s.skipped;
    this.loss = Float32Array.from((await floats(history)).subarray(0, s.frame));
    this.weights = await png(await drawVis(trainer.spec, 'dE/dw', visValues(trainer.spec, await floats(rounded), await floats(dEdw))));
  }
}

export interface ReportOptions {
  file: string;
  title: string;
  settings: Report['settings'];
  graph: string;
  summary: RunSummary;
  validations: readonly Validated[];
  recorder: Recorder;
  /** The picture to show, and the weights to show it with. */
  picture: string;
  weights: string;
  reduce: number;
  device: Device;
  warn: (message: string) => void;
}

const png = ({ width, height, rgba }: RgbaPicture): Promise<Uint8Array> => encodePicture(width, height, rgba, 'png', { primaries: 'sRGB', curve: 'sRGB', bits: 8 });

/** Writes the page. Throws OutputError; GpuError where the crops can't be denoised. */
export async function writeReport(o: ReportOptions): Promise<void> {
  const { summary, recorder, validations } = o;
  const smoothed = recorder.loss.subarray(-100).filter((v) => Number.isFinite(v) && v > 0);
  const last = validations.at(-1);
  const best = validations.reduce<Validated | undefined>((b, v) => (b && b.gain >= v.gain ? b : v), undefined);
  const ran = summary.done - summary.first;
  const seconds = (s: number): string => `${s.toFixed(s < 10 ? 2 : 0)} s`;
  const page = reportPage({
    title: o.title,
    facts: [
      [`frames of ${summary.frames}`, String(summary.done)],
      ['loss, mean of the last hundred frames', smoothed.length > 0 ? (smoothed.reduce((a, b) => a + b, 0) / smoothed.length).toPrecision(3) : 'unknown'],
      ...(last && best ? [['gain over noisy pictures, last', `${last.gain.toFixed(2)} dB`], [`best, at frame ${best.frame}`, `${best.gain.toFixed(2)} dB`]] as const : []),
      ['frames a second', (ran / Math.max(summary.seconds, 1e-9)).toPrecision(3)],
    ],
    settings: [...o.settings, ['skipped updates', String(recorder.skipped)], ['vkpn', vkpnVersion()]],
    timings: [
      ['device', `${o.device.info.name}, ${o.device.info.driverName} ${o.device.info.driverInfo}`],
      ['start-up', seconds(summary.startup.check + summary.startup.device + summary.startup.plan + summary.startup.pipelines)],
      ['frames', seconds(summary.seconds)], ['of them: device', seconds(summary.stages.device)], ['reading pictures', seconds(summary.stages.sources)],
      ['writing', seconds(summary.stages.sinks)], ['checkpoints', seconds(summary.stages.checkpoints)], ['device memory', `${(summary.memory.bytes / 2 ** 20).toFixed(0)} MiB`],
    ],
    loss: recorder.loss, validations, crops: await crops(o), weights: recorder.weights, graph: o.graph,
  });
  await writeAtomic(resolve(o.file), new TextEncoder().encode(page));
}

/** The middle of the picture at three noise levels, denoised with the weights that were written. */
async function crops({ picture, weights: file, device, reduce, warn }: ReportOptions): Promise<Report['crops']> {
  const { crops: cut } = await cutOnThread({ path: picture, size: CROP, reduce, places: [{ u: 0.5, v: 0.5 }] });
  const clean: RgbaPicture = { width: CROP, height: CROP, rgba: fromHalf(cut) };
  const weights = await readWeights(file);
  const levels: Crop[] = [];
  for (const level of NAMED_LEVELS) {
    const noisy = addNoise(clean, level, SEED);
    const denoiser = await Denoiser.create(device, loadSpirv, { width: CROP, height: CROP, noise: level, weights, onWarning: warn });
    const result = await denoiser?.run(noisy);
    denoiser?.destroy();
    if (!result) return undefined;
    const denoised: RgbaPicture = { width: CROP, height: CROP, rgba: toFloat(result.shape.format, result.data) };
    levels.push({ level: level.name, noisy: await png(noisy), denoised: await png(denoised), before: psnr(noisy, clean, 'srgb'), after: psnr(denoised, clean, 'srgb') });
  }
  return { file: basename(picture), reference: await png(clean), levels };
}
