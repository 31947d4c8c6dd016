// The layers alone on the device (glsl/kpn/mlp.comp, mlpbck.comp, mulw.comp, sum.comp): inference, and forward + backward + weight
// gradient; their results are compared with the host's before anything is timed.

import { toHalf } from '../formats/half.js';
import { toFloat } from '../formats/pixels.js';
import { megabytes } from '../graph/device-plan.js';
import { loadSpirv, type BindingKind, type BufferView, type Device, type GpuBuffer, type Op, type Program } from '../gpu/index.js';
import { PRESETS, weightCount, type ModelSpec } from '../model/spec.js';
import { geometryOf } from '../modules/kpn/geometry.js';
import { specOf } from '../modules/kpn/options.js';
import { batchLaunch, forwardLaunch, fusedLaunch, gradientLaunch, isPacked, packLaunch, panelLaunch, residentLaunch, slotsOf, type GradientLaunch, type Launch, type LayerPath } from '../modules/kpn/path.js';
import { initialState, STATE_BYTES, SUM_WEIGHTS } from '../modules/kpn-t/state.js';
import { compare, type Bounds, type Deviation, type Network, type Verdict } from './network.js';

const outputs = 16;
/** Repetitions, in choosing how kernels are built: many, so that compiling doesn't count. */
const MANY = Infinity;

/**
 * How far a right result may be off. All that differs between device and host is the order and precision of f32 sums (relative
 * errors about 2^-20 at most), which now and then turns a rounding to f16 the other way (2^-11 of that value). A product that
 * leaves out one of 128 channels is off by 2^-3.5, one with f16 sums by 2^-9 and more.
 */
const boundsOfK: Bounds = { rms: 2 ** -11, max: 2 ** -6 };
const boundsOfGradient: Bounds = { rms: 2 ** -9, max: 2 ** -6 };
/**
 * Where matrices sum a tile's products in f16 (docs/paths.md). Activations are off by about 2^-10 of their size, which takes about as
 * many of them to the other side of 0, where their whole gradient changes: the root of that share, of sums of random signs.
 */
const BOUNDS_HALF_SUMS = { K: { rms: 2 ** -8, max: 2 ** -4 }, gradient: { rms: 2 ** -3, max: 1 } };

/** Both workloads, the buffers of one batch. */
export class MlpBatch {
  private readonly model: ModelSpec;
  private readonly buffers: GpuBuffer[] = [];
  private readonly geometry: GpuBuffer;
  private readonly act: GpuBuffer;
  private readonly out: GpuBuffer;
  private readonly training: { dAct: GpuBuffer; dK: GpuBuffer; dEdw: GpuBuffer; norms: GpuBuffer; state: GpuBuffer; none: GpuBuffer } | undefined;

  private constructor(
    private readonly device: Device,
    private readonly network: Network,
    private readonly pixels: number,
    train: boolean,
  ) {
    this.model = modelOf(network);
    const m = this.model;
    const bytes = bytesOf(network, pixels);
    this.geometry = this.buffer('geometry', geometryOf(m, 1, pixels, 1).bytes.byteLength, { uniform: true });
    this.geometry.write(geometryOf(m, 1, pixels, 1).bytes);
    this.act = this.buffer(train ? 'x, A' : 'x', train ? bytes.trainAct : bytes.x);
    this.out = this.buffer('K', bytes.out);
    if (!train) return;
    const state = this.buffer('state', STATE_BYTES);
    state.write(initialState(1));
    this.training = {
      dAct: this.buffer('dE/dA', bytes.dAct), dK: this.buffer('dE/dK', bytes.out), dEdw: this.buffer('dE/dw', 4 * weightCount(m)), norms: this.buffer('norms', 8 * sumGroups(m)), state, none: this.buffer('none', 16),
    };
  }

  /** Makes the buffers and fills them. Throws GpuError OUT_OF_MEMORY. */
  static async create(device: Device, network: Network, pixels: number, train: boolean): Promise<MlpBatch> {
    const batch = new MlpBatch(device, network, pixels, train);
    try {
      await repeatInto(device, halves(network.x), { buffer: batch.act, bytes: bytesOf(network, pixels).x });
      const { dAct, dK } = batch.training ?? {};
      if (dAct) await repeatInto(device, halves(network.dK), { buffer: dAct, offset: bytesOf(network, pixels).dAct - bytesOf(network, pixels).out });
      if (dK) await repeatInto(device, halves(network.dK), { buffer: dK });
    } catch (error) {
      batch.destroy();
      throw error;
    }
    return batch;
  }

  private buffer(name: string, bytes: number, options: { uniform?: boolean } = {}): GpuBuffer {
    const buffer = this.device.buffer(name, bytes, options);
    this.buffers.push(buffer);
    return buffer;
  }

  private dispatch(kernel: string, launch: Launch, buffers: GpuBuffer[], push?: Uint8Array): Op {
    const bindings = buffers.map((b): BindingKind => (b === this.geometry ? 'uniform' : 'storage'));
    const { variant, spec, groups, subgroupSize, fullSubgroups } = launch;
    const name = variant === '' ? kernel : `${kernel}.${variant}`;
    return {
      op: 'dispatch', groups, push, label: kernel, bindings: buffers.map((buffer): BufferView => ({ buffer })),
      kernel: this.device.kernel({ name, spirv: loadSpirv(kernel, variant === '' ? undefined : variant), bindings, pushBytes: push?.byteLength ?? 0, spec, subgroupSize, fullSubgroups }),
    };
  }

  /** One workload on one path. The caller destroys it. */
  prepare(path: LayerPath, train: boolean): MlpRun {
    const { device, model: m, pixels } = this;
    const weights = this.device.buffer('weights', (path.name === 'plain' ? 4 : 2) * weightCount(m));
    weights.write(path.name === 'plain' ? this.network.weights : toHalf(this.network.weights).data);
    const spec = specFor(device, m);
    const halfSums = path.name !== 'plain' && path.tile.halfSums === true;
    const packed = device.buffer('packed', 2 * weightCount(m));
    const pack = (): Op => this.dispatch('kpn/pack', packLaunch(path, device.info, spec, weightCount(m)), [weights, packed]);
    const packing = (launch: Launch): Program | undefined => (isPacked(launch) ? device.program([pack()], 'packing') : undefined);
    const of = [path, device.info, spec, m.width, pixels, MANY] as const;
    if (!train) {
      const launch = inferring(batchLaunch(...of));
      const first = packing(launch); // once, as weights are loaded once
      const program = device.program([this.dispatch('kpn/mlp', launch, [this.geometry, first ? packed : weights, this.act, this.out])], 'inference');
      return new MlpRun(this.network, pixels, program, ['mlp'], { K: this.out }, [weights, packed], halfSums, undefined, first);
    }
    const t = this.training!;
    const gradients = gradientsOf(path, device, m, pixels);
    const fused = gradients.dK !== undefined;
    const kept = gradients.kept ?? 'all';
    const layers = kept === 'anew' ? inferring(residentLaunch(...of)) : forwardLaunch(...of, kept);
    const part = device.buffer('parts', 4 * gradients.parts * weightCount(m));
    const groups = sumGroups(m);
    const barrier: Op = { op: 'barrier' };
    const first = packing(layers);
    const program = device.program([
      this.dispatch('kpn/mlp', layers, [this.geometry, first ? packed : weights, this.act, this.out]),
      barrier,
      ...(fused
        ? [this.dispatch('kpn/mlpbck', gradients, [this.geometry, weights, this.act, t.dK, part])]
        : [this.dispatch('kpn/mlpbck', panelLaunch(...of, 'back'), [this.geometry, weights, this.act, t.dAct]), barrier, this.dispatch('kpn/mulw', gradients, [this.geometry, this.act, t.dAct, part])]),
      barrier,
      this.dispatch('kpn/sum', { variant: 'apart', spec: { ...spec, 0: 256 }, groups: [groups, 1, 1] }, [this.geometry, t.state, part, t.none, t.dEdw, t.norms],
        new Uint8Array(Uint32Array.of(gradients.parts, groups, 1, 0).buffer)),
      ...(first ? [pack()] : []), // for the next time, beside other small work as in a step
    ], 'forward and backward');
    const names = ['mlp', '', 'mlpbck', '', ...(fused ? [] : ['mulw', '']), 'sum', ...(first ? ['pack'] : [])];
    return new MlpRun(this.network, pixels, program, names, { K: this.out, gradient: t.dEdw }, [weights, packed, part], halfSums, fused ? slotsOf(m.layers, kept) : undefined, first);
  }

  destroy(): void {
    for (const buffer of this.buffers) buffer.destroy();
  }
}

/** A workload on a path, ready to run. */
export class MlpRun {
  constructor(
    private readonly network: Network,
    private readonly pixels: number,
    readonly program: Program,
    /** Of each op of the program; barriers have none. */
    readonly opNames: readonly string[],
    /** The results. */
    readonly results: { K: GpuBuffer; gradient?: GpuBuffer },
    private readonly own: GpuBuffer[],
    private readonly halfSums: boolean,
    /** Trains with dE/dw in the pass back: the activations kept for it, x included. */
    readonly slots?: number,
    /** What comes once, before the first run. */
    private readonly first?: Program,
  ) {}

  /**
   * Runs it once, into buffers full of NaN, and compares every value with the host's. `tamper` may spoil the results before
   * (tests do, to see that it is noticed).
   */
  async check(tamper?: (results: MlpRun['results']) => void): Promise<Verdict> {
    const { K, gradient } = this.results;
    K.fill(0xffffffff);
    gradient?.fill(0xffffffff);
    await this.first?.run(1);
    await this.program.run(1);
    tamper?.(this.results);
    const verdict = compare(toFloat('f16', await K.read()), this.network.K, this.halfSums ? BOUNDS_HALF_SUMS.K : boundsOfK, (i) => `K of pixel ${Math.floor(i / outputs)}, output ${i % outputs},`);
    if ('wrong' in verdict || !gradient) return verdict;
    return this.checkGradient(await gradient.read(), verdict.deviation);
  }

  /** Layer by layer, so that a layer of small gradients counts as much as another. */
  private checkGradient(bytes: Uint8Array, other: Deviation): Verdict {
    const { width: W, layers: H } = this.network.shape;
    const got = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const want = this.network.gradient(this.pixels);
    const deviation = { ...other };
    for (let l = 0; l <= H; ++l) {
      const end = l === H ? got.length : (l + 1) * W * W;
      const verdict = compare(got.subarray(l * W * W, end), want.subarray(l * W * W, end), this.halfSums ? BOUNDS_HALF_SUMS.gradient : boundsOfGradient, (i) => `dE/dw of layer ${l}, row ${Math.floor(i / W)}, column ${i % W},`);
      if ('wrong' in verdict) return verdict;
      deviation.rms = Math.max(deviation.rms, verdict.deviation.rms);
      deviation.max = Math.max(deviation.max, verdict.deviation.max);
    }
    return { deviation };
  }

  destroy(): void {
    this.program.destroy();
    this.first?.destroy();
    for (const buffer of this.own) buffer.destroy();
  }
}

const modelOf = ({ shape }: Network): ModelSpec => ({ ...PRESETS.classic, ...shape, levels: 1 });
const sumGroups = (m: ModelSpec): number => weightCount(m) / SUM_WEIGHTS;
const halves = (values: Float32Array): Uint16Array => toHalf(values).data;

const specFor = (device: Device, m: ModelSpec): Launch['spec'] => specOf(m, device.info.type === 'cpu' ? 256 : 64);

/** mlp's launch where nothing is kept of the layers. */
const inferring = (launch: Launch): Launch => ({ ...launch, variant: `infer.${launch.variant}` });

/** What makes the parts of dE/dw: the pass back itself where it can, else mulw after it. */
function gradientsOf(path: LayerPath, device: Device, m: ModelSpec, pixels: number): GradientLaunch {
  const of = [path, device.info, specFor(device, m), m.width, m.layers, pixels, MANY] as const;
  return fusedLaunch(...of) ?? gradientLaunch(...of);
}

/** Bytes of the buffers of a batch. */
function bytesOf({ shape: { width, layers } }: Network, pixels: number): { x: number; trainAct: number; out: number; dAct: number } {
  const row = 2 * width * pixels;
  const out = 2 * outputs * pixels;
  return { x: row, trainAct: (layers + 1) * row, out, dAct: layers * row + out };
}

/** Why this batch does not go on the device; undefined: it does. */
export function tooLarge(device: Device, network: Network, pixels: number, train: boolean, paths: readonly LayerPath[]): string | undefined {
  const { x, trainAct, out, dAct } = bytesOf(network, pixels);
  const m = modelOf(network);
  const parts = train ? paths.map((path) => 4 * weightCount(m) * gradientsOf(path, device, m, pixels).parts) : [];
  const buffers = train ? [trainAct, out, dAct, out, Math.max(...parts)] : [x, out];
  const limit = device.info.limits.maxStorageBufferRange;
  const largest = Math.max(...buffers);
  if (largest > limit) return `a buffer of ${megabytes(largest)} is needed, and the device allows ${megabytes(limit)}`;
  const all = buffers.reduce((a, b) => a + b, 0);
  const { budget } = device.memory();
  return all > budget ? `${megabytes(all)} of memory are needed, and the device has ${megabytes(budget)} to give` : undefined;
}

/** Fills a view with `data` again and again: written once, doubled on the device. */
export async function repeatInto(device: Device, data: ArrayBufferView, to: BufferView): Promise<void> {
  const { buffer, offset = 0 } = to;
  const total = to.bytes ?? buffer.bytes - offset;
  const first = Math.min(data.byteLength, total);
  buffer.write(new Uint8Array(data.buffer, data.byteOffset, first), offset);
  const ops: Op[] = [];
  for (let done = first; done < total; done *= 2) {
    const bytes = Math.min(done, total - done);
    ops.push({ op: 'barrier' }, { op: 'copy', src: { buffer, offset, bytes }, dst: { buffer, offset: offset + done, bytes }, bytes });
  }
  if (ops.length === 0) return;
  const program = device.program(ops, 'repeat');
  await program.run(1);
  program.destroy();
}
