// Writing files whole or not at all, and reading them with clear errors.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OutputError } from '../../ts/errors.js';
import { checkWritable, exists, withInput, writeAtomic } from '../../ts/files.js';
import { failure } from './io-harness.js';

let dir: string;
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'vkpn-files-'))));
afterEach(() => rmSync(dir, { recursive: true }));
const at = (name: string): string => join(dir, name);

test('writes all chunks, replaces what was there, leaves nothing else', async () => {
  await writeAtomic(at('a'), Buffer.from('one '), Buffer.from('two'));
  await writeAtomic(at('b'));
  await writeAtomic(at('a'), Buffer.from('three'));
  expect(readFileSync(at('a'), 'utf8')).toBe('three');
  expect(readFileSync(at('b'), 'utf8')).toBe('');
  expect(readdirSync(dir).sort()).toEqual(['a', 'b']);
  expect(statSync(at('a')).mode & 0o111).toBe(0);
});

test('several writers of one file at once: one of them wins whole', async () => {
  const texts = Array.from({ length: 20 }, (_, i) => String(i).repeat(50_000));
  await Promise.all(texts.map((t) => writeAtomic(at('a'), Buffer.from(t))));
  expect(texts).toContain(readFileSync(at('a'), 'utf8'));
  expect(readdirSync(dir)).toEqual(['a']);
});

test('a failure leaves the old file and no temporary one', async () => {
  mkdirSync(at('folder'));
  writeFileSync(at('folder/x'), 'old');
  // A folder can't be replaced by a file: the rename fails, after everything was written.
  await expect(writeAtomic(at('folder'), Buffer.from('new'))).rejects.toThrow(OutputError);
  expect(readdirSync(dir)).toEqual(['folder']);
  await expect(writeAtomic(at('no/a'), Buffer.from('new'))).rejects.toMatchObject({ code: 'WRITE_FAILED', exitCode: 1 });
  expect(readdirSync(dir)).toEqual(['folder']);
});

test('reads parts, no further than the end', async () => {
  writeFileSync(at('a'), '0123456789');
  const parts = await withInput(at('a'), {}, async (f) => [f.bytes, ...(await Promise.all([f.read(0, 3), f.read(8, 100), f.read(0, f.bytes)])).map((b) => Buffer.from(b).toString())]);
  expect(parts).toEqual([10, '012', '89', '0123456789']);
});

test('near names, nearest first; none that are far', async () => {
  for (const n of ['img_100.pfm', 'img_200.pfm', 'IMG_1000.PFM', 'other.txt']) writeFileSync(at(n), 'x');
  const hint = async (name: string): Promise<string | undefined> => (await failure(() => withInput(at(name), {}, () => Promise.resolve()))).hint;
  expect(await hint('img_1000.pfm')).toMatch(/^Did you mean IMG_1000\.PFM or img_100\.pfm/);
  expect(await hint('completely')).toMatch(/relative to the graph file/);
  expect(await hint('nowhere/a.pfm')).toMatch(/nowhere is missing/);
  expect(await hint('x'.repeat(3000))).toBeUndefined();
});

test('checks a folder without leaving a trace', async () => {
  await checkWritable(at('new.pfm'), {});
  writeFileSync(at('old.pfm'), 'old');
  await checkWritable(at('old.pfm'), {});
  expect(readdirSync(dir)).toEqual(['old.pfm']);
  expect(readFileSync(at('old.pfm'), 'utf8')).toBe('old');
  expect([await exists(at('old.pfm')), await exists(at('new.pfm'))]).toEqual([true, false]);
});
