// The nodes of inference: the pyramid from fine to coarse, then the levels from coarse to fine, a dispatch each
// (glsl/kpn/denoise.comp; SPEC 1).

import type { BuildContext, NodeDesc, PlanBuffer, Port } from '../../graph/types.js';
import { partsOf, weightCount, type ModelSpec } from '../../model/spec.js';
import { needsDown, nodeAdder, push, r, w, type Use } from './nodes.js';
import { specOf } from './options.js';
import { choosePath, inferenceLaunch, pixelsPerGroup, runsOf, type Launch } from './path.js';
import type { WindowLevel } from './window.js';

/** What inference reads and writes; pictures (tile, y, x), rgba. */
export interface InferencePorts {
  /** window.ts. */
  window: PlanBuffer;
  /** f16 or f32. */
  input: Port;
  /** f16. */
  weights: PlanBuffer;
  /** f16. */
  output: PlanBuffer;
}

/** Adds the nodes of inference over `levels`, as many as levelsInMemory says. */
export function addInference(ctx: BuildContext, m: ModelSpec, levels: readonly WindowLevel[], ports: InferencePorts): void {
  new Inference(ctx, m, levels, ports).add();
}

/** Tiles that a workgroup makes at most, one after the other: more are no faster on an H100. */
const MOST_RUNS = 8;

class Inference {
  private readonly cpu: boolean;
  private readonly spec: Launch['spec'];
  private readonly layers: Launch;
  private readonly tileSize: readonly [width: number, height: number];
  private readonly tiles: number;
  private readonly single: number;
  private readonly window: Use;
  private readonly weights: PlanBuffer;
  /** M of each level; the input at level 0. */
  private readonly mips: PlanBuffer[];

  constructor(
    private readonly ctx: BuildContext,
    private readonly m: ModelSpec,
    private readonly levels: readonly WindowLevel[],
    private readonly ports: InferencePorts,
  ) {
    const { device } = ctx;
    const { shape } = ports.input;
    this.cpu = device.type === 'cpu';
    this.tiles = shape.count;
    this.single = shape.format === 'f32' ? 1 : 0;
    this.spec = specOf(m, this.cpu ? 256 : 64, { packRounds: this.cpu });
    const path = choosePath(device, ctx.params.string('path'), (text) => ctx.warn(text));
    // Built for the whole picture, so that a window's results are its, bit by bit.
    const inAll = this.tiles * levels.slice(0, m.levels).reduce((sum, { full }) => sum + full.width * full.height, 0);
    this.layers = inferenceLaunch(path, device, this.spec, m.width, m.layers, inAll, ctx.frames, { besides: 11 * 1024, holds: m.combine !== 'prediff' });
    const pixels = pixelsPerGroup(path, this.layers);
    const width = pixels < 128 ? Math.min(8, pixels) : 16;
    this.tileSize = [width, pixels / width];
    this.window = { buffer: ports.window, access: 'r', kind: 'uniform' };
    this.mips = levels.map((_, i) => (i === 0 ? ports.input.buffer : this.picture(`M ${i}`, i)));
    const count = weightCount(m);
    this.weights = path.name === 'plain' ? ctx.buffer('rounded', 4 * count) : ports.weights;
    if (path.name === 'plain') nodeAdder(ctx, this.spec)('expand', 'expand', undefined, count / 2, [r(ports.weights), w(this.weights)], push(count / 2));
  }

  /** A picture of a level's size, rgba f16, of each of `parts`. */
  private picture(name: string, level: number, parts = 1): PlanBuffer {
    const { width, height } = this.levels[level]!;
    return this.ctx.buffer(name, parts * this.tiles * width * height * 8);
  }

  add(): void {
    const { m, levels, mips } = this;
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
    return level === 0 ? this.single : 0;
  }

  private denoise(i: number, below: PlanBuffer | undefined, result: PlanBuffer, filtered: boolean): void {
    const { width, height } = this.levels[i]!;
    const [tileWidth, tileHeight] = this.tileSize;
    const image = this.mips[i]!;
    const smaller = this.m.combine === 'prediff' ? this.mips[i + 1]! : image; // bound, but not looked at
    const [columns, rows] = [Math.ceil(width / tileWidth), Math.ceil(height / tileHeight)];
    const runs = runsOf(this.layers, columns * rows * this.tiles, MOST_RUNS);
    this.ctx.node({
      label: `denoise ${i}`, kernel: 'kpn/denoise', ...this.layers, spec: { ...this.layers.spec, 28: tileWidth, 29: tileHeight },
      groups: [Math.ceil(columns / runs), rows, this.tiles],
      uses: [this.window, r(image), r(smaller), r(below ?? image), r(this.weights), w(result)],
      push: push(i, this.singleAt(i), below && !filtered ? 1 : 0, filtered ? 1 : 0, this.m.context === 'guide' && i < this.m.levels - 1 ? 1 : 0, runs),
    });
  }

  /** A level under postdiff: I, down(I), then both with the coarser O. */
  private postdiff(i: number, below: PlanBuffer, result: PlanBuffer): void {
    const parts = partsOf(this.m);
    const filtered = this.picture(`I ${i}`, i, parts);
    const down = this.picture(`down ${i}`, i + 1, parts);
    this.denoise(i, below, filtered, true);
    this.shrink(`down ${i}`, i, 0, filtered, down, parts);
    this.rows(`merge ${i}`, 'merge', i, [r(this.mips[i]!), r(filtered), r(down), r(below), w(result)], push(i, this.singleAt(i)));
  }

  private shrink(label: string, i: number, single: number, fine: PlanBuffer, coarse: PlanBuffer, parts = 1): void {
    this.rows(label, 'shrink', i + 1, [r(fine), w(coarse)], push(i, single), parts * this.tiles);
  }

  /** A kernel that runs an invocation a pixel of a level. */
  private rows(label: string, kernel: string, level: number, uses: NodeDesc['uses'], pushed: Uint8Array, pictures = this.tiles): void {
    const { width, height } = this.levels[level]!;
    const local = this.spec[0] as number;
    this.ctx.node({ label, kernel: `kpn/${kernel}`, spec: this.spec, groups: [Math.ceil(width / local), height, pictures], uses: [this.window, ...uses], push: pushed });
  }
}
