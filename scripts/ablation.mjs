// Trains networks that differ from a preset in one switch each and measures them by the protocol of docs/quality.md: what each choice is worth.
//   node scripts/ablation.mjs -o FOLDER [--base photo,best,wnorm] [--rows FILE.json] [--only TEXT] [--frames 8000] [--seeds 2] [--jobs N] [--limit SECONDS] [PICTURES]
// After npm run build; works offline. Each row is examples/train-BASE.cfg with further lines (`--config`); rows of a file: [{base, name, lines}].
// PICTURES: default examples/photos/test_*. Leaves ablation.json, written anew after each training, ablation.md, and every row's graph and weights in FOLDER. The
// same again trains what ablation.json lacks: a run that was cut off goes on. Rows come in the order of what they tell. --limit: no training starts after so many
// seconds. --jobs: trainings at a time, default half of the cores.
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { inParallel, root } from './run.mjs';

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

/** Lines for a network of 64 channels, where the preset has 32. */
const WIDE = [`${K}width:64`];

/** A row for each other value of each option of the preset; those that tell most first. */
async function rowsOf(base) {
  const { CHOICES, incompatibility, PRESETS } = await dist('model/spec.js');
  const row = (name, lines, more = {}) => ({ base, name, lines, ...more });
  const rows = [row('the preset', [])];
  const preset = PRESETS[base];
  if (preset === undefined) return rows;
  const narrow = preset.width === 32;
  const values = {
    ...CHOICES, sharp: [0.1, 0.3, 1, 3], levels: [1, 2, 3, 4, 5, 6], width: [32, 64, 128], layers: [1, 2, 3, 4, 6, 8], chroma: [false, true],
  };
  const show = (value) => (typeof value === 'boolean' ? Number(value) : value);
  const others = (option) => {
    for (const value of values[option]) if (value !== preset[option] && !incompatibility({ ...preset, [option]: value })) rows.push(row(`${option} ${show(value)}`, [`${K}${option}:${show(value)}`]));
  };
  others('context');
  if (narrow) {
    rows.push(row('width 64', WIDE));
    for (const context of ['window', 'wnorm', 'guide']) rows.push(row(`width 64, context ${context}`, [...WIDE, `${K}context:${context}`]));
  }
  ['chroma', 'combine', 'levels', 'layers', 'loss', 'up', 'pyramid'].forEach(others);
  // Of a wide preset, which takes several times as long, not what the narrow one tells as well.
  if (narrow) ['sharp', 'apply', 'ablend', 'act'].forEach(others);
  rows.push(
    row('training noise vkdt', [`${G}noise:vkdt`]),
    row('training noise mid', [`${G}noise:fixed`, `${G}noise a:274870`, `${G}noise b:327.7`]),
    row('noise channel 0 after training', [], { zeroed: true }),
    row('highlights as they are', [`${G}hilite:0`]),
    row('exposures of vkdt', [`${G}ev lo:-2`, `${G}ev hi:2`]),
  );
  if (narrow)
    rows.push(
      row('noise not told', notTold, { told: CONSTANT }), row('context star, noise not told', [`${K}context:star`, ...notTold], { told: CONSTANT }),
      row('one tile a frame', [`${G}batch:1`]), row('width 128', [`${K}width:128`]),
    );
  return rows;
}

// ---- one row, one seed: a process of its own ------------------------------------------------------------------------

async function train({ base, lines, told, zeroed, seed, frames, pictures, weightsFile }) {
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
    if (zeroed) await zeroNoiseChannel(weightsFile);
    const scores = await psnrs(device, loadSpirv, weightsFile, params, pictures);
    return { seconds, skipped: state.skipped, badPixels: state.badPixels, loss: state.smoothed, ...dead, psnr: scores[0].map((_, level) => mean(scores.map((of) => of[level]))), pictures: scores };
  } finally {
    device.close();
  }
}

/** The input channel that says log2(sigma) (SPEC 1.3). */
const NOISE_CHANNEL = { star: 30, norm: 30, wnorm: 54, guide: 48 };

/** Sets a network's weights of the noise channel to 0, in its file. */
async function zeroNoiseChannel(file) {
  const { decodeLut, lutHeaderBytes } = await dist('formats/lut.js');
  const { parseWeightsText } = await dist('model/spec.js');
  const bytes = readFileSync(file);
  const { width, text } = decodeLut(bytes, file);
  const channel = NOISE_CHANNEL[parseWeightsText(text).spec.context];
  for (let out = 0; out < width; ++out) bytes.writeUInt16LE(0, lutHeaderBytes + 2 * (out * width + channel));
  writeFileSync(file, bytes);
}

/** sRGB-encoded PSNR of the pictures (picture, level), as vkpn eval has it; without SSIM, which would take longer than a GPU takes to train. */
async function psnrs(device, load, weightsFile, params, files) {
  const { readWeights } = await dist('quality/denoiser.js');
  const { denoiseCases, PROTOCOL_CROP, PROTOCOL_SEED } = await dist('quality/evaluate.js');
  const { psnr } = await dist('quality/metrics.js');
  const { NAMED_LEVELS } = await dist('quality/noise.js');
  const scores = files.map(() => []);
  await denoiseCases(
    { device, load, files, weights: [await readWeights(weightsFile)], levels: NAMED_LEVELS, crop: PROTOCOL_CROP, seed: PROTOCOL_SEED, params, warn: () => undefined },
    ({ index, clean, denoised: [denoised] }) => void scores[index].push(psnr(denoised, clean, 'srgb')),
  );
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

/** Trains and measures in a process of its own: a device lost or a driver that crashes ends one row. */
const inChild = (job) =>
  new Promise((done) => {
    const child = fork(fileURLToPath(import.meta.url), ['--child'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    let result;
    child.on('message', (message) => (result = message));
    child.on('exit', (code, signal) => done(result ?? { error: `the process ended with ${signal ?? `code ${code}`}` }));
    child.send(job);
  });

/** What a result stands for: the same training, measured on the same pictures. */
const keyOf = ({ base, lines, told, zeroed, seed, frames, pictures }) =>
  createHash('sha256').update(JSON.stringify([readFileSync(join(examples, `train-${base}.cfg`), 'utf8'), lines, told ?? null, zeroed ?? false, seed, frames, pictures.map((p) => relative(root, p))])).digest('hex').slice(0, 16);

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

const USAGE = 'usage: node scripts/ablation.mjs -o FOLDER [--base photo,best,wnorm] [--rows FILE.json] [--only TEXT] [--frames N] [--seeds N] [--jobs N] [--limit SECONDS] [PICTURES]';

function readOptions() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        output: { type: 'string', short: 'o' }, base: { type: 'string', default: 'photo,best,wnorm' }, rows: { type: 'string' }, only: { type: 'string', default: '' },
        frames: { type: 'string', default: '8000' }, seeds: { type: 'string', default: '2' }, jobs: { type: 'string', default: String(Math.ceil(0.5 * availableParallelism())) }, limit: { type: 'string' },
      },
    });
    if (values.output === undefined) throw new Error('-o says where results go');
    for (const name of ['frames', 'seeds', 'jobs', 'limit'])
      if (!/^[1-9]\d*$/.test(values[name] ?? '1')) throw new Error(`--${name} can't be "${values[name]}": it is a whole number above 0`);
    const bases = values.base.split(',');
    const odd = bases.find((base) => !existsSync(join(examples, `train-${base}.cfg`)));
    if (odd !== undefined) throw new Error(`--base can't be "${odd}": there is no examples/train-${odd}.cfg`);
    return { ...values, folder: resolve(values.output), bases, frames: Number(values.frames), seeds: Number(values.seeds), jobs: Number(values.jobs), limit: 1000 * Number(values.limit ?? Infinity), paths: positionals };
  } catch (error) {
    console.error(`ablation: ${error.message}\n${USAGE}`);
    return process.exit(2);
  }
}

async function main() {
  const options = readOptions();
  const { folder, frames } = options;
  const { listPictures } = await dist('pictures/read.js');
  const { writeAtomic } = await dist('files.js');
  const pictures = await listPictures(options.paths.length > 0 ? options.paths : [0, 1, 2, 3].map((i) => join(examples, 'photos', `test_000${i}.jpg`)));
  const all = options.rows === undefined ? (await Promise.all(options.bases.map(rowsOf))).flat() : JSON.parse(readFileSync(options.rows, 'utf8'));
  const seeds = Array.from({ length: options.seeds }, (_, i) => i + 1);
  const rows = all.map((row) => ({ ...row, frames: row.frames ?? frames }));
  const jobs = rows.flatMap((row) => seeds.map((seed) => ({ ...row, seed, pictures, weightsFile: join(folder, `${row.base}-${row.name.replace(/[^a-z0-9.]+/gi, '-')}-${seed}.lut`) })));
  mkdirSync(folder, { recursive: true });
  const resultsFile = join(folder, 'ablation.json');
  /** What is known, by key; of other rows too. */
  const known = existsSync(resultsFile) ? JSON.parse(readFileSync(resultsFile, 'utf8')) : {};
  const write = async () => {
    const withRuns = rows.map((row) => ({ ...row, runs: jobs.filter((job) => job.base === row.base && job.name === row.name).map((job) => known[keyOf(job)] ?? job.failure ?? {}) }));
    const text = options.bases.map((base) => `## ${base}, ${frames} frames\n\n${table(withRuns.filter((row) => row.base === base))}\n`).join('\n');
    await writeAtomic(join(folder, 'ablation.md'), Buffer.from(text));
    await writeAtomic(resultsFile, Buffer.from(`${JSON.stringify(known, null, 1)}\n`));
    return text;
  };
  const missing = jobs.filter((job) => job.name.includes(options.only) && known[keyOf(job)] === undefined);
  console.error(`${jobs.length} trainings, ${jobs.length - missing.length} of them not to be made`);
  const began = performance.now();
  let writing = Promise.resolve();
  const started = await inParallel(
    missing.map((job) => async () => {
      if (performance.now() - began > options.limit) return false;
      const { base, name, lines, seed } = job;
      const result = await inChild(job);
      if (result.error === undefined) known[keyOf(job)] = { base, name, lines, seed, frames: job.frames, ...result };
      else job.failure = result;
      console.error(`${base}, ${name}, seed ${seed}: ${result.error ?? `${result.seconds.toFixed(1)} s, ${result.psnr.map((dB) => dB.toFixed(2)).join(' / ')}`}`);
      await (writing = writing.then(write));
      return true;
    }),
    options.jobs,
  );
  console.log(await write());
  const failed = jobs.filter((job) => job.failure).length;
  console.error(`${started.filter(Boolean).length} of ${missing.length} trainings in ${((performance.now() - began) / 1000).toFixed(0)} s${failed > 0 ? `, ${failed} failed` : ''}`);
  process.exitCode = started.every(Boolean) && failed === 0 ? 0 : 1;
}

if (process.argv[2] === '--child') {
  process.once('disconnect', () => process.exit(1)); // nobody waits for it
  process.once('message', async (job) => {
    const result = await train(job).catch((error) => ({ error: error.format?.() ?? error.stack }));
    process.send(result, () => process.exit(0));
  });
} else await main();
