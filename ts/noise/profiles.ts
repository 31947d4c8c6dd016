// Saved noise profiles: a JSON file in the user's configuration folder, read for `--noise NAME` and by camera and ISO, written by
// `vkpn profile --save`. docs/noise.md describes it.

import { mkdir, readFile } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { suggestion } from '../cfg/suggest.js';
import { InputError, OutputError } from '../errors.js';
import { writeAtomic } from '../files.js';
import { home } from '../home.js';
import type { NoiseAb } from './estimate.js';

/** What the pictures were that it was measured on; noise of one kind says nothing about another. As OpenedPicture.kind. */
export type NoiseKind = 'display' | 'linear' | 'raw';

/** At one ISO. */
export interface SavedPoint extends NoiseAb {
  /** Undefined: of pictures that don't say; then it is its profile's only point. */
  iso?: number;
  channels?: readonly [NoiseAb, NoiseAb, NoiseAb];
  pictures: number;
  /** Day, YYYY-MM-DD. */
  measured: string;
}

export interface SavedProfile {
  name: string;
  camera?: string;
  kind: NoiseKind;
  /** By ascending ISO. */
  points: SavedPoint[];
}

/** Noise of a saved profile at an ISO. */
export interface FoundNoise extends NoiseAb {
  kind: NoiseKind;
  channels?: readonly [NoiseAb, NoiseAb, NoiseAb];
  /** For people: "canon, ISO 640" or "canon, ISO 640, between 400 and 800". */
  from: string;
}

interface Stored {
  version: 1;
  profiles: SavedProfile[];
}

/** Where profiles are: $XDG_CONFIG_HOME/vkpn/noise.json, or in ~/.config; who has no home is taken to live in /. */
export function profilesFile(): string {
  const xdg = process.env.XDG_CONFIG_HOME;
  return join(xdg !== undefined && isAbsolute(xdg) ? xdg : join(home() ?? '/', '.config'), 'vkpn', 'noise.json');
}

const isRecord = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null && !Array.isArray(x);
const isAb = (x: unknown): x is NoiseAb => isRecord(x) && [x.a, x.b].every((v) => typeof v === 'number' && Number.isFinite(v) && v >= 0);
const isText = (x: unknown): x is string | undefined => x === undefined || typeof x === 'string';

function pointFault(p: unknown): string | undefined {
  if (!isRecord(p) || !isAb(p)) return 'a and b are two numbers, 0 or more';
  const { iso, channels, pictures, measured } = p as Record<string, unknown>;
  if (iso !== undefined && !(typeof iso === 'number' && iso > 0 && Number.isFinite(iso))) return 'iso is a number above 0';
  if (channels !== undefined && !(Array.isArray(channels) && channels.length === 3 && channels.every(isAb))) return 'channels are three pairs of a and b';
  if (typeof pictures !== 'number' || typeof measured !== 'string') return 'pictures is a number and measured a day';
  return undefined;
}

function profileFault(p: unknown): string | undefined {
  if (!isRecord(p) || typeof p.name !== 'string' || p.name === '') return 'a profile has a name';
  const fault = (why: string): string => `"${String(p.name)}": ${why}`;
  if (!isText(p.camera)) return fault('camera is a text');
  if (!['display', 'linear', 'raw'].includes(String(p.kind))) return fault('kind is display, linear or raw');
  if (!Array.isArray(p.points) || p.points.length === 0) return fault('points are missing');
  const why = p.points.map(pointFault).find((x) => x !== undefined);
  if (why !== undefined) return fault(why);
  const isos = (p.points as SavedPoint[]).map((x) => x.iso);
  return new Set(isos).size < isos.length || (isos.length > 1 && isos.includes(undefined)) ? fault('each point has an iso of its own') : undefined;
}

/** @throws InputError PROFILES_BROKEN */
function parse(text: string, file: string): SavedProfile[] {
  const broken = (why: string, cause?: unknown): InputError =>
    new InputError('PROFILES_BROKEN', `the saved noise profiles can't be used: ${why}`, { place: { file }, hint: 'Correct the file, or move it away: profiles can be measured again.', cause });
  let stored: unknown;
  try {
    stored = JSON.parse(text);
  } catch (e) {
    throw broken(e instanceof Error ? e.message : String(e), e);
  }
  if (!isRecord(stored) || !Array.isArray(stored.profiles)) throw broken('it has no list of profiles');
  if (stored.version !== 1) throw broken(`its version is ${JSON.stringify(stored.version)}, this program knows 1`);
  const fault = stored.profiles.map(profileFault).find((x) => x !== undefined);
  if (fault !== undefined) throw broken(fault);
  const profiles = stored.profiles as SavedProfile[];
  const twice = profiles.find((p, i) => profiles.some((q, j) => j < i && q.name === p.name));
  if (twice) throw broken(`there are two of the name "${twice.name}"`);
  for (const p of profiles) p.points.sort((x, y) => (x.iso ?? 0) - (y.iso ?? 0));
  return profiles;
}

/**
 * All saved profiles.
 * @throws InputError PROFILES_BROKEN, PROFILES_UNREADABLE
 */
export async function savedProfiles(): Promise<SavedProfile[]> {
  const file = profilesFile();
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (e) {
    const code = (e as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw new InputError('PROFILES_UNREADABLE', `the saved noise profiles can't be read: ${code ?? String(e)}`, { place: { file }, cause: e });
  }
  return parse(text, file);
}

async function store(profiles: readonly SavedProfile[]): Promise<void> {
  const file = profilesFile();
  const stored: Stored = { version: 1, profiles: [...profiles].sort((p, q) => (p.name < q.name ? -1 : 1)) };
  await mkdir(dirname(file), { recursive: true }).catch((e: unknown) => {
    throw new OutputError('WRITE_FAILED', `the folder ${dirname(file)} for noise profiles can't be made: ${(e as NodeJS.ErrnoException).code ?? String(e)}`, { hint: 'XDG_CONFIG_HOME says where else it could be.', cause: e });
  });
  await writeAtomic(file, Buffer.from(`${JSON.stringify(stored, null, 2)}\n`));
}

/** Names are words that can't be taken for `a:b`, `auto`, `range` or a file. */
export function checkName(name: string): void {
  if (!/^[\p{L}\p{N}][\p{L}\p{N} ._+-]{0,63}$/u.test(name) || ['auto', 'none', 'range'].includes(name))
    throw new InputError('PROFILE_NAME', `a noise profile can't have the name "${name}"`, { hint: 'It takes letters, digits, spaces and . _ + -, at most 64, beginning with a letter or digit, and is not auto, none or range.' });
}

/**
 * Adds points to the profile of this name; one of the same ISO is replaced.
 * @throws InputError PROFILE_NAME, PROFILE_OTHER (the name is taken by another camera or kind), PROFILES_…; OutputError
 */
export async function saveProfile({ name, camera, kind, points }: SavedProfile): Promise<void> {
  checkName(name);
  const profiles = await savedProfiles();
  const old = profiles.find((p) => p.name === name);
  if (old && (old.camera !== camera || old.kind !== kind))
    throw new InputError('PROFILE_OTHER', `the noise profile "${name}" is of ${describe(old)}, not of ${describe({ camera, kind })}`, { hint: `Choose another name, or remove that one: vkpn profile --remove "${name}"` });
  const isos = new Set(points.map((p) => p.iso));
  // A point without ISO stands alone: nothing could choose between it and others.
  const kept = isos.has(undefined) ? [] : (old?.points ?? []).filter((p) => p.iso !== undefined && !isos.has(p.iso));
  const all = [...kept, ...points].sort((x, y) => (x.iso ?? 0) - (y.iso ?? 0));
  await store([...profiles.filter((p) => p !== old), { name, camera, kind, points: all }]);
}

/** @throws InputError NO_PROFILE */
export async function removeProfile(name: string): Promise<void> {
  const profiles = await savedProfiles();
  if (!profiles.some((p) => p.name === name)) throw noProfile(name, profiles);
  await store(profiles.filter((p) => p.name !== name));
}

/** "Canon EOS 30D, raw" */
export const describe = ({ camera, kind }: { camera?: string; kind: NoiseKind }): string => `${camera ?? 'a camera without name'}, ${kind}`;

function noProfile(name: string, profiles: readonly SavedProfile[]): InputError {
  const names = profiles.map((p) => p.name);
  const near = suggestion(name, names);
  const there = names.length === 0 ? 'None is saved: vkpn profile PICTURES --save NAME measures one.' : `There is: ${names.join(', ')}.`;
  return new InputError('NO_PROFILE', `no noise profile has the name "${name}"`, { hint: [near, there].filter((x) => x !== undefined && x !== '').join(' ') });
}

/** How far beyond the measured ISOs a profile is used, as a factor. */
const BEYOND = 2;

/** Between two points: straight in the logarithms of ISO and value; in the values themselves where one is 0. */
function between(x: number, y: number, t: number): number {
  return x > 0 && y > 0 ? Math.exp((1 - t) * Math.log(x) + t * Math.log(y)) : (1 - t) * x + t * y;
}

const mapAb = (p: NoiseAb, q: NoiseAb, of: (x: number, y: number, key: 'a' | 'b') => number): NoiseAb => ({ a: of(p.a, q.a, 'a'), b: of(p.b, q.b, 'b') });

function combine(p: SavedPoint, q: SavedPoint, of: (x: number, y: number, key: 'a' | 'b') => number): Omit<FoundNoise, 'from' | 'kind'> {
  const own = (s: SavedPoint, c: number): NoiseAb => s.channels?.[c as 0 | 1 | 2] ?? s;
  const channels = p.channels || q.channels ? ([0, 1, 2].map((c) => mapAb(own(p, c), own(q, c), of)) as unknown as FoundNoise['channels']) : undefined;
  return { ...mapAb(p, q, of), ...(channels ? { channels } : {}) };
}

/**
 * A profile's noise at an ISO: measured, between two measured ones (log-log), or up to a factor of two beyond them, where b goes with the ISO and a with
 * its square (gain). Undefined where it is farther off, or where the profile has ISOs and none is asked for and it has several.
 */
export function noiseAt({ name, kind, points }: SavedProfile, iso: number | undefined): FoundNoise | undefined {
  const only = points[0]!;
  const found = (p: SavedPoint, from: string): FoundNoise => ({ ...combine(p, p, (x) => x), kind, from });
  if (only.iso === undefined) return found(only, name);
  if (iso === undefined) return points.length === 1 ? found(only, `${name}, ISO ${only.iso}`) : undefined;
  const exact = points.find((p) => p.iso === iso);
  if (exact) return found(exact, `${name}, ISO ${iso}`);
  const next = points.findIndex((p) => p.iso! > iso);
  if (next > 0) {
    const [low, high] = [points[next - 1]!, points[next]!];
    const t = Math.log(iso / low.iso!) / Math.log(high.iso! / low.iso!);
    return { ...combine(low, high, (x, y) => between(x, y, t)), kind, from: `${name}, ISO ${iso}, between ${low.iso} and ${high.iso}` };
  }
  const end = next === 0 ? only : points.at(-1)!;
  const gain = iso / end.iso!;
  if (Math.max(gain, 1 / gain) > BEYOND) return undefined;
  return { ...combine(end, end, (x, _, key) => x * (key === 'a' ? gain * gain : gain)), kind, from: `${name}, ISO ${iso}, from ${end.iso} by gain` };
}

/**
 * The profile of this name, at the picture's ISO.
 * @throws InputError NO_PROFILE (with the names there are), PROFILE_ISO: it does not hold for this ISO, or the picture says none and it has several
 */
export async function namedProfile(name: string, iso?: number): Promise<FoundNoise> {
  const profiles = await savedProfiles();
  const profile = profiles.find((p) => p.name === name);
  if (!profile) throw noProfile(name, profiles);
  const found = noiseAt(profile, iso);
  if (found) return found;
  const isos = profile.points.map((p) => p.iso).join(', ');
  const message = iso === undefined ? `the noise profile "${name}" depends on the ISO, which the picture does not say` : `the noise profile "${name}" does not hold for ISO ${iso}`;
  throw new InputError('PROFILE_ISO', message, { hint: `It was measured at ISO ${isos}; at one more: vkpn profile PICTURES --save "${name}"` });
}

/**
 * Noise of this camera at this ISO by what is saved, of pictures of the same kind; of several profiles that know it, the one measured nearest. Undefined: none is saved.
 * @throws InputError PROFILES_…
 */
export async function profileFor(camera: string | undefined, iso: number | undefined, kind: NoiseKind = 'raw'): Promise<FoundNoise | undefined> {
  if (camera === undefined || iso === undefined) return undefined;
  const own = (await savedProfiles()).filter((p) => p.kind === kind && p.camera?.toLowerCase() === camera.toLowerCase() && p.points.every((x) => x.iso !== undefined));
  const distance = (p: SavedProfile): number => Math.min(...p.points.map((x) => Math.abs(Math.log(x.iso! / iso))));
  return own.sort((p, q) => distance(p) - distance(q)).map((p) => noiseAt(p, iso)).find((f) => f !== undefined);
}
