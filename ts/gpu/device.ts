// Device over the addon's device.
import { GpuError } from '../errors.js';
import { BufferImpl } from './buffer.js';
import { isInteger, require_ } from './check.js';
import { KernelImpl, kernelKey, toNativeKernel } from './kernel.js';
import { addonPath, gpuCall, gpuWait, native, type DeviceHandle, type KernelHandle, type Native, type NativeDeviceInfo } from './native.js';
import { PipelineCache } from './pipeline-cache.js';
import { probeMeanwhile } from './probe.js';
import { ProgramImpl, toNativeOps } from './program.js';
import { Queue } from './queue.js';
import type { Device, DeviceInfo, DeviceOptions, GpuBuffer, Kernel, KernelDesc, Op, Program } from './types.js';

let finding: Promise<NativeDeviceInfo[]> | undefined;
/** When the child that tries the drivers is done with its self-test as well. */
let tested: Promise<void> | undefined;

async function find(): Promise<NativeDeviceInfo[]> {
  const trial = probeMeanwhile(addonPath());
  tested = trial?.ended;
  await trial?.opened;
  return native().findDevices();
}

/** Has the drivers loaded by a thread, for a program that will ask for devices soon. What is wrong is told by what asks. */
export function prepareDevices(): void {
  finding ??= find();
  finding.catch(() => undefined);
}

/**
 * Every Vulkan 1.1 device of this machine, in the loader's order; `index` opens it.
 * @throws GpuError NO_LOADER, NO_DEVICE, NO_ADDON, DRIVER_CRASH
 */
export function listDevices(): DeviceInfo[] {
  return listNative();
}

/** The same by a thread, while other work goes on. */
export async function findDevices(): Promise<DeviceInfo[]> {
  return findNative();
}

function listNative(): NativeDeviceInfo[] {
  return some(gpuCall(() => native().listDevices()));
}

async function findNative(): Promise<NativeDeviceInfo[]> {
  finding ??= find();
  return some(await gpuWait(finding));
}

function some(devices: NativeDeviceInfo[]): NativeDeviceInfo[] {
  if (devices.length > 0) return devices;
  throw gpuCall((): GpuError => new GpuError('NO_DEVICE', 'no driver offers a device with Vulkan 1.1 or later'));
}

function deviceOf(devices: readonly NativeDeviceInfo[], index: number): NativeDeviceInfo {
  const info = devices[index];
  if (info !== undefined) return info;
  throw new GpuError('NO_SUCH_DEVICE', `there is no device ${index}; there are ${devices.map((d) => `${d.index}: ${d.name}`).join(', ')}`);
}

/**
 * Opens a device.
 * @throws GpuError as listDevices, and NO_SUCH_DEVICE
 */
export function openDevice({ index, cacheDir }: DeviceOptions): Device {
  const info = deviceOf(listNative(), index);
  return new DeviceImpl(native(), info, gpuCall(() => native().openDevice(index)), cacheDir);
}

/** The same by a thread, while other work goes on; what tries the device's paths is done then as well. */
export async function startDevice({ index, cacheDir }: DeviceOptions): Promise<Device> {
  const info = deviceOf(await findNative(), index);
  const handle = await gpuWait(native().startDevice(index));
  await tested;
  return new DeviceImpl(native(), info, handle, cacheDir);
}

/** Devices that are open. */
const open = new Set<DeviceImpl>();
// Node waits for worker threads before it exits: end what they run.
process.on('exit', () => open.forEach((device) => device.interrupt()));

class DeviceImpl implements Device {
  private readonly queue = new Queue();
  private readonly kernels = new Map<string, KernelImpl>();
  /** By threads, as long as they take. */
  private readonly building = new Map<string, Promise<KernelImpl>>();
  private readonly pipelines: PipelineCache;
  private closed = false;

  constructor(
    private readonly native: Native,
    readonly info: NativeDeviceInfo,
    private readonly handle: DeviceHandle,
    cacheDir: string | null | undefined,
  ) {
    this.pipelines = gpuCall(() => new PipelineCache(native, this.handle, info, cacheDir));
    open.add(this);
  }

  buffer(name: string, bytes: number, options: { host?: boolean; uniform?: boolean } = {}): GpuBuffer {
    this.checkOpen();
    require_(isInteger(bytes, 1), () => `buffer ${name}: ${bytes} bytes`);
    const { host = false, uniform = false } = options;
    const handle = gpuCall(() => this.native.createBuffer(this.handle, name, bytes, host, uniform));
    return new BufferImpl(this.native, this.queue, handle, name, bytes, uniform);
  }

  kernel(desc: KernelDesc): Kernel {
    this.checkOpen();
    const nativeDesc = toNativeKernel(desc, this.info);
    const key = kernelKey(nativeDesc);
    return this.kernels.get(key) ?? this.keep(key, desc, gpuCall(() => this.native.createKernel(this.handle, nativeDesc)));
  }

  async buildKernel(desc: KernelDesc): Promise<Kernel> {
    this.checkOpen();
    const nativeDesc = toNativeKernel(desc, this.info);
    const key = kernelKey(nativeDesc);
    const known = this.kernels.get(key) ?? this.building.get(key);
    if (known) return known;
    const made = gpuWait(gpuCall(() => this.native.buildKernel(this.handle, nativeDesc))).then((handle) => this.keep(key, desc, handle)).finally(() => this.building.delete(key));
    this.building.set(key, made);
    return made;
  }

  private keep(key: string, desc: KernelDesc, handle: KernelHandle): KernelImpl {
    const kernel = new KernelImpl(handle, desc.name, [...desc.bindings], desc.pushBytes ?? 0);
    this.kernels.set(key, kernel);
    this.pipelines.changed();
    return kernel;
  }

  program(ops: Op[], name = 'program'): Program {
    this.checkOpen();
    const nativeOps = toNativeOps(name, ops, this.info);
    // Now, not when the device is closed: whoever asks for a program has its kernels, and may be killed later.
    // (Not while others are built: the cache is theirs then. Who asked for them will ask for a program.)
    if (this.building.size === 0) gpuCall(() => this.pipelines.save());
    const handle = gpuCall(() => this.native.createProgram(this.handle, name, nativeOps));
    return new ProgramImpl(this.native, this.queue, handle, name);
  }

  interrupt(): void {
    if (!this.closed) gpuCall(() => this.native.interrupt(this.handle));
  }

  memory(): { budget: number; usage: number } {
    this.checkOpen();
    return gpuCall(() => this.native.memory(this.handle));
  }

  validationMessages(): string[] {
    return gpuCall(() => this.native.validationMessages(this.handle));
  }

  /** Ends a run under way (`interrupt`) and frees the device once that is over; at once where there is none. */
  close(): void {
    if (this.closed) return;
    this.interrupt();
    this.closed = true;
    open.delete(this);
    const free = (): Promise<void> => this.queue.add(() => this.native.closeDevice(this.handle));
    if (this.building.size === 0) void free();
    else void Promise.allSettled(this.building.values()).then(free);
  }

  private checkOpen(): void {
    if (this.closed) throw new GpuError('CLOSED', 'the device was closed');
  }
}
