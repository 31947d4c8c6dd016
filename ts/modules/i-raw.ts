// i-raw: reads a camera raw file as planes of the sensor, for denoising; sinks develop what comes of them (docs/denoise.md).

import { resolve } from 'node:path';
import { InputError } from '../errors.js';
import { withInput, type Asked } from '../files.js';
import { toHalf } from '../formats/half.js';
import type { Raw } from '../formats/raw.js';
import type { BuildContext, FrameContext, ModuleInstance, ModuleType, PlanBuffer, PortShape, ShapeContext } from '../graph/types.js';
import { develop, type DevelopSettings } from '../pictures/develop.js';
import { takeOver } from '../pictures/handover.js';
import { inWorker } from '../pictures/pool.js';
import { PIXELWISE } from './pixelwise.js';

/** Reads and decodes a file, pixels in f16: none is much above 1. Throws InputError FILE_…, RAW_BROKEN. */
export async function loadRaw(path: string, asked: Asked): Promise<Omit<Raw, 'rgba'> & { data: Uint16Array }> {
  const bytes = await withInput(path, asked, (file) => file.read(0, file.bytes));
  const { rgba, ...raw } = await inWorker('decodeRaw', [bytes, path]);
  return { ...raw, data: toHalf(rgba).data };
}

class RawSource implements ModuleInstance {
  private data: Uint16Array = new Uint16Array();
  private buffer!: PlanBuffer;

  async shapes(ctx: ShapeContext): Promise<Record<string, PortShape>> {
    const { params } = ctx;
    const asked = { place: params.place('filename') };
    const name = params.string('filename');
    if (name === '') throw new InputError('FILE_NAME', `${ctx.info.module}:${ctx.info.inst} has an empty filename`, asked);
    const path = resolve(ctx.graphDir, name);
    const { data, ...raw } = takeOver(path, 'raw') ?? (await loadRaw(path, asked));
    this.data = data;
    const settings: DevelopSettings = { wb: params.string('wb') as DevelopSettings['wb'], ev: params.float('ev'), size: params.string('size') as DevelopSettings['size'] };
    if (settings.wb === 'camera' && !raw.colour.camera) ctx.warn(`${path} doesn't say its white balance; daylight's is taken`);
    const noise = params.isSet('noise a') || params.isSet('noise b') ? { a: params.float('noise a'), b: params.float('noise b') } : undefined;
    return {
      output: {
        channels: 'rgba', format: 'f16', width: raw.width, height: raw.height, count: raw.count, noise, exif: raw.header.exif,
        develop: (data, { width, height, count, denoised }) => develop(data, width, height, count, raw, { ...settings, denoised }),
      },
    };
  }

  build(ctx: BuildContext): void {
    this.buffer = ctx.output('output', { persistent: true });
  }

  beforeFrame(ctx: FrameContext): void {
    ctx.write(this.buffer, this.data);
  }

  windows(): { halo: number; align: number } {
    return PIXELWISE;
  }
}

export const iRaw: ModuleType = {
  name: 'i-raw',
  doc: 'reads a camera raw file: linear camera rgb, black subtracted, unclipped; a Bayer mosaic as two half-size pictures, one a green. Outputs develop it',
  connectors: [{ name: 'output', type: 'source', channels: 'rgba', format: 'f16' }],
  params: [
    { name: 'filename', type: 'string', default: 'test.dng', doc: "raw file, relative to the graph file's folder" },
    { name: 'noise a', type: 'float', default: 0, min: 0, doc: 'noise profile in camera rgb, the white level being 65535: variance of the read noise' },
    { name: 'noise b', type: 'float', default: 0, min: 0, doc: 'noise profile: shot noise, variance per 16-bit unit of signal' },
    { name: 'wb', type: 'enum', default: 'camera', values: ['camera', 'daylight', 'none'], doc: 'white balance that outputs apply: as shot, daylight, none' },
    { name: 'ev', type: 'float', default: 0, min: -16, max: 16, doc: 'exposure that outputs apply, in stops' },
    { name: 'size', type: 'enum', default: 'full', values: ['full', 'half'], doc: 'what outputs make of a mosaic: full size by demosaicing, or half size' },
  ],
  create: () => new RawSource(),
};
