// The nodes of inference: the pyramid from fine to coarse, then the levels from coarse to fine, a dispatch each
// (glsl/kpn/denoise.comp; SPEC 1).

import type { BuildContext, NodeDesc, PlanBuffer, PortShape } from '../../graph/types.js';
import { partsOf, weightCount, type ModelSpec } from '../../model/spec.js';
import { hasSmallLevel } from './geometry.js';
import { addPacking, needsDown, nodeAdder, push, r, w, type Use } from './nodes.js';
import { specOf } from './options.js';
import { choosePath, denoiseLaunch, inferenceLaunch, isPacked, pixelsPerGroup, runsOf, type Launch } from './path.js';
import type { WindowLevel } from './window.js';

/** What a run of inference reads and writes; pictures (tile, y, x), rgba. */
export interface InferencePorts {
  /** window.ts. */
  window: PlanBuffer;
  /** Of the shape's format. */
  input: PlanBuffer;
  /** f16. */
  output: PlanBuffer;
}

/** What runs have in common. */
export interface Inference {
  ctx: BuildContext;
  m: ModelSpec;
  /** Of kernels without layers. */
  spec: Launch['spec'];
  layers: Launch;
  tileSize: readonly [width: number, height: number];
  /** Pictures at once. */
  tiles: number;
  /** Whether these are f32. */
  single: number;
  weights: PlanBuffer;
}

/** Tiles that a workgroup makes at most, one after the other: more are no faster on an H100. */
const MOST_RUNS = 8;

/** Chooses how kernels are built, for pictures of this shape. `weights`: f16. `runs`: the levels of each run that addInference will add. */
export function prepareInference(ctx: BuildContext, m: ModelSpec, shape: PortShape, weights: PlanBuffer, runs: readonly (readonly WindowLevel[])[]): Inference {
  const { device } = ctx;
  const cpu = device.type === 'cpu';
  const spec = specOf(m, cpu ? 256 : 64, { packRounds: cpu, small: hasSmallLevel(runs.flat().map(({ full }) => full)) });
  const path = choosePath(device, ctx.params.string('path'), (text) => ctx.warn(text));
  // Built for the whole picture, so that a window's results are its, bit by bit.
  const inAll = shape.count * runs.flatMap((levels) => levels.slice(0, m.levels)).reduce((sum, { full }) => sum + full.width * full.height, 0);
  const layers = denoiseLaunch(inferenceLaunch(path, device, spec, m.width, inAll, ctx.frames, { besides: 11 * 1024 }), m);
  const pixels = pixelsPerGroup(path, layers);
  const width = pixels < 128 ? Math.min(8, pixels) : 16;
  const made = { ctx, m, spec, layers, tileSize: [width, pixels / width], tiles: shape.count, single: shape.format === 'f32' ? 1 : 0 } as const;
  const count = weightCount(m);
  if (isPacked(layers)) return { ...made, weights: addPacking(ctx, path, spec, count, weights) };
  if (path.name !== 'plain') return { ...made, weights };
  const rounded = ctx.buffer('rounded', 4 * count);
  nodeAdder(ctx, spec)('expand', 'expand', undefined, count / 2, [r(weights), w(rounded)], push(count / 2));
  return { ...made, weights: rounded };
}

/** Adds the nodes of a run over `levels`, as many as levelsInMemory says. `name`: of this run's nodes and buffers. */
export function addInference(inference: Inference, levels: readonly WindowLevel[], ports: InferencePorts, name: (text: string) => string = (text) => text): void {
  new InferenceRun(inference, levels, ports, name).add();
}

class InferenceRun {
  private readonly window: Use;
  /** M of each level; the input at level 0. */
  private readonly mips: PlanBuffer[];

  constructor(
    private readonly how: Inference,
    private readonly levels: readonly WindowLevel[],
    private readonly ports: InferencePorts,
    private readonly name: (text: string) => string,
  ) {
    this.window = { buffer: ports.window, access: 'r', kind: 'uniform' };
    this.mips = levels.map((_, i) => (i === 0 ? ports.input : this.picture(`M ${i}`, i)));
  }

  /** A picture of a level's size, rgba f16, of each of `parts`. */
  private picture(name: string, level: number, parts = 1): PlanBuffer {
    const { width, height } = this.levels[level]!;
    return this.how.ctx.buffer(this.name(name), parts * this.how.tiles * width * height * 8);
  }

  private node(desc: NodeDesc): void {
    this.how.ctx.node({ ...desc, label: this.name(desc.label) });
  }

  add(): void {
    const { levels, mips, how: { m } } = this;
    for (let i = 0; i + 1 < levels.length; i++) this.shrink(`shrink ${i}`, i, this.singleAt(i), mips[i]!, mips[i + 1]!);
    let below = m.combine === 'prediff' ? mips[m.levels] : undefined;
    for (let i = m.levels - 1; i >= 0; i--) {
      const result = i === 0 ? this.ports.output : this.picture(`O ${i}`, i);
      if (needsDown(m) && below) this.postdiff(i, below, result);
      else this.denoise(i, below, result, false);
      below = result;
    }
  }

  private singleAt(level: number): number {
    return level === 0 ? this.how.single : 0;
  }

  private denoise(i: number, below: PlanBuffer | undefined, result: PlanBuffer, filtered: boolean): void {
    const { m, layers, tileSize: [tileWidth, tileHeight], tiles, weights } = this.how;
    const { width, height } = this.levels[i]!;
    const image = this.mips[i]!;
    const smaller = m.combine === 'prediff' ? this.mips[i + 1]! : image; // bound, but not looked at
    const [columns, rows] = [Math.ceil(width / tileWidth), Math.ceil(height / tileHeight)];
    const runs = runsOf(layers, columns * rows * tiles, MOST_RUNS);
    this.node({
      label: `denoise ${i}`, kernel: 'kpn/denoise', ...layers, spec: { ...layers.spec, 28: tileWidth, 29: tileHeight },
      groups: [Math.ceil(columns / runs), rows, tiles],
      uses: [this.window, r(image), r(smaller), r(below ?? image), r(weights), w(result)],
      push: push(i, this.singleAt(i), below && !filtered ? 1 : 0, filtered ? 1 : 0, m.context === 'guide' && i < m.levels - 1 ? 1 : 0, runs),
    });
  }

  /** A level under postdiff: I, down(I), then both with the coarser O. */
  private postdiff(i: number, below: PlanBuffer, result: PlanBuffer): void {
    const parts = partsOf(this.how.m);
    const filtered = this.picture(`I ${i}`, i, parts);
    const down = this.picture(`down ${i}`, i + 1, parts);
    this.denoise(i, below, filtered, true);
    this.shrink(`down ${i}`, i, 0, filtered, down, parts);
    this.rows(`merge ${i}`, 'merge', i, [r(this.mips[i]!), r(filtered), r(down), r(below), w(result)], push(i, this.singleAt(i)));
  }

  private shrink(label: string, i: number, single: number, fine: PlanBuffer, coarse: PlanBuffer, parts = 1): void {
    this.rows(label, 'shrink', i + 1, [r(fine), w(coarse)], push(i, single), parts * this.how.tiles);
  }

  /** A kernel that runs an invocation a pixel of a level. */
  private rows(label: string, kernel: string, level: number, uses: NodeDesc['uses'], pushed: Uint8Array, pictures = this.how.tiles): void {
    const { width, height } = this.levels[level]!;
    const { spec } = this.how;
    const local = spec[0] as number;
    this.node({ label, kernel: `kpn/${kernel}`, spec, groups: [Math.ceil(width / local), height, pictures], uses: [this.window, ...uses], push: pushed });
  }
}
