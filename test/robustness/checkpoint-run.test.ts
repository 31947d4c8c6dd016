// Going on from a checkpoint, within this process: to the same bits; what is refused; inputs that vanish or change; state that no module names.
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkpointName } from '../../ts/checkpoint/folder.js';
import { decodeCheckpoint, type Checkpoint } from '../../ts/checkpoint/format.js';
import type { InputError } from '../../ts/errors.js';
import { loadSpirv } from '../../ts/gpu/index.js';
import { runGraph } from '../../ts/graph/run.js';
import type { ModuleType, PlanBuffer, PortShape } from '../../ts/graph/types.js';
import { readState } from '../../ts/modules/kpn-t/state.js';
import { compileShader, useDevice } from '../unit/gpu-harness.js';
import { FRAMES, picture, Training } from './training.js';

jest.setTimeout(120_000);
const gpu = useDevice();

/** Of one run without interruption. */
let whole: { w: Buffer; last: Checkpoint };
let t: Training;
const read = (frame: number): Checkpoint => decodeCheckpoint(readFileSync(join(t.checkpoints, checkpointName(frame))), '');
const bytes = (c: Checkpoint): [string, Buffer][] => [...c.tensors.values()].map((x) => [x.name, Buffer.from(x.data)]);
const sameAsWhole = (): void => {
  expect(t.look().w).toEqual(whole.w);
  expect(bytes(read(FRAMES))).toEqual(bytes(whole.last));
};

beforeEach(() => {
  t = new Training();
});
afterEach(() => t.remove());
beforeAll(async () => {
  t = new Training();
  await t.run(gpu.device, { every: { frames: 100 } });
  whole = { w: t.look().w!, last: read(FRAMES) };
  t.remove();
});

test('outliers are skipped, and what gradients usually are goes on with the rest', async () => {
  const config = ['frames:150', 'param:kpn-t:01:outlier:1'];
  const read150 = (): Checkpoint => decodeCheckpoint(readFileSync(join(t.checkpoints, checkpointName(150))), '');
  await t.run(gpu.device, { every: { frames: 1000 } }, { config });
  const once = { w: t.look().w, last: read150() };
  const { outliers, skipped, updates } = readState(once.last.tensors.get('kpn-t:01 state')!.data);
  expect(outliers).toBeGreaterThan(0);
  expect([skipped, updates + skipped]).toEqual([outliers, 150]);
  rmSync(t.checkpoints, { recursive: true });
  await t.run(gpu.device, {}, { config, stopAt: 40 });
  await t.run(gpu.device, { resume: true }, { config, stopAt: 125 });
  await t.run(gpu.device, { resume: true }, { config });
  expect(t.look().w).toEqual(once.w);
  expect(bytes(read150())).toEqual(bytes(once.last));
});

test('stopped anywhere and gone on, several times: the same weights, optimiser, history, counters', async () => {
  for (const [i, stopAt] of [7, 20, 38].entries()) {
    const { first, done, stopped, checkpoint } = await t.run(gpu.device, { resume: i > 0 }, { stopAt });
    expect([first, stopped, done >= stopAt, checkpoint?.frame]).toEqual([i === 0 ? 0 : expect.any(Number), true, true, done]);
  }
  const { first, done, stopped } = await t.run(gpu.device, { resume: true });
  expect([first >= 38, done, stopped]).toEqual([true, FRAMES, false]);
  sameAsWhole();
  expect(t.warnings.filter((m) => !/starts over/.test(m))).toEqual([]);
  const { tensors, ...info } = read(FRAMES);
  expect(info).toMatchObject({ frame: FRAMES, frames: FRAMES, seeds: { 'cnngenin:01': 1, 'kpn-t:01': 1 }, device: { device: gpu.device.info.name }, score: { name: 'loss' } });
  expect(info.graph.text).toContain('module:kpn-t:01\n');
  expect(['w', 'master', 'moment1', 'moment2'].map((n) => tensors.get(`kpn-t:01 ${n}`)?.shape)).toEqual(new Array(4).fill([4, 32, 32]));
  // And once more: nothing is left to do, nothing is touched.
  expect(await t.run(gpu.device, { resume: true })).toMatchObject({ first: FRAMES, done: FRAMES, stopped: false, files: [] });
  sameAsWhole();
});

test('checkpoints in frames come after just those frames; the last three and the best stay', async () => {
  const seen: number[] = [];
  await t.run(gpu.device, { every: { frames: 8 }, onCheckpoint: (_, frame) => seen.push(frame) });
  // One may be left out while the one before it is still being written.
  expect(seen.slice(0, -1).every((f) => f % 8 === 0 && f < FRAMES)).toBe(true);
  expect([seen.length >= 4, seen.at(-1)]).toEqual([true, FRAMES]);
  const { frames } = t.look();
  expect(Object.keys(frames).sort()).toEqual(['best.ckpt', ...seen.slice(-3).map(checkpointName)]);
  expect(seen).toContain(frames['best.ckpt']);
  expect(read(FRAMES).best!.frame).toBe(frames['best.ckpt']);
});

test('without being asked: none of a run that is short, none with every: 0, one of a run that is stopped', async () => {
  await t.run(gpu.device, {}, { config: ['frames:12'] });
  expect(t.look().frames).toEqual({});
  await t.run(gpu.device, { every: { seconds: 0 } }, { stopAt: 5 });
  expect(t.look().frames).toEqual({});
  await t.run(gpu.device, {}, { stopAt: 5 });
  expect(Object.keys(t.look().frames)).toHaveLength(2);
});

test('a changed graph is refused line by line, or gone on with; more frames are a change; another network never', async () => {
  await t.run(gpu.device, { every: { frames: 20 } }, { stopAt: 20 });
  const config = ['frames:70', 'param:kpn-t:01:alpha:0.02', '# a comment', 'param:kpn-t:01:warmup:8'];
  const lines = '\n  - frames:60\n  + frames:70\n  - param:kpn-t:01:alpha:0.01\n  + param:kpn-t:01:alpha:0.02';
  await expect(t.run(gpu.device, { resume: true }, { config })).rejects.toMatchObject({ code: 'RESUME_CHANGED', exitCode: 2, message: expect.stringMatching(new RegExp(`here\\):${lines.replace(/[+.()]/g, '\\$&')}$`)) as string });
  const { first, done } = await t.run(gpu.device, { resume: true, resumeAnyway: true }, { config });
  expect([first >= 20, done]).toEqual([true, 70]);
  expect(t.warnings.some((m) => m.includes(lines))).toBe(true);
  expect(read(70).tensors.get('kpn-t:01 history')!.shape).toEqual([70]);
  // The history before is kept.
  const history = (c: Checkpoint): Float32Array => new Float32Array(new Uint8Array(c.tensors.get('kpn-t:01 history')!.data).buffer);
  expect(history(read(70)).slice(0, 20)).toEqual(history(whole.last).slice(0, 20));
  expect(history(read(70)).slice(60).every((x) => x > 0)).toBe(true);
  await expect(t.run(gpu.device, { resume: true, resumeAnyway: true }, { config: ['param:kpn-t:01:layers:2', 'frames:99'] })).rejects.toMatchObject({ code: 'CKPT_SHAPE', exitCode: 2 });
  await expect(t.run(gpu.device, { resume: true, resumeAnyway: true }, { config: ['frames:30'] })).rejects.toMatchObject({ code: 'RESUME_FRAMES' });
});

test('a damaged newest checkpoint: told, the one before it taken, the same bits', async () => {
  await t.run(gpu.device, { every: { frames: 10 } }, { stopAt: 30 });
  const newest = Object.values(t.look().frames).sort((a, b) => b - a)[0]!;
  const path = join(t.checkpoints, checkpointName(newest));
  const damaged = readFileSync(path);
  damaged[damaged.length - 100]! ^= 4;
  rmSync(join(t.checkpoints, 'best.ckpt'));
  rmSync(path); // it may have two names
  writeFileSync(path, damaged);
  const { first } = await t.run(gpu.device, { resume: true });
  expect(first).toBeLessThan(newest);
  expect(t.warnings.some((m) => /no whole checkpoint: the checksum of .* is wrong; the one before it is tried/.test(m))).toBe(true);
  rmSync(join(t.checkpoints, 'previous'), { recursive: true });
  sameAsWhole();
});

test('nothing to go on from is an error, and leaves no folder', async () => {
  await expect(t.run(gpu.device, { resume: true })).rejects.toMatchObject({ code: 'CKPT_NONE', exitCode: 2 });
  await expect(t.run(gpu.device, { resume: join(t.dir, 'x.ckpt') })).rejects.toMatchObject({ code: 'CKPT_NONE' });
  expect(t.look().frames).toEqual({});
});

test.each([
  ['vanishes', (path: string) => renameSync(path, `${path}.away`), /p3\.pfm is missing/],
  ['changes its size', (path: string) => { renameSync(path, `${path}.away`); writeFileSync(path, picture(3, 25)); }, /p3\.pfm.*25x25/],
  ['is cut off', (path: string) => { renameSync(path, `${path}.away`); writeFileSync(path, picture(3).subarray(0, 700)); }, /p3\.pfm(:\d+)?: .*700/],
])('an input that %s in the middle of a run ends it with its name; all until then is kept, and goes on once the file is back', async (_, harm, message) => {
  const path = join(t.dir, 'p3.pfm');
  let harmed = false;
  const onSlice = (done: number): void => {
    if (!harmed && done >= 5) harm(path);
    harmed ||= done >= 5;
  };
  // Of a sequence the next file is read ahead: this one in frame 20.
  const error = (await t.run(gpu.device, {}, { onSlice }).catch((e: unknown) => e)) as InputError;
  expect([error.exitCode, error.format()]).toEqual([2, expect.stringMatching(message)]);
  expect(error.hint).toMatch(/The last checkpoint is .*frame-000000030\.ckpt \(after frame 30\): the same command with --resume/);
  renameSync(`${path}.away`, path);
  expect(t.look()).toMatchObject({ w: expect.any(Buffer) as Buffer, frames: { [checkpointName(30)]: 30 } });
  expect(await t.run(gpu.device, { resume: true })).toMatchObject({ first: 30, done: FRAMES });
  sameAsWhole();
});

test('at any moment no more could be lost than an interval, and the one before while its checkpoint is being written', async () => {
  const every = 5;
  const lost: number[] = [];
  const newest = (): number => Math.max(0, ...readdirSync(t.checkpoints).map((name) => Number(/^frame-(\d+)\.ckpt$/.exec(name)?.[1] ?? 0)));
  await t.run(gpu.device, { every: { frames: every } }, { maxSlice: 1, onSlice: (done) => void lost.push(done - newest()) });
  expect(lost).toHaveLength(FRAMES);
  expect(Math.max(...lost)).toBeLessThanOrEqual(2 * every);
  expect(Math.max(...lost)).toBeGreaterThanOrEqual(every); // it is looked at before the checkpoint is taken
});

test('a picture that was replaced between run and resume is told and refused, or gone on with; the same one written again is none', async () => {
  const path = join(t.dir, 'p1.pfm');
  const own = readFileSync(path);
  await t.run(gpu.device, {}, { stopAt: 20 });
  rmSync(path);
  writeFileSync(path, own);
  await t.run(gpu.device, { resume: true }, { stopAt: 30 });
  writeFileSync(path, picture(7));
  const error = (await t.run(gpu.device, { resume: true }).catch((e: unknown) => e)) as InputError;
  expect([error.code, error.exitCode]).toEqual(['RESUME_CHANGED', 2]);
  expect(error.format()).toMatch(/pictures were changed, added or removed.*\n *- input:i-pfm:ref:p1\.pfm:\d+ bytes, \w{16}\n *\+ input:i-pfm:ref:p1\.pfm:\d+ bytes, \w{16}\n[^]*--resume-anyway/);
  expect(error.format()).not.toContain('p0.pfm');
  await t.run(gpu.device, { resume: true, resumeAnyway: true }, { stopAt: 50 });
  expect(t.warnings.join()).toMatch(/with changed pictures/);
  // From there on it is the new picture that belongs to the run.
  expect((await t.run(gpu.device, { resume: true })).done).toBe(FRAMES);
  writeFileSync(path, own);
});

describe('modules that say nothing', () => {
  const shape: PortShape = { channels: 'rgba', format: 'f32', width: 8, height: 2, count: 1 };
  const seen: number[] = [];
  let host = 0;
  /** The frame in every value, and on the host the sum of the frames that it was called for. */
  const source: ModuleType = {
    name: 'i-frame', doc: '', params: [], connectors: [{ name: 'output', type: 'source', channels: 'rgba', format: 'f32' }],
    create: () => {
      let buffer: PlanBuffer;
      return {
        shapes: () => ({ output: shape }),
        build: (ctx) => void (buffer = ctx.output('output', { persistent: true })),
        changesAt: () => true,
        beforeFrame: (ctx, frame) => {
          host += frame;
          ctx.write(buffer, new Float32Array(64).fill(frame));
        },
        state: () => ({ save: () => host, restore: (value) => void (host = Number(value)) }),
      };
    },
  };
  const sum: ModuleType = {
    name: 'sum', doc: '', params: [],
    connectors: [{ name: 'input', type: 'read', channels: 'rgba', format: 'f32' }, { name: 'prev', type: 'read', channels: 'rgba', format: 'f32' }, { name: 'output', type: 'write', channels: 'rgba', format: 'f32' }],
    create: () => ({
      shapes: (ctx) => ({ output: ctx.input('input')! }),
      build: (ctx) => ctx.node({ label: 'sum', kernel: 'test/blend', push: new Uint8Array(4), groups: [4, 1, 1], uses: [{ buffer: ctx.port('input')!.buffer, access: 'r' }, { buffer: ctx.port('prev')!.buffer, access: 'r' }, { buffer: ctx.output('output'), access: 'w' }] }),
    }),
  };
  const sink: ModuleType = {
    name: 'o-rec', doc: '', params: [], connectors: [{ name: 'input', type: 'sink', channels: 'rgba', format: 'f32' }],
    create: () => ({ shapes: () => ({}), build: () => undefined, write: ({ data }) => (seen.push(new Float32Array(data.buffer, data.byteOffset, 1)[0]!), Promise.resolve('x')) }),
  };
  const text = 'frames:20\nmodule:i-frame:01\nmodule:sum:01\nmodule:o-rec:01\nconnect:i-frame:01:output:sum:01:input\nconnect:sum:01:output:o-rec:01:input\nfeedback:sum:01:output:sum:01:prev\n';

  test('what feedback hands on is kept by itself, what lies on the host by save and restore; so is the watcher\'s, whose score finds the best', async () => {
    const spirv = compileShader('blend');
    const watcher = { value: 0, save: () => watcher.value, restore: (v: unknown) => void (watcher.value = Number(v)) };
    const dir = join(t.dir, 'w.checkpoints');
    const stop = new AbortController();
    const run = (resume: boolean, stopAt: number) =>
      runGraph({
        file: 'a.cfg', text, registry: new Map([source, sum, sink].map((m) => [m.name, m])), device: () => gpu.device, loadSpirv: () => spirv, lastFrameOnly: true, signal: stopAt < 20 ? stop.signal : undefined,
        onSlice: (done) => void (watcher.value++, done >= stopAt && stop.abort()),
        checkpoint: { dir, every: { frames: 4 }, resume, watcher, score: () => ({ name: 'psnr', value: watcher.value <= 11 ? -watcher.value : 0 }) },
      });
    await run(false, 11);
    // Stopped after frame 11 with 11 slices, each better than the one before it; after it none is.
    const at11 = decodeCheckpoint(readFileSync(join(dir, checkpointName(11))), '');
    expect(at11).toMatchObject({ frame: 11, host: { 'i-frame:01': 55, watcher: 11 }, best: { name: 'psnr', value: -11, frame: 11 } });
    host = watcher.value = -1000;
    await run(true, 20);
    expect(seen).toEqual([55, 190]);
    expect([host, watcher.value]).toEqual([190, 20]);
    expect(t.look().frames['best.ckpt']).toBe(11);
  });
});

test('a module that computes nothing that could be lost keeps no checkpoints unless asked', async () => {
  const text = `frames:3\nmodule:i-pfm:a\nmodule:o-pfm:b\nconnect:i-pfm:a:output:o-pfm:b:input\nparam:i-pfm:a:filename:${t.dir}/p0.pfm\nparam:o-pfm:b:filename:${t.dir}/w.checkpoints`;
  const { modules } = await import('../../ts/modules/index.js');
  await runGraph({ file: 'a.cfg', text, registry: modules, device: () => gpu.device, loadSpirv, lastFrameOnly: true, checkpoint: {} });
  rmSync(join(t.dir, 'w.checkpoints.pfm'));
  expect(t.look().frames).toEqual({});
});
