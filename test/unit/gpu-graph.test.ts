// Whole runs of small graphs on the device: feedback, animation, slices, sinks, stopping (DESIGN: how a frame runs).
import { InputError, OutputError } from '../../ts/errors.js';
import { runGraph, type RunOptions, type RunSummary } from '../../ts/graph/run.js';
import type { ModuleInstance, ModuleType, PlanBuffer, PortShape } from '../../ts/graph/types.js';
import { compileShader, useDevice } from './gpu-harness.js';

const gpu = useDevice();
let spirv: Uint8Array;
beforeAll(() => {
  spirv = compileShader('blend');
});

const shape: PortShape = { channels: 'rgba', format: 'f32', width: 8, height: 2, count: 1 };
const values = 64;
const pixels = (value: number): Float32Array => new Float32Array(values).fill(value);
const first = (data: Uint8Array): number => new Float32Array(data.buffer, data.byteOffset, 1)[0]!;

/** What the modules of one test saw. */
interface Record_ {
  uploads: number[];
  written: { frame: number; value: number; whole: boolean }[];
  writing: number;
  failWriteAt?: number;
}
let record: Record_;
beforeEach(() => {
  record = { uploads: [], written: [], writing: 0 };
});

/** `level` at the frame in every value; changes every `every` frames, fails at `failat`. */
const source: ModuleType = {
  name: 'i-level',
  doc: 'a source',
  connectors: [{ name: 'output', type: 'source', channels: 'rgba', format: 'f32' }],
  params: [
    { name: 'level', type: 'float', default: 1, animated: true, doc: 'the value' },
    { name: 'every', type: 'int', default: 0, min: 0, doc: 'level + frame, every so many frames' },
    { name: 'failat', type: 'int', default: -1, doc: 'the frame that has no file' },
    { name: 'width', type: 'int', default: 8, doc: 'pixels' },
  ],
  create: (): ModuleInstance => {
    let every = 0;
    let buffer: PlanBuffer;
    return {
      shapes: (ctx) => ((every = ctx.params.int('every')), { output: { ...shape, width: ctx.params.int('width') } }),
      build: (ctx) => void (buffer = ctx.output('output', { persistent: true })),
      beforeFrame: (ctx, frame) => {
        if (frame === ctx.params.int('failat')) throw new InputError('FILE_ENOENT', 'no such frame');
        record.uploads.push(frame);
        ctx.write(buffer, pixels(ctx.params.float('level', frame) + (every > 0 ? frame : 0)));
      },
      changesAt: (frame) => every > 0 && frame % every === 0,
    };
  },
};

/** output = input + prev + steps, in as many steps, each into a buffer of its own. */
const sum: ModuleType = {
  name: 'sum',
  doc: 'adds',
  connectors: [
    { name: 'input', type: 'read', channels: 'rgba', format: 'f32' },
    { name: 'prev', type: 'read', channels: 'rgba', format: 'f32', optional: true },
    { name: 'output', type: 'write', channels: 'rgba', format: 'f32' },
  ],
  params: [
    { name: 'steps', type: 'int', default: 1, doc: 'dispatches' },
    { name: 'add', type: 'float', default: 0, doc: 'added in each step' },
  ],
  create: () => ({
    shapes: (ctx) => ({ output: ctx.input('input')! }),
    build: (ctx) => {
      const { buffer: input } = ctx.port('input')!;
      const zero = ctx.buffer('zero', input.bytes, { init: 'zero' });
      const push = new Uint8Array(new Float32Array([ctx.params.float('add')]).buffer);
      const steps = ctx.params.int('steps');
      let from = input;
      for (let i = 0; i < steps; i++) {
        const to = i === steps - 1 ? ctx.output('output') : ctx.buffer(`step ${i}`, input.bytes);
        const previous = i === 0 ? (ctx.port('prev')?.buffer ?? zero) : zero;
        ctx.node({ label: `step ${i}`, kernel: 'test/blend', push, groups: [Math.ceil(input.bytes / 256), 1, 1], uses: [{ buffer: from, access: 'r' }, { buffer: previous, access: 'r' }, { buffer: to, access: 'w' }] });
        from = to;
      }
    },
  }),
};

const sink: ModuleType = {
  name: 'o-rec',
  doc: 'remembers',
  connectors: [{ name: 'input', type: 'sink', channels: 'rgba', format: 'f32' }],
  params: [],
  create: () => ({
    shapes: () => ({}),
    build: () => undefined,
    write: async ({ data }, frame) => {
      expect(record.writing++).toBe(0);
      await new Promise((done) => setTimeout(done, 3));
      record.writing--;
      if (frame === record.failWriteAt) throw new OutputError('WRITE_FAILED', 'the disk is full');
      const all = new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
      record.written.push({ frame, value: first(data), whole: all.every((x) => x === all[0]) });
      return `frame ${frame}`;
    },
  }),
};

const registry = new Map([source, sum, sink].map((m) => [m.name, m]));

const chain = `module:i-level:01
module:sum:01
module:o-rec:01
connect:i-level:01:output:sum:01:input
connect:sum:01:output:o-rec:01:input
`;
/** Each frame adds the level to what the frame before left. */
const adding = `${chain}feedback:sum:01:output:sum:01:prev\n`;

function run(text: string, more: Partial<RunOptions> = {}): Promise<RunSummary> {
  return runGraph({ file: 'test.cfg', text, registry, device: () => gpu.device, loadSpirv: () => spirv, lastFrameOnly: true, ...more });
}

const writtenValues = (): [number, number][] => record.written.map((w) => [w.frame, w.value]);

test('feedback reads zero in frame 0 and the frame before afterwards', async () => {
  await run(`${adding}frames:5\n`, { lastFrameOnly: false });
  expect(writtenValues()).toEqual([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]]);
  expect(record.written.every((w) => w.whole)).toBe(true);
});

test('many frames are few runs; a source that stays is uploaded once', async () => {
  let slices = 0;
  const summary = await run(`${adding}frames:3000\n`, { onSlice: () => void slices++ });
  expect(writtenValues()).toEqual([[2999, 3000]]);
  expect(record.uploads).toEqual([0]);
  expect(slices).toBeLessThan(300);
  expect([summary.done, summary.frames, summary.stopped, summary.files]).toEqual([3000, 3000, false, ['frame 2999']]);
});

test('a source that changes every 10 frames is uploaded just then, in the middle of slices', async () => {
  await run(`${adding}frames:35\nparam:i-level:01:every:10\n`);
  expect(record.uploads).toEqual([0, 10, 20, 30]);
  expect(writtenValues()).toEqual([[34, 10 * (1 + 11 + 21) + 5 * 31]]);
});

test('an animated parameter is read anew where it changes', async () => {
  await run(`${chain}frames:8\nkeyframe:2:i-level:01:level:0:0:0\nkeyframe:6:i-level:01:level:0:0:8\n`, { lastFrameOnly: false });
  expect(writtenValues()).toEqual([0, 0, 0, 2, 4, 6, 8, 8].map((v, f) => [f, v]));
  expect(record.uploads).toEqual([0, 3, 4, 5, 6]);
});

test('buffers that share memory do not disturb each other', async () => {
  let shared = 0;
  await run(`${adding}frames:4\nparam:sum:01:steps:6\nparam:sum:01:add:0.5\n`, { lastFrameOnly: false, onPlan: (plan) => void (shared = plan.buffers.length - plan.slots.length) });
  expect(shared).toBeGreaterThanOrEqual(3);
  expect(writtenValues()).toEqual([[0, 4], [1, 8], [2, 12], [3, 16]]);
});

test('stopping: what was done is whole, written once, and counted', async () => {
  const stop = new AbortController();
  const summary = await run(`${adding}frames:100000000\n`, { signal: stop.signal, onSlice: (done) => (done >= 50 ? stop.abort() : undefined) });
  expect(summary.stopped).toBe(true);
  expect(summary.done).toBeGreaterThanOrEqual(50);
  expect(writtenValues()).toEqual([[summary.done - 1, summary.done]]);
});

test('stopping in the middle of a run of the program answers soon', async () => {
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 400);
  const begin = performance.now();
  const summary = await run(`${adding}frames:100000000\n`, { signal: stop.signal, sliceSeconds: 60 });
  expect(performance.now() - begin).toBeLessThan(5000);
  expect(writtenValues()).toEqual([[summary.done - 1, summary.done]]);
});

test('stopped before it began: nothing is written', async () => {
  const summary = await run(`${adding}frames:10\n`, { signal: AbortSignal.abort() });
  expect([summary.done, summary.stopped, record.written, record.uploads]).toEqual([0, true, [], []]);
});

test('fps: frames begin no sooner than their time', async () => {
  const summary = await run(`${chain}frames:21\nfps:50\n`);
  expect(summary.seconds).toBeGreaterThan(0.38);
});

test('a source that fails in mid-run ends it, and what was computed is written', async () => {
  await expect(run(`${adding}frames:50\nparam:i-level:01:every:1\nparam:i-level:01:failat:7\n`)).rejects.toMatchObject({ code: 'FILE_ENOENT' });
  expect(writtenValues()).toEqual([[6, 1 + 2 + 3 + 4 + 5 + 6 + 7]]);
});

test('a sink that fails ends the run with its error', async () => {
  record.failWriteAt = 2;
  await expect(run(`${adding}frames:50\n`, { lastFrameOnly: false })).rejects.toMatchObject({ code: 'WRITE_FAILED', exitCode: 1 });
  expect(record.written.length).toBeLessThan(10);
  record = { uploads: [], written: [], writing: 0, failWriteAt: 49 };
  await expect(run(`${adding}frames:50\n`)).rejects.toMatchObject({ code: 'WRITE_FAILED' });
});

test('a graph that can never fit ends before anything is allocated', async () => {
  const before = gpu.device.memory().usage;
  await expect(run(`${chain}param:i-level:01:width:100000000000\n`)).rejects.toMatchObject({ code: 'OUT_OF_MEMORY', exitCode: 2, message: expect.stringMatching(/the graph needs \d+ MiB/) as string });
  expect(gpu.device.memory().usage).toBe(before);
});

test('a wrong graph never asks for a device', async () => {
  const device = jest.fn(() => gpu.device);
  await expect(run(`${chain}param:sum:01:stps:1\n`, { device })).rejects.toBeInstanceOf(InputError);
  expect(device).not.toHaveBeenCalled();
});

test('GPU times of each step, and the memory', async () => {
  const summary = await run(`${adding}frames:100\nparam:sum:01:steps:2\n`, { timestamps: true });
  expect(summary.stepNs.map((s) => [s.step, s.kernel])).toEqual([['sum:01 step 0', 'test/blend'], ['sum:01 step 1', 'test/blend'], ['sum:01 feedback output', 'copy']]);
  expect(summary.stepNs.every((s) => s.ns > 0 && s.ns < 1e9)).toBe(true);
  expect(summary.memory.bytes).toBe(summary.memory.pieces.reduce((n, p) => n + p.bytes, 0));
});

test('outputs and modules can be looked at after a run', async () => {
  let seen: [number, boolean] | undefined;
  await run(`${adding}frames:3\n`, { inspect: async (access) => void (seen = [first(await access.read('sum:01', 'output')), access.instance('i-level:01').beforeFrame !== undefined]) });
  expect(seen).toEqual([3, true]);
});
