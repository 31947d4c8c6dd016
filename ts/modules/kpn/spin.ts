// Cycle spinning (Coifman and Donoho 1995): the pyramid divides a picture by a grid, and the taps are longer in x than in y, so a result depends on
// where and how the picture lies. The mean of the results for the picture lying in several ways depends less on that, and has less noise.

import type { BuildContext, PlanBuffer, Port, Rect } from '../../graph/types.js';
import type { ModelSpec } from '../../model/spec.js';
import { addInference, prepareInference } from './inference.js';
import { ceilDiv, push, r, rw, w, type Use } from './nodes.js';
import type { WindowLevel } from './window.js';

/** How often a picture may be denoised: more than 8 times gives nothing more (docs/denoise.md). */
export const SPINS = ['1', '2', '4', '8'] as const;

/** How a picture is turned: mirrored, then moved to the right and down by so many pixels, then transposed. What is around it is mirrored. */
export interface Turn {
  flipX: boolean;
  flipY: boolean;
  shift: { x: number; y: number };
  transposed: boolean;
}

/** Steps of the finest pyramid's period that shifts are given in. */
const STEPS = 16;

/**
 * Shifts in sixteenths of the period, and symmetries (x, y: mirrored, t: transposed), in the order of use: from one to the next picture both differ
 * as much as they can. Mirroring alone gains the least, transposing and moving more, all together the most (docs/denoise.md).
 */
const TURNS: readonly (readonly [x: number, y: number, symmetry: string])[] = [
  [0, 0, ''], [5, 11, 'tx'], [10, 5, 'xy'], [15, 14, 'ty'], [3, 6, 'x'], [12, 9, 't'], [6, 3, 'y'], [9, 12, 'txy'],
];

/** The first `spin` turns of a network whose pyramid divides by `align`; the first leaves the picture as it is. */
export function turnsOf(spin: number, align: number): Turn[] {
  const at = (steps: number): number => Math.floor((steps * align) / STEPS);
  return TURNS.slice(0, spin).map(([x, y, symmetry]) => ({ flipX: symmetry.includes('x'), flipY: symmetry.includes('y'), shift: { x: at(x), y: at(y) }, transposed: symmetry.includes('t') }));
}

interface Size {
  width: number;
  height: number;
}

const swapped = (turn: Turn, rect: Rect): Rect => (turn.transposed ? { x: rect.y, y: rect.x, width: rect.height, height: rect.width } : rect);

/** The picture's sides, each the next multiple of `align`: what mirroring keeps the grid of. */
export const roundedSize = ({ width, height }: Size, align: number): Size => ({ width: align * ceilDiv(width, align), height: align * ceilDiv(height, align) });

/** A picture turned, with room for any shift. */
export function turnedSize(turn: Turn, picture: Size, align: number): Size {
  const { width, height } = roundedSize(picture, align);
  return swapped(turn, { x: 0, y: 0, width: width + align, height: height + align });
}

/** Where the part of a picture lies in the turned one, from a corner that is a multiple of `align` if the part's is; a part that reaches past the picture may do so too. */
export function turnedPart(turn: Turn, picture: Size, part: Rect, align: number): Rect {
  const rounded = roundedSize(picture, align);
  const { width, height } = roundedSize(part, align);
  const from = (flip: boolean, at: number, length: number, whole: number): number => (flip ? Math.max(0, whole - at - length) : at);
  return swapped(turn, { x: from(turn.flipX, part.x, width, rounded.width), y: from(turn.flipY, part.y, height, rounded.height), width: width + align, height: height + align });
}

/** A run of the network over the picture turned. The first one's is the picture itself. */
export interface Run {
  turn: Turn;
  /** window.ts; uniform. */
  window: PlanBuffer;
  levels: readonly WindowLevel[];
}

/** What the runs read and write, as InferencePorts has it. */
interface SpinPorts {
  input: Port;
  weights: PlanBuffer;
  output: PlanBuffer;
}

/** Width and height of the block of pixels that a workgroup turns. */
const BLOCK = 16;

/** Adds the runs one after the other, so that they share their memory; the mean of their results goes to the output. A single run writes it itself. */
export function addRuns(ctx: BuildContext, m: ModelSpec, runs: readonly Run[], picture: Size, align: number, { input, weights, output }: SpinPorts): void {
  const inference = prepareInference(ctx, m, input.shape, weights, runs.map((run) => run.levels));
  const first = runs[0]!;
  if (runs.length === 1) return addInference(inference, first.levels, { window: first.window, input: input.buffer, output });
  const { count } = input.shape;
  const single = input.shape.format === 'f32' ? 1 : 0;
  const inMemory = first.levels[0]!;
  const rounded = roundedSize(picture, align);
  const sum = ctx.buffer('sum', 12 * count * inMemory.width * inMemory.height);
  runs.forEach(({ turn, window, levels }, k) => {
    const { shift, flipX, flipY, transposed } = turn;
    const { width, height } = levels[0]!;
    const name = (text: string): string => (k === 0 ? text : `${text}, run ${k}`);
    const pushed = push(shift.x, shift.y, rounded.width, rounded.height, flipX ? 1 : 0, flipY ? 1 : 0, transposed ? 1 : 0, single, runs.length);
    const add = (label: string, variant: string | undefined, over: Size, uses: Use[]): void =>
      ctx.node({
        label: name(label), kernel: `kpn/${label}`, variant, spec: { ...inference.spec, 0: BLOCK ** 2 }, groups: [ceilDiv(over.width, BLOCK), ceilDiv(over.height, BLOCK), count],
        uses: [first.window, window].map((buffer): Use => ({ buffer, access: 'r', kind: 'uniform' })).concat(uses), push: pushed,
      });
    const turned = k === 0 ? input.buffer : ctx.buffer(name('turned'), (single ? 16 : 8) * count * width * height);
    const result = ctx.buffer(name('result'), 8 * count * width * height);
    if (k > 0) add('turn', undefined, { width, height }, [r(input.buffer), w(turned)]);
    addInference(inference, levels, { window, input: turned, output: result }, name);
    const last = k === runs.length - 1;
    add('unturn', k === 0 ? 'first' : last ? 'last' : 'next', inMemory, [r(result), ...(last ? [r(sum), w(output)] : [k === 0 ? w(sum) : rw(sum)])]);
  });
}
