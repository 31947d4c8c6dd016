// What happens before a device is there: no loader, no driver, a driver that crashes, a cache that lies.
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../../ts/root.js';
import { withoutBanner } from '../validation/banner.js';
import { compileShader, runScript, scratch, thrownBy } from './gpu-harness.js';

const list = 'console.log(gpu.listDevices().length)';
let folders = 0;
/** An empty cache folder. */
const emptyCache = (): string => join(scratch, `cache-${folders++}`);

/** A manifest for a driver made from C source. */
function driver(name: string, code: string): string {
  const [source, library, manifest] = [join(scratch, `${name}.c`), join(scratch, `lib${name}.so`), join(scratch, `${name}.json`)];
  writeFileSync(source, code);
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, source]);
  writeFileSync(manifest, JSON.stringify({ file_format_version: '1.0.0', ICD: { library_path: library, api_version: '1.3.0' } }));
  return manifest;
}

const only = (manifest: string): NodeJS.ProcessEnv => ({ VK_DRIVER_FILES: manifest, VK_ICD_FILENAMES: manifest, XDG_CACHE_HOME: emptyCache() });

describe('without', () => {
  test('a Vulkan loader: what to install', () => {
    const error = thrownBy(list, { VKPN_VULKAN_LIBRARY: join(scratch, 'nothing.so'), XDG_CACHE_HOME: emptyCache() });
    expect(error).toMatchObject({ code: 'NO_LOADER', exitCode: 2 });
    expect(error.message).toContain('nothing.so');
    expect(error.hint).toMatch(/libvulkan1/);
  });

  // As of a container's user whom nobody entered anywhere, with HOME unset.
  test('a home folder: all goes on, and nothing is kept', () => {
    const homeless = "import os from 'node:os'; import { syncBuiltinESMExports } from 'node:module'; os.homedir = () => { throw new Error('uv_os_homedir returned ENOENT'); }; syncBuiltinESMExports();";
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(homeless)}`, XDG_CACHE_HOME: '', XDG_CONFIG_HOME: '' };
    const { status, stdout, stderr } = runScript(list, env);
    expect([status, stderr]).toEqual([0, '']);
    expect(Number(withoutBanner(stdout))).toBeGreaterThan(0);
  });

  test('a library that is a loader', () => {
    execFileSync('cc', ['-shared', '-o', join(scratch, 'empty.so'), '-x', 'c', '/dev/null']);
    const error = thrownBy(list, { VKPN_VULKAN_LIBRARY: join(scratch, 'empty.so'), XDG_CACHE_HOME: emptyCache() });
    expect(error).toMatchObject({ code: 'NO_LOADER' });
    expect(error.message).toMatch(/no Vulkan loader/);
  });

  test('any driver: what to install', () => {
    const error = thrownBy(list, only(join(scratch, 'missing.json')));
    expect(error).toMatchObject({ code: 'NO_DEVICE', exitCode: 2 });
    expect(error.hint).toMatch(/mesa-vulkan-drivers/);
  });
});

describe('a driver that', () => {
  test('aborts when it is loaded is named', () => {
    const manifest = driver('aborts', '#include <stdlib.h>\n__attribute__((constructor)) static void start(void) { abort(); }');
    const error = thrownBy(list, only(manifest));
    expect(error).toMatchObject({ code: 'DRIVER_CRASH', exitCode: 4 });
    expect(error.message).toContain(manifest);
    expect(error.message).toContain('SIGABRT');
    expect(error.hint).toContain('VK_DRIVER_FILES');
  });

  test('crashes when asked is told from a good one beside it', () => {
    const manifest = driver('crashes', 'void* vk_icdGetInstanceProcAddr(void* i, const char* n) { (void)i; (void)n; *(volatile int*)0 = 1; return 0; }');
    const good = driver('absent', 'int nothing;');
    const error = thrownBy(list, only(`${good}:${manifest}`));
    expect(error.code).toBe('DRIVER_CRASH');
    expect(error.message).toContain(manifest);
    expect(error.message).not.toContain(good);
    expect(error.message).toContain('SIGSEGV');
  });

  test('exits the process is no success', () => {
    const manifest = driver('exits', '#include <unistd.h>\n__attribute__((constructor)) static void start(void) { _exit(3); }');
    expect(thrownBy(list, only(manifest)).message).toMatch(/exit code 3/);
  });
});

describe('beside other work', () => {
  const start = 'gpu.prepareDevices(); const device = await gpu.startDevice({ index: 0 }); console.log(JSON.stringify({ message: device.info.name })); device.close()';

  test.each([
    ['aborts when it is loaded', 'SIGABRT', '#include <stdlib.h>\n__attribute__((constructor)) static void start(void) { abort(); }'],
    ['exits the process', 'exit code 3', '#include <unistd.h>\n__attribute__((constructor)) static void start(void) { _exit(3); }'],
    ['exits it with success', 'ended', '#include <unistd.h>\n__attribute__((constructor)) static void start(void) { _exit(0); }'],
  ])('a driver that %s is named', (name, how, code) => {
    const env = only(driver(`meanwhile-${name.replaceAll(' ', '-')}`, code));
    const error = thrownBy(start, env);
    expect(error).toMatchObject({ code: 'DRIVER_CRASH', exitCode: 4 });
    expect(error.message).toContain(env.VK_DRIVER_FILES);
    expect(error.message).toContain(how);
    expect(existsSync(join(env.XDG_CACHE_HOME!, 'vkpn'))).toBe(false);
  });

  test('what is missing is told', () => {
    expect(thrownBy(start, only(join(scratch, 'missing.json'))).code).toBe('NO_DEVICE');
    expect(thrownBy(start, { VKPN_VULKAN_LIBRARY: join(scratch, 'nothing.so'), XDG_CACHE_HOME: emptyCache() }).code).toBe('NO_LOADER');
  });

  test('a device opens, and the trial is not repeated', () => {
    const cache = emptyCache();
    const log = join(scratch, 'starts');
    // Each process that loads this says so: the command itself and the one trial.
    const counting = `import fs from 'node:fs'; fs.appendFileSync(${JSON.stringify(log)}, 'process\\n');`;
    const env = { XDG_CACHE_HOME: cache, NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(counting)}` };
    const processes = (): number => readFileSync(log, 'utf8').split('\n').length - 1;
    const first = runScript(start, env);
    expect([first.status, first.stderr, processes()]).toEqual([0, '', 2]);
    expect(runScript(start, env).stdout).toBe(first.stdout);
    expect(processes()).toBe(3);
  });
});

describe('the probe', () => {
  test('is not repeated while nothing changes, and its result is no device list', () => {
    const cache = emptyCache();
    const dir = join(cache, 'vkpn');
    const first = runScript(list, { XDG_CACHE_HOME: cache });
    expect(first.status).toBe(0);
    const files = readdirSync(dir).filter((name) => name.startsWith('probe-'));
    expect(files).toHaveLength(1);
    const { mtimeMs } = statSync(join(dir, files[0]!));
    expect(runScript(list, { XDG_CACHE_HOME: cache }).stdout).toBe(first.stdout);
    expect(statSync(join(dir, files[0]!)).mtimeMs).toBe(mtimeMs);
    writeFileSync(join(dir, files[0]!), 'ok');
    expect(runScript(list, { XDG_CACHE_HOME: cache }).stdout).toBe(first.stdout);
    expect(readFileSync(join(dir, files[0]!), 'latin1')).toMatch(/^VKPN/);
  });

  test('leaves no success behind where it failed', () => {
    const env = only(driver('aborts', '#include <stdlib.h>\n__attribute__((constructor)) static void start(void) { abort(); }'));
    for (let i = 0; i < 2; ++i) expect(thrownBy(list, env).code).toBe('DRIVER_CRASH');
    expect(existsSync(join(env.XDG_CACHE_HOME!, 'vkpn'))).toBe(false);
  });

  test('works where the cache folder cannot be written', () => {
    const file = join(scratch, 'a-file');
    writeFileSync(file, '');
    for (const cache of [file, join(file, 'below'), '/proc/nowhere']) {
      const child = runScript(list, { XDG_CACHE_HOME: cache });
      expect(child).toMatchObject({ status: 0, stderr: '' });
      expect(Number(child.stdout)).toBeGreaterThan(0);
    }
  });
});

describe('the pipeline cache', () => {
  const code = Buffer.from(compileShader('count')).toString('base64');
  /** Makes one kernel and program with the cache in `dir`, runs it once and prints what it counted. */
  const body = (dir: string): string =>
    `const device = gpu.openDevice({ index: 0, cacheDir: ${JSON.stringify(dir)} });
       const buffer = device.buffer('b', 256);
       buffer.fill(0);
       const kernel = device.kernel({ name: 'count', spirv: Buffer.from('${code}', 'base64'), bindings: ['storage'] });
       await device.program([{ op: 'dispatch', kernel, bindings: [{ buffer }], groups: [1, 1, 1] }]).run(1);
       console.log((await buffer.read())[0], device.validationMessages().length);
       device.close();`;
  const use = (dir: string): ReturnType<typeof runScript> => runScript(body(dir));
  const works = { stdout: '1 0\n', stderr: '', status: 0 };
  const only1 = (dir: string): string => {
    const files = readdirSync(dir);
    expect(files).toHaveLength(1);
    return join(dir, files[0]!);
  };

  test('is written once, and read', () => {
    const dir = emptyCache();
    expect(use(dir)).toMatchObject(works);
    const file = only1(dir);
    expect(file).toMatch(/pipelines-[0-9a-f]{32}\.bin$/);
    const { ino } = statSync(file);
    expect(use(dir)).toMatchObject(works);
    expect(statSync(only1(dir)).ino).toBe(ino); // not written anew: nothing was new
  });

  const damages: [string, (good: Buffer) => Buffer][] = [
    ['empty', () => Buffer.alloc(0)],
    ['truncated in the header', (good) => good.subarray(0, 50)],
    ['truncated in the data', (good) => good.subarray(0, good.length - 1)],
    ['longer', (good) => Buffer.concat([good, Buffer.from([0])])],
    ['of other magic', (good) => Buffer.concat([Buffer.from('VKPNPC9\n'), good.subarray(8)])],
    ['of another key', (good) => Buffer.concat([good.subarray(0, 8), Buffer.alloc(32), good.subarray(40)])],
    ['flipped in a bit of its data', (good) => Buffer.concat([good.subarray(0, -3), Buffer.from([good.at(-3)! ^ 4]), good.subarray(-2)])],
    ['random', (good) => Buffer.from(good.map((_, i) => Math.imul(i, 40503) >> 3))],
  ];
  test.each(damages)('that is %s is ignored and rewritten', (_name, damage) => {
    const dir = emptyCache();
    use(dir);
    const file = only1(dir);
    const good = readFileSync(file);
    writeFileSync(file, damage(good));
    expect(use(dir)).toMatchObject(works);
    expect(readFileSync(only1(dir)).subarray(0, 40)).toEqual(good.subarray(0, 40));
    expect(readFileSync(only1(dir))).toHaveLength(good.length);
  });

  test('in a folder that cannot be made: done without', () => {
    const file = join(scratch, 'another-file');
    writeFileSync(file, '');
    expect(use(join(file, 'below'))).toMatchObject(works);
  });

  test('serves several processes at once', async () => {
    const dir = emptyCache();
    const script = `const gpu = await import(${JSON.stringify(join(packageRoot, 'dist', 'gpu', 'index.js'))});\n${body(dir)}`;
    const start = (): Promise<{ stdout: string }> => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
    const all = await Promise.all(Array.from({ length: 4 }, start));
    expect(all.map(({ stdout }) => withoutBanner(stdout))).toEqual(Array.from({ length: 4 }, () => works.stdout));
    const before = readFileSync(only1(dir));
    expect(use(dir)).toMatchObject(works);
    expect(readFileSync(only1(dir))).toEqual(before); // intact: it was read and not written anew
  });

  test('forgets what was not used for a month, and leftovers', () => {
    const dir = emptyCache();
    mkdirSync(dir);
    const old = new Date(Date.now() - 40 * 24 * 3600 * 1000);
    const names = ['pipelines-old.bin', 'pipelines-x.bin.1.tmp', 'pipelines-new.bin', 'something else'];
    for (const name of names) writeFileSync(join(dir, name), '');
    execFileSync('touch', ['-d', old.toISOString(), join(dir, names[0]!), join(dir, names[1]!), join(dir, names[3]!)]);
    use(dir);
    expect(readdirSync(dir).sort().slice(1)).toEqual(['pipelines-new.bin', 'something else'].sort());
  });
});

// NVIDIA's driver (580) does, where threads that used it live to the end.
test('a driver that crashes at the very end spoils no run of the command', () => {
  const manifest = driver('crashes-at-exit', '__attribute__((destructor)) static void end(void) { *(volatile int*)0 = 1; }');
  const chosen = process.env.VK_DRIVER_FILES; // beside these, or beside all there are
  const env = { ...process.env, [chosen === undefined ? 'VK_ADD_DRIVER_FILES' : 'VK_DRIVER_FILES']: chosen === undefined ? manifest : `${chosen}:${manifest}`, XDG_CACHE_HOME: emptyCache() };
  const run = (...args: string[]): number | null => spawnSync(process.execPath, [join(packageRoot, 'bin', 'vkpn'), ...args], { cwd: scratch, env, stdio: 'ignore' }).status;
  const graph = [join(packageRoot, 'examples', 'demo.cfg'), '--last-frame-only', '--config', 'frames:1'];
  expect([run('cli', '-g', ...graph), run('cli', '-g', ...graph, 'param:kpn-t:01:width:33'), run('cli', '-g', 'missing.cfg')]).toEqual([0, 2, 2]);
  // That it crashes where nothing is done about it: else this shows nothing.
  expect(spawnSync(process.execPath, ['--input-type=commonjs', '-e', `const a = require('${join(packageRoot, 'build', 'Release', 'vkpn.node')}'); a.listDevices();`], { env }).signal).toBe('SIGSEGV');
});
