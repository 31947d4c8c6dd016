// What probe.ts starts as a child process: opens every device, says so, and then runs the self-test that path auto will ask for of the best of them.
import { openDevice, listDevices } from './device.js';
import { firstTrial } from './matrix.js';
import { MARK } from './probe.js';
import { runTrial } from './selftest.js';
import type { Device } from './types.js';

const say = (what: object | string): void => void process.stdout.write(`${MARK}${JSON.stringify(what)}\n`);

/** What listing and opening throws on purpose is the parent's to report; the child is there for crashes. */
function openAll(): Device[] {
  const open = (index: number): Device[] => {
    try {
      return [openDevice({ index, cacheDir: null })];
    } catch {
      return [];
    }
  };
  try {
    return listDevices().flatMap(({ index }) => open(index));
  } catch {
    return [];
  }
}

const devices = openAll();
say('opened');
const device = devices.find((d) => d.info.type === 'discrete') ?? devices.find((d) => d.info.type === 'integrated');
const trial = device && firstTrial(device.info);
// A trial that throws is made again by selftest.ts, which says why.
if (trial) await runTrial(device, trial.path, trial.tile).then((wrong) => say({ index: device.info.index, ...trial, wrong: wrong ?? null }), () => undefined);
for (const d of devices) d.close();
