// Lets a child process load the addon and ask the drivers first: a driver that crashes then ends in a sentence.
import { spawnSync } from 'node:child_process';
import { GpuError } from '../errors.js';

// What listing and opening devices throws on purpose is the parent's to report; the child is there for crashes.
const script = `
const addon = require(process.argv[1]);
try { for (const d of addon.listDevices()) addon.closeDevice(addon.openDevice(d.index)); } catch {}
`;

/**
 * Tries the addon and every driver in a child process. VKPN_NO_PROBE=1 skips it.
 * @param addon path of the .node file
 * @throws GpuError DRIVER_CRASH where the child dies
 */
export function probe(addon: string): void {
  if (process.env.VKPN_NO_PROBE === '1') return;
  const child = spawnSync(process.execPath, ['--input-type=commonjs', '-e', script, addon], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 60_000,
    encoding: 'utf8',
  });
  if (child.status === 0) return;
  throw new GpuError('DRIVER_CRASH', `a Vulkan driver or the GPU addon failed when tried in a child process`);
}
