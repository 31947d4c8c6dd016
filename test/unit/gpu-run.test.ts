// Replaying: exact counts, independence of how repetitions are packed into submits, interrupts, time stamps, order, leaks.
import type { GpuBuffer, Op, Program } from '../../ts/gpu/index.js';
import { compileShader, doubleAdd, doubleAddOp, readWords, runScript, useDevice } from './gpu-harness.js';

const spirv = compileShader('double-add');
const holder = useDevice();
let source: GpuBuffer;
let target: GpuBuffer;
let program: Program;

/** One step is x -> 2x + 3, twice: x -> 4x + 9 (mod 2^32): counts and order of steps show in x. */
function steps(n: number): number {
  let x = 0;
  for (let i = 0; i < n; ++i) x = (Math.imul(4, x) + 9) >>> 0;
  return x;
}

/** Unlike x -> 4x + 9, which forgets after 16 steps, this one counts: x -> x + 1, in target[1]. */
let counter: GpuBuffer;
let counting: Program;

beforeAll(() => {
  const { device } = holder;
  source = device.buffer('source', 256);
  target = device.buffer('target', 256);
  counter = device.buffer('counter', 256);
  source.fill(0);
  const kernel = doubleAdd(device, spirv);
  const half = doubleAddOp(kernel, { buffer: source }, { buffer: target }, 3, 64);
  program = device.program([half, { op: 'barrier' }, half], 'steps');
  counting = device.program([{ op: 'dispatch', kernel: device.kernel({ name: 'count', spirv: compileShader('count'), bindings: ['storage'] }), bindings: [{ buffer: counter }], groups: [1, 1, 1] }], 'count');
});

test.each([0, 1, 2, 3, 5, 7])('%i repetitions are that many', async (n) => {
  target.fill(0);
  expect((await program.run(n)).done).toBe(n);
  expect(await readWords(target)).toEqual(new Array(64).fill(steps(n)));
});

test.each([1, 2, 3, 8, 1000, 1e6])('at most %i a submit: the same result', async (maxPerSubmit) => {
  counter.fill(0);
  expect((await counting.run(1237, { maxPerSubmit })).done).toBe(1237);
  expect(await readWords(counter)).toEqual(new Array(64).fill(1237));
});

test.each([0.01, 1, 1000])('submits of %d ms: the same result', async (submitMs) => {
  counter.fill(0);
  expect((await counting.run(2000, { submitMs })).done).toBe(2000);
  expect(await readWords(counter)).toEqual(new Array(64).fill(2000));
});

/**
 * Counts, and takes the count in behind barriers: x -> 2x + count. Where the counting leads by two barriers it is done in the repetition before, whose x then takes in
 * one more; but no repetition follows the last one of a submit.
 */
describe('an op that leads', () => {
  const run = async (lead: number | undefined, repetitions: number, options: { maxPerSubmit?: number; timestamps?: boolean; submitMs?: number }): Promise<number> => {
    const { device } = holder;
    const [other, taker] = [device.buffer('other', 256), doubleAdd(device, spirv)];
    const kernel = device.kernel({ name: 'count', spirv: compileShader('count'), bindings: ['storage'] });
    const count = (buffer: GpuBuffer): Op => ({ op: 'dispatch', kernel, bindings: [{ buffer }], groups: [1, 1, 1] });
    const leading = device.program([
      { ...count(counter), ...(lead === undefined ? {} : { lead }) }, { op: 'barrier' },
      { op: 'barrier' }, // nothing before it
      count(other), { op: 'barrier' },
      doubleAddOp(taker, { buffer: counter }, { buffer: target }, 0, 64),
    ]);
    for (const buffer of [counter, target, other]) buffer.fill(0);
    expect((await leading.run(repetitions, options)).done).toBe(repetitions);
    for (const buffer of [counter, other]) expect(await readWords(buffer)).toEqual(new Array(64).fill(repetitions));
    const [x] = await readWords(target);
    for (const gone of [leading, other]) gone.destroy();
    return x!;
  };
  /** x after all repetitions, of which these take in one more. */
  const taken = (repetitions: number, more: readonly number[] = []): number => {
    let x = 0;
    for (let i = 1; i <= repetitions; ++i) x = 2 * x + i + (more.includes(i) ? 1 : 0);
    return x;
  };

  test.each([undefined, 0])('by %p barriers: where it stands', async (lead) => {
    for (const n of [1, 2, 3, 7]) expect(await run(lead, n, { submitMs: 1e6 })).toBe(taken(n));
  });
  // One repetition is measured alone, the next submit holds two.
  test('by two: in the repetition before, of the same submit', async () => {
    expect(await run(2, 1, { submitMs: 1e6 })).toBe(taken(1));
    expect(await run(2, 3, { submitMs: 1e6 })).toBe(taken(3, [2]));
    expect(await run(2, 7, { maxPerSubmit: 1 })).toBe(taken(7));
  });
  test('not where ops are timed', async () => {
    // Half of the repetitions are timed whole, in submits of their own: one alone, then one of two.
    expect(await run(2, 6, { submitMs: 1e6, timestamps: true })).toBe(taken(6, [2]));
  });
  test.each([-1, 0.5, 4])('by %p: refused', async (lead) => {
    await expect(run(lead, 1, {})).rejects.toMatchObject({ code: 'BAD_ARGUMENT', message: expect.stringMatching(/op 0.*leads by .* barriers; 0 to 3 are possible/) as string });
  });
});

test('an interrupt ends the run early, and `done` is what was done', async () => {
  counter.fill(0);
  const start = performance.now();
  const running = counting.run(1e9, { submitMs: 20 });
  setTimeout(() => holder.device.interrupt(), 100);
  const { done, seconds } = await running;
  expect(done).toBeGreaterThan(0);
  expect(done).toBeLessThan(1e9);
  expect(await readWords(counter)).toEqual(new Array(64).fill(done % 2 ** 32));
  // A few submits of 20 ms were in flight; the rest is the machine's other work.
  expect(performance.now() - start).toBeLessThan(5000);
  expect(seconds * 1000).toBeLessThanOrEqual(performance.now() - start);
});

test('an interrupt right after run() is not lost; one before it ends nothing', async () => {
  holder.device.interrupt();
  const running = counting.run(1e9);
  holder.device.interrupt();
  expect((await running).done).toBeLessThan(1e9);
  holder.device.interrupt();
  expect((await counting.run(3)).done).toBe(3);
});

test('runs and reads happen in the order they were asked for', async () => {
  counter.fill(0);
  const results = await Promise.all([counting.run(100), readWords(counter), counting.run(50), readWords(counter), program.run(1), readWords(counter)]);
  expect([results[1][0], results[3][0], results[5][0]]).toEqual([100, 150, 150]);
});

test('a buffer in use cannot be written, others can', async () => {
  const other = holder.device.buffer('other', 4);
  const running = counting.run(1e9);
  for (const body of [() => counter.write(new Uint8Array(4)), () => counter.fill(0)]) {
    expect(body).toThrow(expect.objectContaining({ code: 'BUSY', message: expect.stringContaining('counter') as string }) as Error);
  }
  other.fill(17);
  holder.device.interrupt();
  await running;
  counter.fill(0);
  expect(await readWords(other)).toEqual([17]);
  other.destroy();
});

test('a program that was destroyed during its run finishes it, and then refuses', async () => {
  const { device } = holder;
  const kernel = doubleAdd(device, spirv);
  const shortLived = device.program([doubleAddOp(kernel, { buffer: source }, { buffer: target }, 1, 64)]);
  target.fill(0);
  const running = shortLived.run(10);
  shortLived.destroy();
  expect((await running).done).toBe(10);
  expect((await readWords(target))[0]).toBe(1023);
  await expect(shortLived.run(1)).rejects.toMatchObject({ code: 'CLOSED' });
});

test.each([-1, 0.5, NaN, Infinity])('%d repetitions are refused', async (n) => {
  await expect(program.run(n)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
});
test.each([{ submitMs: 0 }, { submitMs: NaN }, { maxPerSubmit: 0 }, { maxPerSubmit: 1.5 }])('%j is refused', async (options) => {
  await expect(program.run(1, options)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
});

describe('time stamps', () => {
  test('an op and a repetition each, positive, within the wall time; the result is the same', async () => {
    target.fill(0);
    const { done, seconds, opNs, repeatNs } = await program.run(7, { timestamps: true });
    expect(done).toBe(7);
    expect((await readWords(target))[0]).toBe(steps(7));
    expect(opNs).toHaveLength(3);
    expect(opNs![0]).toBeGreaterThan(0);
    expect(opNs![1]).toBe(0);
    expect(opNs![2]).toBeGreaterThan(0);
    expect(repeatNs!.length).toBeGreaterThanOrEqual(3);
    for (const ns of repeatNs!) expect(ns).toBeGreaterThan(0);
    expect(repeatNs!.reduce((a, b) => a + b) * 1e-9).toBeLessThan(seconds);
  });

  test('tell a long op from a short one', async () => {
    const { device } = holder;
    const big = device.buffer('big', 8 << 20);
    big.fill(0);
    const kernel = doubleAdd(device, spirv);
    const timed = device.program([
      doubleAddOp(kernel, { buffer: source }, { buffer: target }, 0, 64),
      { op: 'barrier' },
      doubleAddOp(kernel, { buffer: big }, { buffer: big }, 0, big.bytes / 4),
      { op: 'barrier' },
      { op: 'fill', dst: { buffer: source }, value: 0, bytes: 4 },
    ]);
    const { opNs, repeatNs } = await timed.run(12, { timestamps: true });
    expect(opNs).toHaveLength(5);
    expect(opNs![2]).toBeGreaterThan(3 * opNs![0]!);
    expect(opNs![2]).toBeLessThan(2 * Math.max(...repeatNs!));
    for (const gone of [timed, big]) gone.destroy();
  });

  test('of many repetitions: each counted', async () => {
    counter.fill(0);
    const { done, repeatNs } = await counting.run(5000, { timestamps: true });
    expect(done).toBe(5000);
    expect(repeatNs).toHaveLength(2500);
    expect((await readWords(counter))[0]).toBe(5000);
  });
});

test('memory does not grow over many runs, programs and buffers', () => {
  const child = runScript(
    `const { readFileSync } = await import('node:fs');
     const device = gpu.openDevice({ index: 0, cacheDir: null });
     const spirv = Buffer.from(${JSON.stringify(Buffer.from(spirv).toString('base64'))}, 'base64');
     const kernel = device.kernel({ name: 'k', spirv, bindings: ['storage', 'storage'], pushBytes: 8, spec: { 0: 64 } });
     const push = new Uint8Array(8);
     const round = async () => {
       const [a, b] = [device.buffer('a', 1 << 20), device.buffer('b', 1 << 20)];
       const program = device.program([{ op: 'dispatch', kernel, bindings: [{ buffer: a }, { buffer: b }], push, groups: [1, 1, 1] }]);
       await program.run(20);
       await program.run(4, { timestamps: true });
       await b.read();
       for (const gone of [a, b, program]) gone.destroy();
     };
     const rss = () => Number(/VmRSS:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;
     // The least of four looks: arrays that the collector has not freed yet come and go.
     const least = async () => {
       const looks = [];
       for (let k = 0; k < 4; ++k) {
         for (let i = 0; i < 60; ++i) await round();
         globalThis.gc();
         looks.push(rss());
       }
       return Math.min(...looks);
     };
     // A heap that grows by a piece does so once; what is lost is lost in each part.
     const [a, b, c] = [await least(), await least(), await least()];
     console.log(Math.min(b - a, c - b));
     device.close();`,
    { NODE_OPTIONS: '--expose-gc' },
  );
  expect(child.stderr).toBe('');
  expect(Number(child.stdout)).toBeLessThan(20); // MB; rounds that each lost a buffer would make it 180 and more
});

test('a process that exits in the middle of a run does so at once and cleanly', () => {
  const child = runScript(
    `const device = gpu.openDevice({ index: 0, cacheDir: null });
     const b = device.buffer('b', 256);
     const kernel = device.kernel({ name: 'count', spirv: Buffer.from(${JSON.stringify(Buffer.from(compileShader('count')).toString('base64'))}, 'base64'), bindings: ['storage'] });
     void device.program([{ op: 'dispatch', kernel, bindings: [{ buffer: b }], groups: [1, 1, 1] }]).run(1e9);
     setTimeout(() => process.exit(7), 200);`,
  );
  expect(child).toMatchObject({ status: 7, signal: null, stderr: '' });
});
