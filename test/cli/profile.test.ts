// `vkpn profile` as a child process: pictures with known noise in, a and b out, saved, listed, drawn; errors.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePfm } from '../../ts/formats/pfm.js';
import { decodePicture } from '../../ts/formats/picture.js';
import { inWorker } from '../../ts/pictures/pool.js';
import { packageRoot } from '../../ts/root.js';
import { withoutBanner } from '../validation/banner.js';
import { addNoise, chart, noise, type Picture, variance, worst } from '../unit/noise-harness.js';

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

test('a real raw file: the variance found is that of its two greens against each other, an estimate that shares nothing with ours', async () => {
  const raw = join(packageRoot, '.samples', 'IMG_5952.CR2');
  const run = vkpn(raw, '--json', '--save', 'eos');
  expect(run).toMatchObject({ code: 0, err: '' });
  const [found] = JSON.parse(run.out) as { a: number; b: number; camera: string; iso: number; kind: string; reliable: boolean; correlation: number; channels?: unknown }[];
  expect(found).toMatchObject({ camera: 'Canon EOS 30D', iso: 640, kind: 'raw', reliable: true });
  expect(found!.channels).toBeUndefined();
  expect(Math.abs(found!.correlation - 1)).toBeLessThan(0.05);
  const { width, height, rgba } = await inWorker('decodeRaw', [readFileSync(raw), raw]);
  const green = (which: 0 | 1, x: number, y: number): number => rgba[4 * ((which * height + y) * width + x) + 1]!;
  for (const [x0, y0] of [[750, 200], [150, 350], [1200, 150]] as const) {
    // Sky, 64 x 64. A green less the mean of the four of the other kind around it, and the same of that kind: the difference of both knows no slope and
    // no bend, and has 2 (1 + 1/4)^2 + 6/16 = 3.5 times the variance of a value.
    const side = 64;
    let [signal, energy] = [0, 0];
    for (let y = y0; y < y0 + side; y++)
      for (let x = x0; x < x0 + side; x++) {
        const one = green(0, x, y) - (green(1, x, y) + green(1, x + 1, y) + green(1, x, y - 1) + green(1, x + 1, y - 1)) / 4;
        const other = green(1, x, y) - (green(0, x, y) + green(0, x - 1, y) + green(0, x, y + 1) + green(0, x - 1, y + 1)) / 4;
        signal += (green(0, x, y) + green(1, x, y)) / 2 / side ** 2;
        energy += (one - other) ** 2 / side ** 2;
      }
    // 4,096 values that are not independent are good for some 3 %.
    expect(Math.abs(variance(found!, signal) / (energy / 3.5) - 1)).toBeLessThan(0.1);
  }
  expect(vkpn('--remove', 'eos').code).toBe(0);
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
