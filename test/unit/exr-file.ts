// Writes small OpenEXR files: one part, scan lines, uncompressed, for tests of the reader.

import { toHalf } from '../../ts/formats/half.js';

interface ExrOptions {
  half?: boolean;
  /** x, y of red, green, blue, white. */
  chromaticities?: readonly number[];
}

/** @param rgb (y, x, c), top row first */
export function exrBytes(width: number, height: number, rgb: Float32Array, { half = false, chromaticities }: ExrOptions): Uint8Array {
  const ints = (...v: number[]): Buffer => Buffer.from(Int32Array.from(v).buffer);
  const floats = (...v: number[]): Buffer => Buffer.from(Float32Array.from(v).buffer);
  const text = (s: string): Buffer => Buffer.from(`${s}\0`, 'latin1');
  const attribute = (name: string, type: string, value: Buffer): Buffer => Buffer.concat([text(name), text(type), ints(value.length), value]);
  const channels = Buffer.concat([...['B', 'G', 'R'].map((c) => Buffer.concat([text(c), ints(half ? 1 : 2, 0, 1, 1)])), Buffer.from([0])]);
  const window = ints(0, 0, width - 1, height - 1);
  const header = Buffer.concat([
    ints(20000630, 2),
    attribute('channels', 'chlist', channels),
    ...(chromaticities ? [attribute('chromaticities', 'chromaticities', floats(...chromaticities))] : []),
    attribute('compression', 'compression', Buffer.from([0])),
    attribute('dataWindow', 'box2i', window),
    attribute('displayWindow', 'box2i', window),
    attribute('lineOrder', 'lineOrder', Buffer.from([0])),
    attribute('pixelAspectRatio', 'float', floats(1)),
    attribute('screenWindowCenter', 'v2f', floats(0, 0)),
    attribute('screenWindowWidth', 'float', floats(1)),
    Buffer.from([0]),
  ]);
  const lines = Array.from({ length: height }, (_, y) => {
    const values = Float32Array.from([2, 1, 0].flatMap((c) => Array.from({ length: width }, (_x, x) => rgb[3 * (y * width + x) + c]!)));
    const data = half ? Buffer.from(toHalf(values).data.buffer) : Buffer.from(values.buffer);
    return Buffer.concat([ints(y, data.length), data]);
  });
  let at = header.length + 8 * height;
  const offsets = lines.map((line) => {
    const b = Buffer.alloc(8);
    b.writeBigUInt64LE(BigInt(at));
    at += line.length;
    return b;
  });
  return Buffer.concat([header, ...offsets, ...lines]);
}
