// Trains networks that differ from a preset in one switch each and measures them by the protocol of docs/quality.md: what each choice is worth.
//   node scripts/ablation.mjs -o FOLDER [--base photo,best] [--rows FILE.json] [--only TEXT] [--frames 10000] [--seeds 2] [--jobs N] [--limit SECONDS] [PICTURES]
// After npm run build; works offline. Each row is examples/train-BASE.cfg with further lines (`--config`); rows of a file: [{base, name, lines}].
// PICTURES: default examples/photos/test_*. Leaves ablation.md, ablation.json and every row's graph and weights in FOLDER, written anew after
// each training, so that a run that is cut off leaves what it has. --limit: no training starts after so many seconds. --jobs: default half of the cores.
import { fork } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { root } from './run.mjs';

const dist = (file) => import(join(root, 'dist', file));
const examples = join(root, 'examples');
const K = 'param:kpn-t:01:';
const G = 'param:cnngenin:01:';

/** Noise that is told to the network whatever the picture has: between mid and high of the protocol. */
const CONSTANT = { a: 1e6, b: 1000 };
const notTold = [
  'module:cnngenin:02', 'connect:i-set:01:output:cnngenin:02:refi', 'connect:cnngenin:02:noiseab:kpn-t:01:noiseab',
  'param:cnngenin:02:generate:2', 'param:cnngenin:02:batch:16', 'param:cnngenin:02:noise:fixed', `param:cnngenin:02:noise a:${CONSTANT.a}`, `param:cnngenin:02:noise b:${CONSTANT.b}`,
];

/** A row for each other value of each option of the preset. */
async function rowsOf(base) {
  const { CHOICES, incompatibility, PRESETS } = await dist('model/spec.js');
  const preset = PRESETS[base];
  const wide = preset.width > 32;
  const values = {
    ...CHOICES, sharp: [0.1, 0.3, 1, 3], levels: [1, 2, 3, 4, 5, 6], width: [32, 64, 128], layers: [1, 2, 3, 4, 6, 8], chroma: [false, true],
  };
  const show = (value) => (typeof value === 'boolean' ? Number(value) : value);
  const rows = [{ base, name: 'the preset', lines: [] }];
  // Of a wide preset, which takes several times as long, only what the narrow one may not tell.
  const told = wide ? ['context', 'chroma', 'loss', 'levels', 'layers', 'width', 'pyramid', 'up', 'combine'] : Object.keys(values);
  for (const [option, list] of Object.entries(values).filter(([option]) => told.includes(option)))
    for (const value of list) {
      if (value === preset[option] || incompatibility({ ...preset, [option]: value })) continue;
      rows.push({ base, name: `${option} ${show(value)}`, lines: [`${K}${option}:${show(value)}`] });
    }
  if (!wide) for (const context of ['wnorm', 'guide']) rows.push({ base, name: `width 64, context ${context}`, lines: [`${K}width:64`, `${K}context:${context}`] });
  rows.push(
    { base, name: 'training noise vkdt', lines: [`${G}noise:vkdt`] },
    { base, name: 'training noise mid', lines: [`${G}noise:fixed`, `${G}noise a:274870`, `${G}noise b:327.7`] },
    { base, name: 'exposures of vkdt', lines: [`${G}ev lo:-2`, `${G}ev hi:2`] },
  );
  if (!wide) rows.push({ base, name: 'one tile a frame', lines: [`${G}batch:1`] }, { base, name: 'noise not told', lines: notTold, told: CONSTANT }, { base, name: 'context star, noise not told', lines: [`${K}context:star`, ...notTold], told: CONSTANT });
  return rows;
}

// ---- one row, one seed: a process of its own ------------------------------------------------------------------------

async function train({ base, lines, told, seed, frames, pictures, weightsFile }) {
  const { loadSpirv, listDevices, openDevice } = await dist('gpu/index.js');
  const { chooseDevice } = await dist('cli/device-choice.js');
  const { runGraph } = await dist('graph/run.js');
  const { modules } = await dist('modules/index.js');
  const { readState } = await dist('modules/kpn-t/state.js');
  const file = join(examples, `train-${base}.cfg`);
  const source = { file, text: readFileSync(file, 'utf8'), registry: modules, loadSpirv, onWarning: () => undefined };
  const device = openDevice({ index: chooseDevice(listDevices()).index });
  try {
    const config = [...lines, `frames:${frames}`, `${K}seed:${seed}`, `${G}seed:${seed}`, `param:o-lut:w:filename:${weightsFile.replace(/\.lut$/, '')}`];
    writeFileSync(weightsFile.replace(/\.lut$/, '.cfg'), [source.text.trimEnd(), '# What differs:', ...config].join('\n') + '\n');
    const began = performance.now();
    let state;
    await runGraph({ ...source, config, device: () => device, lastFrameOnly: true, inspect: async (access) => (state = readState(await access.readBuffer(access.instance('kpn-t:01').buffers.state))) });
    const seconds = (performance.now() - began) / 1000;
    const dead = await deadNeurons(runGraph, { ...source, config: [...lines, `${K}init:0`, 'module:i-lut:w', `param:i-lut:w:filename:${weightsFile}`, 'connect:i-lut:w:output:kpn-t:01:wcp', `param:o-lut:w:filename:${join(tmpdir(), `vkpn-ablation-${process.pid}`)}`], device: () => device });
    const params = told ? [`noise a:${told.a}`, `noise b:${told.b}`] : [];
    const scores = await psnrs(device, loadSpirv, weightsFile, params, pictures);
    return { seconds, skipped: state.skipped, badPixels: state.badPixels, loss: state.smoothed, ...dead, psnr: scores[0].map((_, level) => mean(scores.map((of) => of[level]))), pictures: scores };
  } finally {
    device.close();
  }
}

/** sRGB-encoded PSNR of the pictures (picture, level), as vkpn eval has it; without SSIM, which would take longer than a GPU takes to train. */
async function psnrs(device, load, weightsFile, params, pictures) {
  const { Denoiser, readWeights } = await dist('quality/denoiser.js');
  const { openClean, PROTOCOL_CROP, PROTOCOL_SEED } = await dist('quality/evaluate.js');
  const { psnr } = await dist('quality/metrics.js');
  const { addNoise, NAMED_LEVELS } = await dist('quality/noise.js');
  const { fromDevice } = await dist('quality/scoring.js');
  const weights = await readWeights(weightsFile);
  const scores = [];
  for (const picture of pictures) {
    const clean = await openClean(picture, PROTOCOL_CROP, () => undefined);
    const ofLevels = [];
    for (const noise of NAMED_LEVELS) {
      const denoiser = await Denoiser.create(device, load, { width: clean.width, height: clean.height, noise, weights, params, onWarning: () => undefined });
      ofLevels.push(psnr(fromDevice(await denoiser.run(addNoise(clean, noise, PROTOCOL_SEED))), clean, 'srgb'));
      denoiser.destroy();
    }
    scores.push(ofLevels);
  }
  return scores;
}

/** Hidden neurons that are not positive for any pixel of 16 tiles, and how many there are. */
async function deadNeurons(runGraph, source) {
  const unused = join(tmpdir(), `vkpn-ablation-${process.pid}`);
  const looks = [`${G}batch:16`, `${K}deriv:2`, `${K}gradient:split`, `${K}cascade:level`];
  let found;
  await runGraph({
    ...source, config: [...source.config, ...looks, 'module:o-pfm:dead', 'connect:kpn-t:01:output:o-pfm:dead:input', `param:o-pfm:dead:filename:${unused}`],
    shareMemory: false, lastFrameOnly: true,
    inspect: async (access) => {
      const { width, layers } = access.instance('kpn-t:01').spec;
      const bytes = await access.readBuffer(access.buffer('kpn-t:01 A'));
      const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
      const pixels = halves.length / (layers + 1) / width;
      let dead = 0;
      for (let l = 1; l <= layers; ++l) {
        const alive = new Uint8Array(width);
        const layer = halves.subarray(l * pixels * width, (l + 1) * pixels * width);
        // Positive: no sign bit, not zero.
        for (let i = 0; i < layer.length; ++i) if (layer[i] > 0 && layer[i] < 0x8000) alive[i % width] = 1;
        dead += alive.filter((a) => a === 0).length;
      }
      found = { dead, neurons: layers * width };
    },
  });
  for (const ending of ['pfm', 'lut']) rmSync(`${unused}.${ending}`, { force: true });
  return found;
}

// ---- all of them ----------------------------------------------------------------------------------------------------

/** Runs the jobs, so many at once, and calls `after` behind each; a job that fails is told, one that would start past the limit is left out. */
async function inParallel(jobs, most, limit, after) {
  const queue = [...jobs];
  const worker = async () => {
    for (let job = queue.shift(); job && performance.now() < limit; job = queue.shift()) {
      job.result = await new Promise((done) => {
        const child = fork(fileURLToPath(import.meta.url), ['--child'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
        let result;
        child.on('message', (message) => (result = message));
        child.on('exit', (code) => done(result ?? { error: `the process ended with code ${code}` }));
        child.send(job);
      });
      const { error, seconds, psnr } = job.result;
      console.error(`${job.base}, ${job.name}, seed ${job.seed}: ${error ?? `${seconds.toFixed(1)} s, ${psnr.map((dB) => dB.toFixed(2)).join(' / ')}`}`);
      after();
    }
  };
  await Promise.all(Array.from({ length: most }, worker));
}

const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
const spread = (list) => (Math.max(...list) - Math.min(...list)) / 2;

/** The table: sRGB-encoded PSNR, mean of the seeds, and half of what separates the least from the largest. */
function table(rows) {
  const lines = ['| | low | mid | high | ± | dead | s |', '|---|---|---|---|---|---|---|'];
  for (const { name, runs } of rows) {
    const good = runs.filter((r) => r.psnr);
    if (good.length === 0) {
      lines.push(`| ${name} | ${runs.some((r) => r.error) ? 'failed' : 'not trained'} | | | | | |`);
      continue;
    }
    const at = (level) => good.map((r) => r.psnr[level]);
    const dead = `${mean(good.map((r) => r.dead)).toFixed(1)} of ${good[0].neurons}`;
    const skipped = good.some((r) => r.skipped > 20 || r.badPixels > 0) ? ` (skipped ${good.map((r) => r.skipped).join(', ')}; bad pixels ${good.map((r) => r.badPixels).join(', ')})` : '';
    lines.push(`| ${name}${skipped} | ${[0, 1, 2].map((l) => mean(at(l)).toFixed(2)).join(' | ')} | ${Math.max(...[0, 1, 2].map((l) => spread(at(l)))).toFixed(2)}${good.length < runs.length ? ` (${good.length} of ${runs.length})` : ''} | ${dead} | ${mean(good.map((r) => r.seconds)).toFixed(1)} |`);
  }
  return lines.join('\n');
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      output: { type: 'string', short: 'o' }, base: { type: 'string', default: 'photo,best' }, rows: { type: 'string' }, only: { type: 'string' },
      frames: { type: 'string', default: '10000' }, seeds: { type: 'string', default: '2' }, jobs: { type: 'string', default: String(Math.ceil(0.5 * availableParallelism())) }, limit: { type: 'string' },
    },
  });
  if (values.output === undefined || !['frames', 'seeds', 'jobs', 'limit'].every((name) => /^[1-9]\d*$/.test(values[name] ?? '1'))) {
    console.error('usage: node scripts/ablation.mjs -o FOLDER [--base photo,best] [--rows FILE.json] [--only TEXT] [--frames N] [--seeds N] [--jobs N] [--limit SECONDS] [PICTURES]');
    process.exit(2);
  }
  const folder = resolve(values.output);
  mkdirSync(folder, { recursive: true });
  const bases = values.base.split(',');
  const all = values.rows === undefined ? (await Promise.all(bases.map(rowsOf))).flat() : JSON.parse(readFileSync(values.rows, 'utf8'));
  const rows = all.filter((row) => values.only === undefined || row.name.includes(values.only));
  const { listPictures } = await dist('pictures/read.js');
  const pictures = await listPictures(positionals.length > 0 ? positionals : [0, 1, 2, 3].map((i) => join(examples, 'photos', `test_000${i}.jpg`)));
  const frames = Number(values.frames);
  const jobs = rows.flatMap((row, index) =>
    Array.from({ length: Number(values.seeds) }, (_, i) => ({ ...row, index, seed: i + 1, frames: row.frames ?? frames, pictures, weightsFile: join(folder, `${row.base}-${row.name.replace(/[^a-z0-9.]+/gi, '-')}-${i + 1}.lut`) })));
  const began = performance.now();
  const write = () => {
    const results = rows.map((row, index) => ({ ...row, runs: jobs.filter((job) => job.index === index).map(({ seed, result }) => ({ seed, ...result })) }));
    const text = bases.filter((base) => rows.some((row) => row.base === base)).map((base) => `## ${base}\n\n${table(results.filter((row) => row.base === base))}\n`).join('\n');
    writeFileSync(join(folder, 'ablation.md'), text);
    writeFileSync(join(folder, 'ablation.json'), JSON.stringify({ frames, pictures: pictures.map((p) => relative(root, p)), rows: results }, null, 1));
    return text;
  };
  // The largest first: what ends last is small.
  const sorted = [...jobs].sort((a, b) => (a.base < b.base ? -1 : a.base > b.base ? 1 : 0));
  await inParallel(sorted, Number(values.jobs), began + 1000 * Number(values.limit ?? Infinity), write);
  console.log(write());
  console.error(`${jobs.filter((job) => job.result).length} of ${jobs.length} trainings of ${frames} frames in ${((performance.now() - began) / 1000).toFixed(0)} s`);
  process.exitCode = jobs.every((job) => job.result?.psnr) ? 0 : 1;
}

if (process.argv[2] === '--child')
  process.once('message', async (job) => {
    const result = await train(job).catch((error) => ({ error: error.format?.() ?? error.stack }));
    process.send(result, () => process.exit(0));
  });
else await main();
