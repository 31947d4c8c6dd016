// `vkpn eval`: how well weights denoise photographs, by the protocol of docs/quality.md.

import { mkdir } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import type { Command } from 'commander';
import { InputError } from '../errors.js';
import { checkWritable, messageOf, writeAtomic } from '../files.js';
import { encodePicture } from '../formats/picture.js';
import { loadSpirv } from '../gpu/index.js';
import { listPictures } from '../pictures/read.js';
import { readWeights } from '../quality/denoiser.js';
import { evaluate, meanLevels, part, PROTOCOL_CROP, PROTOCOL_SEED, type Compared, type Size } from '../quality/evaluate.js';
import type { RgbaPicture } from '../quality/metrics.js';
import { NAMED_LEVELS, parseLevels, parseProfile, type NoiseLevel } from '../quality/noise.js';
import { scoreTable } from '../quality/table.js';
import { spinOption } from './cli-options.js';
import { PICTURE_LIMITS } from './denoise-graph.js';
import { Log } from './log.js';
import { weightsFile } from './packaged-weights.js';
import { deviceOptions, openDevice, wholeNumber, type CommonOptions } from './session.js';

interface EvalFlags extends CommonOptions {
  weights: string[];
  levels?: NoiseLevel[];
  noise?: NoiseLevel[];
  crop: string;
  seed: number;
  path?: string;
  spin: string;
  limits?: boolean;
  crops?: string;
  pictures?: boolean;
  json?: boolean;
}

const levelList = NAMED_LEVELS.map((l) => l.name).join(',');

const help = `
Every picture is cut to its top left ${PROTOCOL_CROP.width}x${PROTOCOL_CROP.height} pixels and gets white noise in linear rec2020, the same each time and on every machine; the
weights take it off; then noisy and denoised picture are compared with the clean one: peak signal to noise ratio in dB and
SSIM (Wang et al. 2004, on luminance), both of values clipped to [0, 1], sRGB-encoded and linear. The mean is that of
the pictures' dB. docs/quality.md has the protocol.

Noise is given as standard deviations READ:SHOT of read noise and, at 0.18, of shot noise: low is 0.002:0.008, mid 0.008:0.03,
high 0.03:0.09.

Examples:
  vkpn eval -w weights.lut examples/photos/test_*.jpg
  vkpn eval -w mine.lut -w theirs.lut --levels mid,0.05:0.1 --crops crops photos/
  vkpn eval -w weights.lut --noise 274870:327.675 --crop none --json photo.pfm > scores.json

Exit codes: 0 done; 2 wrong options, files or device; 1 writing failed; 3, 4 the device failed.`;

/** Adds the command. */
export function register(program: Command): void {
  const command = program
    .command('eval')
    .description('measure how well weights denoise: PSNR and SSIM on photographs without noise, which get some')
    .argument('<pictures...>', 'files, or folders of them')
    .requiredOption('-w, --weights <file>', 'the weights: photo or best, which come with vkpn, or a file; several to compare', (file: string, before: string[] = []) => [...before, file])
    .option('--levels <list>', `noise levels, with commas between: ${levelList} or READ:SHOT (default: ${levelList})`, (text: string, before: NoiseLevel[] = []) => [...before, ...parseLevels(text)])
    .option('--noise <a:b>', 'a noise profile, var(x) = (a + 65535 x b) / 65535^2; may be repeated', (text: string, before: NoiseLevel[] = []) => [...before, parseProfile(text)])
    .option('--crop <WxH|none>', 'the part of a picture that counts, from its top left corner', `${PROTOCOL_CROP.width}x${PROTOCOL_CROP.height}`)
    .option('--seed <n>', 'of the noise', wholeNumber, PROTOCOL_SEED)
    .option('--path <name>', 'matrix path: auto, khr, nv, plain')
    .addOption(spinOption())
    .option('--limits', 'no pixel may change by more than vkpn denoise lets it')
    .option('--crops <folder>', 'write PNG pictures there: noisy, denoised by each of the weights, clean, side by side')
    .option('--pictures', 'print every picture, not only the mean')
    .option('--json', 'for programs')
    .addHelpText('after', help);
  deviceOptions(command).action(async (pictures: string[], flags: EvalFlags) => {
    await runEval(pictures, flags);
  });
}

/** `WxH`, at least a window of SSIM, or `none`. Throws InputError. */
export function parseCrop(option: string, text: string): Size | undefined {
  if (text === 'none') return undefined;
  const found = /^(\d{1,5})x(\d{1,5})$/.exec(text);
  const size = { width: Number(found?.[1]), height: Number(found?.[2]) };
  if (!(size.width >= 11 && size.height >= 11)) throw new InputError('CLI_CROP', `${option} can't be "${text}"`, { hint: 'it is a width and a height of at least 11, like 768x512, or none' });
  return size;
}

/** Runs the command. Throws VkpnError. */
async function runEval(paths: readonly string[], flags: EvalFlags): Promise<void> {
  const log = new Log(flags.d);
  const warned = new Set<string>();
  const warn = (message: string): void => void (warned.has(message) || (warned.add(message), log.warn(message)));
  const crop = parseCrop('--crop', flags.crop);
  const asked = [...(flags.levels ?? []), ...(flags.noise ?? [])];
  const levels = asked.length > 0 ? asked : NAMED_LEVELS;
  const files = await listPictures(paths);
  const weights = await Promise.all(flags.weights.map((w) => readWeights(weightsFile(w))));
  const names = labels(flags.weights);
  if (flags.crops !== undefined) await prepareFolder(flags.crops);
  const device = openDevice(flags, log);
  try {
    const { crops } = flags;
    const pictures = await evaluate({
      device, load: loadSpirv, files, weights, levels, crop, seed: flags.seed, warn,
      params: [...(flags.path === undefined ? [] : [`path:${flags.path}`]), ...(flags.spin === '1' ? [] : [`spin:${flags.spin}`]), ...(flags.limits ? PICTURE_LIMITS : [])],
      onCase: crops === undefined ? undefined : async (found) => log.log('pipe', `wrote ${await writeCrops(crops, files, found)}`),
    });
    const means = meanLevels(pictures);
    if (flags.json) {
      const { name, driverName, driverInfo } = device.info;
      print(JSON.stringify({ device: { name, driverName, driverInfo }, crop: crop ?? null, seed: flags.seed, noise: levels, weights: flags.weights, mean: means, pictures }, null, 2));
    } else {
      print(`${pictures.length} picture${pictures.length === 1 ? '' : 's'}, ${crop ? `top left ${crop.width}x${crop.height}` : 'whole'}; PSNR in dB and SSIM, sRGB-encoded / linear`);
      const titles = ['noise', 'noisy', ...names];
      print(scoreTable(titles, means));
      if (flags.pictures) for (const p of pictures) print(`\n${p.file}, ${p.width}x${p.height}\n${scoreTable(titles, p.levels)}`);
    }
    for (const message of device.validationMessages()) log.warn(`validation: ${message}`);
  } finally {
    device.close();
  }
}

const print = (text: string): void => void process.stdout.write(`${text}\n`);

/** Short names of the weights: those of the files, the paths where these are the same. */
function labels(files: readonly string[]): string[] {
  const short = files.map((f) => basename(f, '.lut'));
  return new Set(short).size === short.length ? short : [...files];
}

async function prepareFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((e: unknown) => {
    throw new InputError('OUTPUT_FOLDER', `the folder ${folder} of --crops can't be made: ${messageOf(e)}`, { hint: 'choose another one', cause: e });
  });
  await checkWritable(join(folder, 'x.png'), {});
}

/** Side of the squares that --crops shows: from the middle of what counts. */
const SHOWN = 320;
const GAP = 8;

/** Noisy, denoised and clean beside each other, as sRGB PNG; returns the file's name. */
async function writeCrops(folder: string, files: readonly string[], { file, level, clean, noisy, denoised }: Compared): Promise<string> {
  const width = Math.min(SHOWN, clean.width);
  const height = Math.min(SHOWN, clean.height);
  const parts = [noisy, ...denoised, clean].map((p) => part(p, (clean.width - width) >> 1, (clean.height - height) >> 1, width, height));
  const all = beside(parts);
  const stem = basename(file, extname(file));
  const twice = files.filter((f) => basename(f, extname(f)) === stem).length > 1;
  const name = join(folder, `${twice ? `${files.indexOf(file)}-` : ''}${stem}-${level.name.replaceAll(':', '_')}.png`);
  await writeAtomic(name, await encodePicture(all.width, all.height, all.rgba, 'png', { primaries: 'sRGB', curve: 'sRGB', bits: 8 }));
  return name;
}

/** Pictures of one size in a row, white between. */
function beside(parts: readonly RgbaPicture[]): RgbaPicture {
  const { width, height } = parts[0]!;
  const total = parts.length * (width + GAP) - GAP;
  const rgba = new Float32Array(total * height * 4).fill(1);
  parts.forEach((p, i) => {
    for (let y = 0; y < height; y++) rgba.set(p.rgba.subarray(4 * y * width, 4 * (y + 1) * width), 4 * (y * total + i * (width + GAP)));
  });
  return { width: total, height, rgba };
}
