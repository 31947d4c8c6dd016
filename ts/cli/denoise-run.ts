// `vkpn denoise`: one picture after the other through its graph. While the device has one, the next is read and the one before is
// encoded and written; device and pipelines stay.

import { InputError, VkpnError } from '../errors.js';
import type { Device } from '../gpu/types.js';
import type { SpirvLoader } from '../graph/device-plan.js';
import { checkGraph, runGraph, warmUp, type RunSummary } from '../graph/run.js';
import type { TileOptions } from '../graph/tiles.js';
import type { Format, ModuleType } from '../graph/types.js';
import { readShot } from '../formats/exif.js';
import type { PictureSize } from '../formats/picture.js';
import { exrReader } from '../modules/i-exr.js';
import { pfmReader } from '../modules/i-pfm.js';
import { pictureReader } from '../modules/i-picture.js';
import { loadRaw } from '../modules/i-raw.js';
import { loadFrame } from '../modules/picture-source.js';
import { PIXELWISE } from '../modules/pixelwise.js';
import { handOver, withdraw } from '../pictures/handover.js';
import { sourceModules } from '../pictures/read.js';
import type { Job } from './denoise-files.js';
import { denoiseGraph, type GraphSettings } from './denoise-graph.js';
import { noiseOf, type ChosenNoise, type NoiseChoice, type NoisyPicture } from './denoise-noise.js';

/** A picture that is read: what stands in its graph, and the graph. */
export interface Prepared {
  job: Job;
  noise: ChosenNoise;
  text: string;
  megapixels: number;
  seconds: { decode: number; noise: number };
}

export interface PrepareOptions {
  noise: NoiseChoice;
  /** All that doesn't depend on the picture. */
  graph: Omit<GraphSettings, 'noise'>;
  warn: (message: string) => void;
}

const seconds = (since: number): number => (performance.now() - since) / 1000;

/** Reads a picture and hands it over to its graph. `onDecoding`: as of PictureReader. */
async function read(job: Job, warn: (message: string) => void, onDecoding?: (size: PictureSize) => void): Promise<NoisyPicture> {
  if (job.kind === 'raw') {
    const raw = await loadRaw(job.path, {});
    handOver(job.path, { raw });
    const { width, height, data, header } = raw;
    return { file: 'raw', width, height, pixels: data, camera: header.camera, iso: header.iso };
  }
  const reader = job.kind === 'pfm' ? pfmReader : job.kind === 'exr' ? exrReader : pictureReader(job.kind);
  const frame = await loadFrame(reader, job.path, {}, warn, onDecoding);
  handOver(job.path, { frame });
  return { file: job.kind, width: frame.width, height: frame.height, pixels: frame.data, ...readShot(frame.exif) };
}

/** Reads a picture, finds its noise and writes its graph. `onDecoding`: as of PictureReader. Throws InputError. */
export async function prepare(job: Job, { noise, graph, warn }: PrepareOptions, onDecoding?: (size: PictureSize) => void): Promise<Prepared> {
  const begin = performance.now();
  const picture = await read(job, warn, onDecoding);
  const decoded = performance.now();
  try {
    const chosen = await noiseOf(noise, picture);
    const text = denoiseGraph(job, { ...graph, noise: chosen });
    const megapixels = (picture.width * picture.height * (job.kind === 'raw' ? 4 : 1)) / 1e6;
    return { job, noise: chosen, text, megapixels, seconds: { decode: (decoded - begin) / 1000, noise: seconds(decoded) } };
  } catch (error) {
    withdraw(job.path);
    throw error;
  }
}

/** Where a picture's time went, in seconds. Decoding and encoding overlap other pictures' device time, and decoding of the first the start. */
export interface Shares {
  decode: number;
  noise: number;
  /** Opening the device and building kernels, of the first picture. */
  start: number;
  prepare: number;
  upload: number;
  device: number;
  /** On the GPU, where the device has time stamps. */
  gpu: number;
  download: number;
  encode: number;
}

export type Outcome = { prepared: Prepared; files: string[]; shares: Shares; tiles: number; peakBytes: number } | { job: Job; error: unknown };

export interface DenoiseRun extends PrepareOptions, TileOptions {
  jobs: readonly Job[];
  device: () => Promise<Device>;
  loadSpirv: SpirvLoader;
  registry: ReadonlyMap<string, ModuleType>;
  signal: AbortSignal;
  timestamps: boolean;
  /** What is under way, for the progress line: the picture's number from 0, its stage, and how far, 0..1. */
  onStage(job: number, stage: string, part: number): void;
  onDone(job: number, outcome: Outcome): void;
  /** When no picture needs the device any more; the last is still being encoded. */
  onDeviceDone(): void;
}

/** Modules whose sinks hand their writing to `writes` and return at once: the device goes on with the next picture. */
function detached(registry: ReadonlyMap<string, ModuleType>, writes: Promise<{ file: string; seconds: number }>[]): ReadonlyMap<string, ModuleType> {
  const detach = (type: ModuleType): ModuleType => ({
    ...type,
    create: (info) => {
      const instance = type.create(info);
      const write = instance.write?.bind(instance);
      if (!write) return instance;
      instance.write = (input, frame) => {
        const begin = performance.now();
        const written = write(input, frame).then((file) => ({ file, seconds: seconds(begin) }));
        written.catch(() => undefined); // thrown where it is awaited
        writes.push(written);
        return Promise.resolve('');
      };
      return instance;
    },
  });
  return new Map([...registry].map(([name, type]) => [name, type.connectors.some((c) => c.type === 'sink') ? detach(type) : type]));
}

/** Errors after which no other picture can work either. */
const isFatal = (error: unknown): boolean => error instanceof VkpnError && (error.code === 'DEVICE_LOST' || ['NO_LOADER', 'NO_DEVICE', 'NO_SUCH_DEVICE', 'NO_PATH', 'NO_ADDON'].includes(error.code));

/** Denoises all pictures; those that fail are told of and passed over. Throws where none after it could work either. */
export async function denoiseAll(run: DenoiseRun): Promise<void> {
  const { jobs, signal } = run;
  const begin = (i: number): Promise<Prepared | { error: unknown }> | undefined => {
    const job = jobs[i];
    if (!job || signal.aborted) return undefined;
    run.onStage(i, 'reading', 0);
    const onDecoding = (size: PictureSize): void => void (warming = warm(job, size, run));
    return prepare(job, run, i === 0 ? onDecoding : undefined).catch((error: unknown) => ({ error }));
  };
  /** Seconds that it took. */
  let warming = Promise.resolve(0);
  let ahead = begin(0);
  let writing: Promise<void> = Promise.resolve();
  try {
    for (let i = 0; ahead; i++) {
      const prepared: Prepared | { error: unknown } = await ahead;
      ahead = begin(i + 1);
      if ('error' in prepared) {
        run.onDone(i, { job: jobs[i]!, error: prepared.error });
        continue;
      }
      try {
        const warmed = i === 0 ? await warming : 0;
        const finish = await onDevice(i, prepared, run, warmed);
        await writing; // one picture at a time: memory
        writing = finish().then((outcome) => run.onDone(i, outcome));
      } catch (error) {
        withdraw(prepared.job.path);
        if (isFatal(error)) throw error;
        if (!signal.aborted) run.onDone(i, { job: prepared.job, error });
      }
      if (signal.aborted) break;
    }
  } finally {
    await warming;
    run.onDeviceDone();
    await writing;
  }
}

/**
 * Opens the device and builds the kernels for a picture of this size, while it is decoded: the same graph with a source that has the size only. What
 * goes wrong is left to the graph itself, which will meet it again.
 */
async function warm(job: Job, size: PictureSize, run: DenoiseRun): Promise<number> {
  const begin = performance.now();
  const sized = (type: ModuleType): ModuleType => ({
    ...type,
    create: () => ({
      shapes: () => ({ output: { channels: 'rgba', format: type.connectors[0]!.format as Format, ...size, count: 1 } }),
      build: (ctx) => void ctx.output('output', { persistent: true }),
      windows: () => PIXELWISE,
    }),
  });
  const name = sourceModules[job.kind];
  const registry = new Map(run.registry).set(name, sized(run.registry.get(name)!));
  const text = denoiseGraph(job, { ...run.graph, noise: { a: 1, b: 1 } });
  const { device, loadSpirv, tile, memory, signal } = run;
  await warmUp({ ...source({ text, job }), registry, device, loadSpirv, tile, memory, signal }).catch(() => undefined);
  return seconds(begin);
}

/** Runs one picture's graph; what is left to do then is writing its files. */
async function onDevice(i: number, prepared: Prepared, run: DenoiseRun, warmed: number): Promise<() => Promise<Outcome>> {
  const writes: Promise<{ file: string; seconds: number }>[] = [];
  run.onStage(i, 'denoising', 0);
  const summary: RunSummary = await runGraph({
    ...source(prepared),
    registry: detached(run.registry, writes),
    onWarning: run.warn,
    device: run.device,
    loadSpirv: run.loadSpirv,
    lastFrameOnly: true,
    signal: run.signal,
    timestamps: run.timestamps,
    tile: run.tile,
    memory: run.memory,
    onTile: (done, tiles) => run.onStage(i, 'denoising', done / tiles),
  });
  if (summary.done < summary.frames) throw new InputError('STOPPED', 'stopped');
  run.onStage(i, 'writing', 0);
  const { startup, stages, stepNs } = summary;
  const tiles = summary.tiling?.tiles.length ?? 1;
  return async () => {
    const results = await Promise.allSettled(writes);
    const failed = results.find((r) => r.status === 'rejected');
    if (failed) return { job: prepared.job, error: failed.reason };
    const written = results.flatMap((r) => (r.status === 'fulfilled' ? [r.value] : []));
    const shares: Shares = {
      ...prepared.seconds,
      start: warmed + startup.device,
      prepare: startup.check + startup.plan + startup.pipelines,
      upload: stages.sources,
      device: stages.device,
      gpu: stepNs.reduce((sum, s) => sum + s.ns, 0) / 1e9,
      download: stages.sinks,
      encode: Math.max(0, ...written.map((w) => w.seconds)),
    };
    return { prepared, files: written.map((w) => w.file), shares, tiles, peakBytes: summary.memory.bytes };
  };
}

const source = ({ text, job }: Pick<Prepared, 'text' | 'job'>) => ({ file: `the graph of ${job.input}`, text, graphDir: '/' });

/** Checks a picture's graph without running it: for `--print-cfg`. */
export async function checkPrepared(prepared: Prepared, registry: ReadonlyMap<string, ModuleType>): Promise<void> {
  await checkGraph({ ...source(prepared), registry });
}
