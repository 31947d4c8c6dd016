// vkpn eval as a child process on the first device: its scores are those of the reference model and metrics, the same each time; what it
// writes and what it refuses. Needs `npm run build`.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toHalf, fromHalf } from '../../ts/formats/half.js';
import { encodeLut } from '../../ts/formats/lut.js';
import { encodePfm } from '../../ts/formats/pfm.js';
import { decodePicture, encodePicture } from '../../ts/formats/picture.js';
import { initialWeights } from '../../ts/model/init.js';
import { PRESETS, weightsText } from '../../ts/model/spec.js';
import type { LevelScores, PictureScores } from '../../ts/quality/evaluate.js';
import type { Scores } from '../../ts/quality/metrics.js';
import { addNoise, NAMED_LEVELS } from '../../ts/quality/noise.js';
import { packageRoot } from '../../ts/root.js';
import { turnsOf } from '../../ts/modules/kpn/spin.js';
import { placeOf, turnedImage } from '../kernels/spin-cases.js';
import { withoutBanner } from '../validation/banner.js';
import { forward, makeImage, psnr, ssim, type Image } from '../reference/index.js';

jest.setTimeout(180_000);

interface Report {
  crop: { width: number; height: number } | null;
  seed: number;
  noise: { name: string; a: number; b: number }[];
  weights: string[];
  mean: LevelScores[];
  pictures: PictureScores[];
}

let dir: string;
const model = { ...PRESETS.photo };

/** Edges and a ramp, some of it brighter than white. */
function scene(width: number, height: number, seed: number): Float32Array {
  const rgba = new Float32Array(width * height * 4).fill(1);
  for (let i = 0; i < rgba.length; i++) {
    const [x, y, c] = [(i >> 2) % width, Math.floor(i / 4 / width), i & 3];
    if (c < 3) rgba[i] = Math.abs(Math.sin(x / 5 + seed + c)) * (y > height / 2 ? 1.2 : 0.2);
  }
  return rgba;
}

function writeWeights(name: string, seed: number): Float32Array {
  const halves = toHalf(initialWeights(model, seed)).data;
  writeFileSync(join(dir, name), encodeLut({ width: model.width, height: (model.layers + 1) * model.width, channels: 1, format: 'f16', ssbo: true, data: new Uint8Array(halves.buffer), text: weightsText(model) }));
  return fromHalf(halves);
}

let weights: Float32Array;
const sizes = { 'set/a.pfm': [60, 44], 'set/b2.pfm': [50, 36], 'set/b10.pfm': [50, 36] } as const;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'vkpn-eval-'));
  mkdirSync(join(dir, 'set'));
  mkdirSync(join(dir, 'empty'));
  Object.entries(sizes).forEach(([name, [width, height]], i) => writeFileSync(join(dir, name), encodePfm(width, height, scene(width, height, i), 4)));
  weights = writeWeights('w.lut', 3);
  writeWeights('other.lut', 4);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function vkpn(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const child = spawnSync(process.execPath, [join(packageRoot, 'bin', 'vkpn'), 'eval', ...args], { cwd: dir, encoding: 'utf8' });
  return { ...child, stdout: withoutBanner(child.stdout) };
}

function report(...args: string[]): Report {
  const { status, stdout, stderr } = vkpn('--json', ...args);
  expect([status, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as Report;
}

const image = (p: { width: number; height: number; rgba: Float32Array }): Image => makeImage(p.width, p.height, 4, Float64Array.from(p.rgba));
const scoresOf = (result: Image, clean: Image): Scores => {
  const score = (encoding: 'linear' | 'srgb'): Scores['linear'] => ({ psnr: psnr(result, clean, encoding), ssim: ssim(result, clean, encoding) });
  return { linear: score('linear'), srgb: score('srgb') };
};
const near = (got: Scores, want: Scores, dB: number): void => {
  for (const encoding of ['linear', 'srgb'] as const) {
    expect(Math.abs(got[encoding].psnr - want[encoding].psnr)).toBeLessThan(dB);
    expect(Math.abs(got[encoding].ssim - want[encoding].ssim)).toBeLessThan(dB / 10);
  }
};

test('scores are those of the reference model and the reference metrics, on the top left part with the documented noise', () => {
  const found = report('-w', 'w.lut', '--crop', '40x30', '--levels', 'mid,high', 'set/a.pfm');
  expect(found.crop).toEqual({ width: 40, height: 30 });
  const [only] = found.pictures;
  expect([only!.width, only!.height]).toEqual([40, 30]);
  const whole = scene(60, 44, 0);
  const clean = { width: 40, height: 30, rgba: Float32Array.from({ length: 40 * 30 * 4 }, (_, i) => whole[4 * (Math.floor(i / 160) * 60) + (i % 160)]!) };
  only!.levels.forEach(({ level, noisy, denoised }, i) => {
    const profile = NAMED_LEVELS[i + 1]!;
    expect(level).toBe(profile.name);
    const input = addNoise(clean, profile, found.seed);
    near(noisy, scoresOf(image(input), image(clean)), 1e-6);
    const [finest] = forward(model, Float64Array.from(weights), image(input), profile);
    near(denoised[0]!, scoresOf(finest!.O, image(clean)), 0.02); // f16 within the network
    expect(denoised[0]!.srgb.psnr).not.toBeCloseTo(noisy.srgb.psnr, 0);
  });
});

test('--spin: the mean of the reference model\'s results for the picture turned', () => {
  const [only] = report('-w', 'w.lut', '--crop', '40x30', '--levels', 'mid', '--spin', '4', 'set/a.pfm').mean;
  const whole = scene(60, 44, 0);
  const clean = { width: 40, height: 30, rgba: Float32Array.from({ length: 40 * 30 * 4 }, (_, i) => whole[4 * (Math.floor(i / 160) * 60) + (i % 160)]!) };
  const noise = NAMED_LEVELS[1]!;
  const given = image(addNoise(clean, noise, 1));
  const sum = new Float64Array(given.data.length);
  const results = turnsOf(4, 16).map((turn, k) => {
    const { O } = forward(model, Float64Array.from(weights), k === 0 ? given : turnedImage(turn, 16, given), noise)[0]!;
    for (let i = 0; i < sum.length; i++) {
      const [u, v] = placeOf(turn, 16, given, (i >> 2) % 40, Math.floor((i >> 2) / 40));
      sum[i]! += (i % 4 === 3 ? 1 : O.data[O.channels * (v * O.width + u) + (i % 4)]!) / 4;
    }
    return O;
  });
  near(only!.denoised[0]!, scoresOf(makeImage(40, 30, 4, sum), image(clean)), 0.02); // f16 within the network
  expect(only!.denoised[0]!.srgb.psnr).toBeGreaterThan(scoresOf(results[0]!, image(clean)).srgb.psnr + 0.1);
});

test("--limits: what vkpn denoise lets a pixel change by, in standard deviations of its noise: 3 in luminance, 6 in a channel", () => {
  const args = ['-w', 'w.lut', '--levels', 'low', '--crop', '40x30', 'set/a.pfm'];
  const [limited, free] = [report('--limits', ...args), report(...args)].map((r) => r.mean[0]!.denoised[0]!);
  const whole = scene(60, 44, 0);
  const clean = { width: 40, height: 30, rgba: Float32Array.from({ length: 40 * 30 * 4 }, (_, i) => whole[4 * (Math.floor(i / 160) * 60) + (i % 160)]!) };
  const noise = NAMED_LEVELS[0]!;
  const given = addNoise(clean, noise, 1);
  const result = forward(model, Float64Array.from(weights), image(given), noise)[0]!.O;
  const L = [0.2627002, 0.6779981, 0.0593017];
  for (let i = 0; i < 40 * 30; i++) {
    const change = L.map((_, c) => result.data[result.channels * i + c]! - given.rgba[4 * i + c]!);
    const variance = L.map((_, c) => (noise.a + 65535 * noise.b * Math.max(result.data[result.channels * i + c]!, given.rgba[4 * i + c]!, 0)) / 65535 ** 2);
    const sum = (f: (c: number) => number): number => f(0) + f(1) + f(2);
    const share = Math.min(1, (3 * Math.sqrt(sum((c) => L[c]! ** 2 * variance[c]!))) / Math.abs(sum((c) => L[c]! * change[c]!)), ...variance.map((v, c) => (6 * Math.sqrt(v)) / Math.abs(change[c]!)));
    for (let c = 0; c < 3; c++) result.data[result.channels * i + c] = given.rgba[4 * i + c]! + share * change[c]!;
  }
  near(limited!, scoresOf(result, image(clean)), 0.02); // f16 within the network
  expect(limited!.srgb.psnr).toBeGreaterThan(free!.srgb.psnr + 1); // random weights: without limits far off
});

test('the mean of decibels, columns by weights, natural order, every format, the same bytes twice', async () => {
  const png = await encodePicture(40, 30, scene(40, 30, 7), 'png', { primaries: 'sRGB', curve: 'sRGB', bits: 16 });
  writeFileSync(join(dir, 'c.png'), png);
  const args = ['-w', 'w.lut', '-w', 'other.lut', '--noise', '274870:327.675', '--levels', '0.01:0.02', 'set', 'c.png'];
  const found = report(...args);
  expect(found.pictures.map((p) => p.file)).toEqual(['set/a.pfm', 'set/b2.pfm', 'set/b10.pfm', 'c.png']);
  expect(found.noise.map((n) => n.name)).toEqual(['0.01:0.02', '274870:327.675']);
  expect(found.weights).toEqual(['w.lut', 'other.lut']);
  found.mean.forEach((mean, i) => {
    for (const pick of [(l: LevelScores): number => l.noisy.linear.psnr, (l: LevelScores): number => l.denoised[0]!.srgb.psnr, (l: LevelScores): number => l.denoised[1]!.srgb.ssim])
      expect(pick(mean)).toBeCloseTo(found.pictures.reduce((s, p) => s + pick(p.levels[i]!), 0) / 4, 9);
    expect(mean.denoised[0]!.srgb.psnr).not.toBeCloseTo(mean.denoised[1]!.srgb.psnr, 2);
  });
  // Weights of their own give what they give beside others.
  expect(report('-w', 'other.lut', ...args.slice(4)).mean.map((l) => l.denoised[0])).toEqual(found.mean.map((l) => l.denoised[1]));
  expect(vkpn('--json', ...args).stdout).toBe(vkpn('--json', ...args).stdout);
});

test('the table', () => {
  const { status, stdout } = vkpn('-w', 'w.lut', '--pictures', 'set/a.pfm', 'set/b2.pfm');
  expect(status).toBe(0);
  const lines = stdout.trimEnd().split('\n');
  expect(lines[0]).toBe('2 pictures, top left 768x512; PSNR in dB and SSIM, sRGB-encoded / linear');
  expect(lines[1]).toMatch(/^noise +noisy +w$/);
  const found = report('-w', 'w.lut', 'set/a.pfm', 'set/b2.pfm');
  const { noisy, denoised } = found.mean[1]!;
  const shown = (s: Scores): string => `${s.srgb.psnr.toFixed(2)} / ${s.linear.psnr.toFixed(2)}  ${s.srgb.ssim.toFixed(4)} / ${s.linear.ssim.toFixed(4)}`;
  expect(lines[3]!.split(/ {3,}/)).toEqual(['mid', shown(noisy), shown(denoised[0]!)]);
  expect(lines).toContain('set/b2.pfm, 50x36');
});

test('--crops: noisy, denoised by each, clean', async () => {
  const { status, stderr } = vkpn('-w', 'w.lut', '-w', 'other.lut', '--levels', 'high', '--crops', 'made/crops', 'set/a.pfm');
  expect([status, stderr]).toEqual([0, '']);
  expect(readdirSync(join(dir, 'made', 'crops'))).toEqual(['a-high.png']);
  const shown = await decodePicture(readFileSync(join(dir, 'made', 'crops', 'a-high.png')), 'png', 'a', () => undefined);
  expect([shown.width, shown.height]).toEqual([4 * 60 + 3 * 8, 44]);
  const clean = scene(60, 44, 0);
  const noisy = addNoise({ width: 60, height: 44, rgba: clean }, NAMED_LEVELS[2]!, 1).rgba;
  const at = (left: number, x: number, y: number): number => shown.rgba[4 * (y * shown.width + left + x) + 1]!;
  const clipped = (v: number): number => Math.min(Math.max(v, 0), 1);
  // Grey pixels stay within sRGB; the scene's are not grey, so a wide bound: what is meant is which picture is where.
  const error = (left: number, picture: Float32Array): number => {
    let sum = 0;
    for (let y = 0; y < 44; y++) for (let x = 0; x < 60; x++) sum += Math.abs(at(left, x, y) - clipped(picture[4 * (y * 60 + x) + 1]!));
    return sum / (44 * 60);
  };
  expect(error(0, noisy)).toBeLessThan(0.5 * error(0, clean));
  expect(error(3 * 68, clean)).toBeLessThan(0.5 * error(3 * 68, noisy));
  expect(error(68, clean)).toBeGreaterThan(0.005);
});

test.each([
  [['set'], /required option '-w, --weights <file>' not specified/],
  [['-w', 'w.lut'], /missing required argument 'pictures'/],
  [['-w', 'none.lut', 'set'], /the file none\.lut is missing/],
  [['-w', 'set/a.pfm', 'set'], /set\/a\.pfm: not a \.lut file/],
  [['-w', 'table.lut', 'set'], /table\.lut: the \.lut file holds a table \(2x1, 1 channel of f32\), not weights/],
  [['-w', 'short.lut', 'set'], /short\.lut: kpn:01: the weights file holds 32 x 32 values/],
  [['-w', 'w.lut', 'empty'], /the folder empty has no picture/],
  [['-w', 'w.lut', 'gone'], /gone is missing/],
  [['-w', 'w.lut', '--crop', '10x400', 'set'], /--crop can't be "10x400"/],
  [['-w', 'w.lut', '--levels', 'extreme', 'set'], /--levels can't be "extreme"/],
  [['-w', 'w.lut', '--noise', '5', 'set'], /--noise can't be "5"/],
  [['-w', 'w.lut', '--path', 'cuda', 'set'], /path.*cuda/],
  [['-w', 'w.lut', '--crops', 'w.lut/crops', 'set'], /the folder w\.lut\/crops of --crops can't be made/],
  [['-w', 'w.lut', 'huge.pfm'], /huge\.pfm: the picture has values up to 40000/],
])('%j is refused', (args, message) => {
  writeFileSync(join(dir, 'table.lut'), encodeLut({ width: 2, height: 1, channels: 1, format: 'f32', ssbo: true, data: new Uint8Array(8), text: '' }));
  writeFileSync(join(dir, 'short.lut'), encodeLut({ width: 32, height: 32, channels: 1, format: 'f16', ssbo: true, data: new Uint8Array(2048), text: weightsText(model) }));
  writeFileSync(join(dir, 'huge.pfm'), encodePfm(20, 20, new Float32Array(1600).fill(4e4), 4));
  const { status, stdout, stderr } = vkpn(...args);
  expect(stderr).toMatch(message);
  expect([status, stdout]).toEqual([2, '']);
  expect(existsSync(join(dir, 'crops'))).toBe(false);
});
