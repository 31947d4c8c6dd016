// `vkpn train --report`: gathers what the page (page.ts) shows, and writes it.

import { basename, resolve } from 'node:path';
import { InputError } from '../errors.js';
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
import { Denoiser, type Weights } from '../quality/denoiser.js';
import { psnr, type RgbaPicture } from '../quality/metrics.js';
import { addNoise, NAMED_LEVELS } from '../quality/noise.js';
import { fromDevice } from '../quality/scoring.js';
import { trainedWeights } from '../quality/trained.js';
import type { Validated } from '../quality/validation.js';
import { vkpnVersion } from '../root.js';
import { reportPage, type Crop, type Report } from './page.js';

const TRAINER = 'kpn-t:01';
/** Width and height of the crops. */
const CROP = 320;
const SEED = 1;

/** What is shown of the pictures. */
export interface Shown {
  /** Denoised for the page, made `reduce` times smaller before (0: as far as i-set does by itself). */
  picture: string;
  reduce: number;
  warn: (message: string) => void;
}

/** Looks at a run's end: everything that needs the device. */
export class Recorder {
  loss: Float32Array = new Float32Array();
  weights: Uint8Array = new Uint8Array();
  skipped = 0;
  device = '';
  /** How long looking took. */
  seconds = 0;
  crops: Report['crops'];

  readonly hooks: Partial<RunOptions> = { inspect: (access) => this.look(access) };

  constructor(private readonly shown: Shown) {}

  private async look(access: RunAccess): Promise<void> {
    const begun = performance.now();
    const trainer = access.instance(TRAINER);
    if (!(trainer instanceof KpnT)) throw new Error(`${TRAINER} is no kpn-t`);
    const { state, history, rounded, dEdw } = trainer.buffers;
    const floats = async (buffer: typeof history): Promise<Float32Array> => toFloat('f32', await access.readBuffer(buffer));
    const s = readState(await access.readBuffer(state));
    this.skipped = s.skipped;
    this.loss = Float32Array.from((await floats(history)).subarray(0, s.frame));
    const { name, driverName, driverInfo } = access.device.info;
    this.device = `${name}, ${driverName} ${driverInfo}`;
    this.weights = await png(await drawVis(trainer.spec, 'dE/dw', visValues(trainer.spec, await floats(rounded), await floats(dEdw))));
    this.crops = await crops(this.shown, access.device, await trainedWeights(TRAINER, trainer, access)).catch((error: unknown) => {
      if (!(error instanceof InputError)) throw error;
      this.shown.warn(`the report has no crops: ${error.format()}`); // a picture that can't be read is no reason to lose the page
      return undefined;
    });
    this.seconds = (performance.now() - begun) / 1000;
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
}

const png = ({ width, height, rgba }: RgbaPicture): Promise<Uint8Array> => encodePicture(width, height, rgba, 'png', { primaries: 'sRGB', curve: 'sRGB', bits: 8 });

/** Writes the page. Throws OutputError. */
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
      ['device', recorder.device],
      ['start-up', seconds(summary.startup.check + summary.startup.device + summary.startup.plan + summary.startup.pipelines)],
      ['frames', seconds(summary.seconds)], ['of them: device', seconds(summary.stages.device)], ['reading pictures', seconds(summary.stages.sources)],
      ['writing', seconds(summary.stages.sinks)], ['checkpoints', seconds(summary.stages.checkpoints)], ['device memory', `${(summary.memory.bytes / 2 ** 20).toFixed(0)} MiB`],
    ],
    loss: recorder.loss, validations, crops: recorder.crops, weights: recorder.weights, graph: o.graph,
  });
  await writeAtomic(resolve(o.file), new TextEncoder().encode(page));
}

/** The middle of the picture at three noise levels, denoised. Throws InputError, GpuError. */
async function crops({ picture, reduce, warn }: Shown, device: Device, weights: Weights): Promise<Report['crops']> {
  const { crops: cut } = await cutOnThread({ path: picture, size: CROP, reduce, places: [{ u: 0.5, v: 0.5 }] });
  const clean: RgbaPicture = { width: CROP, height: CROP, rgba: fromHalf(cut) };
  const levels = await Promise.all(NAMED_LEVELS.map(async (level): Promise<Crop | undefined> => {
    const noisy = addNoise(clean, level, SEED);
    const denoiser = await Denoiser.create(device, loadSpirv, { width: CROP, height: CROP, noise: level, weights, onWarning: warn });
    const result = await denoiser?.run(noisy).finally(() => denoiser.destroy());
    if (!result) return undefined;
    const denoised = fromDevice(result);
    return { level: level.name, noisy: await png(noisy), denoised: await png(denoised), before: psnr(noisy, clean, 'srgb'), after: psnr(denoised, clean, 'srgb') };
  }));
  return levels.every((l) => l !== undefined) ? { file: basename(picture), reference: await png(clean), levels } : undefined;
}
