// node scripts/kill-resume.mjs [kills] [frames] [interval] [device]: trains, kills the process (SIGKILL), the first time when half the frames are done, then at random moments,
// goes on with --resume until the run is done, and again until there were so many kills (default 50). After every kill each file in the folder must be whole and no checkpoint that was reported
// may be missing; at the end of every run weights and optimiser must be those of one run without a kill, bit for bit. `npm test` does it with 3 kills.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { root } from './run.mjs';
import { decodeCheckpoint } from '../dist/checkpoint/format.js';
import { trainingLines } from '../dist/cli/train-graph.js';
import { decodeLut } from '../dist/formats/lut.js';
import { encodePfm } from '../dist/formats/pfm.js';

const [kills = '50', frames = '1000', interval = '100f', device] = process.argv.slice(2);
const dir = mkdtempSync(join(tmpdir(), 'vkpn-kill-'));
const graph = join(dir, 'train.cfg');
writeFileSync(join(dir, 'a.pfm'), encodePfm(40, 40, Float32Array.from({ length: 6400 }, (_, i) => 0.5 + 0.4 * Math.sin(i / 7) * Math.cos(i / 311)), 4));
writeFileSync(graph, `frames:${frames}
${trainingLines('i-pfm:ref').join('\n')}
param:i-pfm:ref:filename:a.pfm
param:cnngenin:01:generate:2
param:cnngenin:01:noise:log
param:cnngenin:01:size:16
param:kpn-t:01:levels:2
param:kpn-t:01:init:1
param:kpn-t:01:decay:cosine
param:o-lut:w:filename:w
`);

const cwd = (name) => {
  mkdirSync(join(dir, name), { recursive: true });
  return join(dir, name);
};
const args = (more) => [join(root, 'bin', 'vkpn'), 'cli', '-g', graph, '--last-frame-only', '-d', 'cli,pipe', '--checkpoint', interval, ...(device ? ['--device', device] : []), ...more];

function fail(message) {
  console.error(`failed: ${message}\nThe folder is ${dir}`);
  process.exit(1);
}

/** The newest checkpoint's frame, -1 without one. Every file must be what its name says, whole. */
function checkFolder(folder, when) {
  let newest = -1;
  for (const name of readdirSync(folder, { recursive: true })) {
    const path = join(folder, name);
    try {
      if (name.endsWith('.ckpt')) {
        const { frame } = decodeCheckpoint(readFileSync(path), path);
        if (basename(name) !== 'best.ckpt') newest = Math.max(newest, frame);
      } else if (name.endsWith('.lut')) decodeLut(readFileSync(path), path);
      else if (basename(name) === 'lock') JSON.parse(readFileSync(path, 'utf8'));
      else if (!basename(name).startsWith('.') && name !== 'w.checkpoints') fail(`${when}: ${path} should not be there`);
    } catch (error) {
      fail(`${when}: ${error.message}`);
    }
  }
  return newest;
}

/** Weights, and all tensors of the last checkpoint. */
function results(folder) {
  const last = readdirSync(join(folder, 'w.checkpoints')).filter((n) => n.startsWith('frame-')).sort().at(-1);
  const path = join(folder, 'w.checkpoints', last);
  const tensors = [...decodeCheckpoint(readFileSync(path), path).tensors.values()].map((t) => [t.name, Buffer.from(t.data)]);
  return new Map([['w.lut', readFileSync(join(folder, 'w.lut'))], ['its name', Buffer.from(last)], ...tensors]);
}

/** Runs, killed at a random moment of the first `span` ms of computing (or of starting), or once the state after frame `at` is written; neither given: to its end. Says how far it came. */
function killedRun(folder, more, span, at) {
  const child = spawn(process.execPath, args(more), { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  const timers = [];
  const killWithin = (ms) => timers.push(setTimeout(() => child.kill('SIGKILL'), Math.random() * ms));
  const atStart = Math.random() < 0.2;
  if (span !== undefined && atStart) killWithin(1500);
  let text = '';
  child.stderr.on('data', (data) => {
    const began = !text.includes('stage frames');
    text += data;
    if (at !== undefined && text.includes(`the state after ${at} frames`)) child.kill('SIGKILL');
    if (span !== undefined && !atStart && began && text.includes('stage frames')) killWithin(span);
  });
  return new Promise((resolve) =>
    child.on('close', (code, signal) => {
      for (const timer of timers) clearTimeout(timer);
      const reported = [...text.matchAll(/the state after (\d+) frames/g)].map((m) => +m[1]);
      resolve({ code, signal, text, reported: reported.at(-1) ?? -1 });
    }),
  );
}

const whole = cwd('whole');
const run = spawnSync(process.execPath, args([]), { cwd: whole, encoding: 'utf8' });
if (run.status !== 0) fail(`the run without a kill ended with ${run.status}: ${run.stderr}`);
checkFolder(whole, 'without a kill');
const expected = results(whole);
const [, seconds] = / in ([\d.]+) s /.exec(run.stderr);

let done = 0;
let rounds = 0;
for (; done < +kills; rounds++) {
  const folder = cwd(`round ${rounds}`);
  let newest = -1;
  for (;;) {
    const left = +kills - done;
    const resume = newest >= 0 ? ['--resume'] : [];
    const before = newest;
    const half = done === 0 ? Number(frames) / 2 : undefined;
    const span = left > 0 && half === undefined ? (seconds * 1500) / Math.min(left, 5) : undefined;
    const { code, signal, text, reported } = await killedRun(folder, resume, span, half);
    newest = checkFolder(folder, `after kill ${done + 1}`);
    if (newest < Math.max(before, reported)) fail(`after kill ${done + 1} the newest checkpoint is of frame ${newest}, but ${Math.max(before, reported)} was reported`);
    if (signal === 'SIGKILL') {
      done++;
      console.log(`kill ${done}: ${newest < 0 ? 'before the first checkpoint' : `goes on after frame ${newest}`}`);
    } else if (code === 0) break;
    else fail(`a run ended with ${code}: ${text}`);
  }
  const hidden = readdirSync(folder, { recursive: true }).filter((name) => basename(name).startsWith('.') || basename(name) === 'lock');
  if (hidden.length > 0) fail(`left over at the end: ${hidden.join(', ')}`);
  for (const [name, bytes] of results(folder)) if (!expected.get(name)?.equals(bytes)) fail(`${name} is not as without a kill`);
}
console.log(`${done} kills in ${rounds} runs of ${frames} frames: all files whole after each, ${expected.size} results as without a kill, bit for bit`);
rmSync(dir, { recursive: true });
