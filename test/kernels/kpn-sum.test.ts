// kpn/sum: dE/dw from its parts, unscaled, the parts of |g|^2, and the loss and bad pixels of level 0 (SPEC 3).
import { random } from '../reference/index.js';
import { useDevice } from '../unit/gpu-harness.js';
import { hyperBytes, readState } from '../../ts/modules/kpn-t/state.js';
import { HYPER, batchOf, caseOf, stateBytes, without } from './batch.js';
import { u } from './expected.js';
import { nodesOf, runKernel } from './harness.js';
import { compare, exactly } from './step-check.js';
import { bytesOf, values } from './step-run.js';

const gpu = useDevice();

test.each([
  { width: 32, layers: 1, size: [13, 9], tiles: 3 },
  { width: 64, layers: 2, size: [5, 3], tiles: 1 },
  { width: 32, layers: 3, size: [90, 70], tiles: 1 }, // more than one workgroup for the loss
] as const)('$width x $layers, $tiles of $size', async ({ width, layers, size, tiles }) => {
  const c = caseOf({ width, layers }, size, tiles);
  const batch = batchOf(c);
  const [node] = await nodesOf(gpu.device, c, /^sum$/);
  const bytes = (name: string): number => node!.uses.find((use) => use.name === name)!.bytes;
  const next = random(5);
  const parts = Float64Array.from({ length: bytes('parts') / 4 }, () => Math.fround(200 * (2 * next() - 1)));
  const pixels = size[0] * size[1] * tiles;
  const gradient = values(batch.contents.get('dEdO')!, 'f32').map((v, i) => (i % 4 < 3 ? v : next() < 0.1 ? -1 : Math.fround(next())));
  for (let i = 4 * pixels + 3; i < gradient.length; i += 4) gradient[i] = 1e6; // only level 0 counts
  const contents = without(batch, 'dEdw', 'norms').set('parts', bytesOf(parts, 'f32')).set('dEdO', bytesOf(gradient, 'f32'));
  const result = await runKernel(gpu.device, node!, contents);

  const count = (layers + 1) * width * width;
  const used = layers * width * width + 16 * width;
  const total = new Float64Array(count);
  const terms = new Float64Array(count);
  parts.forEach((v, i) => {
    if (i % count < used) [total[i % count]!, terms[i % count]!] = [total[i % count]! + v / batch.scale, terms[i % count]! + Math.abs(v) / batch.scale];
  });
  const dEdw = values(result.get('dEdw')!, 'f32');
  compare('dE/dw', dEdw, { value: total, bound: terms.map((t) => (parts.length / count) * u * t) });

  // Squares and losses are positive: 256 lanes, 8 levels of sums.
  const norms = values(result.get('norms')!, 'f32');
  const groups = count / 64;
  const squares = Float64Array.from({ length: groups }, (_, g) => dEdw.subarray(64 * g, 64 * (g + 1)).reduce((sum, v) => sum + v * v, 0));
  compare('|g|^2', norms.filter((_, i) => i < 2 * groups && i % 2 === 0), { value: squares, bound: squares.map((v) => 12 * u * v) });
  const losses = Array.from({ length: pixels }, (_, p) => gradient[4 * p + 3]!);
  const sumOf = (i: number): number => norms.filter((_, k) => k >= 2 * groups && k % 2 === i).reduce((sum, v) => sum + v, 0);
  const loss = losses.filter((v) => v >= 0).reduce((sum, v) => sum + v, 0);
  compare('loss', [sumOf(0)], { value: Float64Array.of(loss), bound: Float64Array.of((pixels / 256 + 12) * u * loss) });
  compare('bad pixels', [sumOf(1)], exactly(Float64Array.of(losses.filter((v) => v < 0).length)));
});

test.each([3, 300])('losses that are sums of blocks: %d tiles', async (count) => {
  const c = caseOf({ levels: 2 }, [3, 2], count, { params: { cascade: 'block' } });
  const [node] = await nodesOf(gpu.device, c, /^sum$/);
  const bytes = (name: string): number => node!.uses.find((use) => use.name === name)!.bytes;
  const next = random(7);
  const losses = Float64Array.from({ length: bytes('losses') / 4 }, (_, i) => (i % 4 === 0 ? Math.floor(3 * next()) : i % 4 === 3 ? Math.fround(next()) : 1e6));
  expect(losses.length).toBe(4 * count);
  const result = await runKernel(gpu.device, node!, without(batchOf(c), 'dEdw', 'norms').set('losses', bytesOf(losses, 'f32')).set('parts', new Uint8Array(bytes('parts'))));
  const [loss, bad] = [3, 0].map((k) => losses.filter((_, i) => i % 4 === k).reduce((sum, v) => sum + v, 0));
  const last = values(result.get('norms')!, 'f32').slice(-2);
  compare('loss', [last[0]!], { value: Float64Array.of(loss!), bound: Float64Array.of(16 * u * loss!) });
  compare('bad pixels', [last[1]!], exactly(Float64Array.of(bad!)));
});

test('a part that is infinite or NaN makes the norm so', async () => {
  const c = caseOf({}, [5, 3], 1);
  const batch = batchOf(c);
  const [node] = await nodesOf(gpu.device, c, /^sum$/);
  for (const bad of [NaN, Infinity]) {
    const parts = new Float64Array(node!.uses.find((use) => use.name === 'parts')!.bytes / 4);
    parts[700] = bad;
    const result = await runKernel(gpu.device, node!, without(batch, 'dEdw', 'norms').set('parts', bytesOf(parts, 'f32')));
    expect(values(result.get('norms')!, 'f32')[2 * Math.floor(700 / 64)]).toBe(bad);
  }
});

test.each([
  { width: 32, layers: 1, size: [13, 9], tiles: 3, huge: false },
  { width: 64, layers: 2, size: [90, 70], tiles: 1, huge: false },
  { width: 32, layers: 3, size: [5, 3], tiles: 1, huge: true }, // an update that would overflow: all weights are gone through
] as const)('the step by the last workgroup is that of a dispatch of its own: $width x $layers, huge $huge', async ({ width, layers, size, tiles, huge }) => {
  const c = caseOf({ width, layers }, size, tiles);
  const batch = batchOf(c);
  const next = random(6);
  const [sum, step] = await nodesOf(gpu.device, c, /^(sum|step)$/);
  const [joined] = await nodesOf(gpu.device, { ...c, params: { step: 'joined' } }, /^sum$/);
  expect([sum!.variant, step!.kernel, joined!.variant]).toEqual(['apart', 'kpn/step', 'steps']);
  const bytes = (name: string): number => joined!.uses.find((use) => use.name === name)!.bytes;
  const floats = (name: string, value: () => number): [string, Uint8Array] => [name, bytesOf(Float64Array.from({ length: bytes(name) / 4 }, value), 'f32')];
  const contents = new Map([...without(batch, 'dEdw', 'norms'), ...[
    floats('parts', () => Math.fround(200 * (2 * next() - 1))), floats('history', () => 7), floats('master', () => Math.fround(next() - 0.5)),
    floats('moment1', () => (huge ? 3e38 : Math.fround(next()))), floats('moment2', () => Math.fround(next())),
  ]]).set('state', stateBytes({ 0: 3, 1: 3, 4: { f: 128 }, 5: 3, 12: { f: 0.03 }, 13: { f: 0.003 }, 16: { f: Infinity } })).set('hyper', hyperBytes({ ...HYPER, history: bytes('history') / 4 }));
  const apart = await runKernel(gpu.device, step!, await runKernel(gpu.device, sum!, contents));
  const together = await runKernel(gpu.device, joined!, contents);
  for (const name of ['dEdw', 'norms', 'state', 'history']) expect([name, Buffer.compare(together.get(name)!, apart.get(name)!)]).toEqual([name, 0]);
  const state = readState(together.get('state')!);
  expect([state.frame, state.updates, state.overflows, new Uint32Array(together.get('state')!.slice().buffer)[24]]).toEqual([4, huge ? 3 : 4, huge ? 1 : 0, 0]);
});
