// Reference: the whole model, forward and backward, over any number of levels and a batch of tiles (SPEC 1, 2).
import { type AlphaBlend, type Apply, applyBackward, applyForward, outputsOf } from './apply.js';
import { type Combine, combineBackward, combineForward } from './combine.js';
import { type Context, contexts } from './context.js';
import { type Image, type Noise, addScaled, channels, makeImage } from './image.js';
import { type Loss, type LossResult, lossForward } from './loss.js';
import { type Activation, type MlpShape, mlpBackward, mlpForward, mulw, weightCount } from './mlp.js';
import { type Pyramid, type Up, down, noiseGain, up2, up2Transposed } from './pyramid.js';

/** The model; names and values are those of kpn-t's parameters (SPEC 4). */
export interface ModelOptions {
  readonly width: number;
  readonly layers: number;
  readonly levels: number;
  readonly context: Context;
  readonly pyramid: Pyramid;
  readonly up: Up;
  readonly combine: Combine;
  readonly apply: Apply;
  readonly sharp: number;
  readonly ablend: AlphaBlend;
  readonly act: Activation;
  readonly loss: Loss;
  readonly chroma: boolean;
}

export const CLASSIC: ModelOptions = {
  width: 32, layers: 3, levels: 4, context: 'star', pyramid: 'box', up: 'bspline', combine: 'blend',
  apply: 'softmax', sharp: 0.1, ablend: 'plain', act: 'lrelu', loss: 'l2', chroma: false,
};

/** What one tile trains on: input and reference (h, w, 3 or more; rgb is used) and the input's noise. */
export interface Tile {
  readonly input: Image;
  readonly reference: Image;
  readonly noise: Noise;
}

/**
 * Tensors that hooks see, each when it is whole and before anything reads it. Pixels (n, channels):
 * M the mip, D = M - up2(coarser M) (prediff), G the guide, x the contexts, Z pre-activations, A activations, K outputs,
 * I applied, U = up2(coarser O), O combined; gradients dO by O (level 0: of the loss), dI, dK, dA by Z; dw by the weights, of
 * one tile and level.
 */
export type TensorName = 'M' | 'D' | 'G' | 'x' | 'Z' | 'A' | 'K' | 'I' | 'U' | 'O' | 'dO' | 'dI' | 'dK' | 'dA' | 'dw';

/** Where a tensor belongs; `layer` is -1 for those that are not of the perceptron. Under `prediff` M and O have a level `levels`. */
export interface Where {
  readonly tile: number;
  readonly level: number;
  readonly layer: number;
}

export interface Hooks {
  /** Rounds every element of a tensor, e.g. `{ A: toHalf, K: toHalf }`, as storing it on the GPU does. */
  readonly quantise?: Partial<Record<TensorName, (value: number) => number>>;
  /** Sees a tensor after rounding and may change it in place: to perturb, to freeze, to break. */
  readonly visit?: (name: TensorName, data: Float64Array, where: Where) => void;
}

export interface ForwardLevel {
  readonly M: Image;
  /** Where taps and apply read: D under `prediff`, otherwise M. */
  readonly taps: Image;
  /** The guide, of context `guide` only. */
  readonly G: Image | undefined;
  /** Contexts (h*w, W). */
  readonly x: Float64Array;
  /** Pre-activations Z[l] (h*w, W), l = 0..H-1. */
  readonly Z: Float64Array[];
  /** Activations A[l] (h*w, W), l = 0..H-1. */
  readonly A: Float64Array[];
  /** (h*w, 16), with chroma (h*w, 32). */
  readonly K: Float64Array;
  /** (h, w, 4): r g b a; with chroma (h, w, 6): Y Cr Cg Cb aY aC. */
  readonly I: Image;
  /** up2 of the coarser O; undefined at the coarsest level of `blend` and `postdiff`. */
  readonly U: Image | undefined;
  readonly O: Image;
}

export interface BackwardLevel {
  readonly dO: Image;
  readonly dI: Image;
  /** dA[l] by the pre-activation of layer l, l = 0..H; dA[H] is dK. */
  readonly dA: Float64Array[];
  readonly dK: Float64Array;
  /** (H+1, W, W), this level's share. */
  readonly dw: Float64Array;
}

export interface TileResult {
  /** Finest first. */
  readonly levels: ForwardLevel[];
  readonly loss: LossResult;
  readonly gradients: BackwardLevel[];
}

export interface Result {
  readonly tiles: TileResult[];
  /** Sum over tiles, pixels and rgb: what Adam's gradient belongs to. */
  readonly loss: number;
  /** The same by the number of pixels: what people see. */
  readonly meanLoss: number;
  readonly badPixels: number;
  /** dE/dw (H+1, W, W), summed over tiles and levels. */
  readonly dw: Float64Array;
  /** The same by layer, each (W, W); views of `dw`. */
  readonly dwLayers: Float64Array[];
  /** |dE/dw|. */
  readonly norm: number;
}

export const mlpShape = (model: ModelOptions): MlpShape => ({
  width: model.width, layers: model.layers, outputs: outputsOf(model.chroma), act: model.act,
});

type Emit = <T extends Float64Array | Image>(name: TensorName, tensor: T, level: number, layer?: number) => T;

/** Rounds and shows tensors as the hooks ask. */
function emitter(hooks: Hooks, tile: number): Emit {
  return (name, tensor, level, layer = -1) => {
    const data = tensor instanceof Float64Array ? tensor : tensor.data;
    const round = hooks.quantise?.[name];
    if (round) data.forEach((value, i) => (data[i] = round(value)));
    hooks.visit?.(name, data, { tile, level, layer });
    return tensor;
  };
}

/** Mips of the picture's rgb, finest first: `levels` of them, one more under `prediff`. */
function mips(model: ModelOptions, input: Image, emit: Emit): Image[] {
  const M = [emit('M', channels(input, 0, 3), 0)];
  const count = model.combine === 'prediff' ? model.levels + 1 : model.levels;
  for (let level = 1; level < count; level++) M.push(emit('M', down(M[level - 1]!, model.pyramid), level));
  return M;
}

/** What a level's perceptron sees and its kernels act on: no gradient flows through any of it. */
type Seen = Pick<ForwardLevel, 'M' | 'taps' | 'G' | 'x'>;

function see(model: ModelOptions, M: readonly Image[], level: number, U: Image | undefined, noise: Noise, emit: Emit): Seen {
  const image = M[level]!;
  const taps = model.combine === 'prediff' ? emit('D', addScaled(image, enlarge(model, M[level + 1]!, image), -1), level) : image;
  const ofGuide = level === model.levels - 1 || !U ? image : U;
  const G = model.context === 'guide' ? emit('G', makeImage(image.width, image.height, 3, ofGuide.data), level) : undefined;
  const x = emit('x', contexts(model.context, model.width, { M: image, taps, G, noise, gain: noiseGain(level, model.pyramid) }), level);
  return { M: image, taps, G, x };
}

const enlarge = (model: ModelOptions, coarse: Image, like: { width: number; height: number }): Image => up2(coarse, like.width, like.height, model.pyramid, model.up);

type Predicted = Omit<ForwardLevel, 'U' | 'O'>;

function predict(model: ModelOptions, weights: Float64Array, seen: Seen, level: number, emit: Emit): Predicted {
  if (weights.length !== weightCount(model)) throw new RangeError(`weights: expected ${weightCount(model)} values, got ${weights.length}`);
  const { Z, A, K } = mlpForward(mlpShape(model), weights, seen.x, (name, data, layer) => void emit(name, data, level, layer));
  const I = emit('I', applyForward(model, seen.taps, K), level);
  return { ...seen, Z, A, K, I };
}

/** Coarse to fine: `predictAt` gives a level its I, `coarsest` is O of the level below the last (prediff). */
function cascade(model: ModelOptions, sizes: readonly { width: number; height: number }[], coarsest: Image | undefined, predictAt: (level: number, U: Image | undefined) => Predicted, emit: Emit): ForwardLevel[] {
  const levels: ForwardLevel[] = [];
  let coarser = coarsest;
  for (let level = model.levels - 1; level >= 0; level--) {
    const U = coarser && emit('U', enlarge(model, coarser, sizes[level]!), level);
    const predicted = predictAt(level, U);
    coarser = emit('O', combineForward(model, predicted.I, U), level);
    levels[level] = { ...predicted, U, O: coarser };
  }
  return levels;
}

/** One tile through the network: every level's tensors, finest first; O of level 0 is the output. */
export function forward(model: ModelOptions, weights: Float64Array, input: Image, noise: Noise, hooks: Hooks = {}, tile = 0): ForwardLevel[] {
  const emit = emitter(hooks, tile);
  const M = mips(model, input, emit);
  const last = M[model.levels]; // of prediff only
  const coarsest = last && emit('O', makeImage(last.width, last.height, 3, last.data), model.levels);
  return cascade(model, M, coarsest, (level, U) => predict(model, weights, see(model, M, level, U, noise, emit), level, emit), emit);
}

/**
 * The same again with other weights or hooks, but with what every level saw the first time: the guide does not move.
 * Only the levels named predict anew; the others keep their I and are merely combined again.
 */
export function forwardAgain(model: ModelOptions, weights: Float64Array, before: readonly ForwardLevel[], hooks: Hooks = {}, tile = 0, predicting: 'all' | 'none' | number = 'all'): ForwardLevel[] {
  const emit = emitter(hooks, tile);
  const coarsest = model.combine === 'prediff' ? down(before[model.levels - 1]!.M, model.pyramid) : undefined;
  const predictAt = (level: number): Predicted => {
    const kept = before[level]!;
    if (predicting === 'all' || predicting === level) return predict(model, weights, kept, level, emit);
    return { ...kept, I: emit('I', makeImage(kept.I.width, kept.I.height, kept.I.channels, kept.I.data), level) };
  };
  return cascade(model, before.map((level) => level.M), coarsest, predictAt, emit);
}

/** From dE/dO of level 0 to every gradient of one tile, finest first. */
export function backward(model: ModelOptions, weights: Float64Array, levels: readonly ForwardLevel[], dO0: Image, hooks: Hooks = {}, tile = 0): BackwardLevel[] {
  const emit = emitter(hooks, tile);
  const shape = mlpShape(model);
  let dO = dO0;
  return levels.map(({ taps, x, A, K, I, U }, level) => {
    const own = emit('dO', dO, level);
    const { dI, dU } = combineBackward(model, I, U, own);
    emit('dI', dI, level);
    if (dU) dO = up2Transposed(dU, model.pyramid, model.up);
    const dK = emit('dK', applyBackward(model, taps, K, dI), level, model.layers);
    const dA = mlpBackward(shape, weights, { A }, dK, (name, data, layer) => void emit(name, data, level, layer));
    const dw = emit('dw', mulw(shape, x, { A }, dA), level);
    return { dO: own, dI, dA, dK, dw };
  });
}

/**
 * Everything one training step computes up to the gradient: the batch of `tiles` (of any sizes, each with its own noise)
 * through the network with `weights` in SPEC's layout `l*W*W + out*W + in`, the loss and all gradients.
 */
export function evaluate(model: ModelOptions, weights: Float64Array, tiles: readonly Tile[], hooks: Hooks = {}): Result {
  const results = tiles.map((tile, index) => {
    const levels = forward(model, weights, tile.input, tile.noise, hooks, index);
    const loss = lossForward(model.loss, levels[0]!.O, channels(tile.reference, 0, 3), tile.noise);
    return { levels, loss, gradients: backward(model, weights, levels, loss.dO, hooks, index) };
  });
  return { tiles: results, ...totals(model, results) };
}

function totals(model: ModelOptions, tiles: readonly TileResult[]): Omit<Result, 'tiles'> {
  const dw = new Float64Array(weightCount(model));
  for (const tile of tiles) for (const level of tile.gradients) level.dw.forEach((v, i) => (dw[i]! += v));
  const loss = tiles.reduce((sum, tile) => sum + tile.loss.loss, 0);
  const pixels = tiles.reduce((sum, tile) => sum + tile.loss.perPixel.length, 0);
  const square = model.width ** 2;
  return {
    loss,
    meanLoss: loss / pixels,
    badPixels: tiles.reduce((sum, tile) => sum + tile.loss.badPixels, 0),
    dw,
    dwLayers: Array.from({ length: model.layers + 1 }, (_, l) => dw.subarray(l * square, (l + 1) * square)),
    norm: Math.sqrt(dw.reduce((sum, v) => sum + v * v, 0)),
  };
}

/** Joins a tensor of all levels, finest first, as the GPU's one batch of pixels: `joinLevels(levels, (l) => l.K)`. */
export function joinLevels<L>(levels: readonly L[], pick: (level: L) => Float64Array): Float64Array {
  return Float64Array.from(levels.flatMap((level) => Array.from(pick(level))));
}
