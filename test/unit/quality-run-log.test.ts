// The logs of a run: CSV rows in order, going on after a resume, a failure that doesn't end the run; TensorBoard records byte by byte.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunLog, type Row } from '../../ts/quality/run-log.js';
import { firstRecords, scalarRecord } from '../../ts/quality/tensorboard.js';

let dir: string;
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'vkpn-log-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const columns = [{ name: 'loss', tag: 'train/loss' }, { name: 'gain', tag: 'validation/gain' }];
const row = (frame: number, values: Row['values']): Row => ({ frame, seconds: frame / 10, values });

/** CRC-32C, bit by bit (reflected polynomial 0x82f63b78), and TensorFlow's masking of it. */
function maskedCrc(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const b of bytes) {
    crc ^= b;
    for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  crc = ~crc >>> 0;
  return Number((((BigInt(crc) >> 15n) | (BigInt(crc) << 17n)) + 0xa282ead8n) & 0xffffffffn);
}

/** The data of each record of a file, its checksums tested. */
function records(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const out: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(view.getBigUint64(at, true));
    expect(view.getUint32(at + 8, true)).toBe(maskedCrc(bytes.subarray(at, at + 8)));
    const data = bytes.subarray(at + 12, at + 12 + length);
    expect(view.getUint32(at + 12 + length, true)).toBe(maskedCrc(data));
    out.push(data);
    at += 16 + length;
  }
  return out;
}

test('the checksum is that of the standard\'s example', () => {
  // CRC-32C of "123456789" is 0xe3069283.
  expect(maskedCrc(new TextEncoder().encode('123456789'))).toBe(Number((((0xe3069283n >> 15n) | (0xe3069283n << 17n)) + 0xa282ead8n) & 0xffffffffn));
});

test('event files, byte by byte', () => {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  const [version, session] = firstRecords(1.5, 300).map((r) => records(r)[0]!);
  // 1: double 1.5; 2: 0; 3: "brain.Event:2"
  expect(hex(version!)).toBe(`09000000000000f83f10001a0d${Buffer.from('brain.Event:2').toString('hex')}`);
  // 2: 300 = ac 02; 7: { 1: 1 }
  expect(hex(session!)).toBe('09000000000000f83f10ac023a020801');
  // 5: { 1: { 1: "a", 2: 0.5 }, 1: { 1: "bc", 2: -2 } }
  expect(hex(records(scalarRecord(1.5, 7, { a: 0.5, bc: -2 }))[0]!)).toBe('09000000000000f83f10072a15' + '0a080a016115' + '0000003f' + '0a090a02626315' + '000000c0');
  expect(firstRecords(1)).toHaveLength(1);
});

test('rows stand in the order in which they were added, however late they are known', async () => {
  const csv = join(dir, 'run.csv');
  const log = await RunLog.open({ csv, tensorboard: join(dir, 'tb') }, columns, fail);
  log.begin();
  log.add(row(1, { loss: 0.5 }));
  log.add(new Promise((resolve) => setTimeout(() => resolve(row(2, { loss: 0.25, gain: 3 })), 50)));
  log.add(Promise.resolve(undefined));
  log.add(row(3, { gain: -1.5 }));
  await log.close();
  expect(readFileSync(csv, 'utf8')).toBe('frame,seconds,loss,gain\n1,0.100,0.5,\n2,0.200,0.25,3\n3,0.300,,-1.5\n');
  const [events] = readdirSync(join(dir, 'tb'));
  expect(events).toMatch(/^events\.out\.tfevents\.\d{10}\./);
  const found = records(readFileSync(join(dir, 'tb', events!)));
  expect(found).toHaveLength(4);
  expect(Buffer.from(found[2]!).toString('latin1')).toMatch(/train\/loss.*validation\/gain/s);
  expect(Buffer.from(found[3]!).includes('train/loss')).toBe(false);
});

test('a run that goes on keeps the rows of its frames and drops those after them', async () => {
  const csv = join(dir, 'run.csv');
  writeFileSync(csv, 'frame,seconds,loss,gain\n1,0.1,0.5,\n2,0.2,0.4,\n3,0.3,0.3,\n4,0.4,');
  const log = await RunLog.open({ csv }, columns, fail);
  log.begin(2);
  log.add(row(3, { loss: 9 }));
  await log.close();
  expect(readFileSync(csv, 'utf8')).toBe('frame,seconds,loss,gain\n1,0.1,0.5,\n2,0.2,0.4,\n3,0.300,9,\n');
});

test('a run that begins, or has other columns, begins the file', async () => {
  const csv = join(dir, 'run.csv');
  for (const [header, from] of [['frame,seconds,loss,gain', undefined], ['frame,seconds,other', 2]] as const) {
    writeFileSync(csv, `${header}\n1,1,1\n`);
    const log = await RunLog.open({ csv }, columns, fail);
    log.begin(from);
    await log.close();
    expect(readFileSync(csv, 'utf8')).toBe('frame,seconds,loss,gain\n');
  }
});

test('a log that can\'t be written is warned of once, and is an error at the end', async () => {
  const warnings: string[] = [];
  const log = await RunLog.open({ csv: join(dir, 'sub.csv'), tensorboard: join(dir, 'tb') }, columns, (w) => warnings.push(w));
  log.begin();
  await new Promise((resolve) => setTimeout(resolve, 100));
  rmSync(dir, { recursive: true });
  log.add(row(1, { loss: 1 }));
  log.add(row(2, { loss: 1 }));
  await expect(log.close()).rejects.toMatchObject({ code: 'LOG_FAILED', exitCode: 1 });
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(/writing the log failed: ENOENT[\s\S]*the run goes on/);
});

test('folders that can\'t be written are refused at once', async () => {
  await expect(RunLog.open({ csv: join(dir, 'none', 'run.csv') }, columns, fail)).rejects.toMatchObject({ code: 'OUTPUT_FOLDER', exitCode: 2 });
  writeFileSync(join(dir, 'file'), '');
  await expect(RunLog.open({ tensorboard: join(dir, 'file') }, columns, fail)).rejects.toMatchObject({ code: 'OUTPUT_FOLDER', exitCode: 2 });
});

function fail(message: string): never {
  throw new Error(`a warning: ${message}`);
}
