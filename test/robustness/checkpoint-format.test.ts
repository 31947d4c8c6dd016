// The checkpoint file: what is written is read back; damaged and forged files end in an InputError; the newest whole one of a folder is found; the lock.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { bestIn, checkpointName, findCheckpoint, listCheckpoints, setAside, storeCheckpoint } from '../../ts/checkpoint/folder.js';
import { decodeCheckpoint, decodeHeader, encodeCheckpoint, PROLOGUE_BYTES, type CheckpointInfo, type Tensor } from '../../ts/checkpoint/format.js';
import { differences } from '../../ts/checkpoint/graph-lines.js';
import { Lock } from '../../ts/checkpoint/lock.js';
import { InputError } from '../../ts/errors.js';
import { mutate, random } from './mutate.js';

const info = (frame: number, loss = 1): CheckpointInfo => ({
  run: 'r', frame, frames: 100, seeds: { 'cnngenin:01': 1 }, seconds: 1.5, written: '2026-01-01T00:00:00.000Z', versions: { vkpn: '0.1.0' }, device: { device: 'd' },
  graph: { file: 'a.cfg', text: 'frames:100\n', lines: ['frames:100'], sha256: 'x' }, score: { name: 'loss', value: loss }, best: null, host: { 'kpn-t:01': { a: [1, null] } },
});
const tensors: Tensor[] = [
  { name: 'a master', type: 'f32', shape: [2, 3], data: new Uint8Array(new Float32Array([1, 2, 3, 4, 5, NaN]).buffer) },
  { name: 'a w', type: 'f16', shape: [5], data: new Uint8Array(10).fill(7) },
  { name: 'a none', type: 'u8', shape: [0], data: new Uint8Array() },
  { name: 'a state', type: 'u32', shape: [1], data: Uint8Array.of(1, 2, 3, 4), values: { loss: null, frame: 3 } },
];
const file = (frame = 10, loss = 1): Buffer => Buffer.concat(encodeCheckpoint(info(frame, loss), tensors));

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'vkpn-ckpt-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('what is written is read back; the header alone says what there is', () => {
  const bytes = file();
  const { tensors: read, ...rest } = decodeCheckpoint(bytes, 'a.ckpt');
  expect(rest).toMatchObject(info(10));
  expect([...read.values()].map(({ name, type, shape, data }) => ({ name, type, shape, data: Buffer.from(data) }))).toEqual(tensors.map(({ name, type, shape, data }) => ({ name, type, shape, data: Buffer.from(data) })));
  // As docs/checkpoints.md says: the header's length at 12, its text at 48, data from the next multiple of 64.
  const header = bytes.readUInt32LE(12);
  const json = JSON.parse(bytes.toString('utf8', 48, 48 + header)) as { tensors: { name: string; offset: number; bytes: number; sha256: string; values?: object }[] };
  const start = Math.ceil((48 + header) / 64) * 64;
  for (const [i, t] of json.tensors.entries()) {
    const data = bytes.subarray(start + t.offset, start + t.offset + t.bytes);
    expect([t.name, t.offset % 64, createHash('sha256').update(data).digest('hex'), data]).toEqual([tensors[i]!.name, 0, t.sha256, Buffer.from(tensors[i]!.data)]);
  }
  expect(json.tensors[3]!.values).toEqual({ loss: null, frame: 3 });
});

/** The file with the header changed and its checksum right again. */
function forged(change: (header: Record<string, unknown> & { tensors: Record<string, unknown>[] }) => void): Buffer {
  const bytes = file();
  const old = bytes.readUInt32LE(12);
  const header = JSON.parse(bytes.toString('utf8', 48, 48 + old)) as Record<string, unknown> & { tensors: Record<string, unknown>[] };
  change(header);
  return withHeader(bytes, Buffer.from(JSON.stringify(header)));
}

function withHeader(bytes: Buffer, text: Buffer): Buffer {
  const data = bytes.subarray(Math.ceil((48 + bytes.readUInt32LE(12)) / 64) * 64);
  const front = Buffer.alloc(Math.ceil((48 + text.length) / 64) * 64);
  bytes.copy(front, 0, 0, 12);
  front.writeUInt32LE(text.length, 12);
  front.set(createHash('sha256').update(text).digest(), 16);
  front.set(text, 48);
  return Buffer.concat([front, data]);
}

test.each<[string, (h: Record<string, unknown> & { tensors: Record<string, unknown>[] }) => void, string]>([
  ['nothing', () => undefined, 'read'],
  ['a negative frame', (h) => (h.frame = -1), 'CKPT_HEADER'],
  ['a fraction of a frame', (h) => (h.frame = 1.5), 'CKPT_HEADER'],
  ['no tensors', (h) => delete (h as Partial<typeof h>).tensors, 'CKPT_HEADER'],
  ['a huge tensor', (h) => (h.tensors[0]!.shape = [2 ** 31, 2 ** 31]), 'CKPT_HEADER'],
  ['a shape that is not its bytes', (h) => (h.tensors[0]!.shape = [2, 4]), 'CKPT_HEADER'],
  ['an offset elsewhere', (h) => (h.tensors[1]!.offset = 0), 'CKPT_HEADER'],
  ['a type there is not', (h) => (h.tensors[1]!.type = 'toString'), 'CKPT_HEADER'],
  ['the same name twice', (h) => (h.tensors[1]!.name = 'a master'), 'CKPT_HEADER'],
  ['a tensor more', (h) => h.tensors.push({ name: 'b', type: 'u8', shape: [1], offset: 192, bytes: 1, sha256: '' }), 'CKPT_TRUNCATED'],
  ['a tensor less', (h) => h.tensors.pop(), 'CKPT_SIZE'],
  ['another checksum', (h) => (h.tensors[0]!.sha256 = 'f'.repeat(64)), 'CKPT_CHECKSUM'],
])('a header with %s', (_, change, outcome) => {
  let code = 'read';
  try {
    decodeCheckpoint(forged(change), 'a.ckpt');
  } catch (e) {
    if (!(e instanceof InputError)) throw e;
    code = e.code;
  }
  expect(code).toBe(outcome);
});

test('fuzz: 10,000 damaged files are refused, every one; 10,000 with a header that claims to be right are refused or read', () => {
  const rand = random(5);
  const bytes = file();
  const seen = new Map<string, number>();
  const tryOne = (damaged: Buffer): string => {
    try {
      decodeCheckpoint(damaged, 'a.ckpt');
      return 'read';
    } catch (e) {
      if (!(e instanceof InputError)) throw new Error(damaged.toString('latin1').slice(0, 3000), { cause: e });
      return e.code;
    }
  };
  for (let i = 0; i < 10_000; i++) {
    const damaged = mutate(bytes, bytes.length, rand);
    const code = damaged.equals(bytes) ? 'same' : tryOne(damaged);
    // Bytes that pad are no part of what is checked.
    if (code === 'read') expect([...decodeCheckpoint(damaged, '').tensors.values()].map((t) => Buffer.from(t.data))).toEqual(tensors.map((t) => Buffer.from(t.data)));
    seen.set(code, (seen.get(code) ?? 0) + 1);
  }
  for (const code of ['CKPT_MAGIC', 'CKPT_VERSION', 'CKPT_TRUNCATED', 'CKPT_CHECKSUM', 'CKPT_SIZE']) expect(seen.get(code)).toBeGreaterThan(10);
  const header = bytes.subarray(PROLOGUE_BYTES, PROLOGUE_BYTES + bytes.readUInt32LE(12));
  for (let i = 0; i < 10_000; i++) {
    const code = tryOne(withHeader(bytes, mutate(header, header.length, rand)));
    seen.set(code, (seen.get(code) ?? 0) + 1);
  }
  expect(seen.get('CKPT_HEADER')).toBeGreaterThan(1000);
});

test('the header is read without the data', () => {
  const bytes = file();
  expect(decodeHeader(bytes.subarray(0, PROLOGUE_BYTES + bytes.readUInt32LE(12)), bytes.length, 'a').frame).toBe(10);
});

describe('a folder', () => {
  const store = (frame: number, loss: number, best = false): Promise<string> => storeCheckpoint(dir, frame, encodeCheckpoint(info(frame, loss), tensors), best);
  const names = (): string[] => readdirSync(dir).sort();

  test('keeps the last three and the best', async () => {
    for (let i = 1; i <= 6; i++) await store(10 * i, i === 2 ? 0.1 : 1, i <= 2);
    expect(names()).toEqual(['best.ckpt', ...[40, 50, 60].map(checkpointName)]);
    expect(await bestIn(dir, 100)).toEqual({ name: 'loss', value: 0.1, frame: 20 });
    expect(await bestIn(dir, 19)).toBeNull();
  });

  test('the newest is found; a damaged one is told, and the one before it taken; of a file likewise', async () => {
    for (const frame of [10, 20, 30]) await store(frame, 1);
    const path = join(dir, checkpointName(30));
    writeFileSync(path, readFileSync(path).subarray(0, 1000));
    for (const from of [dir, path]) {
      const warnings: string[] = [];
      expect((await findCheckpoint(from, (m) => warnings.push(m))).checkpoint.frame).toBe(20);
      expect(warnings).toEqual([expect.stringMatching(/frame-000000030\.ckpt is no whole checkpoint: .*; the one before it is tried: .*frame-000000020\.ckpt/)]);
    }
    for (const frame of [10, 20]) writeFileSync(join(dir, checkpointName(frame)), 'VKPNCKPT');
    await expect(findCheckpoint(dir, () => undefined)).rejects.toMatchObject({ code: 'CKPT_DAMAGED', exitCode: 2 });
    await expect(findCheckpoint(join(dir, 'nowhere'), () => undefined)).rejects.toMatchObject({ code: 'CKPT_NONE', exitCode: 2 });
  });

  test('a run that starts anew, or from an older one, puts what it does not go on from into "previous"', async () => {
    await store(10, 1);
    await store(20, 0.5, true);
    await store(30, 1);
    await setAside(dir, 10);
    expect([names(), readdirSync(join(dir, 'previous')).sort()]).toEqual([[checkpointName(10), 'previous'], ['best.ckpt', checkpointName(20), checkpointName(30)]]);
    await setAside(dir, undefined);
    expect([await listCheckpoints(dir), readdirSync(join(dir, 'previous'))]).toEqual([[], [checkpointName(10)]]);
  });
});

describe('the lock', () => {
  const lock = (): string => join(dir, 'lock');

  test('is one process\'s, and given up', async () => {
    const first = await Lock.take(dir);
    await expect(Lock.take(dir)).rejects.toMatchObject({ code: 'LOCKED', exitCode: 2, message: expect.stringContaining(`process ${process.pid}`) as string });
    first.release();
    (await Lock.take(dir)).release();
    expect(readdirSync(dir)).toEqual([]);
  });

  test('of a process that is gone, of a later process with its id, or of half a file is taken over; another machine\'s is not', async () => {
    const { pid } = spawnSync('true');
    const owners = [{ pid, host: hostname(), began: '1', token: 'x' }, { pid: process.pid, host: hostname(), began: '1', token: 'x' }];
    for (const text of [...owners.map((o) => JSON.stringify(o)), '', '{"pid":']) {
      writeFileSync(lock(), text);
      (await Lock.take(dir)).release();
      expect(readdirSync(dir)).toEqual([]);
    }
    writeFileSync(lock(), JSON.stringify({ pid, host: 'elsewhere', began: '1', token: 'x' }));
    await expect(Lock.take(dir)).rejects.toMatchObject({ code: 'LOCKED', hint: expect.stringContaining(lock()) as string });
  });

  test('of many who find a dead owner exactly one gets it', async () => {
    for (let i = 0; i < 20; i++) {
      writeFileSync(lock(), '');
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => Lock.take(dir)));
      const taken = results.filter((r) => r.status === 'fulfilled');
      expect(taken.length).toBe(1);
      expect(results.filter((r) => r.status === 'rejected').every((r) => r.reason instanceof InputError)).toBe(true);
      taken[0]!.value.release();
      expect(existsSync(lock())).toBe(false);
    }
  });
});

test('how two graphs differ, line by line', () => {
  expect(differences(['frames:10', 'param:a:b:x:1', 'param:a:b:y:1', 'gone:1'], ['frames:20', 'param:a:b:x:1', 'param:a:b:y:2', 'new:a:1'])).toEqual(['- frames:10', '+ frames:20', '- param:a:b:y:1', '+ param:a:b:y:2', '- gone:1', '+ new:a:1']);
});
