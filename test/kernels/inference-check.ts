// Compares what inference left in its buffers with what each kernel must have made of its inputs, as the device's buffers hold these.
import { makeImage, toHalf } from '../reference/index.js';
import { denoised, finished } from './denoise-check.js';
import { combined, downOnce } from './expected.js';
import { pictureOf, type InferenceCase } from './inference-run.js';
import { compare } from './step-check.js';
import type { Snapshot } from './step-run.js';

/** Checks what denoise left of every level (of postdiff: I); returns how many of the values are known to less than two roundings to f16. */
export function checkDenoised(c: InferenceCase, snapshot: Snapshot): { known: number; all: number } {
  const { model } = c;
  const count = { known: 0, all: 0 };
  for (let tile = 0; tile < c.inputs.length; tile++) {
    const mip = (level: number) => {
      const M = pictureOf(c, snapshot, level === 0 ? 'img' : `M ${level}`, level, tile);
      return makeImage(M.width, M.height, 3, M.data.map(toHalf)); // a picture in f32 is rounded when it is read
    };
    for (let level = model.levels - 1; level >= 0; level--) {
      const coarsest = level === model.levels - 1;
      const prediff = model.combine === 'prediff';
      const below = !coarsest ? pictureOf(c, snapshot, `O ${level + 1}`, level + 1, tile) : prediff ? mip(level + 1) : undefined;
      const filtered = model.combine === 'postdiff' && below;
      const name = filtered ? `I ${level}` : level === 0 ? 'output' : `O ${level}`;
      const expected = denoised(model, c.weights, {
        level, M: mip(level), coarserM: prediff ? mip(level + 1) : undefined, below, noise: c.noise, finish: level === 0 && !filtered ? { noise: c.noise, limits: c.limits ?? [0, 0], strength: c.strength ?? 1 } : undefined,
      });
      expected.forEach(({ value, bound, stored }, part) => {
        compare(`${name}, tile ${tile}, part ${part}`, pictureOf(c, snapshot, name, level, tile, filtered ? 4 : 3, part).data, { value, bound, stored: stored! });
        value.forEach((v, i) => (count.known += bound[i]! < 2 ** -10 * Math.abs(v) + 2 ** -24 ? 1 : 0));
        count.all += value.length;
      });
    }
  }
  return count;
}

/** Checks everything: M, what denoise left, down(I), O. */
export function checkInference(c: InferenceCase, snapshot: Snapshot): void {
  const { model } = c;
  checkDenoised(c, snapshot);
  for (let tile = 0; tile < c.inputs.length; tile++) {
    const at = (name: string, level: number, channels = 3, part = 0) => pictureOf(c, snapshot, name, level, tile, channels, part);
    const mips = model.combine === 'prediff' ? model.levels + 1 : model.levels;
    for (let i = 0; i + 1 < mips; i++) compare(`M ${i + 1}, tile ${tile}`, at(`M ${i + 1}`, i + 1).data, downOnce(model, at(i === 0 ? 'img' : `M ${i}`, i), true));
    if (model.combine !== 'postdiff') continue;
    const parts = model.chroma ? [0, 1] : [0];
    for (let i = 0; i + 1 < model.levels; i++) {
      for (const k of parts) compare(`down ${i}, tile ${tile}`, at(`down ${i}`, i + 1, 3, k).data, downOnce(model, at(`I ${i}`, i, 3, k), true));
      const whole = combined(model, parts.map((k) => at(`I ${i}`, i, 4, k)), at(`O ${i + 1}`, i + 1), parts.map((k) => ({ image: at(`down ${i}`, i + 1, 3, k) })));
      const { value, bound } = i === 0 ? finished(at('img', 0).data, whole, { noise: c.noise, limits: c.limits ?? [0, 0], strength: c.strength ?? 1 }) : whole;
      compare(`O ${i}, tile ${tile}`, at(i === 0 ? 'output' : `O ${i}`, i).data, { value, bound, stored: 1 });
    }
  }
}
