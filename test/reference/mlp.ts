// Reference: the multi-layer perceptron, its backpropagation and weight gradients (SPEC 1.4, 2 bck and mulw).

export type Activation = 'lrelu' | 'relu' | 'none';

/** Shape of the perceptron: W wide, H hidden layers, `outputs` (16 or 32) rows in the last matrix. */
export interface MlpShape {
  readonly width: number;
  readonly layers: number;
  readonly outputs: number;
  readonly act: Activation;
}

/** Slope of the activation for inputs that are not positive. */
export const SLOPE: Record<Activation, number> = { lrelu: 0.001, relu: 0, none: 1 };

export const activate = (act: Activation, z: number): number => (z > 0 ? z : SLOPE[act] * z);

/** Derivative of the activation by its argument, seen from its value `A` (the same sign as the argument's). */
export const activationSlope = (act: Activation, A: number): number => (A > 0 ? 1 : SLOPE[act]);

/** Number of weights: H+1 matrices of W x W; the last one's rows from `outputs` on are 0. */
export const weightCount = (shape: { width: number; layers: number }): number => (shape.layers + 1) * shape.width ** 2;

/** Rows of matrix `layer` that are in use. */
export const rowsOf = (shape: MlpShape, layer: number): number => (layer === shape.layers ? shape.outputs : shape.width);

/** One matrix product for all pixels: input (n, W) -> output (n, rows) with matrix `layer` of `weights`. */
export function multiply(shape: MlpShape, weights: Float64Array, layer: number, input: Float64Array): Float64Array {
  const W = shape.width;
  const rows = rowsOf(shape, layer);
  const n = input.length / W;
  const out = new Float64Array(n * rows);
  for (let p = 0; p < n; p++)
    for (let o = 0; o < rows; o++) {
      const row = (layer * W + o) * W;
      let sum = 0;
      for (let i = 0; i < W; i++) sum += weights[row + i]! * input[p * W + i]!;
      out[p * rows + o] = sum;
    }
  return out;
}

export interface MlpForward {
  /** Pre-activations of the hidden layers, Z[l] (n, W), l = 0..H-1. */
  readonly Z: Float64Array[];
  /** Activations of the hidden layers, A[l] (n, W), l = 0..H-1. */
  readonly A: Float64Array[];
  /** (n, outputs). */
  readonly K: Float64Array;
}

/** Called with every tensor when it is whole, before it is used; may change it in place. */
export type MlpVisit = (name: 'Z' | 'A' | 'K' | 'dA' | 'dK' | 'dw', data: Float64Array, layer: number) => void;

/** x (n, W) -> activations and K. */
export function mlpForward(shape: MlpShape, weights: Float64Array, x: Float64Array, visit: MlpVisit = () => undefined): MlpForward {
  const Z: Float64Array[] = [];
  const A: Float64Array[] = [];
  for (let layer = 0; layer < shape.layers; layer++) {
    Z[layer] = multiply(shape, weights, layer, A[layer - 1] ?? x);
    visit('Z', Z[layer]!, layer);
    A[layer] = Z[layer]!.map((z) => activate(shape.act, z));
    visit('A', A[layer]!, layer);
  }
  const K = multiply(shape, weights, shape.layers, A[shape.layers - 1] ?? x);
  visit('K', K, shape.layers);
  return { Z, A, K };
}

/**
 * dE/dK (n, outputs) -> gradients by the pre-activations, dA[l] (n, W) for l = 0..H-1 and dA[H] = dK.
 * A gradient of exactly 0 stays 0 whatever it meets, so that pixels without a gradient may hold NaN.
 */
export function mlpBackward(shape: MlpShape, weights: Float64Array, forward: Pick<MlpForward, 'A'>, dK: Float64Array, visit: MlpVisit = () => undefined): Float64Array[] {
  const W = shape.width;
  const dA: Float64Array[] = [];
  dA[shape.layers] = dK;
  for (let layer = shape.layers; layer > 0; layer--) {
    const rows = rowsOf(shape, layer);
    const above = dA[layer]!;
    const A = forward.A[layer - 1]!;
    const below = new Float64Array(A.length);
    for (let p = 0; p < A.length / W; p++) {
      for (let o = 0; o < rows; o++) {
        const g = above[p * rows + o]!;
        if (g !== 0) for (let i = 0; i < W; i++) below[p * W + i]! += weights[(layer * W + o) * W + i]! * g;
      }
      for (let i = 0; i < W; i++) below[p * W + i]! *= activationSlope(shape.act, A[p * W + i]!);
    }
    visit('dA', below, layer - 1);
    dA[layer - 1] = below;
  }
  return dA;
}

/** dE/dw summed over the pixels, in the weights' own layout (H+1, W, W). */
export function mulw(shape: MlpShape, x: Float64Array, forward: Pick<MlpForward, 'A'>, dA: readonly Float64Array[]): Float64Array {
  const W = shape.width;
  const dw = new Float64Array(weightCount(shape));
  for (let layer = 0; layer <= shape.layers; layer++) {
    const rows = rowsOf(shape, layer);
    const input = layer === 0 ? x : forward.A[layer - 1]!;
    for (let p = 0; p < input.length / W; p++)
      for (let o = 0; o < rows; o++) {
        const g = dA[layer]![p * rows + o]!;
        if (g === 0) continue;
        for (let i = 0; i < W; i++) dw[(layer * W + o) * W + i]! += g * input[p * W + i]!;
      }
  }
  return dw;
}
