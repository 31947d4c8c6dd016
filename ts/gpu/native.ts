// The addon's functions as native/addon.cpp exports them. It trusts its arguments: only ts/gpu, which checks them, calls it.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { GpuError } from '../errors.js';
import { packageRoot } from '../root.js';
import { probe } from './probe.js';
import type { DeviceInfo, RunResult } from './types.js';

declare const handle: unique symbol;
/** An opaque object of the addon. */
export interface Handle<Kind extends string> {
  readonly [handle]: Kind;
}
export type DeviceHandle = Handle<'device'>;
export type BufferHandle = Handle<'buffer'>;
export type KernelHandle = Handle<'kernel'>;
export type ProgramHandle = Handle<'program'>;

/** DeviceInfo with what the pipeline cache's key needs beside it. */
export interface NativeDeviceInfo extends DeviceInfo {
  driverVersion: number;
}

export interface NativeView {
  buffer: BufferHandle;
  offset: number;
  bytes: number;
}

export const opKind = { dispatch: 0, barrier: 1, copy: 2, fill: 3 } as const;
export type NativeOp =
  | {
      kind: typeof opKind.dispatch;
      kernel: KernelHandle;
      views: NativeView[];
      push: Uint8Array;
      groups: [number, number, number];
      label: string;
      lead: number;
    }
  | { kind: typeof opKind.barrier }
  | { kind: typeof opKind.copy; views: [NativeView, NativeView]; lead: number }
  | { kind: typeof opKind.fill; views: [NativeView]; value: number };

export interface NativeKernelDesc {
  name: string;
  spirv: Uint8Array;
  /** 1 where the binding is a uniform buffer, 0 where it is a storage buffer. */
  uniform: Uint32Array;
  pushBytes: number;
  specIds: Uint32Array;
  specValues: Uint32Array;
  /** 0: the driver's choice. */
  subgroupSize: number;
  fullSubgroups: boolean;
}

export interface Native {
  listDevices(): NativeDeviceInfo[];
  findDevices(): Promise<NativeDeviceInfo[]>;
  openDevice(index: number): DeviceHandle;
  startDevice(index: number): Promise<DeviceHandle>;
  closeDevice(device: DeviceHandle): void;
  interrupt(device: DeviceHandle): void;
  memory(device: DeviceHandle): { budget: number; usage: number };
  validationMessages(device: DeviceHandle): string[];
  pipelineCacheData(device: DeviceHandle): Uint8Array;
  mergePipelineCache(device: DeviceHandle, data: Uint8Array): boolean;
  createBuffer(device: DeviceHandle, name: string, bytes: number, host: boolean, uniform: boolean): BufferHandle;
  writeBuffer(buffer: BufferHandle, data: Uint8Array, offset: number): void;
  fillBuffer(buffer: BufferHandle, value: number, offset: number, bytes: number): void;
  readBuffer(buffer: BufferHandle, offset: number, bytes: number): Promise<Uint8Array>;
  destroyBuffer(buffer: BufferHandle): void;
  createKernel(device: DeviceHandle, desc: NativeKernelDesc): KernelHandle;
  buildKernel(device: DeviceHandle, desc: NativeKernelDesc): Promise<KernelHandle>;
  createProgram(device: DeviceHandle, name: string, ops: NativeOp[]): ProgramHandle;
  runProgram(program: ProgramHandle, repeats: number, timestamps: boolean, submitMs: number, maxPerSubmit: number): Promise<RunResult>;
  destroyProgram(program: ProgramHandle): void;
  leave(code: number): never;
}

const hints: Record<string, string> = {
  NO_LOADER: "Install it (Debian, Ubuntu: 'apt install libvulkan1', and 'mesa-vulkan-drivers' for a driver that runs on the CPU).",
  NO_DEVICE: "Install a Vulkan driver (Debian, Ubuntu: 'apt install mesa-vulkan-drivers' has one for every CPU); 'vulkaninfo --summary' shows what there is.",
  NO_SUCH_DEVICE: "'vkpn devices' lists what there is.",
  DEVICE_LOST: "Run again; if it happens again, the driver's log ('dmesg') says more, and a smaller batch makes shorter submits.",
  OUT_OF_MEMORY: 'Close other programs that use the device, or use a smaller batch or picture.',
};

/** What the addon's errors have as `code`. */
const addonCodes = new Set([...Object.keys(hints), 'VULKAN', 'UNSUPPORTED', 'BAD_ARGUMENT', 'BUSY', 'CLOSED']);

/** The error that the addon threw, as a GpuError; others unchanged. */
export function toGpuError(error: unknown): unknown {
  // Not by instanceof: the addon's errors may be of another realm (jest, worker threads).
  if (typeof error !== 'object' || error === null || error instanceof GpuError) return error;
  const { code, message } = error as Partial<NodeJS.ErrnoException>;
  if (code === undefined || message === undefined || !addonCodes.has(code)) return error;
  return new GpuError(code, message, { hint: hints[code] });
}

/** Calls into the addon; what it throws arrives as GpuError. */
export function gpuCall<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw toGpuError(error);
  }
}

/** Waits for the addon; what it rejects with arrives as GpuError. */
export async function gpuWait<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw toGpuError(error);
  }
}

let loaded: Native | undefined;

/** Path of the addon's file. Throws GpuError NO_ADDON. */
export function addonPath(): string {
  const findAddon = createRequire(join(packageRoot, 'package.json'))('node-gyp-build') as { path(root: string): string };
  try {
    return findAddon.path(packageRoot);
  } catch (cause) {
    throw new GpuError('NO_ADDON', 'the GPU addon is not built', { cause, hint: "Run 'npm run build'." });
  }
}

/** Ends the process at once where the addon is loaded, and runs no destructor. */
export function leave(code: number): void {
  loaded?.leave(code);
}

/**
 * The addon, loaded on the first call, after a child process has shown that it and the drivers survive that.
 * Throws GpuError NO_ADDON, DRIVER_CRASH.
 */
export function native(): Native {
  if (loaded) return loaded;
  const path = addonPath();
  probe(path);
  try {
    loaded = createRequire(path)(path) as Native;
  } catch (cause) {
    throw new GpuError('NO_ADDON', `the GPU addon cannot be loaded: ${(cause as Error).message}`, {
      cause,
      hint: "Run 'npm run build' to build it anew for this machine.",
    });
  }
  return loaded;
}
