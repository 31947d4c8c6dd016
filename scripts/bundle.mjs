// npm run bundle: everything that vkpn needs at run time in one folder, bundle/vkpn-<version>-linux-<arch>, and that folder as
// a .tar.xz: Node, the addon, SPIR-V, JavaScript with its dependencies, the Vulkan loader, samples. It runs from anywhere on a
// Linux machine that has a GPU driver, a C library at least as new as this machine's, and nothing else, not even a network.
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { root, run, since } from './run.mjs';

const MOST_MEGABYTES = 45;
/** Loaded only where the system has none: a system's own fits its driver. */
const FALLBACKS = {
  vulkan: ['libvulkan.so.1'],
  egl: ['libEGL.so.1', 'libGLdispatch.so.0'], // without a display, NVIDIA's Vulkan driver finds its devices through EGL
  cpp: ['libstdc++.so.6', 'libgcc_s.so.1'],
};

process.chdir(root);
const start = performance.now();
const { version, files } = JSON.parse(readFileSync('package.json', 'utf8'));
const name = `vkpn-${version}-linux-${process.arch}`;
const folder = join('bundle', name);
const archive = join('bundle', `${name}.tar.xz`);

function fail(message) {
  console.error(`bundle: ${message}`);
  process.exit(1);
}

/** Node's binary; one that was patched to a private C library would not start elsewhere. */
function nodeBinary() {
  const path = realpathSync(process.execPath);
  const head = Buffer.alloc(4096);
  readSync(openSync(path, 'r'), head);
  if (!/\0\/lib(64)?\/ld-linux[-\w]*\.so\.\d\0/.test(head.toString('latin1'))) fail(`${path} needs a C library at an unusual place; run this with the system's own node`);
  return path;
}

/** Where the linker finds a shared library. */
function libraryPath(library) {
  const listed = execFileSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8' }).split('\n').map((line) => line.match(/^\s*(\S+) \(.*x86-64.*\) => (\S+)$|^\s*(\S+) \(.*AArch64.*\) => (\S+)$/)).filter(Boolean);
  const found = listed.find((m) => (m[1] ?? m[3]) === library);
  if (!found) fail(`${library} is not installed here, and the bundle must carry it (Debian: apt install libvulkan1 libegl1 libstdc++6)`);
  return realpathSync(found[2] ?? found[4]);
}

/** Folders of the packages that run with ours, from node_modules; not the headers that the addon was built with. */
function productionPackages() {
  const listed = execFileSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const paths = listed.trim().split('\n').map((path) => relative(root, path));
  return paths.filter((path) => path.startsWith('node_modules') && basename(path) !== 'node-addon-api');
}

function copy(from, to, options = {}) {
  cpSync(from, join(folder, to), { recursive: true, dereference: true, ...options });
}

/** The one command. Written for /bin/sh: nothing else is certain to be there. */
const launcher = `#!/bin/sh
# vkpn with all it needs. Uses the system's Vulkan loader and C++ library where there are some, else those in lib/.
here=$(dirname "$(readlink -f "$0")")
listed=$( (/sbin/ldconfig -p || /usr/sbin/ldconfig -p || ldconfig -p) 2>/dev/null)
has() { case "$listed" in *"$1 "*) return 0 ;; esac; return 1; }
lend() { LD_LIBRARY_PATH="\${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$here/lib/$1"; export LD_LIBRARY_PATH; }
has libvulkan.so.1 || lend vulkan
has libEGL.so.1 || lend egl
has libstdc++.so.6 || lend cpp

# Containers often have NVIDIA's driver without its manifest, or with it where the loader doesn't look.
if [ -z "\${VK_DRIVER_FILES:-}\${VK_ICD_FILENAMES:-}\${VK_ADD_DRIVER_FILES:-}" ]; then
  manifest=
  [ -e /usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json ] && manifest=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json
  [ -z "$manifest" ] && has libGLX_nvidia.so.0 && manifest=$here/lib/nvidia_icd.json
  for known in /etc/vulkan/icd.d/nvidia*.json /usr/share/vulkan/icd.d/nvidia*.json /usr/local/share/vulkan/icd.d/nvidia*.json /usr/local/etc/vulkan/icd.d/nvidia*.json; do
    [ -e "$known" ] && manifest=
  done
  [ -n "$manifest" ] && export VK_ADD_DRIVER_FILES="$manifest"
fi
exec "$here/lib/node" "$here/app/bin/vkpn" "$@"
`;

const readme = `vkpn ${version} for Linux, with everything it needs but a GPU driver.

    ./vkpn devices                        what there is, and which path vkpn would take
    ./vkpn cli -g examples/GRAPH.cfg      run one of the sample graphs
    ./vkpn --help

Nothing is installed and nothing is fetched: unpack the folder anywhere, delete it to be rid of it.
What is under app/node_modules and lib/ has its own licences, which lie beside the code or are named in package.json.
`;

/** Runs the bundle's command in an empty folder with an empty environment. */
function inEmptyFolder(command, args) {
  const cwd = mkdtempSync(join(tmpdir(), 'vkpn-bundle-'));
  return run('env', ['-i', command, ...args], { quiet: true, cwd }).finally(() => rmSync(cwd, { recursive: true }));
}

const node = nodeBinary();
const built = await run(process.execPath, [join('scripts', 'build.mjs')]);
if (built.code !== 0) fail('the build failed');

rmSync(folder, { recursive: true, force: true });
rmSync(archive, { force: true });
mkdirSync(join(folder, 'lib'), { recursive: true });
for (const part of files.filter((part) => !['native', 'CMakeLists.txt', 'examples', 'prebuilds'].includes(part))) copy(part, join('app', part), { filter: (path) => !path.endsWith('.d.ts') });
copy('package.json', 'app/package.json');
for (const path of productionPackages()) copy(path, join('app', path), { filter: (file) => !file.slice(path.length + 1).split('/').includes('node_modules') });
copy('build/Release/vkpn.node', 'app/build/Release/vkpn.node');
copy('examples', 'examples');
copy('LICENSE', 'LICENSE');
copy(node, 'lib/node');
for (const [kind, libraries] of Object.entries(FALLBACKS)) for (const library of libraries) copy(libraryPath(library), join('lib', kind, library));
writeFileSync(join(folder, 'lib', 'nvidia_icd.json'), JSON.stringify({ file_format_version: '1.0.0', ICD: { library_path: 'libGLX_nvidia.so.0', api_version: '1.3.0' } }));
writeFileSync(join(folder, 'README.txt'), readme);
writeFileSync(join(folder, 'vkpn'), launcher);
chmodSync(join(folder, 'vkpn'), 0o755);
// Symbols are for debuggers; a machine without binutils keeps them.
if (existsSync('/usr/bin/strip')) execFileSync('/usr/bin/strip', ['--strip-unneeded', join(folder, 'lib', 'node'), join(folder, 'app/build/Release/vkpn.node')]);

const said = await inEmptyFolder(join(root, folder, 'vkpn'), ['--version']);
if (said.code !== 0 || said.output.trim() !== version) fail(`the bundled command does not start:\n${said.output}`);
const devices = await inEmptyFolder(join(root, folder, 'vkpn'), ['devices']);
// Without a driver here it can only say so.
if (devices.code !== 0 && !/Vulkan/.test(devices.output)) fail(`the bundled command cannot list devices:\n${devices.output}`);

if (devices.code === 0) {
  const trained = await inEmptyFolder(join(root, folder, 'vkpn'), ['cli', '-g', join(root, folder, 'examples/demo.cfg'), '--last-frame-only', '--config', 'frames:1']);
  if (trained.code !== 0) fail(`the bundled command cannot train:\n${trained.output}`);
}

if (!process.argv.includes('--folder-only')) {
  execFileSync('tar', ['-C', 'bundle', '--sort=name', '--owner=0', '--group=0', '--mtime=@0', '-cf', `${archive}.part`, '-I', 'xz -6 -T2', name]);
  execFileSync('mv', [`${archive}.part`, archive]);
  const megabytes = statSync(archive).size / 2 ** 20;
  console.log(`bundle: ${archive}, ${megabytes.toFixed(1)} MB`);
  if (megabytes > MOST_MEGABYTES) fail(`that is more than ${MOST_MEGABYTES} MB`);
}
console.log(`bundle: ${folder} (${since(start)})`);
