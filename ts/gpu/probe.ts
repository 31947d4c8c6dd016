// Lets a child process load the addon and open every device first: a driver that crashes at that ends in a sentence.
// Success is remembered for a week, until something that matters changes, so that start-up stays fast.
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { GpuError } from '../errors.js';
import { home } from '../home.js';
import { packageRoot } from '../root.js';
import { CacheFile, userCacheDir } from './cache-dir.js';

const week = 7 * 24 * 3600 * 1000;
const timeoutMs = 120_000;

// What listing and opening devices throws on purpose is the parent's to report; the child is there for crashes.
const script = `
const addon = require(process.argv[1]);
try {
  for (const d of addon.listDevices()) {
    try { addon.closeDevice(addon.openDevice(d.index)); } catch {}
  }
} catch {}
`;

/** How the child ended, in words; undefined: well. */
function tryChild(addon: string, env: NodeJS.ProcessEnv): string | undefined {
  const child = spawnSync(process.execPath, ['--input-type=commonjs', '-e', script, addon], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: timeoutMs,
    encoding: 'utf8',
    env,
  });
  const timedOut = child.error !== undefined && 'code' in child.error && child.error.code === 'ETIMEDOUT';
  return ending({ code: child.status, signal: child.signal, timedOut, stderr: child.stderr ?? '' });
}

/** How a child ended, in words; undefined: well. */
function ending({ code, signal, timedOut, stderr }: { code: number | null; signal: string | null; timedOut: boolean; stderr: string }): string | undefined {
  if (code === 0) return undefined;
  const said = stderr.trim().split('\n').at(-1) ?? '';
  const how = timedOut ? `did not answer within ${timeoutMs / 1000} s` : signal !== null ? `crashed (${signal})` : `ended with exit code ${code ?? '?'}`;
  return said === '' ? how : `${how}; its last words: ${said}`;
}

/** The manifests of the drivers that the Vulkan loader will load on Linux. */
function driverManifests(): string[] {
  const chosen = process.env.VK_DRIVER_FILES ?? process.env.VK_ICD_FILENAMES;
  if (chosen !== undefined && chosen !== '') return chosen.split(delimiter).filter((path) => path !== '');
  const user = home() ?? '/';
  const config = [process.env.XDG_CONFIG_HOME ?? join(user, '.config'), ...(process.env.XDG_CONFIG_DIRS ?? '/etc/xdg').split(delimiter)];
  const data = [process.env.XDG_DATA_HOME ?? join(user, '.local/share'), ...(process.env.XDG_DATA_DIRS ?? '/usr/local/share:/usr/share').split(delimiter)];
  const folders = [...config, '/usr/local/etc', '/etc', ...data].map((dir) => join(dir, 'vulkan', 'icd.d'));
  return folders.flatMap((dir) => {
    try {
      return readdirSync(dir).filter((name) => name.endsWith('.json')).map((name) => join(dir, name));
    } catch {
      return [];
    }
  });
}

/** A file's identity: changes whenever the file does. */
function identity(path: string): string {
  try {
    const real = realpathSync(path);
    const { size, mtimeMs } = statSync(real);
    return `${real} ${size} ${mtimeMs}`;
  } catch {
    return `${path} -`;
  }
}

/** A manifest and the library it names; one found by a bare name changes with the linker's cache. */
function driverIdentity(manifest: string): string {
  let library = '';
  try {
    const text = JSON.parse(readFileSync(manifest, 'utf8')) as { ICD?: { library_path?: string } };
    library = text.ICD?.library_path ?? '';
  } catch {
    // an unreadable manifest is the loader's to ignore
  }
  return `${identity(manifest)} ${library.includes('/') ? identity(resolve(dirname(manifest), library)) : library}`;
}

let machine: string | undefined;

/** What the drivers find, as it was before one was loaded. */
function machineState(): string {
  const relevant = /^(VK_|VKPN_|LP_|GALLIUM_|MESA_|RADV_|LIBGL_|LD_|DISPLAY$|WAYLAND_DISPLAY$|NVIDIA_|CUDA_VISIBLE)/;
  const env = Object.entries(process.env).filter(([name]) => relevant.test(name)).sort();
  const files = [process.execPath, '/etc/ld.so.cache', '/sys/module/nvidia/version', '/dev/dri'].map(identity);
  return JSON.stringify([process.version, release(), env, files, driverManifests().map(driverIdentity)]);
}

/** Everything that may decide whether loading the drivers goes well; with a path of the addon its identity too. */
export function machineKey(addon?: string): string {
  machine ??= machineState();
  // Without one nothing stands for it: the identity of an empty path is that of the working folder, and no verdict was ever found again.
  return addon === undefined ? machine : JSON.stringify([machine, identity(addon)]);
}

/** The drivers that crash when they are the only one. */
function culprits(addon: string): string[] {
  const manifests = driverManifests();
  if (manifests.length === 1) return manifests;
  return manifests.filter((path) => tryChild(addon, { ...process.env, VK_DRIVER_FILES: path, VK_ICD_FILENAMES: path }) !== undefined);
}

/** What this process found out about an addon: how its child ended. */
const tried = new Map<string, string | undefined>();

interface Memory {
  passed: boolean;
  remember(): void;
}

/** Whether the trial was passed before. */
function memoryOf(addon: string): Memory {
  const key = machineKey(addon); // before any driver is loaded
  if (process.env.VKPN_NO_PROBE === '1') return { passed: true, remember: () => undefined };
  const dir = process.platform === 'linux' ? userCacheDir() : undefined;
  const file = dir === undefined ? undefined : new CacheFile(dir, 'probe', key);
  return { passed: file?.writtenWithin(week) === true, remember: () => file?.write(new Uint8Array(0)) };
}

/**
 * Tries the addon and every driver in a child process. VKPN_NO_PROBE=1 skips it.
 * @param addon path of the .node file
 * @throws GpuError DRIVER_CRASH where the child dies, naming the driver
 */
export function probe(addon: string): void {
  const { passed, remember } = memoryOf(addon);
  if (passed) return;
  if (!tried.has(addon)) tried.set(addon, tryChild(addon, process.env));
  const failure = tried.get(addon);
  if (failure === undefined) return remember();
  const guilty = culprits(addon);
  const who = guilty.length > 0 ? `the Vulkan driver ${guilty.join(' and ')}` : 'a Vulkan driver, layer or the GPU addon';
  throw new GpuError('DRIVER_CRASH', `${who}, tried in a child process, ${failure}`, {
    hint: "Update or remove that driver, or choose another one: VK_DRIVER_FILES=/path/to/its.json. VKPN_NO_PROBE=1 skips this trial.",
  });
}

/** What probe-child.ts says of a path's self-test. */
export interface Verdict {
  /** Of the device. */
  index: number;
  path: string;
  tile: object;
  /** null: nothing. */
  wrong: string | null;
}

/** What a line of the child's begins with: drivers print too. */
export const MARK = 'vkpn-probe ';

/** Verdicts of the child of `probeMeanwhile`: a self-test that it made needs no child of its own. */
export const verdicts: Verdict[] = [];

/**
 * `probe` where it was not passed before, while other work goes on: it will find how that ended. The child goes on to the first self-test, as this process
 * to the drivers. `opened`: when the trial is over; `ended`: when the child is. Neither rejects. Undefined: there is nothing to try.
 */
export function probeMeanwhile(addon: string): { opened: Promise<void>; ended: Promise<void> } | undefined {
  if (memoryOf(addon).passed) return undefined;
  const child = spawn(process.execPath, [join(packageRoot, 'dist', 'gpu', 'probe-child.js')], {
    stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, VKPN_NO_PROBE: '1' }, detached: true, // not ended by Ctrl-C: that would look like a crash
  });
  const limit = { passed: false, timer: setTimeout(() => (limit.passed = child.kill('SIGKILL')), timeoutMs) };
  let [stdout, stderr] = ['', ''];
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  let open: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (stdout + text).split('\n');
    stdout = lines.pop() ?? '';
    for (const line of lines.filter((l) => l.startsWith(MARK))) {
      const said = JSON.parse(line.slice(MARK.length)) as Verdict | 'opened';
      if (said !== 'opened') verdicts.push(said);
      else tried.set(addon, undefined);
      open();
    }
  });
  const ended = new Promise<void>((resolve) => {
    const end = (code: number | null, signal: string | null): void => {
      clearTimeout(limit.timer);
      if (!tried.has(addon)) tried.set(addon, ending({ code: code === 0 ? null : code, signal, timedOut: limit.passed, stderr }));
      open();
      resolve();
    };
    child.on('close', end);
    child.on('error', (error) => {
      stderr = error.message;
      end(null, null);
    });
  });
  return { opened, ended };
}
