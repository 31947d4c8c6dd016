// Checking derivatives (SPEC 7): frame 0 leaves the analytic gradient, frame n the central difference of the loss by the
// nth weight of a list. All in f32; tile, noise and weights frozen.

import type { PlanBuffer } from '../../graph/types.js';
import { randomUniform } from '../../model/init.js';
import { outputsOf, partsOf, type ModelSpec } from '../../model/spec.js';
import type { Geometry } from '../kpn/geometry.js';
import { needsDown, r, w, type AddNode, type Combining, type Use } from '../kpn/nodes.js';

/**
 * Default step. With every kink held (glsl/kpn/held.glsl) the loss is smooth in a single weight, so that a step can be
 * large: the effect of rounding falls with 1/step, the error of a central difference rises with step^2. Measured over
 * presets, layers, losses and modes on 16x16 pixels, this one's error is between 2e-5 and 7e-3 of the gradient; larger ones
 * bend where the input is relative to the noise (2^-4: 7e-2), smaller ones drown in rounding where results are good.
 */
export const DEFAULT_STEP = 1 / 256;

/** Frames of `deriv` 2: the scale of f16 gradients halves in each until nothing overflows. */
export const SETTLING_FRAMES = 24;

/** The weights whose differences are taken, in the order of the frames: all that are read, or `sample` of each matrix, drawn by `seed`. */
export function targetsOf(m: ModelSpec, sample: number, seed: number): Uint32Array {
  const matrix = m.width * m.width;
  const random = randomUniform(seed);
  const targets: number[] = [];
  for (let l = 0; l <= m.layers; ++l) {
    const rows = l < m.layers ? m.width : outputsOf(m);
    const all = Array.from({ length: rows * m.width }, (_, i) => l * matrix + i);
    if (sample > 0 && sample < all.length) {
      // The first `sample` of a random order (Fisher and Yates).
      for (let i = 0; i < sample; ++i) {
        const j = i + Math.floor(random() * (all.length - i));
        [all[i], all[j]] = [all[j]!, all[i]!];
      }
      all.length = sample;
      all.sort((a, b) => a - b);
    }
    targets.push(...all);
  }
  return Uint32Array.from(targets);
}

/** What the unperturbed step has, and how it adds its nodes. */
export interface Step {
  model: ModelSpec;
  geometry: Geometry;
  geo: Use;
  buffer(name: string, bytes: number, options?: { persistent?: boolean; init?: 'zero' | Uint8Array }): PlanBuffer;
  node: AddNode;
  /** One workgroup of 256. */
  reduce(label: string, kernel: string, uses: Use[], push: Uint8Array): void;
  /** (level, pixel): the forward pass from the mips on, with these weights into these buffers. */
  forward(name: string, pass: Pass): void;
  weights: number;
  state: PlanBuffer;
  rounded: PlanBuffer;
  ref: PlanBuffer;
  noise: PlanBuffer;
  combined: PlanBuffer;
  outputBytes: number;
}

/** Where a forward pass reads its weights and leaves its results. */
export interface Pass extends Combining {
  weights: PlanBuffer;
}

/** Adds the two perturbed passes and their difference. Returns the buffer of differences, (layer, out, in) f32, 0 where none is taken. */
export function addDifferences(s: Step, targets: Uint32Array, step: number): PlanBuffer {
  const pixels = s.geometry.pixels;
  const list = s.buffer('targets', targets.byteLength, { persistent: true, init: new Uint8Array(targets.buffer) });
  const differences = s.buffer('differences', 4 * s.weights, { persistent: true, init: 'zero' });
  const perturbed = ['plus', 'minus'].map((name) => s.buffer(name, 4 * s.weights)) as [PlanBuffer, PlanBuffer];
  const push = new ArrayBuffer(12);
  new Uint32Array(push).set([s.weights, targets.length]);
  new Float32Array(push)[2] = step;
  s.node('perturb', 'perturb', undefined, s.weights, [r(s.state), r(list), r(s.rounded), w(perturbed[0]), w(perturbed[1])], new Uint8Array(push));
  const results = perturbed.map((weights, i) => {
    const side = i === 0 ? 'plus' : 'minus';
    const parts = partsOf(s.model);
    const own = (name: string, of = parts): PlanBuffer => s.buffer(`${name} ${side}`, pixels * 16 * of);
    const filtered = own('I');
    const pass: Pass = { weights, filtered, coarse: needsDown(s.model) ? own('downI') : filtered, combined: own('O', 1), diff: own('dOdIa'), output: s.buffer(`output ${side}`, s.outputBytes) };
    s.forward(side, pass);
    return pass.combined;
  });
  s.reduce('difference', 'difference', [
    s.geo, r(s.state), r(list), r(s.noise), r(s.ref), r(s.combined), ...results.map(r), ...perturbed.map(r), w(differences),
  ], new Uint8Array(Uint32Array.of(targets.length).buffer));
  return differences;
}
