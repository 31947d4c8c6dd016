// Program: a list of ops, checked here, recorded and replayed by the addon.
import { GpuError } from '../errors.js';
import { BufferImpl, checkFill } from './buffer.js';
import { checkRange, isInteger, require_ } from './check.js';
import { KernelImpl } from './kernel.js';
import { opKind, type Native, type NativeOp, type NativeView, type ProgramHandle } from './native.js';
import type { Queue } from './queue.js';
import type { BufferView, DeviceInfo, Op, Program, RunResult } from './types.js';

export class ProgramImpl implements Program {
  private destroyed = false;

  constructor(
    private readonly native: Native,
    private readonly queue: Queue,
    private readonly handle: ProgramHandle,
    private readonly name: string,
  ) {}

  async run(repeats: number, options: { timestamps?: boolean; submitMs?: number; maxPerSubmit?: number } = {}): Promise<RunResult> {
    const { timestamps = false, submitMs = 100, maxPerSubmit = 2 ** 31 } = options;
    if (this.destroyed) throw new GpuError('CLOSED', `program ${this.name} was destroyed`);
    require_(isInteger(repeats, 0), () => `program ${this.name}: ${repeats} repetitions`);
    require_(submitMs > 0, () => `program ${this.name}: submitMs must be positive, not ${submitMs}`);
    require_(isInteger(maxPerSubmit, 1), () => `program ${this.name}: maxPerSubmit must be at least 1, not ${maxPerSubmit}`);
    return this.queue.add(() => this.native.runProgram(this.handle, repeats, timestamps, submitMs, maxPerSubmit));
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.native.destroyProgram(this.handle);
  }
}

/** The buffer behind a view, with the view's range made explicit and within it. */
function toView(what: string, view: BufferView, bytes?: number): NativeView & { impl: BufferImpl } {
  const impl = view.buffer;
  require_(impl instanceof BufferImpl, () => `${what}: not a buffer of this program`);
  impl.checkAlive();
  const offset = view.offset ?? 0;
  const whole = view.bytes ?? impl.bytes - offset;
  checkRange(`${what}: buffer ${impl.name}`, offset, whole, impl.bytes);
  if (bytes !== undefined) checkRange(`${what}: view of buffer ${impl.name}`, 0, bytes, whole);
  return { buffer: impl.handle, offset, bytes: bytes ?? whole, impl };
}

function toDispatch(what: string, op: Extract<Op, { op: 'dispatch' }>, { limits }: DeviceInfo): NativeOp {
  const { kernel, bindings, groups, push = new Uint8Array(0) } = op;
  require_(kernel instanceof KernelImpl, () => `${what}: not a kernel of this device`);
  const label = op.label ?? kernel.name;
  what = `${what} (${label})`;
  require_(bindings.length === kernel.bindings.length, () => `${what}: kernel ${kernel.name} has ${kernel.bindings.length} bindings, not ${bindings.length}`);
  require_(push.byteLength === kernel.pushBytes, () => `${what}: kernel ${kernel.name} takes ${kernel.pushBytes} bytes of push constants, not ${push.byteLength}`);
  groups.forEach((n, i) => {
    const most = limits.maxComputeWorkGroupCount[i]!;
    require_(isInteger(n, 1, most), () => `${what}: ${n} workgroups in ${'xyz'[i]}; 1 to ${most} are possible`);
  });
  const views = bindings.map((binding, i) => {
    const view = toView(`${what}: binding ${i}`, binding);
    const uniform = kernel.bindings[i] === 'uniform';
    const alignment = uniform ? limits.minUniformBufferOffsetAlignment : limits.minStorageBufferOffsetAlignment;
    const most = uniform ? limits.maxUniformBufferRange : limits.maxStorageBufferRange;
    require_(!uniform || view.impl.uniform, () => `${what}: binding ${i}: buffer ${view.impl.name} was not made with { uniform: true }`);
    require_(view.offset % alignment === 0, () => `${what}: binding ${i}: offset ${view.offset} into buffer ${view.impl.name} is not a multiple of ${alignment}`);
    require_(view.bytes > 0 && view.bytes <= most, () => `${what}: binding ${i}: ${view.bytes} bytes of buffer ${view.impl.name}; 1 to ${most} can be bound`);
    return view;
  });
  return { kind: opKind.dispatch, kernel: kernel.handle, views, push, groups, label, lead: op.lead ?? 0 };
}

function toCopy(what: string, op: Extract<Op, { op: 'copy' }>): NativeOp {
  require_(isInteger(op.bytes, 1), () => `${what}: ${op.bytes} bytes`);
  const src = toView(`${what} from`, op.src, op.bytes);
  const dst = toView(`${what} to`, op.dst, op.bytes);
  const apart = src.impl !== dst.impl || src.offset + op.bytes <= dst.offset || dst.offset + op.bytes <= src.offset;
  require_(apart, () => `${what}: source and destination overlap in buffer ${src.impl.name}`);
  return { kind: opKind.copy, views: [src, dst], lead: op.lead ?? 0 };
}

function toFill(what: string, op: Extract<Op, { op: 'fill' }>): NativeOp {
  require_(isInteger(op.bytes, 1), () => `${what}: ${op.bytes} bytes`);
  const dst = toView(what, op.dst, op.bytes);
  checkFill(what, op.value, dst.offset, op.bytes, dst.impl.bytes);
  return { kind: opKind.fill, views: [dst], value: op.value >>> 0 };
}

/** Checks ops and gives them the addon's form. Throws GpuError BAD_ARGUMENT naming the op. */
export function toNativeOps(name: string, ops: Op[], info: DeviceInfo): NativeOp[] {
  const barriers = ops.filter((op) => op.op === 'barrier').length;
  return ops.map((op, i) => {
    const what = `program ${name}, op ${i}, ${op.op}`;
    if ('lead' in op) require_(isInteger(op.lead ?? 0, 0, barriers), () => `${what}: leads by ${op.lead} barriers; 0 to ${barriers} are possible`);
    switch (op.op) {
      case 'dispatch':
        return toDispatch(what, op, info);
      case 'copy':
        return toCopy(what, op);
      case 'fill':
        return toFill(what, op);
      case 'barrier':
        return { kind: opKind.barrier };
    }
  });
}
