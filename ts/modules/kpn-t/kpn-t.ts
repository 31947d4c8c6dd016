// kpn-t: trains the multi-level kernel predictor (SPEC 1 to 4). Plans the nodes of a step; the numbers are the kernels'.

import { InputError } from '../../errors.js';
import { fromHalf, toHalf } from '../../formats/half.js';
import type {
  BuildContext, FrameContext, InstanceInfo, ModuleInstance, ModuleState, ModuleType, PlanBuffer, PortShape, ShapeContext, Status,
} from '../../graph/types.js';
import { initialWeights } from '../../model/init.js';
import { outputsOf, parseWeightsText, partsOf, weightCount, weightsText, type ModelSpec } from '../../model/spec.js';
import { checkF16Range } from '../f16-range.js';
import { geometryOf, hasSmallLevel, type Geometry } from '../kpn/geometry.js';
import { addCombining, addPacking, addPyramid, ceilDiv, needsDown, nodeAdder, push, r, rw, w, type AddForward, type Combining, type Use } from '../kpn/nodes.js';
import { modelFromParams, modelParams, specOf } from '../kpn/options.js';
import { choosePath, forwardLaunch, fusedLaunch, gradientLaunch, isPacked, panelLaunch, slotsOf, type GradientLaunch, type KeptActivations, type Launch, type LayerPath } from '../kpn/path.js';
import { addFalling, addRising, leavesSlopes, whyNotByBlocks, type Cascade } from './cascade.js';
import { addDifferences, DEFAULT_STEP, SETTLING_FRAMES, targetsOf } from './deriv.js';
import { pictureShapes, Pictures } from './present.js';
import { hyperBytes, HYPER_BYTES, initialState, readState, STATE_BYTES, SUM_WEIGHTS, type State } from './state.js';

/** Where the loss of each frame is kept, for the picture `graph`. */
const HISTORY_FRAMES = 1 << 20;
const INITIAL_SCALE = 128;
/** Values of `gradient` that ask for the pass back to make dE/dw, by the activations it is left. */
const KEPT: Partial<Record<string, KeptActivations>> = { fused: 'all', sparse: 'sparse', anew: 'anew' };
const DECAYS = ['const', 'cosine', 'exp'] as const;

/** Buffers that training keeps from frame to frame. */
interface Kept {
  master: PlanBuffer;
  moment1: PlanBuffer;
  moment2: PlanBuffer;
  weights: PlanBuffer;
  rounded: PlanBuffer;
  state: PlanBuffer;
  hyper: PlanBuffer;
  history: PlanBuffer;
  dEdw: PlanBuffer;
  /** Checking derivatives: differences, of the weights in `targets`. */
  differences?: PlanBuffer;
}

export class KpnT implements ModuleInstance {
  private model!: ModelSpec;
  private geometry!: Geometry;
  private kept!: Kept;
  private wcp: PlanBuffer | undefined;
  private frameCount = 1;
  private warnedBad = 0;
  private warnedOverflow = false;
  /** Checking derivatives: the weights whose differences are taken. */
  private derivTargets: Uint32Array | undefined;
  /** Checking derivatives: tile, noise and weights stay as in frame 0. */
  private frozen = false;
  private pictures: Pictures | undefined;

  /** The network that is trained; after `shapes`. */
  get spec(): ModelSpec {
    return this.model;
  }

  /** The buffers of training; after `build`. */
  get buffers(): Readonly<Kept> {
    return this.kept;
  }

  /** Indices of the weights whose differences `deriv` takes, in the order of the frames; after `shapes`. */
  get targets(): Uint32Array | undefined {
    return this.derivTargets;
  }

  /** Pixels of the finest level, of all tiles; after `shapes`. */
  get finestPixels(): number {
    return this.geometry.levels[0]!.pixels;
  }

  frames(): number | undefined {
    return this.derivTargets ? 1 + this.derivTargets.length : this.frozen ? SETTLING_FRAMES : undefined;
  }

  shapes(ctx: ShapeContext): Record<string, PortShape> {
    const m = (this.model = modelFromParams(ctx.params));
    const input = ctx.input('input')!;
    const ref = ctx.input('ref')!;
    if (input.width !== ref.width || input.height !== ref.height || input.count !== ref.count)
      throw new InputError('SIZE_MISMATCH', `kpn-t:${ctx.info.inst}: input is ${sizeOf(input)}, but ref is ${sizeOf(ref)}`, {
        place: ctx.info.place, hint: 'connect a pair of pictures of the same size',
      });
    const noise = ctx.input('noiseab')!;
    if (noise.width * noise.height !== 2 * input.count)
      throw new InputError('SIZE_MISMATCH', `kpn-t:${ctx.info.inst}: noiseab has ${noise.width * noise.height} values for ${input.count} tiles, which need two each`, {
        place: ctx.info.place,
      });
    for (const picture of [input, ref]) checkF16Range(`kpn-t:${ctx.info.inst}`, picture, 1, ctx.info.place);
    this.checkCheckpoint(ctx);
    this.frozen = ctx.params.int('deriv') !== 0;
    if (ctx.params.int('deriv') === 1) this.derivTargets = targetsOf(m, ctx.params.int('dsample'), ctx.params.int('seed'));
    this.frameCount = this.frames() ?? ctx.frames;
    this.geometry = geometryOf(m, input.count, input.width, input.height);
    return {
      output: { ...input, channels: 'rgba', format: 'f16' },
      w: { channels: 'ssbo', format: 'f16', width: m.width, height: (m.layers + 1) * m.width, count: 1, text: weightsText(m) },
      ...pictureShapes(m, this.derivTargets !== undefined),
    };
  }

  private checkCheckpoint(ctx: ShapeContext): void {
    const m = this.model;
    const wcp = ctx.input('wcp');
    if (ctx.params.int('init') === 1) return;
    const place = ctx.params.place('init');
    if (!wcp)
      throw new InputError('NO_CHECKPOINT', `kpn-t:${ctx.info.inst}: init is 0 (start from a checkpoint), but nothing is connected to wcp`, {
        place, hint: 'connect an i-lut to wcp, or start from random weights with param:kpn-t:' + ctx.info.inst + ':init:1',
      });
    const said = parseWeightsText(wcp.text ?? '').spec;
    for (const k of Object.keys(said) as (keyof ModelSpec)[])
      if (k !== 'loss' && said[k] !== m[k])
        throw new InputError('CHECKPOINT_MISMATCH', `kpn-t:${ctx.info.inst}: the checkpoint's network has ${k} ${String(said[k])}, but this graph's has ${String(m[k])}`, {
          place: ctx.params.place(k), hint: `set param:kpn-t:${ctx.info.inst}:${k}:${String(said[k])}`,
        });
    if (wcp.width * wcp.height !== weightCount(m))
      throw new InputError('CHECKPOINT_MISMATCH', `kpn-t:${ctx.info.inst}: the checkpoint has ${wcp.width} x ${wcp.height} weights, but width ${m.width} and ${m.layers} layers need ${m.width} x ${(m.layers + 1) * m.width}`, {
        place, hint: 'set width and layers to those the weights were trained with',
      });
  }

  build(ctx: BuildContext): void {
    const m = this.model;
    const g = this.geometry;
    const deriv = this.derivTargets;
    const f32 = deriv !== undefined;
    const count = weightCount(m);
    const el = f32 ? 4 : 2;
    const variant = f32 ? 'f32' : 'f16';
    const path: LayerPath = f32 ? { name: 'plain', f32 } : choosePath(ctx.device, ctx.params.string('path'), (text) => ctx.warn(text));
    const port = (name: string): PlanBuffer => ctx.port(name)!.buffer;
    const keep = (name: string, bytes: number, init: 'zero' | Uint8Array = 'zero'): PlanBuffer => ctx.buffer(name, bytes, { persistent: true, init });

    const history = Math.min(this.frameCount, HISTORY_FRAMES);
    const k: Kept = (this.kept = {
      master: keep('master', 4 * count),
      moment1: keep('moment1', 4 * count),
      moment2: keep('moment2', 4 * count),
      weights: ctx.output('w', { persistent: true, init: 'zero' }),
      rounded: keep('rounded', 4 * count),
      state: keep('state', STATE_BYTES, initialState(f32 ? 1 : INITIAL_SCALE)),
      hyper: keep('hyper', HYPER_BYTES),
      history: keep('history', 4 * history),
      dEdw: keep('dEdw', 4 * count),
    });
    this.wcp = ctx.port('wcp')?.buffer;

    const geo: Use = { buffer: keep('geometry', g.bytes.byteLength, g.bytes), access: 'r', kind: 'uniform' };
    const cpu = ctx.device.type === 'cpu';
    const local = cpu ? 256 : 64;
    const byBlocks = this.risesByBlocks(ctx);
    const slopes = leavesSlopes(m, byBlocks);
    const spec = specOf(m, local, {
      packRounds: cpu, inputF32: ctx.port('input')!.shape.format === 'f32', refF32: ctx.port('ref')!.shape.format === 'f32', small: hasSmallLevel(g.levels), slopes,
    });
    const node = nodeAdder(ctx, spec);
    const { parts: sums, dK: made, kept = 'all', ...mulw } = this.gradientLaunch(ctx, path, spec, f32);
    const layerWeights = r(path.name === 'plain' ? k.rounded : k.weights);
    const read = (name: string): PlanBuffer => {
      const live = port(name);
      if (!this.frozen) return live;
      const frozen = keep(`frozen ${name}`, live.bytes);
      node(`freeze ${name}`, 'freeze', undefined, ceilDiv(live.bytes, 4), [r(k.state), r(live), w(frozen)], push(ceilDiv(live.bytes, 4)));
      return frozen;
    };
    const input = read('input');
    const ref = read('ref');
    const noise = read('noiseab');
    const shown = { persistent: ctx.isConnected('debug') };
    const mip = ctx.buffer('mip', g.mipPixels * 4 * el, shown);
    const image = m.combine === 'prediff' ? ctx.buffer('detail', g.pixels * 4 * el) : mip;
    const act = ctx.buffer('A', slotsOf(m.layers, kept) * g.pixels * m.width * el); // x, then A_0 .. (glsl/kpn/kept.glsl)
    const out = ctx.buffer('K', g.pixels * outputsOf(m) * el, shown);
    const parts = partsOf(m);
    const filtered = ctx.buffer('I', g.pixels * 16 * parts);
    const combined = ctx.buffer('O', g.pixels * 16, shown);
    const diff = ctx.buffer('dOdIa', g.pixels * 16 * parts);
    const gradient = ctx.buffer('dEdO', g.pixels * 16);
    const coarse = needsDown(m) ? ctx.buffer('downI', g.pixels * 16 * parts) : filtered;
    const guide = m.context === 'guide' ? ctx.buffer('guide', g.pixels * 4 * el) : mip;

    // Forward. Packing goes on beside the pyramid.
    const forward = (pixels: number): Launch => forwardLaunch(path, ctx.device, spec, m.width, pixels, ctx.frames, kept);
    const packed = isPacked(forward(g.pixels)) ? addPacking(ctx, path, spec, count, k.weights) : undefined;
    addPyramid(node, m, g, variant, geo, input, mip, image);
    const pictures = [geo, r(noise), r(image), r(mip)];
    const fwd: AddForward = (label, first, pixels, seen) => {
      const launch = forward(pixels); // of a coarse level: with fewer pixels perhaps of another build
      const weights = packed && isPacked(launch) ? r(packed) : layerWeights;
      ctx.node({ label, kernel: 'kpn/fwd', ...launch, uses: [...pictures, r(seen), weights, w(act), w(out), w(filtered)], push: push(first, first + pixels) });
    };
    const pass: Combining = { filtered, coarse, combined, diff, output: ctx.output('output') };
    const cascade: Cascade = {
      node, model: m, geometry: g, variant, byBlocks, shown: shown.persistent, limits: ctx.device.limits, buffer: (name, bytes) => ctx.buffer(name, bytes), geo, noise, ref, mip, guide, pass, gradient,
    };
    const losses = addRising(cascade, fwd);

    // Backward.
    const dK = made === 'apart' ? ctx.buffer('dK', g.pixels * outputsOf(m) * el) : undefined;
    const { dEdI, hasKernelGradient } = addFalling(cascade, dK && { state: k.state, image, K: out, dK });
    const backward = [geo, r(k.state), r(image), layerWeights, r(act), r(out), r(diff), r(gradient), r(dEdI)];
    const partial = ctx.buffer('parts', sums * count * 4);
    if (dK) {
      if (!hasKernelGradient) node('dK', 'bck', 'dK', g.pixels, [...backward, w(dK)]);
      ctx.node({ label: 'bck', kernel: 'kpn/mlpbck', ...mulw, uses: [geo, layerWeights, r(act), r(dK), w(partial)] });
    } else if (made === 'within') ctx.node({ label: 'bck', kernel: 'kpn/bck', ...mulw, uses: [...backward, w(partial)] });
    else {
      const dAct = ctx.buffer('dEdA', g.pixels * (m.layers * m.width + outputsOf(m)) * el); // dE/dA_0 .., then dE/dK
      ctx.node({ label: 'bck', kernel: 'kpn/bck', ...panelLaunch(path, ctx.device, spec, m.width, g.pixels, ctx.frames, 'back'), uses: [...backward, w(dAct)] });
      ctx.node({ label: 'mulw', kernel: 'kpn/mulw', ...mulw, uses: [geo, r(act), r(dAct), w(partial)] });
    }

    // The weights' gradient: its parts' sum in order, the update.
    const weightGroups = count / SUM_WEIGHTS;
    const lossesAGroup = Math.max(4096, ceilDiv(losses.count, 64));
    const lossGroups = ceilDiv(losses.count, lossesAGroup);
    const norms = ctx.buffer('norms', 8 * (weightGroups + lossGroups));
    const reduce = { ...spec, 0: 256 };
    if (deriv)
      k.differences = addDifferences({
        model: m, geometry: g, geo, node, weights: count, state: k.state, rounded: k.rounded, ref, noise, combined,
        outputBytes: ctx.output('output').bytes,
        buffer: (name, bytes, options) => ctx.buffer(name, bytes, options),
        reduce: (label, kernel, uses, pushed) => ctx.node({ label, kernel: `kpn/${kernel}`, spec: reduce, groups: [1, 1, 1], uses, push: pushed }),
        // The guide is the unperturbed pass's: no gradient flows through it.
        forward: (name, pass) => {
          ctx.node({
            label: `fwd ${name}`, kernel: 'kpn/fwd', ...panelLaunch(path, ctx.device, spec, m.width, g.pixels, ctx.frames), variant: 'held.f32', uses: [...pictures, r(m.levels > 1 ? guide : mip), r(pass.weights), w(pass.filtered), r(act), r(out)], push: push(0, g.pixels),
          });
          addCombining(node, m, g, variant, geo, mip, pass, ` ${name}`);
        },
      }, deriv, ctx.params.float('dstep'));
    const sum = [geo, r(k.state), r(partial), r(losses.buffer), w(k.dEdw), w(norms)];
    const before = [r(k.master), r(k.moment1), r(k.moment2)]; // the update
    const sumLaunch = { label: 'sum', kernel: 'kpn/sum', spec: reduce, groups: [weightGroups + lossGroups, 1, 1] as [number, number, number], push: push(sums, weightGroups, lossesAGroup, losses.count) };
    const asked = ctx.params.string('step');
    if (asked === 'joined' || (asked === 'auto' && !cpu && !deriv)) {
      const [g0, , ...rest] = sum;
      ctx.node({ ...sumLaunch, variant: 'steps', uses: [g0!, rw(k.state), ...rest, r(k.hyper), rw(k.history), ...before] });
    } else {
      ctx.node({ ...sumLaunch, variant: 'apart', uses: sum });
      ctx.node({
        label: 'step', kernel: 'kpn/step', spec: reduce, groups: [1, 1, 1], uses: [geo, rw(k.state), r(k.hyper), r(norms), rw(k.history), r(k.dEdw), ...before], push: push(weightGroups, lossGroups),
      });
    }
    this.pictures = new Pictures(ctx, m, {
      state: k.state, history: k.history, rounded: k.rounded, derivatives: k.differences ?? k.dEdw,
      K: out, mip, combined, format: f32 ? 'f32' : 'f16', width: g.levels[0]!.width, height: g.levels[0]!.height,
    });
    if (this.frozen) return; // the weights stay
    ctx.node({
      label: 'adam', kernel: 'kpn/adam', spec: { ...spec, 15: f32 }, groups: [ceilDiv(count / 2, local), 1, 1],
      uses: [rw(k.state), r(k.hyper), r(k.dEdw), rw(k.master), rw(k.moment1), rw(k.moment2), w(k.weights), w(k.rounded)],
    });
  }

  /** What makes the parts of dE/dw: bck itself or mulw after it. */
  private gradientLaunch(ctx: BuildContext, path: LayerPath, spec: Launch['spec'], f32: boolean): GradientLaunch {
    const { width, layers } = this.model;
    const { pixels } = this.geometry;
    const asked = ctx.params.string('gradient');
    const fused = asked === 'split' || f32 || (asked === 'auto' && ctx.device.type === 'cpu') ? undefined : fusedLaunch(path, ctx.device, spec, width, layers, pixels, ctx.frames, KEPT[asked]);
    if (fused) return fused;
    if (KEPT[asked])
      throw new InputError('NO_FUSED', `kpn-t:${ctx.info.inst}: gradient ${asked} is not possible with path ${path.name}, width ${width} and ${layers} layers on ${ctx.device.name}${f32 ? ' in f32' : ''}`, { place: ctx.params.place('gradient'), hint: 'leave gradient at auto' });
    return gradientLaunch(path, ctx.device, spec, width, layers, pixels, ctx.frames);
  }

  /** Whether `rise` and `fall` go up and down the levels: GPUs gain, because a tile's levels are small and a dispatch each costs more than their pixels. */
  private risesByBlocks(ctx: BuildContext): boolean {
    const asked = ctx.params.string('cascade');
    if (asked === 'level' || (asked === 'auto' && ctx.device.type === 'cpu')) return false;
    const reason = whyNotByBlocks(this.model, ctx.device, this.derivTargets !== undefined);
    if (reason !== undefined && asked === 'block')
      throw new InputError('NO_CASCADE', `kpn-t:${ctx.info.inst}: cascade block is not possible, because ${reason}`, { place: ctx.params.place('cascade'), hint: 'leave cascade at auto' });
    return reason === undefined;
  }

  async beforeFrame(ctx: FrameContext, frame: number): Promise<void> {
    const p = ctx.params;
    const at = (name: string): number => p.float(name, frame);
    ctx.write(this.kept.hyper, hyperBytes({
      alpha: at('alpha'), beta1: at('beta1'), beta2: at('beta2'), eps: at('eps'), l2: at('L2'), gradclip: at('gradclip'),
      frames: this.frameCount, decay: DECAYS.indexOf(p.string('decay') as 'const'), warmup: p.int('warmup'),
      history: Math.min(this.frameCount, HISTORY_FRAMES), outlier: at('outlier'),
    }));
    if (frame !== 0) return;
    let weights: Float32Array;
    if (p.int('init') === 1) weights = initialWeights(this.model, p.int('seed'));
    else {
      const bytes = await ctx.read(this.wcp!);
      weights = fromHalf(new Uint16Array(bytes.buffer, bytes.byteOffset, weightCount(this.model)));
      const used = this.model.layers * this.model.width ** 2 + outputsOf(this.model) * this.model.width;
      weights.fill(0, used);
    }
    const halves = toHalf(weights).data;
    ctx.write(this.kept.master, weights);
    ctx.write(this.kept.weights, halves);
    ctx.write(this.kept.rounded, fromHalf(halves));
  }

  async present(ctx: FrameContext): Promise<void> {
    await this.pictures?.present(ctx);
  }

  trains(): boolean {
    return !this.frozen;
  }

  state(): ModuleState {
    const { width, layers } = this.model;
    const { master, moment1, moment2, weights, rounded, history, state } = this.kept;
    const matrices = [layers + 1, width, width]; // (layer, out, in)
    return {
      tensors: [
        { buffer: weights, name: 'w', type: 'f16', shape: matrices },
        { buffer: master, name: 'master', type: 'f32', shape: matrices },
        { buffer: moment1, name: 'moment1', type: 'f32', shape: matrices },
        { buffer: moment2, name: 'moment2', type: 'f32', shape: matrices },
        { buffer: rounded, name: 'rounded', type: 'f32', shape: matrices },
        { buffer: history, name: 'history', type: 'f32', shape: [history.bytes / 4], grows: true },
        { buffer: state, name: 'state', type: 'u32', shape: [STATE_BYTES / 4], values: (bytes) => ({ ...readState(bytes) }) },
      ],
    };
  }

  /** The state on the device as it is now. */
  async readState(ctx: FrameContext): Promise<State> {
    return readState(await ctx.read(this.kept.state));
  }

  async status(ctx: FrameContext): Promise<Status> {
    const s = await this.readState(ctx);
    const warnings: string[] = [];
    if (s.badPixels > 0 && this.warnedBad === 0) {
      this.warnedBad = s.badPixels;
      warnings.push(`${s.badPixels} pixels had a result that is not finite; they gave no gradient`);
    }
    if (s.overflows > 0 && !this.warnedOverflow) {
      this.warnedOverflow = true;
      warnings.push(`${s.overflows} updates were skipped, because a weight or moment would not have been finite: alpha may be too large, or eps too small`);
    }
    return {
      values: [
        { name: 'loss', value: s.smoothed },
        { name: '|g|', value: s.norm },
        { name: 'skipped', value: s.skipped },
        ...(s.outliers > 0 ? [{ name: 'outliers', value: s.outliers }] : []),
      ],
      warnings,
    };
  }
}

const sizeOf = (s: PortShape): string => `${s.width}x${s.height}${s.count > 1 ? ` x ${s.count} tiles` : ''}`;

export const kpnT: ModuleType = {
  name: 'kpn-t',
  doc: 'trains a multi-level kernel-predicting network to denoise',
  connectors: [
    { name: 'input', type: 'read', channels: 'rgba', format: '*' },
    { name: 'ref', type: 'read', channels: 'rgba', format: '*' },
    { name: 'output', type: 'write', channels: 'rgba', format: 'f16' },
    { name: 'w', type: 'write', channels: 'ssbo', format: 'f16' },
    { name: 'graph', type: 'write', channels: 'rgba', format: 'f16' },
    { name: 'vis', type: 'write', channels: 'rgba', format: 'f32' },
    { name: 'debug', type: 'write', channels: 'rgba', format: 'f16' },
    { name: 'wcp', type: 'read', channels: 'ssbo', format: 'f16', optional: true },
    { name: 'noiseab', type: 'read', channels: 'ssbo', format: 'f32' },
  ],
  params: [
    { name: 'alpha', type: 'float', default: 0.01, min: 0, animated: true, doc: 'learning rate' },
    { name: 'beta1', type: 'float', default: 0.99, min: 0, max: 0.999999, animated: true, doc: 'decay of the first moment' },
    { name: 'beta2', type: 'float', default: 0.999, min: 0, max: 0.999999, animated: true, doc: 'decay of the second moment' },
    { name: 'eps', type: 'float', default: 0.0001, min: 0, animated: true, doc: 'added to the square root of the second moment' },
    { name: 'init', type: 'int', default: 0, min: 0, max: 1, doc: '0: weights from the checkpoint at wcp; 1: random weights' },
    { name: 'L2', type: 'float', default: 0.001, min: 0, animated: true, doc: 'weight of the squared weights in the loss' },
    { name: 'gradclip', type: 'float', default: 1000, min: 0, animated: true, doc: 'largest norm of the gradient' },
    { name: 'outlier', type: 'float', default: 0, min: 0, animated: true, doc: 'an update is skipped whose gradient is this many standard deviations longer than usual, by the logarithm of its norm over the last 100 frames or so; 0: none' },
    { name: 'seed', type: 'int', default: 1, min: 0, doc: 'of the random weights' },
    { name: 'decay', type: 'enum', values: DECAYS, default: 'const', doc: 'of the learning rate over the frames of the graph' },
    { name: 'warmup', type: 'int', default: 0, min: 0, doc: 'frames over which the learning rate rises to alpha' },
    { name: 'deriv', type: 'int', default: 0, min: 0, max: 2, doc: 'checks derivatives instead of training, with frame 0\'s tile in every frame; sets the number of frames. 1: frame n takes the central difference of the loss by weight n - 1, in f32; 2: the gradient alone, as training computes it' },
    { name: 'dstep', type: 'float', default: DEFAULT_STEP, min: 1e-6, max: 1, doc: 'with deriv:1: by how much a weight is changed' },
    { name: 'dsample', type: 'int', default: 0, min: 0, doc: 'with deriv:1: only so many random weights of each matrix; 0: all' },
    { name: 'step', type: 'enum', values: ['auto', 'apart', 'joined'], default: 'auto', doc: 'what decides on the update in a dispatch of its own, or by the last of the workgroups that add up dE/dw; auto: what is faster' },
    { name: 'cascade', type: 'enum', values: ['auto', 'level', 'block'], default: 'auto', doc: 'up and down the levels with a dispatch for each level, or with one for all, by blocks of pixels; auto: what is faster, where it is possible' },
    { name: 'gradient', type: 'enum', values: ['auto', 'split', 'fused', 'sparse', 'anew'], default: 'auto', doc: 'the weights\' gradient by a kernel of its own, or in the pass back through the layers (fused), which of activations may get every second one (sparse) or none (anew) and make the others anew; auto: what is faster, where it is possible' },
    ...modelParams,
  ],
  create: (_info: InstanceInfo) => new KpnT(),
};
