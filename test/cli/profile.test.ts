// `vkpn profile` as a child process: pictures with known noise in, a and b out, saved, listed, drawn; errors.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePfm } from '../../ts/formats/pfm.js';
import { decodePicture } from '../../ts/formats/picture.js';
import { packageRoot } from '../../ts/root.js';
import { withoutBanner } from '../validation/banner.js';
import { addNoise, chart, noise, type Picture, worst } from '../unit/noise-harness.js';

jest.setTimeout(180_000);

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'vkpn-profile-'));
  const write = (name: string, p: Picture): void => writeFileSync(join(dir, name), encodePfm(p.width, p.height, p.rgba, 4));
  const steps = [0, 0.02, 0.1, 0.3, 0.9];
  write('dark.pfm', addNoise(chart([0, 0.01, 0.03], 96), truth, 1));
  write('light.pfm', addNoise(chart([0.2, 0.5, 0.9], 96), truth, 2));
  write('high.pfm', addNoise(chart(steps, 96), noise(0.03, 0.09), 3));
  write('tiny.pfm', addNoise(chart([0.5], 16), truth, 4));
  write('white.pfm', chart([1]));
});
afterAll(() => rmSync(dir, { recursive: true }));

const truth = noise(0.01, 0.03);

function vkpn(...args: string[]): { code: number | null; out: string; err: string } {
  const child = spawnSync(process.execPath, [join(packageRoot, 'bin', 'vkpn'), 'profile', ...args], { encoding: 'utf8', cwd: dir, env: { ...process.env, XDG_CONFIG_HOME: join(dir, 'config') } });
  return { code: child.status, out: withoutBanner(child.stdout), err: child.stderr };
}

test('pictures together, measured, drawn and saved; another ISO beside; listed; removed', async () => {
  const json = vkpn('dark.pfm', 'light.pfm', '--json', '--plot', 'noise.png', '--save', 'cam', '--camera', 'Test 1', '--iso', '400');
  expect(json).toMatchObject({ code: 0, err: '' });
  const [found, ...more] = JSON.parse(json.out) as { a: number; b: number; camera: string; iso: number; kind: string; pictures: string[]; reliable: boolean }[];
  expect(more).toEqual([]);
  expect(found).toMatchObject({ camera: 'Test 1', iso: 400, kind: 'linear', pictures: ['dark.pfm', 'light.pfm'], reliable: true });
  expect(worst(found!, truth, [0, 0.9])).toBeLessThan(0.06);
  const plot = await decodePicture(readFileSync(join(dir, 'noise.png')), 'png', 'noise.png', () => undefined);
  expect([plot.width, plot.height]).toEqual([640, 440]);
  // The line of the fit is there: dark blue somewhere in the plot's middle.
  let blue = 0;
  for (let i = 0; i < plot.rgba.length; i += 4) if (plot.rgba[i + 2]! > 0.3 && plot.rgba[i]! < 0.15) blue++;
  expect(blue).toBeGreaterThan(300);

  const text = vkpn('high.pfm', '--save', 'cam', '--camera', 'Test 1', '--iso', '6400');
  expect(text).toMatchObject({ code: 0, err: '' });
  expect(text.out).toMatch(/^Test 1, ISO 6400, linear: --noise [\d.e+]+:[\d.e+]+\n/);
  expect(text.out).toContain('saved as "cam"');
  const stored = JSON.parse(readFileSync(join(dir, 'config', 'vkpn', 'noise.json'), 'utf8')) as { profiles: { points: { iso: number }[] }[] };
  expect(stored.profiles[0]!.points.map((p) => p.iso)).toEqual([400, 6400]);
  const list = vkpn('--list');
  expect(list.out).toMatch(/^cam: Test 1, linear\n {2}ISO 400 .*2 pictures.*\n {2}ISO 6400 .*1 picture,/);

  expect(vkpn('high.pfm', '--save', 'cam', '--camera', 'Test 2')).toMatchObject({ code: 2, err: expect.stringContaining('is of Test 1, linear') as string });
  expect(vkpn('--remove', 'cma')).toMatchObject({ code: 2, err: expect.stringContaining('There is: cam') as string });
  expect(vkpn('--remove', 'cam')).toMatchObject({ code: 0 });
  expect(vkpn('--list').out).toMatch(/^no noise profile is saved/);
});

test.each([
  [[], /no picture is given/],
  [['tiny.pfm'], /tiny\.pfm: 16x16: too small to measure noise in/],
  [['white.pfm', '--save', 'white'], /no part of the picture is clear of black and white/],
  [['missing.pfm'], /missing/],
  [['dark.pfm', '--plot', 'x.jpg'], /--plot writes PNG/],
  [['dark.pfm', '--plot', 'no/x.png'], /the folder no .* is missing/],
  [['dark.pfm', '--save', '1:2'], /can't have the name "1:2"/],
  [['dark.pfm', '--iso', 'x'], /--iso can't be "x"/],
  [['dark.pfm', '--list'], /--list goes without pictures/],
  [['--list', '--remove', 'x'], /--list goes without --remove/],
])('%j ends with a sentence, and nothing is written', (args, message) => {
  const { code, out, err } = vkpn(...args);
  expect(err).toMatch(message);
  expect(err).not.toContain('fault of vkpn');
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(existsSync(join(dir, 'x.png')) || existsSync(join(dir, 'x.jpg'))).toBe(false);
  expect(vkpn('--list').out).toMatch(/^no noise profile is saved/);
});
