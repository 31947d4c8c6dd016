// What i-pfm, i-jpg and i-png share: finding, checking and reading files, and handing frames to the device (SPEC section 4).

import { basename } from 'node:path';
import { InputError } from '../errors.js';
import { withInput, type Asked, type InputFile } from '../files.js';
import type { PictureSize } from '../formats/picture.js';
import { fitTo } from '../formats/pixels.js';
import type { BuildContext, FrameContext, InstanceInfo, ModuleInstance, ModuleType, ParamSpec, PlanBuffer, PortShape, ShapeContext } from '../graph/types.js';
import { peekOver, takeOver } from '../pictures/handover.js';
import { PIXELWISE } from './pixelwise.js';
import { sequenceFiles } from './sequence.js';

/** A decoded picture in the format that goes to the device: 4 values a pixel. */
export interface Frame extends PictureSize {
  data: Float32Array | Uint16Array;
  range?: { min: number; max: number };
  exif?: Uint8Array;
  icc?: Uint8Array;
}

/** One file format. Both throw InputError naming the file. */
export interface PictureReader {
  format: 'f16' | 'f32';
  header(file: InputFile): Promise<PictureSize>;
  /** `onDecoding`: called when the size is known and decoding goes on in other threads, where it does. */
  decode(bytes: Uint8Array, path: string, warn: (message: string) => void, onDecoding?: (size: PictureSize) => void): Promise<Frame>;
}

/** Reads and decodes a whole file. */
export async function loadFrame(reader: PictureReader, path: string, asked: Asked, warn: (message: string) => void, onDecoding?: (size: PictureSize) => void): Promise<Frame> {
  const bytes = await withInput(path, asked, (file) => file.read(0, file.bytes));
  return reader.decode(bytes, path, warn, onDecoding);
}

/** Decoded sequences up to this size stay in memory; of longer ones only the next frame. */
const keepBytes = 512 * 2 ** 20;

const sourceParams = (filename: string): ParamSpec[] => [
  { name: 'filename', type: 'string', default: filename, doc: "picture, relative to the graph file's folder; %04d is the frame number plus startid; a sequence with fewer files than frames starts over" },
  { name: 'startid', type: 'int', default: 0, min: 0, doc: "number of a sequence's first file" },
  { name: 'noise a', type: 'float', default: 0, min: 0, doc: 'noise profile: variance of the read noise, in 16-bit units squared' },
  { name: 'noise b', type: 'float', default: 0, min: 0, doc: 'noise profile: shot noise, variance per 16-bit unit of signal' },
  { name: 'hold', type: 'int', default: 1, min: 1, doc: 'frames that each file of a sequence is shown for' },
  { name: 'fit', type: 'enum', default: 'equal', values: ['equal', 'crop', 'mirror'], doc: 'sequence of differing sizes: refuse it, cut all to the common size, or mirror all to the largest' },
];

/** A module type that reads pictures. */
export function pictureSource(name: string, doc: string, filename: string, reader: PictureReader): ModuleType {
  return {
    name,
    doc,
    connectors: [{ name: 'output', type: 'source', channels: 'rgba', format: reader.format }],
    params: sourceParams(filename),
    create: (info: InstanceInfo): ModuleInstance => new PictureSource(info, reader),
  };
}

class PictureSource implements ModuleInstance {
  private files: string[] = [];
  private size: PictureSize = { width: 0, height: 0 };
  private hold = 1;
  private fit = 'equal';
  private ctx!: ShapeContext;
  private buffer!: PlanBuffer;
  /** Decoded or being decoded, by index of the file. */
  private readonly decoded = new Map<number, Promise<Frame>>();
  /** File whose picture is on the device. */
  private shown = -1;

  constructor(
    private readonly info: InstanceInfo,
    private readonly reader: PictureReader,
  ) {}

  async shapes(ctx: ShapeContext): Promise<Record<string, PortShape>> {
    this.ctx = ctx;
    this.hold = ctx.params.int('hold');
    this.fit = ctx.params.string('fit');
    this.files = await sequenceFiles(ctx, this.hold);
    this.size = this.commonSize(await this.sizes());
    const first = await this.frame(0);
    const sequence = this.files.length > 1;
    const noise = ctx.params.isSet('noise a') || ctx.params.isSet('noise b') ? { a: ctx.params.float('noise a'), b: ctx.params.float('noise b') } : undefined;
    return {
      output: {
        channels: 'rgba',
        format: this.reader.format,
        ...this.size,
        count: 1,
        noise,
        perFrame: sequence,
        period: sequence ? this.files.length * this.hold : undefined,
        range: first.range,
        exif: sequence ? undefined : first.exif,
        icc: sequence ? undefined : first.icc,
      },
    };
  }

  inputs(): readonly string[] {
    return this.files;
  }

  build(ctx: BuildContext): void {
    // Persistent: a picture is uploaded when it changes, not each frame.
    this.buffer = ctx.output('output', { persistent: true });
  }

  windows(): { halo: number; align: number } {
    return PIXELWISE;
  }

  async beforeFrame(ctx: FrameContext, frame: number): Promise<void> {
    const index = this.indexAt(frame);
    if (index === this.shown) return;
    ctx.write(this.buffer, (await this.frame(index)).data);
    this.shown = index;
    const keepAll = this.files.length * this.size.width * this.size.height * (this.reader.format === 'f16' ? 8 : 16) <= keepBytes;
    if (this.files.length === 1 || !keepAll) this.decoded.delete(index);
    // The next file is read and decoded while the device works on this one. A failure is thrown when its frame comes.
    if (this.files.length > 1) void this.frame((index + 1) % this.files.length).catch(() => undefined);
  }

  changesAt(frame: number): boolean {
    return this.indexAt(frame) !== this.indexAt(frame - 1);
  }

  private indexAt(frame: number): number {
    return Math.floor(frame / this.hold) % this.files.length;
  }

  private asked(): { place: ReturnType<ShapeContext['params']['place']> } {
    return { place: this.ctx.params.place('filename') };
  }

  /** Sizes of all files, from their headers. */
  private async sizes(): Promise<PictureSize[]> {
    const sizes: PictureSize[] = [];
    for (const path of this.files) {
      const { width, height } = peekOver(path)?.frame ?? (await withInput(path, this.asked(), (file) => this.reader.header(file)));
      sizes.push({ width, height });
    }
    return sizes;
  }

  private commonSize(sizes: PictureSize[]): PictureSize {
    const pick = this.fit === 'mirror' ? Math.max : Math.min;
    const size = sizes.reduce((a, b) => ({ width: pick(a.width, b.width), height: pick(a.height, b.height) }));
    if (this.fit !== 'equal') return size;
    const odd = sizes.findIndex((s) => s.width !== sizes[0]!.width || s.height !== sizes[0]!.height);
    if (odd >= 0) throw this.sizeError(odd, sizes[odd]!, sizes[0]!);
    return size;
  }

  private sizeError(index: number, is: PictureSize, should: PictureSize): InputError {
    const { module, inst } = this.info;
    return new InputError('SEQUENCE_SIZE', `${basename(this.files[index]!)} has ${is.width}x${is.height} pixels, ${basename(this.files[0]!)} has ${should.width}x${should.height}`, {
      ...this.asked(),
      hint: `Set param:${module}:${inst}:fit:crop (all cut to the common size) or fit:mirror (all mirrored to the largest).`,
    });
  }

  /** A file's picture, fitted; decoded once while it is kept. */
  private frame(index: number): Promise<Frame> {
    let frame = this.decoded.get(index);
    if (!frame) {
      frame = this.load(index);
      this.decoded.set(index, frame);
    }
    return frame;
  }

  private async load(index: number): Promise<Frame> {
    const path = this.files[index]!;
    const frame = takeOver(path, 'frame') ?? (await loadFrame(this.reader, path, this.asked(), (m) => this.ctx.warn(m)));
    const { width, height } = this.size;
    // A file may have changed since its header was read.
    if (this.fit === 'equal' && (frame.width !== width || frame.height !== height)) throw this.sizeError(index, frame, this.size);
    return { ...frame, width, height, data: fitTo(frame.data, frame.width, frame.height, width, height) };
  }
}
