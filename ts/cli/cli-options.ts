// The options of `vkpn cli`: vkdt's (SPEC section 5), where the order of options about outputs matters.

import { InvalidArgumentError, Option, type Command } from 'commander';
import type { OutputChoice } from '../cfg/outputs.js';
import type { CheckpointOptions, Interval } from '../checkpoint/checkpoints.js';
import { InputError } from '../errors.js';
import { curveNames, primaryNames } from '../formats/colour.js';
import { SPINS } from '../modules/kpn/spin.js';
import { parseLevels, type NoiseLevel } from '../quality/noise.js';
import { deviceOptions, wholeNumber, type CommonOptions } from './session.js';

export interface CliOptions extends CommonOptions {
  graph?: string;
  lastFrameOnly?: boolean;
  progress?: boolean;
  dumpModules?: boolean;
  dumpNodes?: boolean;
  lenient?: boolean;
  path?: string;
  tile?: number;
  memory?: number;
  checkpoint?: Interval;
  checkpointDir?: string;
  /** True: from the folder of checkpoints. */
  resume?: boolean | string;
  resumeAnyway?: boolean;
  validate?: string[];
  validateEvery?: number;
  validateLevels?: NoiseLevel[];
  validateCrop?: string;
  patience?: number;
  log?: string;
  tensorboard?: string;
}

/** Options about an output, collected until `--output` (or the end) takes them. */
interface Pending {
  format?: string;
  filename?: string;
  params: Record<string, string>;
  options: Record<string, string>;
}

/** Collects `--output INST` with the options that stand before it. */
export class OutputOptions {
  private readonly harvested: OutputChoice[] = [];
  private pending: Pending = { params: {}, options: {} };

  setFormat(format: string): void {
    this.pending.format = format;
  }

  setFilename(filename: string): void {
    this.pending.filename = filename;
    this.pending.options.filename = '--filename';
  }

  setParam(name: string, value: string, option: string): void {
    this.pending.params[name] = value;
    this.pending.options[name] = option;
  }

  harvest(inst: string): void {
    const { format = 'o-jpg', filename, params, options } = this.pending;
    this.harvested.push({ inst, format, filename, params, options });
    this.pending = { params: {}, options: {} };
  }

  /** The outputs, and whether the command line says anything about them. Throws InputError for options that belong to none. */
  finish(): { outputs: OutputChoice[]; explicit: boolean } {
    const { format, filename, params } = this.pending;
    const left = [format === undefined ? [] : ['--format'], filename === undefined ? [] : ['--filename'], Object.keys(params).map((name) => this.pending.options[name] ?? name)].flat();
    if (this.harvested.length > 0) {
      if (left.length > 0) throw new InputError('CLI_OUTPUT_ORDER', `${left.join(', ')} after the last --output belongs to no output`, { hint: 'the options of an output stand before its --output' });
      return { outputs: this.harvested, explicit: true };
    }
    this.harvest('main');
    return { outputs: this.harvested, explicit: left.length > 0 };
  }
}

/** Declares the options on a command; those about outputs go to `outputs` in the order they stand in. */
export function declareCliOptions(command: Command, outputs: OutputOptions): Command {
  const named = (names: readonly string[]) => (value: string): string => {
    const name = names.find((n) => n.toLowerCase() === value.toLowerCase());
    if (name === undefined) throw new InvalidArgumentError(`There is: ${names.join(', ')}.`);
    return name;
  };
  const param = (name: string, option: string, check = (value: string): string => value) => (value: string): string => {
    outputs.setParam(name, check(value), option);
    return value;
  };
  const trc = (value: string): string => named(curveNames)(value === '709' ? 'bt709' : value); // vkdt's help says bt709, its parser takes 709
  command
    .requiredOption('-g, --graph <file>', 'the graph file')
    .option('--last-frame-only', 'write only after the last frame')
    .option('--progress', 'show how far it is: a line on a terminal, a plain line now and then elsewhere')
    .option('--dump-modules', 'print the modules as a graphviz graph and run nothing')
    .option('--dump-nodes', 'print the steps of a frame as a graphviz graph and run nothing')
    .option('--quality <0-100>', 'JPEG quality', param('quality', '--quality'))
    .option('--width <x>', 'greatest width: larger pictures are shrunk, keeping their proportions', param('width', '--width'))
    .option('--height <y>', 'greatest height', param('height', '--height'))
    .option('--filename <name>', "the output's name without extension and frame number (default: the instance)", (v) => (outputs.setFilename(v), v))
    .option('--format <module>', 'the output module: o-jpg, o-png, o-pfm, o-lut (default: o-jpg)', (v) => (outputs.setFormat(v), v))
    .option('--colour-prim <name>', `primaries of the output: ${primaryNames.join(' ')}`, param('prim', '--colour-prim', named(primaryNames)))
    .option('--colour-trc <name>', `transfer curve of the output: ${curveNames.join(' ')}`, param('trc', '--colour-trc', trc))
    .option('--output <inst>', 'write display:INST, with the seven options above that stand before it; may be repeated (default: main)', (v) => (outputs.harvest(v), v))
    .option('--lenient', 'warn of lines that make no sense and leave them out, as vkdt does, instead of ending')
    .option('--checkpoint <interval>', 'how often to write a checkpoint: seconds, or frames (1000f); 0: never (default: 30 where the graph trains)', interval)
    .option('--checkpoint-dir <folder>', 'where checkpoints lie (default: beside the first output, WEIGHTS.checkpoints)')
    .option('--resume [file or folder]', 'go on from the newest checkpoint of that folder, or from this one')
    .option('--resume-anyway', 'as --resume, though the graph was changed')
    .option('--path <name>', 'matrix path of every module that has one: auto, khr, nv, plain')
    // For the help alone: main takes `--config` and what follows out of the arguments before they are parsed.
    .option('--config <line...>', 'everything after this is further lines of the graph file');
  return deviceOptions(watchOptions(tileOptions(command)));
}

/** Adds --tile and --memory. */
export function tileOptions(command: Command): Command {
  return command
    .option('--tile <pixels>', 'denoise in tiles of at most this width and height (default: in tiles only where the picture does not fit the device)', tileSize)
    .option('--memory <size>', "device memory to use at most, as 512M or 2G (default: most of what the device has to give); pictures that don't fit are denoised in tiles", memorySize);
}

/** kpn's `spin`. */
export const spinOption = (): Option =>
  new Option('--spin <times>', 'denoise so many times, the picture mirrored, moved and transposed, and take the mean: better, for so many times the work (docs/quality.md has figures)').choices(SPINS).default('1');

/** For commander. */
function tileSize(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('It should be a number of pixels.');
  return Number(text);
}

/** For commander: "512M", "2G", "1500000K", to bytes. */
export function memorySize(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([KMG])(?:i?B)?$/i.exec(text) ?? [];
  const bytes = Number(number) * 1024 ** ('KMG'.indexOf((unit ?? '').toUpperCase()) + 1);
  if (unit === undefined || !(bytes >= 1024)) throw new InvalidArgumentError('It should be a size like 512M or 2G.');
  return bytes;
}

/** The options about watching a training: validation and logs. */
export function watchOptions(command: Command): Command {
  const positive = (text: string): number => {
    const n = wholeNumber(text);
    if (n === 0) throw new InvalidArgumentError('It should be at least 1.');
    return n;
  };
  return command
    .option('--validate <pictures...>', 'files or folders of pictures without noise that are held out: the weights denoise them now and then; the best are kept as WEIGHTS.best.lut')
    .option('--validate-every <frames>', 'how often (default: by time, so that it costs 2 %)', positive)
    .option('--validate-levels <list>', 'noise levels, as of vkpn eval (default: low,mid,high)', parseLevels)
    .option('--validate-crop <WxH|none>', 'the part of each picture, from its top left corner (default: 768x512; 256x256 on a CPU)')
    .option('--patience <n>', 'stop after so many validations without a better one (default: never)', positive)
    .option('--log <file>', 'CSV: loss, learning rate and validation over the frames')
    .option('--tensorboard <folder>', 'the same as TensorBoard event files');
}

/** For commander: "30", "2.5", "30s", "1000f". */
export function interval(text: string): Interval {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?|\.\d+)([sf]?)$/.exec(text) ?? [];
  if (number === '' || (unit === 'f' && !/^\d{1,9}$/.test(number))) throw new InvalidArgumentError('It should be seconds (30, 2.5) or frames (1000f); 0 means never.');
  return unit === 'f' ? { frames: Number(number) } : { seconds: Number(number) };
}

/** What the options say of checkpoints. */
export function checkpointOptions({ checkpoint, checkpointDir, resume, resumeAnyway }: CliOptions): CheckpointOptions {
  if (checkpointDir === '') throw new InputError('CLI_CHECKPOINT', '--checkpoint-dir needs a folder');
  return { every: checkpoint, dir: checkpointDir, resume: resume ?? resumeAnyway ?? false, resumeAnyway };
}

/** Splits the arguments at the first `--config`. */
export function splitConfig(args: readonly string[]): { args: string[]; config: string[] } {
  const at = args.indexOf('--config');
  return at < 0 ? { args: [...args], config: [] } : { args: args.slice(0, at), config: args.slice(at + 1) };
}
