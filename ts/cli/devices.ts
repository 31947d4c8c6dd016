// `vkpn devices`: every device, what it can do, its cooperative-matrix shapes.

import type { Command } from 'commander';
import { listDevices, type DeviceInfo, type MatrixShape } from '../gpu/index.js';
import { describePath, pathReport } from '../modules/kpn/path.js';

export function register(program: Command): void {
  program
    .command('devices')
    .description('list the Vulkan devices and what they can do')
    .option('--json', 'everything, for programs')
    .action((options: { json?: boolean }) => {
      const devices = listDevices();
      const told = devices.map((d) => ({ ...d, paths: pathReport(d) }));
      process.stdout.write(options.json ? `${JSON.stringify(told, null, 2)}\n` : told.map((d) => describeDevice(d, d.paths)).join('\n'));
    });
}

/** The text about one device, for people. */
export function describeDevice(d: DeviceInfo, paths = pathReport(d)): string {
  const { subgroup: s, limits, features: f, matrixShapes } = d;
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const yes = (b: boolean): string => (b ? 'yes' : 'no');
  const nv2 = f.nvCooperativeMatrix2;
  const converts = paths.chosen.name !== 'plain' && paths.chosen.tile.converts === true;
  const lines = [
    `${d.index}: ${d.name} (${d.type})`,
    `   driver        ${d.driverName} ${d.driverInfo}, Vulkan ${d.apiVersion}`,
    `   memory        ${gib(d.memoryBytes)}, of which free ${gib(d.memoryBudget)}`,
    `   subgroups     ${s.size}${s.min === s.max ? '' : ` (${s.min} to ${s.max})`}${s.sizeControl ? ', size can be required' : ''}${s.fullSubgroups ? ', full subgroups too' : ''}`,
    `   workgroups    ${limits.maxComputeWorkGroupInvocations} invocations, ${limits.maxComputeSharedMemorySize / 1024} KiB shared memory`,
    `   f16           arithmetic ${yes(f.shaderFloat16)}, storage ${yes(f.storageBuffer16BitAccess)}`,
    ...shapeLines('matrix KHR', f.khrCooperativeMatrix, matrixShapes.khr),
    ...shapeLines('matrix NV', f.nvCooperativeMatrix, matrixShapes.nv),
    ...shapeLines('matrix NV2', nv2 !== null, matrixShapes.nv2),
    ...(nv2 ? [`                 flexible dimensions ${yes(nv2.flexibleDimensions)}, conversions ${yes(nv2.conversions)}, workgroup scope ${yes(nv2.workgroupScope)}`] : []),
    `   path          ${describePath(paths.chosen)}${converts ? ", with NV2's conversions" : ''} (auto)`,
    ...paths.others.map(({ path, why }) => `                 not ${path}: ${why}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** `MxNxK a*b+c -> result scope`, those of the same types on one line. */
function shapeLines(title: string, present: boolean, shapes: readonly MatrixShape[]): string[] {
  if (!present) return [`   ${title.padEnd(13)} no`];
  const groups = new Map<string, string[]>();
  for (const s of shapes) {
    const types = `${s.a}*${s.b}+${s.c} -> ${s.result}, ${s.scope}${s.workgroupInvocations === undefined ? '' : ` of ${s.workgroupInvocations}`}`;
    groups.set(types, [...(groups.get(types) ?? []), `${s.m}x${s.n}x${s.k}`]);
  }
  const rows = [...groups].map(([types, sizes]) => `${types}: ${sizes.join(' ')}`);
  return (rows.length > 0 ? rows : ['yes, but it lists no shape']).map((row, i) => `   ${(i === 0 ? title : '').padEnd(13)} ${row}`);
}
