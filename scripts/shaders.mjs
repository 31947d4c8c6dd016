// From glsl/**/*.comp to dist/glsl/<dir>/<name>[.<variant>].spv. A shader says near its top what is built from it:
//   //! variant NAME [-DX=1 …] [vulkan1.3]    one build a line; without any, one build without a suffix
//   //! target vulkan1.3                      for all its builds (default: vulkan1.1)
// Only what changed is compiled: a build's key is a hash of compiler, arguments, and the file with all it includes.
// spirv-opt stays away: it is known to break modules with cooperative matrices.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { CompileError, compile, compilerVersion } from 'glslang-validator';

const SOURCE = 'glsl';
const OUTPUT = join('dist', 'glsl');
const MANIFEST = join(OUTPUT, '.manifest.json');
const PARALLEL = 2;

const filesUnder = (dir, ending) =>
  existsSync(dir) ? readdirSync(dir, { recursive: true }).filter((file) => file.endsWith(ending)).map((file) => join(dir, file)).sort() : [];

/** The builds that a shader's `//!` lines name: `{ source, output, defines, targetEnv }[]`. */
function buildsOf(source) {
  const variants = [];
  let target = 'vulkan1.1';
  for (const [index, line] of readFileSync(source, 'utf8').split('\n').entries()) {
    if (!line.startsWith('//!')) continue;
    const [directive, name, ...rest] = line.slice(3).trim().split(/\s+/);
    const isTarget = (word) => /^vulkan1\.\d$/.test(word);
    if (directive === 'target' && isTarget(name) && rest.length === 0) target = name;
    else if (directive === 'variant' && /^[\w.]+$/.test(name ?? '') && rest.every((word) => isTarget(word) || word.startsWith('-D')))
      variants.push({ name, defines: rest.filter((word) => word.startsWith('-D')), targetEnv: rest.find(isTarget) });
    else throw new Error(`${source}:${index + 1}: expected "//! variant NAME [-DX=1 …] [vulkan1.N]" or "//! target vulkan1.N"`);
  }
  const stem = join(OUTPUT, relative(SOURCE, source).replace(/\.comp$/, ''));
  if (variants.length === 0) return [{ source, output: `${stem}.spv`, defines: [], targetEnv: target }];
  return variants.map(({ name, defines, targetEnv }) => ({ source, output: `${stem}.${name}.spv`, defines, targetEnv: targetEnv ?? target }));
}

/** Adds a file and what it includes, by `#include "path from glsl/"` or beside it, to `seen`. A missing one is the compiler's to report. */
function collect(file, seen = new Map()) {
  if (seen.has(file) || !existsSync(file)) return seen;
  const text = readFileSync(file, 'utf8');
  seen.set(file, text);
  for (const [, name] of text.matchAll(/^\s*#\s*include\s+["<]([^">]+)[">]/gm)) {
    collect(join(SOURCE, name), seen);
    collect(join(dirname(file), name), seen);
  }
  return seen;
}

function keyOf(build, version) {
  const hash = createHash('sha256').update(JSON.stringify([version, build.defines, build.targetEnv]));
  for (const [file, text] of collect(build.source)) hash.update(`${file}\0${text}\0`);
  return hash.digest('hex');
}

function readManifest() {
  try {
    return JSON.parse(readFileSync(MANIFEST, 'utf8'));
  } catch {
    return {};
  }
}

/** What there is to do: builds out of date, files that no build makes any more, and all builds with their keys. */
async function plan() {
  const version = await compilerVersion();
  const before = readManifest();
  const builds = filesUnder(SOURCE, '.comp').flatMap(buildsOf).map((build) => ({ ...build, key: keyOf(build, version) }));
  const wanted = new Set(builds.map((build) => build.output));
  const outdated = builds.filter((build) => before[build.output] !== build.key || !existsSync(build.output));
  return { builds, outdated, stale: filesUnder(OUTPUT, '.spv').filter((file) => !wanted.has(file)) };
}

/** Lines about modules that are missing, out of date or left over; none: dist/glsl is what glsl/ says. Run from the root folder. */
export async function checkShaders() {
  const { outdated, stale } = await plan();
  return [...outdated.map(({ output }) => `${output} is missing or older than its source`), ...stale.map((file) => `${file} has no source`)];
}

/**
 * Brings dist/glsl up to date. Run from the root folder.
 * @returns {Promise<{ errors: string[], warnings: string[] }>} the compiler's lines, under the modules they are about
 */
export async function buildShaders() {
  const { builds, outdated, stale } = await plan();
  for (const file of stale) rmSync(file);
  // A shader's variants mostly share their errors: the compiler's lines -> the modules they were said of.
  const errors = new Map();
  const warnings = [];
  const failed = new Set();
  const queue = [...outdated];
  const worker = async () => {
    for (let build = queue.shift(); build; build = queue.shift()) {
      mkdirSync(dirname(build.output), { recursive: true });
      try {
        const log = await compile({ ...build, includes: [SOURCE] });
        if (log) warnings.push(`${build.output}:\n${log}`);
      } catch (error) {
        if (!(error instanceof CompileError)) throw error;
        failed.add(build.output);
        errors.set(error.log, [...(errors.get(error.log) ?? []), build.output]);
        // An old module must not pass for the new one.
        rmSync(build.output, { force: true });
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  mkdirSync(OUTPUT, { recursive: true });
  const keys = builds.filter((build) => !failed.has(build.output)).map((build) => [build.output, build.key]);
  writeFileSync(MANIFEST, JSON.stringify(Object.fromEntries(keys), null, 1));
  return { errors: [...errors].map(([log, outputs]) => `${outputs.join(', ')}:\n${log}`), warnings };
}
