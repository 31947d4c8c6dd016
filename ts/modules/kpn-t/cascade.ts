// The levels' results from coarse to fine, the loss, and its gradient back from fine to coarse (SPEC 1.6, 1.7, 2): by blocks of pixels, in as few
// dispatches as there can be (glsl/kpn/rise.comp, fall.comp), or with dispatches for each level.

import type { DeviceInfo } from '../../gpu/types.js';
import type { BuildContext, PlanBuffer } from '../../graph/types.js';
import { partsOf, type ModelSpec } from '../../model/spec.js';
import type { Geometry } from '../kpn/geometry.js';
import { addCombining, addGuided, ceilDiv, needsDown, push, r, rw, w, type AddForward, type AddNode, type Combining, type Grid, type Use } from '../kpn/nodes.js';

export interface Cascade {
  node: AddNode;
  model: ModelSpec;
  geometry: Geometry;
  /** How images are stored. */
  variant: 'f16' | 'f32';
  byBlocks: boolean;
  /** Whether O is looked at. */
  shown: boolean;
  limits: DeviceInfo['limits'];
  buffer: BuildContext['buffer'];
  geo: Use;
  noise: PlanBuffer;
  ref: PlanBuffer;
  mip: PlanBuffer;
  /** (pixel): G under context guide. */
  guide: PlanBuffer;
  pass: Combining;
  /** (pixel): dE/dO. */
  gradient: PlanBuffer;
}

/** Pixels each way, of the coarser of two levels, that a workgroup of rise or fall takes. */
const BLOCK = 8;
/** The same of glsl/kpn/rise.comp where there are many: fewer pixels around the block are worked out by several workgroups. */
const LARGE_BLOCK = 16;
/** Large blocks from which there are enough for every processor. */
const MANY_BLOCKS = 264;
/** Invocations and shared memory of a workgroup of glsl/kpn/rise.comp, by its block, and of rise_post.glsl. */
const simpleRise = (block: number): { local: number; bytes: number } => ({ local: 32 * ceilDiv((block + 4) ** 2, 32), bytes: 24 * ((block + 4) ** 2 + (block + 2) ** 2) });
const RISE = { simple: simpleRise(BLOCK), post: { local: 192, bytes: 16164 } } as const;
/** Shared memory of glsl/kpn/fall.comp and fall_post.glsl: for an invocation, and at least, for a block. */
const FALL = { simple: { bytes: 24, least: 0 }, post: { bytes: 24, least: 8112 } } as const;

/** Which of the two. */
const riseOf = (m: ModelSpec): 'simple' | 'post' => (m.combine === 'postdiff' || m.context === 'guide' ? 'post' : 'simple');

/** Why `rise` and `fall` can't stand for the kernels that go level by level; undefined where they can. */
export function whyNotByBlocks(m: ModelSpec, { name, limits }: DeviceInfo, f32: boolean): string | undefined {
  if (f32) return 'derivatives are checked in f32';
  if (m.chroma) return 'chroma is 1';
  if (m.levels < 2) return 'there is one level';
  const { local, bytes } = RISE[riseOf(m)];
  if (limits.maxComputeWorkGroupInvocations < local) return `${name} has workgroups of ${limits.maxComputeWorkGroupInvocations}`;
  if (limits.maxComputeSharedMemorySize < bytes) return `${name} has ${limits.maxComputeSharedMemorySize} bytes of shared memory`;
  return undefined;
}

/** Whether `rise` leaves of level 0 with dE/dO what SLOPES says (glsl/common/options.glsl). */
export const leavesSlopes = (m: ModelSpec, byBlocks: boolean): boolean => byBlocks && riseOf(m) === 'simple';

/** The loss of each pixel of level 0, or of each block of it: vec4 (glsl/kpn/sum.comp). */
export interface Losses {
  buffer: PlanBuffer;
  count: number;
}

const blocksOf = ({ levels }: Geometry, level: number, block = BLOCK): [number, number] => [ceilDiv(levels[level]!.width, block), ceilDiv(levels[level]!.height, block)];

/** The block of glsl/kpn/rise.comp. */
function riseBlock({ geometry: g, limits }: Cascade): number {
  const { local, bytes } = simpleRise(LARGE_BLOCK);
  if (limits.maxComputeWorkGroupInvocations < local || limits.maxComputeSharedMemorySize < bytes) return BLOCK;
  const [across, down] = blocksOf(g, 1, LARGE_BLOCK);
  return across * down * g.tiles < MANY_BLOCKS ? BLOCK : LARGE_BLOCK;
}

/** `rise` from the coarsest level to the end. */
function addRise(c: Cascade): Losses {
  const { pass } = c;
  if (riseOf(c.model) === 'post') {
    addRisePost(c, 'rise', 'post', 1);
    return pixelLosses(c);
  }
  const block = riseBlock(c);
  const groups: [number, number, number] = [...blocksOf(c.geometry, 1, block), c.geometry.tiles];
  const count = groups.reduce((product, n) => product * n, 1);
  const losses = c.buffer('losses', 16 * count);
  c.node('rise', 'rise', 'simple', { groups, local: simpleRise(block).local, spec: { 31: block, 32: c.shown } }, [
    c.geo, r(c.noise), r(pass.filtered), r(c.mip), r(c.ref), w(pass.combined), w(pass.diff), w(c.gradient), w(pass.output), w(losses),
  ]);
  return { buffer: losses, count };
}

/** Where dE/dO has them. */
const pixelLosses = (c: Cascade): Losses => ({ buffer: c.gradient, count: c.geometry.levels[0]!.pixels });

/** The same from the coarsest level that is not there yet to level `base`: to the end, or no further than what guides the next level. */
function addRisePost(c: Cascade, label: string, kind: 'post' | 'guide', base: number): void {
  const { model: m, geometry: g, pass } = c;
  const coarsest = m.combine === 'prediff' ? m.levels : m.levels - 1;
  const top = kind === 'guide' ? Math.min(base + 1, coarsest) : m.context === 'guide' ? 1 : coarsest;
  const combined = top < coarsest ? rw(pass.combined) : w(pass.combined);
  const last = kind === 'guide' ? [w(c.guide)] : [r(c.noise), r(c.ref), w(c.gradient), w(pass.output)];
  c.node(label, 'rise', kind, { groups: [...blocksOf(g, base), g.tiles], local: RISE.post.local }, [c.geo, r(pass.filtered), r(c.mip), combined, w(pass.diff), ...last], push(base, top));
}

/** The layers, O of all levels, and dE/dO of the finest one, by blocks also of level 1. */
export function addRising(c: Cascade, fwd: AddForward): Losses {
  const { node, model: m, geometry: g, variant, geo, mip, pass } = c;
  if (m.context !== 'guide') fwd('fwd', 0, g.pixels, mip);
  if (!c.byBlocks) {
    if (m.context === 'guide') addGuided(node, m, g, variant, geo, mip, c.guide, pass, fwd);
    else addCombining(node, m, g, variant, geo, mip, pass);
    node('loss', 'loss', undefined, g.levels[0]!.pixels, [geo, r(c.noise), r(pass.combined), r(c.ref), w(c.gradient)]);
    return pixelLosses(c);
  }
  for (let i = m.levels - 1; i >= 0 && m.context === 'guide'; --i) {
    fwd(`fwd ${i}`, g.levels[i]!.first, g.levels[i]!.pixels, i === m.levels - 1 ? mip : c.guide);
    if (i > 0) addRisePost(c, `rise ${i}`, 'guide', i);
  }
  return addRise(c);
}

/** What makes dE/dK of dE/dI in the same dispatch: what it reads, and where it goes. */
export interface KernelGradient {
  state: PlanBuffer;
  image: PlanBuffer;
  K: PlanBuffer;
  dK: PlanBuffer;
}

/**
 * dE/dO of the other levels; under postdiff dE/dI; and there, where `kernel` is given and that can be in the same dispatch, dE/dK.
 * @returns what bck takes as dE/dI, where that is not made of dE/dO pixel by pixel; and whether dE/dK is there
 */
export function addFalling(c: Cascade, kernel?: KernelGradient): { dEdI: PlanBuffer; hasKernelGradient: boolean } {
  const { node, model: m, geometry: g, geo, gradient } = c;
  const { filtered, diff } = c.pass;
  const post = m.combine === 'postdiff';
  const bytes = g.pixels * 16 * partsOf(m);
  const fall = fallOf(c, kernel !== undefined);
  if (fall && kernel) {
    node('fall', 'fall', post ? 'post.dK' : 'simple.dK', fall, [geo, r(filtered), rw(gradient), r(kernel.state), r(kernel.image), r(kernel.K), r(diff), w(kernel.dK)]);
    return { dEdI: gradient, hasKernelGradient: true };
  }
  const dEdI = post ? c.buffer('dEdI', bytes) : gradient;
  const made = { dEdI, hasKernelGradient: false };
  if (fall) {
    node('fall', 'fall', post ? 'post' : 'simple', fall, [geo, r(filtered), rw(gradient), ...(post ? [w(dEdI)] : [])]);
    return made;
  }
  const level = (i: number): number => g.levels[i]!.pixels;
  for (let i = c.byBlocks ? 1 : 0; i + 1 < m.levels; ++i) node(`dup ${i}`, 'dup', 'f32', level(i + 1), [geo, r(filtered), rw(gradient)], push(i));
  if (!post) return made;
  const part = needsDown(m) ? c.buffer('up2T', bytes) : gradient; // a single level has no coarser one
  for (let i = 0; i + 1 < m.levels; ++i) node(`part ${i}`, 'dup', 'part', level(i + 1), [geo, r(filtered), r(gradient), w(part)], push(i));
  for (let i = 0; i < m.levels; ++i) node(`dpost ${i}`, 'dpost', undefined, level(i), [geo, r(filtered), r(gradient), r(part), w(dEdI)], push(i));
  return made;
}

/** The grid of `fall`, and of what makes dE/dK in it; undefined where there is nothing for it to do, or the device has no room for its workgroups. */
function fallOf({ byBlocks, geometry: g, model: m, limits }: Cascade, makesK: boolean): Grid | undefined {
  const post = m.combine === 'postdiff';
  if (!byBlocks || (!post && m.levels < 3)) return undefined;
  const { bytes, least } = FALL[post ? 'post' : 'simple'];
  const area = m.levels > 2 ? g.levels[2]!.width * g.levels[2]!.height : 0;
  const local = Math.max(post ? 4 * BLOCK ** 2 : makesK ? 64 : 0, 32 * ceilDiv(area, 32));
  if (local > limits.maxComputeWorkGroupInvocations || Math.max(least, bytes * local) > limits.maxComputeSharedMemorySize) return undefined;
  if (!post) return { groups: [g.tiles, 1 + (makesK ? ceilDiv((g.levels[0]!.pixels + g.levels[1]!.pixels) / g.tiles, local) : 0), 1], local };
  const blocks = [1, 2].reduce((sum, i) => sum + blocksOf(g, i)[0] * blocksOf(g, i)[1], 0);
  return { groups: [m.levels - 2 + blocks, g.tiles, 1], local };
}
