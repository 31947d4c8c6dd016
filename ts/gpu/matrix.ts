// Which cooperative-matrix shape each shader path takes on a device, and why a path is not there.
import { selfTest } from './selftest.js';
import type { DeviceInfo, MatrixShape } from './types.js';

/** Paths through the network's layers: the two extensions, and plain arithmetic. */
export type MatrixPath = 'khr' | 'nv';
export type PathName = MatrixPath | 'plain';

/** D[m x n] = A[m x k] B[k x n] + C of a subgroup; A and B f16, C and D f32. */
export interface TileShape {
  m: number;
  n: number;
  k: number;
}

/** A path as it is on a device: a shape, or the reason why there is none; `wrong`: listed, but not computed rightly. */
export type PathState = { shape: TileShape } | { why: string; wrong?: boolean };

const extensions = { khr: 'VK_KHR_cooperative_matrix', nv: 'VK_NV_cooperative_matrix' } as const;
const switches = { khr: 'VKPN_NO_KHR', nv: 'VKPN_NO_NV' } as const;

export const shapeName = (s: TileShape): string => `${s.m}x${s.n}x${s.k}`;

/** Kernels move rows of 8 channels, blocks of 32 and 16 outputs: a tile must divide those. */
function isUsable(s: MatrixShape): boolean {
  return s.scope === 'subgroup' && s.a === 'f16' && s.b === 'f16' && s.c === 'f32' && s.result === 'f32' && [8, 16, 32].includes(s.m) && [8, 16].includes(s.n) && [8, 16].includes(s.k);
}

/** The largest usable shape that is listed; of equal ones that of 16 rows. */
export function bestShape(shapes: readonly MatrixShape[]): TileShape | undefined {
  const size = (s: TileShape): number => s.m * s.n * s.k + (s.m === 16 ? 0.5 : 0);
  const best = shapes.filter(isUsable).sort((a, b) => size(b) - size(a))[0];
  return best && { m: best.m, n: best.n, k: best.k };
}

/** The shape that VKPN_TILE names, if the device has it: listed, or a multiple of what NV2 lets be any multiple. */
function askedShape(info: DeviceInfo, path: MatrixPath, asked: string): TileShape | undefined {
  const [m = 0, n = 0, k = 0] = /^\d+x\d+x\d+$/.test(asked) ? asked.split('x').map(Number) : [];
  const flexible = path === 'khr' && info.features.nvCooperativeMatrix2?.flexibleDimensions === true;
  const there = info.matrixShapes[path].some((s) => isUsable(s) && s.m === m && s.n === n && s.k === k)
    || (flexible && info.matrixShapes.nv2.some((s) => isUsable({ ...s, m, n, k }) && m % s.m === 0 && n % s.n === 0 && k % s.k === 0));
  return there ? { m, n, k } : undefined;
}

/**
 * What the device lists and the environment allows: VKPN_NO_KHR=1 and VKPN_NO_NV=1 switch a path off, VKPN_TILE=16x16x16 chooses
 * a shape. Nothing is run: `testedPath` says whether the device also computes it.
 */
export function listedPath(info: DeviceInfo, path: MatrixPath, env: NodeJS.ProcessEnv = process.env): PathState {
  if ((env[switches[path]] ?? '0') !== '0') return { why: `${switches[path]} is set` };
  if (!(path === 'khr' ? info.features.khrCooperativeMatrix : info.features.nvCooperativeMatrix)) return { why: `the device has no ${extensions[path]}` };
  if (!info.features.shaderFloat16) return { why: 'the device has no f16 arithmetic' };
  const asked = env.VKPN_TILE;
  const shape = asked === undefined ? bestShape(info.matrixShapes[path]) : askedShape(info, path, asked);
  if (asked !== undefined && !shape) return { why: `VKPN_TILE is ${asked}, a shape that ${extensions[path]} does not offer here for f16*f16+f32` };
  return shape ? { shape } : { why: `${extensions[path]} lists no f16*f16+f32 shape of up to 32x16x16 for a subgroup` };
}

/** As `listedPath`, after products of that shape were run in a child process and found right (a verdict that is kept for a week). */
export function testedPath(info: DeviceInfo, path: MatrixPath): PathState {
  const listed = listedPath(info, path);
  if ('why' in listed) return listed;
  const failure = selfTest(info, path, listed.shape);
  return failure === undefined ? listed : { why: `${shapeName(listed.shape)} is listed, but ${failure}`, wrong: true };
}
