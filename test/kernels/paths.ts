// The shader paths of the layers (kpn-t's parameter `path`) that the first device can run: tests of fwd, bck and mulw, and
// some whole steps, run once for each. A new path needs its name here.
import { listDevices } from '../../ts/gpu/index.js';
import { testedPath } from '../../ts/gpu/matrix.js';
import type { StepCase } from './step-run.js';

const device = listDevices()[0]!;

export const PATHS: readonly string[] = ['plain', ...(['khr', 'nv'] as const).filter((name) => 'shape' in testedPath(device, name))];

/**
 * What kernels of the layers are built as, and how a case asks for it: a path; a run long enough for the plain path's straight-line
 * build, on the CPU drivers that take it; f32 where derivatives are checked.
 */
export const LAYER_VARIANTS: readonly (readonly [string, Pick<StepCase, 'path' | 'params' | 'frames'>])[] = [
  ...PATHS.map((path) => [path, { path }] as const),
  ['plain, unrolled', { path: 'plain', frames: 1_000_000 }],
  ['f32', { params: { deriv: 1 } }],
];
