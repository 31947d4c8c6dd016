// node scripts/endurance.mjs [frames] [device]: 20,000 frames of the classic preset for both learning rates and activations that people
// use. Checks that the loss falls, that no result or weight is ever NaN, and that memory doesn't grow. Takes minutes on a GPU and
// half an hour on two CPU cores, so it is no part of `npm test`; docs/testing.md keeps its result.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './run.mjs';

const [frames = '20000', device] = process.argv.slice(2);
const dir = mkdtempSync(join(tmpdir(), 'vkpn-endurance-'));

/** Resident memory of a process in MB; undefined once it has ended. */
function residentMegabytes(pid) {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
  } catch {
    return undefined;
  }
}

/** Trains; resolves with what the progress lines said and how memory went. */
function train(params, count = frames) {
  const config = [`frames:${count}`, 'param:i-jpg:ref:hold:1000', 'param:kpn-t:01:preset:classic', ...params];
  const args = ['cli', '-g', join(root, 'examples', 'demo.cfg'), '--last-frame-only', '--progress', ...(device ? ['--device', device] : [])];
  const child = spawn(process.execPath, [join(root, 'bin', 'vkpn'), ...args, '--config', ...config], { cwd: dir });
  const seen = [];
  let text = '';
  child.stderr.on('data', (data) => {
    text += data;
    for (const m of String(data).matchAll(/frame (\d+)\/.*?([\d.]+) frames\/s.*loss (\S+).*skipped (\d+)/g))
      seen.push({ frame: +m[1], rate: +m[2], loss: +m[3], skipped: +m[4], memory: residentMegabytes(child.pid) });
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, seen, text })));
}

let failed = 0;
console.log('| alpha | activation | frames | frames/s | loss, first and last | skipped updates | memory after 1,000 frames and at the end |');
console.log('|---|---|---|---|---|---|---|');
for (const alpha of [0.003, 0.001]) {
  for (const act of ['lrelu', 'relu']) {
    const settings = [
      `param:kpn-t:01:alpha:${alpha}`, `param:kpn-t:01:act:${act}`, 'param:kpn-t:01:loss:l2', 'param:kpn-t:01:beta1:0.99', 'param:kpn-t:01:eps:0.0001',
      'param:kpn-t:01:decay:const', 'param:cnngenin:01:noise:vkdt',
    ];
    const [first] = (await train(settings, 1)).seen; // before training; the long run's first line comes later
    const { code, seen, text } = await train(settings);
    const last = seen.at(-1);
    const early = seen.find((s) => s.frame >= 1000 && s.memory !== undefined)?.memory;
    const late = seen.findLast((s) => s.memory !== undefined)?.memory;
    const problems = [];
    if (code !== 0) problems.push(`exit code ${code}: ${text.slice(-500)}`);
    else if (!(last.loss < first.loss)) problems.push('the loss did not fall');
    if (/not finite/.test(text) || seen.some((s) => !Number.isFinite(s.loss))) problems.push('results that are not finite');
    if (late > 1.05 * early + 16) problems.push('memory grew');
    failed += problems.length;
    console.log(`| ${alpha} | ${act} | ${last?.frame} | ${last?.rate} | ${first?.loss}, ${last?.loss} | ${last?.skipped} | ${early?.toFixed(0)} MB, ${late?.toFixed(0)} MB |${problems.map((p) => ` **${p}**`).join('')}`);
  }
}
rmSync(dir, { recursive: true });
process.exitCode = failed ? 1 : 0;
