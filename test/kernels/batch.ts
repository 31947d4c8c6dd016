// A batch of pixels for tests of single kernels: every buffer of a training step with contents of the test's own, not
// computed from each other but where a kernel's result relies on it (I belongs to K). f16 where the device keeps f16.
import { outputsOf, partsOf, type ModelSpec } from '../../ts/model/spec.js';
import { hyperBytes, STATE_BYTES, type Hyper } from '../../ts/modules/kpn-t/state.js';
import { type PictureKind, applyForward, down, makeImage, random, toHalf } from '../reference/index.js';
import { planes } from './expected.js';
import { testWeights, tilesOf } from './step-cases.js';
import { bytesOf, geometryOfCase, type Snapshot, type StepCase, storageOf, values } from './step-run.js';

export interface Batch {
  c: StepCase;
  contents: Snapshot;
  weights: Float64Array;
  scale: number;
}

export const HYPER: Hyper = { alpha: 0.01, beta1: 0.99, beta2: 0.999, eps: 1e-4, l2: 0.001, gradclip: 1000, frames: 100, decay: 0, warmup: 0, history: 100, outlier: 0 };

/** A state: `words` are of glsl/kpn/state.glsl, floats given as { f: x }. */
export function stateBytes(words: Record<number, number | { f: number }>): Uint8Array {
  const bytes = new Uint8Array(STATE_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [i, v] of Object.entries(words)) {
    if (typeof v === 'number') view.setUint32(4 * Number(i), v, true);
    else view.setFloat32(4 * Number(i), v.f, true);
  }
  return bytes;
}

/** Of training under way: frame, updates, scale. */
export const runningState = (scale: number): Uint8Array => stateBytes({ 0: 5, 1: 5, 4: { f: scale }, 14: 1 });

const plain: ModelSpec = {
  width: 32, layers: 1, levels: 3, context: 'star', pyramid: 'box', up: 'bspline', combine: 'blend', apply: 'softmax', sharp: 0.7, ablend: 'plain', act: 'lrelu', loss: 'l2', chroma: false,
};

/** A case of `tiles` tiles of the size given. */
export function caseOf(model: Partial<ModelSpec>, size: readonly [number, number] = [13, 9], tiles = 2, more: Partial<StepCase> = {}): StepCase {
  const m = { ...plain, ...model };
  const kinds = Array.from({ length: tiles }, (_, i): PictureKind => (i % 2 ? 'negative' : 'photo'));
  const formats = more.formats ?? { input: 'f16', ref: 'f16' };
  return { model: m, tiles: tilesOf(kinds, size[0], size[1], 3, formats), weights: testWeights(m, 11, m.context !== 'star' && m.context !== 'window' ? 0.05 : 1), formats, ...more };
}

/** Contents for all buffers of the case. */
export function batchOf(c: StepCase, seed = 1): Batch {
  const next = random(seed);
  const { model, tiles } = c;
  const g = geometryOfCase(c);
  const signed = (n: number, size: number): Float64Array => Float64Array.from({ length: n }, () => size * (2 * next() - 1));
  const storage = storageOf(c);
  const half = (n: number, size: number): Uint8Array => bytesOf(signed(n, size).map(toHalf), storage);
  const single = (n: number, size: number): Uint8Array => bytesOf(signed(n, size), 'f32');
  const scale = 64;
  const weights = c.weights!.map(toHalf);
  const outputs = outputsOf(model);
  const parts = partsOf(model);
  // Outputs whose taps sum to far more than 0, some beyond the guard.
  const K = bytesOf(Float64Array.from({ length: outputs * g.pixels }, (_, i) => (i % 16 === 3 ? 11 : 2) * next() + (i % 16 === 15 ? -1 : 0.2)).map(toHalf), storage);
  const data = {
    noise: bytesOf(tiles.flatMap((t) => [t.noise.a, t.noise.b]), 'f32'),
    img: bytesOf(rgbaOf(c, 'input'), c.formats!.input), ref: bytesOf(rgbaOf(c, 'reference'), c.formats!.ref),
  };
  const contents: Snapshot = new Map(Object.entries({
    geometry: g.bytes, ...data, 'frozen noiseab': data.noise, 'frozen input': data.img, 'frozen ref': data.ref,
    rounded: bytesOf(weights, 'f32'), w: bytesOf(weights, 'f16'), state: runningState(scale), hyper: hyperBytes(HYPER),
    mip: half(4 * g.mipPixels, 1), detail: half(4 * g.pixels, 0.3), A: half((model.layers + 1) * g.pixels * model.width, 1), K,
    O: single(4 * g.pixels, 1), dOdIa: single(4 * g.pixels * parts, 1), dEdO: single(4 * g.pixels, 2), dEdI: single(4 * g.pixels * parts, 2), up2T: single(4 * g.pixels * parts, 2),
    dEdA: half(g.pixels * (model.layers * model.width + outputs), 2), guide: half(4 * g.pixels, 1),
  }));
  const batch = { c, contents, weights, scale };
  fillFiltered(batch);
  return batch;
}

/** dE/dO with dot(dE/dO, dO/dI.a) as its fourth channel, as `rise` leaves it of level 0 (SLOPES in glsl/common/options.glsl). */
export function slopesOf({ contents }: Batch): Uint8Array {
  const [g, d] = ['dEdO', 'dOdIa'].map((name) => values(contents.get(name)!, 'f32'));
  return bytesOf(g!.map((v, i) => (i % 4 < 3 ? v : g![i - 3]! * d![i - 3]! + g![i - 2]! * d![i - 2]! + g![i - 1]! * d![i - 1]!)), 'f32');
}

const rgbaOf = (c: StepCase, which: 'input' | 'reference'): number[] =>
  c.tiles.flatMap((t) => Array.from({ length: 4 * t[which].width * t[which].height }, (_, i) => (i % 4 === 3 ? 3 : t[which].data[3 * (i >> 2) + (i % 4)]!)));

/** I as fwd would leave it for the contents' pictures and K, and its down. */
function fillFiltered({ c, contents }: Batch): void {
  const { model, tiles } = c;
  const g = geometryOfCase(c);
  const outputs = outputsOf(model);
  const I = new Float64Array(4 * g.pixels * partsOf(model));
  const downI = I.slice();
  for (let level = 0; level < model.levels; level++)
    for (let tile = 0; tile < tiles.length; tile++) {
      const { first, width, height } = g.levels[level]!;
      const n = width * height;
      const at = first + tile * n;
      const picture = values(contents.get(model.combine === 'prediff' ? 'detail' : 'mip')!, storageOf(c), 4 * at, 4 * n);
      const taps = makeImage(width, height, 3, picture.filter((_, i) => i % 4 < 3));
      planes(model, applyForward(model, taps, values(contents.get('K')!, storageOf(c), outputs * at, outputs * n))).forEach((own, k) => {
        I.set(own.data.map(Math.fround), 4 * (k * g.pixels + at));
        if (level + 1 === model.levels) return;
        const coarse = down(own, model.pyramid);
        const { first: below } = g.levels[level + 1]!;
        downI.set(coarse.data.map(Math.fround), 4 * (k * g.pixels + below + tile * coarse.width * coarse.height));
      });
    }
  contents.set('I', bytesOf(I, 'f32'));
  contents.set('downI', bytesOf(downI, 'f32'));
}

/** The contents without what the kernel is to compute. */
export function without(batch: Batch, ...names: string[]): Snapshot {
  return new Map([...batch.contents].filter(([name]) => !names.includes(name)));
}
