// Small things that the scripts share: the root folder, running a program, a line a step.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');
export const bin = (name) => join(root, 'node_modules', '.bin', name);

/**
 * Runs a program (in the root folder, unless told otherwise) with no input, to its end.
 * @param {{ env?: Record<string, string | undefined>, quiet?: boolean, cwd?: string }} options quiet: keep what it prints instead of showing it
 * @returns {Promise<{ code: number, output: string }>} the exit code (127 where it cannot be started) and, if quiet, all it printed
 */
export function run(command, args, { env = {}, quiet = false, cwd = root } = {}) {
  return new Promise((resolve) => {
    const stdio = quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'];
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text) => (output += text));
    child.on('error', (error) => resolve({ code: 127, output: `${command}: ${error.message}` }));
    child.on('close', (code, signal) => resolve({ code: code ?? 1, output: signal ? `${output}\n${command} was ended by ${signal}` : output }));
  });
}

/** The results of the jobs (functions that return promises), in their order; `most` of them run at a time, begun in that order. */
export async function inParallel(jobs, most) {
  const results = [];
  const queue = [...jobs.entries()];
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) results[next[0]] = await next[1]();
  };
  await Promise.all(Array.from({ length: most }, worker));
  return results;
}

/** Seconds since `start` (of performance.now()), as "1.2 s". */
export const since = (start) => `${((performance.now() - start) / 1000).toFixed(1)} s`;
