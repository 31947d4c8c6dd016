// Which cooperative-matrix shape each shader path takes on a device, and why a path is not there.
import { CONVERTING, selfTest } from './selftest.js';
import type { DeviceInfo, MatrixShape } from './types.js';

/** Paths through the network's layers: the two extensions, and plain arithmetic. */
export type MatrixPath = 'khr' | 'nv';
export type PathName = MatrixPath | 'plain';

/** D[m x n] = A[m x k] B[k x n] + C of a subgroup; A and B f16, C and D f32, with `halfSums` f16. */
export interface TileShape {
  m: number;
  n: number;
  k: number;
  halfSums?: true;
  /** A matrix of sums can be made the A of the next product without going through memory (VK_NV_cooperative_matrix2's conversions). */
  converts?: true;
}

/** A path as it is on a device: a shape (`note`: what of it was left out, because the device gets it wrong), or the reason why there is none; `wrong`: listed, but not computed rightly. */
export type PathState = { shape: TileShape; note?: string } | { why: string; wrong?: boolean };

const extensions = { khr: 'VK_KHR_cooperative_matrix', nv: 'VK_NV_cooperative_matrix' } as const;
const switches = { khr: 'VKPN_NO_KHR', nv: 'VKPN_NO_NV' } as const;

export const shapeName = (s: Pick<TileShape, 'm' | 'n' | 'k' | 'halfSums'>): string => `${s.m}x${s.n}x${s.k}${s.halfSums ? ' with f16 sums' : ''}`;

/** Kernels move rows of 8 channels, blocks of 32 and 16 outputs: a tile must divide those. */
function isUsable(s: MatrixShape, sums: Sums): boolean {
  return s.scope === 'subgroup' && s.a === 'f16' && s.b === 'f16' && s.c === sums && s.result === sums && [8, 16, 32].includes(s.m) && [8, 16].includes(s.n) && [8, 16].includes(s.k);
}

type Sums = 'f32' | 'f16';
const withSums = (m: number, n: number, k: number, sums: Sums): TileShape => ({ m, n, k, ...(sums === 'f16' ? { halfSums: true } : {}) });

/** The largest usable shape that is listed; of equal ones that of 16 rows. f32 sums where there are any. */
export function bestShape(shapes: readonly MatrixShape[], sums: readonly Sums[] = ['f32', 'f16']): TileShape | undefined {
  const size = (s: TileShape): number => s.m * s.n * s.k + (s.m === 16 ? 0.5 : 0);
  for (const kind of sums) {
    const best = shapes.filter((s) => isUsable(s, kind)).sort((a, b) => size(b) - size(a))[0];
    if (best) return withSums(best.m, best.n, best.k, kind);
  }
  return undefined;
}

/** The shape that VKPN_TILE names, if the device has it: listed, or a multiple of what NV2 lets be any multiple. */
function askedShape(info: DeviceInfo, path: MatrixPath, asked: string, kinds: readonly Sums[]): TileShape | undefined {
  const [m = 0, n = 0, k = 0] = /^\d+x\d+x\d+$/.test(asked) ? asked.split('x').map(Number) : [];
  const flexible = path === 'khr' && info.features.nvCooperativeMatrix2?.flexibleDimensions === true;
  const sums = kinds.find((kind) => info.matrixShapes[path].some((s) => isUsable(s, kind) && s.m === m && s.n === n && s.k === k)
    || (flexible && info.matrixShapes.nv2.some((s) => isUsable({ ...s, m, n, k }, kind) && m % s.m === 0 && n % s.n === 0 && k % s.k === 0)));
  return sums && withSums(m, n, k, sums);
}

/**
 * What the device lists and the environment allows: VKPN_NO_KHR=1 and VKPN_NO_NV=1 switch a path off, VKPN_F16_SUMS=1 hides shapes
 * with f32 sums, VKPN_TILE=16x16x16 chooses a shape. Nothing is run: `testedPath` says whether the device also computes it.
 */
export function listedPath(info: DeviceInfo, path: MatrixPath, env: NodeJS.ProcessEnv = process.env): PathState {
  const isSet = (name: string): boolean => (env[name] ?? '0') !== '0';
  if (isSet(switches[path])) return { why: `${switches[path]} is set` };
  if (!(path === 'khr' ? info.features.khrCooperativeMatrix : info.features.nvCooperativeMatrix)) return { why: `the device has no ${extensions[path]}` };
  if (!info.features.shaderFloat16) return { why: 'the device has no f16 arithmetic' };
  if (!info.subgroup.shuffle) return { why: "the device's subgroups can't shuffle" };
  const asked = env.VKPN_TILE;
  const sums: Sums[] = isSet('VKPN_F16_SUMS') ? ['f16'] : ['f32', 'f16'];
  const shape = asked === undefined ? bestShape(info.matrixShapes[path], sums) : askedShape(info, path, asked, sums);
  const product = `f16*f16+${sums.join(' or +')}`;
  const offered = [...new Set(info.matrixShapes[path].filter((s) => sums.some((kind) => isUsable(s, kind))).map(shapeName))].join(', ') || 'none that the kernels use';
  if (asked !== undefined && !shape) return { why: `VKPN_TILE is ${asked}, a shape that ${extensions[path]} does not offer here for ${product}; it offers ${offered}` };
  return shape ? { shape } : { why: `${extensions[path]} lists no ${product} shape of up to 32x16x16 for a subgroup` };
}

/** Whether the kernels' matrices convert, going by what the device lists. VKPN_NO_NV2=1 switches it off. */
function listsConversions(info: DeviceInfo, path: MatrixPath, { n, k, halfSums }: TileShape): boolean {
  return path === 'khr' && n === k && !halfSums && info.features.nvCooperativeMatrix2?.conversions === true && (process.env.VKPN_NO_NV2 ?? '0') === '0';
}

/** The self-test that `testedPath` asks for first of path khr. */
export function firstTrial(info: DeviceInfo): { path: string; tile: TileShape } | undefined {
  const listed = listedPath(info, 'khr');
  return 'why' in listed ? undefined : { path: listsConversions(info, 'khr', listed.shape) ? CONVERTING : 'khr', tile: listed.shape };
}

/** As `listedPath`, after products of that shape were run in a child process and found right (a verdict that is kept for a week). */
export function testedPath(info: DeviceInfo, path: MatrixPath): PathState {
  const listed = listedPath(info, path);
  if ('why' in listed) return listed;
  const { shape } = listed;
  const lists = listsConversions(info, path, shape);
  const wrong = lists ? selfTest(info, CONVERTING, shape) : undefined;
  if (lists && wrong === undefined) return { shape: { ...shape, converts: true } };
  const failure = selfTest(info, path, shape);
  if (failure !== undefined) return { why: `${shapeName(shape)} is listed, but ${failure}`, wrong: true };
  return wrong === undefined ? listed : { shape, note: `conversions of VK_NV_cooperative_matrix2 are listed, but ${wrong}` };
}
