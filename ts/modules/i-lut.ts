// i-lut: reads weights, a table or a small picture from a .lut file (SPEC sections 4 and 6).

import { resolve } from 'node:path';
import { InputError } from '../errors.js';
import { withInput } from '../files.js';
import { decodeLut, lutHeaderBytes, parseLutHeader, type Lut } from '../formats/lut.js';
import type { BuildContext, ModuleInstance, ModuleType, PortShape, ShapeContext } from '../graph/types.js';

/** A picture of 1 to 4 channels as rgba: grey and grey with alpha thrice, alpha 1 where there is none. */
function toRgba(lut: Lut): Uint8Array {
  if (lut.channels === 4) return lut.data;
  const { format, channels, data } = lut;
  const size = format === 'f32' ? 4 : format === 'f16' ? 2 : 1;
  const one = new Uint8Array(format === 'f32' ? new Float32Array([1]).buffer : format === 'f16' ? new Uint16Array([0x3c00]).buffer : [255]);
  const out = new Uint8Array((data.length / channels) * 4);
  const from = [[0, 0, 0, -1], [0, 0, 0, 1], [0, 1, 2, -1]][channels - 1]!;
  for (let i = 0, o = 0; o < out.length; i += channels * size)
    for (const c of from) {
      out.set(c < 0 ? one : data.subarray(i + c * size, i + (c + 1) * size), o);
      o += size;
    }
  return out;
}

class LutSource implements ModuleInstance {
  private data: Uint8Array = new Uint8Array();

  async shapes(ctx: ShapeContext): Promise<Record<string, PortShape>> {
    const asked = { place: ctx.params.place('filename') };
    const name = ctx.params.string('filename');
    if (name === '') throw new InputError('FILE_NAME', `${ctx.info.module}:${ctx.info.inst} has an empty filename`, asked);
    const path = resolve(ctx.graphDir, name);
    const lut = await withInput(path, asked, async (file) => {
      parseLutHeader(await file.read(0, lutHeaderBytes), file.bytes, path);
      return decodeLut(await file.read(0, file.bytes), path);
    });
    const { width, height, format, text } = lut;
    const array = lut.ssbo && lut.channels === 1;
    this.data = array ? lut.data : toRgba(lut);
    return { output: { channels: array ? 'ssbo' : 'rgba', format, width, height, count: 1, text } };
  }

  build(ctx: BuildContext): void {
    ctx.output('output', { persistent: true, init: this.data });
  }
}

export const iLut: ModuleType = {
  name: 'i-lut',
  doc: 'reads a .lut file: weights, a table or a small picture',
  connectors: [{ name: 'output', type: 'source', channels: '*', format: '*' }],
  params: [{ name: 'filename', type: 'string', default: 'test.lut', doc: ".lut file, relative to the graph file's folder" }],
  create: () => new LutSource(),
};
