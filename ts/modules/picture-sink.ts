// What the sinks share: names, checks before the work, and pictures as f32 (SPEC sections 4 and 5).

import { InputError } from '../errors.js';
import { checkWritable, writeAtomic } from '../files.js';
import { curveNames, primaryNames, type Curve, type Primaries } from '../formats/colour.js';
import { fromHalf } from '../formats/half.js';
import { limitSize, shrink, toFloat } from '../formats/pixels.js';
import type { DevelopedPicture, DrawnPicture, ModuleInstance, ParamReader, ParamSpec, PortShape, ShapeContext } from '../graph/types.js';
import { PIXELWISE } from './pixelwise.js';
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

/** Linear rec2020, and what goes with it. */
export interface SinkPicture {
  width: number;
  height: number;
  /** f32, or f16 as its bits. */
  rgba: Float32Array | Uint16Array;
  primaries: Primaries;
  curve: Curve;
  exif?: Uint8Array;
  icc?: Uint8Array;
  warn(message: string): void;
}

/** A file's bytes, and how many of its pixels were NaN or infinite. */
export interface EncodedPicture {
  bytes: Uint8Array;
  broken: number;
}

/** Turns a picture into the bytes of a file. */
export type PictureEncoder = (picture: SinkPicture, params: ParamReader) => Promise<EncodedPicture> | EncodedPicture;

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

  windows(): { halo: number; align: number } {
    return PIXELWISE;
  }

  async write({ shape, data }: { shape: PortShape; data: Uint8Array }, frame: number): Promise<string> {
    const { params } = this.ctx;
    const name = outputName(params.string('filename'), this.extension, frame);
    const { rgba, ...size } = this.shrunk(await this.picture(shape, data));
    const { exif, icc } = shape;
    const picture = { ...size, rgba, primaries: params.string('prim') as Primaries, curve: params.string('trc') as Curve, exif, icc, warn: (message: string) => this.ctx.warn(message) };
    const { bytes, broken } = await this.encode(picture, params);
    if (broken > 0) this.ctx.warn(`${broken} of ${size.width * size.height} pixels written to ${name} are NaN or infinite`);
    await writeAtomic(name, bytes);
    return name;
  }

  private async picture(shape: PortShape, data: Uint8Array): Promise<DrawnPicture | DevelopedPicture> {
    if (shape.develop) return shape.develop(halves(data), shape);
    if (this.draws && shape.draw) return shape.draw(toFloat(shape.format, data));
    const size = { width: shape.width, height: shape.height * shape.count };
    return shape.format === 'f16' ? { ...size, rgba: halves(data) } : { ...size, rgba: toFloat(shape.format, data) };
  }

  /** Within the greatest size asked for. */
  private shrunk(picture: DrawnPicture | DevelopedPicture): { width: number; height: number; rgba: Float32Array | Uint16Array } {
    const { params } = this.ctx;
    const { width, height } = limitSize(picture.width, picture.height, params.int('width'), params.int('height'));
    if (width === picture.width && height === picture.height) return picture;
    return { width, height, rgba: shrink(asFloat(picture.rgba), picture.width, picture.height, width, height) };
  }
}

/** f16 pixels as f32; f32 stays. By the size of an element: arrays may come from another thread. */
export const asFloat = (rgba: Float32Array | Uint16Array): Float32Array => (rgba.BYTES_PER_ELEMENT === 4 ? (rgba as Float32Array) : fromHalf(rgba as Uint16Array));

function halves(data: Uint8Array): Uint16Array {
  const b = data.byteOffset % 2 === 0 ? data : new Uint8Array(data);
  return new Uint16Array(b.buffer, b.byteOffset, b.length / 2);
}
