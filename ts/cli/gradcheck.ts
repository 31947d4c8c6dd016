// `vkpn gradcheck`: the gradient of a training graph against differences taken on the device, and the shader paths' against
// each other (SPEC section 7).

import type { Command } from 'commander';
import { GpuError, InputError } from '../errors.js';
import { withInput } from '../files.js';
import { toFloat } from '../formats/pixels.js';
import { loadSpirv, type Device } from '../gpu/index.js';
import { listedPath, type MatrixPath } from '../gpu/matrix.js';
import type { SpirvLoader } from '../graph/device-plan.js';
import type { GraphSource, RunAccess } from '../graph/run.js';
import { checkGraph, runGraph } from '../graph/run.js';
import type { PlanBuffer } from '../graph/types.js';
import { checkLayers, compareDifferences, compareGradients, comparePaths, compareResults, roundingOf, type LayerRow, type PathRun, type Row, type StoredLayers } from '../model/gradcheck.js';
import type { ModelSpec } from '../model/spec.js';
import { withoutFiles } from '../modules/index.js';
import { KpnT } from '../modules/kpn-t/kpn-t.js';
import { readState } from '../modules/kpn-t/state.js';
import { Log } from './log.js';
import { ProgressLine, short } from './progress.js';
import { deviceOptions, openDevice, wholeNumber, type CommonOptions } from './session.js';
import { StopSignal } from './stop.js';

export interface GradcheckOptions extends CommonOptions {
  graph: string;
  sample: number;
  all?: boolean;
}

/** Steps of the differences. Which is best depends on the loss and the layer: large ones bend, small ones drown in rounding. */
const STEPS = [2 ** -2, 2 ** -4, 2 ** -6, 2 ** -8];

const help = `
For every kpn-t of the graph, with the tile, noise and weights of its first frame:
- f32: the analytic gradient against central differences of the loss, taken on the device over steps of ${STEPS.join(', ')};
  each layer by the two neighbouring steps that promise least error (--config param:kpn-t:01:dstep:S: by 4 S and S);
- every shader path that the device has (f16): its results and gradient against the f32 ones.
Nothing is trained and nothing is written.

Exit codes: 0 all within their bounds; 1 something is not; else as of \`vkpn cli\`.`;

/** Adds the command. `config`: the lines after `--config`. */
export function register(program: Command, config: readonly string[] = []): void {
  const command = program
    .command('gradcheck')
    .description("check a training graph's derivatives")
    .requiredOption('-g, --graph <file>', 'the graph file')
    .option('--sample <n>', 'weights of each layer to take differences of, drawn at random', wholeNumber, 12)
    .option('--all', 'take differences of all weights')
    .option('--config <line...>', 'everything after this is further lines of the graph file')
    .addHelpText('after', help);
  deviceOptions(command).action(async (options: GradcheckOptions) => {
    process.exitCode = await runGradcheck(options, config);
  });
}

/** Runs the command; returns the exit code. `load`: where kernels come from. Throws VkpnError. */
export async function runGradcheck(options: GradcheckOptions, config: readonly string[], load: SpirvLoader = loadSpirv): Promise<number> {
  const log = new Log(options.d);
  const text = await withInput(options.graph, {}, async (f) => new TextDecoder().decode(await f.read(0, f.bytes)));
  const source: GraphSource = { file: options.graph, text, config, registry: withoutFiles(), onWarning: (message) => log.warn(message) };
  const { run } = await checkGraph(source);
  const trainers = run.filter((r) => r.instance instanceof KpnT).map((r) => ({ key: r.node.key, steps: r.node.params.isSet('dstep') ? [4, 1].map((k) => k * r.node.params.float('dstep')) : STEPS }));
  if (trainers.length === 0) throw new InputError('NO_TRAINING', 'the graph trains nothing: no kpn-t runs', { place: { file: options.graph }, hint: 'connect an output of a kpn-t to a display or an o-lut' });
  const progress = new ProgressLine(process.stderr);
  const stop = new StopSignal(() => progress.clear());
  const device = openDevice(options, log);
  try {
    let right = true;
    for (const { key, steps } of trainers) {
      const check = new Check(source, key, device, load, progress, stop.signal);
      right = (await check.run(steps, options.all ? 0 : options.sample)) && right;
    }
    process.stdout.write(right ? 'gradcheck: all within their bounds\n' : 'gradcheck: FAILED\n');
    return right ? 0 : 1;
  } catch (error) {
    if (stop.code !== undefined) return stop.code;
    throw error;
  } finally {
    progress.stop();
    stop.release();
    for (const message of device.validationMessages()) log.warn(`validation: ${message}`);
    device.close();
  }
}

/** What a run of the graph leaves, read back. */
interface Found extends PathRun, StoredLayers {
  spec: ModelSpec;
  targets: Uint32Array | undefined;
  differences: Float32Array | undefined;
  /** Of the finest level. */
  pixels: number;
}

class Stopped extends Error {}

class Check {
  constructor(
    private readonly source: GraphSource,
    private readonly key: string,
    private readonly device: Device,
    private readonly load: SpirvLoader,
    private readonly progress: ProgressLine,
    private readonly signal: AbortSignal,
  ) {}

  async run(steps: readonly number[], sample: number): Promise<boolean> {
    const runs: { step: number; found: Found }[] = [];
    for (const step of steps) runs.push({ step, found: await this.frames({ deriv: 1, dstep: step, dsample: sample }, (access) => this.read(access)) });
    const fine = runs.at(-1)!.found;
    const m = fine.spec;
    this.progress.stop();
    print(`${this.key} on ${this.device.info.name}: width ${m.width}, ${m.layers} hidden layers, ${fine.pixels} pixels, loss ${m.loss}`);
    print(`gradient against differences over ${steps.map(short).join(', ')} (f32, plain path)`);
    const rows = compareDifferences(m, {
      analytic: fine.gradient, targets: fine.targets ?? [], rounding: roundingOf(fine.dEdO, fine.result, fine.pixels),
      steps: runs.map(({ step, found }) => ({ step, differences: found.differences ?? new Float32Array() })),
    });
    let right = table(rows);
    if (rows.some((r) => r.verdict === 'unsettled')) print('  unsettled: these steps bend or drown in rounding by more than a tenth of the gradient; try another dstep');
    for (const path of ['plain', 'khr', 'nv']) right = (await this.comparePath(path, fine)) && right;
    return right;
  }

  private async comparePath(path: string, reference: Found): Promise<boolean> {
    let found: Found;
    let trained: Float32Array;
    try {
      // With every tensor in memory, to look at; and as training runs it.
      found = await this.frames({ deriv: 2, path, gradient: 'split', cascade: 'level' }, (access) => this.read(access));
      trained = await this.frames({ deriv: 2, path }, (access) => this.readGradient(access));
    } catch (error) {
      if (!(error instanceof GpuError) || error.code !== 'NO_PATH') throw error;
      this.progress.stop();
      print(`path ${path}: not on this device`);
      return true;
    }
    this.progress.stop();
    const m = reference.spec;
    const result = compareResults(m, reference.result, found.result, reference.pixels);
    print(`path ${path} (f16) against f32: results within ${error(result.error)} (bound ${error(result.bound)}) ${result.verdict}`);
    let right = table(comparePaths(m, reference, found, reference.pixels)) && result.verdict === 'ok';
    const listed = path === 'plain' ? undefined : listedPath(this.device.info, path as MatrixPath);
    print('  each product from what the path itself stored: |error| over the norm, and its bound');
    right = layerTable(checkLayers(m, found, listed !== undefined && 'shape' in listed && listed.shape.halfSums === true)) && right;
    const fused = compareGradients(m, found.gradient, trained);
    const worst = fused.reduce((a, b) => (b.error <= a.error ? a : b));
    const same = fused.every((r) => r.verdict === 'ok');
    print(`  as training runs it: gradient within ${error(worst.error)} of that (bound ${error(worst.bound)}) ${same ? 'ok' : 'wrong'}`);
    return right && same;
  }

  /** Runs the graph with these parameters of the kpn-t. */
  private async frames<T>(params: Record<string, number | string>, read: (access: RunAccess) => Promise<T>): Promise<T> {
    const config = [...(this.source.config ?? []), ...Object.entries(params).map(([name, value]) => `param:${this.key}:${name}:${value}`)];
    let found: T | undefined;
    const summary = await runGraph({
      ...this.source, config, device: () => this.device, loadSpirv: this.load, lastFrameOnly: true, shareMemory: false, signal: this.signal,
      onProgress: (p) => this.progress.update(p),
      inspect: async (access) => void (found = await read(access)),
    });
    if (found === undefined || summary.stopped) throw new Stopped('stopped');
    return found;
  }

  private trainer(access: RunAccess): KpnT {
    const instance = access.instance(this.key);
    if (!(instance instanceof KpnT)) throw new Error(`${this.key} is no kpn-t`);
    return instance;
  }

  private async readGradient(access: RunAccess): Promise<Float32Array> {
    return toFloat('f32', await access.readBuffer(this.trainer(access).buffers.dEdw));
  }

  private async read(access: RunAccess): Promise<Found> {
    const instance = this.trainer(access);
    const floats = async (buffer: PlanBuffer, format: 'f16' | 'f32' = 'f32'): Promise<Float32Array> => toFloat(format, await access.readBuffer(buffer));
    const { dEdw, differences, rounded, state } = instance.buffers;
    const { scale } = readState(await access.readBuffer(state));
    const format = differences ? 'f32' : 'f16';
    return {
      spec: instance.spec, targets: instance.targets, pixels: instance.finestPixels,
      gradient: await floats(dEdw), differences: differences && (await floats(differences)),
      dEdO: await floats(access.buffer(`${this.key} dEdO`)), result: await floats(access.buffer(`${this.key} O`)),
      activations: await floats(access.buffer(`${this.key} A`), format),
      K: await floats(access.buffer(`${this.key} K`), format), weights: await floats(rounded), scale,
      dEdA: (await floats(access.buffer(`${this.key} dEdA`), format)).map((x) => x / scale),
    };
  }
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const error = (x: number): string => (x === 0 ? '0' : Number.isFinite(x) ? x.toExponential(1) : String(x));

/** Prints the rows; whether all are right. */
function table(rows: readonly Row[]): boolean {
  print('  layer        |g|  weights  |error|/|g|   largest  at out,in    bound  verdict');
  for (const r of rows) {
    const at = `${r.at.out},${r.at.in}`;
    print(`  ${String(r.layer).padEnd(5)} ${short(r.norm).padStart(10)} ${String(r.weights).padStart(8)} ${error(r.error).padStart(12)} ${error(r.largest).padStart(9)} ${at.padStart(10)} ${error(r.bound).padStart(8)}  ${r.verdict}`);
  }
  return rows.every((r) => r.verdict === 'ok');
}

function layerTable(rows: readonly LayerRow[]): boolean {
  print('  layer   forward    bound   dE/dA below    bound     dE/dw    bound  verdict');
  for (const r of rows) {
    const of = (j: { error: number; bound: number } | undefined, width: number): string => `${(j ? error(j.error) : '-').padStart(width)} ${(j ? error(j.bound) : '-').padStart(8)}`;
    print(`  ${String(r.layer).padEnd(5)} ${of(r.forward, 9)} ${of(r.back, 13)} ${of(r.weights, 9)}  ${r.verdict}`);
  }
  return rows.every((r) => r.verdict === 'ok');
}
