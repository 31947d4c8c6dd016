// The outputs graph, vis and debug of kpn-t: what they hold, and filling them right before a sink is read. Nothing is drawn,
// and nothing kept on the device, for those that aren't connected.

import { toFloat } from '../../formats/pixels.js';
import { toHalf } from '../../formats/half.js';
import type { BuildContext, DrawnPicture, FrameContext, PlanBuffer, PortShape } from '../../graph/types.js';
import { outputsOf, type ModelSpec } from '../../model/spec.js';
import { DEBUG_SIZE, drawDebug, drawGraph, drawVis, GRAPH_SIZE, kernelsOf, visSize, visValues } from './pictures.js';
import { readState } from './state.js';

/** Shapes of the three outputs. vis holds values, f32: in f16 small derivatives would vanish and large ones overflow. */
export function pictureShapes(m: ModelSpec, deriv: boolean): Record<'graph' | 'vis' | 'debug', PortShape> {
  const picture = { channels: 'rgba', format: 'f16', count: 1 } as const;
  return {
    graph: { ...picture, ...GRAPH_SIZE },
    vis: { ...picture, format: 'f32', ...visSize(m), draw: (values) => drawVis(m, deriv ? 'differences' : 'dE/dw', values) },
    debug: { ...picture, ...DEBUG_SIZE },
  };
}

/** What the pictures are made of, on the device. */
export interface Sources {
  state: PlanBuffer;
  history: PlanBuffer;
  /** The weights that the frame's gradient belongs to: before the update. */
  rounded: PlanBuffer;
  /** dE/dw, or the differences. */
  derivatives: PlanBuffer;
  /** (pixel, outputs), (pixel, rgba), (pixel, rgba): persistent where `debug` is connected. */
  K: PlanBuffer;
  mip: PlanBuffer;
  combined: PlanBuffer;
  /** Format of K and mip. */
  format: 'f16' | 'f32';
  /** Of the finest level of the tile. */
  width: number;
  height: number;
}

export class Pictures {
  private readonly targets: Partial<Record<'graph' | 'vis' | 'debug', PlanBuffer>> = {};
  private readonly weights: PlanBuffer | undefined;

  /** Call before the node that updates the weights. */
  constructor(
    ctx: BuildContext,
    private readonly model: ModelSpec,
    private readonly from: Sources,
  ) {
    for (const name of ['graph', 'vis', 'debug'] as const) if (ctx.isConnected(name)) this.targets[name] = ctx.output(name, { persistent: true, init: 'zero' });
    if (!this.targets.vis) return;
    this.weights = ctx.buffer('weights shown', from.rounded.bytes, { persistent: true, init: 'zero' });
    ctx.copy(from.rounded, this.weights, from.rounded.bytes);
  }

  /** Draws what is connected. The device is idle. */
  async present(ctx: FrameContext): Promise<void> {
    const { graph, vis, debug } = this.targets;
    if (graph) ctx.write(graph, halves(await this.graph(ctx)));
    if (vis) ctx.write(vis, visValues(this.model, await floats(ctx, this.weights!), await floats(ctx, this.from.derivatives)));
    if (debug) ctx.write(debug, halves(await this.debug(ctx)));
  }

  private async graph(ctx: FrameContext): Promise<DrawnPicture> {
    const { frame } = readState(await ctx.read(this.from.state));
    const kept = Math.min(4 * frame, this.from.history.bytes);
    return drawGraph(toFloat('f32', await ctx.read(this.from.history, 0, kept)), frame, this.model);
  }

  private async debug(ctx: FrameContext): Promise<DrawnPicture> {
    const { width, height, format } = this.from;
    const outputs = outputsOf(this.model);
    const first = async (buffer: PlanBuffer, f: 'f16' | 'f32', channels: number): Promise<Float32Array> =>
      toFloat(f, await ctx.read(buffer, 0, width * height * channels * (f === 'f16' ? 2 : 4)));
    const kernels = kernelsOf(this.model, await first(this.from.K, format, outputs), outputs);
    return drawDebug({ width, height, ...kernels, input: await first(this.from.mip, format, 4), output: await first(this.from.combined, 'f32', 4) }, this.model);
  }
}

const halves = (picture: DrawnPicture): Uint16Array => toHalf(picture.rgba).data;
const floats = async (ctx: FrameContext, buffer: PlanBuffer): Promise<Float32Array> => toFloat('f32', await ctx.read(buffer));
