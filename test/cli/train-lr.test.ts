// `vkpn train --find-lr`: reading the rate off the losses, and the command. Needs `npm run build`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rangeTest, ratesOf } from '../../ts/cli/find-lr.js';
import { packageRoot } from '../../ts/root.js';

jest.setTimeout(240_000);

const alphas = ratesOf(240);

test('falls fastest, turns and diverges where the curve does, whatever scatter both runs share', () => {
  const untrained = alphas.map((_a, i) => Math.exp(2 * Math.sin(i * 7)));
  // A fall centred at 1e-3, from 1 to 1/4; back up from 0.2 on.
  const losses = alphas.map((a, i) => untrained[i]! * (a > 0.2 ? 5 : Math.exp(-1.4 / (1 + (1e-3 / a) ** 3))));
  const t = rangeTest(alphas, losses, untrained);
  expect(t.steepest).toBeGreaterThan(5e-4);
  expect(t.steepest).toBeLessThan(3e-3);
  expect(t.diverged).toBeGreaterThan(0.2);
  expect(t.diverged).toBeLessThan(0.5);
  expect(t.suggestion).toBe(t.steepest);
  expect(() => rangeTest(alphas, untrained, untrained)).toThrow(/fell at no rate/);
});

test('the command suggests a rate that trains, and writes nothing', () => {
  const dir = mkdtempSync(join(tmpdir(), 'vkpn-lr-'));
  const child = spawnSync(process.execPath, [join(packageRoot, 'bin', 'vkpn'), 'train', join(packageRoot, 'examples', 'photos'), '--find-lr', '--batch', '2', '--tile', '32'], { cwd: dir, encoding: 'utf8' });
  expect({ code: child.status, err: child.stderr }).toMatchObject({ code: 0 });
  const rate = Number(/suggestion: --alpha (\S+)/.exec(child.stdout)![1]);
  expect(rate).toBeGreaterThan(1e-4);
  expect(rate).toBeLessThan(0.1);
  expect(readdirSync(dir)).toEqual([]);
  rmSync(dir, { recursive: true });
});
