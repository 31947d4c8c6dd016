// Finds a GLSL compiler that knows GL_KHR_cooperative_matrix, and runs it. No npm package that installs everywhere has one
// (the prebuilt one is too old), and neither has Debian 12: so this looks in several places and tries each with probe.comp.
import { execFile } from 'node:child_process';
import { access, mkdtemp, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const PREBUILT = 'glslang-validator-prebuilt-predownloaded';

export class CompileError extends Error {
  constructor(source, log) {
    super(`${source} does not compile:\n${log}`);
    this.name = 'CompileError';
    this.source = source;
    this.log = log;
  }
}

export class NoCompilerError extends Error {
  constructor(tried) {
    super(
      'no GLSL compiler found that knows GL_KHR_cooperative_matrix.\n' +
        tried.map(({ path, why }) => `  ${path}: ${why}\n`).join('') +
        'Run scripts/bootstrap.sh, which puts one into .deps/; or install glslang 13 or newer (Debian 13: apt-get install glslang-tools);\n' +
        'or name one in the environment variable VKPN_GLSLANG.',
    );
    this.name = 'NoCompilerError';
  }
}

/** Runs a program to its end. Resolves to its exit code (or a reason, where it did not start) and all it printed. */
function execute(file, args) {
  return new Promise((resolve) => {
    execFile(file, args, { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      resolve({ code: error ? (error.code ?? error.signal) : 0, output: (stdout + stderr).trim() });
    });
  });
}

async function run(compiler, { source, output, defines = [], includes = [], targetEnv = 'vulkan1.1' }) {
  const args = ['--quiet', '--target-env', targetEnv, ...includes.map((dir) => `-I${dir}`), ...defines.map((d) => (d.startsWith('-D') ? d : `-D${d}`))];
  const partial = `${output}.${process.pid}.tmp`;
  const { code, output: log } = await execute(compiler, [...args, '-o', partial, source]);
  if (code === 0) await rename(partial, output);
  else await rm(partial, { force: true });
  return { code, log };
}

/** The places to look in, best first; the same file may be named twice. */
function candidates() {
  if (process.env.VKPN_GLSLANG) return [process.env.VKPN_GLSLANG];
  const found = (process.env.PATH ?? '').split(delimiter).filter(Boolean).map((dir) => join(dir, 'glslangValidator'));
  try {
    found.push(createRequire(import.meta.url)(PREBUILT).getPath());
  } catch {
    // That package is not installed: it would be of use only if a newer one appeared.
  }
  return [...found, join(here, '..', '..', '.deps', 'bin', 'glslangValidator')];
}

async function find() {
  const tried = [];
  const scratch = await mkdtemp(join(tmpdir(), 'glslang-probe-'));
  try {
    for (const path of candidates()) {
      const there = await access(path).then(() => true, () => false);
      if (!there && path !== process.env.VKPN_GLSLANG) continue;
      const { code, log } = await run(path, { source: join(here, 'probe.comp'), output: join(scratch, 'probe.spv') });
      if (code === 0) return path;
      tried.push({ path, why: code === 'ENOENT' ? 'no such file' : (log.split('\n').find((line) => line.startsWith('ERROR')) ?? `failed with ${code}`) });
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  throw new NoCompilerError(tried);
}

/** The compiler's lines without those that follow from the others. */
const essence = (log) =>
  log
    .split('\n')
    .filter((line) => line.trim() && !/^ERROR: \d+ compilation errors|^ERROR: Linking .*Missing entry point|^SPIR-V is not generated/.test(line))
    .join('\n');

let path;
export function compilerPath() {
  path ??= find();
  return path;
}

export async function compilerVersion() {
  const { output } = await execute(await compilerPath(), ['--version']);
  return output.split('\n', 1)[0];
}

export async function compile(options) {
  const { code, log } = await run(await compilerPath(), options);
  if (code !== 0) throw new CompileError(options.source, essence(log) || `${log}\nthe compiler ended with ${code}`);
  return log;
}
