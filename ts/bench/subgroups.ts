// How kernels of whole subgroups are launched that are not the network's (glsl/common/path.glsl).

import type { TileShape } from '../gpu/matrix.js';
import type { DeviceInfo, KernelDesc } from '../gpu/types.js';

/** Constants and subgroup demands of a kernel with `wanted` subgroups a workgroup, or as many as the device has room for. */
export function launchOfSubgroups(info: DeviceInfo, tile: TileShape, wanted: number): { launch: Pick<KernelDesc, 'spec' | 'subgroupSize' | 'fullSubgroups'>; perGroup: number } {
  const { size, sizeControl, fullSubgroups } = info.subgroup;
  const perGroup = Math.max(1, Math.min(wanted, Math.floor(info.limits.maxComputeWorkGroupInvocations / size)));
  return {
    perGroup,
    launch: {
      spec: { 0: size * perGroup, 18: tile.m, 19: tile.n, 20: tile.k, 21: size, 22: perGroup },
      ...(sizeControl ? { subgroupSize: size } : {}),
      ...(fullSubgroups ? { fullSubgroups } : {}),
    },
  };
}
