// npm run lint: what can be checked without running anything. scripts/test.mjs counts each of these as one test.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bin, root, run, since } from './run.mjs';

const native = (...endings) => readdirSync('native').filter((file) => endings.some((ending) => file.endsWith(ending))).map((file) => join('native', file));

/** Runs a program quietly: its output if it fails, else ''. */
async function problems(command, args) {
  const { code, output } = await run(command, args, { quiet: true });
  return code === 0 ? '' : output.trim() || `${command} ended with ${code}`;
}

/** The same flags as CMakeLists.txt's, so that no compile database (and so no build) is needed. */
function compileFlags() {
  const folders = ['.deps/include', 'node_modules/node-addon-api', 'node_modules/node-api-headers/include'];
  return ['-std=c++17', ...folders.flatMap((dir) => ['-isystem', dir]), '-DNAPI_VERSION=8', '-DNODE_ADDON_API_CPP_EXCEPTIONS', '-DVK_NO_PROTOTYPES'];
}

/** clang-tidy over native/, a file a process; minutes of work, so files unchanged since they passed (headers included) are left out. */
async function clangTidy() {
  const stamp = join('build', 'clang-tidy.stamp');
  const headers = ['.clang-tidy', ...native('.h')].map((file) => readFileSync(file, 'utf8')).join('\0');
  const keyOf = (file) => createHash('sha256').update(headers).update(readFileSync(file)).digest('hex');
  const passed = new Set(existsSync(stamp) ? readFileSync(stamp, 'utf8').split('\n') : []);
  // third_party.cpp compiles other people's headers.
  const queue = native('.cpp').filter((file) => !file.endsWith('third_party.cpp') && !passed.has(keyOf(file)));
  const found = [];
  const worker = async () => {
    for (let file = queue.shift(); file; file = queue.shift()) {
      const key = keyOf(file);
      const output = await problems('clang-tidy', ['--quiet', file, '--', ...compileFlags()]);
      if (output) found.push(output.replace(/^\d+ warnings.*generated\.$|^Suppressed .*$|^Use -header-filter.*$/gm, '').trim());
      else passed.add(key);
    }
  };
  await Promise.all([worker(), worker()]);
  mkdirSync('build', { recursive: true });
  writeFileSync(stamp, [...passed].join('\n'));
  return found.join('\n');
}

/** The lock file must not tie anybody to one registry host. */
function lockFile() {
  const lines = readFileSync('package-lock.json', 'utf8').split('\n');
  return lines.flatMap((line, index) => (/"resolved": "\w+:/.test(line) ? [`package-lock.json:${index + 1}: names a host:${line}`] : [])).join('\n');
}

/** Name and check: '' or a text that says what is wrong. */
export const lints = [
  ['eslint', () => problems(bin('eslint'), ['--max-warnings', '0', '.'])],
  ['types', () => problems(bin('tsc'), ['-p', 'tsconfig.test.json', '--pretty', 'false'])],
  ['clang-format', () => problems('clang-format', ['--dry-run', '-Werror', ...native('.cpp', '.h')])],
  ['clang-tidy', clangTidy],
  ['lock file', lockFile],
];

/** Runs one check and says how it went. @returns whether it passed */
export async function report([name, check]) {
  const start = performance.now();
  let problem;
  try {
    problem = await check();
  } catch (error) {
    problem = error.message;
  }
  console.log(problem ? `FAIL ${name} (${since(start)})\n${problem}` : `PASS ${name} (${since(start)})`);
  return !problem;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.chdir(root);
  for (const lint of lints) if (!(await report(lint))) process.exitCode = 1;
}
