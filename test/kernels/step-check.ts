// Compares all that a training step left in its buffers with the reference, one kernel at a time: what a kernel must
// compute is worked out (expected.ts) from what the device's buffers hold for its inputs, so errors don't add up and each
// bound is tight. All tensors are looked at whole, level by level and tile by tile.
import { readState } from '../../ts/modules/kpn-t/state.js';
import { channels, type Image, makeImage, mlpShape, noiseGain, rowsOf, toHalf, type AdamOptions, gradientNorm } from '../reference/index.js';
import * as expect_ from './expected.js';
import { type Expected } from './expected.js';
import { geometryOfCase, type Snapshot, type StepCase, values } from './step-run.js';

/** Throws for the element that is furthest out of its bound; NaN is out of any. */
export function compare(what: string, device: ArrayLike<number>, { value, bound, limit = Infinity }: Expected): void {
  if (device.length !== value.length) throw new Error(`${what}: ${device.length} values, expected ${value.length}`);
  let worst = -1;
  let excess = 0;
  let count = 0;
  for (let i = 0; i < value.length; i++) {
    if (device[i] === value[i]) continue;
    const error = Math.abs(device[i]! - value[i]!);
    if (error <= bound[i]! || (Math.abs(device[i]!) === Infinity && Math.abs(value[i]!) + bound[i]! >= limit && Math.sign(device[i]!) * value[i]! > -bound[i]!)) continue;
    count++;
    const ratio = Number.isNaN(error) ? Infinity : error / bound[i]!;
    if (worst < 0 || ratio > excess) [worst, excess] = [i, ratio];
  }
  if (worst >= 0)
    throw new Error(`${what}: ${count} of ${value.length} values are out of bounds; the worst, at ${worst}: ${device[worst]}, expected ${value[worst]} +- ${bound[worst]} (${excess.toPrecision(3)} times)`);
}

const exactly = (value: Float64Array): Expected => ({ value, bound: new Float64Array(value.length) });

/** A frame's buffers as tensors. Pixels lie (level, tile, y, x). */
class Tensors {
  readonly geometry;
  readonly outs: number;

  constructor(
    readonly c: StepCase,
    readonly snapshot: Snapshot,
    /** Of the gradients, during the frame. */
    readonly scale: number,
  ) {
    this.geometry = geometryOfCase(c);
    this.outs = mlpShape(c.model).outputs;
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
  image(name: string, format: 'f16' | 'f32', level: number, tile: number, keep = 3): Image {
    const { first, count, width, height } = this.at(level, tile);
    return channels(makeImage(width, height, 4, values(this.buffer(name), format, 4 * first, 4 * count)), 0, keep);
  }

  rows(name: string, base: number, row: number, level: number, tile: number): Float64Array {
    const { first, count } = this.at(level, tile);
    return values(this.buffer(name), 'f16', base + row * first, row * count);
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

function checkForward(t: Tensors, before: Before, level: number, tile: number): void {
  const { model, tiles, formats } = t.c;
  const where = `level ${level}, tile ${tile}: `;
  const { input, noise } = tiles[tile]!;
  const M = t.image('mip', 'f16', level, tile);
  const coarser = (name: string, format: 'f16' | 'f32'): Image | undefined => (level + 1 < model.levels ? t.image(name, format, level + 1, tile) : undefined);
  const coarserM = model.combine === 'prediff' ? t.image('mip', 'f16', level + 1, tile) : coarser('mip', 'f16');
  if (level === 0) compare(`${where}mip`, M.data, exactly(channels(input, 0, 3).data.map(formats?.input === 'f32' ? toHalf : (v) => v)));
  else compare(`${where}mip`, M.data, model.pyramid === 'box' ? expect_.boxMip(input, level) : expect_.downOnce(model, t.image('mip', 'f16', level - 1, tile), true));
  if (model.combine === 'prediff') compare(`${where}detail`, t.image('detail', 'f16', level, tile).data, expect_.detail(model, M, coarserM!));
  const taps = model.combine === 'prediff' ? t.image('detail', 'f16', level, tile) : M;
  compare(`${where}x`, t.A(-1, level, tile), expect_.context(model, { M, taps, noise, gain: noiseGain(level, model.pyramid) }));
  for (let l = 0; l < model.layers; l++) compare(`${where}A ${l}`, t.A(l, level, tile), expect_.hidden(model, before.weights, l, t.A(l - 1, level, tile)));
  compare(`${where}K`, t.K(level, tile), expect_.outputs(model, before.weights, t.A(model.layers - 1, level, tile)));
  const I = t.image('I', 'f32', level, tile, 4);
  compare(`${where}I`, I.data, expect_.applied(model, taps, t.K(level, tile)));
  if (model.combine === 'postdiff' && level > 0)
    compare(`${where}down of I`, t.image('downI', 'f32', level, tile).data, expect_.downOnce(model, t.image('I', 'f32', level - 1, tile), false));
  const coarserO = model.combine === 'prediff' && level + 1 === model.levels ? coarserM : coarser('O', 'f32');
  compare(`${where}O`, t.image('O', 'f32', level, tile).data, expect_.combined(model, I, coarserO));
  const { U, UTerms } = expect_.enlarged(model, I, coarserO);
  compare(`${where}dO/dI.a`, t.image('dOdIa', 'f32', level, tile).data, expect_.blended(model, I, U, UTerms));
}

function checkOutput(t: Tensors, tile: number): void {
  const O = t.image('O', 'f32', 0, tile);
  const count = 4 * O.width * O.height;
  const result = values(t.buffer('output'), 'f16', tile * count, count);
  compare(`tile ${tile}: output`, result, exactly(Float64Array.from({ length: count }, (_, i) => (i % 4 === 3 ? 1 : toHalf(O.data[3 * (i >> 2) + (i % 4)]!)))));
}

function checkBackward(t: Tensors, before: Before, level: number, tile: number): void {
  const { model, tiles, formats } = t.c;
  const where = `level ${level}, tile ${tile}: `;
  const { reference, noise } = tiles[tile]!;
  const g = t.image('dEdO', 'f32', level, tile);
  const I = t.image('I', 'f32', level, tile, 4);
  const ref = formats?.ref === 'f32' ? makeImage(reference.width, reference.height, reference.channels, reference.data.map(Math.fround)) : reference;
  const f32Noise = { a: Math.fround(noise.a), b: Math.fround(noise.b) };
  if (level === 0) compare(`${where}loss`, t.image('dEdO', 'f32', 0, tile, 4).data, expect_.lossGradient(model, t.image('O', 'f32', 0, tile), ref, f32Noise));
  else compare(`${where}dE/dO`, g.data, expect_.coarserGradient(model, t.image('I', 'f32', level - 1, tile, 4), t.image('dEdO', 'f32', level - 1, tile)));
  const coarsest = level + 1 === model.levels;
  const isPost = model.combine === 'postdiff';
  if (isPost) {
    const part = coarsest ? undefined : t.image('up2T', 'f32', level + 1, tile);
    if (part) compare(`${where}up2^T`, part.data, expect_.weightedTransposed(model, I, g));
    compare(`${where}dE/dI`, t.image('dEdI', 'f32', level, tile).data, expect_.postGradient(model, I, g, part));
  }
  compare(`${where}dE/dK`, t.dA(model.layers, level, tile), expect_.kernelGradient(model, {
    taps: t.image(model.combine === 'prediff' ? 'detail' : 'mip', 'f16', level, tile), K: t.K(level, tile), I, g, coarsest, scale: t.scale,
    d: t.image('dOdIa', 'f32', level, tile), post: isPost ? t.image('dEdI', 'f32', level, tile) : undefined,
  }));
  for (let l = model.layers; l > 0; l--) {
    const above = t.dA(l, level, tile);
    if (!above.every(Number.isFinite)) return; // the frame is skipped; what follows from infinities doesn't matter
    compare(`${where}dE/dA ${l - 1}`, t.dA(l - 1, level, tile), expect_.layerGradient(model, before.weights, l, above, t.A(l - 1, level, tile), t.scale));
  }
}

/** dE/dw by layer; what Adam never uses, the rows of the last matrix past the outputs, must be 0. */
function checkWeightGradient(t: Tensors): Float64Array {
  const { model } = t.c;
  const W = model.width;
  const dEdw = values(t.buffer('dEdw'), 'f32');
  // At worst all pixels in a row, then nothing to add: n roundings whatever the order of the sum.
  for (let l = 0; l <= model.layers; l++) {
    const rows = rowsOf(mlpShape(model), l) * W;
    const e = expect_.weightGradient(model, l, t.join((level, tile) => t.dA(l, level, tile)), t.join((level, tile) => t.A(l - 1, level, tile)), t.geometry.pixels + 2);
    compare(`dE/dw ${l}`, dEdw.subarray(l * W * W, l * W * W + rows), e);
    compare(`dE/dw ${l}, rows not used`, dEdw.subarray(l * W * W + rows, (l + 1) * W * W), exactly(new Float64Array(W * W - rows)));
  }
  return dEdw;
}

function checkScalars(t: Tensors, dEdw: Float64Array): void {
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
export function checkStep(c: StepCase, snapshot: Snapshot, before: Before, adam: AdamOptions): boolean {
  const t = new Tensors(c, snapshot, before.scale);
  for (let level = 0; level < c.model.levels; level++)
    for (let tile = 0; tile < c.tiles.length; tile++) {
      checkForward(t, before, level, tile);
      checkBackward(t, before, level, tile);
      if (level === 0) checkOutput(t, tile);
    }
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
