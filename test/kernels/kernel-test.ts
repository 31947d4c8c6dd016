// Tests of one kernel alone: the nodes that kpn-t makes of it, run on contents of the test's own (batch.ts) under the
// harness's guards, their outputs checked against the reference.
import type { Device } from '../../ts/gpu/types.js';
import { batchOf, without } from './batch.js';
import { runNodes } from './harness.js';
import { Tensors } from './step-check.js';
import type { StepCase } from './step-run.js';

/** Variants of kernels by what images are kept as, and the parameters of a case that make kpn-t take them. */
export const STORAGES = [['f16', {}], ['f32', { deriv: 1 }]] as const;

export interface KernelTest {
  /** Of the nodes. */
  label: RegExp;
  /** Buffers that the kernel fills. */
  outputs: readonly string[];
  check: (t: Tensors, weights: Float64Array) => void;
}

export async function testKernel(device: Device, c: StepCase, { label, outputs, check }: KernelTest): Promise<void> {
  const batch = batchOf(c);
  const result = await runNodes(device, c, label, without(batch, ...outputs));
  check(new Tensors(c, result, batch.scale), batch.weights);
}

/** Every combination of the values given, with a name made of them: rows for test.each. */
export function combinations<F extends Record<string, readonly unknown[]>>(factors: F): [name: string, row: { [k in keyof F]: F[k][number] }][] {
  let rows: Record<string, unknown>[] = [{}];
  for (const [name, values] of Object.entries(factors)) rows = rows.flatMap((row) => values.map((v) => ({ ...row, [name]: v })));
  return rows.map((row) => [Object.values(row).map((v) => (typeof v === 'object' ? JSON.stringify(v) : String(v))).join(' '), row as { [k in keyof F]: F[k][number] }]);
}
