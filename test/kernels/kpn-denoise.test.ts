// kpn/denoise: a level of a picture in one dispatch (SPEC 1.3 to 1.6), on every path, all options pairwise.
import type { ModelSpec } from '../../ts/model/spec.js';
import { pairwise, picture, random, makeImage, toHalf, type PictureKind } from '../reference/index.js';
import { useDevice } from '../unit/gpu-harness.js';
import { checkDenoised as check } from './inference-check.js';
import { pictureOf, runInference, type InferenceCase } from './inference-run.js';
import { ALL_PATHS, LONG_PATHS, PATHS, selectPath } from './paths.js';
import { OPTIONS, testWeights } from './step-cases.js';
import { values, type PictureFormat } from './step-run.js';

const gpu = useDevice();

/** A pixel, a column, many levels of little, none a multiple of a workgroup's tile; two pictures at once. */
const SHAPES = [
  { size: [1, 1], levels: 3, tiles: 1 }, { size: [1, 19], levels: 4, tiles: 2 }, { size: [5, 3], levels: 7, tiles: 1 }, { size: [35, 17], levels: 3, tiles: 1 },
] as const;

/** Of luminance, of each channel. */
const LIMITS: readonly (readonly [number, number])[] = [[0, 0], [0.5, 1], [2, 0], [0, 1.5]];

interface Row extends Pick<ModelSpec, 'width' | 'layers' | 'context' | 'pyramid' | 'up' | 'combine' | 'apply' | 'ablend' | 'act' | 'chroma'> {
  shape: { size: readonly [number, number]; levels: number; tiles: number };
  format: PictureFormat;
  kind: PictureKind;
  strength: number;
  limits: readonly [number, number];
}

const PLAIN: Row = { width: 32, layers: 1, context: 'star', pyramid: 'box', up: 'bspline', combine: 'blend', apply: 'softmax', ablend: 'plain', act: 'lrelu', chroma: false, shape: SHAPES[3], format: 'f16', kind: 'photo', strength: 1, limits: [0, 0] };

function caseOf({ shape, format, kind, strength, limits, ...options }: Row, seed: number): InferenceCase {
  const model: ModelSpec = { ...options, levels: shape.levels, loss: 'l2', sharp: 0.7 };
  const next = random(seed);
  const round = format === 'f16' ? toHalf : Math.fround;
  const inputs = Array.from({ length: shape.tiles }, () => {
    const p = picture(kind, shape.size[0], shape.size[1], next, 1, 8);
    return makeImage(p.width, p.height, 3, p.data.map(round));
  });
  const relative = model.context !== 'star' && model.context !== 'window';
  const spread = (relative ? 0.05 : 1) * (kind === 'huge' && !relative ? 0.1 : 1);
  return { model, inputs, format, strength, limits, noise: { a: Math.fround(next() * 2e6), b: Math.fround(next() * 50) }, weights: testWeights(model, seed, spread) };
}

const rows = (fixed: Partial<Row>, contexts: readonly string[]) =>
  pairwise({ context: contexts, pyramid: OPTIONS.pyramid, up: OPTIONS.up, combine: OPTIONS.combine, apply: OPTIONS.apply, ablend: OPTIONS.ablend, act: OPTIONS.act, chroma: OPTIONS.chroma, shape: SHAPES, format: ['f16', 'f32'], kind: ['photo', 'negative', 'black', 'huge'], strength: [1, 0.25, 0], limits: LIMITS })
    .map((row) => ({ ...PLAIN, ...fixed, ...(row as Partial<Row>) }));
const cases = [
  ...rows({}, ['star', 'norm']),
  ...rows({ width: 64 }, ['window', 'wnorm']).filter((_, i) => i % 5 === 0),
  ...rows({ width: 64, context: 'guide' }, ['guide']).filter((_, i) => i % 2 === 0),
  { ...PLAIN, width: 64, context: 'guide', chroma: true, layers: 3, ablend: 'sigmoid' },
  { ...PLAIN, layers: 3, ablend: 'sigmoid', shape: { size: [23, 1], levels: 4, tiles: 1 } },
  { ...PLAIN, width: 128, context: 'wnorm', combine: 'prediff', layers: 2, shape: { size: [19, 9], levels: 2, tiles: 1 } },
  { ...PLAIN, layers: 2, shape: { size: [70, 33], levels: 5, tiles: 1 } },
] satisfies Row[];
const nameOf = (r: Row): string => Object.values(r).map((v) => (typeof v === 'object' && 'size' in v ? `${v.levels} levels of ${v.tiles} ${v.size.join('x')}` : String(v))).join(' ');

describe.each(LONG_PATHS)('path %s', (path) => {
  const count = { known: 0, all: 0 };
  test.each(cases.map((row, i) => [nameOf(row), row, i] as const))('%s', async (_, row, i) => {
    const c = { ...caseOf(row, 50 + i), path };
    const { known, all } = check(c, await runInference(gpu.device, c));
    count.known += known;
    count.all += all;
  });

  test('the bounds say something', () => {
    expect(count.known / count.all).toBeGreaterThan(0.5);
  });
});

for (const path of ALL_PATHS.filter((name) => !PATHS.includes(name)))
  test.each([PLAIN, { ...PLAIN, layers: 2, context: 'norm', combine: 'prediff' }, { ...PLAIN, width: 64, context: 'wnorm', combine: 'postdiff' }] satisfies Row[])(`path ${path}: %j`, async (row) => {
    const c = { ...caseOf(row, 7), path: selectPath(path) };
    check(c, await runInference(gpu.device, c));
    selectPath('');
  });

test.each(['star', 'norm'] as const)('a picture of more tiles than workgroups run at a time, context %s: the same bits as a part of it', async (context) => {
  const size = [331, 163] as const; // 21 x 21 tiles of 16 x 8
  const c = caseOf({ ...PLAIN, layers: 3, context, shape: { size, levels: 1, tiles: 1 } }, 7);
  const part = 60; // pixels a side, of the right lower corner
  const at = (x: number, y: number): number => 3 * ((size[1] - part + y) * size[0] + size[0] - part + x);
  const cut = makeImage(part, part, 3, Float64Array.from({ length: 3 * part * part }, (_, i) => c.inputs[0]!.data[at(Math.floor(i / 3) % part, Math.floor(i / 3 / part)) + (i % 3)]!));
  const whole = pictureOf(c, await runInference(gpu.device, c), 'output', 0, 0).data;
  const cutCase = { ...c, inputs: [cut] };
  const small = pictureOf(cutCase, await runInference(gpu.device, cutCase), 'output', 0, 0).data;
  const seen = 2; // taps reach so far, and past the part's edge there is another pixel than past the picture's
  for (let y = seen; y < part; y++)
    for (let x = seen; x < part; x++)
      for (let k = 0; k < 3; k++) if (!Object.is(whole[at(x, y) + k], small[3 * (y * part + x) + k])) throw new Error(`pixel ${x}, ${y}: ${whole[at(x, y) + k]}, in the part ${small[3 * (y * part + x) + k]}`);
});

test('in straight-line code, as long runs on CPU drivers have it', async () => {
  const c: InferenceCase = { ...caseOf({ ...PLAIN, combine: 'prediff' }, 7), path: 'plain', frames: 1_000_000 };
  check(c, await runInference(gpu.device, c));
});

test('strength 0 is the picture, bit by bit', async () => {
  const c = caseOf({ ...PLAIN, strength: 0 }, 8);
  const snapshot = await runInference(gpu.device, c);
  expect(pictureOf(c, snapshot, 'output', 0, 0).data).toEqual(c.inputs[0]!.data);
  expect(values(snapshot.get('output')!, 'f16').filter((_, i) => i % 4 === 3).every((a) => a === 1)).toBe(true);
});

test('what is too large for f16 becomes its largest number: an infinite pixel would be 36 of the finer level', async () => {
  const c = caseOf(PLAIN, 9);
  const loud = { ...c, weights: c.weights.map((w, i) => (i === c.model.layers * 1024 + 15 * 32 ? 60000 : w)), inputs: c.inputs.map((p) => makeImage(p.width, p.height, 3, p.data.map((v) => 1000 * v))) };
  const snapshot = await runInference(gpu.device, loud); // the blend weight is 60000
  for (const name of ['O 1', 'output']) {
    const v = values(snapshot.get(name)!, 'f16');
    expect(v.every((x) => Math.abs(x) <= 65504)).toBe(true);
    expect(v.some((x) => Math.abs(x) === 65504)).toBe(true);
  }
});
