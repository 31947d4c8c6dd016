// Validation while training: the weights of the moment denoise pictures that are held out, with noise of fixed levels; scored on
// threads while training goes on. The best weights are kept.

import { createHash } from 'node:crypto';
import type { Device } from '../gpu/types.js';
import type { SpirvLoader } from '../graph/device-plan.js';
import { inTurn, inWorker, poolSize } from '../pictures/pool.js';
import { Denoiser, type Weights } from './denoiser.js';
import { cropTo, meanLevels, openClean, PROTOCOL_CROP, type LevelScores, type PictureScores, type Size } from './evaluate.js';
import type { RgbaPicture, Scores } from './metrics.js';
import type { NoiseLevel } from './noise.js';
import type { DevicePicture, noisyCase } from './scoring.js';

/** More pictures than these take more time than they tell. */
const MOST_PICTURES = 16;
/** Threads that work while training does: few, for each takes memory, and a CPU's driver its share. */
const THREADS_BESIDE = Math.max(1, poolSize >> 2);
/** On a CPU's driver, unless told otherwise: the protocol's part would take seconds. */
const CPU_CROP: Size = { width: 256, height: 256 };

export interface ValidationSetOptions {
  files: readonly string[];
  levels: readonly NoiseLevel[];
  seed: number;
  /** Undefined: the protocol's, less on a CPU; 'none': whole pictures. */
  crop?: Size | 'none';
  warn: (message: string) => void;
}

/** What one validation found. */
export interface Validated {
  frame: number;
  /** Means over the pictures; `denoised` has one entry. */
  levels: LevelScores[];
  /** How many. */
  pictures: number;
  /** Mean over pictures and levels of the sRGB-encoded PSNR's gain over the noisy picture, dB. */
  gain: number;
}

interface Case {
  file: string;
  level: NoiseLevel;
  clean: RgbaPicture;
  noisy: RgbaPicture;
  noisyScores: Scores;
  denoiser: Denoiser;
}

/** Evenly spread over the list. */
function sample<T>(list: readonly T[], most: number): T[] {
  return list.length <= most ? [...list] : Array.from({ length: most }, (_, i) => list[Math.floor((i * list.length) / most)]!);
}

/** A copy that threads see without copying it again. */
function shared({ width, height, rgba }: RgbaPicture): RgbaPicture {
  const copy = new Float32Array(new SharedArrayBuffer(rgba.byteLength));
  copy.set(rgba);
  return { width, height, rgba: copy };
}

export class ValidationSet {
  private cases: Case[] = [];
  private noisy: { cut: { file: string; clean: RgbaPicture }[]; cases: ReturnType<typeof noisyCase>[] } | undefined;
  private readonly denoisers = new Map<string, Denoiser>();
  /** Seconds that training waits for a validation, by measurement. */
  pause = 0;

  private constructor(
    private readonly options: ValidationSetOptions,
    private pictures: { file: string; clean: RgbaPicture }[],
  ) {}

  /** Reads the pictures. No GPU work. Throws InputError. */
  static async open(options: ValidationSetOptions): Promise<ValidationSet> {
    const { files, crop = PROTOCOL_CROP, warn } = options;
    const used = sample(files, MOST_PICTURES);
    if (used.length < files.length) warn(`validation takes ${used.length} of the ${files.length} pictures, spread evenly: more take more time than they tell`);
    const pictures: { file: string; clean: RgbaPicture }[] = [];
    for (const file of used) pictures.push({ file, clean: await openClean(file, crop === 'none' ? undefined : crop, warn) });
    return new ValidationSet(options, pictures);
  }

  /** The part of each picture, for people. */
  crop = '';

  /** Cuts the pictures, adds the noise and builds the kernels, on threads: training goes on meanwhile. Throws as `prepare`. */
  async begin(device: Device, load: SpirvLoader, weights: Weights, params: readonly string[], signal?: AbortSignal): Promise<void> {
    const { levels, seed } = this.options;
    const crop = this.options.crop ?? (device.info.type === 'cpu' ? CPU_CROP : PROTOCOL_CROP);
    this.crop = crop === 'none' ? 'whole' : `top left ${crop.width}x${crop.height}`;
    const cut = this.pictures.map(({ file, clean }) => ({ file, clean: shared(crop === 'none' ? clean : cropTo(clean, crop)) }));
    this.pictures = [];
    const jobs = cut.flatMap(({ clean }) => levels.map((level) => () => inWorker('noisyCase', [clean, level, seed])));
    const sizes = new Map(cut.map(({ clean: { width, height } }) => [`${width} ${height}`, { width, height }]));
    const kernels = [...sizes.values()].map((size) => Denoiser.buildKernels(device, load, { ...size, noise: levels[0]!, weights, params, signal }));
    const [cases] = await Promise.all([inTurn(jobs, THREADS_BESIDE), ...kernels]);
    this.noisy = { cut, cases };
  }

  /** After `begin`: makes the programs. `weights` are any of the network. Undefined if `signal` came meanwhile. Throws InputError, GpuError. */
  async prepare(device: Device, load: SpirvLoader, weights: Weights, params: readonly string[], signal?: AbortSignal): Promise<true | undefined> {
    const { levels, warn } = this.options;
    const { cut, cases } = this.noisy!;
    this.noisy = undefined;
    for (const [i, { file, clean }] of cut.entries())
      for (const [k, level] of levels.entries()) {
        const { width, height } = clean;
        const key = `${width} ${height} ${level.a} ${level.b}`;
        const denoiser = this.denoisers.get(key) ?? (await Denoiser.create(device, load, { width, height, noise: level, weights, params, onWarning: warn, signal }));
        if (denoiser === undefined) return undefined;
        this.denoisers.set(key, denoiser);
        const { rgba, scores } = cases[i * levels.length + k]!;
        this.cases.push({ file, level, clean, noisy: { width, height, rgba }, noisyScores: scores, denoiser });
      }
    return this.measure();
  }

  /** Runs a case twice: once to warm up, once to know how long it takes. */
  private async measure(): Promise<true | undefined> {
    const [first] = this.cases;
    if (!first || (await first.denoiser.run(first.noisy)) === undefined) return undefined;
    const begin = performance.now();
    if ((await first.denoiser.run(first.noisy)) === undefined) return undefined;
    this.pause = ((performance.now() - begin) / 1000) * this.cases.length;
    return true;
  }

  /** Names what is validated on, contents included: gains on the same set can be compared. */
  get id(): string {
    const what = this.cases.map((c) => [c.clean.width, c.clean.height, c.level.a, c.level.b, c.noisyScores]);
    return createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 16);
  }

  /** Denoises everything with these weights, while training waits; undefined if the device was interrupted. */
  async denoise(weights: Uint8Array): Promise<DevicePicture[] | undefined> {
    const begin = performance.now();
    for (const denoiser of this.denoisers.values()) denoiser.setWeights(weights);
    const results: DevicePicture[] = [];
    for (const { denoiser, noisy } of this.cases) {
      const result = await denoiser.run(noisy);
      if (result === undefined) return undefined;
      const { width, height, format } = result.shape;
      results.push({ shape: { width, height, format }, data: result.data });
    }
    this.pause = (performance.now() - begin) / 1000;
    return results;
  }

  /** Scores what `denoise` gave; on threads: on a few while training goes on, on all where it is `over`. */
  async score(frame: number, results: readonly DevicePicture[], over: boolean): Promise<Validated> {
    const { cases } = this;
    const scores = await inTurn(results.map((result, i) => () => inWorker('scoreDevicePicture', [result, cases[i]!.clean])), over ? poolSize : THREADS_BESIDE);
    const perPicture = this.options.levels.length;
    const pictures: PictureScores[] = [];
    for (let i = 0; i < cases.length; i += perPicture) {
      const { file, clean } = cases[i]!;
      const levels = cases.slice(i, i + perPicture).map((c, k) => ({ level: c.level.name, noisy: c.noisyScores, denoised: [scores[i + k]!] }));
      pictures.push({ file, width: clean.width, height: clean.height, levels });
    }
    const gains = cases.map((c, i) => scores[i]!.srgb.psnr - c.noisyScores.srgb.psnr);
    return { frame, levels: meanLevels(pictures), pictures: pictures.length, gain: gains.reduce((a, b) => a + b, 0) / gains.length };
  }

  destroy(): void {
    for (const denoiser of this.denoisers.values()) denoiser.destroy();
    this.denoisers.clear();
    this.cases = [];
  }
}
