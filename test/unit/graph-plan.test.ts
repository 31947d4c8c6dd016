// The plan: order of steps, lifetimes, shared memory, and barriers: none missing, none superfluous.
import type { DeviceInfo } from '../../ts/gpu/types.js';
import { dotModules, dotNodes } from '../../ts/graph/dot.js';
import { accesses, findBarriers, findLeads, findLifetimes, inSegments, makePlan, segmentsOf, shareMemory, stepName, type Access, type Plan, type Step } from '../../ts/graph/plan.js';
import { checkGraph, planGraph } from '../../ts/graph/run.js';
import type { PlanBuffer } from '../../ts/graph/types.js';
import { testModules } from './graph-modules.js';

/** The test modules ask nothing of the device. */
const device = {} as DeviceInfo;

async function planOf(text: string): Promise<Plan> {
  return planGraph(await checkGraph({ file: 'g.cfg', text, registry: testModules }), device);
}

/** Whether two steps may not overlap, from their uses alone. */
function hazard<M>(a: readonly Access<M>[], b: readonly Access<M>[]): boolean {
  return a.some((x) => b.some((y) => x.memory === y.memory && (x.writes || y.writes)));
}

/** Whether every pair of steps that may not overlap has a barrier between. */
function safe<M>(steps: readonly Access<M>[][], barriers: ReadonlySet<number>): boolean {
  return steps.every((a, i) => steps.every((b, j) => j <= i || !hazard(a, b) || [...barriers].some((k) => k > i && k <= j)));
}

/** None missing, and none that could go. */
function expectExact<M>(steps: readonly Access<M>[][], barriers: ReadonlySet<number>): void {
  expect(safe(steps, barriers)).toBe(true);
  for (const k of barriers) expect(safe(steps, new Set([...barriers].filter((x) => x !== k)))).toBe(false);
}

/** Uses of the memory that the plan put the buffers in. */
function memoryUses(plan: Plan): Access<unknown>[][] {
  return plan.steps.map((s) => accesses(s).map((a) => ({ ...a, memory: plan.slotOf.get(a.memory) })));
}

const chain = `module:i-src:01
module:filter:01
module:o-img:main
connect:i-src:01:output:filter:01:input
connect:filter:01:output:o-img:main:input
`;

const r = (memory: string): Access<string> => ({ memory, reads: true, writes: false });
const w = (memory: string): Access<string> => ({ memory, reads: false, writes: true });
const rw = (memory: string): Access<string> => ({ memory, reads: true, writes: true });

test.each<[string, Access<string>[][], number[]]>([
  ['read after write', [[w('a')], [r('a')]], [1]],
  ['write after write', [[w('a')], [w('a')]], [1]],
  ['write after read', [[r('a')], [w('a')]], [1]],
  ['read after read needs none', [[r('a')], [r('a')]], []],
  ['separate memory needs none', [[w('a')], [w('b')], [r('c')]], []],
  ['accumulating', [[rw('a')], [rw('a')]], [1]],
  ['one barrier serves two hazards', [[w('a')], [w('b')], [r('a')], [r('b')]], [2]],
  ['a barrier clears what came before it', [[w('a')], [r('a')], [r('a')], [w('b')]], [1]],
])('barriers: %s', (_, steps, expected) => {
  expect([...findBarriers(steps)]).toEqual(expected);
  expectExact(steps, findBarriers(steps));
});

/** Steps that read and write at random, of at most as many pieces of memory. */
function randomSteps(random: (n: number) => number, memories: string): Access<string>[][] {
  return Array.from({ length: 2 + random(7) }, () => Array.from({ length: 1 + random(3) }, () => [r, w, rw][random(3)]!(memories[random(memories.length)]!)));
}

function randomNumbers(seed: number): (n: number) => number {
  return (n) => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % 65521 % n;
}

test('barriers of 500 random programs are exact and as few as can be', () => {
  const random = randomNumbers(7);
  for (let i = 0; i < 500; i++) {
    const steps = randomSteps(random, 'abcde');
    const barriers = findBarriers(steps);
    expectExact(steps, barriers);
    // No smaller set of barriers is safe.
    const places = steps.length - 1;
    for (let mask = 0; mask < 1 << places; mask++) {
      const set = new Set(Array.from({ length: places }, (_, k) => k + 1).filter((k) => mask & (1 << (k - 1))));
      if (set.size < barriers.size) expect(safe(steps, set)).toBe(false);
    }
  }
});

test('a chain: steps in order, a barrier between each two', async () => {
  const plan = await planOf(`${chain}param:filter:01:steps:4\n`);
  expect(plan.steps.map(stepName)).toEqual([0, 1, 2, 3].map((i) => `filter:01 pass ${i}`));
  expect([...plan.barriers]).toEqual([1, 2, 3]);
  expectExact(memoryUses(plan), plan.barriers);
});

test('transient buffers share memory, sources and what a sink reads do not', async () => {
  const plan = await planOf(`${chain}param:filter:01:steps:8\n`);
  // Seven passes between, of which two are alive at a time; and the source, whose contents stay. The result takes the memory of a dead pass.
  expect(plan.buffers).toHaveLength(9);
  const sharing = plan.slots.map((s) => s.buffers.map((b) => b.name));
  expect(sharing).toHaveLength(3);
  expect(sharing.filter((names) => names.includes('i-src:01:output'))).toEqual([['i-src:01:output']]);
  expectExact(memoryUses(plan), plan.barriers);
});

test('sharing never has two living buffers in one place, and costs no barrier', async () => {
  const plan = await planOf(`${chain}module:filter:02
module:filter:03
module:o-img:two
connect:filter:01:output:filter:02:input
connect:filter:01:extra:filter:03:input
connect:filter:02:output:filter:03:prev
connect:filter:03:output:o-img:two:input
param:filter:01:steps:5
param:filter:02:steps:3
param:filter:03:steps:6
`);
  const lives = findLifetimes(plan.steps, plan.buffers, new Set([...plan.ports].flatMap(([run, p]) => (run.node.type.name === 'o-img' ? [p.inputs.get('input')!.buffer] : []))));
  for (const slot of plan.slots)
    for (const a of slot.buffers)
      for (const b of slot.buffers) {
        if (a === b) continue;
        const [x, y] = [lives.get(a)!, lives.get(b)!];
        expect(x.last < y.first || y.last < x.first).toBe(true);
      }
  expect(plan.slots.length).toBeLessThan(plan.buffers.length - 4);
  // The barriers are those of the buffers alone: exact for them, and enough for the memory.
  expectExact(plan.steps.map(accesses), plan.barriers);
  expectExact(memoryUses(plan), plan.barriers);
});

test('buffers of independent steps without a barrier between do not share', () => {
  const buffer = (id: number): PlanBuffer => ({ id, name: `b${id}`, bytes: 16, persistent: false });
  const [a, b] = [buffer(0), buffer(1)] as const;
  const sharing = (first: number): number => shareMemory([a, b], new Map([[a, { first: 0, last: 0 }], [b, { first, last: first }]]), 2).length;
  expect(sharing(0)).toBe(2);
  expect(sharing(1)).toBe(1);
});

test('persistent and initialised buffers never share', () => {
  const buffers: PlanBuffer[] = [0, 1, 2].map((id) => ({ id, name: `b${id}`, bytes: 16, persistent: true }));
  expect(shareMemory(buffers, new Map(), 3)).toHaveLength(3);
});

const FRAMES = 4;

/** Whether, of frames one after the other, whatever may not overlap keeps its order, with a barrier between. Nothing leads in the first one. */
function followsSafely<M>(steps: readonly Access<M>[][], segments: readonly number[], leads: readonly number[]): boolean {
  const count = 1 + segments.at(-1)!;
  const all = Array.from({ length: FRAMES }, (_, f) => steps.map((step, i) => ({ step, place: f * count + segments[i]! - (f > 0 ? leads[i]! : 0) }))).flat();
  return all.every((a, i) => all.every((b, j) => j <= i || !hazard(a.step, b.step) || a.place < b.place));
}

test('steps of 500 random programs lead as far as is safe, by three barriers at most', () => {
  const random = randomNumbers(11);
  let leading = 0;
  for (let i = 0; i < 500; i++) {
    const steps = randomSteps(random, 'abcdefghij');
    const segments = segmentsOf(steps.length, findBarriers(steps));
    const leads = findLeads(steps, segments);
    expect(followsSafely(steps, segments, leads)).toBe(true);
    const most = Math.min(3, segments.at(-1)!);
    leads.forEach((lead, k) => {
      const earliest = segments[k]! < most ? segments[k]! + most : 0;
      expect(lead).toBeGreaterThanOrEqual(0);
      expect(lead).toBeLessThanOrEqual(earliest);
      if (lead < earliest) expect(followsSafely(steps, segments, leads.map((l, j) => (j === k ? l + 1 : l)))).toBe(false);
      leading += lead > 0 ? 1 : 0;
    });
  }
  expect(leading).toBeGreaterThan(200);
});

test('memory that 500 random programs share is safe where steps lead', () => {
  const random = randomNumbers(13);
  let shared = 0, apart = 0;
  for (let i = 0; i < 500; i++) {
    const buffers = Array.from({ length: 10 }, (_, id): PlanBuffer => ({ id, name: `b${id}`, bytes: 16, persistent: false }));
    const steps: Step[] = randomSteps(random, '0123456789').map((uses, k) => ({
      kind: 'node', module: 'm', desc: { label: `${k}`, kernel: 'k', groups: [1, 1, 1], uses: [...new Map(uses.map((u) => [u.memory, u])).values()].map((u) => ({ buffer: buffers[Number(u.memory)]!, access: u.writes ? 'w' : 'r' })) },
    }));
    // What is read first keeps its contents.
    const used = steps.map(accesses);
    for (const b of buffers) if (!used.flat().find((a) => a.memory === b)?.writes) Object.assign(b, { persistent: true });
    const segments = segmentsOf(steps.length, findBarriers(used));
    const leads = findLeads(used, segments);
    const slots = (by: readonly number[]) => shareMemory(buffers, inSegments(findLifetimes(steps, buffers, new Set()), used, segments, by), 1 + segments.at(-1)!);
    const made = slots(leads);
    const inMemory = used.map((step) => step.map((a) => ({ ...a, memory: made.find((slot) => slot.buffers.includes(a.memory)) })));
    expect(followsSafely(inMemory, segments, leads)).toBe(true);
    shared += buffers.length - made.length;
    apart += made.length - slots(leads.map(() => 0)).length;
  }
  expect(shared).toBeGreaterThan(150);
  expect(apart).toBeGreaterThan(20); // what leads share less
});

test('a graph that only makes pictures has no step that leads', async () => {
  const plan = await planOf(`${chain}param:filter:01:steps:4\n`);
  expect(plan.leads).toEqual([0, 0, 0, 0]);
});

test('feedback: a buffer of its own, zero at first, copied at the end of the frame', async () => {
  const plan = await planOf(`${chain}feedback:filter:01:output:filter:01:prev\n`);
  const last = plan.steps.at(-1)!;
  if (last.kind !== 'copy') throw new Error(last.kind);
  expect(last.src.name).toBe('filter:01:output');
  expect([last.dst.init, last.dst.persistent, last.dst.bytes]).toEqual(['zero', true, 8 * 4 * 8]);
  // What the first step reads is what the last one writes, and its memory is nobody else's.
  expect(accesses(plan.steps[0]!).some((a) => a.reads && a.memory === last.dst)).toBe(true);
  expect(plan.slotOf.get(last.dst)!.buffers).toEqual([last.dst]);
  expect(plan.barriers.has(plan.steps.length - 1)).toBe(true);
  expectExact(memoryUses(plan), plan.barriers);
});

test('feedback from a module that comes later', async () => {
  const plan = await planOf(`${chain}module:filter:02
connect:filter:01:output:filter:02:input
feedback:filter:02:output:filter:01:prev
`);
  expect(plan.steps.map(stepName)).toEqual(['filter:01 pass 0', 'filter:01 pass 1', 'filter:02 pass 0', 'filter:02 pass 1', 'filter:02 feedback output']);
  expectExact(memoryUses(plan), plan.barriers);
});

test('a step that reads what nothing wrote is a fault of its module', () => {
  const buffer: PlanBuffer = { id: 0, name: 'x', bytes: 4, persistent: false };
  const step: Step = { kind: 'node', module: 'm:01', desc: { label: 'n', kernel: 'k', groups: [1, 1, 1], uses: [{ buffer, access: 'rw' }] } };
  expect(() => findLifetimes([step], [buffer], new Set())).toThrow(/m:01 n reads x before anything writes it/);
  expect(() => findLifetimes([], [buffer], new Set([buffer]))).toThrow(/nothing writes x/);
});

test('an output that nothing reads and nothing writes gets no memory', async () => {
  const plan = await planOf(chain);
  expect(plan.buffers.map((b) => b.name)).toEqual(['i-src:01:output', 'filter:01 pass 0', 'filter:01:output']);
});

test('graphviz of modules and nodes names what there is', async () => {
  const checked = await checkGraph({ file: 'g.cfg', text: `${chain}module:filter:02\nfeedback:filter:01:output:filter:01:prev\n`, registry: testModules });
  const modules = dotModules(checked.graph, checked.run);
  expect(modules).toContain('"i-src:01":"p_output" -> "filter:01":"p_input" [style=solid, label="rgba f16 8x4"]');
  expect(modules).toContain('"filter:01":"p_output" -> "filter:01":"p_prev" [style=dashed');
  expect(modules).toMatch(/"filter:02" .*grey/);
  const nodes = dotNodes(makePlan(checked.run, device));
  expect(nodes).toMatch(/n0 -> n1 .*filter:01 pass 0/);
  expect(nodes).toContain('n1 -> "o-img:main"');
});
