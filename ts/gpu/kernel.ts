// Kernel: a pipeline of the addon, made from SPIR-V and specialisation constants.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GpuError } from '../errors.js';
import { packageRoot } from '../root.js';
import { isInteger, require_ } from './check.js';
import type { KernelHandle, NativeKernelDesc } from './native.js';
import type { BindingKind, DeviceInfo, Kernel, KernelDesc } from './types.js';

export class KernelImpl implements Kernel {
  constructor(
    readonly handle: KernelHandle,
    readonly name: string,
    readonly bindings: readonly BindingKind[],
    readonly pushBytes: number,
  ) {}
}

/**
 * The SPIR-V of glsl/<kernel>.comp as `npm run build` compiled it.
 * @param kernel "kpn/fwd"
 * @param variant a name from the source's `//! variant` lines
 * @throws GpuError NO_SHADER
 */
export function loadSpirv(kernel: string, variant?: string): Uint8Array {
  const path = join(packageRoot, 'dist', 'glsl', `${kernel}${variant === undefined ? '' : `.${variant}`}.spv`);
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new GpuError('NO_SHADER', `shader ${kernel}${variant === undefined ? '' : ` (variant ${variant})`} is not there: ${path}`, {
      cause,
      hint: "Run 'npm run build'.",
    });
  }
}

/** The 32 bits of a specialisation constant. */
function specBits(name: string, id: number, value: number | boolean | { f: number }): number {
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value === 'object') return new Uint32Array(new Float32Array([value.f]).buffer)[0]!;
  require_(isInteger(value, -(2 ** 31), 2 ** 32 - 1), () => `kernel ${name}: constant ${id} is ${value}, not a 32-bit integer; floats are { f: x }`);
  return value >>> 0;
}

/** Checks a desc and gives it the addon's form. Throws GpuError BAD_ARGUMENT. */
export function toNativeKernel(desc: KernelDesc, info: DeviceInfo): NativeKernelDesc {
  const { name, spirv, bindings, pushBytes = 0, spec = {}, subgroupSize = 0, fullSubgroups = false } = desc;
  const magic = spirv.byteLength >= 20 ? new DataView(spirv.buffer, spirv.byteOffset).getUint32(0, true) : 0;
  require_(magic === 0x07230203 && spirv.byteLength % 4 === 0, () => `kernel ${name}: this is not SPIR-V`);
  const most = info.limits.maxPushConstantsSize;
  require_(isInteger(pushBytes, 0, most) && pushBytes % 4 === 0, () => `kernel ${name}: ${pushBytes} bytes of push constants; a multiple of 4 up to ${most} is possible`);
  require_(isInteger(subgroupSize, 0) && (subgroupSize & (subgroupSize - 1)) === 0, () => `kernel ${name}: subgroup size ${subgroupSize} is not a power of two`);
  const constants = Object.entries(spec).map(([id, value]) => [Number(id), specBits(name, Number(id), value)] as const);
  return {
    name,
    spirv,
    uniform: Uint32Array.from(bindings, (kind) => (kind === 'uniform' ? 1 : 0)),
    pushBytes,
    specIds: Uint32Array.from(constants, ([id]) => id),
    specValues: Uint32Array.from(constants, ([, bits]) => bits),
    subgroupSize,
    fullSubgroups,
  };
}

/** Equal for equal descs. */
export function kernelKey(desc: NativeKernelDesc): string {
  const hash = createHash('sha256').update(desc.spirv);
  return JSON.stringify([
    desc.name,
    hash.digest('hex'),
    [...desc.uniform],
    desc.pushBytes,
    [...desc.specIds],
    [...desc.specValues],
    desc.subgroupSize,
    desc.fullSubgroups,
  ]);
}
