// The whole model as the reference puts it together (evaluate), beside a frame that the device ran. Rounding is no obstacle and nothing
// amplifies it, because the reference goes on from what the device stored: each tensor of its own is compared, then replaced.
//
// The bound. step-check.ts has shown every tensor T of the device to be within B of e, what its kernel must make of the tensors that it
// reads, worked out kernel by kernel in f64; B is N u times the sizes of the terms, u = 2^-24 that of f32. The reference makes of the same
// tensors the same number in f64, by its own order of things: two computations of u = 2^-53, each within 2^-29 B, so within 2^-28 B
// of each other. That is asked for here, and with it every connection between kernels is the reference's, to eight digits. Where a kernel
// goes through a number that the reference has no tensor for, what that was off by is added (`slack`).
import { MIP_DEPTH } from '../../ts/modules/kpn/geometry.js';
import { down, downTransposed, evaluate, makeImage, parts, up2, type Hooks, type TensorName } from '../reference/index.js';
import type { Expected } from './expected.js';
import { expectedWeightGradient, type Before, type Tensors } from './step-check.js';

const TWICE_F64 = 2 ** -28;

/** Throws where `got`, the reference's, is off `e` by more than f64 explains, and `slack`. Infinities and NaN are where they should be or both bad. */
function agree(what: string, got: ArrayLike<number>, e: Expected, slack?: ArrayLike<number>): void {
  if (got.length !== e.value.length) throw new Error(`${what}: ${got.length} values in the reference, ${e.value.length} by its kernel`);
  for (let i = 0; i < got.length; i++) {
    if (got[i] === e.value[i] || (!Number.isFinite(got[i]!) && !Number.isFinite(e.value[i]!))) continue;
    const off = Math.abs(got[i]! - e.value[i]!);
    if (!(off <= TWICE_F64 * e.bound[i]! + (slack?.[i] ?? 0))) throw new Error(`${what}, value ${i}: ${got[i]} in the reference, ${e.value[i]} by its kernel, off by ${off} of +- ${TWICE_F64 * e.bound[i]!} and ${slack?.[i] ?? 0}`);
  }
}

const times = (values: Float64Array, factor: ArrayLike<number>): Float64Array => values.map((v, i) => v * factor[i]!);

class Whole {
  readonly seen = new Set<string>();

  constructor(private readonly t: Tensors) {}

  private expected(what: string, level: number, tile: number): Expected {
    const key = `${what}|${level}|${tile}`;
    const e = this.t.recorded.get(key);
    if (!e) throw new Error(`nothing was expected of ${key}; of: ${[...this.t.recorded.keys()].join(', ')}`);
    this.seen.add(key);
    return e;
  }

  private parts(what: string, level: number, tile: number): Expected[] {
    const { length } = parts(this.t.c.model.chroma);
    return Array.from({ length }, (_, k) => this.expected(length > 1 ? `${what}, part ${k}` : what, level, tile));
  }

  private isCoarsest(level: number): boolean {
    return level + 1 === this.t.c.model.levels;
  }

  readonly visit: NonNullable<Hooks['visit']> = (name, data, { tile, level, layer }) => {
    const { t } = this;
    const { model } = t.c;
    const simple = (what: string, device: Float64Array, slack?: ArrayLike<number>): void => {
      agree(`${what} of level ${level}, tile ${tile}`, data, this.expected(what, level, tile), slack);
      data.set(device);
    };
    const visits: Partial<Record<TensorName, () => void>> = {
      M: () => this.mip(data, level, tile),
      D: () => simple('detail', t.image('detail', 'stored', level, tile).data),
      G: () => void (this.isCoarsest(level) || simple('guide', t.image('guide', 'stored', level, tile).data)),
      x: () => simple('x', t.A(-1, level, tile)),
      A: () => simple(`A ${layer}`, t.A(layer, level, tile)),
      K: () => simple('K', t.K(level, tile)),
      I: () => this.applied(data, level, tile),
      O: () => void (level === model.levels || simple('O', t.image('O', 'f32', level, tile).data, this.combinedSlack(level, tile))),
      dO: () => this.gradient(data, level, tile),
      dI: () => this.ofApplied(data, level, tile),
      dK: () => simple('dE/dK', t.dA(model.layers, level, tile)),
      dA: () => void (layer === model.layers || simple(`dE/dA ${layer}`, t.dA(layer, level, tile))),
    };
    visits[name]?.();
  };

  /** Box levels are made straight from the picture, in f32; the reference takes them from the finer level that is stored in f16. */
  private mip(data: Float64Array, level: number, tile: number): void {
    const { t } = this;
    const e = this.expected('mip', level, tile);
    const direct = t.c.model.pyramid === 'box' && level > 0 && level < MIP_DEPTH;
    let slack: Float64Array | undefined;
    if (direct) {
      const finer = t.image('mip', 'stored', level - 1, tile);
      const own = this.expected('mip', level - 1, tile).value;
      slack = down(makeImage(finer.width, finer.height, 3, finer.data.map((v, i) => Math.abs(v - own[i]!))), 'box').data;
    }
    agree(`M of level ${level}, tile ${tile}`, data, e, slack?.map((v) => v * (1 + 2 ** -40)));
    data.set(t.image('mip', 'stored', level, tile).data);
  }

  /** I, in the reference's form: (pixel; colour and blend weight of each part). */
  private applied(data: Float64Array, level: number, tile: number): void {
    const { t } = this;
    const device = t.parts('I', level, tile, 4);
    const expected = this.parts('I', level, tile);
    parts(t.c.model.chroma).forEach((part, k) => {
      for (const [from, to] of [...Array.from({ length: part.count }, (_, c) => [c, part.channel + c] as const), [3, part.alpha] as const]) {
        const { pick, put } = strided(data, to, t.c.model.chroma ? 6 : 4);
        const of = (values: Float64Array): Float64Array => strided(values, from, 4).pick();
        agree(`I of level ${level}, tile ${tile}, channel ${to}`, pick(), { value: of(expected[k]!.value), bound: of(expected[k]!.bound) });
        put(of(device[k]!.data));
      }
    });
  }

  /** Under postdiff the device goes through down(I), which it stores: what that may be off by, enlarged. */
  private downSlack(level: number, tile: number): Float64Array[] | undefined {
    const { combine, pyramid, up } = this.t.c.model;
    if (combine !== 'postdiff' || this.isCoarsest(level)) return undefined;
    const [coarse, fine] = [this.t.geometry.levels[level + 1]!, this.t.geometry.levels[level]!];
    return this.parts('down of I', level + 1, tile).map(({ bound }) => up2(makeImage(coarse.width, coarse.height, 3, bound), fine.width, fine.height, pyramid, up).data);
  }

  private combinedSlack(level: number, tile: number): Float64Array | undefined {
    const slacks = this.downSlack(level, tile);
    const I = this.t.parts('I', level, tile, 4);
    return slacks?.map((s, k) => times(s, s.map((_, i) => Math.abs(I[k]!.data[4 * Math.floor(i / 3) + 3]!)))).reduce((a, b) => a.map((v, i) => v + b[i]!));
  }

  private gradient(data: Float64Array, level: number, tile: number): void {
    if (level > 0) agree(`dE/dO of level ${level}, tile ${tile}`, data, this.expected('dE/dO', level, tile));
    else {
      const { value, bound } = this.expected('loss', level, tile);
      const colour = (values: Float64Array): Float64Array => values.filter((_, i) => i % 4 < 3);
      agree(`dE/dO of level 0, tile ${tile}`, data, { value: colour(value), bound: colour(bound) });
    }
    data.set(this.t.image('dEdO', 'f32', level, tile).data);
  }

  /** dE/dI: by the blend weight through dO/dI.a, which the device stores; under postdiff also by the colour. */
  private ofApplied(data: Float64Array, level: number, tile: number): void {
    const { t } = this;
    const { chroma, combine, pyramid } = t.c.model;
    const g = t.image('dEdO', 'f32', level, tile);
    const dot = (d: Float64Array, f = (x: number): number => x): Float64Array =>
      Float64Array.from({ length: g.width * g.height }, (_, p) => [0, 1, 2].reduce((sum, c) => sum + (g.data[3 * p + c] === 0 ? 0 : f(g.data[3 * p + c]!) * f(d[3 * p + c]!)), 0));
    const diffs = this.parts('dO/dI.a', level, tile);
    const slacks = this.downSlack(level, tile);
    parts(chroma).forEach((part, k) => {
      const { pick, put } = strided(data, part.alpha, chroma ? 6 : 4);
      const { value, bound } = diffs[k]!;
      agree(`dE/dI.a of level ${level}, tile ${tile}, part ${k}`, pick(), { value: dot(value), bound: dot(bound, Math.abs) }, slacks && dot(slacks[k]!, Math.abs));
      put(dot(t.parts('dOdIa', level, tile)[k]!.data));
      if (combine !== 'postdiff') return;
      const e = this.parts('dE/dI', level, tile)[k]!;
      const through = this.isCoarsest(level) ? undefined : this.transposedSlack(k, level, tile, pyramid);
      const device = t.parts('dEdI', level, tile)[k]!.data;
      // In the reference's form: by luminance, the sum over rgb.
      const ofPart = (values: Float64Array, c: number): Float64Array => (part.count === 1 ? [0, 1, 2] : [c]).map((i) => strided(values, i, 3).pick()).reduce((a, b) => a.map((v, i) => v + b[i]!));
      for (let c = 0; c < part.count; c++) {
        const channel = strided(data, part.channel + c, chroma ? 6 : 4);
        agree(`dE/dI of level ${level}, tile ${tile}, part ${k}`, channel.pick(), { value: ofPart(e.value, c), bound: ofPart(e.bound, c) }, through && ofPart(through, c));
        channel.put(ofPart(device, c));
      }
    });
  }

  /** Under postdiff the device goes through up2^T(I.a g), which it stores. */
  private transposedSlack(k: number, level: number, tile: number, pyramid: Tensors['c']['model']['pyramid']): Float64Array {
    const [coarse, fine] = [this.t.geometry.levels[level + 1]!, this.t.geometry.levels[level]!];
    const { bound } = this.parts('up2^T', level + 1, tile)[k]!;
    return downTransposed(makeImage(coarse.width, coarse.height, 3, bound), fine.width, fine.height, pyramid).data;
  }
}

/** Every `stride`th value, from `first` on. */
function strided(data: Float64Array, first: number, stride: number): { pick: () => Float64Array; put: (values: Float64Array) => void } {
  return {
    pick: () => data.filter((_, i) => i % stride === first),
    put: (values) => values.forEach((v, i) => (data[first + i * stride] = v)),
  };
}

/**
 * Compares the reference with a frame that checkTensors has been through: every tensor, dE/dw, the loss. `t`: the frame and what was expected of it.
 * @returns the number of bad pixels, in the reference
 */
export function checkWhole(t: Tensors, before: Before): number {
  const { model, tiles } = t.c;
  const whole = new Whole(t);
  const result = evaluate(model, before.weights, tiles, { visit: whole.visit });
  const left = [...t.recorded.keys()].filter((key) => !whole.seen.has(key) && !key.startsWith('output|')); // O of level 0 once more
  if (left.length > 0) throw new Error(`the reference has nothing to compare with ${left.join(', ')}`);
  result.dwLayers.forEach((dw, l) => {
    const e = expectedWeightGradient(t, l);
    agree(`dE/dw ${l}`, dw.subarray(0, e.value.length), e);
  });
  const losses = tiles.flatMap((_, tile) => {
    const e = t.recorded.get(`loss|0|${tile}`)!;
    return Array.from(e.value, (value, i) => ({ value, bound: e.bound[i]! })).filter(({ value }, i) => i % 4 === 3 && value >= 0);
  });
  const total = (pick: (l: (typeof losses)[number]) => number): number => losses.reduce((sum, l) => sum + pick(l), 0);
  // A sum in f64: as many roundings as pixels.
  agree('loss', [result.loss], { value: Float64Array.of(total((l) => l.value)), bound: Float64Array.of(total((l) => l.bound)) }, [losses.length * 2 ** -52 * total((l) => l.value)]);
  return result.badPixels;
}
