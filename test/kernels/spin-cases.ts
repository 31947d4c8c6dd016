// Cycle spinning as tests have it: pictures as functions of any place, turned by composing these.
import { levelSizes, type ModelSpec } from '../../ts/model/spec.js';
import { turnsOf, type Turn } from '../../ts/modules/kpn/spin.js';
import { makeImage, mirror, type Image } from '../reference/index.js';
import { shrinkCase } from './inference-cases.js';
import type { InferenceCase } from './inference-run.js';
import type { PictureFormat } from './step-run.js';

/** What the pyramid divides by. */
export const alignOf = (m: ModelSpec): number => 2 ** (m.combine === 'prediff' ? m.levels : m.levels - 1);
export const turnsOfCase = (c: InferenceCase): Turn[] => turnsOf(c.spin!, alignOf(c.model));

/** Where a turn puts the pixel (x, y) of a picture of this size: mirrored within the sides rounded up, moved, transposed. */
export function placeOf({ flipX, flipY, shift, transposed }: Turn, align: number, { width, height }: { width: number; height: number }, x: number, y: number): [number, number] {
  const round = (n: number): number => align * Math.ceil(n / align);
  const u = (flipX ? round(width) - 1 - x : x) + shift.x;
  const v = (flipY ? round(height) - 1 - y : y) + shift.y;
  return transposed ? [v, u] : [u, v];
}

/** The picture that the k-th run sees. */
export function turnedImage(turn: Turn, align: number, p: Image): Image {
  type Plane = (x: number, y: number, c: number) => number;
  const round = (n: number): number => align * Math.ceil(n / align);
  const given: Plane = (x, y, c) => p.data[(mirror(y, p.height) * p.width + mirror(x, p.width)) * p.channels + c]!;
  const flippedX: Plane = turn.flipX ? (x, y, c) => given(round(p.width) - 1 - x, y, c) : given;
  const flipped: Plane = turn.flipY ? (x, y, c) => flippedX(x, round(p.height) - 1 - y, c) : flippedX;
  const moved: Plane = (x, y, c) => flipped(x - turn.shift.x, y - turn.shift.y, c);
  const plane: Plane = turn.transposed ? (x, y, c) => moved(y, x, c) : moved;
  const size = [round(p.width) + align, round(p.height) + align];
  const [width, height] = turn.transposed ? [size[1]!, size[0]!] : [size[0]!, size[1]!];
  const n = p.channels;
  return makeImage(width, height, n, Float64Array.from({ length: n * width * height }, (_, i) => plane(Math.floor(i / n) % width, Math.floor(i / n / width), i % n)));
}

/** The k-th run's case: the first sees the picture as it is. */
export function runCase(c: InferenceCase, k: number): InferenceCase {
  return { ...c, inputs: k === 0 ? c.inputs : c.inputs.map((p) => turnedImage(turnsOfCase(c)[k]!, alignOf(c.model), p)) };
}

/** Two pictures; the sizes with levels: a pixel, less than the alignment, a row, odd ones of several blocks. */
export const SPUN = [[1, 1, 3], [3, 2, 5], [1, 21, 2], [19, 35, 4], [33, 18, 1]] as const;
export const spunCase = ([width, height, levels]: readonly [number, number, number], format: PictureFormat, spin: number, model: Partial<ModelSpec> = {}): InferenceCase => ({ ...shrinkCase({ ...model, levels }, [width, height], format), spin });

/** Of a run's output: its size. */
export const runSize = (c: InferenceCase, k: number): { width: number; height: number } => levelSizes(runCase(c, k).inputs[0]!.width, runCase(c, k).inputs[0]!.height, 0)[0]!;
