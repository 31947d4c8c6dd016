// Weights beside the classical denoisers, by the protocol of docs/quality.md: non-local means and CBM3D, both told the noise, on the
// very pictures that the weights get.
//   node scripts/compare-bm3d.mjs [-w W.lut]... [--methods nlm,bm3d] [--levels low,mid,high] [--pictures] [--json] [--crops FOLDER] PICTURES...
// --crops FOLDER [--at X,Y,SIZE] writes, for each picture and level, a strip of squares: noisy, the methods, the weights, clean.
// After npm run build. Debian: apt install gcc python3-numpy python3-scipy python3-pywt python3-skimage. CBM3D takes 7 s a
// megapixel and level on one core; the methods run on all cores (--jobs N: on N).
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { inParallel, root } from './run.mjs';

const dist = (file) => import(join(root, 'dist', file));
const { decodePfm, encodePfm } = await dist('formats/pfm.js');
const { encodePicture } = await dist('formats/picture.js');
const { listPictures } = await dist('pictures/read.js');
const { readWeights } = await dist('quality/denoiser.js');
const { evaluate, meanLevels, openClean, part, PROTOCOL_CROP, PROTOCOL_SEED } = await dist('quality/evaluate.js');
const { protocolScores } = await dist('quality/metrics.js');
const { addNoise, NAMED_LEVELS, parseLevels } = await dist('quality/noise.js');
const { scoreTable } = await dist('quality/table.js');

const tool = join(root, 'scripts', 'classics', 'classics.py');
const titles = { nlm: 'non-local means', bm3d: 'CBM3D' };

function usage(message) {
  console.error(`compare-bm3d: ${message}\nusage: node scripts/compare-bm3d.mjs [-w W.lut]... [--methods nlm,bm3d] [--levels low,mid,high] [--jobs N] [--pictures] [--json] PICTURES...`);
  process.exit(2);
}

/** A Python that has what the tool needs: the first in the path may be a private one. */
function findPython() {
  const needs = 'import numpy, scipy, pywt, skimage';
  for (const python of ['python3', '/usr/bin/python3']) {
    try {
      execFileSync(python, ['-c', needs], { stdio: 'ignore' });
      return python;
    } catch {
      // the next one
    }
  }
  return usage('no python3 has numpy, scipy, pywt and skimage (Debian: apt install gcc python3-numpy python3-scipy python3-pywt python3-skimage)');
}

function readOptions() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        weights: { type: 'string', short: 'w', multiple: true, default: [] },
        methods: { type: 'string', default: 'nlm,bm3d' },
        levels: { type: 'string' },
        jobs: { type: 'string', default: String(availableParallelism()) },
        pictures: { type: 'boolean' },
        json: { type: 'boolean' },
        crops: { type: 'string' },
        at: { type: 'string', default: '288,160,192' },
      },
    });
    const methods = values.methods.split(',');
    const odd = methods.find((m) => !(m in titles));
    if (odd !== undefined) usage(`no method "${odd}": there is nlm, bm3d`);
    if (positionals.length === 0) usage('no pictures');
    if (!/^[1-9]\d?$/.test(values.jobs)) usage(`--jobs can't be "${values.jobs}"`);
    const at = /^(\d+),(\d+),([1-9]\d*)$/.exec(values.at)?.slice(1).map(Number);
    if (!at) usage(`--at can't be "${values.at}"`);
    return { ...values, methods, paths: positionals, jobs: Number(values.jobs), at };
  } catch (error) {
    return usage(error.message);
  }
}

/** What a method makes of a noisy picture. */
async function denoise(python, folder, method, noisy, { a, b }, name) {
  const [input, output] = ['in', 'out'].map((what) => join(folder, `${name}-${what}.pfm`));
  writeFileSync(input, encodePfm(noisy.width, noisy.height, noisy.rgba, 4));
  await promisify(execFile)(python, [tool, method, input, `${a}:${b}`, output]);
  const { width, height, rgba } = decodePfm(readFileSync(output), output);
  rmSync(input);
  rmSync(output);
  return { width, height, rgba };
}

/** What --crops shows, by picture and level: [place in the strip, square]. */
class Strips {
  #strips = new Map();

  constructor([x, y, size]) {
    this.square = (p) => part(p, Math.min(x, p.width - size), Math.min(y, p.height - size), size, size);
    this.size = size;
  }

  add(file, level, place, picture) {
    const key = `${basename(file).replace(/\.[^.]*$/, '')}-${level.name.replace(':', '_')}`;
    if (!this.#strips.has(key)) this.#strips.set(key, []);
    this.#strips.get(key).push([place, this.square(picture)]);
  }

  async write(folder) {
    mkdirSync(folder, { recursive: true });
    for (const [key, squares] of this.#strips) {
      const list = squares.sort(([a], [b]) => a - b).map(([, square]) => square);
      const [size, width] = [this.size, list.length * (this.size + 4) - 4];
      const rgba = new Float32Array(4 * width * size).fill(1);
      list.forEach((square, i) => {
        for (let y = 0; y < size; y++) rgba.set(square.rgba.subarray(4 * y * size, 4 * (y + 1) * size), 4 * (y * width + i * (size + 4)));
      });
      writeFileSync(join(folder, `${key}.png`), await encodePicture(width, size, rgba, 'png', { primaries: 'sRGB', curve: 'sRGB', bits: 8 }));
    }
  }
}

async function classics(python, files, levels, methods, most, warn, strips) {
  const folder = mkdtempSync(join(tmpdir(), 'vkpn-classics-'));
  try {
    const pictures = [];
    for (const [i, file] of files.entries()) {
      const clean = await openClean(file, PROTOCOL_CROP, warn);
      const jobs = levels.flatMap((level) => methods.map((method, m) => async () => {
        const noisy = addNoise(clean, level, PROTOCOL_SEED);
        const denoised = await denoise(python, folder, method, noisy, level, `${i}-${level.name.replace(':', '_')}-${method}`);
        if (m === 0) strips?.add(file, level, 0, noisy);
        if (m === 0) strips?.add(file, level, 1000, clean);
        strips?.add(file, level, 1 + m, denoised);
        return protocolScores(denoised, clean);
      }));
      const scores = await inParallel(jobs, most);
      pictures.push({
        file, width: clean.width, height: clean.height,
        levels: levels.map((level, k) => ({ level: level.name, noisy: protocolScores(addNoise(clean, level, PROTOCOL_SEED), clean), denoised: scores.slice(k * methods.length, (k + 1) * methods.length) })),
      });
    }
    return pictures;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Columns of the weights before those of the classics. */
async function withWeights(pictures, files, levels, names, warn, strips) {
  if (names.length === 0) return pictures;
  const { loadSpirv, listDevices, openDevice } = await dist('gpu/index.js');
  const { chooseDevice } = await dist('cli/device-choice.js');
  const device = openDevice({ index: chooseDevice(listDevices()).index });
  try {
    const weights = await Promise.all(names.map(readWeights));
    const ours = await evaluate({ device, load: loadSpirv, files, weights, levels, crop: PROTOCOL_CROP, seed: PROTOCOL_SEED, warn, onCase: ({ file, level, denoised }) => denoised.forEach((d, i) => strips?.add(file, level, 100 + i, d)) });
    return pictures.map((p, i) => ({ ...p, levels: p.levels.map((l, k) => ({ ...l, denoised: [...ours[i].levels[k].denoised, ...l.denoised] })) }));
  } finally {
    device.close();
  }
}

try {
  const options = readOptions();
  const levels = options.levels === undefined ? NAMED_LEVELS : parseLevels(options.levels);
  const files = await listPictures(options.paths);
  const warned = new Set();
  const warn = (message) => void (warned.has(message) || (warned.add(message), console.error(`warning: ${message}`)));
  const strips = options.crops === undefined ? undefined : new Strips(options.at);
  const pictures = await withWeights(await classics(findPython(), files, levels, options.methods, options.jobs, warn, strips), files, levels, options.weights, warn, strips);
  await strips?.write(options.crops);
  const columns = ['noise', 'noisy', ...options.weights.map((w) => basename(w, '.lut')), ...options.methods.map((m) => titles[m])];
  if (options.json) console.log(JSON.stringify({ columns: columns.slice(2), mean: meanLevels(pictures), pictures }, null, 2));
  else {
    console.log(`${pictures.length} pictures, top left ${PROTOCOL_CROP.width}x${PROTOCOL_CROP.height}; PSNR in dB and SSIM, sRGB-encoded / linear`);
    console.log(scoreTable(columns, meanLevels(pictures)));
    if (options.pictures) for (const p of pictures) console.log(`\n${p.file}\n${scoreTable(columns, p.levels)}`);
  }
} catch (error) {
  console.error(`compare-bm3d: ${error.format?.() ?? error.stack}`);
  process.exit(error.exitCode ?? 1);
}
