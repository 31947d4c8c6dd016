// Cases for whole-step tests: every option of the network with every other, pairwise, on pictures of awkward sizes.
import { CHOICES, outputsOf, weightCount, type ModelSpec } from '../../ts/model/spec.js';
import { type PictureKind, type Tile, makeImage, pairwise, picture, random, toHalf } from '../reference/index.js';
import type { PictureFormat, StepCase } from './step-run.js';

/** Contexts that need no more than 32 channels. */
export const NARROW = ['star', 'norm'] as const;

/** Options that kernels look at, apart from width, layers, levels and context. */
export const OPTIONS = {
  pyramid: CHOICES.pyramid, up: CHOICES.up, combine: CHOICES.combine, apply: CHOICES.apply, ablend: CHOICES.ablend, act: CHOICES.act, loss: CHOICES.loss,
  chroma: [false, true],
} as const;

export const NO_CHROMA = { chroma: false, sharp: 0.7 } as const;


const rounded = (format: PictureFormat): ((v: number) => number) => (format === 'f16' ? toHalf : Math.fround);

/** Tiles of pictures that the format holds exactly, each with its own noise. */
export function tilesOf(kinds: readonly PictureKind[], width: number, height: number, seed: number, formats: { input: PictureFormat; ref: PictureFormat } = { input: 'f16', ref: 'f16' }, hugeness = 8): Tile[] {
  const next = random(seed);
  const make = (kind: PictureKind, format: PictureFormat): Tile['input'] => {
    const p = picture(kind, width, height, next, 1, hugeness);
    return makeImage(width, height, 3, p.data.map(rounded(format)));
  };
  return kinds.map((kind) => ({
    input: make(kind, formats.input), reference: make('photo', formats.ref),
    noise: { a: Math.fround(next() * 2e6), b: Math.fround(next() * 50) },
  }));
}

/** Sizes of tiles, each with a number of levels: 1x1, a row, a column, odd, powers of two, and many levels of little. */
const SHAPES = [
  { size: [1, 1], levels: 3, tiles: 2 },
  { size: [1, 7], levels: 2, tiles: 3 },
  { size: [9, 1], levels: 4, tiles: 1 },
  { size: [5, 3], levels: 7, tiles: 3 },
  { size: [16, 16], levels: 4, tiles: 1 },
  { size: [13, 10], levels: 1, tiles: 2 },
  { size: [23, 17], levels: 3, tiles: 2 },
] as const;

const KINDS = ['photo', 'negative', 'black', 'huge'] as const;

type Shape = { size: readonly [number, number]; levels: number; tiles: number };
/** A row of the pairwise table. */
type Row = Omit<ModelSpec, 'levels'> & { shape: Shape; formats: readonly [PictureFormat, PictureFormat]; kind: PictureKind };

function stepCase({ shape, formats: [input, ref], kind, ...options }: Row, seed: number): { name: string; c: StepCase } {
  const model = { ...options, levels: shape.levels };
  const formats = { input, ref };
  const kinds = Array.from({ length: shape.tiles }, (_, k) => (k === 0 ? kind : 'photo'));
  const relative = model.context !== 'star' && model.context !== 'window';
  const spread = (relative ? 0.05 : 1) * (kind === 'huge' && !relative ? 0.1 : 1);
  const { width, layers, context, combine, pyramid, up, apply, ablend, act, loss, chroma } = model;
  const name = `${width}x${layers} ${context} ${combine} ${pyramid} ${up} ${apply} ${ablend} ${act} ${loss}${chroma ? ' chroma' : ''}, ${shape.levels} levels of ${shape.tiles} ${kind} ${shape.size.join('x')} ${input} ${ref}`;
  return { name, c: { model, weights: testWeights(model, 7 + seed, spread), frames: 16, tiles: tilesOf(kinds, shape.size[0], shape.size[1], 100 + seed, formats), formats } };
}

const PLAIN_ROW: Row = {
  width: 32, layers: 1, context: 'star', pyramid: 'box', up: 'bspline', combine: 'blend', apply: 'softmax', ablend: 'plain', act: 'lrelu', loss: 'l2',
  ...NO_CHROMA, shape: SHAPES[6], formats: ['f16', 'f16'], kind: 'photo',
};

/** Every two values of two factors meet in a case. All options of OPTIONS, shapes, formats and kinds of pictures besides. */
export function pairwiseCases(factors: Partial<Record<keyof Row, readonly unknown[]>>, fixed: Partial<Row>): { name: string; c: StepCase }[] {
  const all = { ...OPTIONS, shape: SHAPES, formats: [['f16', 'f16'], ['f32', 'f16'], ['f16', 'f32']], kind: KINDS, ...factors };
  return pairwise(all as Record<string, readonly unknown[]>).map((row, i) => stepCase({ ...PLAIN_ROW, ...fixed, ...(row as Partial<Row>) }, i));
}

/** The cases named, each by what differs from a plain one. */
export const listedCases = (rows: readonly Partial<Row>[]): { name: string; c: StepCase }[] => rows.map((row, i) => stepCase({ ...PLAIN_ROW, ...row }, 1000 + i));

/** The channel of a context that is 1 everywhere. */
const ONE: Record<ModelSpec['context'], number | undefined> = { star: 31, norm: 31, wnorm: 55, guide: 49, window: undefined };

/**
 * f16 weights for which all that a kernel does matters: Xavier's, and through unit 0 of every layer a 1 that adds a bias to
 * each output. Taps then sum to far more than `plain` divides by at least (Xavier's sums are of either sign and near 0,
 * where gradients overflow); tap 3 is near vkdt's guard, and passes it at some pixels; blend weights are about 0.5.
 * `spread` scales what the outputs differ by from pixel to pixel.
 */
export function testWeights(model: ModelSpec, seed: number, spread: number): Float64Array {
  const next = random(seed);
  const { width: W, layers } = model;
  const bound = Math.sqrt(3 / W);
  const one = ONE[model.context];
  const w = new Float64Array(weightCount(model));
  for (let l = 0; l <= layers; l++)
    for (let out = 0; out < (l === layers ? outputsOf(model) : W); out++)
      for (let i = 0; i < W; i++) {
        let v = bound * (2 * next() - 1) * (l === layers ? spread : 1);
        if (one !== undefined && out === 0 && l < layers) v = i === (l === 0 ? one : 0) ? 1 : 0;
        if (one !== undefined && l === layers && i === 0) v = out % 16 === 15 ? 0.5 : out % 16 === 3 ? 9.75 : 1 + next();
        w[l * W * W + out * W + i] = toHalf(v);
      }
  return w;
}
