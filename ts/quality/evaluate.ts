// Evaluation by the protocol of docs/quality.md: pictures, cut, get noise of fixed levels; weights take it off; PSNR and SSIM
// before and after.

import { InputError } from '../errors.js';
import { maxHalf } from '../formats/half.js';
import type { Device } from '../gpu/types.js';
import type { SpirvLoader } from '../graph/device-plan.js';
import { openPicture } from '../pictures/read.js';
import { Denoiser, type Weights } from './denoiser.js';
import { protocolScores, type Encoding, type RgbaPicture, type Score, type Scores } from './metrics.js';
import { addNoise, type NoiseLevel } from './noise.js';
import { fromDevice } from './scoring.js';

export interface Size {
  width: number;
  height: number;
}

/** The protocol's part of a picture: its top left corner, or what there is of it. */
export const PROTOCOL_CROP: Size = { width: 768, height: 512 };
export const PROTOCOL_SEED = 1;

/** The top left part of at most this size. */
export function cropTo(picture: RgbaPicture, crop: Size | undefined): RgbaPicture {
  const width = Math.min(picture.width, crop?.width ?? Infinity);
  const height = Math.min(picture.height, crop?.height ?? Infinity);
  return part(picture, 0, 0, width, height);
}

/** The width x height pixels from (x, y) on, which must lie in the picture. */
export function part(picture: RgbaPicture, x: number, y: number, width: number, height: number): RgbaPicture {
  if (width === picture.width && height === picture.height) return picture;
  const rgba = new Float32Array(width * height * 4);
  for (let row = 0; row < height; row++) {
    const from = 4 * ((y + row) * picture.width + x);
    rgba.set(picture.rgba.subarray(from, from + 4 * width), 4 * row * width);
  }
  return { width, height, rgba };
}

/** Reads a picture without noise and cuts it. Throws InputError as openPicture, and BEYOND_F16. */
export async function openClean(file: string, crop: Size | undefined, warn: (message: string) => void): Promise<RgbaPicture> {
  const opened = await openPicture(file, warn);
  if (opened.colour === 'camera') warn(`${file} is in its camera's own colours, which are taken for rec2020`);
  const clean = cropTo(opened, crop);
  const largest = clean.rgba.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  // Noise goes on top of it.
  if (!(largest < maxHalf / 2)) throw new InputError('BEYOND_F16', `the picture has values up to ${largest}, but is denoised in f16, which ends at ${maxHalf}`, { place: { file }, hint: 'scale it so that white is about 1' });
  return clean;
}

export interface CaseOptions {
  device: Device;
  load: SpirvLoader;
  files: readonly string[];
  /** Compared with each other. */
  weights: readonly Weights[];
  levels: readonly NoiseLevel[];
  /** Undefined: whole pictures. */
  crop: Size | undefined;
  seed: number;
  /** Of kpn, `NAME:VALUE`. */
  params?: readonly string[];
  warn: (message: string) => void;
}

export interface EvaluateOptions extends CaseOptions {
  /** What was compared. */
  onCase?: (found: Compared) => Promise<void> | void;
}

export interface Compared {
  /** Of the file, in `files`. */
  index: number;
  file: string;
  level: NoiseLevel;
  clean: RgbaPicture;
  noisy: RgbaPicture;
  /** By each of the weights. */
  denoised: RgbaPicture[];
}

export interface LevelScores {
  level: string;
  noisy: Scores;
  denoised: Scores[];
}

export interface PictureScores extends Size {
  file: string;
  levels: LevelScores[];
}

/** Denoises every picture at every level, one after the other. Throws InputError, GpuError. */
export async function denoiseCases(options: CaseOptions, onCase: (found: Compared) => Promise<void> | void): Promise<void> {
  const denoisers = new Denoisers(options);
  try {
    for (const [index, file] of options.files.entries()) {
      const clean = await openClean(file, options.crop, options.warn);
      for (const level of options.levels) {
        const noisy = addNoise(clean, level, options.seed);
        await onCase({ index, file, level, clean, noisy, denoised: await denoisers.run(noisy, level) });
      }
    }
  } finally {
    denoisers.destroy();
  }
}

/** Scores of every picture at every level. Throws InputError, GpuError. */
export async function evaluate(options: EvaluateOptions): Promise<PictureScores[]> {
  const results: PictureScores[] = [];
  await denoiseCases(options, async (found) => {
    const { index, file, level, clean, noisy, denoised } = found;
    const { width, height } = clean;
    const of = (results[index] ??= { file, width, height, levels: [] });
    of.levels.push({ level: level.name, noisy: protocolScores(noisy, clean), denoised: denoised.map((d) => protocolScores(d, clean)) });
    await options.onCase?.(found);
  });
  return results;
}

/** Denoisers of one size of pictures, kept until the size changes. */
class Denoisers {
  private size: Size = { width: 0, height: 0 };
  private readonly made = new Map<string, Denoiser>();

  constructor(private readonly options: CaseOptions) {}

  async run(noisy: RgbaPicture, level: NoiseLevel): Promise<RgbaPicture[]> {
    if (noisy.width !== this.size.width || noisy.height !== this.size.height) this.destroy();
    this.size = { width: noisy.width, height: noisy.height };
    const results: RgbaPicture[] = [];
    for (const index of this.options.weights.keys()) {
      const result = await (await this.denoiser(level, index)).run(noisy);
      if (result === undefined) throw new Error('the device was interrupted');
      results.push(fromDevice(result));
    }
    return results;
  }

  private async denoiser(level: NoiseLevel, index: number): Promise<Denoiser> {
    const key = `${index} ${level.a} ${level.b}`;
    const known = this.made.get(key);
    if (known) return known;
    const { device, load, weights, params, warn } = this.options;
    const made = (await Denoiser.create(device, load, { ...this.size, noise: level, weights: weights[index]!, params, onWarning: warn }))!;
    this.made.set(key, made);
    return made;
  }

  destroy(): void {
    for (const denoiser of this.made.values()) denoiser.destroy();
    this.made.clear();
  }
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** The mean of each score: of dB, as the protocol wants it, not of squared errors. */
export function meanScores(scores: readonly Scores[]): Scores {
  const score = (encoding: Encoding): Score => ({ psnr: mean(scores.map((s) => s[encoding].psnr)), ssim: mean(scores.map((s) => s[encoding].ssim)) });
  return { linear: score('linear'), srgb: score('srgb') };
}

/** Means over the pictures, a level each. */
export function meanLevels(pictures: readonly PictureScores[]): LevelScores[] {
  return (pictures[0]?.levels ?? []).map(({ level, denoised }, i) => {
    const at = pictures.map((p) => p.levels[i]!);
    return { level, noisy: meanScores(at.map((l) => l.noisy)), denoised: denoised.map((_, k) => meanScores(at.map((l) => l.denoised[k]!))) };
  });
}
