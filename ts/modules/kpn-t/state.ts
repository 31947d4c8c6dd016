// The state of training on the device, as glsl/kpn/state.glsl lays it out.

/** Weights that a workgroup of glsl/kpn/sum.comp adds up the parts of. */
export const SUM_WEIGHTS = 64;
export const STATE_BYTES = 100;
export const HYPER_BYTES = 52;

export interface State {
  frame: number;
  updates: number;
  skipped: number;
  badPixels: number;
  scale: number;
  loss: number;
  /** Exponential mean of the loss, over about the last hundred frames, in log space. */
  smoothed: number;
  norm: number;
  /** Of the last update; 0 before the first. */
  learningRate: number;
  badNow: number;
  /** Of those skipped, updates that would have left a weight or moment that is not finite. */
  overflows: number;
  /** Of those skipped, updates whose gradient was far longer than usual; the others' gradients were not finite. */
  outliers: number;
}

/** State before the first frame. `scale`: of f16 gradients (SPEC 1.7: vkdt's fixed 128 is where ours starts). */
export function initialState(scale: number): Uint8Array {
  const bytes = new ArrayBuffer(STATE_BYTES);
  const f = new Float32Array(bytes);
  f[4] = scale;
  f[16] = Infinity; // nothing is known of the moments' ratio: the first update looks at all of them
  return new Uint8Array(bytes);
}

export function readState(bytes: Uint8Array): State {
  const v = new DataView(bytes.buffer, bytes.byteOffset, STATE_BYTES);
  const u = (i: number): number => v.getUint32(4 * i, true);
  const f = (i: number): number => v.getFloat32(4 * i, true);
  return {
    frame: u(0), updates: u(1), skipped: u(2), badPixels: u(3), scale: f(4), loss: f(6), smoothed: Math.exp(f(7)), norm: f(8), learningRate: f(10) * f(12), badNow: u(15), overflows: u(19), outliers: u(20),
  };
}

export interface Hyper {
  alpha: number;
  beta1: number;
  beta2: number;
  eps: number;
  l2: number;
  gradclip: number;
  frames: number;
  decay: number;
  warmup: number;
  history: number;
  /** Standard deviations; 0: off. */
  outlier: number;
}

export function hyperBytes(h: Hyper): Uint8Array {
  const bytes = new ArrayBuffer(HYPER_BYTES);
  new Float32Array(bytes).set([h.alpha, h.beta1, h.beta2, h.eps, h.l2, h.gradclip, 1 - h.beta1, 1 - h.beta2]);
  new Uint32Array(bytes).set([h.frames, h.decay, h.warmup, h.history], 8);
  new Float32Array(bytes)[12] = h.outlier;
  return new Uint8Array(bytes);
}
