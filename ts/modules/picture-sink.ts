// What the sinks share: names, checks before the work, and pictures as f32 (SPEC sections 4 and 5).

import { InputError } from '../errors.js';
import { checkWritable, writeAtomic } from '../files.js';
import { curveNames, primaryNames, type Curve, type Primaries } from '../formats/colour.js';
import { limitSize, shrink, toFloat } from '../formats/pixels.js';
import type { ModuleInstance, ParamReader, ParamSpec, PortShape, ShapeContext } from '../graph/types.js';
import { numbered } from './sequence.js';

export const filenameParam: ParamSpec = { name: 'filename', type: 'string', default: 'output', doc: 'output file, relative to the working directory; the extension is appended; %04d is the frame number' };

/** Parameters of picture outputs: colour and size. */
export const pictureParams = (primaries: Primaries, curve: Curve): ParamSpec[] => [
  filenameParam,
  { name: 'prim', type: 'enum', default: primaries, values: primaryNames, doc: 'primaries of the file' },
  { name: 'trc', type: 'enum', default: curve, values: curveNames, doc: 'transfer curve of the file' },
  { name: 'width', type: 'int', default: 0, min: 0, doc: 'greatest width, 0: no limit; larger pictures are shrunk' },
  { name: 'height', type: 'int', default: 0, min: 0, doc: 'greatest height, 0: no limit; larger pictures are shrunk' },
];

/** A sink's file name for a frame: the number filled in, the extension appended where it isn't there. */
export function outputName(name: string, extension: string, frame: number): string {
  const file = numbered(name, frame);
  return file.toLowerCase().endsWith(extension) ? file : file + extension;
}

/** A sink's one check before any work: a file name in a folder that can be written. */
export async function checkOutput(ctx: ShapeContext, extension: string): Promise<void> {
  const name = ctx.params.string('filename');
  const place = ctx.params.place('filename');
  if (name === '' || /[/\\]$/.test(name)) throw new InputError('FILE_NAME', `${ctx.info.module}:${ctx.info.inst} has ${name === '' ? 'an empty filename' : `the folder ${name} for a filename`}`, { place });
  await checkWritable(outputName(name, extension, 0), { place });
}

/** Linear rec2020 f32, and what goes with it. */
export interface SinkPicture {
  width: number;
  height: number;
  rgba: Float32Array;
  primaries: Primaries;
  curve: Curve;
  exif?: Uint8Array;
}

/** Turns a picture into the bytes of a file. */
export type PictureEncoder = (picture: SinkPicture, params: ParamReader) => Promise<Uint8Array> | Uint8Array;

function countNonFinite(rgba: Float32Array): number {
  let n = 0;
  for (let i = 0; i < rgba.length; i += 4) if (!Number.isFinite(rgba[i]! + rgba[i + 1]! + rgba[i + 2]!)) n++;
  return n;
}

/** A sink that writes pictures: tiles of a batch one below the other. */
export class PictureSink implements ModuleInstance {
  private ctx!: ShapeContext;

  constructor(
    private readonly extension: string,
    private readonly encode: PictureEncoder,
    private readonly check: (ctx: ShapeContext) => void = () => undefined,
    /** Whether values that aren't a picture are drawn as one (`PortShape.draw`), or written as they are. */
    private readonly draws = true,
  ) {}

  async shapes(ctx: ShapeContext): Promise<Record<string, PortShape>> {
    this.ctx = ctx;
    this.check(ctx);
    await checkOutput(ctx, this.extension);
    return {};
  }

  build(): void {
    // Nothing on the device: the frame loop reads the input's buffer and calls `write`.
  }

  async write({ shape, data }: { shape: PortShape; data: Uint8Array }, frame: number): Promise<string> {
    const { params } = this.ctx;
    const values = toFloat(shape.format, data);
    const drawn = this.draws && shape.draw !== undefined ? await shape.draw(values) : { width: shape.width, height: shape.height * shape.count, rgba: values };
    const all = drawn.rgba;
    const { width, height } = limitSize(drawn.width, drawn.height, params.int('width'), params.int('height'));
    const broken = countNonFinite(all);
    const name = outputName(params.string('filename'), this.extension, frame);
    if (broken > 0) this.ctx.warn(`${broken} of ${drawn.width * drawn.height} pixels written to ${name} are NaN or infinite`);
    const picture = { width, height, rgba: shrink(all, drawn.width, drawn.height, width, height), primaries: params.string('prim') as Primaries, curve: params.string('trc') as Curve, exif: shape.exif };
    await writeAtomic(name, await this.encode(picture, params));
    return name;
  }
}
