// TensorBoard event files: scalars over frames. Records as TensorFlow's record_writer frames them, holding messages of its
// event.proto and summary.proto: Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5;
// SessionLog session_log = 7 }, Summary { repeated Value value = 1 }, Value { string tag = 1; float simple_value = 2 }, SessionLog
// { SessionStatus status = 1 }.

import crc32c from 'crc-32/crc32c.js';
import protobuf from 'protobufjs/minimal.js';

/** Wire types and field numbers as one tag. */
const tag = (field: number, wire: 0 | 1 | 2 | 5): number => (field << 3) | wire;
const SESSION_START = 1;

function masked(bytes: Uint8Array): number {
  const crc = crc32c.buf(bytes) >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** A record: length, its checksum, the data, their checksum. */
function record(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(16 + data.length);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(out.subarray(0, 8)), true);
  out.set(data, 12);
  view.setUint32(12 + data.length, masked(data), true);
  return out;
}

const event = (wallTime: number, step: number): protobuf.Writer => protobuf.Writer.create().uint32(tag(1, 1)).double(wallTime).uint32(tag(2, 0)).int64(step);

/** What a file begins with; `goneOnFrom`: events of this frame and later in older files of the folder no longer count. */
export function firstRecords(wallTime: number, goneOnFrom?: number): Uint8Array[] {
  const version = record(event(wallTime, 0).uint32(tag(3, 2)).string('brain.Event:2').finish());
  if (goneOnFrom === undefined) return [version];
  return [version, record(event(wallTime, goneOnFrom).uint32(tag(7, 2)).fork().uint32(tag(1, 0)).int32(SESSION_START).ldelim().finish())];
}

/** Scalars of a frame; `wallTime` in seconds since 1970. */
export function scalarRecord(wallTime: number, frame: number, values: Readonly<Record<string, number>>): Uint8Array {
  const writer = event(wallTime, frame).uint32(tag(5, 2)).fork();
  for (const [name, value] of Object.entries(values)) writer.uint32(tag(1, 2)).fork().uint32(tag(1, 2)).string(name).uint32(tag(2, 5)).float(value).ldelim();
  return record(writer.ldelim().finish());
}
