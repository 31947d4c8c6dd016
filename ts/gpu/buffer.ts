// GpuBuffer over the addon's buffer.
import { GpuError } from '../errors.js';
import { checkRange, isInteger, require_ } from './check.js';
import { gpuCall, type BufferHandle, type Native } from './native.js';
import type { Queue } from './queue.js';
import type { GpuBuffer } from './types.js';

export class BufferImpl implements GpuBuffer {
  private destroyed = false;

  constructor(
    private readonly native: Native,
    private readonly queue: Queue,
    readonly handle: BufferHandle,
    readonly name: string,
    readonly bytes: number,
    readonly uniform: boolean,
  ) {}

  write(data: ArrayBufferView, offset = 0): void {
    const view = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.checkAlive();
    checkRange(`write to buffer ${this.name}`, offset, view.byteLength, this.bytes);
    gpuCall(() => this.native.writeBuffer(this.handle, view, offset));
  }

  read(offset = 0, bytes = this.bytes - offset): Promise<Uint8Array> {
    this.checkAlive();
    checkRange(`read of buffer ${this.name}`, offset, bytes, this.bytes);
    return this.queue.add(() => this.native.readBuffer(this.handle, offset, bytes));
  }

  fill(value: number, offset = 0, bytes = this.bytes - offset): void {
    this.checkAlive();
    checkFill(`fill of buffer ${this.name}`, value, offset, bytes, this.bytes);
    gpuCall(() => this.native.fillBuffer(this.handle, value >>> 0, offset, bytes));
  }

  /** Frees the memory, at the latest when the last program that uses it goes. */
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.native.destroyBuffer(this.handle);
  }

  checkAlive(): void {
    if (this.destroyed) throw new GpuError('CLOSED', `buffer ${this.name} was destroyed`);
  }
}

/** What a fill needs: a 32-bit value, offset and size multiples of 4, within the buffer. */
export function checkFill(what: string, value: number, offset: number, bytes: number, size: number): void {
  checkRange(what, offset, bytes, size);
  require_(offset % 4 === 0 && bytes % 4 === 0, () => `${what}: offset ${offset} and size ${bytes} must be multiples of 4`);
  require_(isInteger(value, -(2 ** 31), 2 ** 32 - 1), () => `${what}: ${value} is not a 32-bit value`);
}
