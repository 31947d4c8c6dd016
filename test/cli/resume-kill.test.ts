// The real process, killed at random moments, goes on to the same bits (docs/checkpoints.md). Needs `npm run build`.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../../ts/root.js';

test('1,000 frames, killed after 500 and twice at random: every file whole after each, nothing reported is lost, the results those of a run without', () => {
  const child = spawnSync(process.execPath, [join(packageRoot, 'scripts', 'kill-resume.mjs'), '3', '1000', '100f'], { encoding: 'utf8', timeout: 280_000 });
  expect([child.status, child.stderr]).toEqual([0, '']);
  expect(child.stdout.match(/^kill \d: /gm)).toHaveLength(3);
  expect(child.stdout).toMatch(/^kill 1: goes on after frame (500|600)$/m);
  expect(child.stdout).toMatch(/^3 kills in \d+ runs of 1000 frames: all files whole after each, 1\d results as without a kill, bit for bit$/m);
}, 300_000);
