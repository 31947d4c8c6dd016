// Runs kpn on pictures of a test, dispatch by dispatch under the harness's guards, and keeps what every buffer held.
import { makePlan } from '../../ts/graph/plan.js';
import { checkGraph } from '../../ts/graph/run.js';
import type { ModuleType, PortShape } from '../../ts/graph/types.js';
import type { Device } from '../../ts/gpu/types.js';
import { levelSizes, weightsText, type ModelSpec } from '../../ts/model/spec.js';
import { kpn } from '../../ts/modules/kpn/kpn.js';
import { type Image, makeImage, type Noise } from '../reference/index.js';
import { runKernel, type Dispatch } from './harness.js';
import { bytesOf, shortName, values, type PictureFormat, type Snapshot } from './step-run.js';

export interface InferenceCase {
  model: ModelSpec;
  /** Pictures of one size, whose values `format` holds exactly. */
  inputs: readonly Image[];
  format: PictureFormat;
  noise: Noise;
  /** f16 values. */
  weights: Float64Array;
  strength?: number;
  /** How many standard deviations of its noise a pixel changes by at most: luminance, each channel; 0: any. */
  limits?: readonly [luminance: number, channel: number];
  path?: string;
  frames?: number;
  /** How often the picture is denoised. */
  spin?: number;
}

function sources(c: InferenceCase): { types: ModuleType[]; contents: Snapshot } {
  const { width, height } = c.inputs[0]!;
  const rgba = c.inputs.flatMap((p) => Array.from({ length: 4 * width * height }, (_, i) => (i % 4 === 3 ? 3 : p.data[3 * (i >> 2) + (i % 4)]!)));
  const shapes: Record<string, PortShape> = {
    img: { channels: 'rgba', format: c.format, width, height, count: c.inputs.length },
    w: { channels: 'ssbo', format: 'f16', width: c.model.width, height: (c.model.layers + 1) * c.model.width, count: 1, text: weightsText(c.model) },
  };
  const source: ModuleType = {
    name: 'i-test', doc: 'the data of a test', params: [],
    connectors: Object.entries(shapes).map(([name, { channels, format }]) => ({ name, type: 'source', channels, format })),
    create: () => ({ shapes: () => shapes, build: (ctx) => Object.keys(shapes).forEach((name) => ctx.output(name, { persistent: true })) }),
  };
  const sink: ModuleType = {
    name: 'o-img', doc: 'reads', connectors: [{ name: 'input', type: 'sink', channels: 'rgba', format: 'f16' }], params: [],
    create: () => ({ shapes: () => ({}), build: () => undefined, write: () => Promise.resolve('') }),
  };
  return { types: [source, kpn, sink], contents: new Map([['img', bytesOf(rgba, c.format)], ['w', bytesOf(c.weights, 'f16')]]) };
}

const graphText = (c: InferenceCase): string => `frames:${c.frames ?? 1}
module:i-test:01
module:kpn:01
module:o-img:01
connect:i-test:01:img:kpn:01:input
connect:i-test:01:w:kpn:01:w
connect:kpn:01:output:o-img:01:input
param:kpn:01:noise a:${c.noise.a}
param:kpn:01:noise b:${c.noise.b}
param:kpn:01:strength:${c.strength ?? 1}
param:kpn:01:limit:${c.limits?.[0] ?? 0}
param:kpn:01:limit c:${c.limits?.[1] ?? 0}
param:kpn:01:path:${c.path ?? 'auto'}
param:kpn:01:spin:${c.spin ?? 1}
`;

/** The dispatches of kpn and what is in memory before them. */
export async function inferenceNodes(device: Device, c: InferenceCase): Promise<{ nodes: (Dispatch & { label: string })[]; contents: Snapshot }> {
  const { types, contents } = sources(c);
  const { run } = await checkGraph({ file: 'test.cfg', text: graphText(c), registry: new Map(types.map((t) => [t.name, t])) });
  const plan = makePlan(run, device.info, { shareMemory: false });
  for (const buffer of plan.buffers) if (buffer.init instanceof Uint8Array) contents.set(shortName(buffer), buffer.init);
  const nodes = plan.steps.flatMap((step): (Dispatch & { label: string })[] => (step.kind === 'node'
    ? [{ ...step.desc, uses: step.desc.uses.map((use) => ({ name: shortName(use.buffer), access: use.access, bytes: use.buffer.bytes, uniform: use.kind === 'uniform' })) }]
    : []));
  return { nodes, contents };
}

/**
 * Every buffer as kpn left it, or only its nodes whose label fits, which find `more` in memory. A kernel that writes outside of a buffer,
 * or changes what it only reads, throws.
 */
export async function runInference(device: Device, c: InferenceCase, label = /./, more: Snapshot = new Map()): Promise<Snapshot> {
  const { nodes, contents } = await inferenceNodes(device, c);
  let state: Snapshot = new Map([...contents, ...more]);
  for (const node of nodes) if (label.test(node.label)) state = await runKernel(device, node, state);
  return state;
}

/** rgb, or with `channels` 4 rgba, of a level's picture `name`, of tile `tile` (and, of I and down(I), of a part). */
export function pictureOf(c: InferenceCase, snapshot: Snapshot, name: string, level: number, tile: number, channels = 3, part = 0): Image {
  const { width, height } = c.inputs[0]!;
  const size = levelSizes(width, height, level)[level]!;
  const n = 4 * size.width * size.height;
  const all = values(snapshot.get(name)!, name === 'img' ? c.format : 'f16', (part * c.inputs.length + tile) * n, n);
  return makeImage(size.width, size.height, channels, all.filter((_, i) => i % 4 < channels));
}
