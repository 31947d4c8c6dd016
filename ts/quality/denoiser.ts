// Denoises pictures of one size with weights that can be exchanged, as graphs do: the modules i-… -> kpn -> o-… with memory in the
// place of files. Planned and recorded once, run once a picture.

import { InputError } from '../errors.js';
import { withInput } from '../files.js';
import { decodeLut, lutHeaderBytes, parseLutHeader } from '../formats/lut.js';
import type { Device } from '../gpu/types.js';
import { buildKernels, DevicePlan, type SpirvLoader } from '../graph/device-plan.js';
import { makePlan } from '../graph/plan.js';
import { checkGraph, type CheckedGraph } from '../graph/run.js';
import type { ModuleInstance, ModuleType, PlanBuffer, Port, PortShape } from '../graph/types.js';
import { kpn } from '../modules/kpn/kpn.js';
import type { RgbaPicture } from './metrics.js';
import type { DevicePicture } from './scoring.js';

/** Weights as they flow from i-lut or kpn-t to kpn. */
export interface Weights {
  /** For messages: the file, or the module that trains them. */
  name: string;
  shape: PortShape;
  data: Uint8Array;
}

/** Reads a weights file. Throws InputError FILE_…, LUT_…, WEIGHTS_KIND. */
export async function readWeights(path: string): Promise<Weights> {
  const lut = await withInput(path, {}, async (file) => {
    parseLutHeader(await file.read(0, lutHeaderBytes), file.bytes, path);
    return decodeLut(await file.read(0, file.bytes), path);
  });
  const { width, height, channels, format, ssbo, text, data } = lut;
  if (!ssbo || channels !== 1 || format !== 'f16')
    throw new InputError('WEIGHTS_KIND', `the .lut file holds a ${ssbo ? 'table' : 'picture'} (${width}x${height}, ${channels} channel${channels === 1 ? '' : 's'} of ${format}), not weights`, {
      place: { file: path }, hint: 'weights are what a graph writes from kpn-t:w to an o-lut',
    });
  return { name: path, shape: { channels: 'ssbo', format, width, height, count: 1, text }, data };
}

export interface DenoiserOptions {
  width: number;
  height: number;
  noise: { a: number; b: number };
  weights: Weights;
  /** Further parameters of kpn, `NAME:VALUE`. */
  params?: readonly string[];
  onWarning?: (message: string) => void;
  signal?: AbortSignal;
}

/** An output that the host fills. */
class Held implements ModuleInstance {
  buffer!: PlanBuffer;

  constructor(
    private readonly shape: PortShape,
    private readonly init: 'zero' | Uint8Array,
  ) {}

  shapes(): Record<string, PortShape> {
    return { output: this.shape };
  }

  build(ctx: Parameters<ModuleInstance['build']>[0]): void {
    this.buffer = ctx.output('output', { persistent: true, init: this.init });
  }
}

const source = (name: string, channels: 'rgba' | 'ssbo', create: () => ModuleInstance): ModuleType => ({ name, doc: '', connectors: [{ name: 'output', type: 'source', channels, format: '*' }], params: [], create });
const sink: ModuleType = { name: 'result', doc: '', connectors: [{ name: 'input', type: 'sink', channels: 'rgba', format: '*' }], params: [], create: () => ({ shapes: () => ({}), build: () => undefined }) };

export class Denoiser {
  private constructor(
    private readonly picture: Held,
    private readonly weights: Held,
    private readonly checked: CheckedGraph,
    private readonly plan: DevicePlan,
    private readonly result: Port,
  ) {}

  /** Has threads build the kernels, which the device keeps for `create`. Throws as it does. */
  static async buildKernels(device: Device, load: SpirvLoader, options: DenoiserOptions): Promise<void> {
    const { checked } = await Denoiser.graph(options);
    await buildKernels(makePlan(checked.run, device.info), device, load, options.signal);
  }

  /** Undefined if `signal` came meanwhile. Throws InputError where the weights don't make a network, GpuError. */
  static async create(device: Device, load: SpirvLoader, options: DenoiserOptions): Promise<Denoiser | undefined> {
    const { picture, held, checked } = await Denoiser.graph(options);
    const plan = await DevicePlan.create(makePlan(checked.run, device.info), device, load, options.signal);
    if (plan === undefined) return undefined;
    const result = plan.plan.ports.get(checked.run.find((r) => r.node.type === sink)!)!.inputs.get('input')!;
    return new Denoiser(picture, held, checked, plan, result);
  }

  private static async graph({ width, height, noise, weights, params = [], onWarning }: DenoiserOptions): Promise<{ picture: Held; held: Held; checked: CheckedGraph }> {
    const picture = new Held({ channels: 'rgba', format: 'f32', width, height, count: 1, noise }, 'zero');
    const held = new Held(weights.shape, weights.data);
    const registry = new Map([source('picture', 'rgba', () => picture), source('weights', 'ssbo', () => held), kpn, sink].map((type) => [type.name, type]));
    const text = ['module:picture:01', 'module:weights:01', 'module:kpn:01', 'module:result:01', 'connect:picture:01:output:kpn:01:input', 'connect:weights:01:output:kpn:01:w', 'connect:kpn:01:output:result:01:input', ...params.map((p) => `param:kpn:01:${p}`)];
    // Errors about the network name the weights: the graph itself is none of the user's.
    const checked = await checkGraph({ file: weights.name, text: text.join('\n'), registry, onWarning }).catch((error: unknown) => {
      throw error instanceof InputError ? new InputError(error.code, error.message, { place: { file: weights.name }, hint: error.hint, cause: error }) : error;
    });
    return { picture, held, checked };
  }

  /** Replaces the weights by others of the same network. */
  setWeights(data: Uint8Array): void {
    this.plan.write(this.weights.buffer, data);
  }

  /** Denoises a picture of the size and noise that this was made for. Undefined if the device was interrupted. */
  async run(input: RgbaPicture): Promise<DevicePicture | undefined> {
    const { shape, buffer } = this.result;
    this.plan.write(this.picture.buffer, input.rgba);
    for (const { instance, node } of this.checked.run)
      await instance.beforeFrame?.({ params: node.params, write: (b, data, offset) => this.plan.write(b, data, offset), read: (b, offset, bytes) => this.plan.read(b, offset, bytes) }, 0);
    const { done } = await this.plan.program.run(1);
    if (done === 0) return undefined;
    return { shape, data: await this.plan.read(buffer) };
  }

  destroy(): void {
    this.plan.destroy();
  }
}
