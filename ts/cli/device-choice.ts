// Which device of those present: the best by default, else by --device and --device-id.

import { InputError } from '../errors.js';
import type { DeviceInfo } from '../gpu/types.js';

const order: readonly DeviceInfo['type'][] = ['discrete', 'integrated', 'virtual', 'cpu', 'other'];

export interface DeviceChoice {
  /** A device's name or a part of it, in any case. */
  name?: string;
  /** The number that `vkpn devices` shows. */
  id?: number;
}

/** Throws InputError where nothing, or more than one, is meant; the message lists what there is. */
export function chooseDevice(devices: readonly DeviceInfo[], choice: DeviceChoice = {}): DeviceInfo {
  if (devices.length === 0) throw new InputError('NO_DEVICE', 'there is no Vulkan device', { hint: 'install a Vulkan driver; the CPU driver is in the package mesa-vulkan-drivers' });
  let left = devices.filter((d) => choice.id === undefined || d.index === choice.id);
  if (choice.name !== undefined) {
    const name = choice.name.toLowerCase();
    const exact = left.filter((d) => d.name.toLowerCase() === name);
    left = exact.length > 0 ? exact : left.filter((d) => d.name.toLowerCase().includes(name));
  }
  const hint = `there is: ${devices.map((d) => `${d.index}: ${d.name} (${d.type})`).join(', ')}`;
  const asked = [choice.name === undefined ? [] : [`--device "${choice.name}"`], choice.id === undefined ? [] : [`--device-id ${choice.id}`]].flat().join(' with ');
  if (left.length === 0) throw new InputError('NO_SUCH_DEVICE', `no device fits ${asked}`, { hint });
  if (choice.name !== undefined && left.length > 1) throw new InputError('NO_SUCH_DEVICE', `${asked} fits ${left.length} devices: give more of the name, or --device-id`, { hint });
  return [...left].sort((a, b) => order.indexOf(a.type) - order.indexOf(b.type))[0]!;
}
