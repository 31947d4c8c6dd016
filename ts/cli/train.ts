// `vkpn train FOLDER`: from a folder of photographs to weights. Builds a graph (train-graph.ts) and runs it as `vkpn cli` would.

import { performance } from 'node:perf_hooks';
import { basename, resolve } from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { readCfg, readLines } from '../cfg/read.js';
import { InputError } from '../errors.js';
import { checkWritable, exists } from '../files.js';
import { loadSpirv } from '../gpu/index.js';
import { runGraph, type GraphSource, type RunSummary } from '../graph/run.js';
import type { Preset } from '../model/spec.js';
import { modules, withoutFiles } from '../modules/index.js';
import { holdOut } from '../modules/i-set/schedule.js';
import { cutOnThread } from '../pictures/cut-queue.js';
import { namedProfile } from '../noise/profiles.js';
import { pairUp, picturesUnder } from '../pictures/folder.js';
import type { Validated } from '../quality/validation.js';
import { Recorder, writeReport } from '../report/report.js';
import type { Interval } from '../checkpoint/checkpoints.js';
import { runSource } from './cli.js';
import { interval, watchOptions, type CliOptions } from './cli-options.js';
import { findRate, rangeTable } from './find-lr.js';
import { Log } from './log.js';
import { duration, short } from './progress.js';
import { deviceOptions, startDevice, wholeNumber, type CommonOptions } from './session.js';
import { StopSignal } from './stop.js';
import { DEFAULTS, holdoutOf, presetNames, trainGraph, type TrainNoise, type TrainSettings } from './train-graph.js';

export interface TrainOptions extends CommonOptions, Pick<CliOptions, 'validate' | 'validateEvery' | 'validateLevels' | 'validateCrop' | 'patience' | 'log' | 'tensorboard'> {
  output: string;
  pairs?: string;
  noise?: string;
  iso?: number;
  preset: Preset;
  frames?: number;
  time?: number;
  batch: number;
  tile: number;
  alpha: number;
  seed: number;
  reduce: string;
  holdout?: number;
  path?: string;
  printCfg?: boolean;
  force?: boolean;
  checkpoint?: Interval;
  checkpointDir?: string;
  resume?: boolean | string;
  resumeAnyway?: boolean;
  report?: string;
  findLr?: boolean;
}

const examples = `
Examples:
  vkpn train ~/photos -o weights.lut
      clean photographs, noise of all strengths added to them
  vkpn train ~/photos -o weights.lut --time 10
      as many frames as ten minutes allow
  vkpn train clean/ --pairs noisy/ -o weights.lut
      pairs of noisy and clean pictures with the same names
  vkpn train ~/photos -o night.lut --noise 30d --iso 1600
      against the noise of one camera, measured before by vkpn profile --save 30d
  vkpn train ~/photos -o weights.lut --config param:kpn-t:01:loss:rel
      with a further line of the graph
  vkpn train ~/photos -o weights.lut --resume
      go on where that training was stopped, however it was
  vkpn train ~/photos --print-cfg > train.cfg
      the graph alone, to change and run by vkpn cli -g train.cfg --last-frame-only --progress

docs/train.md says what to train on, and how. Exit codes: as of vkpn cli.`;

/** For commander: a number above zero. */
function positive(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('It should be a number above 0.');
  return value;
}

/** Adds the command. `config`: the lines after `--config`. */
export function register(program: Command, config: readonly string[] = []): void {
  const command = program
    .command('train')
    .description('train on a folder of photographs')
    .argument('<folder>', 'clean pictures, of any number, size and format; folders inside it are looked into')
    .option('-o, --output <file>', 'the weights', 'weights.lut')
    .option('--pairs <folder>', 'noisy counterparts of the clean pictures, by the same names, endings apart')
    .option('--noise <what>', 'noise to train against: a profile A:B, the name of a saved one (vkpn profile --save), or range (all strengths alike); default: range, of pairs what is found in them')
    .option('--iso <n>', 'of a saved profile that was measured at several', positive)
    .addOption(new Option('--preset <name>', 'the network').choices(presetNames).default(DEFAULTS.preset))
    .option('--frames <n>', `updates of the weights (default: ${DEFAULTS.frames})`, wholeNumber)
    .option('--time <minutes>', 'as many frames as fit into this time, instead; the speed is measured first', positive)
    .option('--batch <n>', 'tiles a frame', wholeNumber, DEFAULTS.batch)
    .option('--tile <n>', 'width and height of a tile', wholeNumber, DEFAULTS.tile)
    .option('--alpha <rate>', 'learning rate', positive, DEFAULTS.alpha)
    .option('--seed <n>', 'of weights, tiles and noise: the same seed on the same device gives the same weights', wholeNumber, DEFAULTS.seed)
    .addOption(new Option('--reduce <times>', 'make pictures smaller so many times, and their own noise with it').choices(['auto', '1', '2', '3', '4']).default(DEFAULTS.reduce))
    .option('--holdout <n>', 'pictures not to train on, chosen by their names (default: a tenth, 2 to 8, of 8 or more)', wholeNumber)
    .option('--path <name>', 'matrix path: auto, khr, nv, plain')
    .option('--checkpoint <interval>', 'how often to write a checkpoint: seconds, or frames (1000f); 0: never (default: 30)', interval)
    .option('--checkpoint-dir <folder>', 'where checkpoints lie (default: WEIGHTS.checkpoints)')
    .option('--resume [file or folder]', 'go on from the newest checkpoint of that folder, or from this one; with the same options as before')
    .option('--resume-anyway', 'as --resume, though options or pictures were changed')
    .option('--report <file>', 'a page of HTML about the training: curves, crops before and after, settings')
    .option('--find-lr', 'look for a learning rate: it rises over some hundred frames, and the loss is watched; writes nothing')
    .option('--print-cfg', 'print the graph and run nothing')
    .option('--force', 'overwrite weights that are there')
    .option('--config <line...>', 'everything after this is further lines of the graph file')
    .addHelpText('after', examples);
  deviceOptions(watchOptions(command)).action(async (folder: string, options: TrainOptions) => {
    process.exitCode = await runTrain(folder, options, config);
  });
}

/** Runs the command; returns the exit code. Throws VkpnError. */
export async function runTrain(folder: string, options: TrainOptions, config: readonly string[]): Promise<number> {
  const log = new Log(options.d);
  const { settings, pictures, held } = await settingsOf(folder, options, log);
  const source = sourceOf(settings, config, log);
  if (options.printCfg) {
    process.stdout.write([trainGraph(settings), ...config.map((line) => `${line}\n`)].join(''));
    return 0;
  }
  if (options.findLr) return findLr(options, source, log);
  await checkOutput(options);
  if (options.report !== undefined) await checkWritable(resolve(options.report), {});
  if (options.time !== undefined) settings.frames = await framesFor(options.time, options, source, log);
  const final = sourceOf(settings, config, log);
  process.stdout.write(final.text);
  log.log('cli', `${pictures - settings.holdout} pictures to train on${settings.holdout > 0 ? `, ${settings.holdout} held out` : ''}`);
  const validate = options.validate ?? (held.length > 0 ? held : undefined);
  const recorder = options.report === undefined ? undefined : new Recorder({
    picture: held[0] ?? (await picturesUnder(resolve(folder)))[0]!, reduce: ['auto', '1', '2', '3', '4'].indexOf(settings.reduce), warn: (message) => log.warn(message),
  });
  const { code, summary, validations } = await runSource(final, { ...options, validate, tile: undefined, lastFrameOnly: true, progress: true }, log, recorder?.hooks ?? {});
  if (recorder && summary.done > summary.first) await report(folder, options, { settings, text: final.text, summary, validations, recorder }, log);
  return code;
}

interface Ran {
  settings: TrainSettings;
  text: string;
  summary: RunSummary;
  validations: readonly Validated[];
  recorder: Recorder;
}

/** Writes the page about a run. */
async function report(folder: string, options: TrainOptions, { settings, text, summary, validations, recorder }: Ran, log: Log): Promise<void> {
  const { noise } = settings;
  const begun = performance.now();
  await writeReport({
    file: options.report!, title: `Training on ${basename(resolve(folder))}`, graph: text, summary, validations, recorder,
    settings: [
      ['pictures', settings.folder], ...(settings.pairs === undefined ? [] : [['noisy counterparts', settings.pairs] as const]), ['weights', `${settings.weights}.lut`],
      ['preset', settings.preset], ['noise', noise.kind === 'fixed' ? `a ${noise.a}, b ${noise.b}${noise.from === undefined ? '' : ` (${noise.from})`}` : noise.kind === 'pairs' ? 'of the pairs' : 'log-uniform, all strengths'],
      ['tiles a frame', `${settings.batch} of ${settings.tile}x${settings.tile}`], ['learning rate', String(settings.alpha)], ['seed', String(settings.seed)], ['held out', String(settings.holdout)],
    ],
  });
  log.log('cli', `wrote ${options.report!}`);
  log.log('pipe', `the report took ${(recorder.seconds * 1000).toFixed(0)} ms after the last frame, beside the last validation, and ${(performance.now() - begun).toFixed(0)} ms more`);
}

/** What the options and the folder say. Throws InputError. */
async function settingsOf(folder: string, options: TrainOptions, log: Log): Promise<{ settings: TrainSettings; pictures: number; held: string[] }> {
  const { pairs, preset, batch, tile, alpha, seed, reduce, path } = options;
  if (options.frames !== undefined && options.time !== undefined) throw new InputError('CLI_TRAIN', '--frames and --time exclude each other', { hint: 'give one of them' });
  if (options.time !== undefined && (options.resume ?? options.resumeAnyway)) throw new InputError('CLI_TRAIN', '--time and --resume exclude each other: the frames were fixed when the run began', { hint: 'give --frames with the number that the run printed' });
  if (pairs !== undefined && !['auto', '1'].includes(reduce)) throw new InputError('CLI_TRAIN', '--reduce and --pairs exclude each other: the noise of smaller pictures is another', { hint: 'leave --reduce out' });
  const clean = await picturesUnder(resolve(folder));
  const files = pairs === undefined ? clean : await picturesUnder(resolve(pairs));
  const holdout = options.holdout ?? (options.validate ? 0 : holdoutOf(files.length));
  const { held } = holdOut(files, holdout);
  const counterparts = pairs === undefined ? held : pairUp(held, resolve(pairs), clean, resolve(folder)).pairs.map((p) => p.clean);
  const settings: TrainSettings = {
    folder: resolve(folder), pairs: pairs === undefined ? undefined : resolve(pairs), weights: options.output.replace(/\.lut$/, ''),
    preset, noise: await noiseOf(options.noise, options.iso, pairs !== undefined), frames: options.frames ?? DEFAULTS.frames, batch, tile, alpha, seed, reduce, path,
    holdout,
  };
  return { settings, pictures: files.length, held: await readable(counterparts, log) };
}

/** Those that can be decoded; the others are warned of. */
async function readable(files: readonly string[], log: Log): Promise<string[]> {
  const found: string[] = [];
  for (const path of files) {
    try {
      await cutOnThread({ path, size: 8, reduce: 1, places: [] });
      found.push(path);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      log.warn(`not validated on: ${error.format()}`);
    }
  }
  return found;
}

/** Throws InputError CLI_NOISE, NO_PROFILE, PROFILE_ISO, PROFILES_…. */
async function noiseOf(text: string | undefined, iso: number | undefined, pairs: boolean): Promise<TrainNoise> {
  const numbers = text?.split(':').map((word) => (word.trim() === '' ? NaN : Number(word))) ?? [];
  const named = text !== undefined && numbers.length === 1 && text !== 'range' && text !== 'auto' && text.trim() !== '';
  if (iso !== undefined && !named) throw new InputError('CLI_NOISE', '--iso is of a saved noise profile, but none is named', { hint: 'name one with --noise NAME; `vkpn profile --list` shows them' });
  if (text === undefined) return { kind: pairs ? 'pairs' : 'range' };
  if (text === 'range') {
    if (pairs) throw new InputError('CLI_NOISE', '--noise range adds noise, but pairs have theirs', { hint: 'give the profile of the pairs (A:B), or leave --noise out: it is found in them' });
    return { kind: 'range' };
  }
  if (named) return savedNoise(text, iso);
  const [a, b, ...more] = numbers;
  if (a === undefined || b === undefined || more.length > 0 || !(a >= 0 && b >= 0 && Number.isFinite(a + b)))
    throw new InputError('CLI_NOISE', `--noise can't be "${text}"`, { hint: 'it is a profile A:B with var(x) = (A + 65535 x B) / 65535^2, the name of a saved one (`vkpn profile --list`), or range' });
  return { kind: 'fixed', a, b };
}

async function savedNoise(name: string, iso: number | undefined): Promise<TrainNoise> {
  try {
    const { a, b, from } = await namedProfile(name, iso);
    return { kind: 'fixed', a, b, from: `profile ${from}` };
  } catch (error) {
    if (iso !== undefined || !(error instanceof InputError) || error.code !== 'PROFILE_ISO') throw error;
    throw new InputError('PROFILE_ISO', `the noise profile "${name}" was measured at several ISOs`, { hint: `say which with --iso. ${error.hint ?? ''}`, cause: error });
  }
}

function sourceOf(settings: TrainSettings, config: readonly string[], log: Log): GraphSource & { text: string } {
  const text = trainGraph(settings);
  const statements = [...readCfg(text, 'train.cfg'), ...readLines(config, '--config')];
  return { file: 'train.cfg', text, statements, graphDir: '.', registry: modules, onWarning: (message) => log.warn(message) };
}

async function findLr(options: TrainOptions, source: GraphSource, log: Log): Promise<number> {
  const stop = new StopSignal(() => undefined);
  const device = await startDevice(options, log);
  try {
    const found = await findRate(source, device, stop.signal);
    if (!found) return stop.code ?? 130;
    process.stdout.write(rangeTable(found));
    return 0;
  } finally {
    stop.release();
    device.close();
  }
}

/** Weights may be a night's work: none are overwritten without being asked to. */
async function checkOutput({ output, force, resume, resumeAnyway }: TrainOptions): Promise<void> {
  const file = `${output.replace(/\.lut$/, '')}.lut`;
  await checkWritable(resolve(file), {});
  if ((force ?? resume ?? resumeAnyway) || !(await exists(file))) return;
  throw new InputError('OUTPUT_EXISTS', `${file} is there already`, { hint: 'choose another name with -o, or overwrite it with --force' });
}

/** Seconds over which the speed is measured, and frames before that, which are slower. */
const MEASURE_SECONDS = 5;
const MEASURE_AFTER = 4;
/** Fewer teach nothing. */
const LEAST_FRAMES = 100;

/** How many frames a run of so many minutes has, start-up and measuring included. Throws as runGraph. */
async function framesFor(minutes: number, options: TrainOptions, source: GraphSource, log: Log): Promise<number> {
  const begin = performance.now();
  const controller = new AbortController();
  const stop = new StopSignal(() => undefined);
  const device = await startDevice(options, log);
  let first: { done: number; at: number } | undefined;
  let rate = 0;
  let started = 0;
  try {
    await runGraph({
      ...source, registry: withoutFiles(), config: ['frames:1000000000'], device: () => device, loadSpirv, lastFrameOnly: true, maxSlice: 64,
      signal: AbortSignal.any([controller.signal, stop.signal]),
      onStage: (stage) => stage === 'frames' && (started = performance.now()),
      onProgress: ({ done }) => {
        const now = performance.now();
        if (done < MEASURE_AFTER) return;
        first ??= { done, at: now };
        if (done > first.done) rate = (1000 * (done - first.done)) / (now - first.at);
        if (now - first.at > Math.min(1000 * MEASURE_SECONDS, minutes * 6000)) controller.abort();
      },
    });
  } finally {
    stop.release();
    device.close();
  }
  if (stop.code !== undefined) throw new InputError('STOPPED', 'stopped while the speed was measured: nothing is written');
  const left = 60 * minutes - (performance.now() - begin) / 1000 - (started - begin) / 1000;
  const frames = Math.max(LEAST_FRAMES, Math.floor(rate * left));
  log.log('cli', `${short(rate)} frames/s measured: ${frames} frames in the ${duration(Math.max(0, left))} that are left of ${short(minutes)} minute${minutes === 1 ? '' : 's'}`);
  return frames;
}
