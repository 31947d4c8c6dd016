// The contract between the program and the GPU: what ts/gpu offers, free of networks and images.
// Implemented by device.ts, buffer.ts, kernel.ts, program.ts over the N-API addon in native/.

/** One supported matrix product D[MxN] = A[MxK] * B[KxN] + C[MxN] of a cooperative-matrix extension. */
export interface MatrixShape {
  m: number;
  n: number;
  k: number;
  a: ComponentType;
  b: ComponentType;
  c: ComponentType;
  result: ComponentType;
  scope: 'subgroup' | 'workgroup' | 'device' | 'queuefamily';
  /** NV2 flexible dimensions: m, n, k are granularities, not sizes; invocations a workgroup must have. */
  workgroupInvocations?: number;
}
export type ComponentType = 'f16' | 'f32' | 'f64' | 'i8' | 'i16' | 'i32' | 'i64' | 'u8' | 'u16' | 'u32' | 'u64' | 'other';

export interface DeviceInfo {
  index: number;
  name: string;
  type: 'discrete' | 'integrated' | 'virtual' | 'cpu' | 'other';
  vendorId: number;
  deviceId: number;
  /** Hex of VkPhysicalDeviceIDProperties. */
  deviceUuid: string;
  driverUuid: string;
  driverName: string;
  driverInfo: string;
  /** "1.3.230". */
  apiVersion: string;
  /** Bytes of the device-local heaps, and of the budget left (VK_EXT_memory_budget; else equal to heap). */
  memoryBytes: number;
  memoryBudget: number;
  subgroup: { size: number; min: number; max: number; sizeControl: boolean; fullSubgroups: boolean; shuffle: boolean };
  limits: {
    maxStorageBufferRange: number;
    maxUniformBufferRange: number;
    maxPushConstantsSize: number;
    maxComputeSharedMemorySize: number;
    maxComputeWorkGroupInvocations: number;
    maxComputeWorkGroupSize: [number, number, number];
    maxComputeWorkGroupCount: [number, number, number];
    minStorageBufferOffsetAlignment: number;
    minUniformBufferOffsetAlignment: number;
    timestampPeriodNs: number;
    timestampValidBits: number;
  };
  features: {
    shaderFloat16: boolean;
    storageBuffer16BitAccess: boolean;
    vulkanMemoryModel: boolean;
    khrCooperativeMatrix: boolean;
    nvCooperativeMatrix: boolean;
    /** VK_NV_cooperative_matrix2 with its flexible-dimensions, conversions and workgroup-scope features. */
    nvCooperativeMatrix2: { flexibleDimensions: boolean; conversions: boolean; workgroupScope: boolean } | null;
  };
  matrixShapes: { khr: MatrixShape[]; nv: MatrixShape[]; nv2: MatrixShape[] };
}

export type BindingKind = 'storage' | 'uniform';

export interface KernelDesc {
  /** For messages and the debug-utils label: "kpn/fwd". */
  name: string;
  /** SPIR-V; entry point `main`. */
  spirv: Uint8Array;
  /** Descriptor set 0, binding = index. */
  bindings: BindingKind[];
  /** Bytes of push constants, 0..128. */
  pushBytes?: number;
  /** constant_id -> 32-bit value; integers as u32/i32, { f: x } as float, booleans as VkBool32. */
  spec?: Record<number, number | boolean | { f: number }>;
  /** VK_EXT_subgroup_size_control: required size, and full subgroups. */
  subgroupSize?: number;
  fullSubgroups?: boolean;
}

export interface Kernel {
  readonly name: string;
}

export interface GpuBuffer {
  readonly name: string;
  readonly bytes: number;
  /** Synchronous, through staging where the memory is not host-visible. Waits for nothing: call it between runs. */
  write(data: ArrayBufferView, offset?: number): void;
  /** Copy to the host (a wait for a submit where the memory is not host-visible). */
  read(offset?: number, bytes?: number): Promise<Uint8Array>;
  /** Fill with a 32-bit pattern (4-byte aligned range). */
  fill(value: number, offset?: number, bytes?: number): void;
  destroy(): void;
}

/** A part of a buffer. `bytes` undefined: to its end. */
export interface BufferView {
  buffer: GpuBuffer;
  offset?: number;
  bytes?: number;
}

/**
 * `lead`: in a repetition that follows another the op takes part so many barriers earlier, in the repetition before if there are not so many before it. That
 * nothing it touches is in the way there is the caller's to see to. 0: it stays.
 */
export type Op =
  | { op: 'dispatch'; kernel: Kernel; bindings: BufferView[]; push?: Uint8Array; groups: [number, number, number]; label?: string; lead?: number }
  /** Full memory barrier between everything before and everything after (compute + transfer). */
  | { op: 'barrier' }
  | { op: 'copy'; src: BufferView; dst: BufferView; bytes: number; lead?: number }
  | { op: 'fill'; dst: BufferView; value: number; bytes: number };

export interface RunResult {
  /** Repetitions completed: less than asked after `interrupt`. */
  done: number;
  /** Wall time of the run, seconds. */
  seconds: number;
  /** With timestamps: GPU nanoseconds an op, medians over the repetitions timed, in the order of the ops (0 for barriers). No op leads where ops are timed. */
  opNs?: number[];
  /** With timestamps: GPU nanoseconds of each whole repetition that was timed. */
  repeatNs?: number[];
}

/** A list of ops, recorded once and replayed. Between repetitions stands a full barrier; ops that lead come before it. */
export interface Program {
  /**
   * Replays the ops `repeats` times on a worker thread; many repetitions a submit, each submit bounded to about
   * `submitMs` (default 100) by measurement. Resolves when the device is idle again.
   */
  run(repeats: number, options?: { timestamps?: boolean; submitMs?: number; maxPerSubmit?: number }): Promise<RunResult>;
  destroy(): void;
}

export interface DeviceOptions {
  index: number;
  /** Folder of the pipeline cache; undefined: the user's cache folder; null: none. */
  cacheDir?: string | null;
}

export interface Device {
  readonly info: DeviceInfo;
  /** Throws GpuError OUT_OF_MEMORY naming the buffer, needed and available bytes. `host`: host-visible, cached. Contents undefined. */
  buffer(name: string, bytes: number, options?: { host?: boolean; uniform?: boolean }): GpuBuffer;
  /** Builds a pipeline; the same desc gives the same Kernel. */
  kernel(desc: KernelDesc): Kernel;
  /** The same on a thread, while the event loop and what runs on the device go on. */
  buildKernel(desc: KernelDesc): Promise<Kernel>;
  program(ops: Op[], name?: string): Program;
  /** Ends the current run after the submits in flight. */
  interrupt(): void;
  memory(): { budget: number; usage: number };
  /** Messages of the validation layer since the last call (empty without it). */
  validationMessages(): string[];
  close(): void;
}
