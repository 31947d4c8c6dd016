// What the tests of ts/gpu share: shaders compiled on the spot, the first device, child processes.
import { execFileSync, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDevice, type BufferView, type Device, type GpuBuffer, type Kernel, type KernelDesc, type Op } from '../../ts/gpu/index.js';
import { packageRoot } from '../../ts/root.js';
import { withoutBanner } from '../validation/banner.js';

/** A folder for this test file; the system's to clean. */
export const scratch = mkdtempSync(join(tmpdir(), 'vkpn-gpu-'));

/** SPIR-V of test/shaders/<name>.comp, which may include files of glsl/. */
export function compileShader(name: string): Uint8Array {
  const output = join(scratch, `${name}.spv`);
  const source = join(packageRoot, 'test', 'shaders', `${name}.comp`);
  const script = "import('glslang-validator').then(({ compile }) => compile({ source: process.argv[1], output: process.argv[2], includes: ['glsl'] }))";
  execFileSync(process.execPath, ['--input-type=module', '-e', script, source, output], { cwd: packageRoot, stdio: ['ignore', 'ignore', 'inherit'] });
  return readFileSync(output);
}

/** The first device, without a pipeline cache, closed after the file's tests; which must leave no validation message. */
export function useDevice(): { device: Device } {
  const holder = {} as { device: Device };
  beforeAll(() => {
    holder.device = openDevice({ index: 0, cacheDir: null });
  });
  afterAll(() => {
    const messages = holder.device.validationMessages();
    holder.device.close();
    expect(messages).toEqual([]);
  });
  return holder;
}

/** The device's methods, as an object that can be spread. */
export const deviceFace = (d: Device): Device => ({
  info: d.info, buffer: (...a) => d.buffer(...a), kernel: (...a) => d.kernel(...a), buildKernel: (...a) => d.buildKernel(...a), program: (...a) => d.program(...a), interrupt: () => d.interrupt(),
  memory: () => d.memory(), validationMessages: () => d.validationMessages(), close: () => d.close(),
});

/** Kernel of double-add.comp: target[i] = 2 * target[i] + source[i] + add + offset + scale for i < count. */
export function doubleAdd(device: Device, spirv: Uint8Array, spec: KernelDesc['spec'] = {}): Kernel {
  return device.kernel({ name: 'double-add', spirv, bindings: ['storage', 'storage'], pushBytes: 8, spec: { 0: 64, ...spec } });
}

export const words = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);

export async function readWords(buffer: GpuBuffer, offset = 0, bytes?: number): Promise<number[]> {
  const data = await buffer.read(offset, bytes);
  return [...new Uint32Array(data.buffer, data.byteOffset, data.byteLength / 4)];
}

/** A dispatch of double-add over `count` elements. */
export function doubleAddOp(kernel: Kernel, source: BufferView, target: BufferView, add: number, count: number): Op {
  return { op: 'dispatch', kernel, bindings: [source, target], push: words(add, count), groups: [Math.ceil(count / 64), 1, 1] };
}

/** Runs a piece of JavaScript, with ts/gpu as `gpu`, in a fresh process. Needs dist/ (npm run build). */
export function runScript(body: string, env: NodeJS.ProcessEnv = {}): SpawnSyncReturns<string> {
  const script = `const gpu = await import(${JSON.stringify(join(packageRoot, 'dist', 'gpu', 'index.js'))});\n${body}`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', timeout: 50_000, env: { ...process.env, ...env } });
  return { ...child, stdout: withoutBanner(child.stdout) };
}

/** As runScript, for a piece that ends in an error: what it throws. */
export function thrownBy(body: string, env: NodeJS.ProcessEnv): { code: string; message: string; hint: string; exitCode: number } {
  const child = runScript(
    `try { ${body}; console.log('{}'); } catch (e) { console.log(JSON.stringify({ code: e.code, message: e.message, hint: e.hint, exitCode: e.exitCode })); }`,
    env,
  );
  if (child.status !== 0) throw new Error(`the child ended with ${child.status ?? child.signal}: ${child.stderr}`);
  return JSON.parse(child.stdout) as ReturnType<typeof thrownBy>;
}
