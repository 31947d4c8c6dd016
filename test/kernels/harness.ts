// Runs one kernel alone. Outputs are poisoned before, so that an element that isn't written is seen; around every buffer lie
// sentinels, inside the range that is bound (drivers may drop writes outside of it), so that an overrun is seen.
import type { Device, GpuBuffer } from '../../ts/gpu/types.js';
import { loadSpirv } from '../../ts/gpu/kernel.js';
import { checkGraph } from '../../ts/graph/run.js';
import { makePlan } from '../../ts/graph/plan.js';
import type { NodeDesc } from '../../ts/graph/types.js';
import { graphOf, shortName, type Snapshot, type StepCase } from './step-run.js';

/** As f16 two NaNs, as f32 4e37. */
const POISON = 0x7e017e01;
const SENTINEL = 0x5e47195e;
/** Bytes before and after a buffer; a multiple of any offset's alignment. */
const GUARD = 4096;

export interface Use {
  name: string;
  access: 'r' | 'w' | 'rw';
  bytes: number;
  uniform?: boolean;
}

/** A dispatch of one kernel. */
export interface Dispatch {
  kernel: string;
  variant?: string | undefined;
  /** Default: as built of `kernel` and `variant`. */
  spirv?: Uint8Array | undefined;
  spec?: NodeDesc['spec'];
  push?: Uint8Array | undefined;
  groups: [number, number, number];
  subgroupSize?: number | undefined;
  fullSubgroups?: boolean | undefined;
  uses: Use[];
}

const padded = (bytes: number): number => Math.ceil(bytes / 4) * 4;

/** Throws where a word differs from the sentinel. */
async function checkGuards(buffer: GpuBuffer, use: Use): Promise<void> {
  const all = await buffer.read();
  const words = new Uint32Array(all.buffer, all.byteOffset, all.byteLength / 4);
  words.forEach((word, i) => {
    const inside = 4 * i >= GUARD && 4 * i < GUARD + padded(use.bytes);
    if (!inside && word !== SENTINEL) throw new Error(`${use.name}: written ${4 * i < GUARD ? 'before its begin' : `${4 * i - GUARD - use.bytes} bytes behind its end`}`);
  });
}

/**
 * Runs a kernel once. `contents` holds what it reads, by name; what it only writes starts as poison.
 * @returns what every buffer holds afterwards
 * @throws Error where it writes outside of a buffer, or into one that it only reads
 */
export async function runKernel(device: Device, dispatch: Dispatch, contents: Snapshot): Promise<Snapshot> {
  const { kernel, variant, spec, push, groups, uses, subgroupSize, fullSubgroups } = dispatch;
  const buffers = uses.map((use) => {
    const buffer = use.uniform ? device.buffer(use.name, padded(use.bytes), { uniform: true }) : device.buffer(use.name, padded(use.bytes) + 2 * GUARD);
    const at = use.uniform ? 0 : GUARD;
    buffer.fill(SENTINEL);
    buffer.fill(POISON, at, padded(use.bytes));
    const data = contents.get(use.name);
    if (use.access !== 'w' && !data) throw new Error(`${kernel} reads ${use.name}, which the test doesn't fill`);
    if (use.access !== 'w' && data!.byteLength !== use.bytes) throw new Error(`${use.name} is given ${data!.byteLength} bytes, has ${use.bytes}`);
    if (use.access !== 'w') buffer.write(data!, at);
    return buffer;
  });
  const built = device.kernel({
    name: variant === undefined ? kernel : `${kernel}.${variant}`, spirv: dispatch.spirv ?? loadSpirv(kernel, variant),
    bindings: uses.map((use) => (use.uniform ? 'uniform' : 'storage')), pushBytes: push?.byteLength ?? 0, spec: spec ?? {}, subgroupSize, fullSubgroups,
  });
  const bindings = buffers.map((buffer, i) => (uses[i]!.uniform ? { buffer } : { buffer, offset: GUARD, bytes: padded(uses[i]!.bytes) + GUARD }));
  const program = device.program([{ op: 'dispatch', kernel: built, bindings, groups, ...(push ? { push } : {}) }]);
  try {
    await program.run(1);
    const result: Snapshot = new Map(contents);
    for (const [i, use] of uses.entries()) {
      if (!use.uniform) await checkGuards(buffers[i]!, use);
      const data = await buffers[i]!.read(use.uniform ? 0 : GUARD, use.bytes);
      if (use.access === 'r' && Buffer.compare(data, contents.get(use.name)!) !== 0) throw new Error(`${kernel} changed ${use.name}, which it says it only reads`);
      result.set(use.name, data);
    }
    return result;
  } finally {
    program.destroy();
    buffers.forEach((buffer) => buffer.destroy());
  }
}

/** The nodes of kpn-t in the plan of a case whose label fits, in order: what the module itself dispatches, sizes and variant. */
export async function nodesOf(device: Device, c: StepCase, label: RegExp): Promise<Dispatch[]> {
  const { run } = await checkGraph(graphOf(c));
  const plan = makePlan(run, device.info, { shareMemory: false });
  const found = plan.steps.flatMap((step) => (step.kind === 'node' && step.module === 'kpn-t:01' && label.test(step.desc.label) ? [step.desc] : []));
  if (found.length === 0) throw new Error(`no node ${String(label)}; there are ${plan.steps.map((s) => (s.kind === 'node' ? s.desc.label : '')).join(', ')}`);
  return found.map((desc) => ({ ...desc, uses: desc.uses.map((use) => ({ name: shortName(use.buffer), access: use.access, bytes: use.buffer.bytes, uniform: use.kind === 'uniform' })) }));
}

/** Runs those nodes one after the other, each with what the others left; each is alone in its program. */
export async function runNodes(device: Device, c: StepCase, label: RegExp, contents: Snapshot): Promise<Snapshot> {
  let state = contents;
  for (const dispatch of await nodesOf(device, c, label)) {
    const first = dispatch.uses.filter((use) => use.access === 'rw' && !state.has(use.name)).map((use) => [use.name, poison(use.bytes)] as const);
    // Several nodes fill one buffer, a level each: what an earlier one wrote must stay.
    const again = { ...dispatch, uses: dispatch.uses.map((use) => (use.access === 'w' && state.has(use.name) ? { ...use, access: 'rw' as const } : use)) };
    state = await runKernel(device, again, new Map([...state, ...first]));
  }
  return state;
}

export function poison(bytes: number): Uint8Array {
  return new Uint8Array(new Uint32Array(padded(bytes) / 4).fill(POISON).buffer, 0, bytes);
}
