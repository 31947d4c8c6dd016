// What the program sees of the GPU: devices, buffers, kernels, programs (types.ts).
export { findDevices, listDevices, openDevice, prepareDevices, startDevice } from './device.js';
export { leave } from './native.js';
export { loadSpirv } from './kernel.js';
export type * from './types.js';
