// `vkpn cli --tile` and `--memory`: the real command denoises a picture in tiles, to the same file. Needs `npm run build`.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memorySize } from '../../ts/cli/cli-options.js';
import { toHalf } from '../../ts/formats/half.js';
import { encodeLut } from '../../ts/formats/lut.js';
import { encodePfm } from '../../ts/formats/pfm.js';
import { initialWeights } from '../../ts/model/init.js';
import { PRESETS, weightsText } from '../../ts/model/spec.js';
import { packageRoot } from '../../ts/root.js';
import { random } from '../reference/index.js';

jest.setTimeout(120_000);

const dir = mkdtempSync(join(tmpdir(), 'vkpn-tiles-'));
afterAll(() => rmSync(dir, { recursive: true }));

const model = { ...PRESETS.classic, context: 'norm' as const, sharp: 1, ablend: 'sigmoid' as const, layers: 1 };
beforeAll(() => {
  const next = random(4);
  writeFileSync(join(dir, 'in.pfm'), encodePfm(210, 130, Float32Array.from({ length: 210 * 130 * 4 }, next), 4));
  const data = new Uint8Array(toHalf(initialWeights(model, 1)).data.buffer);
  writeFileSync(join(dir, 'w.lut'), encodeLut({ width: model.width, height: 2 * model.width, channels: 1, format: 'f16', ssbo: true, data, text: weightsText(model) }));
  writeFileSync(join(dir, 'g.cfg'), `module:i-pfm:01
module:i-lut:w
module:kpn:01
module:o-pfm:main
connect:i-pfm:01:output:kpn:01:input
connect:i-lut:w:output:kpn:01:w
connect:kpn:01:output:o-pfm:main:input
param:i-pfm:01:filename:in.pfm
param:i-lut:w:filename:w.lut
param:kpn:01:noise a:1000000
param:kpn:01:noise b:10
`);
});

function denoise(out: string, ...options: string[]): { status: number | null; stderr: string; file: Buffer | undefined } {
  const { status, stderr } = spawnSync(process.execPath, [join(packageRoot, 'bin', 'vkpn'), 'cli', '-g', 'g.cfg', '--last-frame-only', ...options, '--config', `param:o-pfm:main:filename:${out}`], { cwd: dir, encoding: 'utf8' });
  const path = join(dir, `${out}.pfm`);
  return { status, stderr, file: existsSync(path) ? readFileSync(path) : undefined };
}

test('the same file whole, in tiles of a size, and in as little memory as asked for', () => {
  const whole = denoise('whole');
  expect(whole).toMatchObject({ status: 0, stderr: expect.not.stringContaining('tile') });
  const tiles = denoise('tiles', '--tile', '40');
  expect(tiles).toMatchObject({ status: 0, stderr: expect.stringMatching(/in 24 tiles: 104x104 pixels at a time on the device, 32 of them around each tile/) });
  const little = denoise('little', '--memory', '600K', '--progress');
  expect(little).toMatchObject({ status: 0, stderr: expect.stringMatching(/in \d+ tiles: /) });
  expect([tiles.file, little.file].map((file) => Buffer.compare(file!, whole.file!))).toEqual([0, 0]);
});

test('vkpn denoise takes both options', () => {
  const run = (out: string, ...options: string[]): { status: number | null; stderr: string; file: Buffer } => {
    const args = ['denoise', 'in.pfm', '-o', out, '-w', 'w.lut', '--noise', '1000000:10', ...options];
    const { status, stderr } = spawnSync(process.execPath, [join(packageRoot, 'bin', 'vkpn'), ...args], { cwd: dir, encoding: 'utf8' });
    return { status, stderr, file: readFileSync(join(dir, out)) };
  };
  const whole = run('denoised.pfm');
  expect(whole).toMatchObject({ status: 0, stderr: expect.not.stringMatching(/ in \d+ tiles/) });
  for (const options of [['--tile', '40'], ['--memory', '600K']]) {
    const tiled = run(`${options[1]!}.pfm`, ...options);
    expect(tiled).toMatchObject({ status: 0, stderr: expect.stringMatching(/ in \d+ tiles/) });
    expect(Buffer.compare(tiled.file, whole.file)).toBe(0);
  }
});

test('too little memory: a sentence, nothing written', () => {
  const { status, stderr, file } = denoise('none', '--memory', '20K');
  expect([status, file]).toEqual([2, undefined]);
  expect(stderr).toMatch(/the graph cannot run whole: it needs .*; nor tile by tile: even a tile of 8 x 8 pixels with the 32 around it that the network sees is too large/);
});

test('sizes', () => {
  expect(['512M', '2G', '1.5g', '100KiB', '64MB'].map(memorySize)).toEqual([512 * 2 ** 20, 2 ** 31, 1.5 * 2 ** 30, 102_400, 64 * 2 ** 20]);
  for (const wrong of ['', '512', 'M', '-1M', '0M', '1T']) expect(() => memorySize(wrong)).toThrow(/size like/);
  expect(denoise('none', '--tile', '0')).toMatchObject({ status: 2, stderr: expect.stringContaining('number of pixels') });
});
