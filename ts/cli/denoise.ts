// `vkpn denoise`: pictures in, denoised pictures out. It makes a graph of each and runs it as `vkpn cli` would (docs/denoise.md).

import { resolve } from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { InputError, VkpnError } from '../errors.js';
import { withInput } from '../files.js';
import { decodeLut, lutHeaderBytes, parseLutHeader } from '../formats/lut.js';
import { loadSpirv, type Device } from '../gpu/index.js';
import type { TileOptions } from '../graph/tiles.js';
import { modules } from '../modules/index.js';
import { spinOption, tileOptions } from './cli-options.js';
import { makeFolders, outputFormats, planFiles, type Job, type OutputFormat } from './denoise-files.js';
import { parseNoise } from './denoise-noise.js';
import { checkPrepared, denoiseAll, prepare, type Outcome, type PrepareOptions, type Shares } from './denoise-run.js';
import { FileProgress } from './denoise-progress.js';
import { Log } from './log.js';
import { weightsFile } from './packaged-weights.js';
import { short } from './progress.js';
import { deviceOptions, startDevice, type CommonOptions } from './session.js';
import { StopSignal } from './stop.js';

interface DenoiseOptions extends CommonOptions, TileOptions {
  output: string;
  weights: string;
  format?: OutputFormat;
  quality: number;
  strength: number;
  noise: string;
  compare?: boolean;
  printCfg?: boolean;
  force?: boolean;
  ev: number;
  wb: string;
  half?: boolean;
  path?: string;
  spin: string;
}

const examples = `
Examples:
  vkpn denoise noisy.jpg -o clean.jpg
  vkpn denoise noisy.jpg -o clean.jpg -w best --spin 8
      better still, at eight times the work on the device
  vkpn denoise shoot/ -o shoot-clean/ --format tiff16
      every picture of a folder
  vkpn denoise IMG_5952.CR2 -o . --format jpg --ev 1 --compare
      a raw file, a stop brighter, with a before | after picture beside it
  vkpn denoise noisy.png -o clean.png --print-cfg > graph.cfg
      the graph that would run; vkpn cli -g graph.cfg runs it

Exit codes: 0 all are written; else that of the first picture that failed: 2 it can't be read, 1 it can't be written, 4 the device failed; 3 the
device was lost; 130, 143 stopped by Ctrl-C, SIGTERM. A picture that fails doesn't stop the others.`;

/** For commander: a number within bounds. */
const number = (least: number, most: number) => (text: string): number => {
  const value = text.trim() === '' ? NaN : Number(text);
  if (!(value >= least && value <= most)) throw new InvalidArgumentError(`It should be a number from ${least} to ${most}.`);
  return value;
};

export function register(program: Command): void {
  const command = program
    .command('denoise')
    .description('denoise photographs: jpg, png, tiff, pfm, exr, camera raw')
    .argument('<pictures...>', 'pictures, or folders of them')
    .requiredOption('-o, --output <out>', 'the file to write, or the folder for several')
    .option('-w, --weights <file>', 'weights: photo or best, which come with vkpn, or a .lut that kpn-t trained', 'photo')
    .addOption(new Option('--format <name>', 'what to write (default: by the ending of -o, else like the input, of raw tiff16)').choices(outputFormats))
    .option('--quality <0-100>', 'JPEG quality', number(0, 100), 95)
    .option('--strength <0-1>', 'how far to go: 0 leaves the picture as it is, 1 is all', number(0, 1), 1)
    .addOption(spinOption())
    .option('--noise <a:b|auto|name>', 'the noise: a and b, or as auto finds, or a profile that vkpn profile saved', 'auto')
    .option('--compare', 'also write a before | after picture, NAME-compare')
    .option('--ev <stops>', 'raw: exposure', number(-16, 16), 0)
    .addOption(new Option('--wb <name>', 'raw: white balance').choices(['camera', 'daylight', 'none']).default('camera'))
    .option('--half', 'raw: half size, without demosaicing')
    .option('--force', 'overwrite files that are there (never an input)')
    .option('--print-cfg', 'print the graph of the one picture and run nothing')
    .option('--path <name>', 'matrix path: auto, khr, nv, plain')
    .addHelpText('after', examples);
  deviceOptions(tileOptions(command)).action(async (pictures: string[], options: DenoiseOptions) => {
    process.exitCode = await runDenoise(pictures, options);
  });
}

/** Weights are read once before any picture: what is wrong with them is wrong with all. Throws InputError FILE_…, LUT_…, WEIGHTS_KIND. */
async function checkWeights(path: string, packaged: boolean): Promise<void> {
  const lut = await withInput(path, {}, async (file) => {
    parseLutHeader(await file.read(0, lutHeaderBytes), file.bytes, path);
    return decodeLut(await file.read(0, file.bytes), path);
  }).catch((e: unknown) => {
    if (packaged && e instanceof VkpnError && e.code === 'FILE_ENOENT') throw new InputError('NO_WEIGHTS', `the weights that come with vkpn are missing: ${path}`, { hint: 'Reinstall vkpn, or give weights with -w.' });
    throw e;
  });
  if (!lut.ssbo || lut.channels !== 1 || lut.format !== 'f16') throw new InputError('WEIGHTS_KIND', 'the .lut file holds a table or a picture, not weights', { place: { file: path }, hint: 'Weights are what a graph writes from kpn-t:w to an o-lut.' });
}

/** Runs the command; returns the exit code. Throws VkpnError. */
async function runDenoise(pictures: readonly string[], options: DenoiseOptions): Promise<number> {
  const log = new Log(options.d);
  const noise = parseNoise(options.noise);
  const weights = resolve(weightsFile(options.weights));
  await checkWeights(weights, weights !== resolve(options.weights));
  const jobs = await planFiles(pictures, { output: options.output, format: options.format, compare: options.compare ?? false, force: (options.force ?? false) || (options.printCfg ?? false) });
  const { strength, quality, ev, wb, path, spin } = options;
  const how: Omit<PrepareOptions, 'warn'> = { noise, graph: { weights, strength, quality, ev, wb, size: options.half ? 'half' : 'full', path, spin } };
  if (options.printCfg) return printCfg(jobs, { ...how, warn: (m) => log.warn(m) });
  await makeFolders(jobs);
  return denoise(jobs, how, options, log);
}

async function printCfg(jobs: readonly Job[], how: PrepareOptions): Promise<number> {
  if (jobs.length !== 1) throw new InputError('DENOISE_PRINT', `--print-cfg prints the graph of one picture, not of ${jobs.length}`, { hint: 'Each picture has a graph of its own, for its noise.' });
  await makeFolders(jobs);
  const prepared = await prepare(jobs[0]!, how);
  await checkPrepared(prepared, modules);
  const { from, doubt } = prepared.noise;
  process.stdout.write(`# vkpn denoise ${jobs[0]!.input}; noise ${from}${doubt === '' ? '' : `, but ${doubt}`}\n${prepared.text}`);
  return 0;
}

async function denoise(jobs: readonly Job[], how: Omit<PrepareOptions, 'warn'>, options: DenoiseOptions, log: Log): Promise<number> {
  const begin = performance.now();
  const progress = new FileProgress(process.stderr, jobs.map((j) => j.input), log.has('cli'));
  const failed: { job: Job; error: unknown }[] = [];
  const shares: Shares[] = [];
  let done = 0;
  const say = (print: () => void): void => {
    progress.clear();
    print();
  };
  const stop = new StopSignal((message) => say(() => log.log('cli', message)));
  let opening: Promise<Device> | undefined;
  let closing: Promise<void> | undefined;
  const onDone = (i: number, outcome: Outcome): void => {
    progress.done(i);
    if ('error' in outcome) {
      failed.push(outcome);
      say(() => process.stderr.write(`vkpn: ${outcome.job.input}: ${describe(outcome.error)}\n`));
      return;
    }
    done++;
    shares.push(outcome.shares);
    say(() => {
      log.log('cli', told(outcome));
      log.log('mem', `${outcome.prepared.job.input}: ${mebibytes(outcome.peakBytes)} of device memory for its graph; host memory so far ${mebibytes(process.resourceUsage().maxRSS * 1024)} at most`);
    });
  };
  try {
    await denoiseAll({
      ...how, jobs, loadSpirv, registry: modules, signal: stop.signal, timestamps: log.has('perf'), tile: options.tile, memory: options.memory,
      device: () => (opening ??= startDevice(options, log)),
      warn: (message) => say(() => log.warn(message)),
      onStage: (i, stage, part) => progress.stage(i, stage, part),
      onDone,
      onDeviceDone: () => void (closing = close(opening, say, log)), // takes a while, as encoding does
    });
  } finally {
    progress.stop();
    stop.release();
    await closing;
  }
  summary({ jobs: jobs.length, done, failed, shares, seconds: (performance.now() - begin) / 1000 }, log);
  return stop.code ?? (failed.length > 0 ? exitCodeOf(failed[0]!.error) : 0);
}

async function close(opening: Promise<Device> | undefined, say: (print: () => void) => void, log: Log): Promise<void> {
  const device = await opening?.catch(() => undefined); // told where it was asked for
  const messages = device?.validationMessages() ?? [];
  device?.close();
  for (const message of messages) say(() => log.warn(`validation: ${message}`));
}

const exitCodeOf = (error: unknown): number => (error instanceof VkpnError ? error.exitCode : 1);
const describe = (error: unknown): string => (error instanceof VkpnError ? error.format() : `${error instanceof Error ? error.message : String(error)} (a fault of vkpn itself)`);

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

/** "in -> out, 8.3 MP, noise a = … b = … (estimated)" */
function told({ prepared, files, tiles }: Extract<Outcome, { prepared: unknown }>): string {
  const { job, noise, megapixels } = prepared;
  const doubt = noise.doubt === '' ? '' : `, doubtful: ${noise.doubt}`;
  return `${job.input} -> ${files.join(', ')}: ${megapixels.toFixed(1)} MP${tiles > 1 ? ` in ${tiles} tiles` : ''}, noise ${short(noise.a)}:${short(noise.b)} (${noise.from}${doubt})`;
}

interface Total {
  jobs: number;
  done: number;
  failed: readonly { job: Job }[];
  shares: readonly Shares[];
  seconds: number;
}

function summary({ jobs, done, failed, shares, seconds }: Total, log: Log): void {
  if (log.has('perf') && shares.length > 0) for (const line of shareTable(shares)) log.log('perf', line);
  const left = jobs - done - failed.length;
  const rest = [failed.length > 0 ? `${failed.length} failed: ${failed.map((f) => f.job.input).join(', ')}` : '', left > 0 ? `${left} not done` : ''].filter((t) => t !== '').join('; ');
  log.log('cli', `${done} of ${jobs} picture${jobs === 1 ? '' : 's'} in ${short(seconds)} s${rest === '' ? '' : `; ${rest}`}`);
}

/** Mean time a picture of each stage, and its share of their sum. Stages of different pictures overlap. */
function shareTable(shares: readonly Shares[]): string[] {
  const names: [keyof Shares, string][] = [
    ['decode', 'decode'], ['noise', 'noise estimate'], ['start', 'device and kernels, while the first is decoded'], ['prepare', 'graph and memory'], ['upload', 'upload'], ['device', 'device'], ['download', 'download'], ['encode', 'encode and write'],
  ];
  const mean = (key: keyof Shares): number => shares.reduce((sum, s) => sum + s[key], 0) / shares.length;
  const total = names.reduce((sum, [key]) => sum + mean(key), 0);
  const line = (seconds: number, text: string): string => `${(seconds * 1000).toFixed(1).padStart(9)} ms ${((100 * seconds) / total).toFixed(1).padStart(5)} %  ${text}`;
  return [...names.map(([key, name]) => line(mean(key), key === 'device' ? `device (${(mean('gpu') * 1000).toFixed(1)} ms on the GPU)` : name)), line(total, 'in all, a picture; much of it overlaps')];
}
