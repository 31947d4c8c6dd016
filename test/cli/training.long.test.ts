// Training works: after 2,000 frames on the sample photographs the command's weights denoise photographs that were held
// out, by the gain that the project promises (PSNR of sRGB-encoded results at the mid noise level, mean over two seeds).
// PSNR is the reference's. Needs `npm run build`.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { trainingLines } from '../../ts/cli/train-graph.js';
import { decodePfm } from '../../ts/formats/pfm.js';
import { packageRoot } from '../../ts/root.js';
import { makeImage, psnr, type Image } from '../reference/index.js';

jest.setTimeout(900_000);

const photos = join(packageRoot, 'examples', 'photos');
let dir: string;
beforeAll(() => void (dir = mkdtempSync(join(tmpdir(), 'vkpn-training-'))));
afterAll(() => rmSync(dir, { recursive: true }));

async function vkpn(cfg: string): Promise<string> {
  writeFileSync(join(dir, 'graph.cfg'), cfg);
  const { stderr } = await promisify(execFile)(process.execPath, [join(packageRoot, 'bin', 'vkpn'), 'cli', '-g', 'graph.cfg', '--last-frame-only', '--progress'], { cwd: dir });
  return stderr; // progress goes there
}

const train = (seed: number, params: string[]): string => `frames:2000
${trainingLines('i-jpg:ref').join('\n')}
param:i-jpg:ref:filename:${photos}/train_%04d.jpg
param:i-jpg:ref:hold:1
param:i-jpg:ref:fit:crop
param:cnngenin:01:generate:2
param:cnngenin:01:seed:${seed}
param:kpn-t:01:init:1
param:kpn-t:01:seed:${seed}
param:kpn-t:01:L2:0
param:kpn-t:01:alpha:0.003
param:kpn-t:01:gradclip:1.0
param:o-lut:w:filename:weights
${params.join('\n')}
`;

// TARGETS' mid level: read sigma 0.008, shot sigma 0.03 at 0.18.
const evaluate = (photo: string): string => `frames:1
module:i-jpg:photo
module:i-lut:w
module:cnngenin:noise
module:kpn:01
module:o-pfm:noisy
module:o-pfm:out
module:o-pfm:ref
connect:i-jpg:photo:output:cnngenin:noise:refi
connect:cnngenin:noise:imgo:kpn:01:input
connect:i-lut:w:output:kpn:01:w
connect:kpn:01:output:o-pfm:out:input
connect:cnngenin:noise:imgo:o-pfm:noisy:input
connect:cnngenin:noise:refo:o-pfm:ref:input
param:i-jpg:photo:filename:${photos}/${photo}
param:i-lut:w:filename:weights.lut
param:cnngenin:noise:tiles:0
param:cnngenin:noise:generate:2
param:cnngenin:noise:noise:fixed
param:cnngenin:noise:noise a:${(0.008 * 65535) ** 2}
param:cnngenin:noise:noise b:${(0.03 ** 2 / 0.18) * 65535}
param:o-pfm:noisy:filename:noisy
param:o-pfm:out:filename:out
param:o-pfm:ref:filename:ref
`;

function picture(name: string): Image {
  const p = decodePfm(readFileSync(join(dir, `${name}.pfm`)), name);
  return makeImage(p.width, p.height, 4, Float64Array.from(p.rgba));
}

/** Gain over the noisy input in dB, mean over the held-out photographs. */
async function gain(): Promise<number> {
  const gains: number[] = [];
  for (const photo of ['test_0000.jpg', 'test_0001.jpg', 'test_0002.jpg']) {
    await vkpn(evaluate(photo));
    const ref = picture('ref');
    const before = psnr(picture('noisy'), ref, 'srgb');
    // The mid level is 27.6 dB on TARGETS' pictures; between pictures this differs, but not by much.
    expect(before).toBeGreaterThan(25);
    expect(before).toBeLessThan(31);
    gains.push(psnr(picture('out'), ref, 'srgb') - before);
  }
  return gains.reduce((a, b) => a + b, 0) / gains.length;
}

async function meanGain(params: string[]): Promise<number> {
  const gains: number[] = [];
  for (const seed of [1, 2]) {
    const log = await vkpn(train(seed, params));
    const losses = [...log.matchAll(/loss ([0-9.e+-]+)/g)].map((m) => Number(m[1]));
    expect(losses.length).toBeGreaterThan(2);
    expect(losses.every(Number.isFinite)).toBe(true);
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    gains.push(await gain());
  }
  console.log(`gain over the noisy input: ${gains.map((g) => g.toFixed(2)).join(' and ')} dB (${params.length ? params.join(' ') : 'classic'})`);
  return gains.reduce((a, b) => a + b, 0) / gains.length;
}

test('classic, as the reference graph trains it: at least 4 dB', async () => {
  expect(await meanGain([])).toBeGreaterThan(4);
});

test('input relative to the noise, sharp kernels, sigmoid, enc, log-uniform noise: at least 7 dB', async () => {
  const params = ['context:norm', 'sharp:1', 'ablend:sigmoid', 'loss:enc'].map((p) => `param:kpn-t:01:${p}`);
  expect(await meanGain([...params, 'param:cnngenin:01:noise:log'])).toBeGreaterThan(7);
});
