// Reference: mip maps, up2, their exact transposes and the noise gains (SPEC 1.2, 1.6).
// Every resampling is an explicit list of coefficients; a transpose swaps input and output, so it is right by construction.
import { type Image, makeImage, mirror } from './image.js';

export type Pyramid = 'box' | 'binomial';
export type Up = 'bspline' | 'bilinear';

/** A linear map from `inputs` to `outputs` samples: out[o] += weight * in[i] for every coefficient (o, i, weight). */
export interface LinearMap {
  readonly inputs: number;
  readonly outputs: number;
  readonly coefficients: readonly (readonly [o: number, i: number, weight: number])[];
}

const DOWN: Record<Pyramid, readonly (readonly [offset: number, weight: number])[]> = {
  box: [[0, 1 / 2], [1, 1 / 2]],
  binomial: [[-2, 1 / 16], [-1, 4 / 16], [0, 6 / 16], [1, 4 / 16], [2, 1 / 16]],
};

/** Weights of the coarse neighbours c-1, c, c+1 for an even and an odd fine coordinate. */
const UP2: Record<Pyramid, Record<Up, { even: readonly number[]; odd: readonly number[] }>> = {
  box: {
    bspline: { even: [5 / 16, 10 / 16, 1 / 16], odd: [1 / 16, 10 / 16, 5 / 16] },
    bilinear: { even: [1 / 4, 3 / 4, 0], odd: [0, 3 / 4, 1 / 4] },
  },
  binomial: {
    bspline: { even: [1 / 8, 6 / 8, 1 / 8], odd: [0, 1 / 2, 1 / 2] },
    bilinear: { even: [0, 1, 0], odd: [0, 1 / 2, 1 / 2] },
  },
};

/** Size of the next coarser level along one axis. */
export const coarseSize = (size: number): number => Math.ceil(size / 2);

/** The map of one axis from `size` fine to ceil(size/2) coarse samples. */
export function downMap(size: number, pyramid: Pyramid): LinearMap {
  const outputs = coarseSize(size);
  const coefficients: [number, number, number][] = [];
  for (let o = 0; o < outputs; o++)
    for (const [offset, weight] of DOWN[pyramid]) coefficients.push([o, mirror(2 * o + offset, size), weight]);
  return { inputs: size, outputs, coefficients };
}

/** The map of one axis from ceil(size/2) coarse to `size` fine samples. */
export function up2Map(size: number, pyramid: Pyramid, up: Up): LinearMap {
  const inputs = coarseSize(size);
  const coefficients: [number, number, number][] = [];
  for (let o = 0; o < size; o++) {
    const weights = UP2[pyramid][up][o % 2 === 0 ? 'even' : 'odd'];
    weights.forEach((weight, k) => {
      if (weight !== 0) coefficients.push([o, mirror(Math.floor(o / 2) + k - 1, inputs), weight]);
    });
  }
  return { inputs, outputs: size, coefficients };
}

export function transpose(map: LinearMap): LinearMap {
  return { inputs: map.outputs, outputs: map.inputs, coefficients: map.coefficients.map(([o, i, weight]) => [i, o, weight]) };
}

/** Applies one map along the rows and one along the columns. Throws RangeError if a size does not fit. */
export function applySeparable(mapX: LinearMap, mapY: LinearMap, image: Image): Image {
  if (mapX.inputs !== image.width || mapY.inputs !== image.height)
    throw new RangeError(`map takes ${mapX.inputs}x${mapY.inputs}, picture is ${image.width}x${image.height}`);
  const n = image.channels;
  const rows = makeImage(mapX.outputs, image.height, n);
  for (let y = 0; y < image.height; y++)
    for (const [o, i, weight] of mapX.coefficients)
      for (let c = 0; c < n; c++)
        rows.data[(y * rows.width + o) * n + c]! += weight * image.data[(y * image.width + i) * n + c]!;
  const out = makeImage(mapX.outputs, mapY.outputs, n);
  for (const [o, i, weight] of mapY.coefficients)
    for (let k = 0; k < out.width * n; k++) out.data[o * out.width * n + k]! += weight * rows.data[i * out.width * n + k]!;
  return out;
}

/** Next coarser level, (h, w, c) -> (ceil(h/2), ceil(w/2), c). */
export function down(image: Image, pyramid: Pyramid): Image {
  return applySeparable(downMap(image.width, pyramid), downMap(image.height, pyramid), image);
}

/** Transpose of `down` onto a fine picture of width x height. */
export function downTransposed(image: Image, width: number, height: number, pyramid: Pyramid): Image {
  return applySeparable(transpose(downMap(width, pyramid)), transpose(downMap(height, pyramid)), image);
}

/** Doubles the size, to a fine picture of exactly width x height. */
export function up2(image: Image, width: number, height: number, pyramid: Pyramid, up: Up): Image {
  return applySeparable(up2Map(width, pyramid, up), up2Map(height, pyramid, up), image);
}

/** Transpose of `up2`: from a fine picture to its coarser level's size. */
export function up2Transposed(image: Image, pyramid: Pyramid, up: Up): Image {
  return applySeparable(transpose(up2Map(image.width, pyramid, up)), transpose(up2Map(image.height, pyramid, up)), image);
}

/**
 * Standard deviation of white noise (1 at level 0) at `level` of an unbounded pyramid, exactly: the filter from level 0
 * to the level is composed, and the variance is the sum of its squares. In two dimensions the deviation is then the
 * one-dimensional variance, because the filter is separable.
 */
export function noiseGain(level: number, pyramid: Pyramid): number {
  let filter = new Map<number, number>([[0, 1]]);
  for (let i = 0; i < level; i++) {
    const next = new Map<number, number>();
    for (const [at, value] of filter)
      for (const [offset, weight] of DOWN[pyramid]) {
        const to = at + offset * 2 ** i;
        next.set(to, (next.get(to) ?? 0) + value * weight);
      }
    filter = next;
  }
  let variance = 0;
  for (const value of filter.values()) variance += value * value;
  return variance;
}
