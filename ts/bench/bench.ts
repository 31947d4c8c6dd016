// What `vkpn bench` does: yardsticks, then every case: made, checked, timed. A case whose result is wrong has no time.

import type { Device } from '../gpu/index.js';
import { PRESETS, type Preset } from '../model/spec.js';
import { describePath, type LayerPath } from '../modules/kpn/path.js';
import { inferBytes, inferFlop, trainBytes, trainFlop } from './costs.js';
import { checkPictures, checkStep, firstGradient, pixelsOf, preparePicture, prepareStep, stepPixels, twoPictures, type PresetNetwork } from './graphs.js';
import { measure, type Timing } from './measure.js';
import { MlpBatch, tooLarge, type MlpRun } from './mlp.js';
import { Network, type Deviation } from './network.js';
import { copyRate, matrixRate, vectorRate, type Yardstick } from './yardsticks.js';

export const WORKLOADS = ['infer', 'train', 'step', 'picture'] as const;
/** The layers alone; the layers, backwards and dE/dw; a training step of a graph; a picture's inference. */
export type Workload = (typeof WORKLOADS)[number];

export interface BenchOptions {
  device: Device;
  paths: readonly LayerPath[];
  workloads: readonly Workload[];
  /** infer and train: W, H, pixels. */
  widths: readonly number[];
  layers: readonly number[];
  batches: readonly number[];
  /** step and picture. */
  presets: readonly Preset[];
  /** step, picture: hidden layers of the presets' networks; undefined: their own. */
  presetLayers?: readonly number[];
  /** step: tiles of 64x64. */
  tiles: readonly number[];
  /** picture. */
  sizes: readonly { width: number; height: number }[];
  /** picture: how often it is denoised, as kpn's `spin`. */
  spins: readonly number[];
  /** A measurement's, of each case. */
  seconds: number;
  /** Of all random data. */
  seed: number;
  onYardstick?: (yardstick: Yardstick) => void;
  onCase?: (result: CaseResult) => void;
  /** What is being done. */
  onStage?: (stage: string) => void;
  /** Tests spoil results with it, to see that it is noticed. */
  tamper?: (workload: Workload, path: string, results: MlpRun['results']) => void;
}

export interface Case {
  workload: Workload;
  /** With its tile: "khr 16x16x16". */
  path: string;
  width: number;
  layers: number;
  /** Through the layers, all pyramid levels counted. */
  pixels: number;
  /** step, picture: which network, and how many tiles or pixels. */
  preset?: Preset;
  tiles?: number;
  size?: { width: number; height: number };
  spin?: number;
}

/** `time`: right, and measured; `wrong`: what is wrong; `skipped`: why it was not tried. */
export type CaseResult = Case & ({ time: CaseTime } | { wrong: string } | { skipped: string });

export interface CaseTime extends Omit<Timing, 'opNs'> {
  /** Median of each dispatch, in order. */
  ops: { op: string; ns: number }[];
  pixelsPerSecond: number;
  /** Of the layers. */
  flopPerSecond: number;
  /** The rate of the yardstick that the path uses, and this case's part of it. */
  yardstick?: string;
  share?: number;
  /** Bytes that the workload moves at least, and the part of the copy's rate; of infer and train. */
  bytesPerSecond?: number;
  bandwidthShare?: number;
  /** How far the checked results were off, in parts of their root mean square. */
  deviation: Deviation;
}

/** All yardsticks and cases, in order. Throws GpuError. */
export async function runBench(options: BenchOptions): Promise<{ yardsticks: Yardstick[]; cases: CaseResult[] }> {
  const bench = new Bench(options);
  await bench.measureYardsticks();
  await bench.measureLayers();
  if (options.workloads.includes('step')) await bench.measureSteps();
  if (options.workloads.includes('picture')) await bench.measurePictures();
  return { yardsticks: bench.yardsticks, cases: bench.cases };
}

/** Multiply-adds of a host check: some tenths of a second. */
const hostWork = 1e8;

/** Distinct pixels of a batch: a prime, so that no tile or workgroup falls in step with it. */
function periodOf(width: number, layers: number): number {
  const most = hostWork / trainFlop(width, layers);
  return [4093, 2039, 1021, 509, 251].find((p) => p <= most) ?? 127;
}

class Bench {
  readonly yardsticks: Yardstick[] = [];
  readonly cases: CaseResult[] = [];

  constructor(private readonly o: BenchOptions) {}

  private add(result: CaseResult): void {
    this.cases.push(result);
    this.o.onCase?.(result);
  }

  private stage(text: string): void {
    this.o.onStage?.(text);
  }

  async measureYardsticks(): Promise<void> {
    const { device, paths, seconds, seed } = this.o;
    const keep = (y: Yardstick): void => {
      this.yardsticks.push(y);
      this.o.onYardstick?.(y);
    };
    this.stage('yardsticks');
    keep(await copyRate(device, seconds, seed));
    keep(await vectorRate(device, 'f32', seconds, seed));
    if (device.info.features.shaderFloat16) keep(await vectorRate(device, 'f16', seconds, seed));
    for (const path of paths) {
      if (path.name === 'plain') continue;
      for (const sums of ['f32', 'f16'] as const) {
        const lists = device.info.matrixShapes[path.name].some((s) => s.m === path.tile.m && s.n === path.tile.n && s.k === path.tile.k && s.a === 'f16' && s.result === sums);
        if (lists) keep(await matrixRate(device, path.name, path.tile, sums, seconds, seed));
      }
    }
  }

  /** infer and train. */
  async measureLayers(): Promise<void> {
    const { device, widths, batches, workloads, paths, seed } = this.o;
    const mine = (['infer', 'train'] as const).filter((w) => workloads.includes(w));
    if (mine.length === 0) return;
    for (const [width, layers] of widths.flatMap((w) => this.o.layers.map((h) => [w, h] as const))) {
      this.stage(`W=${width} H=${layers}: the host's results`);
      const network = new Network({ width, layers }, periodOf(width, layers), seed);
      for (const pixels of batches) {
        for (const workload of mine) {
          const train = workload === 'train';
          const cases = paths.map((path): [LayerPath, Case] => [path, { workload, path: describePath(path), width, layers, pixels }]);
          const why = tooLarge(device, network, pixels, train, paths);
          if (why !== undefined) {
            for (const [, c] of cases) this.add({ ...c, skipped: why });
            continue;
          }
          const batch = await MlpBatch.create(device, network, pixels, train);
          try {
            for (const [path, c] of cases) await this.measureRun(batch, path, c);
          } finally {
            batch.destroy();
          }
        }
      }
    }
  }

  private async measureRun(batch: MlpBatch, path: LayerPath, c: Case): Promise<void> {
    this.stage(`${c.workload} ${c.path}, W=${c.width} H=${c.layers}, ${c.pixels} pixels`);
    const train = c.workload === 'train';
    const run = batch.prepare(path, train);
    try {
      const verdict = await run.check((results) => this.o.tamper?.(c.workload, path.name, results));
      if ('wrong' in verdict) return this.add({ ...c, wrong: verdict.wrong });
      const timing = await measure(run.program, this.o.seconds);
      this.time(c, path, run.opNames, timing, verdict.deviation, train ? trainBytes(c.width, c.layers, run.slots) : inferBytes(c.width));
    } finally {
      run.destroy();
    }
  }

  private networks(): PresetNetwork[] {
    return this.o.presets.flatMap((preset) => (this.o.presetLayers ?? [PRESETS[preset].layers]).map((layers) => ({ preset, layers })));
  }

  async measureSteps(): Promise<void> {
    const { device, tiles, paths, seed, seconds } = this.o;
    for (const network of this.networks())
      for (const count of tiles) {
        const { preset, layers } = network;
        const { width } = PRESETS[preset];
        let want: Float32Array | undefined;
        for (const path of ordered(paths)) {
          const c: Case = { workload: 'step', path: describePath(path), width, layers, pixels: stepPixels(preset, count), preset, tiles: count };
          const asked = this.o.paths.includes(path);
          this.stage(`step ${c.path}, ${preset}, H=${layers}, ${count} ${count === 1 ? 'tile' : 'tiles'}${asked ? '' : ' (to compare with)'}`);
          const step = await prepareStep(device, network, path.name, count, seed);
          try {
            const gradient = await firstGradient(step);
            want ??= gradient;
            if (!asked) continue;
            const verdict = await checkStep(step, gradient, want, device.info.type === 'cpu' ? 8 : 100);
            if ('wrong' in verdict) this.add({ ...c, wrong: verdict.wrong });
            else this.time(c, path, step.opNames, await measure(step.program, seconds), verdict.deviation);
          } finally {
            step.destroy();
          }
        }
      }
  }

  async measurePictures(): Promise<void> {
    const { device, sizes, spins, paths, seed, seconds } = this.o;
    for (const [network, size, spin] of this.networks().flatMap((n) => sizes.flatMap((s) => spins.map((k) => [n, s, k] as const)))) {
      const { preset, layers } = network;
      const m = PRESETS[preset];
      let want: readonly Float32Array[] | undefined;
      for (const path of ordered(paths)) {
        const c: Case = { workload: 'picture', path: describePath(path), width: m.width, layers, pixels: pixelsOf(m, size.width, size.height, spin), preset, size, spin };
        const asked = this.o.paths.includes(path);
        this.stage(`picture ${c.path}, ${preset}, H=${layers}, ${size.width}x${size.height}${spin > 1 ? `, ${spin} times` : ''}${asked ? '' : ' (to compare with)'}`);
        const run = await preparePicture(device, network, path.name, size.width, size.height, spin, seed);
        try {
          const got = await twoPictures(run, seed);
          want ??= got;
          if (!asked) continue;
          const verdict = checkPictures(got, want, size.width);
          if ('wrong' in verdict) this.add({ ...c, wrong: verdict.wrong });
          else this.time(c, path, run.graph.opNames, await measure(run.graph.program, seconds), verdict.deviation);
        } finally {
          run.graph.destroy();
        }
      }
    }
  }

  private time(c: Case, path: LayerPath, opNames: readonly string[], { opNs, ...timing }: Timing, deviation: Deviation, bytes?: number): void {
    const perSecond = c.pixels / (timing.medianNs * 1e-9);
    const trains = c.workload === 'train' || c.workload === 'step';
    const flopPerSecond = perSecond * (trains ? trainFlop : inferFlop)(c.width, c.layers);
    const rate = this.yardsticks.find((y) => y.name === (path.name === 'plain' ? 'vector f32' : `${path.name} ${path.tile.halfSums ? 'f16' : 'f32'}`));
    const copy = this.yardsticks.find((y) => y.name === 'copy');
    const bytesPerSecond = bytes === undefined ? undefined : perSecond * bytes;
    this.add({
      ...c,
      time: {
        ...timing, ops: opNames.flatMap((op, i) => (op === '' ? [] : [{ op, ns: opNs[i] ?? 0 }])), pixelsPerSecond: perSecond, flopPerSecond, yardstick: rate?.name, share: rate && flopPerSecond / rate.rate,
        bytesPerSecond, bandwidthShare: bytesPerSecond !== undefined && copy ? bytesPerSecond / copy.rate : undefined, deviation,
      },
    });
  }
}

/** Plain first, and there in any case: the others' whole graphs are compared with it. */
const ordered = (paths: readonly LayerPath[]): LayerPath[] => [paths.find((p) => p.name === 'plain') ?? { name: 'plain' }, ...paths.filter((p) => p.name !== 'plain')];

