// npm run build [-- ts|native|shaders …] [--check]: everything from source into dist/ and build/, doing only what changed.
// --check builds nothing and fails if dist/glsl is not what glsl/ says.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { bin, root, run, since } from './run.mjs';

process.chdir(root);

const filesUnder = (dir) => (existsSync(dir) ? readdirSync(dir, { recursive: true, withFileTypes: true }) : []).filter((e) => e.isFile()).map((e) => join(e.parentPath ?? e.path, e.name)).sort();

/** TypeScript to dist/. */
async function buildTs() {
  // Compiled files whose source is gone would still be imported.
  for (const file of filesUnder('dist')) {
    const source = join('ts', relative('dist', file)).replace(/(\.d\.ts|\.js)$/, '.ts');
    if (/\.js$|\.d\.ts$/.test(file) && !existsSync(source)) rmSync(file);
  }
  const info = join('build', 'ts.tsbuildinfo');
  // tsc believes this file over its eyes.
  if (!existsSync(join('dist', 'root.js'))) rmSync(info, { force: true });
  const { code, output } = await run(bin('tsc'), ['-p', '.', '--incremental', '--tsBuildInfoFile', info, '--noEmitOnError', '--pretty', 'false'], { quiet: true });
  return code === 0 ? joinModules() : output;
}

/** dist/vkpn.cjs: the command's modules, but not other packages, in one file. Node takes 1 ms and more to find and load a module, and there are more than a hundred. */
async function joinModules() {
  const { build } = await import('esbuild');
  const file = join('dist', 'vkpn.cjs');
  const { outputFiles, warnings } = await build({
    entryPoints: [join('dist', 'cli', 'main.js')], outfile: file, write: false, bundle: true, packages: 'external', format: 'cjs', platform: 'node', target: 'node20', logLevel: 'silent',
    define: { 'import.meta.url': 'moduleUrl' }, banner: { js: "const moduleUrl = require('node:url').pathToFileURL(__filename).href;" },
  });
  if (warnings.length > 0) return warnings.map((w) => `${w.location?.file ?? file}: ${w.text}`).join('\n');
  writeFileSync(`${file}.new`, outputFiles[0].contents);
  renameSync(`${file}.new`, file); // whole at all times: tests may be running
  return '';
}

/** The addon, by cmake-js, to build/Release. */
async function buildNative() {
  const hash = createHash('sha256').update(JSON.stringify([root, process.arch, process.versions.modules]));
  for (const file of ['CMakeLists.txt', join('.deps', '.bootstrap'), ...filesUnder('native')]) if (existsSync(file)) hash.update(file).update(readFileSync(file));
  const key = hash.digest('hex');
  const stamp = join('build', 'native.stamp');
  const addon = existsSync('build/Release') && readdirSync('build/Release').some((name) => name.endsWith('.node'));
  if (addon && existsSync(stamp) && readFileSync(stamp, 'utf8') === key) return '';
  // cmake refuses a build folder that was configured under another path.
  const cache = join('build', 'CMakeCache.txt');
  if (existsSync(cache) && !readFileSync(cache, 'utf8').includes(`CMAKE_HOME_DIRECTORY:INTERNAL=${root}\n`)) rmSync('build', { recursive: true });
  // package.json's `binary` makes it a Node-API build: headers from the npm package node-api-headers, no download of Node's.
  const { code, output } = await run(bin('cmake-js'), ['compile', '--config', 'Release', '--parallel', '2'], { quiet: true });
  if (code !== 0) return output;
  mkdirSync('build', { recursive: true });
  writeFileSync(stamp, key);
  return '';
}

/** Shaders to dist/glsl. */
async function buildShaders() {
  const shaders = await import('./shaders.mjs');
  const { warnings, errors } = await shaders.buildShaders();
  for (const warning of warnings) console.log(warning);
  return errors.join('\n');
}

const parts = { ts: buildTs, native: buildNative, shaders: buildShaders };
const asked = process.argv.slice(2).filter((word) => word !== '--check');
const unknown = asked.find((word) => !Object.hasOwn(parts, word));
if (unknown !== undefined) {
  console.error(`build: no part ${unknown}; there are ts, native, shaders (none named: all)`);
  process.exit(2);
}

if (process.argv.includes('--check')) {
  const { checkShaders } = await import('./shaders.mjs');
  const lines = await checkShaders();
  if (lines.length > 0) console.error(`${lines.join('\n')}\nRun "npm run build".`);
  process.exit(lines.length > 0 ? 1 : 0);
}

for (const name of asked.length > 0 ? asked : Object.keys(parts)) {
  const start = performance.now();
  let problem;
  try {
    problem = await parts[name]();
  } catch (error) {
    problem = error.message;
  }
  if (problem) {
    console.error(`build: ${name} failed\n${problem.trimEnd()}`);
    process.exitCode = 1;
  } else console.log(`build: ${name} (${since(start)})`);
}
