// Runs kpn-t on data of the test's own, and keeps every buffer as each frame left it.
import { fromHalf, toHalf } from '../../ts/formats/half.js';
import type { Device } from '../../ts/gpu/types.js';
import { loadSpirv } from '../../ts/gpu/kernel.js';
import { runGraph, type GraphSource, type RunAccess } from '../../ts/graph/run.js';
import type { ModuleType, PlanBuffer, PortShape } from '../../ts/graph/types.js';
import { geometryOf, type Geometry } from '../../ts/modules/kpn/geometry.js';
import { kpnT } from '../../ts/modules/kpn-t/kpn-t.js';
import type { ModelSpec } from '../../ts/model/spec.js';
import type { Tile } from '../reference/index.js';
import { selectPath } from './paths.js';

export type PictureFormat = 'f16' | 'f32';

export interface StepCase {
  model: ModelSpec;
  /** Tiles of one size. */
  tiles: readonly Tile[];
  /** Further parameters of kpn-t. */
  params?: Record<string, string | number>;
  formats?: { input: PictureFormat; ref: PictureFormat };
  frames?: number;
  /** Initial weights (f16 values); without, kpn-t draws them. */
  weights?: Float64Array;
  /** Further lines of the graph. */
  lines?: string[];
  path?: string;
  /** Whether `debug` is connected, without which `rise` leaves no O. */
  shown?: boolean;
}

/** Every buffer of kpn-t by its short name, as a frame left it. */
export type Snapshot = Map<string, Uint8Array>;

/** "kpn-t:01 mip" -> "mip", "i-test:01:img" -> "img". */
export const shortName = (buffer: PlanBuffer): string => buffer.name.replace(/^[\w-]+:01[ :]/, '');

export const bytesOf = (values: ArrayLike<number>, format: PictureFormat): Uint8Array => {
  const f32 = Float32Array.from(values);
  return new Uint8Array(format === 'f32' ? f32.buffer : toHalf(f32).data.buffer);
};

/** rgba of all tiles; a fourth channel that must not matter. */
const rgba = (pictures: readonly Tile['input'][]): Float32Array =>
  Float32Array.from(pictures.flatMap((p) => Array.from({ length: 4 * p.width * p.height }, (_, i) => (i % 4 === 3 ? 7.5 : p.data[Math.floor(i / 4) * p.channels + (i % 4)]!))));

/** A source whose outputs hold the case's data. */
function dataSource(c: StepCase): ModuleType {
  const { input, ref } = c.formats ?? { input: 'f16', ref: 'f16' };
  const { width, height } = c.tiles[0]!.input;
  const picture = (format: PictureFormat): PortShape => ({ channels: 'rgba', format, width, height, count: c.tiles.length });
  const { model } = c;
  const weights = c.weights ?? new Float64Array(1);
  const contents: Record<string, { shape: PortShape; data: Uint8Array }> = {
    img: { shape: picture(input), data: bytesOf(rgba(c.tiles.map((t) => t.input)), input) },
    ref: { shape: picture(ref), data: bytesOf(rgba(c.tiles.map((t) => t.reference)), ref) },
    noise: { shape: { channels: 'ssbo', format: 'f32', width: 2, height: c.tiles.length, count: 1 }, data: bytesOf(c.tiles.flatMap((t) => [t.noise.a, t.noise.b]), 'f32') },
    w: { shape: { channels: 'ssbo', format: 'f16', width: c.weights ? model.width : 1, height: weights.length / (c.weights ? model.width : 1), count: 1 }, data: bytesOf(weights, 'f16') },
  };
  return {
    name: 'i-test',
    doc: 'the data of a test',
    connectors: Object.entries(contents).map(([name, { shape }]) => ({ name, type: 'source', channels: shape.channels, format: shape.format })),
    params: [],
    create: () => {
      const buffers = new Map<string, PlanBuffer>();
      return {
        shapes: () => Object.fromEntries(Object.entries(contents).map(([name, { shape }]) => [name, shape])),
        build: (ctx) => Object.keys(contents).forEach((name) => buffers.set(name, ctx.output(name, { persistent: true }))),
        beforeFrame: (ctx, frame) => {
          if (frame === 0) for (const [name, { data }] of Object.entries(contents)) ctx.write(buffers.get(name)!, data);
        },
      };
    },
  };
}

const sink = (name: string, channels: 'rgba' | 'ssbo'): ModuleType => ({
  name, doc: 'reads', connectors: [{ name: 'input', type: 'sink', channels, format: 'f16' }], params: [],
  create: () => ({ shapes: () => ({}), build: () => undefined, write: () => Promise.resolve('') }),
});

function graphText(c: StepCase): string {
  const m = c.model;
  const params = { ...m, chroma: m.chroma ? 1 : 0, init: c.weights ? 0 : 1, path: selectPath(c.path ?? 'auto'), cascade: 'level', gradient: 'split', step: 'apart', ...c.params }; // every tensor in memory, on every device
  return [
    `frames:${c.frames ?? 1}`, 'module:i-test:01', 'module:kpn-t:01', 'module:o-img:01', 'module:o-arr:01',
    'connect:i-test:01:img:kpn-t:01:input', 'connect:i-test:01:ref:kpn-t:01:ref', 'connect:i-test:01:noise:kpn-t:01:noiseab',
    'connect:kpn-t:01:output:o-img:01:input', 'connect:kpn-t:01:w:o-arr:01:input',
    ...(c.weights ? ['connect:i-test:01:w:kpn-t:01:wcp'] : []),
    ...((c.shown ?? params.cascade === 'block') ? ['module:o-img:02', 'connect:kpn-t:01:debug:o-img:02:input'] : []),
    ...Object.entries(params).map(([name, value]) => `param:kpn-t:01:${name}:${value}`),
    ...(c.lines ?? []),
  ].join('\n');
}

/** The graph of a case: modules and text. */
export const graphOf = (c: StepCase): GraphSource & { registry: ReadonlyMap<string, ModuleType>; text: string } => ({
  file: 'test.cfg', text: graphText(c), registry: new Map([dataSource(c), kpnT, sink('o-img', 'rgba'), sink('o-arr', 'ssbo')].map((m) => [m.name, m])),
});

/** Runs the case frame by frame. With `share` buffers share memory as usual, and only those that keep their contents are whole. */
export async function runSteps(device: Device, c: StepCase, options: { share?: boolean; maxSlice?: number } = {}): Promise<Snapshot[]> {
  const snapshots: Snapshot[] = [];
  const keep = async (access: RunAccess): Promise<void> => {
    const used = access.plan.buffers.filter((b) => b.name.startsWith('kpn-t:01') && access.plan.slotOf.has(b) && (b.persistent || !options.share));
    const snapshot: Snapshot = new Map();
    for (const b of used) snapshot.set(shortName(b), await access.readBuffer(b));
    snapshots.push(snapshot);
  };
  await runGraph({
    ...graphOf(c), device: () => device, loadSpirv, lastFrameOnly: true, shareMemory: options.share ?? false, maxSlice: options.maxSlice ?? 1,
    onSlice: (_, access) => keep(access),
  });
  return snapshots;
}

/** What kpn-t keeps images and activations as: f16, f32 where it checks derivatives. */
export const storageOf = (c: StepCase): PictureFormat => (c.params?.['deriv'] === 1 ? 'f32' : 'f16');

export const geometryOfCase = (c: StepCase): Geometry => geometryOf(c.model, c.tiles.length, c.tiles[0]!.input.width, c.tiles[0]!.input.height);

/** f16 or f32 values of a buffer, from element `first`. */
export function values(bytes: Uint8Array, format: PictureFormat, first = 0, count?: number): Float64Array {
  const size = format === 'f16' ? 2 : 4;
  const length = count ?? bytes.byteLength / size - first;
  const at = bytes.byteOffset + first * size;
  return Float64Array.from(format === 'f16' ? fromHalf(new Uint16Array(bytes.buffer, at, length)) : new Float32Array(bytes.buffer, at, length));
}
