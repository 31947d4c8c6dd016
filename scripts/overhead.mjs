// node scripts/overhead.mjs [frames] [rounds] [device]: what everything that watches a training costs, and whether memory stays. The classic network on the sample
// photographs (one tile of 64 x 64 a frame), FRAMES frames (default 250,001): without anything, then with checkpoints, validation, logs and the report, in turn, so many rounds
// (default 3; 0: once with all of it). Weights must be the same bits. Exits with 1 where memory grew after the first 1,000 frames. Works offline, after npm run build; docs/testing.md keeps results.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clearInterval, setInterval } from 'node:timers';
import { root } from './run.mjs';

const [frames = '250001', rounds = '3', device] = process.argv.slice(2);
const dir = mkdtempSync(join(tmpdir(), 'vkpn-overhead-'));
const photos = join(root, 'examples', 'photos');
const held = readdirSync(photos).filter((n) => /^test_.*\.jpg$/.test(n)).map((n) => join(photos, n));

const common = ['train', photos, '-o', 'weights', '--preset', 'classic', '--batch', '1', '--alpha', '0.003', '--frames', frames, '--force', '-d', 'cli,pipe', ...(device ? ['--device', device] : [])];
const config = ['--config', 'param:i-set:01:names:train_*.jpg', 'param:i-set:01:reduce:1'];
const off = ['--holdout', '0', '--checkpoint', '0'];
const on = ['--validate', ...held, '--log', 'run.csv', '--checkpoint', '5', '--tensorboard', 'events', '--report', 'report.html'];

/** User and system seconds of a process and its threads; MB that are resident. */
function usage(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
    return { cpu: (Number(stat[11]) + Number(stat[12])) / 100, resident: Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024 };
  } catch {
    return undefined;
  }
}

/** MB in use on an NVIDIA device; undefined elsewhere: a CPU driver's memory is the process's own. */
function deviceMegabytes() {
  try {
    return Number(execFileSync('nvidia-smi', ['--query-gpu=memory.used', '--format=csv,noheader,nounits'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split('\n')[0]);
  } catch {
    return undefined;
  }
}
const hasDeviceMemory = deviceMegabytes() !== undefined;

/** Trains; how long the frames took, what the process took, and how memory went from frame 1,000 on, and from the first validation, which takes what the others use again. */
function train(more) {
  const begin = performance.now();
  const child = spawn(process.execPath, [join(root, 'bin', 'vkpn'), ...common, ...more, ...config], { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
  const samples = [];
  const series = [];
  let text = '';
  let last;
  const timer = setInterval(() => {
    const now = usage(child.pid);
    if (!now) return;
    last = now.cpu;
    series.push(now.resident.toFixed(0));
    const done = Number([...text.matchAll(/frame (\d+)\//g)].at(-1)?.[1] ?? 0);
    if (done >= 1000 && (!more.includes('--validate') || text.includes('| validation '))) samples.push({ resident: now.resident, device: hasDeviceMemory ? deviceMegabytes() : undefined });
  }, 500);
  child.stderr.on('data', (data) => (text += data));
  return new Promise((resolve) => child.on('close', (code) => {
    clearInterval(timer);
    const seconds = Number(/ in ([\d.]+) s /.exec(text)?.[1]);
    if (code !== 0 || !(seconds > 0)) {
      console.error(`ended with ${code}:\n${text.slice(-2000)}`);
      process.exit(1);
    }
    resolve({ seconds, cpu: last, wall: (performance.now() - begin) / 1000, samples, series, costs: [...text.matchAll(/^.*(?:training waited|the report took).*$/gm)].map(([line]) => line.replace('[pipe] ', '')), best: [...text.matchAll(/best after .*|best .* at \d+\)/g)].at(-1)?.[0] });
  }));
}

/** The most in the first and in the last quarter of the samples. */
const drift = (values) => {
  const part = Math.max(1, values.length >> 2);
  return [Math.max(...values.slice(0, part)), Math.max(...values.slice(-part))];
};
const rate = (r) => Number(frames) / r.seconds;
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

let failed = 0;
const all = { off: [], on: [] };
console.log('| round | with | frames/s | seconds: frames, process, CPU | resident MB: first and last quarter after frame 1,000 and the first validation | device MB |');
console.log('|---|---|---|---|---|---|');
const kinds = Number(rounds) > 0 ? [['off', off], ['on', on]] : [['on', on]];
for (let round = 1; round <= Math.max(1, Number(rounds)); round++) {
  const weights = [];
  for (const [name, more] of kinds) {
    const r = await train(more);
    all[name].push(r);
    weights.push(readFileSync(join(dir, 'weights.lut')));
    const memory = (key, slack) => {
      const values = r.samples.map((s) => s[key]).filter((v) => v !== undefined);
      if (values.length < 4) return '-';
      const [first, end] = drift(values);
      const grew = values.length >= 60 && end > 1.05 * first + slack;
      if (grew) failed++;
      return `${first.toFixed(0)}, ${end.toFixed(0)}${grew ? ' **grew**' : ''}`;
    };
    console.log(`| ${round} | ${name === 'on' ? 'everything' : 'nothing'} | ${rate(r).toFixed(1)} | ${r.seconds.toFixed(1)}, ${r.wall.toFixed(1)}, ${r.cpu?.toFixed(1)} | ${memory('resident', 16)} | ${memory('device', 4)} |`);
  }
  if (weights.length > 1 && !weights[0].equals(weights[1])) {
    failed++;
    console.log('**the weights differ**');
  }
}
const cost = (of) => `${(100 * (median(all.on.map(of)) / median(all.off.map(of)) - 1)).toFixed(2)} %`;
const checkpoints = readdirSync(join(dir, 'weights.checkpoints')).length;
const report = readFileSync(join(dir, 'report.html'), 'utf8');
const rows = readFileSync(join(dir, 'run.csv'), 'utf8').trim().split('\n').slice(1);
if (all.off.length > 0) console.log(`\nmedians: everything costs ${cost((r) => r.seconds)} of the frames' time, ${cost((r) => r.wall)} of the process's, ${cost((r) => r.cpu)} of its CPU time`);
console.log(`the last run: ${rows.filter((row) => row.split(',')[6] !== '').length} validations, ${rows.length} rows of the log, ${checkpoints} checkpoints kept, a report of ${statSync(join(dir, 'report.html')).size} bytes; ${all.on.at(-1).best ?? ''}`);
for (const line of all.on.at(-1).costs) console.log(line);
for (const [, what, time] of report.matchAll(/<td>(start-up|frames|of them: device|reading pictures|writing|checkpoints)<\/td><td>([^<]*)/g)) console.log(`${what}: ${time}`);
const { series } = all.on.at(-1);
console.log(`resident MB from beginning to end: ${series.filter((_, i) => i % Math.ceil(series.length / 40) === 0 || i === series.length - 1).join(' ')}`);
rmSync(dir, { recursive: true });
process.exitCode = failed ? 1 : 0;
