// `vkpn bench`: the layers' paths compared on one device in one run; see docs/performance.md.

import { randomInt } from 'node:crypto';
import { Option, type Command } from 'commander';
import { runBench, WORKLOADS, type CaseResult, type Workload } from '../bench/bench.js';
import { caseLine, workloadTitle, yardstickLine } from '../bench/table.js';
import type { Yardstick } from '../bench/yardsticks.js';
import { InputError } from '../errors.js';
import type { DeviceInfo } from '../gpu/index.js';
import { testedPath, type MatrixPath } from '../gpu/matrix.js';
import { MAX_LAYERS, PRESETS, WIDTHS, type Preset } from '../model/spec.js';
import { choosePath, describePath, type LayerPath } from '../modules/kpn/path.js';
import { SPINS } from '../modules/kpn/spin.js';
import { Log } from './log.js';
import { deviceOptions, openDevice, wholeNumber, type CommonOptions } from './session.js';

interface BenchFlags extends CommonOptions {
  paths?: string;
  workload?: string;
  widths?: string;
  layers?: string;
  batch?: string;
  presets?: string;
  tiles?: string;
  size?: string;
  spin?: string;
  seconds: string;
  seed?: number;
  json?: boolean;
}

const examples = `
Workloads:
  infer    the layers alone: x (pixel, W) in memory to K (pixel, 16) in memory, f16
  train    the layers forward and backward: from x and dE/dK to dE/dw, f32, summed in a fixed order
  step     the whole training step of a preset: data, pyramid, layers, loss, backpropagation, clipping, Adam
  picture  inference of a whole picture, all levels

Before anything is timed its results are compared: infer and train with the host's in f64, every value of them; step and
picture on the plain path's. What is wrong is printed instead of a time, and the exit code is 1. Times are GPU timestamps of
whole repetitions, each with the barrier behind it; the buffers are the same in every repetition, so that small
batches stay in the cache.

Examples:
  vkpn bench                                                what there is, in about a minute
  vkpn bench --workload infer,train --widths 64 --batch 1048576 --seconds 1
  vkpn bench --workload step --presets classic,wide --tiles 1,16,64
  vkpn bench --workload step --presets classic --layers 3,6 --tiles 192
  vkpn bench --workload picture --size 600x400,6000x4000
  vkpn bench --workload picture --presets photo,best --spin 1,4,8
  vkpn bench --workload train --widths 32,64 --layers 1,2,4,8 --batch 1048576
  vkpn bench --paths plain,khr --json > bench.json

Exit codes: 0 measured; 1 a result was wrong; 2 wrong options, or a path that the device lacks; 3, 4 the device failed.`;

/** Adds the command. */
export function register(program: Command): void {
  const command = program.command('bench').description('measure the layers, training and inference on every shader path').addHelpText('after', examples);
  deviceOptions(command)
    .option('--paths <list>', 'of plain, khr, nv (default: all that the device has)')
    .option('--workload <list>', `of ${WORKLOADS.join(', ')} (default: infer,train,step)`)
    .option('--widths <list>', `of ${WIDTHS.join(', ')}, for infer and train (default: all; 32 on a CPU)`)
    .option('--layers <list>', `hidden layers, 1 to ${MAX_LAYERS} (default: 6 for infer and train, 3 on a CPU; for step and picture the presets' own)`)
    .option('--batch <list>', 'pixels, for infer and train (default: 5376,65536,1048576; 5376 on a CPU)')
    .option('--presets <list>', `of ${Object.keys(PRESETS).join(', ')}, for step and picture (default: classic,wide; classic on a CPU)`)
    .option('--tiles <list>', 'tiles of 64x64 a training step (default: 1,16; 1 on a CPU)')
    .option('--size <list>', 'of the picture, WxH (default: 6000x4000; 768x512 on a CPU)')
    .option('--spin <list>', `how often the picture is denoised, of ${SPINS.join(', ')} (default: 1)`)
    .addOption(new Option('--seconds <s>', 'how long to repeat each measurement').default('0.2'))
    .option('--seed <n>', 'of the random data (default: another each time)', wholeNumber)
    .option('--json', 'for programs')
    .action(async (flags: BenchFlags) => {
      process.exitCode = await bench(flags);
    });
}

interface Plan {
  workloads: Workload[];
  widths: number[];
  layers: number[];
  presetLayers?: number[];
  batches: number[];
  presets: Preset[];
  tiles: number[];
  sizes: { width: number; height: number }[];
  spins: number[];
  seconds: number;
}

/** Entries of a list with commas; throws InputError naming the option. */
function list<T>(option: string, text: string, entry: (word: string) => T | undefined, allowed: string): T[] {
  const entries = text.split(',').map((word) => {
    const value = entry(word.trim());
    if (value === undefined) throw new InputError('CLI_BENCH', `${option} can't be "${word.trim()}"`, { hint: `it is a list with commas of ${allowed}` });
    return value;
  });
  return [...new Set(entries)];
}

const among = <T extends string>(option: string, text: string, names: readonly T[]): T[] => list(option, text, (word) => names.find((n) => n === word), names.join(', '));

function count(most: number): (word: string) => number | undefined {
  return (word) => (/^\d{1,9}$/.test(word) && Number(word) >= 1 && Number(word) <= most ? Number(word) : undefined);
}

function sizeOf(word: string): { width: number; height: number } | undefined {
  const [width = 0, height = 0] = /^\d{1,5}x\d{1,5}$/.test(word) ? word.split('x').map(Number) : [];
  return width > 0 && height > 0 ? { width, height } : undefined;
}

const layersOf = (text: string): number[] => list('--layers', text, count(MAX_LAYERS), `numbers of hidden layers, 1 to ${MAX_LAYERS}`);

/** Everything but the device. */
function readFlags(flags: BenchFlags, cpu: boolean): Plan {
  const seconds = Number(flags.seconds);
  if (!(seconds >= 0.001 && seconds <= 600)) throw new InputError('CLI_BENCH', `--seconds can't be "${flags.seconds}"`, { hint: 'it is a number from 0.001 to 600' });
  return {
    workloads: among('--workload', flags.workload ?? 'infer,train,step', WORKLOADS),
    widths: list('--widths', flags.widths ?? (cpu ? '32' : WIDTHS.join()), (w) => WIDTHS.find((x) => String(x) === w), WIDTHS.join(', ')),
    layers: layersOf(flags.layers ?? (cpu ? '3' : '6')),
    ...(flags.layers === undefined ? {} : { presetLayers: layersOf(flags.layers) }),
    batches: list('--batch', flags.batch ?? (cpu ? '5376' : '5376,65536,1048576'), count(2 ** 26), 'numbers of pixels, up to 67108864'),
    presets: among('--presets', flags.presets ?? (cpu ? 'classic' : 'classic,wide'), Object.keys(PRESETS) as Preset[]),
    tiles: list('--tiles', flags.tiles ?? (cpu ? '1' : '1,16'), count(65536), 'numbers of tiles, up to 65536'),
    sizes: list('--size', flags.size ?? (cpu ? '768x512' : '6000x4000'), sizeOf, 'widths and heights, like 6000x4000'),
    spins: among('--spin', flags.spin ?? '1', SPINS).map(Number),
    seconds,
  };
}

/** The paths asked for, or all that the device has, and why the others are not there. Throws InputError, GpuError NO_PATH. */
function findPaths(info: DeviceInfo, asked: string | undefined, warn: (message: string) => void): { paths: LayerPath[]; missing: string[] } {
  const names = ['plain', 'khr', 'nv'] as const;
  if (asked !== undefined) return { paths: among('--paths', asked, names).map((name) => choosePath(info, name, warn)), missing: [] };
  const missing: string[] = [];
  const paths = names.flatMap((name): LayerPath[] => {
    if (name === 'plain') return [{ name }];
    const state = testedPath(info, name satisfies MatrixPath);
    if ('shape' in state) return [{ name, tile: state.shape }];
    missing.push(`${name}: ${state.why}`);
    return [];
  });
  return { paths, missing };
}

/** Runs the command; returns the exit code. Throws VkpnError. */
async function bench(flags: BenchFlags): Promise<number> {
  const log = new Log(flags.d);
  readFlags(flags, false); // wrong options before the device is looked for
  if (flags.paths !== undefined) among('--paths', flags.paths, ['plain', 'khr', 'nv']);
  const device = openDevice(flags, log);
  try {
    const { info } = device;
    const cpu = info.type === 'cpu';
    const plan = readFlags(flags, cpu);
    const { paths, missing } = findPaths(info, flags.paths, (message) => log.warn(message));
    const seed = flags.seed ?? randomInt(2 ** 31);
    const say = (line: string): void => void (flags.json ? undefined : process.stdout.write(`${line}\n`));
    say(`${info.name}, ${info.driverName} ${info.driverInfo}, Vulkan ${info.apiVersion}`);
    say(`paths: ${[...paths.map(describePath), ...missing.map((why) => `(${why})`)].join(', ')}; seed ${seed}`);
    const smaller = (['widths', 'layers', 'batch', 'presets', 'tiles'] as const).filter((name) => flags[name] === undefined);
    if (cpu && smaller.length > 0) say(`a CPU: smaller defaults of ${smaller.map((name) => `--${name}`).join(', ')} than on a GPU`);
    say('\nyardsticks: median (p10 .. p90)');
    const flopScale = cpu ? 1e9 : 1e12;
    let shown: Workload | undefined;
    const { yardsticks, cases } = await runBench({
      ...plan, device, paths, seed,
      onStage: (stage) => log.log('perf', stage),
      onYardstick: (y) => say(yardstickLine(y)),
      onCase: (c) => {
        if (c.workload !== shown) say(workloadTitle((shown = c.workload), cpu ? 'GFLOP/s' : 'TFLOP/s'));
        say(caseLine(c, flopScale));
        if ('time' in c) log.log('perf', c.time.ops.map(({ op, ns }) => `${op} ${(ns / 1000).toFixed(1)}`).join(', '));
      },
    });
    for (const message of device.validationMessages()) log.warn(`validation: ${message}`);
    if (flags.json) process.stdout.write(`${JSON.stringify(report(info, paths, missing, seed, plan, yardsticks, cases), null, 2)}\n`);
    const wrong = cases.filter((c) => 'wrong' in c);
    if (wrong.length > 0) process.stderr.write(`vkpn: ${wrong.length} of ${cases.length} results are wrong\n`);
    return wrong.length > 0 ? 1 : 0;
  } finally {
    device.close();
  }
}

/** What --json prints; times in nanoseconds, rates a second. */
function report(info: DeviceInfo, paths: readonly LayerPath[], missing: readonly string[], seed: number, plan: Plan, yardsticks: readonly Yardstick[], cases: readonly CaseResult[]): object {
  const { name, type, driverName, driverInfo, apiVersion } = info;
  return { device: { name, type, driverName, driverInfo, apiVersion }, paths: paths.map(describePath), missing, seed, seconds: plan.seconds, yardsticks, cases };
}
