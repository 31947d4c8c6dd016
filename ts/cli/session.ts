// What every command that works on a device shares: its options, and opening the device that is meant.

import { InvalidArgumentError, type Command } from 'commander';
import { findDevices, listDevices, openDevice as openIndex, startDevice as startIndex, type Device, type DeviceInfo } from '../gpu/index.js';
import { chooseDevice } from './device-choice.js';
import { channels, type Log } from './log.js';

export interface CommonOptions {
  /** Part of a device's name. */
  device?: string;
  deviceId?: number;
  /** Log levels. */
  d?: string[];
}

/** Adds --device, --device-id and -d. */
export function deviceOptions(command: Command): Command {
  return command
    .option('--device <name>', 'the device with this name, or part of it (default: the best there is)')
    .option('--device-id <n>', 'the device with this number in `vkpn devices`', wholeNumber)
    .option('-d <levels>', `what to log, with commas between: none ${channels.join(' ')} all (default: cli)`, (level: string, before: string[] = []) => [...before, level]);
}

/** For commander: a whole number, not negative. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It should be a whole number, not negative.');
  return Number(text);
}

/** The device that the options mean. Throws GpuError NO_LOADER, NO_DEVICE, …, InputError NO_SUCH_DEVICE. */
export const findDevice = (options: CommonOptions, log: Log): DeviceInfo => choose(listDevices(), options, log);

function choose(devices: readonly DeviceInfo[], options: CommonOptions, log: Log): DeviceInfo {
  const info = chooseDevice(devices, { name: options.device, id: options.deviceId });
  log.log('qvk', `device ${info.index}: ${info.name} (${info.type}), ${info.driverName} ${info.driverInfo}, Vulkan ${info.apiVersion}`);
  return info;
}

/** Opens it. The caller closes it. */
export function openDevice(options: CommonOptions, log: Log): Device {
  return openIndex({ index: findDevice(options, log).index });
}

/** The same by a thread, while other work goes on. */
export async function startDevice(options: CommonOptions, log: Log): Promise<Device> {
  return startIndex({ index: choose(await findDevices(), options, log).index });
}
