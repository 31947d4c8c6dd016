// vkpn bench on the first device: what it prints, what it refuses, and that a wrong result gets no time. Needs `npm run build`.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { runBench, type BenchOptions, type CaseResult } from '../../ts/bench/bench.js';
import { inferBytes, inferFlop, trainBytes, trainFlop } from '../../ts/bench/costs.js';
import { checkStep, firstGradient, prepareStep, type GraphRun } from '../../ts/bench/graphs.js';
import type { KpnT } from '../../ts/modules/kpn-t/kpn-t.js';
import type { State } from '../../ts/modules/kpn-t/state.js';
import { percentile } from '../../ts/bench/measure.js';
import { compare, Network } from '../../ts/bench/network.js';
import { mlpBackward, mlpForward, mulw, toHalf } from '../reference/index.js';
import { packageRoot } from '../../ts/root.js';
import { withoutBanner } from '../validation/banner.js';
import { deviceFace, useDevice } from '../unit/gpu-harness.js';

jest.setTimeout(180_000);

const gpu = useDevice();
const quick: Omit<BenchOptions, 'device'> = {
  paths: [{ name: 'plain' }], workloads: ['infer', 'train'], widths: [32], layers: [1], batches: [300], presets: ['classic'], tiles: [1],
  sizes: [{ width: 40, height: 24 }], spins: [1], seconds: 0.005, seed: 3,
};

function vkpn(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const child = spawnSync(process.execPath, [join(packageRoot, 'bin', 'vkpn'), 'bench', ...args], { encoding: 'utf8' });
  return { ...child, stdout: withoutBanner(child.stdout) };
}
const tiny = ['--paths', 'plain', '--widths', '32', '--layers', '1', '--batch', '300', '--seconds', '0.005'];

test('--json: device, yardsticks, cases with times and shares', () => {
  const { status, stdout, stderr } = vkpn(...tiny, '--workload', 'infer,train', '--seed', '9', '--json');
  expect([status, stderr]).toEqual([0, '']);
  const report = JSON.parse(stdout) as { device: { name: string }; seed: number; paths: string[]; yardsticks: { name: string; unit: string; rate: number }[]; cases: (CaseResult & { time: Record<string, number> })[] };
  expect(report.device.name).toBe(gpu.device.info.name);
  expect([report.seed, report.paths]).toEqual([9, ['plain']]);
  expect(report.yardsticks.slice(0, 2).map((y) => [y.name, y.unit])).toEqual([['copy', 'B/s'], ['vector f32', 'FLOP/s']]);
  expect(report.yardsticks.every((y) => y.rate > 1e7)).toBe(true);
  expect(report.cases.map((c) => [c.workload, c.path, c.width, c.layers, c.pixels])).toEqual([['infer', 'plain', 32, 1, 300], ['train', 'plain', 32, 1, 300]]);
  for (const { time: t } of report.cases) {
    expect(t['medianNs']).toBeGreaterThan(0);
    expect(t['p10Ns']).toBeLessThanOrEqual(t['medianNs']!);
    expect(t['p90Ns']).toBeGreaterThanOrEqual(t['medianNs']!);
    expect(t['repetitions']).toBeGreaterThanOrEqual(5);
    expect(t['pixelsPerSecond']).toBeCloseTo(300e9 / t['medianNs']!, 3);
    expect(t['share']).toBeCloseTo(t['flopPerSecond']! / report.yardsticks[1]!.rate, 9);
  }
});

test('the table: a line a case, and what a CPU gets smaller', () => {
  const { status, stdout } = vkpn('--paths', 'plain', '--workload', 'infer', '--widths', '32', '--layers', '1,2', '--batch', '300,301', '--seconds', '0.005');
  expect(status).toBe(0);
  const lines = stdout.split('\n');
  if (gpu.device.info.type === 'cpu') expect(stdout).toMatch(/a CPU: smaller defaults of --presets, --tiles/);
  const rows = lines.filter((line) => /^ {2}plain +32 +[12] +30[01] /.test(line));
  expect(rows).toHaveLength(4);
  expect(new Set([lines.find((line) => line.includes('median us'))!.length, ...rows.map((r) => r.length)]).size).toBe(1);
});

test.each([
  [['--paths', 'cuda'], /--paths can't be "cuda"/],
  [['--workload', 'infer,fly'], /--workload can't be "fly"/],
  [['--widths', '48'], /--widths can't be "48"/],
  [['--batch', '0'], /--batch can't be "0"/],
  [['--layers', '9'], /--layers can't be "9"/],
  [['--size', '40x30,40'], /--size can't be "40"/],
  [['--seconds', 'never'], /--seconds can't be "never"/],
  [['--paths', 'nv'], /has no path nv/],
])('%j is refused', (args, words) => {
  if (words.source.includes('nv') && gpu.device.info.features.nvCooperativeMatrix) return;
  const { status, stdout, stderr } = vkpn(...args);
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(words);
});

/** Runs the quick cases, with something written into a result before it is checked. */
const spoiled = async (workload: 'infer' | 'train', which: 'K' | 'gradient', at: number, word: number): Promise<CaseResult> => {
  const { cases } = await runBench({
    ...quick, device: gpu.device, workloads: [workload],
    tamper: (_workload, _path, results) => results[which]!.write(Uint32Array.of(word), 4 * at),
  });
  return cases[0]!;
};

test.each([
  ['infer', 'K', 0, 0x3c003c00, /^K of pixel 0, output [01], is 1, not /],
  ['infer', 'K', 300 * 8 - 1, 0xffffffff, /^K of pixel 299, output 14, is NaN/],
  ['train', 'K', 5, 0x3c003c00, /^K of pixel 0, output 1[01], is 1, not /],
  ['train', 'gradient', 32 * 7 + 3, 0, /^dE\/dw of layer 0, row 7, column 3, is 0, not /],
  ['train', 'gradient', 1024 + 32 * 16, 0x7fc00000, /^dE\/dw of layer 1, row 16, column 0, is NaN, not 0/],
] as const)('%s: a wrong value in %s at %i gets no time', async (workload, which, at, word, words) => {
  const result = await spoiled(workload, which, at, word);
  expect(result).not.toHaveProperty('time');
  expect((result as { wrong: string }).wrong).toMatch(words);
});

test('step and picture, against the plain path', async () => {
  const { cases } = await runBench({ ...quick, device: gpu.device, workloads: ['step', 'picture'] });
  expect(cases.map((c) => [c.workload, c.preset, c.pixels, 'time' in c])).toEqual([['step', 'classic', 5440, true], ['picture', 'classic', 40 * 24 + 20 * 12 + 10 * 6 + 5 * 3, true]]);
});

test("step and picture of a preset's network with other layers", async () => {
  const { cases } = await runBench({ ...quick, presetLayers: [1, 4], device: gpu.device, workloads: ['step', 'picture'] });
  expect(cases.map((c) => [c.workload, c.preset, c.layers, 'time' in c])).toEqual(['step', 'picture'].flatMap((workload) => [1, 4].map((layers) => [workload, 'classic', layers, true])));
  const step = await prepareStep(gpu.device, { preset: 'classic', layers: 4 }, 'plain', 1, 3);
  expect((await firstGradient(step)).length).toBe(5 * 32 * 32);
  step.destroy();
});

test('picture, denoised twice', async () => {
  const { cases } = await runBench({ ...quick, spins: [2], device: gpu.device, workloads: ['picture'] });
  expect(cases.map((c) => ['time' in c && c.time.ops.map(({ op }) => op)])).toEqual([[expect.arrayContaining(['kpn:01 denoise 0', 'kpn:01 turn, run 1', 'kpn:01 denoise 0, run 1', 'kpn:01 unturn, run 1'])]]);
});

// Classic's gradients overflow f16 now and then until their scale is found. A step that is skipped for that, as the last one, is none the worse.
test('step: the last of the checked steps was skipped', async () => {
  const start = async (): Promise<{ step: GraphRun; gradient: Float32Array; state: () => Promise<State> }> => {
    const step = await prepareStep(gpu.device, { preset: 'classic', layers: 3 }, 'plain', 1, 3);
    const node = step.node('kpn-t:01');
    return { step, gradient: await firstGradient(step), state: () => (node.instance as KpnT).readState(step.context(node)) };
  };
  const first = await start();
  let further = 0;
  while ((await first.state()).skipped === 0 && further < 300) further += (await first.step.program.run(1)).done;
  const { skipped, norm } = await first.state();
  expect([skipped, Number.isFinite(norm)]).toEqual([1, false]);
  first.step.destroy();
  const again = await start();
  expect(await checkStep(again.step, again.gradient, first.gradient, further)).toEqual({ deviation: { rms: 0, max: 0 } });
  again.step.destroy();
  const spoiled = await start();
  const kpnT = spoiled.step.node('kpn-t:01').instance as KpnT;
  spoiled.step.devicePlan.write(kpnT.buffers.master, Float32Array.of(NaN), 4 * 3);
  expect(await checkStep(spoiled.step, spoiled.gradient, first.gradient, 1)).toEqual({ wrong: 'after 2 steps weight 3 is NaN' });
  spoiled.step.destroy();
});

test('a batch that does not go on the device is skipped, with the reason', async () => {
  const { cases } = await runBench({ ...quick, device: { ...deviceFace(gpu.device), info: { ...gpu.device.info, limits: { ...gpu.device.info.limits, maxStorageBufferRange: 2 ** 24 } } }, workloads: ['infer'], batches: [2 ** 19] });
  expect(cases).toEqual([expect.objectContaining({ skipped: 'a buffer of 32 MiB is needed, and the device allows 16 MiB' })]);
});

// The host's network is what all is judged by: it must be the reference's.
test('the host network is the reference with f16 roundings', () => {
  const [width, layers, period, pixels] = [32, 2, 5, 13];
  const n = new Network({ width, layers }, period, 4);
  const shape = { width, layers, outputs: 16, act: 'lrelu' } as const;
  const weights = Float64Array.from(n.weights);
  const round = (name: string, data: Float64Array): void => {
    if (name !== 'Z' && name !== 'dw') data.forEach((v, i) => (data[i] = toHalf(v)));
  };
  const whole = (values: Float32Array, channels: number): Float64Array => Float64Array.from({ length: pixels * channels }, (_, i) => values[i % (period * channels)]!);
  const forward = mlpForward(shape, weights, whole(n.x, width), round);
  expect(forward.K).toEqual(whole(n.K, 16));
  const dA = mlpBackward(shape, weights, forward, whole(n.dK, 16), round);
  const want = mulw(shape, whole(n.x, width), forward, dA);
  n.gradient(pixels).forEach((v, i) => expect(Math.abs(v - want[i]!)).toBeLessThan(1e-12 * (1 + Math.abs(want[i]!))));
});

test('compare: NaN, a single value, many small ones', () => {
  const want = Float32Array.of(1, -1, 1, -1);
  const judge = (got: number[]): unknown => compare(Float32Array.from(got), want, { rms: 0.01, max: 0.1 }, (i) => `v${i}`);
  expect(judge([1, -1, 1, -1, 1, -1, 1, -1])).toEqual({ deviation: { rms: 0, max: 0 } });
  expect(judge([1, -1, 1, -1, 1, NaN, 1, -1])).toEqual({ wrong: 'v5 is NaN, not -1' });
  expect(judge([1, -1, 1.5, -1])).toEqual({ wrong: 'v2 is 1.5, not 1' });
  expect(judge([1.05, -1.05, 1.05, -1.05])).toHaveProperty('wrong', expect.stringMatching(/^root mean square error 5\.0e-2/));
});

test('costs and percentiles by hand', () => {
  expect([inferFlop(32, 6), trainFlop(32, 6), inferFlop(64, 6), trainFlop(64, 6)]).toEqual([13_312, 37_888, 51_200, 145_408]);
  expect([inferBytes(64), trainBytes(64, 6, 7), trainBytes(64, 6, 4), trainBytes(64, 6)]).toEqual([160, 128 + 6 * 128 + 32 + 32 + 7 * 128, 128 + 3 * 128 + 32 + 32 + 4 * 128, 128 + 6 * 128 + 32 + 32 + 6 * 128 + 6 * 128 + 7 * 128 + 6 * 128 + 32]);
  expect([percentile([4, 1, 3, 2], 50), percentile([1, 2], 10), percentile([7], 90)]).toEqual([2.5, 1.1, 7]);
});
