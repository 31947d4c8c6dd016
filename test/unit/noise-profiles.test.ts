// Saved noise profiles: kept whole, found by name and by camera and ISO, interpolated; every fault of the file.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { noiseOf, type NoisyPicture, parseNoise } from '../../ts/cli/denoise-noise.js';
import { checkName, namedProfile, noiseAt, profileFor, profilesFile, removeProfile, savedProfiles, type SavedPoint, type SavedProfile, saveProfile } from '../../ts/noise/profiles.js';
import { estimateNoise } from '../../ts/noise/estimate.js';
import { addNoise, chart, noise, variance } from './noise-harness.js';

const before = process.env.XDG_CONFIG_HOME;
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'vkpn-profiles-'));
  process.env.XDG_CONFIG_HOME = dir;
});
afterEach(() => {
  rmSync(dir, { recursive: true });
  if (before === undefined) delete process.env.XDG_CONFIG_HOME;
  else process.env.XDG_CONFIG_HOME = before;
});

const point = (iso: number | undefined, a: number, b: number): SavedPoint => ({ ...(iso === undefined ? {} : { iso }), a, b, pictures: 1, measured: '2026-01-02' });
const eos: SavedProfile = { name: 'eos', camera: 'Canon EOS 30D', kind: 'raw', points: [point(400, 100, 4), point(1600, 1600, 16)] };

test('what is saved is there again, the folder made, nothing else in it', async () => {
  expect(await savedProfiles()).toEqual([]);
  await saveProfile(eos);
  expect(profilesFile()).toBe(join(dir, 'vkpn', 'noise.json'));
  expect(readdirSync(join(dir, 'vkpn'))).toEqual(['noise.json']);
  expect(await savedProfiles()).toEqual([eos]);
  expect(await namedProfile('eos', 400)).toEqual({ a: 100, b: 4, kind: 'raw', from: 'eos, ISO 400' });
});

test('a point of the same ISO is replaced, others are kept', async () => {
  await saveProfile(eos);
  await saveProfile({ ...eos, points: [point(1600, 7, 8), point(100, 1, 2)] });
  expect((await savedProfiles())[0]!.points.map((p) => [p.iso, p.a])).toEqual([[100, 1], [400, 100], [1600, 7]]);
});

test('a name stays with its camera and kind; it can be removed', async () => {
  await saveProfile(eos);
  await expect(saveProfile({ ...eos, kind: 'display' })).rejects.toMatchObject({ code: 'PROFILE_OTHER', message: expect.stringContaining('Canon EOS 30D, raw') as string });
  await removeProfile('eos');
  await saveProfile({ ...eos, kind: 'display' });
  await expect(removeProfile('oes')).rejects.toMatchObject({ code: 'NO_PROFILE', hint: expect.stringContaining('eos') as string });
});

test('between two ISOs: straight in logarithms; beyond: by gain, up to a factor of two', () => {
  expect(noiseAt(eos, 800)).toEqual({ a: expect.closeTo(400, 9) as number, b: expect.closeTo(8, 9) as number, kind: 'raw', from: 'eos, ISO 800, between 400 and 1600' });
  expect(noiseAt(eos, 3200)).toEqual({ a: 6400, b: 32, kind: 'raw', from: 'eos, ISO 3200, from 1600 by gain' });
  expect(noiseAt(eos, 200)).toMatchObject({ a: 25, b: 2 });
  expect(noiseAt(eos, 100)).toBeUndefined();
  expect(noiseAt(eos, 6400)).toBeUndefined();
  expect(noiseAt(eos, undefined)).toBeUndefined();
  // Where one is 0 there is no logarithm: half way in the logarithm of the ISO.
  expect(noiseAt({ ...eos, points: [point(400, 0, 4), point(1600, 1600, 16)] }, 800)).toMatchObject({ a: 800 });
  const channels = [{ a: 1, b: 2 }, { a: 4, b: 4 }, { a: 9, b: 6 }] as const;
  const one = noiseAt({ ...eos, points: [{ ...eos.points[0]!, channels }, eos.points[1]!] }, 800);
  expect(one!.channels!.map((c) => c.a)).toEqual([40, 80, 120].map((x) => expect.closeTo(x, 9) as number));
});

test('a profile of one ISO, or of none, serves a picture that says nothing', async () => {
  await saveProfile({ ...eos, points: [point(400, 3, 4)] });
  await saveProfile({ name: 'scanner', kind: 'linear', points: [point(undefined, 5, 6)] });
  expect(await namedProfile('eos')).toMatchObject({ a: 3, b: 4 });
  expect(await namedProfile('scanner', 12800)).toMatchObject({ a: 5, b: 6 });
  await expect(namedProfile('eos', 6400)).rejects.toMatchObject({ code: 'PROFILE_ISO', hint: expect.stringContaining('400') as string });
  await saveProfile(eos);
  await expect(namedProfile('eos')).rejects.toMatchObject({ code: 'PROFILE_ISO' });
});

test('by camera and ISO: the same kind, whatever the case, the nearest of several', async () => {
  await saveProfile(eos);
  await saveProfile({ ...eos, name: 'near', points: [point(800, 1, 1)] });
  await saveProfile({ ...eos, name: 'jpeg', kind: 'display', points: [point(800, 9, 9)] });
  expect(await profileFor('CANON EOS 30D', 800)).toMatchObject({ a: 1, from: 'near, ISO 800' });
  expect(await profileFor('Canon EOS 30D', 1600)).toMatchObject({ a: 1600 });
  expect(await profileFor('Canon EOS 30D', 800, 'display')).toMatchObject({ a: 9 });
  for (const [camera, iso] of [['Canon EOS 5D', 800], [undefined, 800], ['Canon EOS 30D', undefined], ['Canon EOS 30D', 51200]] as const) expect(await profileFor(camera, iso)).toBeUndefined();
});

test('denoising takes a profile by name, else by camera and ISO, else what the picture shows', async () => {
  await saveProfile(eos);
  const noisy = addNoise(chart([0.1, 0.4, 0.9], 96), noise(0.01, 0.03), 1);
  const picture = (over: Partial<NoisyPicture>): NoisyPicture => ({ file: 'raw', width: noisy.width, height: noisy.height, pixels: noisy.rgba, camera: 'Canon EOS 30D', iso: 800, ...over });
  const auto = parseNoise('auto');
  expect(await noiseOf(auto, picture({}))).toMatchObject({ b: expect.closeTo(8, 9) as number, from: 'profile eos, ISO 800, between 400 and 1600', doubt: '' });
  for (const other of [{ iso: 100 }, { iso: undefined }, { camera: 'Nikon' }, { file: 'pfm' }] as const) expect(await noiseOf(auto, picture(other))).toMatchObject({ from: 'estimated' });
  expect(await noiseOf(parseNoise('eos'), picture({ camera: 'Nikon' }))).toMatchObject({ b: expect.closeTo(8, 9) as number, doubt: '' });
  expect((await noiseOf(parseNoise('eos'), picture({ file: 'jpeg' }))).doubt).toBe('the profile was measured on raw pictures, this one is display');
  await expect(noiseOf(parseNoise('eso'), picture({}))).rejects.toMatchObject({ code: 'NO_PROFILE' });
  expect(await noiseOf(parseNoise('1:2'), picture({}))).toEqual({ a: 1, b: 2, from: 'given', doubt: '' });
});

test('channels with noise of their own: the luminance has that of the (a, b) taken', async () => {
  const own = [noise(0.01, 0.05), noise(0.004, 0.02), noise(0.006, 0.03)];
  const noisy = addNoise(chart([0, 0.05, 0.1, 0.2, 0.4, 0.7]), own, 23);
  const weights = [0.2627002, 0.6779981, 0.0593017].map((w) => w * w);
  const luminance = (of: readonly { a: number; b: number }[], x: number): number => of.reduce((sum, ab, c) => sum + weights[c]! * variance(ab, x), 0);
  const off = (found: { a: number; b: number }): number => Math.max(...[0.02, 0.2, 0.6].map((x) => Math.abs(luminance([found, found, found], x) / luminance(own, x) - 1)));
  const picture: NoisyPicture = { file: 'pfm', width: noisy.width, height: noisy.height, pixels: noisy.rgba };
  const found = await noiseOf(parseNoise('auto'), picture);
  expect(off(found)).toBeLessThan(0.08);
  expect(off(estimateNoise(noisy))).toBeGreaterThan(0.15); // the line that most patches are on is another
});

test('a name that is not there: which are', async () => {
  await expect(namedProfile('eos')).rejects.toMatchObject({ code: 'NO_PROFILE', hint: expect.stringContaining('None is saved') as string });
  await saveProfile(eos);
  await expect(namedProfile('eso')).rejects.toMatchObject({ code: 'NO_PROFILE', hint: expect.stringContaining('There is: eos') as string });
});

test.each(['', 'auto', 'none', '1:2', 'a/b', '.x', 'x'.repeat(65), 'a\nb'])('no name: %j', (name) => {
  expect(() => checkName(name)).toThrow(expect.objectContaining({ code: 'PROFILE_NAME' }) as Error);
});
test.each(['30d', 'Canon EOS 30D', 'été', 'a.b_c+d-e'])('a name: %s', (name) => expect(checkName(name)).toBeUndefined());

const whole = (profiles: unknown, version: unknown = 1): string => JSON.stringify({ version, profiles });
const good = { name: 'x', kind: 'raw', points: [{ a: 1, b: 2, pictures: 1, measured: '2026-01-01' }] };
test.each([
  ['no JSON', '{"version": 1, '],
  ['no list', '{"version":1}'],
  ['null', 'null'],
  ['a later version', whole([], 2)],
  ['no name', whole([{ ...good, name: 3 }])],
  ['no kind', whole([{ ...good, kind: 'jpeg' }])],
  ['no points', whole([{ ...good, points: [] }])],
  ['a negative', whole([{ ...good, points: [{ ...good.points[0], a: -1 }] }])],
  ['a text', whole([{ ...good, points: [{ ...good.points[0], b: '2' }] }])],
  ['ISO 0', whole([{ ...good, points: [{ ...good.points[0], iso: 0 }] }])],
  ['two channels', whole([{ ...good, points: [{ ...good.points[0], channels: [{ a: 1, b: 1 }, { a: 1, b: 1 }] }] }])],
  ['an ISO twice', whole([{ ...good, points: [good.points[0], good.points[0]] }])],
  ['a name twice', whole([good, good])],
])('a damaged file (%s) is an error, and is not written over', async (_, text) => {
  mkdirSync(dirname(profilesFile()));
  writeFileSync(profilesFile(), text);
  await expect(savedProfiles()).rejects.toMatchObject({ code: 'PROFILES_BROKEN', place: { file: profilesFile() } });
  await expect(saveProfile(eos)).rejects.toMatchObject({ code: 'PROFILES_BROKEN' });
  expect(readFileSync(profilesFile(), 'utf8')).toBe(text);
});

test('a folder that can not be made', async () => {
  writeFileSync(join(dir, 'vkpn'), 'a file');
  await expect(saveProfile(eos)).rejects.toMatchObject({ code: 'WRITE_FAILED' });
});
