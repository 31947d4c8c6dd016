// How a checkpoint knows the pictures of its run (docs/checkpoints.md).
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inputLines } from '../../ts/checkpoint/inputs.js';
import type { RunNode } from '../../ts/graph/shapes.js';

let dir: string;
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'vkpn-inputs-'))));
afterEach(() => rmSync(dir, { recursive: true }));

const run = (key: string, names: readonly string[], folder = dir): RunNode => ({ node: { key }, instance: { inputs: () => names.map((n) => join(folder, n)) } }) as unknown as RunNode;
const bytes = (n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (i * 31) & 255);

test('each file by its name in the folder that they share, its size and its contents; wherever that folder lies', async () => {
  mkdirSync(join(dir, 'set', 'deep'), { recursive: true });
  writeFileSync(join(dir, 'set', 'a.jpg'), bytes(200_000));
  writeFileSync(join(dir, 'set', 'deep', 'b.jpg'), bytes(3));
  const names = ['a.jpg', 'deep/b.jpg', 'gone.jpg'];
  const lines = await inputLines([run('i-set:01', names, join(dir, 'set')), run('cnngenin:01', [])]);
  expect(lines).toEqual([
    expect.stringMatching(/^input:i-set:01:a\.jpg:200000 bytes, [0-9a-f]{16}$/), expect.stringMatching(/^input:i-set:01:deep\/b\.jpg:3 bytes, [0-9a-f]{16}$/), 'input:i-set:01:gone.jpg:missing',
  ]);
  renameSync(join(dir, 'set'), join(dir, 'moved'));
  expect(await inputLines([run('i-set:01', names, join(dir, 'moved'))])).toEqual(lines);
});

test.each([['beginning', 5], ['middle', 100_100], ['end', 199_999]])('a byte changed at its %s is seen, a new date is not', async (_, at) => {
  const path = join(dir, 'a.jpg');
  writeFileSync(path, bytes(200_000));
  const before = await inputLines([run('i-jpg:ref', ['a.jpg'])]);
  utimesSync(path, new Date(0), new Date(0));
  expect(await inputLines([run('i-jpg:ref', ['a.jpg'])])).toEqual(before);
  const other = readFileSync(path);
  other[at]! ^= 1;
  writeFileSync(path, other);
  expect(await inputLines([run('i-jpg:ref', ['a.jpg'])])).not.toEqual(before);
});

test('of more than a thousand files the date is what counts', async () => {
  const names = Array.from({ length: 1001 }, (_, i) => `${i}.jpg`);
  for (const n of names) writeFileSync(join(dir, n), 'x');
  utimesSync(join(dir, '7.jpg'), new Date(0), new Date(0));
  const lines = await inputLines([run('i-set:01', names)]);
  expect(lines[7]).toBe('input:i-set:01:7.jpg:1 bytes, 1970-01-01T00.00.00.000Z');
  expect(new Set((await inputLines([run('i-set:01', names.slice(0, 1000))])).map((line) => line.replace(/.*, /, ''))).size).toBe(1);
});
