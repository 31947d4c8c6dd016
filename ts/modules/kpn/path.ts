// Which shader path the layers take (KHR or NV cooperative matrices, or plain arithmetic), and what its kernels are built and
// launched with: glsl/common/path.glsl, panel.glsl, kpn/mulw.comp.

import { GpuError, InputError } from '../../errors.js';
import { shapeName, testedPath, type MatrixPath, type PathName, type TileShape } from '../../gpu/matrix.js';
import type { DeviceInfo } from '../../gpu/types.js';
import type { NodeDesc } from '../../graph/types.js';
import type { ModelSpec } from '../../model/spec.js';

export const PATHS = ['auto', 'khr', 'nv', 'plain'] as const;

/** A path with a shape where it has one. `f32`: numbers are stored in f32, to check derivatives. */
export type LayerPath = { name: 'plain'; f32?: boolean } | { name: MatrixPath; tile: TileShape };

/** How a kernel is built for a path: laid over a node. */
export interface Launch {
  variant: string;
  spec: NonNullable<NodeDesc['spec']>;
  groups: [number, number, number];
  subgroupSize?: number;
  fullSubgroups?: boolean;
}

/** What `auto` prefers: KHR is the faster one where a device has both (docs/performance.md). */
const ORDER = ['khr', 'nv'] as const;
const ON_CPU = 'a driver for the CPU is no faster with matrices';

/**
 * The path that `asked` means on a device. `auto`: KHR, else NV, where they pass the self-test; plain on CPU drivers. `warn` hears of a path that the device lists and gets wrong.
 * `tile`: whether a shape is asked for, by VKPN_TILE: then `auto` does not put plain in its place on a GPU.
 * @throws GpuError NO_PATH where the path or shape asked for isn't there
 */
export function choosePath(info: DeviceInfo, asked: string, warn: (message: string) => void, tested = testedPath, tile = process.env['VKPN_TILE'] !== undefined): LayerPath {
  if (asked === 'plain' || (asked === 'auto' && info.type === 'cpu')) return { name: 'plain' };
  const reasons: string[] = [];
  let poorer: LayerPath | undefined; // with sums in f16
  for (const name of asked === 'auto' ? ORDER : [asked as MatrixPath]) {
    const state = tested(info, name);
    if ('shape' in state && state.note !== undefined) warn(`${info.name}, ${info.driverName} ${info.driverInfo}: path ${name} goes without ${state.note}`);
    if ('shape' in state && !state.shape.halfSums) return { name, tile: state.shape };
    if ('shape' in state) {
      poorer ??= { name, tile: state.shape };
      continue;
    }
    reasons.push(state.why);
    if (asked === 'auto' && state.wrong) warn(`${info.name}, ${info.driverName} ${info.driverInfo}: path ${name} is left out, because ${state.why}`);
  }
  if (poorer) return poorer;
  if (asked === 'auto' && !tile) return { name: 'plain' };
  const there = ORDER.filter((name) => name !== asked && 'shape' in tested(info, name));
  throw new GpuError('NO_PATH', `${info.name} has no path ${asked === 'auto' ? 'with this shape' : asked}: ${reasons.join('; ')}`, { hint: `there is: ${[...there, 'plain'].join(', ')}; auto takes the fastest` });
}

/** For people: what `auto` takes on a device, and why it passes each of the other paths over. */
export function pathReport(info: DeviceInfo, tested = testedPath): { chosen: LayerPath; others: { path: PathName; why: string }[] } {
  const chosen = choosePath(info, 'auto', () => undefined, tested, false);
  const others = ORDER.filter((path) => path !== chosen.name).map((path) => {
    const state = tested(info, path);
    if ('why' in state) return { path, why: state.why };
    return { path, why: `${describePath({ name: path, tile: state.shape })} works, but ${chosen.name === 'plain' ? ON_CPU : `${chosen.name} comes first`}` };
  });
  return { chosen, others: [...others, ...(chosen.name === 'plain' ? [] : [{ path: 'plain' as const, why: 'works everywhere, but slower' }])] };
}

/** Invocations of a subgroup: what shapes are listed for. */
const subgroupOf = (info: DeviceInfo): number => info.subgroup.size;

function subgroups(info: DeviceInfo): Pick<Launch, 'subgroupSize' | 'fullSubgroups'> {
  const { size, sizeControl, fullSubgroups } = info.subgroup;
  return { ...(sizeControl ? { subgroupSize: size } : {}), ...(fullSubgroups ? { fullSubgroups } : {}) };
}

/**
 * The build of a path's kernels. GPUs get loops over matrices unrolled, CPU drivers don't (minutes of compiling), with one exception:
 * llvmpipe before Mesa 24 runs the plain path unrolled three times as fast, which pays where enough pixels go through it.
 * Measured there, compiling included: as fast after 75 tiles of classic and 135 of wide, 0.4 and 0.7 million pixels.
 */
export function variantOf(path: LayerPath, info: DeviceInfo, pixelsInAll: number): string {
  if (path.name === 'plain' && path.f32) return 'f32';
  const name = path.name !== 'plain' && path.tile.halfSums ? `${path.name}.half` : path.name;
  if (info.type !== 'cpu') return name;
  const mesa = /Mesa (\d+)/.exec(info.driverInfo)?.[1];
  const unrolled = path.name === 'plain' && mesa !== undefined && Number(mesa) < 24 && pixelsInAll > UNROLLING_PAYS;
  return unrolled ? name : `${name}.rolled`;
}
const UNROLLING_PAYS = 7e5;

/**
 * Constants of path.glsl. 15 to 17 mean nothing to the panel's kernels; they are there because validation layers (1.4.309) take a
 * constant's id for its place in the list, and report shapes that are none where the two differ.
 */
const tileSpec = (info: DeviceInfo, tile: TileShape, perGroup: number): Launch['spec'] => ({
  0: subgroupOf(info) * perGroup, 15: false, 16: 0, 17: 0, 18: tile.m, 19: tile.n, 20: tile.k, 21: subgroupOf(info), 22: perGroup,
});

/** Pixels from which a GPU has work for all its processors several times over. What is chosen below and above it was measured on an H100. */
const MANY_PIXELS = 2 ** 15;

/** Bytes of a row of `width` f16 channels in shared memory (PITCH). */
const pitch = (width: number): number => 2 * width + 16;

/** fwd and bck over `pixels` pixels, `frames` times. `spec`: constants of the model, with the invocations of a workgroup of the plain path. */
export function panelLaunch(path: LayerPath, info: DeviceInfo, spec: Launch['spec'], width: number, pixels: number, frames: number, pass: 'forward' | 'back' = 'forward'): Launch {
  if (path.name === 'plain') return plainLaunch(path, info, spec, width, pixels, frames, pass);
  const variant = variantOf(path, info, pixels * frames);
  const subgroup = subgroupOf(info);
  const shared = info.limits.maxComputeSharedMemorySize;
  // Half as many pixels as invocations: few registers and little shared memory. But what is done a pixel an invocation (input,
  // convolution) then takes twice as long, which shows where the layers are quick and the pixels many.
  const panel = Math.max(path.tile.m, width < 64 && pixels > MANY_PIXELS ? subgroup : subgroup / 2);
  let perGroup = 4;
  while (perGroup > 1 && perGroup * subgroup > info.limits.maxComputeWorkGroupInvocations) perGroup /= 2;
  // Where there is much to do, little shared memory leaves room for more workgroups at a time; else the fewest barriers count.
  let rows = pixels > MANY_PIXELS ? 32 : width;
  const bytes = (): number => perGroup * panel * pitch(width) + width * pitch(rows);
  while (bytes() > shared && rows > 32) rows /= 2;
  while (bytes() > shared && perGroup > 1) perGroup /= 2;
  return {
    variant, spec: { ...spec, ...tileSpec(info, path.tile, perGroup), 23: panel, 24: rows },
    groups: [Math.ceil(pixels / (panel * perGroup)), 1, 1], ...subgroups(info),
  };
}

/** Pixels that a workgroup of a tiled build has (panel_tiled.glsl): an invocation has 8 outputs of 8 pixels. */
const tiledPixels = (width: number, local: number): number => (64 * local) / width;

/**
 * Invocations of a workgroup of a tiled build, and the quads of inputs whose weights are in shared memory at a time; undefined: there is too little
 * of that. 64 wide, half as many invocations were slower than a pixel an invocation, so that they are for who asks for tiles.
 */
function tiledSize(info: DeviceInfo, width: number, besides: number): { local: number; stage: number } | undefined {
  const sizes = (width === 64 ? (process.env['VKPN_PLAIN'] === 'tiled' ? [128, 64] : [128]) : [64]).flatMap((local) => [8, 4].map((stage) => ({ local, stage })));
  return sizes.find(({ local, stage }) => 16 * (tiledPixels(width, local) * (width / 4 + 1) + width * stage) + besides <= info.limits.maxComputeSharedMemorySize);
}

/** What a kernel of the plain path does: how it is built depends on that. */
type Pass = 'forward' | 'back' | 'dE/dw';

/**
 * Whether a kernel of the plain path is built in tiles: on GPUs, where that was the faster one on an H100 (docs/performance.md). `VKPN_PLAIN`
 * (docs/paths.md) asks for it everywhere, or nowhere.
 */
function tiles(path: LayerPath, info: DeviceInfo, width: number, pass: Pass): boolean {
  if (path.name !== 'plain' || path.f32) return false;
  const asked = process.env['VKPN_PLAIN'];
  if (asked !== undefined && asked !== 'tiled' && asked !== 'rows') throw new InputError('BAD_VARIABLE', `VKPN_PLAIN can't be "${asked}"`, { hint: 'it is tiled or rows' });
  if (pass === 'back') return false;
  if (asked !== undefined) return asked === 'tiled';
  return info.type !== 'cpu' && (pass === 'dE/dw' || width <= 64);
}

function plainLaunch(path: LayerPath, info: DeviceInfo, spec: Launch['spec'], width: number, pixels: number, frames: number, pass: Pass, besides = 0): Launch {
  const size = tiles(path, info, width, pass) ? tiledSize(info, width, besides) : undefined;
  if (size) return { variant: 'plain.tiled', spec: { ...spec, 0: size.local, 24: size.stage }, groups: [Math.ceil(pixels / tiledPixels(width, size.local)), 1, 1] };
  const variant = variantOf(path, info, pixels * frames);
  return { variant: pass === 'back' && width > 64 && variant === 'plain' ? 'plain.wide' : variant, spec, groups: [Math.ceil(pixels / (spec[0] as number)), 1, 1] };
}

/** Layers whose weights an invocation of denoise has registers for, 32 wide. */
const MOST_HELD = 4;
/** Workgroups that hold weights: as many as an H100 runs at a time. */
const HOLDING_GROUPS = 392;

/** Subgroups of a workgroup of mlp and fwd where the panel stays in registers: 64 wide with many of these, few workgroups at a time have enough. */
const perGroupOf = (width: number): number => width < 64 ? 4 : 1;

/** Builds whose layers take weights as matrices hold them, which kpn/pack makes of them (glsl/common/packed.glsl). */
export const isPacked = ({ variant }: Pick<Launch, 'variant'>): boolean => /\bkhr\.(resident|holding)$/.test(variant) && !variant.startsWith('fused.');

/** Whether matrices of sums can be made operands, and those are a word of eight an invocation: what resident builds ask for. */
const staysResident = (tile: TileShape, info: DeviceInfo): boolean => tile.converts === true && info.type !== 'cpu' && tile.n * tile.k === 8 * subgroupOf(info);

/** kpn/pack: `packed` has as many bytes as the weights. */
export function packLaunch(path: LayerPath, info: DeviceInfo, spec: Launch['spec'], weights: number): Launch {
  if (path.name === 'plain') throw new GpuError('NO_PATH', 'the plain path has no matrices to pack weights for');
  const perGroup = 4;
  const tiles = weights / (path.tile.n * path.tile.k);
  return { variant: 'khr', spec: { ...spec, ...tileSpec(info, path.tile, perGroup) }, groups: [Math.ceil(tiles / perGroup), 1, 1], ...subgroups(info) };
}

/**
 * As panelLaunch, of kernels that take the layers in one go (mlp, fwd, denoise): where matrices of sums can be made operands, the panel
 * stays in registers between layers (panel_coop.glsl). `besides`: shared memory they need for themselves, in bytes; `perGroup`: subgroups of a workgroup.
 */
export function inferenceLaunch(path: LayerPath, info: DeviceInfo, spec: Launch['spec'], width: number, pixels: number, frames: number, { besides = 0, perGroup = 4 } = {}): Launch {
  if (path.name === 'plain') return plainLaunch(path, info, spec, width, pixels, frames, 'forward', besides);
  const launch = panelLaunch(path, info, spec, width, pixels, frames);
  if (!staysResident(path.tile, info)) return launch;
  const subgroup = subgroupOf(info);
  const panel = Math.max(path.tile.m, subgroup);
  const bytes = besides + perGroup * panel * pitch(width);
  if (bytes > info.limits.maxComputeSharedMemorySize || perGroup * subgroup > info.limits.maxComputeWorkGroupInvocations) return launch;
  return { variant: 'khr.resident', spec: { ...spec, ...tileSpec(info, path.tile, perGroup), 23: panel, 24: width }, groups: [Math.ceil(pixels / (panel * perGroup)), 1, 1], ...subgroups(info) };
}

/** The launch of denoise, of inferenceLaunch's: with few weights, holding them. */
export function denoiseLaunch(launch: Launch, { width, layers, combine }: ModelSpec): Launch {
  const holds = launch.variant === 'khr.resident' && width === 32 && layers <= MOST_HELD && combine !== 'prediff';
  return holds ? { ...launch, variant: 'khr.holding' } : launch;
}

/** Batches that a workgroup of a holding build takes of `batches`, `most` at most: while there are workgroups enough to fill a GPU. */
export const runsOf = ({ variant }: Launch, batches: number, most = Infinity): number => (variant === 'khr.holding' ? Math.max(1, Math.min(most, Math.ceil(batches / HOLDING_GROUPS))) : 1);

/** inferenceLaunch or panelLaunch for mlp and fwd: with few pixels, weights get to where they are used sooner through shared memory. */
export const batchLaunch = (path: LayerPath, info: DeviceInfo, spec: Launch['spec'], width: number, pixels: number, frames: number): Launch =>
  pixels > MANY_PIXELS ? residentLaunch(path, info, spec, width, pixels, frames) : panelLaunch(path, info, spec, width, pixels, frames);

/** inferenceLaunch for mlp and fwd. */
export const residentLaunch = (path: LayerPath, info: DeviceInfo, spec: Launch['spec'], width: number, pixels: number, frames: number): Launch =>
  inferenceLaunch(path, info, spec, width, pixels, frames, { perGroup: perGroupOf(width) });

/** Pixels that a workgroup of such a launch takes. */
export function pixelsPerGroup(path: LayerPath, { variant, spec }: Launch): number {
  if (variant === 'plain.tiled') return tiledPixels(spec[1] as number, spec[0] as number);
  return path.name === 'plain' ? (spec[0] as number) : (spec[22] as number) * (spec[23] as number);
}

/** mulw: how many partial sums it leaves, and its launch. */
export interface GradientLaunch extends Launch {
  parts: number;
  /** Fused: which activations it needs. Else all. */
  kept?: KeptActivations;
  /** Fused: where dE/dK is made, in the same kernel or, because both together need more registers than there are, in one of its own. */
  dK?: 'within' | 'apart';
}

/** Activations that the forward pass keeps (glsl/kpn/kept.glsl): x and all, x and every second one, or x alone; the way back makes the others anew. */
export type KeptActivations = 'all' | 'sparse' | 'anew';

/** Tensors (pixel, W) of activations that the forward pass keeps, x included: SLOTS of glsl/kpn/kept.glsl. */
export const slotsOf = (layers: number, kept: KeptActivations): number => (kept === 'anew' ? 1 : kept === 'sparse' ? Math.floor((layers + 1) / 2) + 1 : layers + 1);

/** The launch of fwd or mlp that keeps these, of panelLaunch's or, where all are made anew, of inferenceLaunch's. */
export const keeping = (launch: Launch, kept: KeptActivations): Launch => (kept === 'all' ? launch : { ...launch, variant: `${kept}.${launch.variant}` });

/** fwd over `pixels` pixels for training. */
export const forwardLaunch = (path: LayerPath, info: DeviceInfo, spec: Launch['spec'], width: number, pixels: number, frames: number, kept: KeptActivations): Launch =>
  keeping((kept === 'all' ? batchLaunch : residentLaunch)(path, info, spec, width, pixels, frames), kept);

/** Partial sums of dE/dw, `most` at most, each of as many runs of `run` pixels as that takes. */
function inParts(pixels: number, run: number, most: number): { runs: number; parts: number } {
  const runs = Math.max(1, Math.ceil(pixels / (run * most)));
  return { runs, parts: Math.ceil(pixels / (run * runs)) };
}

/** mulw over `pixels` pixels. */
export function gradientLaunch(path: LayerPath, info: DeviceInfo, spec: Launch['spec'], width: number, layers: number, pixels: number, frames: number): GradientLaunch {
  const variant = variantOf(path, info, pixels * frames);
  const cpu = info.type === 'cpu';
  if (tiles(path, info, width, 'dE/dw')) {
    const run = 32;
    const most = pixels <= 2 ** 19 ? 128 : width === 32 ? 512 : 256; // parts
    const { runs, parts } = inParts(pixels, run, most);
    return { variant: 'plain.tiled', spec: { ...spec, 0: width === 64 ? 128 : 64, 16: run, 17: runs }, groups: [parts, layers + 1, Math.ceil(width / 64) ** 2], parts };
  }
  if (path.name === 'plain') {
    // A part is RUN pixels where loops are slow (CPU drivers), else as many runs as keep the parts few.
    const run = width > 64 ? 32 : 64;
    const { runs, parts } = inParts(pixels, run, cpu ? Infinity : 256);
    // Four columns an invocation. On GPUs a subgroup's worth of columns, and eight rows an invocation: registers for few sums, many
    // invocations. CPU drivers run an invocation for all rows.
    const columns = cpu ? 32 : Math.min(width, 64);
    const rowGroups = cpu ? 1 : width / 8;
    return { variant, spec: { ...spec, 0: (columns / 4) * rowGroups, 16: run, 17: runs, 26: rowGroups }, groups: [parts, layers + 1, width / columns], parts };
  }
  const block = 32;
  const blocks = (width / block) ** 2;
  const run = 32;
  // With f16 sums every subgroup needs room to store a tile of f32 (path.glsl).
  const { m, n, halfSums } = path.tile;
  const bytes = (subgroups: number): number => 2 * run * pitch(width) + (halfSums ? subgroups * 2 * m * pitch(n) : 0);
  let perGroup = blocks;
  while (perGroup > 1 && (perGroup * subgroupOf(info) > info.limits.maxComputeWorkGroupInvocations || bytes(perGroup) > info.limits.maxComputeSharedMemorySize)) perGroup /= 2;
  const { runs, parts } = inParts(pixels, run, pixels > 2 ** 19 ? 256 : 128);
  return {
    variant, spec: { ...spec, ...tileSpec(info, path.tile, perGroup), 16: run, 17: runs, 25: block },
    groups: [parts, layers + 1, blocks / perGroup], parts, ...subgroups(info),
  };
}

/** f32 sums that an invocation can hold through a pass: half of what GPUs have registers for. */
const MOST_SUMS = 128;
/** f32 sums that leave registers for apply's gradient in the same kernel. */
const FEW_SUMS = 32;

/** Layers whose activations and sums an invocation has registers for, 32 wide. */
const MOST_ANEW = 6;
/** Workgroups where a processor has registers for one at a time: as many as an H100 has processors. */
const PROCESSORS = 132;
/** Shared memory of which an H100 gives a processor's workgroups two: 24 KB and a KB each (docs/performance.md). */
const SHARED_OF_TWO = 24 * 1024;

/** fusedLaunch where all activations are made anew, in registers (glsl/common/panel_anew.glsl): undefined where these are too few, or matrices of sums can't be made operands. */
function anewLaunch(tile: TileShape, info: DeviceInfo, spec: Launch['spec'], width: number, layers: number, pixels: number): GradientLaunch | undefined {
  const subgroup = subgroupOf(info);
  const panel = Math.max(tile.m, subgroup / 2);
  // D and G of two layers, and all weights but the first and the last layer's.
  const bytesOf = (subgroups: number): number => subgroups * panel * pitch(4 * width) + tile.n * pitch(((layers - 1) * width ** 2) / tile.n);
  // Where a processor has room for two workgroups, one works while the other waits at its barriers.
  const [perGroup, most] = bytesOf(4) <= SHARED_OF_TWO ? [4, 2 * PROCESSORS] : [8, PROCESSORS];
  const batch = perGroup * panel, bytes = bytesOf(perGroup);
  const fits = bytes <= info.limits.maxComputeSharedMemorySize && perGroup * subgroup <= info.limits.maxComputeWorkGroupInvocations;
  if (!staysResident(tile, info) || width !== 32 || layers > MOST_ANEW || !fits) return undefined;
  const { runs, parts } = inParts(pixels, batch, most);
  return { variant: 'fused.anew.khr', spec: { ...spec, ...tileSpec(info, tile, perGroup), 17: runs, 23: panel, 24: width }, groups: [parts, 1, 1], parts, kept: 'anew', dK: 'apart', ...subgroups(info) };
}

/**
 * bck with dE/dw in the same pass (glsl/common/panel_gradient.glsl); undefined where that is not possible: on the plain path, and
 * where all layers' sums don't fit the registers of a workgroup, or its pixels shared memory. `kept`: which activations are; undefined: as is fastest. To make
 * them anew pays for many pixels, because memory bounds these.
 */
export function fusedLaunch(path: LayerPath, info: DeviceInfo, spec: Launch['spec'], width: number, layers: number, pixels: number, frames: number, kept?: KeptActivations): GradientLaunch | undefined {
  if (path.name === 'plain' || path.tile.halfSums) return undefined;
  if (kept === 'anew' || (kept === undefined && pixels > MANY_PIXELS)) {
    const anew = anewLaunch(path.tile, info, spec, width, layers, pixels);
    if (anew || kept === 'anew') return anew;
  }
  const sparse = kept === undefined ? layers > 4 && pixels > MANY_PIXELS : kept === 'sparse';
  const { m, n } = path.tile;
  const subgroup = subgroupOf(info);
  const panel = Math.max(m, subgroup / 2);
  const sums = (perGroup: number): number => (layers + 1) * Math.max(1, (width / m) * (width / n) / perGroup) * ((m * n) / subgroup);
  let perGroup = 4;
  // Where a tile's sums alone are too many for the invocations of a subgroup, no workgroup is large enough.
  while (sums(perGroup) > MOST_SUMS && perGroup * subgroup <= info.limits.maxComputeWorkGroupInvocations) perGroup *= 2;
  const bytes = (2 * perGroup * panel + width) * pitch(width);
  if (perGroup * subgroup > info.limits.maxComputeWorkGroupInvocations || bytes > info.limits.maxComputeSharedMemorySize) return undefined;
  const batch = perGroup * panel;
  const resident = sparse && path.name === 'khr' && staysResident(path.tile, info);
  const { runs, parts } = inParts(pixels, batch, resident && sums(perGroup) > FEW_SUMS ? PROCESSORS : 256);
  return {
    variant: `fused.${sparse ? 'sparse.' : ''}${variantOf(path, info, pixels * frames)}${resident ? '.resident' : ''}`, spec: { ...spec, ...tileSpec(info, path.tile, perGroup), 17: runs, 23: panel, 24: width },
    groups: [parts, 1, 1], parts, kept: sparse ? 'sparse' : 'all', dK: sums(perGroup) > FEW_SUMS ? 'apart' : 'within', ...subgroups(info),
  };
}

/** The path's name for people: "khr 8x8x8". */
export const describePath = (path: LayerPath): string => (path.name === 'plain' ? 'plain' : `${path.name} ${shapeName(path.tile)}`);
export type { PathName };
