// The same graph, seed, device and driver give the same bits, whatever the number of frames a submit (of which all but the first begin beside
// the end of the one before), with buffers that share memory or not.
import { loadSpirv } from '../../ts/gpu/kernel.js';
import { segmentsOf, stepName } from '../../ts/graph/plan.js';
import { runGraph, type RunAccess } from '../../ts/graph/run.js';
import type { ModuleType, PlanBuffer, PortShape } from '../../ts/graph/types.js';
import { modules } from '../../ts/modules/index.js';
import { random } from '../reference/index.js';
import { useDevice } from '../unit/gpu-harness.js';
import { PATHS } from './paths.js';
import { bytesOf } from './step-run.js';

const gpu = useDevice();

const shape: PortShape = { channels: 'rgba', format: 'f16', width: 40, height: 30, count: 1 };
const source: ModuleType = {
  name: 'i-test', doc: 'a picture', connectors: [{ name: 'output', type: 'source', channels: 'rgba', format: 'f16' }], params: [],
  create: () => {
    let buffer: PlanBuffer;
    const next = random(3);
    return {
      shapes: () => ({ output: shape }),
      build: (ctx) => void (buffer = ctx.output('output', { persistent: true })),
      beforeFrame: (ctx) => ctx.write(buffer, bytesOf(Float64Array.from({ length: 4 * 40 * 30 }, next), 'f16')),
    };
  },
};
const sink: ModuleType = {
  name: 'o-test', doc: 'reads', connectors: [{ name: 'input', type: 'sink', channels: 'ssbo', format: 'f16' }], params: [],
  create: () => ({ shapes: () => ({}), build: () => undefined, write: () => Promise.resolve('') }),
};

const registry = new Map([...modules, ['i-test', source], ['o-test', sink]] as [string, ModuleType][]);

const graph = (lines: readonly string[]): string => `module:i-test:01
module:cnngenin:01
module:kpn-t:01
module:o-test:01
connect:i-test:01:output:cnngenin:01:refi
connect:cnngenin:01:imgo:kpn-t:01:input
connect:cnngenin:01:refo:kpn-t:01:ref
connect:cnngenin:01:noiseab:kpn-t:01:noiseab
connect:kpn-t:01:w:o-test:01:input
param:cnngenin:01:generate:2
param:cnngenin:01:noise:log
param:cnngenin:01:size:12
param:cnngenin:01:batch:3
param:kpn-t:01:init:1
param:kpn-t:01:layers:1
param:kpn-t:01:levels:2
param:kpn-t:01:alpha:0.003
${lines.join('\n')}
`;

interface How {
  maxSlice?: number;
  shareMemory?: boolean;
  lines?: readonly string[];
  path?: string;
}

/** All that training keeps after the frames given, as one text of its bits. */
async function train(frames: number, { maxSlice, shareMemory, lines = [], path = 'plain' }: How = {}): Promise<string> {
  let state = '';
  await runGraph({
    file: 'test.cfg', registry, device: () => gpu.device, loadSpirv, lastFrameOnly: true, text: graph([`frames:${frames}`, `param:kpn-t:01:path:${path}`, ...lines]),
    ...(maxSlice === undefined ? {} : { maxSlice }), ...(shareMemory === undefined ? {} : { shareMemory }),
    inspect: async (access: RunAccess) => {
      for (const name of ['master', 'moment1', 'moment2', 'rounded', 'state', 'history'])
        state += `${name} ${Buffer.from(await access.readBuffer(access.buffer(`kpn-t:01 ${name}`))).toString('base64')}\n`;
      state += Buffer.from(await access.read('kpn-t:01', 'w')).toString('base64');
    },
  });
  return state;
}

test('500 frames, twice', async () => {
  const first = await train(500);
  expect(await train(500)).toBe(first);
});

test.each(PATHS)('path %s: any number of frames a submit, memory shared or not', async (path) => {
  const first = await train(60, { path });
  for (const maxSlice of [1, 7, 60]) expect(await train(60, { path, maxSlice })).toBe(first);
  expect(await train(60, { path, shareMemory: false })).toBe(first);
});

test("the next frame's data are made beside this frame's sums, and nothing else of it begins before there are new weights", async () => {
  let early: string[] = [];
  await runGraph({
    file: 'test.cfg', registry, device: () => gpu.device, loadSpirv, lastFrameOnly: true, text: graph(['frames:2']),
    inspect: ({ plan }) => {
      const segments = segmentsOf(plan.steps.length, plan.barriers);
      early = plan.steps.filter((_, i) => plan.leads[i]! > segments[i]!).map(stepName);
    },
  });
  expect(early).toEqual(['cnngenin:01 gen', 'cnngenin:01 tick', 'kpn-t:01 mip']);
});

test.each(PATHS)('path %s: levels one by one under the guide, chroma', async (path) => {
  const how = { path, lines: ['width:64', 'context:guide', 'chroma:1'].map((p) => `param:kpn-t:01:${p}`) };
  const first = await train(20, how);
  expect(await train(20, { ...how, maxSlice: 3 })).toBe(first);
  expect(await train(20, { ...how, shareMemory: false })).toBe(first);
});

test('other seeds, of weights and of data, give other weights', async () => {
  const first = await train(3);
  expect(await train(3, { lines: ['param:kpn-t:01:seed:2'] })).not.toBe(first);
  expect(await train(3, { lines: ['param:cnngenin:01:seed:2'] })).not.toBe(first);
  expect(await train(4)).not.toBe(first);
});
