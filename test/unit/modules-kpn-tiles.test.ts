// Pictures that are divided into tiles (ts/graph/tiles.ts): the result is the untiled one, bit by bit; tiles fit the memory allowed; what can't be
// divided says so.
import { loadSpirv } from '../../ts/gpu/index.js';
import { toHalf } from '../../ts/formats/half.js';
import { runGraph, type RunOptions, type RunSummary } from '../../ts/graph/run.js';
import type { ModuleType, PlanBuffer, PortShape } from '../../ts/graph/types.js';
import { weightsText, type ModelSpec } from '../../ts/model/spec.js';
import { kpn } from '../../ts/modules/kpn/kpn.js';
import { windowNeeds } from '../../ts/modules/kpn/window.js';
import { PIXELWISE } from '../../ts/modules/pixelwise.js';
import { random } from '../reference/index.js';
import { testWeights, NO_CHROMA } from '../kernels/step-cases.js';
import { useDevice } from './gpu-harness.js';

const gpu = useDevice();

const PLAIN: ModelSpec = { width: 32, layers: 1, levels: 3, context: 'star', pyramid: 'box', up: 'bspline', combine: 'blend', apply: 'softmax', ablend: 'sigmoid', act: 'lrelu', loss: 'l2', ...NO_CHROMA };

interface Case {
  model?: Partial<ModelSpec>;
  size: readonly [number, number];
  count?: number;
  format?: 'f16' | 'f32';
  /** Modules between source and sink. */
  chain?: number;
  frames?: number;
  spin?: number;
}

const ssbo = (m: ModelSpec): PortShape => ({ channels: 'ssbo', format: 'f16', width: m.width, height: (m.layers + 1) * m.width, count: 1, text: weightsText(m) });

/** A source whose contents are written in one write, each frame others. */
function source(name: string, shape: PortShape, data: (frame: number) => Uint8Array): ModuleType {
  return {
    name, doc: '', connectors: [{ name: 'output', type: 'source', channels: shape.channels, format: shape.format }], params: [],
    create: () => {
      let buffer: PlanBuffer;
      return {
        shapes: () => ({ output: shape }), build: (ctx) => void (buffer = ctx.output('output', { persistent: true })), windows: () => PIXELWISE,
        beforeFrame: (ctx, frame) => ctx.write(buffer, data(frame)), changesAt: () => true,
      };
    },
  };
}

interface Run {
  pictures: Uint8Array[];
  shapes: PortShape[];
  summary: RunSummary;
}

async function run({ model, size: [width, height], count = 1, format = 'f16', chain = 1, frames = 1, spin = 1 }: Case, options: Partial<RunOptions> = {}, module: ModuleType = kpn): Promise<Run> {
  const m = { ...PLAIN, ...model };
  const picture = (frame: number): Uint8Array => {
    const next = random(frame + 1);
    const values = Float32Array.from({ length: 4 * width * height * count }, next);
    return new Uint8Array(format === 'f16' ? toHalf(values).data.buffer : values.buffer);
  };
  const weights = new Uint8Array(toHalf(Float32Array.from(testWeights(m, 5, 1))).data.buffer);
  const pictures: Uint8Array[] = [];
  const shapes: PortShape[] = [];
  const sink: ModuleType = {
    name: 'o-test', doc: '', connectors: [{ name: 'input', type: 'sink', channels: 'rgba', format: '*' }], params: [],
    create: () => ({ shapes: () => ({}), build: () => undefined, windows: () => PIXELWISE, write: ({ shape, data }) => (pictures.push(data.slice()), shapes.push(shape), Promise.resolve('')) }),
  };
  const steps = Array.from({ length: chain }, (_, i) => `module:kpn:${i + 1}
connect:${i === 0 ? 'i-test:01' : `kpn:${i}`}:output:kpn:${i + 1}:input
connect:i-w:01:output:kpn:${i + 1}:w
param:kpn:${i + 1}:noise a:100000
param:kpn:${i + 1}:noise b:20
param:kpn:${i + 1}:spin:${spin}
`);
  const text = `frames:${frames}\nmodule:i-test:01\nmodule:i-w:01\nmodule:o-test:01\n${steps.join('')}connect:${chain > 0 ? `kpn:${chain}` : 'i-test:01'}:output:o-test:01:input\n`;
  const types = [source('i-test', { channels: 'rgba', format, width, height, count }, picture), source('i-w', ssbo(m), () => weights), sink, { ...module, name: 'kpn' }];
  const summary = await runGraph({ file: 'test.cfg', text, registry: new Map(types.map((t) => [t.name, t])), device: () => gpu.device, loadSpirv, ...options });
  return { pictures, shapes, summary };
}

/** Runs whole and in tiles; both must be the same, and there must be several tiles. */
async function same(c: Case, tile: number): Promise<RunSummary> {
  const whole = await run(c);
  const tiled = await run(c, { tile });
  expect(whole.summary.tiling).toBeUndefined();
  expect(tiled.summary.tiling!.tiles.length).toBeGreaterThan(1);
  expect(tiled.shapes[0]).toMatchObject({ width: c.size[0], height: c.size[1], count: c.count ?? 1 });
  expect(tiled.pictures.map((p, i) => Buffer.compare(p, whole.pictures[i]!))).toEqual(whole.pictures.map(() => 0));
  expect(tiled.pictures[0]!.byteLength).toBe(whole.pictures[0]!.byteLength);
  return tiled.summary;
}

describe('the same bits as whole', () => {
  test.each([
    [{ model: { levels: 1 }, size: [40, 23] }, 8],
    [{ model: { levels: 2, combine: 'prediff' }, size: [67, 45] }, 8],
    [{ model: { levels: 3 }, size: [150, 101] }, 16],
    [{ model: { levels: 3, pyramid: 'binomial', combine: 'postdiff' }, size: [151, 90], count: 2 }, 20],
    [{ model: { levels: 3, combine: 'postdiff', up: 'bilinear' }, size: [140, 70] }, 24],
    [{ model: { levels: 4, combine: 'prediff', pyramid: 'binomial', up: 'bilinear' }, size: [307, 21] }, 50],
    [{ model: { levels: 3, context: 'window', width: 64 }, size: [101, 60], format: 'f32' }, 16],
    [{ model: { levels: 2, context: 'wnorm', width: 64, pyramid: 'binomial' }, size: [60, 61] }, 12],
    [{ model: { levels: 5, context: 'norm' }, size: [13, 500] }, 100],
    [{ model: { levels: 3, context: 'guide', width: 64, chroma: true }, size: [101, 60] }, 16],
    [{ model: { levels: 2, context: 'guide', width: 64, combine: 'postdiff', chroma: true }, size: [67, 45] }, 12],
    [{ model: { levels: 6, pyramid: 'binomial' }, size: [700, 9] }, 120],
    [{ model: { levels: 7 }, size: [1100, 3] }, 130],
    [{ model: { levels: 3, context: 'guide', width: 64 }, size: [121, 60] }, 16],
    [{ model: { levels: 3, context: 'guide', width: 64, chroma: true, combine: 'postdiff', pyramid: 'binomial' }, size: [180, 31], count: 2 }, 24],
    [{ model: { levels: 2, chroma: true, combine: 'prediff' }, size: [70, 40] }, 12],
    [{ model: { levels: 2 }, size: [90, 40], chain: 2 }, 12],
    [{ model: { levels: 3 }, size: [101, 67], spin: 8 }, 16],
    [{ model: { levels: 3, combine: 'postdiff' }, size: [98, 35], count: 2, format: 'f32', spin: 8 }, 20],
    [{ model: { levels: 2, combine: 'prediff', pyramid: 'binomial' }, size: [70, 81], spin: 4 }, 12],
    [{ model: { levels: 3, context: 'guide', width: 64 }, size: [40, 101], spin: 2 }, 16],
    [{ model: { levels: 1 }, size: [33, 20], spin: 8 }, 7],
    [{ model: { levels: 2 }, size: [61, 40], chain: 2, spin: 4 }, 10],
  ] as const)('%j, tiles of %d', async (c, tile) => void (await same(c, tile)));

  test('frame by frame, each its own picture', async () => {
    await same({ size: [150, 40], frames: 3 }, 40);
  });

  test('without kpn: cut and put together', async () => {
    await same({ size: [31, 17], chain: 0, format: 'f32' }, 5);
  });
});

test.each([['blend', 1], ['prediff', 4]] as const)('a little less around the tiles is not enough: %s, spin %d', async (combine, spin) => {
  const c: Case = { model: { levels: 3, combine }, size: [150, spin > 1 ? 40 : 101], spin };
  const short: ModuleType = {
    ...kpn,
    create: (info) => {
      const instance = kpn.create(info);
      const { halo, align } = windowNeeds({ ...PLAIN, levels: 3, combine });
      return Object.assign(instance, { windows: () => ({ halo: spin > 1 ? halo : halo - align, align }) });
    },
  };
  const [whole, tiled] = [await run(c), await run(c, { tile: 16 }, short)];
  expect(Buffer.compare(whole.pictures[0]!, tiled.pictures[0]!)).not.toBe(0);
});

test('what surrounds a tile', () => {
  expect(windowNeeds({ ...PLAIN, levels: 1 })).toEqual({ halo: 2, align: 1 });
  expect(windowNeeds({ ...PLAIN, levels: 1, context: 'window', width: 64 })).toEqual({ halo: 4, align: 1 });
  const halos = (m: Partial<ModelSpec>): number[] => [1, 2, 3, 4, 5, 6, 7].map((levels) => windowNeeds({ ...PLAIN, ...m, levels }).halo);
  // The table of docs/architecture.md.
  expect(halos({})).toEqual([2, 6, 16, 32, 64, 128, 256]);
  expect(halos({ combine: 'prediff', pyramid: 'binomial' })).toEqual([6, 20, 40, 80, 160, 320, 640]);
});

test('within the memory allowed, in tiles as large as fit; the whole picture needs no room on the device', async () => {
  const c: Case = { size: [640, 480] };
  const whole = await run(c);
  const memory = 2 * 2 ** 20;
  expect(whole.summary.memory.bytes).toBeGreaterThan(memory);
  const { summary, pictures } = await run(c, { memory });
  expect(Buffer.compare(pictures[0]!, whole.pictures[0]!)).toBe(0);
  expect(summary.memory.bytes).toBeLessThanOrEqual(memory);
  expect(summary.memory.bytes).toBeGreaterThan(memory / 3);
  expect(summary.tiling!.tiles.length).toBeGreaterThan(1);
});

test('where buffers may not be large enough', async () => {
  const c: Case = { size: [200, 120] };
  const { info } = gpu.device;
  const limits = { ...info.limits, maxStorageBufferRange: 8 * 120 * 120 };
  const device = new Proxy(gpu.device, { get: (d, key) => (key === 'info' ? { ...info, limits } : (Reflect.get(d, key) as (() => void) | object) instanceof Function ? (Reflect.get(d, key) as () => void).bind(d) : (Reflect.get(d, key) as object)) });
  const { summary, pictures } = await run(c, { device: () => device });
  expect(summary.tiling!.tiles.length).toBeGreaterThan(1);
  expect(Buffer.compare(pictures[0]!, (await run(c)).pictures[0]!)).toBe(0);
});

describe('refused', () => {
  const thrown = async (c: Case, options: Partial<RunOptions>, module?: ModuleType): Promise<unknown> => run(c, options, module).then(() => 'it ran', (error: unknown) => error);

  test('too little for the least tile', async () => {
    const error = await thrown({ model: { levels: 5 }, size: [640, 480] }, { memory: 100_000 });
    expect(error).toMatchObject({ code: 'PICTURE_TOO_LARGE', exitCode: 2 });
    expect((error as Error).message).toMatch(/cannot run whole: it needs .* MiB of memory, and may use 0\.10 MiB of .*; nor tile by tile: even a tile of 16 x 16 pixels/);
  });

  test('a module that works on whole pictures', async () => {
    const other: ModuleType = { ...kpn, create: (info) => Object.assign(kpn.create(info), { windows: undefined }) };
    const error = await thrown({ size: [64, 48] }, { tile: 16 }, other);
    expect(error).toMatchObject({ code: 'PICTURE_TOO_LARGE' });
    expect((error as Error).message).toMatch(/--tile asks for tiles; nor tile by tile: kpn:1 works on whole pictures only/);
  });
});

test('an interrupt ends between tiles, and nothing half-made is handed on', async () => {
  const stop = new AbortController();
  const tiles: number[] = [];
  const { summary, pictures } = await run({ size: [200, 40] }, { tile: 16, signal: stop.signal, onTile: (done) => { tiles.push(done); if (done === 2) stop.abort(); } });
  expect(summary).toMatchObject({ stopped: true, done: 0 });
  expect(pictures).toEqual([]);
  expect(tiles.length).toBeLessThan(summary.tiling!.tiles.length);
});
