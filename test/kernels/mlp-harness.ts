// What the tests of mlp and mlpbck share: the layers' tensors of a batch, and how a path's kernel is launched over them.
import type { Device } from '../../ts/gpu/types.js';
import { PRESETS, weightCount, type ModelSpec } from '../../ts/model/spec.js';
import { geometryOf } from '../../ts/modules/kpn/geometry.js';
import { specOf } from '../../ts/modules/kpn/options.js';
import { choosePath, isPacked, packLaunch, panelLaunch, residentLaunch, type LayerPath } from '../../ts/modules/kpn/path.js';
import { random, toHalf } from '../reference/index.js';
import { poison, runKernel, type Dispatch, type Use } from './harness.js';
import { selectPath } from './paths.js';
import { bytesOf, type Snapshot } from './step-run.js';

export interface MlpCase {
  width: number;
  layers: number;
  pixels: number;
  /** Frames that the kernel is built for: of many, CPU drivers get it unrolled. */
  frames?: number;
  act?: ModelSpec['act'];
}

/** Pixels that fill no workgroup, one that fills some, one alone. */
export const MLP_CASES: readonly MlpCase[] = [
  { width: 32, layers: 1, pixels: 77 },
  { width: 32, layers: 3, pixels: 1 },
  { width: 32, layers: 1, pixels: 300, frames: 1e9 },
  { width: 64, layers: 2, pixels: 512 },
  { width: 128, layers: 1, pixels: 33 },
  { width: 128, layers: 2, pixels: 33, frames: 1e9 },
];

export const modelOf = ({ width, layers, act = PRESETS.classic.act }: MlpCase): ModelSpec => ({ ...PRESETS.classic, width, layers, act, levels: 1 });

/** Weights, and a source of numbers in +-size, all values of f16. */
export function numbersOf(c: MlpCase): { weights: Float64Array; halves: (count: number, size: number) => Float64Array } {
  const next = random(c.width + c.layers + c.pixels);
  const halves = (count: number, size: number): Float64Array => Float64Array.from({ length: count }, () => toHalf(size * (2 * next() - 1)));
  return { halves, weights: halves(weightCount(modelOf(c)), Math.sqrt(6 / c.width)) };
}

export const layerPath = (device: Device, path: string): LayerPath => choosePath(device.info, selectPath(path), () => undefined);

/** A kernel of glsl/kpn over the pixels; `uses` come after geometry and weights. `variant` is given the path's; `resident`: as many pixels are launched, where the panel can stay in registers. */
export function mlpDispatch(device: Device, c: MlpCase, path: string, kernel: string, uses: Use[], variant: (path: string) => string = (name) => name, { resident = false } = {}): Dispatch {
  const m = modelOf(c);
  const of = [layerPath(device, path), device.info, specOf(m, 64), m.width, c.pixels, c.frames ?? 1] as const;
  const launch = resident ? residentLaunch(...of) : panelLaunch(...of, kernel === 'kpn/mlpbck' ? 'back' : 'forward');
  const weights: Use = { name: 'weights', access: 'r', bytes: (path.startsWith('plain') ? 4 : 2) * weightCount(m) };
  const geometry: Use = { name: 'geometry', access: 'r', bytes: geometryOf(m, 1, c.pixels, 1).bytes.byteLength, uniform: true };
  return { kernel, ...launch, variant: variant(launch.variant), uses: [geometry, weights, ...uses] };
}

/** runKernel of a dispatch of mlpDispatch's; where it takes weights as kpn/pack leaves them, of what that makes of them. */
export async function runLayers(device: Device, c: MlpCase, path: string, dispatch: Dispatch, contents: Snapshot): Promise<Snapshot> {
  if (!isPacked({ variant: dispatch.variant ?? '' })) return runKernel(device, dispatch, contents);
  return runKernel(device, dispatch, new Map([...contents, ['weights', await packed(device, modelOf(c), path, contents.get('weights')!)]]));
}

/** What kpn/pack makes of weights. */
export async function packed(device: Device, m: ModelSpec, path: string, weights: Uint8Array): Promise<Uint8Array> {
  const bytes = weights.byteLength;
  const dispatch = { kernel: 'kpn/pack', ...packLaunch(layerPath(device, path), device.info, specOf(m, 64), weightCount(m)), uses: [{ name: 'weights', access: 'r', bytes }, { name: 'packed', access: 'w', bytes }] satisfies Use[] };
  return (await runKernel(device, dispatch, new Map([['weights', weights]]))).get('packed')!;
}

/** Contents of the first two. */
export const mlpContents = (c: MlpCase, path: string, weights: Float64Array): Snapshot =>
  new Map([['geometry', geometryOf(modelOf(c), 1, c.pixels, 1).bytes], ['weights', bytesOf(weights, path.startsWith('plain') ? 'f32' : 'f16')]]);

/** Poison with these bytes put in at an offset. */
export function poisonBut(bytes: number, at: number, data: Uint8Array): Uint8Array {
  const all = poison(bytes);
  all.set(data, at);
  return all;
}

/** Of the activations that the build which keeps all leaves, the sparse one has x and every second from the last down, bit for bit. */
export function expectKept(sparse: Snapshot, whole: Snapshot, layers: number): void {
  const bytes = whole.get('A')!.byteLength / (layers + 1);
  const tensors = (of: Snapshot): Uint8Array[] => Array.from({ length: of.get('A')!.byteLength / bytes }, (_, i) => of.get('A')!.subarray(i * bytes, (i + 1) * bytes));
  expect(tensors(sparse)).toEqual(tensors(whole).filter((_, i) => i === 0 || (layers - i) % 2 === 0));
}
