// The shader paths of the layers (kpn-t's parameter `path`) that the first device can run: tests of fwd, bck and mulw, and
// some whole steps, run once for each. A new path needs its name here.
import { listDevices } from '../../ts/gpu/index.js';
import { testedPath } from '../../ts/gpu/matrix.js';
import type { StepCase } from './step-run.js';

const device = listDevices()[0]!;

const MATRICES = ['khr', 'nv'] as const;
export const PATHS: readonly string[] = ['plain', ...MATRICES.filter((name) => 'shape' in testedPath(device, name))];
/** For what takes long: on drivers for the CPU one, as of the two that `npm test` takes the first has plain alone, and the second matrices. */
export const LONG_PATHS: readonly string[] = device.type === 'cpu' ? PATHS.slice(-1) : PATHS;

const matrices = PATHS.filter((path) => path !== 'plain');
/** Those with matrices; where there is none, khr, whose tests `onMatrices` then skips under the names that they have elsewhere. */
export const MATRIX_PATHS: readonly string[] = matrices.length > 0 ? matrices : ['khr'];
export const onMatrices: jest.It = matrices.length > 0 ? test : test.skip;

/** What may follow a path's name: the build of it that a variable of the environment asks for (docs/paths.md). */
const BUILDS = [[' with f16 sums', 'VKPN_F16_SUMS', '1'], [' without conversions', 'VKPN_NO_NV2', '1'], [' tiled', 'VKPN_PLAIN', 'tiled'], [' by rows', 'VKPN_PLAIN', 'rows']] as const;

/** Chooses a path, and its build if that is named, for what is planned and expected (expected.ts) from here on: the path as kpn-t calls it. */
export function selectPath(path: string): string {
  for (const [, name] of BUILDS) Reflect.deleteProperty(process.env, name);
  for (const [ending, name, value] of BUILDS) if (path.endsWith(ending)) process.env[name] = value;
  return path.split(' ')[0] ?? '';
}

const converts = (() => {
  const state = testedPath(device, 'khr');
  return 'shape' in state && state.shape.converts === true;
})();

/** Where matrices convert, also on a driver for the CPU: for what is planned and not run. */
export const onConverting: jest.It = converts ? test : test.skip;

const buildsConverting = converts && device.type !== 'cpu';
/** What is built with VK_NV_cooperative_matrix2's conversions, on GPUs alone. */
export const onConversions: jest.It = buildsConverting ? test : test.skip;

/** A path in the build whose activations are the same to the bit whichever of them are kept: on GPUs with conversions khr without them. */
export const keepingPath = (path: string): string => (path === 'khr' && buildsConverting ? 'khr without conversions' : path);
export const KEEPING_PATHS: readonly string[] = MATRIX_PATHS.map(keepingPath);

/** With the plain path as other types of device have it (on drivers for the CPU the one without matrices), those that sum in f16 for devices which can't otherwise, and the one without conversions for devices which have none, where this one has both. */
export const ALL_PATHS: readonly string[] = [
  ...PATHS, ...(device.type !== 'cpu' ? ['plain by rows'] : matrices.length === 0 ? ['plain tiled'] : []), ...MATRICES.map((name) => `${name} with f16 sums`).filter((path) => 'shape' in testedPath(device, selectPath(path) as 'khr')), ...(converts ? ['khr without conversions'] : []),
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
