// o-lut: writes whatever arrives as a .lut file, weights above all (SPEC sections 4 and 6).

import { InputError, OutputError } from '../errors.js';
import { writeAtomic } from '../files.js';
import { countNonFinite, encodeLut } from '../formats/lut.js';
import type { ModuleInstance, ModuleType, PortShape, ShapeContext } from '../graph/types.js';
import { PIXELWISE } from './pixelwise.js';
import { checkOutput, filenameParam, outputName } from './picture-sink.js';

const extension = '.lut';

class LutSink implements ModuleInstance {
  private name = '';

  async shapes(ctx: ShapeContext): Promise<Record<string, PortShape>> {
    if (ctx.input('input')?.format === 'ui16') throw new InputError('LUT_DATATYPE', 'o-lut can write f16, f32 and ui8, not ui16', { place: ctx.info.place });
    await checkOutput(ctx, extension);
    this.name = ctx.params.string('filename');
    return {};
  }

  build(): void {
    // Nothing on the device: the frame loop reads the input's buffer and calls `write`.
  }

  windows(): { halo: number; align: number } {
    return PIXELWISE;
  }

  /** Weights that are not finite are refused: the last good file stays. */
  async write({ shape, data }: { shape: PortShape; data: Uint8Array }, frame: number): Promise<string> {
    const { format, width } = shape;
    if (format === 'ui16') throw new OutputError('LUT_DATATYPE', 'o-lut can write f16, f32 and ui8, not ui16');
    const name = outputName(this.name, extension, frame);
    const ssbo = shape.channels === 'ssbo';
    const broken = countNonFinite(shape, data).count;
    if (broken > 0) throw new OutputError('LUT_NAN', `${name} is not written: ${broken} of its values are NaN or infinite`, { hint: 'A file of this name from before is left as it is.' });
    const bytes = encodeLut({ width, height: shape.height * shape.count, channels: ssbo ? 1 : 4, format, ssbo, data, text: shape.text ?? '' });
    await writeAtomic(name, bytes);
    return name;
  }
}

export const oLut: ModuleType = {
  name: 'o-lut',
  doc: 'writes weights, a table or a picture as a .lut file',
  connectors: [{ name: 'input', type: 'sink', channels: '*', format: '*' }],
  params: [filenameParam],
  create: () => new LutSink(),
};
