// beside: two pictures in one, for comparing before and after.

import { InputError } from '../errors.js';
import type { BuildContext, ModuleInstance, ModuleType, PlanBuffer, PortShape, ShapeContext } from '../graph/types.js';
import { checkF16Range } from './f16-range.js';

const local = 64;

class Beside implements ModuleInstance {
  private below = false;

  shapes(ctx: ShapeContext): Record<string, PortShape> {
    const [first, second] = [ctx.input('first')!, ctx.input('second')!];
    const size = (s: PortShape): string => `${s.width}x${s.height}${s.count > 1 ? `, ${s.count} tiles` : ''}`;
    if (size(first) !== size(second)) throw new InputError('BESIDE_SIZE', `beside:${ctx.info.inst}: the first picture has ${size(first)} pixels, the second ${size(second)}`, { place: ctx.info.place });
    for (const picture of [first, second]) checkF16Range(`beside:${ctx.info.inst}`, picture, 1, ctx.info.place);
    this.below = ctx.params.string('axis') === 'y';
    const { width, height } = first;
    return { output: { ...first, format: 'f16', width: this.below ? width : 2 * width, height: this.below ? 2 * height : height } };
  }

  build(ctx: BuildContext): void {
    const [first, second] = [ctx.port('first')!, ctx.port('second')!];
    const { width, height, count } = first.shape;
    const rows = ctx.device.limits.maxComputeWorkGroupCount[1];
    if (height > rows) throw new InputError('PICTURE_TOO_LARGE', `beside:${ctx.info.inst}: the pictures have ${height} rows; ${ctx.device.name} takes ${rows} at most`, { place: ctx.info.place });
    const read = (buffer: PlanBuffer) => ({ buffer, access: 'r' as const });
    ctx.node({
      label: 'place', kernel: 'beside/place', groups: [Math.ceil(width / local), height, count],
      spec: { 0: local, 1: first.shape.format === 'f32', 2: second.shape.format === 'f32' },
      push: new Uint8Array(Uint32Array.of(width, height, this.below ? 1 : 0).buffer),
      uses: [read(first.buffer), read(second.buffer), { buffer: ctx.output('output'), access: 'w' }],
    });
  }
}

export const beside: ModuleType = {
  name: 'beside',
  doc: 'two pictures of one size side by side, or one below the other',
  connectors: [
    { name: 'first', type: 'read', channels: 'rgba', format: '*' },
    { name: 'second', type: 'read', channels: 'rgba', format: '*' },
    { name: 'output', type: 'write', channels: 'rgba', format: 'f16' },
  ],
  params: [{ name: 'axis', type: 'enum', default: 'x', values: ['x', 'y'], doc: 'x: side by side; y: the second below' }],
  create: () => new Beside(),
};
