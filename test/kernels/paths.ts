// The shader paths of the layers (kpn-t's parameter `path`) that the first device can run: tests of fwd, bck and mulw, and
// some whole steps, run once for each. A new path needs a line here.
import { listDevices } from '../../ts/gpu/index.js';

const { features } = listDevices()[0]!;

export const PATHS: readonly string[] = [
  'plain',
  ...(features.khrCooperativeMatrix ? ['khr'] : []),
  ...(features.nvCooperativeMatrix ? ['nv'] : []),
];
