// Nodes of the network: how they are added, and those that training's passes share: the pyramid before the layers, the combining
// of levels after them (SPEC 1.2, 1.6).

import type { BuildContext, NodeDesc, PlanBuffer } from '../../graph/types.js';
import type { ModelSpec } from '../../model/spec.js';
import { MIP_DEPTH, type Geometry } from './geometry.js';
import { packLaunch, type Launch, type LayerPath } from './path.js';

export type Use = NodeDesc['uses'][number];
export const r = (buffer: PlanBuffer): Use => ({ buffer, access: 'r' });
export const w = (buffer: PlanBuffer): Use => ({ buffer, access: 'w' });
export const rw = (buffer: PlanBuffer): Use => ({ buffer, access: 'rw' });

/** Width and height of the blocks that a workgroup of `mip` takes through the levels, four pixels an invocation. */
const MIP_BLOCK = 32;

/** Push constants, 32-bit unsigned. */
export const push = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);
export const ceilDiv = (a: number, b: number): number => Math.ceil(a / b);

/** A grid of workgroups of `local` invocations. */
export interface Grid {
  groups: [number, number, number];
  local: number;
  /** Constants of this kernel alone. */
  spec?: NodeDesc['spec'];
}
/** Adds a node of glsl/kpn/ that runs one invocation for each of `invocations` things, or a grid. */
export type AddNode = (label: string, kernel: string, variant: string | undefined, invocations: number | Grid, uses: Use[], pushed?: Uint8Array) => void;

/** `spec`: constants of the model; constant 0 is the invocations of a workgroup. */
export function nodeAdder(ctx: BuildContext, spec: NonNullable<NodeDesc['spec']>): AddNode {
  const local = spec[0] as number;
  return (label, kernel, variant, invocations, uses, pushed) =>
    ctx.node({
      label, kernel: `kpn/${kernel}`, variant, uses, push: pushed,
      ...(typeof invocations === 'number' ? { spec, groups: [ceilDiv(invocations, local), 1, 1] } : { spec: { ...spec, ...invocations.spec, 0: invocations.local }, groups: invocations.groups }),
    });
}

/** `count` f16 weights as matrices hold them: what builds read of which isPacked is true. */
export function addPacking(ctx: BuildContext, path: LayerPath, spec: Launch['spec'], count: number, weights: PlanBuffer): PlanBuffer {
  const packed = ctx.buffer('packed', 2 * count);
  ctx.node({ label: 'pack', kernel: 'kpn/pack', ...packLaunch(path, ctx.device, spec, count), uses: [r(weights), w(packed)] });
  return packed;
}

/** Whether levels are combined through down(I), which a single level has none of. */
export const needsDown = (m: ModelSpec): boolean => m.combine === 'postdiff' && m.levels > 1;

/**
 * M of all levels from `input`; under prediff one level more, whose mip is the result's base, and D into `image` (else `image` is
 * `mip`). `variant`: how M is stored, f16 or f32.
 */
export function addPyramid(node: AddNode, m: ModelSpec, g: Geometry, variant: 'f16' | 'f32', geo: Use, input: PlanBuffer, mip: PlanBuffer, image: PlanBuffer): void {
  const level = (i: number): number => g.levels[i]!.pixels;
  const depth = m.combine === 'prediff' ? m.levels + 1 : m.levels;
  const direct = m.pyramid === 'box' ? Math.min(depth, MIP_DEPTH) : 1;
  const { width, height } = g.levels[0]!;
  const blocks: Grid = { groups: [ceilDiv(width, MIP_BLOCK), ceilDiv(height, MIP_BLOCK), g.tiles], local: MIP_BLOCK ** 2 / 4 };
  node('mip', 'mip', variant, blocks, [geo, r(input), w(mip)], push(direct));
  for (let i = direct - 1; i + 1 < depth; ++i) node(`mip ${i + 1}`, 'down', variant, level(i + 1), [geo, rw(mip)], push(i));
  if (m.combine === 'prediff') node('detail', 'detail', variant, g.pixels, [geo, r(mip), w(image)]);
}

/** What a pass through the layers leaves and the combining of levels makes of it. */
export interface Combining {
  /** (part, pixel): I.rgb, I.a. */
  filtered: PlanBuffer;
  /** (part, pixel): down(I), where needsDown; else any buffer. */
  coarse: PlanBuffer;
  /** (pixel): O. */
  combined: PlanBuffer;
  /** (part, pixel): dO/dI.a. */
  diff: PlanBuffer;
  /** O_0, (tile, y, x), rgba f16. */
  output: PlanBuffer;
}

/** down(I) of a level, where it is needed. `suffix` tells the nodes of several passes apart. */
function addDown(node: AddNode, m: ModelSpec, g: Geometry, geo: Use, pass: Combining, i: number, suffix: string): void {
  if (needsDown(m) && i < m.levels - 1) node(`down ${i}${suffix}`, 'down', 'float', g.levels[i + 1]!.pixels, [geo, r(pass.filtered), w(pass.coarse)], push(i));
}

/** O of a level from the coarser one's. */
function addUp(node: AddNode, m: ModelSpec, g: Geometry, variant: 'f16' | 'f32', geo: Use, mip: PlanBuffer, pass: Combining, i: number, suffix: string): void {
  const coarsest = i === m.levels - 1; // it has no down(I), and under context guide no other level has one before it
  node(`up ${i}${suffix}`, 'up', variant, g.levels[i]!.pixels, [
    geo, r(pass.filtered), coarsest ? w(pass.combined) : rw(pass.combined), w(pass.diff), r(coarsest ? pass.filtered : pass.coarse), r(mip), w(pass.output),
  ], push(i));
}

/** O from coarse to fine, from I of all levels. */
export function addCombining(node: AddNode, m: ModelSpec, g: Geometry, variant: 'f16' | 'f32', geo: Use, mip: PlanBuffer, pass: Combining, suffix = ''): void {
  for (let i = 0; i < m.levels; ++i) addDown(node, m, g, geo, pass, i, suffix);
  for (let i = m.levels - 1; i >= 0; --i) addUp(node, m, g, variant, geo, mip, pass, i, suffix);
}

/** Adds the dispatch of kpn/fwd over the batch's pixels from `first` on; `guide`: G, of the coarsest level M. */
export type AddForward = (label: string, first: number, pixels: number, guide: PlanBuffer) => void;

/** Under context guide: each level through the layers once the coarser one's O is there, from which `guide` (pixel; G) is made. */
export function addGuided(node: AddNode, m: ModelSpec, g: Geometry, variant: 'f16' | 'f32', geo: Use, mip: PlanBuffer, guide: PlanBuffer, pass: Combining, fwd: AddForward): void {
  for (let i = m.levels - 1; i >= 0; --i) {
    const { first, pixels } = g.levels[i]!;
    const coarsest = i === m.levels - 1;
    if (!coarsest) node(`guide ${i}`, 'guide', variant, pixels, [geo, r(pass.combined), w(guide)], push(i));
    fwd(`fwd ${i}`, first, pixels, coarsest ? mip : guide);
    addDown(node, m, g, geo, pass, i, '');
    addUp(node, m, g, variant, geo, mip, pass, i, '');
  }
}
