// What a checkpoint holds of a run: every buffer of the plan whose contents one frame hands on to a later one, and what modules
// keep on the host. Nothing has to be declared to be saved; modules give names, types and shapes to what people look at.

import { InputError } from '../errors.js';
import { accesses, type Plan } from '../graph/plan.js';
import type { DevicePlan } from '../graph/device-plan.js';
import type { RunNode } from '../graph/shapes.js';
import type { PlanBuffer, StateTensor } from '../graph/types.js';
import type { Checkpoint, ElementType, Json, Tensor } from './format.js';

/** A buffer, under the name by which it is found again. */
type Saved = StateTensor;

/**
 * Buffers to save: persistent ones that a step writes (a step may leave a part of them, or all, as it was), and what modules name. What only the host writes
 * is a function of the frame's number, and written anew before the first frame that runs.
 */
export function savedBuffers(run: readonly RunNode[], plan: Plan): Saved[] {
  const named = run.flatMap((r) => (r.instance.state?.().tensors ?? []).map((t): Saved => ({ ...t, name: `${r.node.key} ${t.name}` })));
  const known = new Set(named.map((s) => s.buffer));
  const written = new Set(plan.steps.flatMap((step) => accesses(step).filter((a) => a.writes).map((a) => a.memory)));
  const others = plan.buffers.filter((b) => b.persistent && written.has(b) && !known.has(b));
  return [...named, ...others.map((b): Saved => (b.bytes % 4 === 0 ? { buffer: b, name: b.name, type: 'u32', shape: [b.bytes / 4] } : { buffer: b, name: b.name, type: 'u8', shape: [b.bytes] }))];
}

/** Downloads the buffers; the device is idle. */
export async function readTensors(saved: readonly Saved[], devicePlan: DevicePlan): Promise<Tensor[]> {
  const tensors: Tensor[] = [];
  for (const { buffer, name, type, shape, values } of saved) {
    const data = await devicePlan.read(buffer);
    tensors.push({ name, type: type as ElementType, shape, data, values: values && finite(values(data)) });
  }
  return tensors;
}

/** JSON knows no NaN. */
const finite = (values: Record<string, number>): Record<string, number | null> => Object.fromEntries(Object.entries(values).map(([k, v]) => [k, Number.isFinite(v) ? v : null]));

/**
 * Uploads what a checkpoint holds. Missing and left over tensors are warned of where `lenient` (the graph was changed), else errors.
 * @throws InputError CKPT_MISSING, CKPT_SHAPE
 */
export function writeTensors(saved: readonly Saved[], devicePlan: DevicePlan, checkpoint: Checkpoint, lenient: boolean, warn: (message: string) => void): void {
  for (const s of saved) {
    const tensor = checkpoint.tensors.get(s.name);
    if (tensor) devicePlan.write(s.buffer, fitting(s, tensor));
    else if (lenient) warn(`the checkpoint holds no ${s.name}: it begins as in frame 0`);
    else throw new InputError('CKPT_MISSING', `the checkpoint holds no ${s.name}`, { hint: 'It is of another version of vkpn. --resume-anyway leaves that as it is in frame 0.' });
  }
}

/** The data, cut to the buffer where only the first dimension differs and that is known to happen (a history of other length). */
function fitting(s: Saved, t: Tensor): Uint8Array {
  const same = (from: number): boolean => t.shape.length === s.shape.length && t.shape.slice(from).every((n, i) => n === s.shape[i + from]);
  if (t.type !== s.type || !same(s.grows ? 1 : 0))
    throw new InputError('CKPT_SHAPE', `the checkpoint's ${s.name} is ${t.type} ${t.shape.join(' x ')}, this graph's ${s.type} ${s.shape.join(' x ')}`, { hint: 'A run can only go on with the network it was begun with.' });
  return t.data.subarray(0, Math.min(t.data.byteLength, s.buffer.bytes));
}

/** What modules keep on the host, by `MOD:INST`. */
export function hostState(run: readonly RunNode[]): Record<string, Json> {
  return Object.fromEntries(run.flatMap(({ node, instance }) => {
    const value = instance.state?.().save?.();
    return value === undefined ? [] : [[node.key, value as Json]];
  }));
}

export function restoreHostState(run: readonly RunNode[], host: Record<string, Json>): void {
  for (const { node, instance } of run) if (Object.hasOwn(host, node.key)) instance.state?.().restore?.(host[node.key]);
}

/** Values of every parameter `seed`. */
export function seedsOf(run: readonly RunNode[]): Record<string, number> {
  return Object.fromEntries(run.filter((r) => r.node.type.params.some((p) => p.name === 'seed' && p.type === 'int')).map((r) => [r.node.key, r.node.params.int('seed')]));
}

/** The buffers' bytes. */
export const savedBytes = (saved: readonly { buffer: PlanBuffer }[]): number => saved.reduce((sum, s) => sum + s.buffer.bytes, 0);
