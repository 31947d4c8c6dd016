// Compares all that a training step left in its buffers with the reference, one kernel at a time: what a kernel must
// compute is worked out (expected.ts) from what the device's buffers hold for its inputs, so errors don't add up and each
// bound is tight. All tensors are looked at whole, level by level and tile by tile.
import { MIP_DEPTH } from '../../ts/modules/kpn/geometry.js';
import { readState } from '../../ts/modules/kpn-t/state.js';
import { channels, type Image, makeImage, mlpShape, noiseGain, rowsOf, toHalf, type AdamOptions, gradientNorm } from '../reference/index.js';
import * as expect_ from './expected.js';
import { type Expected, type Known } from './expected.js';
import { geometryOfCase, type PictureFormat, type Snapshot, storageOf, type StepCase, values } from './step-run.js';

/** A number as the batch's format keeps it. */
const roundTo = { f16: toHalf, f32: Math.fround } as const;

/**
 * Throws for the element that is furthest out of its bound; NaN is out of any. Stored values must be the rounding of a number
 * within the bound: lie between the rounded ends.
 */
export function compare(what: string, device: ArrayLike<number>, { value, bound, stored }: Expected, format: PictureFormat = 'f16'): void {
  if (device.length !== value.length) throw new Error(`${what}: ${device.length} values, expected ${value.length}`);
  const round = (v: number): number => (stored === undefined ? v : roundTo[format](v * stored) / stored);
  let worst = -1;
  let excess = 0;
  let count = 0;
  for (let i = 0; i < value.length; i++) {
    const error = Math.abs(device[i]! - value[i]!);
    if (device[i] === value[i] || error <= bound[i]!) continue;
    if (device[i]! >= round(value[i]! - bound[i]!) && device[i]! <= round(value[i]! + bound[i]!)) continue;
    count++;
    const ratio = Number.isNaN(error) ? Infinity : error / Math.max(bound[i]!, Math.abs(round(value[i]!) - value[i]!));
    if (worst < 0 || ratio > excess) [worst, excess] = [i, ratio];
  }
  if (worst >= 0)
    throw new Error(`${what}: ${count} of ${value.length} values are out of bounds; the worst, at ${worst}: ${device[worst]}, expected ${value[worst]} +- ${bound[worst]}${stored === undefined ? '' : `, rounded ${round(value[worst]!)}`} (${excess.toPrecision(3)} times)`);
}

export const exactly = (value: Float64Array): Expected => ({ value, bound: new Float64Array(value.length) });

/** A frame's buffers as tensors. Pixels lie (level, tile, y, x). */
export class Tensors {
  readonly geometry;
  readonly outs: number;
  /** What the batch's images and activations are kept as. */
  readonly storage: PictureFormat;

  constructor(
    readonly c: StepCase,
    readonly snapshot: Snapshot,
    /** Of the gradients, during the frame. */
    readonly scale: number,
    /** There are pixels of numbers that are not finite. */
    private readonly badPixels = false,
  ) {
    this.storage = storageOf(c);
    this.geometry = geometryOfCase(c);
    this.outs = mlpShape(c.model).outputs;
  }

  /** What each comparison so far expected: "K|level|tile". */
  readonly recorded = new Map<string, Expected>();
  private badContexts: boolean[] = [];
  /** Where comparisons belong (`onLevels`). */
  where = '';

  compare(what: string, device: ArrayLike<number>, e: Expected): void {
    this.recorded.set(`${what}|${this.where}`, e);
    if (!this.badPixels) return compare(what, device, e, this.storage);
    const bad = this.findBad(what, e.value);
    const good = (values: ArrayLike<number>): Float64Array => Float64Array.from(values).filter((_, i) => !bad[Math.floor((i * bad.length) / values.length)]);
    compare(`${what} of good pixels`, good(device), { ...e, value: good(e.value), bound: good(e.bound) }, this.storage);
  }

  /** Of the level's pixels those of which anything expected is not finite, or was of their context: kernels may leave there what they like, as long as no gradient comes of it. */
  private findBad(what: string, value: Float64Array): boolean[] {
    const { width, height } = this.geometry.levels[Number(this.where.split('|')[0])]!;
    const row = value.length / (width * height);
    const before = /^(A \d|K)$/.test(what) ? this.badContexts : [];
    const bad = Array.from({ length: width * height }, (_, p) => before[p] === true || !value.subarray(p * row, (p + 1) * row).every(Number.isFinite));
    if (what === 'x') this.badContexts = bad;
    return bad;
  }

  buffer(name: string): Uint8Array {
    const bytes = this.snapshot.get(name);
    if (!bytes) throw new Error(`there is no buffer ${name}; there is: ${[...this.snapshot.keys()].join(', ')}`);
    return bytes;
  }

  private at(level: number, tile: number): { first: number; count: number; width: number; height: number } {
    const { first, width, height } = this.geometry.levels[level]!;
    const count = width * height;
    return { first: first + tile * count, count, width, height };
  }

  /** `keep` channels of a picture of four channels. */
  image(name: string, format: 'f32' | 'stored', level: number, tile: number, keep = 3, part = 0): Image {
    const { first, count, width, height } = this.at(level, tile);
    const from = 4 * (part * this.geometry.pixels + first);
    return channels(makeImage(width, height, 4, values(this.buffer(name), format === 'stored' ? this.storage : format, from, 4 * count)), 0, keep);
  }

  /** f32 pictures of each part. */
  parts(name: string, level: number, tile: number, keep = 3): Image[] {
    return Array.from({ length: expect_.partCount(this.c.model) }, (_, k) => this.image(name, 'f32', level, tile, keep, k));
  }

  /** Compares a picture of each part. */
  compareParts(what: string, device: readonly Image[], expected: (k: number) => Expected): void {
    device.forEach((image, k) => this.compare(device.length > 1 ? `${what}, part ${k}` : what, image.data, expected(k)));
  }

  rows(name: string, base: number, row: number, level: number, tile: number): Float64Array {
    const { first, count } = this.at(level, tile);
    return values(this.buffer(name), this.storage, base + row * first, row * count);
  }

  /** layer -1: the context x. */
  A(layer: number, level: number, tile: number): Float64Array {
    const W = this.c.model.width;
    return this.rows('A', (layer + 1) * this.geometry.pixels * W, W, level, tile);
  }

  K(level: number, tile: number): Float64Array {
    return this.rows('K', 0, this.outs, level, tile);
  }

  /** Unscaled dE/dA of a layer; layer H: dE/dK. */
  dA(layer: number, level: number, tile: number): Float64Array {
    const W = this.c.model.width;
    return this.rows('dEdA', layer * this.geometry.pixels * W, layer === this.c.model.layers ? this.outs : W, level, tile).map((v) => v / this.scale);
  }

  /** Joins a tensor of all levels and tiles. */
  join(pick: (level: number, tile: number) => Float64Array): Float64Array {
    const { model, tiles } = this.c;
    const pieces: Float64Array[] = [];
    for (let level = 0; level < model.levels; level++) for (let tile = 0; tile < tiles.length; tile++) pieces.push(pick(level, tile));
    const all = new Float64Array(pieces.reduce((n, p) => n + p.length, 0));
    let at = 0;
    for (const piece of pieces) {
      all.set(piece, at);
      at += piece.length;
    }
    return all;
  }
}

/** Weights and training state between frames. */
export interface Before {
  /** What the layers read: f16 values. */
  weights: Float64Array;
  moments: expect_.Moments;
  scale: number;
}

export function stateAfter(snapshot: Snapshot): Before {
  const f32 = (name: string): Float64Array => values(snapshot.get(name)!, 'f32');
  const state = readState(snapshot.get('state')!);
  return { weights: f32('rounded'), moments: { w: f32('master'), moment1: f32('moment1'), moment2: f32('moment2'), n: state.updates }, scale: state.scale };
}

/** Before frame 0, with the initial weights given (f32; the layers read them as f16). */
export function stateAtStart(master: Float64Array): Before {
  return { weights: master.map(toHalf), moments: { w: master, moment1: master.map(() => 0), moment2: master.map(() => 0), n: 0 }, scale: 128 };
}

/** Checks of one kernel's output for a level of a tile, from what the other buffers hold. */
type Check = (t: Tensors, level: number, tile: number, weights: Float64Array) => void;

const isPrediff = (t: Tensors): boolean => t.c.model.combine === 'prediff';
const isCoarsest = (t: Tensors, level: number): boolean => level + 1 === t.c.model.levels;
/** What the context's taps and the kernel are applied to: D under prediff, else M. */
const taps = (t: Tensors, level: number, tile: number): Image => t.image(isPrediff(t) ? 'detail' : 'mip', 'stored', level, tile);

/** What level `level` + 1 hands to `level`: its O, under prediff below the coarsest level M; nothing where there is none. */
function coarserResult(t: Tensors, level: number, tile: number): Image | undefined {
  if (!isCoarsest(t, level)) return t.image('O', 'f32', level + 1, tile);
  return isPrediff(t) ? t.image('mip', 'stored', level + 1, tile) : undefined;
}

export const checkMip: Check = (t, level, tile, weights) => {
  const { model, tiles } = t.c;
  const straight = level === 0 || (model.pyramid === 'box' && level < MIP_DEPTH);
  if (straight) t.compare('mip', t.image('mip', 'stored', level, tile).data, expect_.boxMip(tiles[tile]!.input, level));
  else checkDown(t, level, tile, weights);
};

export const checkDown: Check = (t, level, tile) =>
  t.compare('mip', t.image('mip', 'stored', level, tile).data, expect_.downOnce(t.c.model, t.image('mip', 'stored', level - 1, tile), true));

export const checkDetail: Check = (t, level, tile) =>
  t.compare('detail', t.image('detail', 'stored', level, tile).data, expect_.detail(t.c.model, t.image('mip', 'stored', level, tile), t.image('mip', 'stored', level + 1, tile)));

/** The guide of a level that is not the coarsest. */
export const checkGuide: Check = (t, level, tile) => {
  const G = t.image('guide', 'stored', level, tile);
  t.compare('guide', G.data, expect_.guide(t.c.model, G, t.image('O', 'f32', level + 1, tile)));
};

export const checkFwd: Check = (t, level, tile, weights) => {
  const { model, tiles } = t.c;
  const image = taps(t, level, tile);
  const M = t.image('mip', 'stored', level, tile);
  const G = model.context !== 'guide' || isCoarsest(t, level) ? M : t.image('guide', 'stored', level, tile);
  const seen = { M, taps: image, G, noise: tiles[tile]!.noise, gain: noiseGain(level, model.pyramid) };
  t.compare('x', t.A(-1, level, tile), expect_.context(model, seen));
  for (let l = 0; l < model.layers; l++) t.compare(`A ${l}`, t.A(l, level, tile), expect_.hidden(model, weights, l, t.A(l - 1, level, tile)));
  t.compare('K', t.K(level, tile), expect_.outputs(model, weights, t.A(model.layers - 1, level, tile)));
  const applied = expect_.applied(model, image, t.K(level, tile));
  t.compareParts('I', t.parts('I', level, tile, 4), (k) => applied[k]!);
};

/** down(I) at `level`, under postdiff. */
export const checkDownI: Check = (t, level, tile) =>
  t.compareParts('down of I', t.parts('downI', level, tile), (k) => expect_.downOnce(t.c.model, t.parts('I', level - 1, tile)[k]!, false));

/** down(I of `level`): as it lies in memory, or where a kernel makes it on the way. */
const lowOf = (t: Tensors, level: number, tile: number): Known[] =>
  t.parts('I', level, tile).map((I, k) => (t.snapshot.has('downI')
    ? { image: t.parts('downI', level + 1, tile)[k]! }
    : expect_.known(expect_.downOnce(t.c.model, I, false), t.image('O', 'f32', level + 1, tile))));

export const checkUp: Check = (t, level, tile) => {
  const { model } = t.c;
  const I = t.parts('I', level, tile, 4);
  const coarser = coarserResult(t, level, tile);
  const coarse = model.combine === 'postdiff' && coarser ? lowOf(t, level, tile) : undefined;
  const O = t.image('O', 'f32', level, tile);
  t.compare('O', O.data, expect_.combined(model, I, coarser, coarse));
  const { U, UTerms } = expect_.enlarged(model, I[0]!, coarser);
  t.compareParts('dO/dI.a', t.parts('dOdIa', level, tile), (k) => expect_.blended(model, k, I[k]!, U, UTerms, coarse?.[k]));
  if (level > 0) return;
  const count = 4 * O.width * O.height;
  const result = values(t.buffer('output'), 'f16', tile * count, count);
  t.compare('output', result, exactly(Float64Array.from({ length: count }, (_, i) => (i % 4 === 3 ? 1 : toHalf(O.data[3 * (i >> 2) + (i % 4)]!)))));
};

/** Of level 0. */
export const checkLoss: Check = (t, level, tile) => {
  const { reference, noise } = t.c.tiles[tile]!;
  t.compare('loss', t.image('dEdO', 'f32', level, tile, 4).data, expect_.lossGradient(t.c.model, t.image('O', 'f32', level, tile), reference, noise));
};

/** dE/dO of the finest level as `rise` leaves it without postdiff: the fourth channel is dot(dE/dO, dO/dI.a); a pixel that is not finite has zeros. */
export const checkSlopes: Check = (t, level, tile) => {
  const { reference, noise } = t.c.tiles[tile]!;
  const loss = expect_.lossGradient(t.c.model, t.image('O', 'f32', level, tile), reference, noise);
  const g = t.image('dEdO', 'f32', level, tile, 4).data;
  const d = t.image('dOdIa', 'f32', level, tile).data;
  const value = loss.value.slice(), bound = loss.bound.slice();
  for (let p = 0; p < g.length / 4; p++) {
    const terms = loss.value[4 * p + 3] === -1 ? [0] : [0, 1, 2].map((k) => g[4 * p + k]! * d[3 * p + k]!);
    value[4 * p + 3] = terms.reduce((sum, v) => sum + v, 0);
    bound[4 * p + 3] = 4 * 2 ** -24 * terms.reduce((sum, v) => sum + Math.abs(v), 0) + 2 ** -126;
  }
  t.compare('dE/dO and slope', g, { value, bound });
};

/** What it leaves of the losses: pixels that are not finite, 0, 0, and the others' loss, of blocks of that many pixels of level 0 each way. */
export function checkBlockLosses(t: Tensors, block: number): void {
  const { width, height } = t.geometry.levels[0]!;
  const [across, down] = [Math.ceil(width / block), Math.ceil(height / block)];
  const value = new Float64Array(4 * across * down * t.c.tiles.length), bound = value.slice();
  for (const [tile, { reference, noise }] of t.c.tiles.entries()) {
    const loss = expect_.lossGradient(t.c.model, t.image('O', 'f32', 0, tile), reference, noise);
    for (let p = 0; p < width * height; p++) {
      const at = 4 * ((tile * down + Math.floor(p / width / block)) * across + Math.floor((p % width) / block));
      const l = loss.value[4 * p + 3]!;
      if (l === -1) value[at]! += 1;
      else [value[at + 3]!, bound[at + 3]!] = [value[at + 3]! + l, bound[at + 3]! + loss.bound[4 * p + 3]! + 48 * 2 ** -24 * l]; // 4 pixels, 11 invocations, 32 of those
    }
  }
  t.compare('losses of the blocks', values(t.buffer('losses'), 'f32'), { value, bound });
}

/** dE/dO of `level` > 0. */
export const checkDup: Check = (t, level, tile) =>
  t.compare('dE/dO', t.image('dEdO', 'f32', level, tile).data, expect_.coarserGradient(t.c.model, t.parts('I', level - 1, tile, 4), t.image('dEdO', 'f32', level - 1, tile)));

/** up2^T(I.a g) of `level` - 1, under postdiff. */
export const checkPart: Check = (t, level, tile) =>
  t.compareParts('up2^T', t.parts('up2T', level, tile), (k) => expect_.weightedTransposed(t.c.model, t.parts('I', level - 1, tile, 4)[k]!, t.image('dEdO', 'f32', level - 1, tile)));

export const checkPost: Check = (t, level, tile) => {
  const { model } = t.c;
  const g = t.image('dEdO', 'f32', level, tile);
  // up2^T(I.a g): as it lies in memory, or where a kernel makes it on the way.
  const up2TOf = (I: Image, k: number): Known => (t.snapshot.has('up2T')
    ? { image: t.parts('up2T', level + 1, tile)[k]! }
    : expect_.known(expect_.weightedTransposed(model, I, g), t.image('dEdO', 'f32', level + 1, tile)));
  t.compareParts('dE/dI', t.parts('dEdI', level, tile), (k) => {
    const I = t.parts('I', level, tile, 4)[k]!;
    return expect_.postGradient(model, I, g, isCoarsest(t, level) ? undefined : up2TOf(I, k));
  });
};

export const checkBck: Check = (t, level, tile, weights) => {
  const { model } = t.c;
  t.compare('dE/dK', t.dA(model.layers, level, tile), expect_.kernelGradient(model, {
    taps: taps(t, level, tile), K: t.K(level, tile), I: t.parts('I', level, tile, 4), g: t.image('dEdO', 'f32', level, tile),
    coarsest: isCoarsest(t, level), scale: t.scale, d: t.parts('dOdIa', level, tile),
    post: model.combine === 'postdiff' ? t.parts('dEdI', level, tile) : undefined,
  }));
  for (let l = model.layers; l > 0; l--) {
    const above = t.dA(l, level, tile);
    if (!above.every(Number.isFinite)) return; // the frame is skipped; what follows from infinities doesn't matter
    t.compare(`dE/dA ${l - 1}`, t.dA(l - 1, level, tile), expect_.layerGradient(model, weights, l, above, t.A(l - 1, level, tile), t.scale));
  }
};

/** Runs a check on levels `from` to before `end` of all tiles. */
export function onLevels(check: Check, t: Tensors, weights: Float64Array = new Float64Array(), from = 0, end = t.c.model.levels): void {
  for (let level = from; level < end; level++)
    for (let tile = 0; tile < t.c.tiles.length; tile++)
      try {
        t.where = `${level}|${tile}`;
        check(t, level, tile, weights);
      } catch (error) {
        throw new Error(`level ${level}, tile ${tile}: ${(error as Error).message}`);
      }
}

export function checkTensors(t: Tensors, weights: Float64Array): void {
  const { combine, levels } = t.c.model;
  onLevels(checkMip, t, weights, 0, isPrediff(t) ? levels + 1 : levels);
  if (isPrediff(t)) onLevels(checkDetail, t);
  if (t.c.model.context === 'guide') onLevels(checkGuide, t, weights, 0, levels - 1);
  onLevels(checkFwd, t, weights);
  if (combine === 'postdiff') onLevels(checkDownI, t, weights, 1);
  onLevels(checkUp, t);
  onLevels(checkLoss, t, weights, 0, 1);
  onLevels(checkDup, t, weights, 1);
  if (combine === 'postdiff') onLevels(checkPart, t, weights, 1);
  if (combine === 'postdiff') onLevels(checkPost, t);
  onLevels(checkBck, t, weights);
}

/** The parts of dE/dw, (part, layer, out, in) and scaled, add up to it. Rows past the outputs are whatever they are. */
export function checkParts(t: Tensors): void {
  const { model } = t.c;
  const W = model.width;
  const parts = values(t.buffer('parts'), 'f32');
  const count = (model.layers + 1) * W * W;
  const total = new Float64Array(count);
  parts.forEach((v, i) => (total[i % count]! += v / t.scale));
  for (let l = 0; l <= model.layers; l++) t.compare(`parts of dE/dw ${l}`, total.subarray(l * W * W, (l * W + rowsOf(mlpShape(model), l)) * W), expectedWeightGradient(t, l));
}

/** At worst all pixels in a row, then nothing to add: as many roundings as pixels, whatever the order of the sum. */
export const expectedWeightGradient = (t: Tensors, l: number): Expected =>
  expect_.weightGradient(t.c.model, l, t.join((level, tile) => t.dA(l, level, tile)), t.join((level, tile) => t.A(l - 1, level, tile)), t.geometry.pixels + 2, t.scale);

/** dE/dw by layer; what Adam never uses, the rows of the last matrix past the outputs, must be 0. */
export function checkWeightGradient(t: Tensors): Float64Array {
  const { model } = t.c;
  const W = model.width;
  const dEdw = values(t.buffer('dEdw'), 'f32');
  for (let l = 0; l <= model.layers; l++) {
    const rows = rowsOf(mlpShape(model), l) * W;
    compare(`dE/dw ${l}`, dEdw.subarray(l * W * W, l * W * W + rows), expectedWeightGradient(t, l));
    compare(`dE/dw ${l}, rows not used`, dEdw.subarray(l * W * W + rows, (l + 1) * W * W), exactly(new Float64Array(W * W - rows)));
  }
  return dEdw;
}

export function checkScalars(t: Tensors, dEdw: Float64Array): void {
  const state = readState(t.buffer('state'));
  const norm = gradientNorm(dEdw);
  compare('|g|', [state.norm], { value: Float64Array.of(norm), bound: Float64Array.of(600 * expect_.u * norm) });
  let loss = 0;
  let bad = 0;
  let pixels = 0;
  t.c.tiles.forEach((_, tile) => {
    const g = t.image('dEdO', 'f32', 0, tile, 4).data;
    for (let i = 3; i < g.length; i += 4) {
      if (g[i]! < 0) bad++;
      else [loss, pixels] = [loss + g[i]!, pixels + 1];
    }
  });
  const mean = pixels > 0 ? loss / pixels : 0;
  compare('bad pixels', [state.badNow], exactly(Float64Array.of(bad)));
  compare('mean loss', [state.loss], { value: Float64Array.of(mean), bound: Float64Array.of(mean * (pixels / 256 + 100) * expect_.u) });
}

/**
 * All of a frame: forward, backward, weights' gradient, norm, loss, and Adam's update from `before`; where a scaled gradient
 * overflowed, that nothing was updated but the scale, which is halved.
 * @returns whether the frame updated the weights
 */
export function checkStep(c: StepCase, snapshot: Snapshot, before: Before, adam: AdamOptions, t = new Tensors(c, snapshot, before.scale)): boolean {
  checkTensors(t, before.weights);
  if (checkOverflow(snapshot, before)) return false;
  const dEdw = checkWeightGradient(t);
  checkScalars(t, dEdw);
  checkUpdate(snapshot, before, dEdw, adam);
  return true;
}

/** Whether a scaled gradient overflowed; then nothing may have changed but the scale, which is halved. */
export function checkOverflow(snapshot: Snapshot, before: Before): boolean {
  if (values(snapshot.get('dEdA')!, 'f16').every(Number.isFinite)) return false;
  expect(stateAfter(snapshot)).toEqual({ ...before, scale: before.scale / 2 });
  return true;
}

/** Weights and moments after Adam, and their copies. */
export function checkUpdate(snapshot: Snapshot, before: Before, dEdw: Float64Array, adam: AdamOptions): void {
  const after = stateAfter(snapshot);
  const e = expect_.adamUpdate(before.moments, dEdw, adam);
  compare('moment1', after.moments.moment1, e.moment1);
  compare('moment2', after.moments.moment2, e.moment2);
  compare('weights', after.moments.w, e.w);
  const halves = after.moments.w.map(toHalf);
  compare('f16 weights', values(snapshot.get('w')!, 'f16'), exactly(halves));
  compare('rounded weights', after.weights, exactly(halves));
  if (after.moments.n !== before.moments.n + 1) throw new Error(`${after.moments.n} updates after ${before.moments.n}`);
}
