// `vkpn profile`: the noise of a camera from its pictures, measured, drawn, saved (SPEC section 1.3; docs/noise.md).

import type { Command } from 'commander';
import { InputError } from '../errors.js';
import { checkWritable, writeAtomic } from '../files.js';
import { estimateFrom, forNetwork, noiseVariance, sampleNoise, type NoiseAb, type NoiseEstimate, type NoiseSamples } from '../noise/estimate.js';
import { checkName, describe, type NoiseKind, profilesFile, removeProfile, savedProfiles, type SavedProfile, saveProfile } from '../noise/profiles.js';
import { listPictures, openPicture } from '../pictures/read.js';
import { Log } from './log.js';
import { type Panel, plotNoise } from './profile-plot.js';

interface ProfileFlags {
  json?: boolean;
  plot?: string;
  save?: string;
  camera?: string;
  iso?: number;
  list?: boolean;
  remove?: string;
  d?: string[];
}

const help = `
Noise of a linear value x (white = 1) has the variance (a + 65535 x b) / 65535^2. It is measured where the pictures are
flat; pictures with sky, walls, or things out of focus, dark and bright, are best, and of a camera's lowest ISO the only ones
that will do. Pictures of the same camera, ISO and kind are measured together, each other group by itself. Raw files are
measured as they are, before white balance; JPEG, PNG and TIFF with the tone curve undone as their profile says.

Saved profiles lie in ${'$XDG_CONFIG_HOME'}/vkpn/noise.json (~/.config/vkpn/noise.json). One name holds several ISOs of one
camera; between them, noise is interpolated. --noise NAME of \`vkpn denoise\` uses one, and without --noise it finds that of the
picture's camera and ISO by itself.

Examples:
  vkpn profile iso640/*.cr2 --plot noise.png --save 30d
  vkpn profile scan.tif --save scanner --camera "Nikon Coolscan" --iso 100
  vkpn profile --list

Exit codes: 0 done; 1 writing failed; 2 wrong options or files, or noise that can't be measured.`;

/** For commander: an ISO. */
function isoNumber(text: string): number {
  const iso = Number(text);
  if (!(iso >= 1 && iso <= 1e8)) throw new InputError('CLI_ISO', `--iso can't be "${text}"`, { hint: 'it is a number like 640' });
  return iso;
}

/** Adds the command. */
export function register(program: Command): void {
  program
    .command('profile')
    .description('measure the noise of pictures: a and b of --noise')
    .argument('[pictures...]', 'files, or folders of them: jpg png tif pfm exr, camera raw')
    .option('--json', 'for programs')
    .option('--plot <file>', 'draw variance against mean, a PNG file')
    .option('--save <name>', 'keep it under this name')
    .option('--camera <text>', 'the camera, where the pictures name none or another')
    .option('--iso <n>', 'the ISO, where the pictures have none or another', isoNumber)
    .option('--list', 'list what is saved')
    .option('--remove <name>', 'forget what is saved under this name')
    .option('-d <levels>', 'what to log, with commas between: none cli perf err all (default: cli)', (level: string, before: string[] = []) => [...before, level])
    .addHelpText('after', help)
    .action(runProfile);
}

async function runProfile(paths: string[], flags: ProfileFlags): Promise<void> {
  if (flags.list || flags.remove !== undefined) return manage(paths, flags);
  if (paths.length === 0) throw new InputError('CLI_PICTURES', 'no picture is given', { hint: 'vkpn profile --help says more' });
  if (flags.save !== undefined) checkName(flags.save);
  if (flags.plot !== undefined) await checkPlot(flags.plot);
  const log = new Log(flags.d);
  const files = await listPictures(paths);
  const groups = await readGroups(files, flags, (message) => log.warn(message));
  if (flags.save !== undefined) checkSavable(groups);
  const found = groups.map((g) => ({ ...g, estimate: measured(g) }));
  for (const g of found) warnings(g, log);
  if (flags.plot !== undefined) await writeAtomic(flags.plot, await plotNoise(found.map((g): Panel => ({ title: title(g), estimate: g.estimate }))));
  if (flags.save !== undefined) await saveProfile(toProfile(flags.save, found));
  if (flags.json) print(JSON.stringify(found.map((g) => ({ camera: g.camera ?? null, iso: g.iso ?? null, kind: g.kind, pictures: g.files, ...g.estimate })), null, 2));
  else {
    for (const g of found) print(report(g));
    if (flags.save !== undefined) print(`saved as "${flags.save}" in ${profilesFile()}`);
  }
}

const print = (text: string): void => void process.stdout.write(`${text}\n`);

// ---- what is saved -------------------------------------------------------------------------------------------------

async function manage(paths: readonly string[], flags: ProfileFlags): Promise<void> {
  const both = flags.list && flags.remove !== undefined;
  const others = [...(['plot', 'save', 'camera', 'iso'] as const).filter((o) => flags[o] !== undefined).map((o) => `--${o}`), ...(paths.length > 0 ? ['pictures'] : [])];
  if (both || others.length > 0)
    throw new InputError('CLI_PROFILE', `${flags.list ? '--list' : '--remove'} goes without ${both ? '--remove' : others.join(', ')}`, { hint: 'call vkpn profile once for each' });
  if (flags.remove !== undefined) {
    await removeProfile(flags.remove);
    if (!flags.json) print(`removed "${flags.remove}"`);
    return;
  }
  const profiles = await savedProfiles();
  if (flags.json) print(JSON.stringify(profiles, null, 2));
  else if (profiles.length === 0) print(`no noise profile is saved in ${profilesFile()}`);
  else for (const p of profiles) print([`${p.name}: ${describe(p)}`, ...p.points.map((q) => `  ${q.iso === undefined ? 'any ISO' : `ISO ${q.iso}`}`.padEnd(14) + ` ${pair(q)}  ${q.pictures} picture${q.pictures === 1 ? '' : 's'}, ${q.measured}`)].join('\n'));
}

function toProfile(name: string, groups: readonly (Group & { estimate: NoiseEstimate })[]): SavedProfile {
  const { camera, kind } = groups[0]!;
  const measured = new Date().toISOString().slice(0, 10);
  const points = groups.map(({ iso, files, estimate }) => ({ ...(iso === undefined ? {} : { iso }), ...forNetwork(estimate), ...(estimate.channels ? { channels: estimate.channels } : {}), pictures: files.length, measured }));
  return { name, ...(camera === undefined ? {} : { camera }), kind, points };
}

/** One name is of one camera and kind. Throws InputError PROFILE_MIXED. */
function checkSavable(groups: readonly Group[]): void {
  const kinds = [...new Set(groups.map(describe))];
  if (kinds.length > 1) throw new InputError('PROFILE_MIXED', `the pictures are of ${kinds.join(' and of ')}: one name can't hold both`, { hint: 'save each by itself, or name the camera: --camera' });
  if (groups.length > 1 && groups.some((g) => g.iso === undefined)) throw new InputError('PROFILE_MIXED', 'some of the pictures say their ISO and some do not', { hint: 'save each by itself, or give the ISO: --iso' });
}

async function checkPlot(path: string): Promise<void> {
  if (!/\.png$/i.test(path)) throw new InputError('CLI_PLOT', `--plot writes PNG, not ${path}`, { hint: 'give the file the ending .png' });
  await checkWritable(path, {});
}

// ---- pictures ------------------------------------------------------------------------------------------------------

interface Group {
  camera: string | undefined;
  iso: number | undefined;
  kind: NoiseKind;
  files: string[];
  samples: NoiseSamples[];
}

/** Patches of all pictures together: a few hundred megabytes at most. */
const MOST_PATCHES = 400_000;

async function readGroups(files: readonly string[], flags: ProfileFlags, warn: (message: string) => void): Promise<Group[]> {
  const groups = new Map<string, Group>();
  const most = Math.max(200, Math.min(16_000, Math.floor(MOST_PATCHES / files.length)));
  for (const file of files) {
    const picture = await openPicture(file, warn);
    const camera = flags.camera ?? picture.meta.camera;
    const iso = flags.iso ?? picture.meta.iso;
    const key = JSON.stringify([camera?.toLowerCase(), iso, picture.kind]);
    const group = groups.get(key) ?? { camera, iso, kind: picture.kind, files: [], samples: [] };
    group.files.push(file);
    group.samples.push(sampleNoise(picture, { display: picture.kind === 'display' }, most));
    groups.set(key, group);
  }
  const order = (g: Group): string => `${g.camera ?? ''}\n${g.kind}`;
  return [...groups.values()].sort((g, h) => (order(g) === order(h) ? (g.iso ?? 0) - (h.iso ?? 0) : order(g) < order(h) ? -1 : 1));
}

/** Throws InputError NOISE_… that names the files. */
function measured({ files, samples }: Group): NoiseEstimate {
  try {
    return estimateFrom(samples);
  } catch (e) {
    if (!(e instanceof InputError)) throw e;
    const file = files.length === 1 ? files[0]! : `${files[0]!} and ${files.length - 1} more`;
    throw new InputError(e.code, e.message, { place: { file }, hint: e.hint, cause: e });
  }
}

/** Above this the noise of 2x2 means says that noise is not white. */
const CORRELATED = 1.4;

function warnings(g: Group & { estimate: NoiseEstimate }, log: Log): void {
  const { reliable, reason, correlation } = g.estimate;
  if (!reliable) log.warn(`${title(g)}: not reliable: ${reason}`);
  else if (correlation !== undefined && correlation > CORRELATED)
    log.warn(`${title(g)}: the noise is not white: means of 2x2 pixels have ${correlation.toFixed(1)} times what is left of white noise (demosaiced, compressed, or made smaller or larger)`);
}

// ---- the report ----------------------------------------------------------------------------------------------------

const title = (g: Group): string => [g.camera, g.iso === undefined ? undefined : `ISO ${g.iso}`, g.kind].filter((x) => x !== undefined).join(', ');

/** As --noise takes it. */
const pair = ({ a, b }: NoiseAb): string => [a, b].map((x) => Number(x.toPrecision(5))).join(':');
const sigma = (ab: NoiseAb, x: number): string => Math.sqrt(noiseVariance(ab, x)).toPrecision(2);
const percent = (x: number): string => `${(100 * x).toFixed(1)} %`;

function report(g: Group & { estimate: NoiseEstimate }): string {
  const e = g.estimate;
  const counted = e.levels.filter((l) => l.weight > 0.1).length;
  const lines = [
    `${title(g)}: --noise ${pair(forNetwork(e))}`,
    `  a ${Number(e.a.toPrecision(5))}, b ${Number(e.b.toPrecision(5))}: sigma ${sigma(e, 0)} at 0, ${sigma(e, 0.18)} at 0.18, ${sigma(e, 1)} at 1`,
    `  from ${g.files.length} picture${g.files.length === 1 ? '' : 's'}, ${e.patches} flat patches with means of ${e.range[0].toFixed(3)} to ${e.range[1].toFixed(3)}, ${counted} of ${e.levels.length} levels, residual ${percent(e.residual)}`,
  ];
  if (e.channels) lines.push(`  red ${pair(e.channels[0])}, green ${pair(e.channels[1])}, blue ${pair(e.channels[2])}`);
  if (forNetwork(e).b !== e.b || forNetwork(e).a !== e.a) lines.push(`  the luminance has ${e.luminance!.toFixed(2)} times the noise of independent channels with these a and b: --noise has it`);
  if (e.correlation !== undefined) lines.push(`  means of 2x2 pixels: ${e.correlation.toFixed(2)} times the noise that white noise has there`);
  lines.push(e.reliable ? '  reliable' : `  not reliable: ${e.reason}`);
  return lines.join('\n');
}
