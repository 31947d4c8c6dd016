// What can happen to a run, to the real process: the device is lost, memory is short, the disk is full, the clock jumps, another run has the folder, it is
// killed while it writes. Needs `npm run build`.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkpointName } from '../../ts/checkpoint/folder.js';
import { checkWritable } from '../../ts/files.js';
import { packageRoot } from '../../ts/root.js';
import { EACH_FRAME, FRAMES, Training } from './training.js';

jest.setTimeout(200_000);

let whole: Buffer;
let t: Training;
beforeAll(() => {
  t = new Training();
  expect(t.vkpn([])).toMatchObject({ status: 0 });
  whole = t.look().w!;
  t.remove();
});
beforeEach(() => {
  t = new Training();
});
afterEach(() => t.remove());

/** Leaves the checkpoint of frame 20, as a run whose device was lost. */
function lost(): void {
  const { status, stderr } = t.vkpn(['--checkpoint', '20f'], { VKPN_LOSE_DEVICE: '30' });
  expect([status, stderr]).toEqual([3, expect.stringMatching(/VK_ERROR_DEVICE_LOST.*\n[^]*The last checkpoint is .*frame-000000020\.ckpt \(after frame 20\): the same command with --resume goes on from there\./)]);
  expect(t.look()).toEqual({ w: undefined, frames: { [checkpointName(20)]: 20, 'best.ckpt': 20 } });
}

function goesOn(): void {
  expect(t.vkpn(['--resume', '--checkpoint', '20f'])).toMatchObject({ status: 0, stderr: expect.stringContaining('wrote') as string });
  const { w, frames } = t.look();
  expect([w, frames[checkpointName(FRAMES)]]).toEqual([whole, FRAMES]);
}

test('the device is lost: code 3, the last checkpoint is named, and the run goes on from it to the same bits', () => {
  lost();
  goesOn();
});

test('the device is lost before the first checkpoint', () => {
  const { status, stderr } = t.vkpn(['--checkpoint', '20f'], { VKPN_LOSE_DEVICE: '10' });
  expect([status, stderr]).toEqual([3, expect.stringContaining('No checkpoint had been written yet.')]);
  expect(t.look()).toEqual({ w: undefined, frames: {} });
  expect(readdirSync(t.dir)).not.toContain('w.checkpoints');
});

test('too little memory: what is needed, what there is, and a batch that fits, which does', () => {
  const short = t.vkpn(['--config', 'param:cnngenin:01:batch:3000', 'frames:1'], { VKPN_MEMORY_LIMIT: '60' });
  expect(short).toMatchObject({ status: 2, stderr: expect.stringMatching(/the graph needs \d+ MiB, .* has \d+ MiB to give\n {2}a batch of \d+ fits: param:cnngenin:01:batch:(\d+) \(vkpn train: --batch \1\)\n$/) as string });
  const [, line = '', batch = ''] = /fits: (.*:(\d+)) \(/.exec(short.stderr)!;
  expect(Number(batch)).toBeGreaterThan(50);
  expect(t.vkpn(['--config', 'frames:1', line], { VKPN_MEMORY_LIMIT: '60' })).toMatchObject({ status: 0 });
  const hopeless = t.vkpn(['--config', 'param:cnngenin:01:batch:4', 'param:kpn-t:01:width:128'], { VKPN_MEMORY_LIMIT: '1' });
  expect(hopeless).toMatchObject({ status: 2, stderr: expect.stringMatching(/not even a batch of 1 fits/) as string });
  expect(readdirSync(t.dir)).not.toContain('w.checkpoints');
});

describe('the disk is full', () => {
  /** A file system of this size at `dir`, where this process may mount one. */
  function mounted(dir: string, size: string): boolean {
    mkdirSync(dir);
    return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', dir]).status === 0;
  }

  test('for checkpoints: told, the run goes on, the old one stays whole, the code is 1; with room again it goes on', () => {
    lost();
    let failed: ReturnType<Training['vkpn']>;
    if (mounted(t.checkpoints + '.x', '1m')) {
      try {
        const small = t.checkpoints + '.x';
        for (const name of readdirSync(t.checkpoints)) writeFileSync(join(small, name), readFileSync(join(t.checkpoints, name)));
        spawnSync('sh', ['-c', `cat /dev/zero > ${join(small, 'filler')}`]);
        rmSync(join(small, 'filler'));
        spawnSync('sh', ['-c', `head -c 800000 /dev/zero > ${join(small, 'filler')}`]);
        failed = t.vkpn(['--resume', small, '--checkpoint', '20f']);
        rmSync(join(small, 'filler'));
        expect(readdirSync(small).sort()).toEqual(['best.ckpt', checkpointName(20)]);
        expect(failed.stderr).toMatch(/The disk is full\./);
      } finally {
        spawnSync('umount', [t.checkpoints + '.x']);
      }
    } else {
      failed = t.vkpn(['--resume', '--checkpoint', '20f'], {}, 40); // a checkpoint has 70 KiB, the weights 9
    }
    rmSync(t.checkpoints + '.x', { recursive: true });
    expect([failed.status, failed.stderr]).toEqual([1, expect.stringMatching(/warning: writing .*frame-000000040\.ckpt failed: .*\n[^]*the run goes on; the last whole checkpoint is .*frame-000000020\.ckpt\n[^]*vkpn: writing .*frame-000000060\.ckpt failed/)]);
    // The weights had room.
    expect(t.look()).toEqual({ w: whole, frames: { [checkpointName(20)]: 20, 'best.ckpt': 20 } });
    rmSync(join(t.dir, 'w.lut'));
    goesOn();
  });

  test('for the weights too, written each frame: the run goes on to its end, the older file stays whole', () => {
    const { w: older } = (t.vkpn(['--config', 'frames:2']), t.look());
    const all = t.vkpn(['--checkpoint', '0', '--config', 'frames:4'], {}, 4);
    expect([all.status, all.stderr]).toEqual([1, expect.stringMatching(/warning: writing .*w\.lut failed: .*\n {2}(.*\n {2})?the run goes on\n[^]*vkpn: writing .*w\.lut failed/)]);
    expect(t.look().w).toEqual(older);
    const each = t.vkpn([EACH_FRAME, '--checkpoint', '0', '--config', 'frames:4'], {}, 4);
    expect([each.status, each.stderr]).toEqual([1, expect.stringMatching(/the run goes on\n[^]*vkpn: 4 outputs could not be written, first: writing .*w\.lut failed/)]);
    expect(t.look().w).toEqual(older);
  });
});

test('the clock jumps: checkpoints come as before, no more and no less often', async () => {
  const jumping = `data:text/javascript,${encodeURIComponent('let n = 0; const now = Date.now; Date.now = () => now() + (n++ % 2 ? -1 : 1) * 1e9 * n;')}`;
  const { child, err, ended } = await t.start(['--checkpoint', '0.5', '--config', 'frames:1000000'], /(the state after \d+ frames[^]*){3}/, { NODE_OPTIONS: `--import=${jumping}` });
  child.kill('SIGTERM');
  expect(await ended).toBe(143);
  // By when they were written, in seconds of computing.
  const frames = Object.values(t.look().frames);
  expect(new Set(frames).size).toBeGreaterThanOrEqual(3);
  const [, total = ''] = / in ([\d.]+) s/.exec(err()) ?? [];
  expect(err().match(/wrote .*the state after/g)!.length).toBeLessThanOrEqual(Number(total) / 0.5 + 1);
});

test('two runs in one folder: the second is refused; a killed one\'s lock is taken over', async () => {
  const { child, ended } = await t.start(['--checkpoint', '5f', '--config', 'frames:1000000'], /the state after/);
  const second = t.vkpn(['--config', 'frames:1000000']);
  expect([second.status, second.stderr]).toEqual([2, expect.stringMatching(new RegExp(`another run \\(process ${child.pid}\\) writes to .*w\\.checkpoints\n {2}Wait until`))]);
  child.kill('SIGKILL');
  await ended;
  expect(readdirSync(t.checkpoints)).toContain('lock');
  const third = t.vkpn(['--resume', '--checkpoint', '0', '--config', 'frames:1000001']);
  expect(third.stderr).toMatch(/\n {2}- frames:1000000\n {2}\+ frames:1000001\n/);
  expect(t.vkpn(['--checkpoint', '10f'])).toMatchObject({ status: 0 });
  // What the killed one had is set aside, not mixed with the new run's.
  expect(Object.keys(t.look().frames)).toContain(checkpointName(FRAMES));
  expect(readdirSync(join(t.checkpoints, 'previous'))).toContain('best.ckpt');
});

test('a process killed in the middle of a write leaves a hidden file, which the next one with that output removes; not one of a process that lives', async () => {
  const write = (die: string): void => {
    const body = `import { readdirSync } from 'node:fs'; import { writeAtomic } from ${JSON.stringify(join(packageRoot, 'dist', 'files.js'))};
      void writeAtomic(process.argv[1] + '/w.lut', new Uint8Array(5e8)); setInterval(() => { if (readdirSync(process.argv[1]).some((n) => n.startsWith('.'))) ${die}; }, 1);`;
    spawnSync(process.execPath, ['--input-type=module', '-e', body, t.dir]);
    expect(readdirSync(t.dir)).not.toContain('w.lut');
  };
  const hidden = (): string[] => readdirSync(t.dir).filter((n) => n.startsWith('.'));
  // A second Ctrl-C ends the process, which removes its own.
  write('process.exit(130)');
  expect(hidden()).toEqual([]);
  write("process.kill(process.pid, 'SIGKILL')");
  const [left = ''] = hidden();
  expect(left).toMatch(/^\.w\.lut\.[0-9a-f]{8}\.\d+\.\d+\.tmp$/);
  const mine = left.replace(/\.\d+\.\d+\.tmp$/, `.${process.pid}.99.tmp`);
  writeFileSync(join(t.dir, mine), '');
  await checkWritable(join(t.dir, 'w.lut'), {});
  expect(hidden()).toEqual([mine]);
  rmSync(join(t.dir, mine));
});
