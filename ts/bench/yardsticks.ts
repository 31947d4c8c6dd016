// What the device itself can do: the rates of matrix products in registers, of vector arithmetic, and of copying
// (glsl/bench/*.comp). Their results are checked too.

import { GpuError } from '../errors.js';
import { fromHalf, toHalf } from '../formats/half.js';
import { loadSpirv, type Device, type GpuBuffer, type KernelDesc, type Program } from '../gpu/index.js';
import type { MatrixPath, TileShape } from '../gpu/matrix.js';
import { randomUniform } from '../model/init.js';
import { launchOfSubgroups } from './subgroups.js';
import { measure, type Timing } from './measure.js';
import { repeatInto } from './mlp.js';

export interface Yardstick {
  /** "khr f32", "khr f16", "nv f32", …: matrix products with sums of that type; "vector f32", "vector f16"; "copy". */
  name: string;
  unit: 'FLOP/s' | 'B/s';
  /** By the median time. */
  rate: number;
  timing: Timing;
}

/** A kernel that does more the more `turns` it is pushed. */
interface Trial {
  name: string;
  desc: KernelDesc;
  buffers: GpuBuffer[];
  groups: number;
  /** Operations or bytes of `turns` turns. */
  work: (turns: number) => number;
  unit: Yardstick['unit'];
  /** What is wrong with the results of `turns` turns. */
  judge: () => Promise<string | undefined>;
  /** Fixed turns, or grow until a run takes long enough. */
  turns?: number;
}

/** A run should take this long, so that starting and ending it don't count. */
const leastNs = 2e6;
const mostTurns = 1 << 20;

/** Checks and times it. Throws GpuError WRONG_RESULT. */
async function run(device: Device, trial: Trial, seconds: number): Promise<Yardstick> {
  const { name, desc, buffers, groups, unit } = trial;
  const kernel = device.kernel(desc);
  const programOf = (turns: number): Program =>
    device.program([{ op: 'dispatch', kernel, bindings: buffers.map((buffer) => ({ buffer })), groups: [groups, 1, 1], push: new Uint8Array(Uint32Array.of(turns).buffer) }], name);
  let turns = trial.turns ?? 16;
  let program = programOf(turns);
  try {
    buffers[1]!.fill(0xffffffff);
    await program.run(1);
    const wrong = await trial.judge();
    if (wrong !== undefined) throw new GpuError('WRONG_RESULT', `${device.info.name}, ${name}: ${wrong}`);
    while (trial.turns === undefined && turns < mostTurns) {
      const { repeatNs = [Infinity] } = await program.run(4, { timestamps: true });
      if (Math.min(...repeatNs) > leastNs) break;
      turns *= 2;
      program.destroy();
      program = programOf(turns);
    }
    const timing = await measure(program, seconds);
    const again = await trial.judge();
    if (again !== undefined) throw new GpuError('WRONG_RESULT', `${device.info.name}, ${name}: ${again}`);
    return { name, unit, rate: trial.work(turns) / (timing.medianNs * 1e-9), timing };
  } finally {
    program.destroy();
    for (const buffer of buffers) buffer.destroy();
  }
}

/** All values `count` at `want[i % want.length]`. */
function firstWrong(got: ArrayLike<number>, want: ArrayLike<number>): string | undefined {
  for (let i = 0; i < got.length; ++i) if (got[i] !== want[i % want.length]) return `value ${i} is ${got[i]}, not ${want[i % want.length]}`;
  return undefined;
}

const readF32 = async (buffer: GpuBuffer): Promise<Float32Array> => new Float32Array((await buffer.read()).slice().buffer);
const readF16 = async (buffer: GpuBuffer): Promise<Float32Array> => fromHalf(new Uint16Array((await buffer.read()).slice().buffer));

/** Matrix products with sums in f32 or f16. */
export async function matrixRate(device: Device, path: MatrixPath, tile: TileShape, sums: 'f32' | 'f16', seconds: number, seed: number): Promise<Yardstick> {
  const { m, n, k } = tile;
  const [ms, ns] = [2, 4];
  const cpu = device.info.type === 'cpu';
  const random = randomUniform(seed);
  // Quarters up to 1: products and their sums are exact, in f16 too.
  const quarters = (count: number): Float32Array => Float32Array.from({ length: count }, () => Math.floor(9 * random()) / 4 - 1);
  const a = quarters(ms * m * k);
  const b = quarters(ns * k * n);
  const want = new Float64Array(m * n);
  for (let i = 0; i < ms; ++i)
    for (let j = 0; j < ns; ++j)
      for (let row = 0; row < m; ++row)
        for (let column = 0; column < n; ++column)
          for (let inner = 0; inner < k; ++inner) want[row * n + column]! += a[(i * m + row) * k + inner]! * b[(j * k + inner) * n + column]!;
  const { launch, perGroup } = launchOfSubgroups(device.info, tile, 4);
  const groups = cpu ? 16 : 8192;
  const factors = toHalf(Float32Array.of(...a, ...b, ...b.map((v) => -v))).data;
  const buffers = [device.buffer('factors', factors.byteLength), device.buffer('sums', groups * perGroup * m * n * (sums === 'f32' ? 4 : 2))];
  buffers[0]!.write(factors);
  const variant = `${path}${sums === 'f16' ? '.f16' : ''}${cpu ? '.rolled' : ''}`;
  return run(device, {
    name: `${path} ${sums}`, unit: 'FLOP/s', buffers, groups,
    desc: { name: `bench/matrix-rate.${variant}`, spirv: loadSpirv('bench/matrix-rate', variant), bindings: ['storage', 'storage'], pushBytes: 4, ...launch },
    work: (turns) => groups * perGroup * (2 * turns + 1) * ms * ns * 2 * m * n * k,
    judge: async () => firstWrong(sums === 'f32' ? await readF32(buffers[1]!) : await readF16(buffers[1]!), want),
  }, seconds);
}

/** Multiply-adds in f32, or in pairs of f16. */
export async function vectorRate(device: Device, type: 'f32' | 'f16', seconds: number, seed: number): Promise<Yardstick> {
  const chains = 8;
  const cpu = device.info.type === 'cpu';
  const local = cpu ? 64 : 256;
  const groups = cpu ? 64 : 8192;
  const random = randomUniform(seed);
  const start = Float32Array.from({ length: 4 * chains + 2 }, (_, i) => (i < 4 * chains ? Math.floor(17 * random()) / 4 - 2 : -1));
  const want = [0, 1].map((c) => {
    let sum = 0;
    for (let i = 0; i < chains; ++i) sum += start[2 * (chains + i) + c]! - start[2 * i + c]!;
    return sum;
  });
  const buffers = [device.buffer('start', start.byteLength), device.buffer('results', 8 * groups * local)];
  buffers[0]!.write(start);
  return run(device, {
    name: `vector ${type}`, unit: 'FLOP/s', buffers, groups,
    desc: { name: `bench/vector-rate.${type}`, spirv: loadSpirv('bench/vector-rate', type), bindings: ['storage', 'storage'], pushBytes: 4, spec: { 0: local } },
    work: (turns) => groups * local * (8 * turns + 1) * chains * 2 * 2,
    judge: async () => firstWrong(await readF32(buffers[1]!), want),
  }, seconds);
}

/** Memory: bytes read plus bytes written. */
export async function copyRate(device: Device, seconds: number, seed: number): Promise<Yardstick> {
  const cpu = device.info.type === 'cpu';
  const random = randomUniform(seed);
  const data = Uint32Array.from({ length: 65521 * 4 }, () => random() * 2 ** 32);
  const bytes = Math.min(cpu ? 2 ** 25 : 2 ** 29, 16 * Math.floor(device.info.limits.maxStorageBufferRange / 16));
  const local = 256;
  const buffers = [device.buffer('from', bytes), device.buffer('to', bytes)];
  await repeatInto(device, data, { buffer: buffers[0]! });
  const words = bytes / 16;
  return run(device, {
    name: 'copy', unit: 'B/s', buffers, groups: Math.ceil(words / (4 * local)), turns: words,
    desc: { name: 'bench/copy', spirv: loadSpirv('bench/copy'), bindings: ['storage', 'storage'], pushBytes: 4, spec: { 0: local } },
    work: () => 2 * bytes,
    judge: async () => {
      const to = await buffers[1]!.read();
      return firstWrong(new Uint32Array(to.buffer, to.byteOffset, bytes / 4), data);
    },
  }, seconds);
}
