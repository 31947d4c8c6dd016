// The checkpoint file: a prologue, a JSON header that names every tensor, their data (docs/checkpoints.md). Bytes <-> values; no files.
//
//   0  "VKPNCKPT"    8  u32 version    12  u32 bytes of the header    16  SHA-256 of the header
//  48  the header, UTF-8 JSON; zeros up to a multiple of 64; there offset 0 of the tensors, each at a multiple of 64

import { createHash } from 'node:crypto';
import { InputError } from '../errors.js';

export const CHECKPOINT_VERSION = 1;
export const PROLOGUE_BYTES = 48;
const MAGIC = 'VKPNCKPT';
const ALIGN = 64;
const MOST_HEADER_BYTES = 1 << 26;

export const elementBytes = { f16: 2, f32: 4, u32: 4, u8: 1 } as const;
export type ElementType = keyof typeof elementBytes;
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A tensor, little-endian, row-major. */
export interface Tensor {
  /** "kpn-t:01 master" */
  name: string;
  type: ElementType;
  shape: number[];
  data: Uint8Array;
  /** What its words mean, where they are no array of numbers of a kind: for people, never read back. */
  values?: Record<string, number | null>;
}

/** What the header says beside the tensors. */
export interface CheckpointInfo {
  /** The same for all checkpoints of a run and of those that went on from it. */
  run: string;
  /** Frames done: the next one has this number; and the frames of the run. Frame number and seeds decide every random number. */
  frame: number;
  frames: number;
  seeds: Record<string, number>;
  /** Seconds of computing until here, and the date, for people. */
  seconds: number;
  written: string;
  versions: Record<string, string>;
  device: Record<string, string>;
  /** `text`: the graph file's statements, that it can be run by; `lines`: every parameter and connection of what runs, which is what is compared. */
  graph: { file: string; text: string; lines: string[]; sha256: string };
  /** By which the best checkpoint is chosen: less is better. */
  score: Score | null;
  best: (Score & { frame: number }) | null;
  /** What modules and the run's watchers keep on the host, by their names. */
  host: Record<string, Json>;
}

export interface Score {
  name: string;
  value: number;
}

export interface Checkpoint extends CheckpointInfo {
  tensors: Map<string, Tensor>;
}

interface TensorEntry extends Omit<Tensor, 'data'> {
  offset: number;
  bytes: number;
  sha256: string;
}

const sha256 = (data: Uint8Array): Buffer => createHash('sha256').update(data).digest();
export const sha256Hex = (text: string): string => sha256(Buffer.from(text)).toString('hex');
const roundUp = (n: number): number => Math.ceil(n / ALIGN) * ALIGN;
const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** The file in pieces, to be written one after the other. */
export function encodeCheckpoint(info: CheckpointInfo, tensors: readonly Tensor[]): Uint8Array[] {
  const entries: TensorEntry[] = [];
  const data: Uint8Array[] = [];
  let offset = 0;
  for (const t of tensors) {
    if (product(t.shape) * elementBytes[t.type] !== t.data.byteLength) throw new Error(`${t.name}: ${t.data.byteLength} bytes for ${t.type} ${t.shape.join(' x ')}`);
    entries.push({ name: t.name, type: t.type, shape: t.shape, offset, bytes: t.data.byteLength, sha256: sha256(t.data).toString('hex'), values: t.values });
    const end = roundUp(offset + t.data.byteLength);
    data.push(t.data, new Uint8Array(end - offset - t.data.byteLength));
    offset = end;
  }
  const header = Buffer.from(JSON.stringify({ format: 'vkpn checkpoint', ...info, tensors: entries }, null, 1));
  const front = Buffer.alloc(roundUp(PROLOGUE_BYTES + header.byteLength));
  front.write(MAGIC, 0, 'latin1');
  front.writeUInt32LE(CHECKPOINT_VERSION, 8);
  front.writeUInt32LE(header.byteLength, 12);
  front.set(sha256(header), 16);
  front.set(header, PROLOGUE_BYTES);
  return [front, ...data];
}

/**
 * Bytes of the header, from a file's first PROLOGUE_BYTES; `size` is the whole file's.
 * @throws InputError CKPT_MAGIC, CKPT_VERSION, CKPT_TRUNCATED
 */
export function headerBytes(prologue: Uint8Array, size: number, file: string): number {
  const p = Buffer.from(prologue.buffer, prologue.byteOffset, prologue.byteLength);
  if (p.byteLength < PROLOGUE_BYTES) throw bad(file, 'CKPT_TRUNCATED', `it has only ${p.byteLength} bytes`);
  if (p.toString('latin1', 0, 8) !== MAGIC) throw bad(file, 'CKPT_MAGIC', 'it does not begin as one');
  const version = p.readUInt32LE(8);
  if (version !== CHECKPOINT_VERSION) throw bad(file, 'CKPT_VERSION', `it has version ${version}, this vkpn reads ${CHECKPOINT_VERSION}`);
  const bytes = p.readUInt32LE(12);
  if (bytes > MOST_HEADER_BYTES || PROLOGUE_BYTES + bytes > size) throw bad(file, 'CKPT_TRUNCATED', `its header should have ${bytes} bytes, the file has ${size}`);
  return bytes;
}

/**
 * The header alone, without the data, from a file's first bytes (at least prologue and header).
 * @throws InputError CKPT_MAGIC, CKPT_VERSION, CKPT_TRUNCATED, CKPT_CHECKSUM, CKPT_HEADER
 */
export function decodeHeader(front: Uint8Array, size: number, file: string): CheckpointInfo & { tensors: TensorEntry[] } {
  const bytes = headerBytes(front.subarray(0, PROLOGUE_BYTES), size, file);
  const header = front.subarray(PROLOGUE_BYTES, PROLOGUE_BYTES + bytes);
  if (!sha256(header).equals(front.subarray(16, PROLOGUE_BYTES))) throw bad(file, 'CKPT_CHECKSUM', "its header's checksum is wrong");
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(header.buffer, header.byteOffset, header.byteLength).toString());
  } catch {
    throw bad(file, 'CKPT_HEADER', 'its header is no JSON');
  }
  return checkHeader(value, (why) => bad(file, 'CKPT_HEADER', `its header makes no sense: ${why}`));
}

/**
 * A whole file. Nothing is taken on trust: every length, offset and checksum is looked at before it is used.
 * @throws InputError as decodeHeader, and CKPT_SIZE, CKPT_CHECKSUM for the data
 */
export function decodeCheckpoint(bytes: Uint8Array, file: string): Checkpoint {
  const { tensors: entries, ...info } = decodeHeader(bytes, bytes.byteLength, file);
  const start = roundUp(PROLOGUE_BYTES + headerBytes(bytes, bytes.byteLength, file));
  const last = Math.max(0, ...entries.map((e) => roundUp(e.offset + e.bytes)));
  if (start + last !== bytes.byteLength) throw bad(file, start + last > bytes.byteLength ? 'CKPT_TRUNCATED' : 'CKPT_SIZE', `it has ${bytes.byteLength} bytes instead of ${start + last}`);
  const tensors = new Map<string, Tensor>();
  for (const { name, type, shape, offset, bytes: length, sha256: sum } of entries) {
    const data = bytes.subarray(start + offset, start + offset + length);
    if (sha256(data).toString('hex') !== sum) throw bad(file, 'CKPT_CHECKSUM', `the checksum of ${name} is wrong`);
    tensors.set(name, { name, type, shape, data });
  }
  return { ...info, tensors };
}

function bad(file: string, code: string, why: string): InputError {
  return new InputError(code, `${file} is no whole checkpoint: ${why}`);
}

type Fields = Record<string, unknown>;
const isRecord = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v);
const isCount = (v: unknown): v is number => typeof v === 'number' && Number.isSafeInteger(v) && v >= 0;
const isNumber = (v: unknown): v is number => typeof v === 'number' && Number.isFinite(v);
const isText = (v: unknown): v is string => typeof v === 'string';
const each = (v: unknown, is: (x: unknown) => boolean): boolean => isRecord(v) && Object.values(v).every(is);
const isScore = (v: unknown): boolean => v === null || (isRecord(v) && isText(v.name) && isNumber(v.value));

/** What each field must be; the type is what the checks say. */
function checkHeader(value: unknown, error: (why: string) => InputError): CheckpointInfo & { tensors: TensorEntry[] } {
  if (!isRecord(value)) throw error('it is no object');
  const v = value;
  const checks: [string, boolean][] = [
    ['run', isText(v.run)], ['frame', isCount(v.frame)], ['frames', isCount(v.frames)], ['seconds', isNumber(v.seconds)], ['written', isText(v.written)],
    ['seeds', each(v.seeds, isNumber)], ['versions', each(v.versions, isText)], ['device', each(v.device, isText)],
    ['graph', isRecord(v.graph) && isText(v.graph.file) && isText(v.graph.text) && isText(v.graph.sha256) && Array.isArray(v.graph.lines) && v.graph.lines.every(isText)],
    ['score', isScore(v.score)], ['best', isScore(v.best) && (v.best === null || isCount((v.best as Fields).frame))], ['host', isRecord(v.host)],
    ['tensors', Array.isArray(v.tensors) && v.tensors.every(isEntry)],
  ];
  const wrong = checks.find(([, ok]) => !ok);
  if (wrong) throw error(`${wrong[0]} is wrong or missing`);
  const header = v as unknown as CheckpointInfo & { tensors: TensorEntry[] };
  let end = 0;
  for (const t of header.tensors) {
    if (t.offset !== end) throw error(`${t.name} begins at ${t.offset} instead of ${end}`);
    if (product(t.shape) * elementBytes[t.type] !== t.bytes) throw error(`${t.name} has ${t.bytes} bytes for ${t.type} ${t.shape.join(' x ')}`);
    end = roundUp(t.offset + t.bytes);
  }
  if (new Set(header.tensors.map((t) => t.name)).size !== header.tensors.length) throw error('two tensors have the same name');
  return header;
}

function isEntry(v: unknown): boolean {
  return (
    isRecord(v) && isText(v.name) && isText(v.type) && Object.hasOwn(elementBytes, v.type) && Array.isArray(v.shape) && v.shape.every(isCount) &&
    isCount(product(v.shape as number[])) && isCount(v.offset) && isCount(v.bytes) && isText(v.sha256)
  );
}
