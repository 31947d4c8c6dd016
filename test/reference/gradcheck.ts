// Reference: analytic gradients against central differences, element by element, of weights and of every tensor on the way.
// Where a step crosses a kink (leaky relu, |r - t|, vkdt's guard, clamping) a smaller step decides; the bound stays.
import { TAP_COUNT, dividesBySum, guardedSum, isGuarded, parts, outputsOf } from './apply.js';
import { type Image, channels } from './image.js';
import { lossForward } from './loss.js';
import { type ForwardLevel, type Hooks, type ModelOptions, type Result, type Tile, evaluate, forwardAgain } from './model.js';

/** One number that the loss depends on: a weight (`w`), or an element of a tensor of a tile's level. */
export interface Target {
  readonly name: 'w' | 'Z' | 'K' | 'I' | 'O';
  readonly tile: number;
  readonly level: number;
  /** Of Z, 0..H-1; otherwise -1. */
  readonly layer: number;
  readonly index: number;
}

export interface Difference {
  readonly value: number;
  /** Estimate of its error, from how much the last two steps differ; does not know the analytic gradient. */
  readonly error: number;
}

export interface Verdict extends Difference {
  readonly analytic: number;
  /** Largest error that passes, of the analytic gradient and of the estimate alike. */
  readonly allowed: number;
  readonly agrees: boolean;
}

/** Relative error that passes, of an element or of a hundredth of its tensor's largest. */
const TOLERANCE = 1e-6;
const SMALL_ELEMENT = 0.01;
/** What rounding leaves of gradients that are 0 (a kernel over equal pixels), by the loss. */
const ZERO = 1e-11;

const FIRST_STEP = 1e-3;
const STEP_RATIO = 4;
const STEPS = 14;
/** Relative error estimate at which no smaller step is tried. */
const GOOD_ENOUGH = 1e-8;
/** Relative rounding of a pixel's loss. */
const ROUNDING = 2 ** -52;

/** On which side of every kink a part of the model is; 0 where it sits on one whose two slopes SPEC averages (sgn 0 = 0). */
type Sides = Int8Array;

/** By a level's K: levels that a change leaves alone are shared with the unchanged run. */
const levelSides = new WeakMap<Float64Array, Sides>();

function sidesOfLevel(model: ModelOptions, { Z, K }: ForwardLevel): Sides {
  const known = levelSides.get(K);
  if (known) return known;
  const out: number[] = [];
  if (model.act !== 'none') for (const z of Z) for (const v of z) out.push(v > 0 ? 1 : -1);
  for (let p = 0; p < K.length; p += outputsOf(model.chroma))
    for (const { output } of parts(model.chroma)) {
      const taps = Array.from(K.subarray(p + output, p + output + TAP_COUNT));
      if (model.apply === 'plain') out.push(...taps.map((v) => (isGuarded(v) ? 1 : -1)), dividesBySum(guardedSum(taps)) ? 1 : -1);
      const alpha = K[p + output + TAP_COUNT]!;
      if (model.ablend === 'clamped') out.push(alpha <= 0 ? -2 : alpha >= 1 ? 2 : 1);
    }
  const sides = Int8Array.from(out);
  levelSides.set(K, sides);
  return sides;
}

function sidesOfLoss(model: ModelOptions, output: Image, reference: Image): Sides {
  if (model.loss !== 'smape' && model.loss !== 'enc' && model.loss !== 'even') return new Int8Array();
  const t = channels(reference, 0, 3).data;
  const ofDifference = Int8Array.from(output.data, (r, i) => Math.sign(r - t[i]!));
  return model.loss !== 'smape' ? ofDifference : Int8Array.of(...ofDifference, ...output.data.map(Math.sign));
}

const allSides = (model: ModelOptions, tiles: readonly Tile[], levels: readonly (readonly ForwardLevel[])[]): Sides[] =>
  levels.flatMap((ofTile, i) => [...ofTile.map((level) => sidesOfLevel(model, level)), sidesOfLoss(model, ofTile[0]!.O, tiles[i]!.reference)]);

const sameSides = (base: readonly Sides[], other: readonly Sides[]): boolean =>
  base.every((sides, i) => sides === other[i] || sides.every((side, k) => side === 0 || side === other[i]![k]));

/** Checks gradients of one model, its weights and tiles. */
export class GradientCheck {
  readonly result: Result;
  private readonly base: Sides[];
  /** By how much a step's error is larger than the next one's: its square, but linear on a kink (different curvatures beside it). */
  private readonly shrink: number;

  /** `hooks` go into the analytic gradient only: a test breaks it through them to see that the check notices. */
  constructor(readonly model: ModelOptions, readonly weights: Float64Array, readonly tiles: readonly Tile[], hooks: Hooks = {}) {
    this.result = evaluate(model, weights, tiles, hooks);
    this.base = allSides(model, tiles, this.result.tiles.map((tile) => tile.levels));
    this.shrink = this.base.some((sides) => sides.includes(0)) ? STEP_RATIO : STEP_RATIO ** 2;
  }

  /** The tensor that the target is an element of. */
  tensor(target: Target): Float64Array {
    if (target.name === 'w') return this.weights;
    const level = this.result.tiles[target.tile]!.levels[target.level]!;
    if (target.name === 'Z') return level.Z[target.layer]!;
    return target.name === 'K' ? level.K : level[target.name].data;
  }

  /** The analytic gradient by the whole tensor that the target belongs to; of the weights, by the target's layer. */
  gradient(target: Target): Float64Array {
    if (target.name === 'w') return this.result.dwLayers[Math.floor(target.index / this.model.width ** 2)]!;
    const level = this.result.tiles[target.tile]!.gradients[target.level]!;
    if (target.name === 'Z') return level.dA[target.layer]!;
    return target.name === 'K' ? level.dK : target.name === 'I' ? level.dI.data : level.dO.data;
  }

  analytic(target: Target): number {
    return this.gradient(target)[target.name === 'w' ? target.index % this.model.width ** 2 : target.index]!;
  }

  /** Loss of every pixel of every tile with the target moved by `step`, and where the target then is. */
  private moved(target: Target, step: number): { perPixel: Float64Array; sides: Sides[]; at: number } {
    let at = NaN;
    const move = (data: Float64Array): void => void (at = data[target.index]! += step);
    const weights = Float64Array.from(this.weights);
    if (target.name === 'w') move(weights);
    const affected = target.name === 'w' ? 'all' : target.name === 'K' || target.name === 'Z' ? target.level : 'none';
    const levels = this.result.tiles.map((result, index) =>
      forwardAgain(this.model, weights, result.levels, {
        visit: (name, data, { tile, level, layer }) => {
          const isTarget = name === target.name && tile === target.tile && level === target.level;
          if (isTarget && (name !== 'Z' || layer === target.layer)) move(data);
        },
      }, index, affected),
    );
    const perPixel = levels.flatMap((tileLevels, index) => {
      const { reference, noise } = this.tiles[index]!;
      return Array.from(lossForward(this.model.loss, tileLevels[0]!.O, channels(reference, 0, 3), noise).perPixel);
    });
    return { perPixel: Float64Array.from(perPixel), sides: allSides(this.model, this.tiles, levels), at };
  }

  /** Central difference with this step, and what rounding may do to it; undefined if it crosses a kink. */
  private central(target: Target, step: number): { value: number; rounding: number } | undefined {
    const plus = this.moved(target, step);
    if (!sameSides(this.base, plus.sides)) return undefined;
    const minus = this.moved(target, -step);
    if (!sameSides(this.base, minus.sides)) return undefined;
    let difference = 0; // summed a pixel, so that pixels that did not move cancel
    let magnitude = 0;
    plus.perPixel.forEach((v, p) => {
      difference += v - minus.perPixel[p]!;
      magnitude += Math.abs(v);
    });
    const width = plus.at - minus.at;
    return { value: difference / width, rounding: (ROUNDING * magnitude) / width };
  }

  /**
   * The numeric gradient: central differences with ever smaller steps, each extrapolated with the one before (Richardson);
   * the best is where they agree best, rounding considered. Throws if every step crosses a kink.
   */
  difference(target: Target): Difference {
    const scale = Math.max(1, Math.abs(this.tensor(target)[target.index]!));
    let best: Difference = { value: NaN, error: Infinity };
    let last: number | undefined;
    for (let k = 0; k < STEPS; k++) {
      const central = this.central(target, (scale * FIRST_STEP) / STEP_RATIO ** k);
      if (central && last !== undefined) {
        const value = central.value + (central.value - last) / (this.shrink - 1);
        const error = Math.abs(central.value - last) / this.shrink + central.rounding;
        if (error < best.error) best = { value, error };
        if (error <= Math.max(GOOD_ENOUGH * Math.abs(value), 0.1 * ZERO * this.result.loss)) break;
      }
      last = central?.value;
    }
    if (best.error === Infinity) throw new Error(`every step crosses a kink: ${JSON.stringify(target)}`);
    return best;
  }

  /** Whether analytic and numeric gradient agree; also fails if the numeric one is not known well enough to tell. */
  check(target: Target): Verdict {
    const { value, error } = this.difference(target);
    const analytic = this.analytic(target);
    const largest = this.gradient(target).reduce((max, v) => Math.max(max, Math.abs(v)), 0);
    const allowed = TOLERANCE * Math.max(Math.abs(value), SMALL_ELEMENT * largest) + ZERO * this.result.loss;
    return { value, error, analytic, allowed, agrees: Math.abs(analytic - value) <= allowed && error <= allowed };
  }
}
