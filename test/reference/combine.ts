// Reference: combining a level with the coarser result, and its derivatives (SPEC 1.6, 2 dup).
import { type Part, channelsOfI, parts } from './apply.js';
import { type Image, LUMINANCE, addScaled, channels, makeImage, pixel } from './image.js';
import { type Pyramid, type Up, down, downTransposed, up2, up2Transposed } from './pyramid.js';

export type Combine = 'blend' | 'prediff' | 'postdiff';

export interface CombineOptions {
  readonly combine: Combine;
  readonly pyramid: Pyramid;
  readonly up: Up;
  readonly chroma: boolean;
}

/** A gradient of exactly 0 stays 0: a pixel without a gradient may hold NaN. */
const times = (gradient: number, value: number): number => (gradient === 0 ? 0 : gradient * value);

/** What a part contributes to rgb (its channels are Y, or three of them), and the transpose of that. */
const spread = (part: Part, values: readonly number[]): readonly number[] => (part.count === 1 ? [values[0]!, values[0]!, values[0]!] : values);
const gather = (part: Part, g: readonly number[]): readonly number[] => (part.count === 1 ? [g[0]! + g[1]! + g[2]!] : g);

/** Transpose of `part.select`, which is linear in rgb: luminance (L . rgb) or rgb - luminance. */
function selectTransposed(part: Part, g: readonly number[]): number[] {
  if (part.count === 1) return LUMINANCE.map((L) => L * g[0]!);
  const isChroma = part.output !== 0;
  const s = g[0]! + g[1]! + g[2]!;
  return g.map((v, c) => v - (isChroma ? LUMINANCE[c]! * s : 0));
}

/** I's colour channels less what the coarser level could hold of them: v - up2(down(v)). */
function detail(options: CombineOptions, I: Image, part: Part): Image {
  const v = channels(I, part.channel, part.count);
  return addScaled(v, up2(down(v, options.pyramid), v.width, v.height, options.pyramid, options.up), -1);
}

/** Transpose of v -> v - up2(down(v)). */
function detailTransposed(options: CombineOptions, g: Image): Image {
  const coarse = up2Transposed(g, options.pyramid, options.up);
  return addScaled(g, downTransposed(coarse, g.width, g.height, options.pyramid), -1);
}

/** What the part's blend weight multiplies, (h, w, count): the derivative of its output by the blend weight. */
function blended(options: CombineOptions, I: Image, U: Image, part: Part): Image {
  if (options.combine === 'postdiff') return detail(options, I, part);
  const v = channels(I, part.channel, part.count);
  if (options.combine === 'prediff') return v;
  for (let y = 0; y < I.height; y++)
    for (let x = 0; x < I.width; x++)
      part.select(pixel(U, x, y)).forEach((u, c) => (v.data[(y * I.width + x) * part.count + c]! -= u));
  return v;
}

/**
 * I (h, w, 4 or 6) and U = up2(O of the coarser level), (h, w, 3) -> O (h, w, 3).
 * Without U (the coarsest level of `blend` and `postdiff`) O is I's colour, the sum of its parts.
 * All three ways are O = base + sum over parts of alpha * blended: blend's base and difference are both of U.
 */
export function combineForward(options: CombineOptions, I: Image, U: Image | undefined): Image {
  const O = U ? makeImage(U.width, U.height, 3, U.data) : makeImage(I.width, I.height, 3);
  for (const part of parts(options.chroma)) {
    const v = U ? blended(options, I, U, part) : channels(I, part.channel, part.count);
    for (let y = 0; y < I.height; y++)
      for (let x = 0; x < I.width; x++) {
        const alpha = U ? pixel(I, x, y, part.alpha, 1)[0]! : 1;
        spread(part, pixel(v, x, y, 0, part.count)).forEach((value, c) => (O.data[(y * I.width + x) * 3 + c]! += alpha * value));
      }
  }
  return O;
}

/** dE/dO of the level -> dE/dI and (where there is a coarser level) dE/dU, U = up2 of the coarser level's O. */
export function combineBackward(options: CombineOptions, I: Image, U: Image | undefined, dO: Image): { dI: Image; dU: Image | undefined } {
  const dI = makeImage(I.width, I.height, channelsOfI(options.chroma));
  const dU = U && makeImage(U.width, U.height, 3, dO.data);
  for (const part of parts(options.chroma)) {
    const v = U && blended(options, I, U, part);
    let dColour = makeImage(I.width, I.height, part.count); // by the part's colour, times its weight
    for (let y = 0; y < I.height; y++)
      for (let x = 0; x < I.width; x++) {
        const p = y * I.width + x;
        const g = gather(part, pixel(dO, x, y));
        const alpha = v ? pixel(I, x, y, part.alpha, 1)[0]! : 1;
        const scaled = g.map((value) => times(value, alpha));
        dColour.data.set(scaled, p * part.count);
        if (!v || !dU) continue;
        dI.data[p * dI.channels + part.alpha] = g.reduce((sum, value, c) => sum + times(value, v.data[p * part.count + c]!), 0);
        if (options.combine === 'blend') selectTransposed(part, scaled).forEach((value, c) => (dU.data[p * 3 + c]! -= value));
      }
    if (U && options.combine === 'postdiff') dColour = detailTransposed(options, dColour);
    for (let p = 0; p < I.width * I.height; p++)
      dI.data.set(dColour.data.subarray(p * part.count, (p + 1) * part.count), p * dI.channels + part.channel);
  }
  return { dI, dU };
}
