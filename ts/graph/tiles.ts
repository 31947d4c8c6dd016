// Pictures that are too large for the device, tile by tile: whether a graph can, how large the tiles are, and running them. What a tile needs
// from around it (the halo) is worked out again for each, so the result is the untiled one, bit by bit (docs/architecture.md).

import { InputError } from '../errors.js';
import type { Device, DeviceInfo, RunResult } from '../gpu/types.js';
import { megabytes, roundUp, type DevicePlan, type FramePlan } from './device-plan.js';
import { makePlan, type Plan, type PlanOptions } from './plan.js';
import type { RunNode } from './shapes.js';
import type { PlanBuffer, Port, Rect } from './types.js';

export interface TileOptions {
  /** Greatest width and height of a tile, its surroundings not counted. Without: tiles only where the picture doesn't fit, as large as do. */
  tile?: number;
  /** Device memory that may be used, bytes. Default: most of what the device has to give. */
  memory?: number;
}

/** How a picture is divided. Windows, one at a time on the device, are tiles with what is around them. */
export interface Tiling {
  picture: { width: number; height: number };
  /** The size of every window; at the picture's far edges it may reach past them. */
  window: { width: number; height: number };
  /** Pixels of a window around its tile, where the picture doesn't end before. */
  halo: number;
  tiles: { window: Rect; tile: Rect }[];
}

/** What all modules together need to work on windows of pictures. */
interface Windowed {
  picture: { width: number; height: number };
  halo: number;
  align: number;
}

/** Of the memory that the device has to give; the rest is the driver's. */
const SHARE = 0.9;

/** The plan, and where the picture must be divided, for a window of it. Throws InputError PICTURE_TOO_LARGE. */
export function planTiled(run: readonly RunNode[], device: Device, options: TileOptions & PlanOptions): { plan: Plan; tiling?: Tiling } {
  const { info } = device;
  const memory = Math.min(options.memory ?? Infinity, SHARE * device.memory().budget);
  const windowed = windowsOf(run);
  const whole = options.tile === undefined || typeof windowed === 'string' ? makePlan(run, info, options) : undefined;
  const tooLarge = whole && misfit(whole, info, memory);
  if (typeof windowed === 'string') {
    const looksAround = run.some((r) => (r.instance.windows?.().halo ?? 0) > 0);
    if (options.tile !== undefined || (tooLarge !== undefined && looksAround)) throw cannotTile(tooLarge ?? '--tile asks for tiles', windowed, run);
    return { plan: whole! }; // what doesn't fit is found when memory is allocated
  }
  if (whole && tooLarge === undefined) return { plan: whole };
  const { align, halo, picture } = windowed;
  let reason = tooLarge;
  for (const tile of tileSizes(options.tile ?? Math.max(picture.width, picture.height), align)) {
    const window = { width: windowSize(tile, halo, align, picture.width), height: windowSize(tile, halo, align, picture.height) };
    const plan = makePlan(run, info, { ...options, window });
    reason = misfit(plan, info, memory);
    if (reason === undefined) return { plan, tiling: divide(windowed, tile, window) };
  }
  throw cannotTile(reason ?? 'the tiles asked for are too small', `even a tile of ${align} x ${align} pixels with the ${halo} around it that the network sees is too large`, run);
}

function cannotTile(tooLarge: string, why: string, run: readonly RunNode[]): InputError {
  const place = run.find((r) => r.instance.windows)?.node.place;
  return new InputError('PICTURE_TOO_LARGE', `the graph cannot run whole: ${tooLarge}; nor tile by tile: ${why}`, { place, hint: 'use a smaller picture, a device with more memory, or a graph of sources, kpn and outputs alone' });
}

/** What the windows of this graph need, or why it can't have any. */
function windowsOf(run: readonly RunNode[]): Windowed | string {
  let picture: Windowed['picture'] | undefined;
  let halo = 0;
  let align = 1;
  for (const { node, instance, shapes } of run) {
    const outputs = Object.values(shapes).filter((s) => s.channels === 'rgba');
    const takes = [...node.inputs.values()].some((c) => c.output.channels !== 'ssbo' && run.find((r) => r.node === c.source)?.shapes[c.output.name]?.channels === 'rgba');
    if (outputs.length === 0 && !takes) continue; // arrays are never divided
    const own = instance.windows?.();
    if (!own) return `${node.key} works on whole pictures only`;
    if ([...node.inputs.values()].some((c) => c.feedback)) return `${node.key} reads the frame before`;
    for (const { width, height } of outputs) {
      if (picture && (picture.width !== width || picture.height !== height)) return `its pictures have sizes of their own, ${picture.width}x${picture.height} and ${width}x${height}`;
      picture = { width, height };
    }
    halo += own.halo;
    align = Math.max(align, own.align);
  }
  if (!picture) return 'there is no picture';
  return { picture, align, halo: Math.ceil(halo / align) * align };
}

/** From the largest: at most `most`, or one of the least size. */
function tileSizes(most: number, align: number): number[] {
  const sizes: number[] = [];
  for (let size = most; size > align; size *= 0.75) sizes.push(Math.max(align, Math.floor(size / align) * align));
  return [...new Set([...sizes, align])];
}

const windowSize = (tile: number, halo: number, align: number, length: number): number => Math.min(tile + 2 * halo, roundUp(length, align));

function divide({ picture, halo }: Windowed, tile: number, window: Tiling['window']): Tiling {
  const parts = (length: number, size: number): { from: number; length: number; window: number }[] => {
    if (size >= length) return [{ from: 0, length, window: 0 }];
    return Array.from({ length: Math.ceil(length / tile) }, (_, i) => ({ from: i * tile, length: Math.min(tile, length - i * tile), window: Math.max(0, i * tile - halo) }));
  };
  const columns = parts(picture.width, window.width);
  const tiles = parts(picture.height, window.height).flatMap((row) => columns.map((column) => ({
    tile: { x: column.from, y: row.from, width: column.length, height: row.length },
    window: { x: column.window, y: row.window, ...window },
  })));
  return { picture, window, halo, tiles };
}

/** Why the plan doesn't fit the device and `memory` bytes; undefined where it does. */
function misfit(plan: Plan, { name, limits }: DeviceInfo, memory: number): string | undefined {
  const bytes = plan.slots.reduce((sum, slot) => sum + slot.bytes, 0);
  if (bytes > memory) return `it needs ${megabytes(bytes)} of memory, and may use ${megabytes(memory)} of ${name}`;
  for (const step of plan.steps) {
    if (step.kind !== 'node') continue;
    const large = step.desc.uses.find((use) => use.kind !== 'uniform' && use.buffer.bytes > limits.maxStorageBufferRange);
    if (large) return `${large.buffer.name} needs ${megabytes(large.buffer.bytes)}, and ${name} lets a kernel see at most ${megabytes(limits.maxStorageBufferRange)} at once`;
    if (step.desc.groups.some((n, i) => n > limits.maxComputeWorkGroupCount[i]!)) return `${step.desc.label} needs more workgroups than ${name} takes`;
  }
  return undefined;
}

/** Pictures of a port as they are on the host: whole, one behind the other. */
interface HostPicture {
  count: number;
  bytesPerPixel: number;
  data?: Uint8Array;
}

/** Runs a plan for windows, and looks like one for the whole picture: sources write it whole, sinks find it whole. */
export class TiledPlan implements FramePlan {
  readonly ports: Plan['ports'] = new Map();
  private readonly sources = new Map<PlanBuffer, HostPicture>();
  private readonly results = new Map<PlanBuffer, HostPicture>();
  private readonly staged = new Map<PlanBuffer, Uint8Array>();

  /** `onTile`: after each tile, how many of a frame's are done. `signal` ends a run between tiles. */
  constructor(
    private readonly nodes: readonly RunNode[],
    private readonly device: DevicePlan,
    private readonly tiling: Tiling,
    private readonly onTile: (done: number, tiles: number) => void = () => undefined,
    private readonly signal?: AbortSignal,
  ) {
    for (const run of nodes) this.addPorts(run);
  }

  private addPorts(run: RunNode): void {
    const planned = this.device.plan.ports.get(run)!;
    const whole = (ports: Map<string, Port>): Map<string, Port> => new Map([...ports].map(([name, port]) => [name, this.whole(port)]));
    this.ports.set(run, { inputs: whole(planned.inputs), outputs: whole(planned.outputs) });
    for (const { name, type } of run.node.type.connectors) {
      const planPort = (type === 'sink' ? planned.inputs : planned.outputs).get(name);
      if (planPort?.shape.channels !== 'rgba' || (type !== 'sink' && type !== 'source')) continue;
      const { width, height } = this.tiling.window;
      const { count } = planPort.shape;
      const picture = { count, bytesPerPixel: planPort.buffer.bytes / (width * height * count) };
      if (type === 'source') this.sources.set(planPort.buffer, picture);
      else this.results.set(planPort.buffer, picture);
    }
  }

  private whole({ shape, buffer }: Port): Port {
    return { buffer, shape: shape.channels === 'rgba' ? { ...shape, ...this.tiling.picture } : shape };
  }

  write(buffer: PlanBuffer, data: ArrayBufferView, offset = 0): void {
    const source = this.sources.get(buffer);
    if (!source) return this.device.write(buffer, data, offset);
    const { width, height } = this.tiling.picture;
    const bytes = width * height * source.count * source.bytesPerPixel;
    if (offset !== 0 || data.byteLength !== bytes) throw new Error(`${buffer.name} is written in parts, but pictures that are divided into tiles must be written whole`);
    source.data = new Uint8Array(data.buffer, data.byteOffset, bytes);
  }

  read(buffer: PlanBuffer, offset = 0, bytes?: number): Promise<Uint8Array> {
    const result = this.results.get(buffer);
    if (!result) return this.device.read(buffer, offset, bytes);
    const data = this.resultOf(result);
    return Promise.resolve(data.subarray(offset, bytes === undefined ? undefined : offset + bytes));
  }

  /** Runs frames tile by tile; an interrupt ends the frame under way, which then counts as not done. */
  async run(frames: number, options: { timestamps?: boolean } = {}): Promise<RunResult> {
    const total: RunResult = { done: 0, seconds: 0 };
    for (; total.done < frames; total.done++) {
      const opNs = await this.frame(options, total);
      if (opNs === 'interrupted') break;
      if (opNs.length > 0) total.opNs = opNs.map((ns, i) => ((total.opNs?.[i] ?? 0) * total.done + ns) / (total.done + 1));
    }
    return total;
  }

  /** While the device works on a tile the host puts the one before into its place and cuts out the next. */
  private async frame(options: { timestamps?: boolean }, total: RunResult): Promise<number[] | 'interrupted'> {
    const opNs: number[] = [];
    let finish = (): void => undefined;
    this.release();
    this.cutOut(0);
    for (const [k, { window, tile }] of this.tiling.tiles.entries()) {
      if (this.signal?.aborted) return 'interrupted';
      for (const [buffer, data] of this.staged) this.device.write(buffer, data);
      for (const run of this.nodes)
        run.instance.beforeWindow?.({ params: run.node.params, write: (b, data, offset) => this.device.write(b, data, offset), read: (b, offset, bytes) => this.device.read(b, offset, bytes) }, window);
      const running = this.device.run(1, options);
      finish();
      if (k + 1 < this.tiling.tiles.length) this.cutOut(k + 1);
      const result = await running;
      total.seconds += result.seconds;
      if (result.done < 1) return 'interrupted';
      result.opNs?.forEach((ns, i) => (opNs[i] = (opNs[i] ?? 0) + ns));
      finish = await this.fetch(window, tile);
      this.onTile(k + 1, this.tiling.tiles.length);
    }
    finish();
    return opNs;
  }

  /** Sinks may still be at work on the last frame's picture. */
  private release(): void {
    for (const result of this.results.values()) result.data = undefined;
  }

  /** Copies the part of the sources that a window holds. */
  private cutOut(k: number): void {
    const { tiling: { picture, tiles } } = this;
    const { x, y, width, height } = tiles[k]!.window;
    for (const [buffer, { data, count, bytesPerPixel: n }] of this.sources) {
      if (!data) throw new Error(`${buffer.name} was not written`);
      let staged = this.staged.get(buffer);
      if (!staged) this.staged.set(buffer, (staged = new Uint8Array(count * width * height * n)));
      const columns = Math.min(width, picture.width - x);
      const rows = Math.min(height, picture.height - y);
      for (let i = 0; i < count * rows; i++) {
        const [which, row] = [Math.floor(i / rows), i % rows];
        const from = ((which * picture.height + y + row) * picture.width + x) * n;
        staged.set(data.subarray(from, from + columns * n), (which * height + row) * width * n);
      }
    }
  }

  /** Reads a tile's rows from the device; the function returned puts them into their place. */
  private async fetch(window: Rect, tile: Rect): Promise<() => void> {
    const places: (() => void)[] = [];
    for (const [buffer, result] of this.results) {
      const n = result.bytesPerPixel;
      const pitch = window.width * n;
      const whole = this.resultOf(result);
      const { picture } = this.tiling;
      for (let which = 0; which < result.count; which++) {
        const rows = await this.device.read(buffer, (which * window.height + tile.y - window.y) * pitch, tile.height * pitch);
        places.push(() => {
          for (let row = 0; row < tile.height; row++) {
            const from = row * pitch + (tile.x - window.x) * n;
            whole.set(rows.subarray(from, from + tile.width * n), ((which * picture.height + tile.y + row) * picture.width + tile.x) * n);
          }
        });
      }
    }
    return () => places.forEach((place) => place());
  }

  /** In shared memory: sinks convert it on several threads. */
  private resultOf(result: HostPicture): Uint8Array {
    const { width, height } = this.tiling.picture;
    return (result.data ??= new Uint8Array(new SharedArrayBuffer(width * height * result.count * result.bytesPerPixel)));
  }
}
