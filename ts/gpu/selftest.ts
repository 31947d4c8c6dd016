// Whether a device computes the matrix products that it lists: they are run in a child process, which may crash in a driver, and
// compared with the host's. A device that passed is trusted for a week, as long as driver, device and build stay the same.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fromHalf, toHalf } from '../formats/half.js';
import { packageRoot } from '../root.js';
import { CacheFile, sha256, userCacheDir } from './cache-dir.js';
import { openDevice } from './device.js';
import { loadSpirv } from './kernel.js';
import { machineKey, verdicts } from './probe.js';
import type { Device, DeviceInfo } from './types.js';

const week = 7 * 24 * 3600 * 1000;
const timeoutMs = 60_000;

export interface Tile {
  m: number;
  n: number;
  k: number;
  /** Sums in f16. */
  halfSums?: true;
}

/** What the child is asked. */
export interface Trial {
  index: number;
  path: string;
  tile: Tile;
}

/** Factors, and what the kernel must make of them. Row-major. */
export interface Product {
  factors: Uint16Array;
  sum: Float32Array;
}

/** Sixteenths from -4 to 4: their products and sums are exact in f32, and not in f16. For f16 sums whole numbers, exact there. */
export function makeProduct({ m, n, k, halfSums }: Tile): Product {
  const step = halfSums ? 1 : 16;
  let seed = 1;
  const random = (count: number): Float32Array => Float32Array.from({ length: count }, () => ((seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 16) % (8 * step + 1) / step - 4);
  const transposed = (x: Float32Array, rows: number): Float32Array => Float32Array.from(x, (_, i) => x[(i % rows) * (x.length / rows) + Math.floor(i / rows)]!);
  const a = random(m * k);
  const b = random(k * n);
  const sum = Float32Array.from({ length: m * n }, (_, i) => {
    let s = 0;
    for (let j = 0; j < k; ++j) s += a[Math.floor(i / n) * k + j]! * b[j * n + (i % n)]!;
    return s;
  });
  const all = [a, transposed(a, m), b, transposed(b, k)].flatMap((x) => [...x]);
  return { factors: toHalf(Float32Array.from(all)).data, sum };
}

/** What is wrong with a device's results; undefined: nothing. `sums`: A B and 2 A B in f32, `halves`: A B in f16, once or more. */
export function judge({ sum }: Product, sums: Float32Array, halves: Float32Array): string | undefined {
  const all = (i: number): number[] => Array.from({ length: halves.length / sum.length }, (_, k) => halves[k * sum.length + i]!);
  for (let i = 0; i < sum.length; ++i) {
    const x = sum[i]!;
    for (const [got, want, bound] of [[sums[i]!, x, 0], [sums[sum.length + i]!, 2 * x, 0], ...all(i).map((half) => [half, x, Math.abs(x) * 2 ** -10] as const)] as const)
      if (!(Math.abs(got - want) <= bound)) return `element ${i} of its product is ${got}, not ${want}`;
  }
  return undefined;
}

/** The variant of path khr that also makes an operand of a sum (VK_NV_cooperative_matrix2). */
export const CONVERTING = 'khr.resident';
const variantOf = (path: string, tile: Tile): string => `${path}${tile.halfSums ? '.half' : ''}`;

/** Runs one trial on an open device. Throws GpuError; returns what is wrong. */
export async function runTrial(device: Device, path: string, tile: Tile): Promise<string | undefined> {
  const { size, sizeControl, fullSubgroups } = device.info.subgroup;
  const { m, n } = tile;
  const variant = variantOf(path, tile);
  const product = makeProduct(tile);
  const buffer = (name: string, bytes: number): ReturnType<Device['buffer']> => device.buffer(name, bytes, { host: true });
  const factors = buffer('factors', product.factors.byteLength);
  const sums = buffer('sums', 8 * m * n);
  const halves = buffer('halves', (path === CONVERTING ? 4 : 2) * m * n);
  factors.write(product.factors);
  const kernel = device.kernel({
    name: `common/selftest.${variant}`, spirv: loadSpirv('common/selftest', variant), bindings: ['storage', 'storage', 'storage'],
    spec: { 0: size, 18: m, 19: n, 20: tile.k, 21: size, 22: 1 }, subgroupSize: sizeControl ? size : undefined, fullSubgroups: fullSubgroups || undefined,
  });
  const program = device.program([{ op: 'dispatch', kernel, bindings: [factors, sums, halves].map((b) => ({ buffer: b })), groups: [1, 1, 1] }], 'self-test');
  await program.run(1);
  const read = async (b: typeof sums): Promise<ArrayBuffer> => (await b.read()).slice().buffer;
  const verdict = judge(product, new Float32Array(await read(sums)), fromHalf(new Uint16Array(await read(halves))));
  program.destroy();
  for (const b of [factors, sums, halves]) b.destroy();
  return verdict;
}

/** The child: opens the device, runs the trial, prints the verdict. */
export async function child(trial: Trial): Promise<void> {
  const device = openDevice({ index: trial.index, cacheDir: null });
  const wrong = await runTrial(device, trial.path, trial.tile);
  device.close();
  process.stdout.write(JSON.stringify({ wrong: wrong ?? null }));
}

/** Verdicts of this process. */
const known = new Map<string, string | undefined>();

/** Why this path is not to be trusted with this tile, in words that go on from "it is listed, but"; undefined: it passed. */
export function selfTest(info: DeviceInfo, path: string, tile: Tile): string | undefined {
  const key = JSON.stringify([info.deviceUuid, info.driverUuid, info.name, info.driverInfo, info.apiVersion, path, tile, sha256(loadSpirv('common/selftest', variantOf(path, tile))).toString('hex'), machineKey()]);
  if (known.has(key)) return known.get(key);
  const dir = process.platform === 'linux' ? userCacheDir() : undefined;
  const passed = dir === undefined ? undefined : new CacheFile(dir, 'selftest', key);
  if (passed?.writtenWithin(week) === true) {
    known.set(key, undefined);
    return undefined;
  }
  const early = verdicts.find((v) => v.index === info.index && v.path === path && JSON.stringify(v.tile) === JSON.stringify(tile));
  const failure = early ? (early.wrong ?? undefined) : tryChild({ index: info.index, path, tile });
  if (failure === undefined) passed?.write(new Uint8Array(0));
  known.set(key, failure);
  return failure;
}

/** Runs the trial in a child process. */
export function tryChild(trial: Trial, script = join(packageRoot, 'dist', 'gpu', 'selftest-child.js')): string | undefined {
  if (!existsSync(script)) return `its self-test is not built (${script})`;
  const { status, signal, stdout, stderr, error } = spawnSync(process.execPath, [script, JSON.stringify(trial)], {
    stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs, encoding: 'utf8', env: { ...process.env, VKPN_NO_PROBE: '1' },
  });
  if (error !== undefined) return `the self-test did not end: ${error.message}`;
  if (signal !== null) return `the self-test of it crashed in the driver (${signal})`;
  try {
    // The last line: drivers and layers print too.
    const { wrong } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { wrong: string | null };
    if (status === 0) return wrong ?? undefined;
  } catch {
    // what it printed is no verdict
  }
  return `the self-test of it failed (exit code ${status ?? '?'}): ${stderr.trim().split('\n').at(-1) ?? ''}`;
}
