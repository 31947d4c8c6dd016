// The shader paths of the layers (kpn-t's parameter `path`) that the first device can run: tests of fwd, bck and mulw, and
// some whole steps, run once for each. A new path needs its name here.
import { listDevices } from '../../ts/gpu/index.js';
import { testedPath } from '../../ts/gpu/matrix.js';
import type { StepCase } from './step-run.js';

const device = listDevices()[0]!;

const MATRICES = ['khr', 'nv'] as const;
export const PATHS: readonly string[] = ['plain', ...MATRICES.filter((name) => 'shape' in testedPath(device, name))];

/** Chooses a path, or one "with f16 sums" or "without conversions", for what is planned and expected (expected.ts) from here on: the path as kpn-t calls it. */
export function selectPath(path: string): string {
  for (const [name, ending] of [['VKPN_F16_SUMS', ' with f16 sums'], ['VKPN_NO_NV2', ' without conversions']] as const) {
    if (path.endsWith(ending)) process.env[name] = '1';
    else Reflect.deleteProperty(process.env, name);
  }
  return path.split(' ')[0] ?? '';
}

const converts = (() => {
  const state = testedPath(device, 'khr');
  return 'shape' in state && state.shape.converts === true;
})();

/** With those that sum in f16 for devices which can't otherwise, and the one without conversions for devices which have none, where this one has both. */
export const ALL_PATHS: readonly string[] = [
  ...PATHS, ...MATRICES.map((name) => `${name} with f16 sums`).filter((path) => 'shape' in testedPath(device, selectPath(path) as 'khr')), ...(converts ? ['khr without conversions'] : []),
];
selectPath('');

/**
 * What kernels of the layers are built as, and how a case asks for it: a path; a run long enough for the plain path's straight-line
 * build, on the CPU drivers that take it; f32 where derivatives are checked.
 */
export const LAYER_VARIANTS: readonly (readonly [string, Pick<StepCase, 'path' | 'params' | 'frames'>])[] = [
  ...ALL_PATHS.map((path) => [path, { path }] as const),
  ['plain, unrolled', { path: 'plain', frames: 1_000_000 }],
  ['f32', { params: { deriv: 1 } }],
];
