// Validation while training, the real command as a child process: it changes no bit of the training, what it says is what vkpn eval says,
// the best weights are kept, patience ends a run, a run that is stopped and goes on has the same log. Needs `npm run build`.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeCheckpoint } from '../../ts/checkpoint/format.js';
import { trainingLines } from '../../ts/cli/train-graph.js';
import { decodeLut } from '../../ts/formats/lut.js';
import { encodePfm } from '../../ts/formats/pfm.js';
import type { LevelScores } from '../../ts/quality/evaluate.js';
import type { Validated } from '../../ts/quality/validation.js';
import { withoutBanner } from '../validation/banner.js';
import { packageRoot } from '../../ts/root.js';

jest.setTimeout(180_000);

const script = join(packageRoot, 'bin', 'vkpn');
let dir: string;

function scene(width: number, height: number, seed: number): Uint8Array {
  const rgba = new Float32Array(width * height * 4).fill(1);
  for (let i = 0; i < rgba.length; i++) if ((i & 3) < 3) rgba[i] = 0.4 + 0.3 * Math.sin(((i >> 2) % width) / 4 + seed + (i & 3)) + (Math.floor(i / 4 / width) > height / 2 ? 0.2 : 0);
  return encodePfm(width, height, rgba, 4);
}

const graph = (frames: number, more = ''): string => `frames:${frames}
${trainingLines('i-pfm:ref').join('\n')}
param:i-pfm:ref:filename:${dir}/ref.pfm
param:cnngenin:01:generate:2
param:cnngenin:01:noise:log
param:cnngenin:01:size:32
param:kpn-t:01:preset:photo
param:kpn-t:01:layers:1
param:kpn-t:01:init:1
param:kpn-t:01:L2:0
param:kpn-t:01:alpha:0.003
param:o-lut:w:filename:weights
${more}`;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'vkpn-validate-'));
  mkdirSync(join(dir, 'held'));
  writeFileSync(join(dir, 'ref.pfm'), scene(96, 80, 0));
  writeFileSync(join(dir, 'held', 'a.pfm'), scene(48, 40, 1));
  writeFileSync(join(dir, 'held', 'b.pfm'), scene(40, 48, 2));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** A fresh working folder with the graph in it. */
function folder(name: string, cfg: string): string {
  const cwd = join(dir, name);
  mkdirSync(cwd);
  writeFileSync(join(cwd, 'train.cfg'), cfg);
  return cwd;
}
const command = (args: readonly string[]): string[] => [script, 'cli', '-g', 'train.cfg', '--last-frame-only', ...args];
function vkpn(cwd: string, ...args: string[]): { status: number | null; stderr: string } {
  return spawnSync(process.execPath, command(args), { cwd, encoding: 'utf8' });
}
const held = (): string[] => ['--validate', join(dir, 'held')];
const weights = (cwd: string, name = 'weights.lut'): Buffer => Buffer.from(decodeLut(readFileSync(join(cwd, name)), name).data);

/** Rows of a CSV file; empty cells are left out. */
function rows(cwd: string): Record<string, number>[] {
  const [header, ...lines] = readFileSync(join(cwd, 'run.csv'), 'utf8').trimEnd().split('\n').map((line) => line.split(','));
  return lines.map((cells) => Object.fromEntries(cells.flatMap((cell, i) => (cell === '' ? [] : [[header![i]!, Number(cell)]]))));
}
/** Validations only, without what depends on the clock. */
const validations = (cwd: string): Record<string, number>[] => rows(cwd).filter((r) => 'validation_gain' in r).map((r) => ({ ...r, seconds: 0 }));

let plain: string;
let watched: string;
beforeAll(() => {
  plain = folder('plain', graph(44));
  expect(vkpn(plain).status).toBe(0);
  watched = folder('watched', graph(44));
  const { status, stderr } = vkpn(watched, ...held(), '--validate-every', '8', '--log', 'run.csv', '--tensorboard', 'tb', '--progress');
  expect([status, stderr.match(/warning/)]).toEqual([0, null]);
  expect(stderr).toMatch(/validates on top left \d+x\d+ of 2 pictures, noise low, mid, high; the best weights go to weights\.best\.lut/);
  expect(stderr).toMatch(/validation, PSNR and SSIM, sRGB-encoded: best after \d+ frames, -?[\d.]+ dB over the noisy pictures: low [\d.]+ dB, 0\.\d{4} \(noisy [\d.]+, 0\.\d{4}\); mid .*; weights\.best\.lut/);
});

test('training computes the same bits with validation and without', () => {
  expect(weights(watched).equals(weights(plain))).toBe(true);
});

test('every so many frames and at the end; what is logged is finite and moves', () => {
  const found = validations(watched);
  expect(found.map((r) => r['frame'])).toEqual([8, 16, 24, 32, 40, 44]);
  for (const row of found) expect(Object.values(row).every(Number.isFinite)).toBe(true);
  expect(new Set(found.map((r) => r['validation_gain'])).size).toBe(6);
  expect(found.map((r) => r['loss'])).toEqual(expect.arrayContaining([expect.any(Number)]));
  for (const row of rows(watched)) expect(row['learning_rate']).toBeCloseTo(0.003, 8);
  const frames = rows(watched).map((row) => row['frame']);
  expect(new Set(frames).size).toBe(frames.length);
  expect(readdirSync(join(watched, 'tb'))).toHaveLength(1);
});

test('the best weights are those of the best validation, and score what vkpn eval finds', () => {
  const found = validations(watched);
  const best = found.reduce((a, b) => (b['validation_gain']! > a['validation_gain']! ? b : a));
  const lut = decodeLut(readFileSync(join(watched, 'weights.best.lut')), 'best');
  expect(lut.text).toContain(`validated: gain ${best['validation_gain']} after ${best['frame']} frames`);
  const { stdout, status } = spawnSync(process.execPath, [script, 'eval', '--json', '-w', 'weights.best.lut', '-w', 'weights.lut', join(dir, 'held')], { cwd: watched, encoding: 'utf8' });
  expect(status).toBe(0);
  const report = JSON.parse(withoutBanner(stdout)) as { mean: LevelScores[]; pictures: { levels: LevelScores[] }[] };
  const check = (row: Record<string, number>, index: number): void => {
    for (const { level, denoised } of report.mean)
      for (const encoding of ['srgb', 'linear'] as const) {
        expect(row[`psnr_${encoding}_${level}`]).toBe(denoised[index]![encoding].psnr);
        expect(row[`ssim_${encoding}_${level}`]).toBe(denoised[index]![encoding].ssim);
      }
    const gains = report.pictures.flatMap((p) => p.levels.map((l) => l.denoised[index]!.srgb.psnr - l.noisy.srgb.psnr));
    expect(row['validation_gain']).toBeCloseTo(gains.reduce((a, b) => a + b, 0) / gains.length, 9);
  };
  check(best, 0);
  check(found.at(-1)!, 1);
});

test('by time: a short run is validated once, at its end', () => {
  const cwd = folder('short', graph(5));
  expect(vkpn(cwd, ...held(), '--validate-levels', 'mid', '--log', 'run.csv', '--checkpoint', '2f').status).toBe(0);
  // Until then the best checkpoint is the one of the least loss.
  const best = join(cwd, 'weights.checkpoints', 'best.ckpt');
  expect(decodeCheckpoint(readFileSync(best), best).score).toMatchObject({ name: 'loss' });
  expect(validations(cwd).map((r) => r['frame'])).toEqual([5]);
  expect(Object.keys(validations(cwd)[0]!)).toContain('psnr_srgb_mid');
  expect(weights(cwd, 'weights.best.lut').equals(weights(cwd))).toBe(true);
});

test('patience: weights that don\'t get better end the run, which is no failure', () => {
  const cwd = folder('patience', graph(1000, 'param:kpn-t:01:alpha:0\n'));
  const { status, stderr } = vkpn(cwd, ...held(), '--validate-every', '4', '--patience', '2', '--log', 'run.csv');
  expect(status).toBe(0);
  // Best at 4, none better at 8 and 12: at 16 that is known.
  expect(validations(cwd).map((r) => r['frame'])).toEqual([4, 8, 12]);
  expect(stderr).toMatch(/stopped after 16 of 1000 frames/);
  expect(stderr).toMatch(/stopped early: 2 validations without a better one/);
  expect(existsSync(join(cwd, 'weights.lut'))).toBe(true);
});

test('a run that is killed and goes on: the same weights, validations and best', async () => {
  const cwd = folder('killed', graph(44));
  const args = [...held(), '--validate-every', '8', '--log', 'run.csv', '--checkpoint', '6f', '-d', 'pipe'];
  const child = spawn(process.execPath, command(args), { cwd });
  await new Promise<void>((resolve) => {
    let said = '';
    child.stderr.on('data', (text: Buffer) => {
      said += text.toString();
      if (/the state after 24 frames/.test(said)) child.kill('SIGKILL');
    });
    child.on('exit', () => resolve());
  });
  expect(child.signalCode).toBe('SIGKILL');
  const { status } = vkpn(cwd, ...args, '--resume');
  expect(status).toBe(0);
  expect(weights(cwd).equals(weights(plain))).toBe(true);
  expect(readFileSync(join(cwd, 'weights.best.lut')).equals(readFileSync(join(watched, 'weights.best.lut')))).toBe(true);
  // What was scored when the process was killed is the one row that may be missing.
  const wanted = validations(watched);
  const found = validations(cwd);
  expect(wanted).toEqual(expect.arrayContaining(found));
  expect(wanted.length - found.length).toBeLessThanOrEqual(1);
  expect(found.slice(-2)).toEqual(wanted.slice(-2));
  // The report's curves go back to before the kill. Not in it: what was being scored at the kill, and at the end.
  const checkpoints = join(cwd, 'weights.checkpoints');
  const last = readdirSync(checkpoints).filter((n) => n.startsWith('frame-')).sort().at(-1)!;
  const { history } = decodeCheckpoint(readFileSync(join(checkpoints, last)), last).host['watcher'] as unknown as { history: Validated[] };
  const gains = new Map(wanted.map((row) => [row['frame']!, row['validation_gain']!]));
  for (const { frame, gain } of history) expect(gain).toBeCloseTo(gains.get(frame)!, 3);
  expect([history[0]!.frame, history.length >= wanted.length - 2]).toEqual([8, true]);
});

test.each([
  [['--validate', 'nothing'], /nothing is missing/],
  [['--patience', '3'], /--patience means nothing without --validate/],
  [['--validate-every', '8'], /--validate-every means nothing without --validate/],
  [['--validate', 'HELD', '--validate-every', '0'], /It should be at least 1/],
  [['--validate', 'HELD', '--validate-crop', '3x3'], /--validate-crop can't be "3x3"/],
  [['--validate', 'HELD', '--validate-levels', 'low,no'], /--levels can't be "no"/],
  [['--log', 'none/run.csv'], /the folder none for the output run\.csv is missing/],
  [['--log', 'run.csv', '--config', 'connect:i-pfm:ref:output:o-lut:w:input'], /the graph trains nothing/],
])('%j is refused', (args, message) => {
  const cwd = folder(`refused ${args.join(' ').replaceAll('/', '_').replaceAll(':', '_').slice(0, 60)}`, graph(4));
  const { status, stderr } = vkpn(cwd, ...args.map((a) => (a === 'HELD' ? join(dir, 'held') : a)));
  expect(stderr).toMatch(message);
  expect(status).toBe(2);
  expect(existsSync(join(cwd, 'weights.lut'))).toBe(false);
});
