// Cases for the kernels of inference that run without the layers: shrink and merge.
import { levelSizes, partsOf, type ModelSpec } from '../../ts/model/spec.js';
import { picture, random, makeImage, toHalf } from '../reference/index.js';
import type { InferenceCase } from './inference-run.js';
import { NO_CHROMA, testWeights } from './step-cases.js';
import { bytesOf, type PictureFormat, type Snapshot } from './step-run.js';

/** Two pictures of either sign. */
export function shrinkCase(options: Partial<ModelSpec>, [width, height]: readonly [number, number], format: PictureFormat): InferenceCase {
  const model: ModelSpec = { width: 32, layers: 1, levels: 3, context: 'star', pyramid: 'box', up: 'bspline', combine: 'blend', apply: 'softmax', ablend: 'plain', act: 'lrelu', loss: 'l2', ...NO_CHROMA, ...options };
  const next = random(width + 100 * height);
  const inputs = [1, 2].map(() => {
    const p = picture('negative', width, height, next);
    return makeImage(width, height, 3, p.data.map(format === 'f16' ? toHalf : Math.fround));
  });
  return { model, inputs, format, noise: { a: 1e5, b: 10 }, weights: testWeights(model, 3, 1) };
}

/** M, I, down(I) and O of every level with contents of the test's own, not computed from each other. */
export function filteredContents(c: InferenceCase): Snapshot {
  const next = random(11);
  const sizes = levelSizes(c.inputs[0]!.width, c.inputs[0]!.height, c.model.levels);
  const any = (level: number, parts = 1): Uint8Array => bytesOf(Float64Array.from({ length: 4 * parts * c.inputs.length * sizes[level]!.width * sizes[level]!.height }, () => toHalf(2 * next() - 1)), 'f16');
  const contents: Snapshot = new Map();
  for (let i = 0; i < c.model.levels; i++) {
    contents.set(`M ${i}`, any(i)).set(`I ${i}`, any(i, partsOf(c.model))).set(`O ${i}`, any(i));
    if (i + 1 < c.model.levels) contents.set(`down ${i}`, any(i + 1, partsOf(c.model)));
  }
  return contents;
}
