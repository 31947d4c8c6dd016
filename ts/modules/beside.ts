// beside: two pictures in one, for comparing before and after. The device puts one behind the other, so that they can be divided into tiles as
// everything else; outputs put them side by side, each developed by itself.

import { InputError } from '../errors.js';
import type { BuildContext, DevelopedPicture, ModuleInstance, ModuleType, PlanBuffer, PortShape, ShapeContext } from '../graph/types.js';
import { checkF16Range } from './f16-range.js';
import { PIXELWISE } from './pixelwise.js';

const local = 64;

/** One upright picture of the pixels of a port. */
async function upright(data: Uint16Array, shape: PortShape): Promise<DevelopedPicture> {
  return shape.develop ? shape.develop(data, shape) : { width: shape.width, height: shape.height * shape.count, rgba: data };
}

/** Both in one picture, left and right; they have one size. */
function sideBySide(left: DevelopedPicture, right: DevelopedPicture): DevelopedPicture {
  const { width, height } = left;
  const rgba = new Uint16Array(8 * width * height);
  for (let y = 0; y < height; y++) {
    rgba.set(left.rgba.subarray(4 * width * y, 4 * width * (y + 1)), 8 * width * y);
    rgba.set(right.rgba.subarray(4 * width * y, 4 * width * (y + 1)), 8 * width * y + 4 * width);
  }
  return { width: 2 * width, height, rgba };
}

class Beside implements ModuleInstance {
  shapes(ctx: ShapeContext): Record<string, PortShape> {
    const [first, second] = [ctx.input('first')!, ctx.input('second')!];
    const size = (s: PortShape): string => `${s.width}x${s.height}${s.count > 1 ? `, ${s.count} tiles` : ''}`;
    if (size(first) !== size(second)) throw new InputError('BESIDE_SIZE', `beside:${ctx.info.inst}: the first picture has ${size(first)} pixels, the second ${size(second)}`, { place: ctx.info.place });
    for (const picture of [first, second]) checkF16Range(`beside:${ctx.info.inst}`, picture, 1, ctx.info.place);
    const develop = async (data: Uint16Array, { width, height }: PortShape): Promise<DevelopedPicture> => {
      const half = data.length / 2;
      const left = await upright(data.subarray(0, half), { ...first, width, height });
      return sideBySide(left, await upright(data.subarray(half), { ...second, width, height }));
    };
    return { output: { ...first, format: 'f16', count: 2 * first.count, develop } };
  }

  build(ctx: BuildContext): void {
    const [first, second] = [ctx.port('first')!, ctx.port('second')!];
    const { width, height, count } = first.shape;
    const read = (buffer: PlanBuffer) => ({ buffer, access: 'r' as const });
    ctx.node({
      label: 'place', kernel: 'beside/place', groups: [Math.ceil(width / local), height, count],
      spec: { 0: local, 1: first.shape.format === 'f32', 2: second.shape.format === 'f32' },
      push: new Uint8Array(Uint32Array.of(width, height).buffer),
      uses: [read(first.buffer), read(second.buffer), { buffer: ctx.output('output'), access: 'w' }],
    });
  }

  windows(): { halo: number; align: number } {
    return PIXELWISE;
  }
}

export const beside: ModuleType = {
  name: 'beside',
  doc: 'two pictures of one size, which outputs put side by side',
  connectors: [
    { name: 'first', type: 'read', channels: 'rgba', format: '*' },
    { name: 'second', type: 'read', channels: 'rgba', format: '*' },
    { name: 'output', type: 'write', channels: 'rgba', format: 'f16' },
  ],
  params: [],
  create: () => new Beside(),
};
