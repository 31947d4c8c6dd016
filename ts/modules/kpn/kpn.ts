// kpn: denoises a picture with trained weights (SPEC 4); the weights' text says what the network is.

import { InputError } from '../../errors.js';
import type {
  BuildContext, InstanceInfo, ModuleInstance, ModuleType, PlanBuffer, PortShape, ShapeContext,
} from '../../graph/types.js';
import { parseWeightsText, weightCount, type ModelSpec } from '../../model/spec.js';
import { checkF16Range } from '../f16-range.js';
import { geometryOf, type Geometry } from './geometry.js';
import { addCombining, addPyramid, needsDown, nodeAdder, push, r, w, type Use } from './nodes.js';
import { modelFromParams, modelParams, specOf } from './options.js';
import { choosePath, panelLaunch } from './path.js';

class Kpn implements ModuleInstance {
  private model!: ModelSpec;
  private geometry!: Geometry;
  private noiseab: { a: number; b: number } = { a: 0, b: 0 };

  shapes(ctx: ShapeContext): Record<string, PortShape> {
    const weights = ctx.input('w')!;
    const said = parseWeightsText(weights.text ?? '');
    for (const problem of said.problems) ctx.warn(`kpn:${ctx.info.inst}: the weights' text says ${problem}`);
    const m = (this.model = modelFromParams(ctx.params, said.spec));
    if (weights.width * weights.height !== weightCount(m))
      throw new InputError('WEIGHTS_MISMATCH', `kpn:${ctx.info.inst}: the weights file holds ${weights.width} x ${weights.height} values, but a network of width ${m.width} with ${m.layers} layers has ${m.width} x ${(m.layers + 1) * m.width}`, {
        place: ctx.info.place, hint: 'the file may be truncated or of another kind; or set the parameters width and layers',
      });
    const input = ctx.input('input')!;
    checkF16Range(`kpn:${ctx.info.inst}`, input, 1, ctx.info.place);
    const p = ctx.params;
    const own = p.isSet('noise a') || p.isSet('noise b');
    this.noiseab = own || !input.noise ? { a: p.float('noise a'), b: p.float('noise b') } : input.noise;
    this.geometry = geometryOf(m, input.count, input.width, input.height);
    return { output: { ...input, channels: 'rgba', format: 'f16' } };
  }

  build(ctx: BuildContext): void {
    const m = this.model;
    const g = this.geometry;
    const port = (name: string): PlanBuffer => ctx.port(name)!.buffer;
    const largest = g.mipPixels * 16;
    if (largest > ctx.device.limits.maxStorageBufferRange)
      throw new InputError('PICTURE_TOO_LARGE', `kpn:${ctx.info.inst}: the picture needs a buffer of ${largest} bytes; ${ctx.device.name} allows ${ctx.device.limits.maxStorageBufferRange}`, {
        place: ctx.info.place, hint: 'cut the picture into parts',
      });
    const geo: Use = { buffer: ctx.buffer('geometry', g.bytes.byteLength, { persistent: true, init: g.bytes }), access: 'r', kind: 'uniform' };
    const { a, b } = this.noiseab;
    const profile = new Uint8Array(Float32Array.from({ length: 2 * g.tiles }, (_, i) => (i % 2 ? b : a)).buffer);
    const noise = ctx.buffer('noiseab', profile.byteLength, { persistent: true, init: profile });
    const count = weightCount(m);
    const path = choosePath(ctx.device, ctx.params.string('path'), (text) => ctx.warn(text));
    const mip = ctx.buffer('mip', g.mipPixels * 8);
    const image = m.combine === 'prediff' ? ctx.buffer('detail', g.pixels * 8) : mip;
    const filtered = ctx.buffer('I', g.pixels * 16);
    const combined = ctx.buffer('O', g.pixels * 16);
    const diff = ctx.buffer('dOdIa', g.pixels * 16);
    const coarse = needsDown(m) ? ctx.buffer('downI', g.pixels * 16) : filtered;
    const local = ctx.device.type === 'cpu' ? 256 : 64;
    const spec = specOf(m, local, { packRounds: ctx.device.type === 'cpu', inputF32: ctx.port('input')!.shape.format === 'f32' });
    const node = nodeAdder(ctx, spec);
    addPyramid(node, m, g, 'f16', geo, port('input'), mip, image);
    let weights = port('w');
    if (path.name === 'plain') {
      weights = ctx.buffer('rounded', 4 * count);
      node('expand', 'expand', undefined, count / 2, [r(port('w')), w(weights)], push(count / 2));
    }
    const launch = panelLaunch(path, ctx.device, spec, m.width, g.pixels, ctx.frames);
    ctx.node({
      label: 'fwd', kernel: 'kpn/fwd', ...launch, variant: `infer.${launch.variant}`,
      uses: [geo, r(noise), r(image), r(mip), r(weights), w(filtered)],
    });
    addCombining(node, m, g, 'f16', geo, mip, { filtered, coarse, combined, diff, output: ctx.output('output') });
  }
}

export const kpn: ModuleType = {
  name: 'kpn',
  doc: 'denoises a picture with trained weights',
  connectors: [
    { name: 'input', type: 'read', channels: 'rgba', format: '*' },
    { name: 'output', type: 'write', channels: 'rgba', format: 'f16' },
    { name: 'w', type: 'read', channels: 'ssbo', format: 'f16' },
  ],
  params: [
    { name: 'noise a', type: 'float', default: 0, min: 0, doc: 'var(x) = (a + 65535 x b) / 65535^2; where not set, the picture\'s own' },
    { name: 'noise b', type: 'float', default: 0, min: 0, doc: 'see noise a' },
    ...modelParams,
  ],
  create: (_info: InstanceInfo) => new Kpn(),
};
