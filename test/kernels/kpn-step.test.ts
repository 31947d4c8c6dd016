// kpn/step: |g|, clipping, the learning rate of the frame, bias correction, the gradients' scale, what is skipped (SPEC 3).
import { hyperBytes, readState, type Hyper, type State } from '../../ts/modules/kpn-t/state.js';
import { useDevice } from '../unit/gpu-harness.js';
import { HYPER, caseOf, stateBytes } from './batch.js';
import { u } from './expected.js';
import { nodesOf, runKernel } from './harness.js';
import { bytesOf, geometryOfCase, type Snapshot, values } from './step-run.js';

const gpu = useDevice();
const c = caseOf({}, [16, 16], 2);
const PIXELS = 512;

/** A state's words 8 on, which `State` doesn't name: norm, factor, rate, correction2, debias1, debias2, update. */
const decision = (bytes: Uint8Array): { factor: number; rate: number; correction2: number; debias1: number; debias2: number; update: number } => {
  const f = new Float32Array(bytes.buffer, bytes.byteOffset, 16);
  return { factor: f[9]!, rate: f[10]!, correction2: f[11]!, debias1: f[12]!, debias2: f[13]!, update: new Uint32Array(bytes.buffer, bytes.byteOffset, 16)[14]! };
};

interface Case {
  hyper?: Partial<Hyper>;
  state?: Record<number, number | { f: number }>;
  /** Squared norm and, in the loss's groups, loss and bad pixels. */
  square?: number;
  loss?: number;
  bad?: number;
}

const FRESH = { 4: { f: 128 } };

async function step({ hyper, state = FRESH, square = 9, loss = 51.2, bad = 0 }: Case): Promise<{ state: State; history: Float64Array; bytes: Uint8Array } & ReturnType<typeof decision>> {
  const [node] = await nodesOf(gpu.device, { ...c, frames: 40 }, /^step$/);
  const bytes = (name: string): number => node!.uses.find((use) => use.name === name)!.bytes;
  const norms = new Float64Array(bytes('norms') / 4);
  const groups = norms.length / 2 - 1;
  for (let g = 0; g < groups; g++) norms[2 * g] = square / groups;
  norms.set([loss, bad], 2 * groups);
  const contents: Snapshot = new Map([
    ['geometry', geometryOfCase(c).bytes], ['state', stateBytes(state)], ['hyper', hyperBytes({ ...HYPER, history: 40, ...hyper })],
    ['norms', bytesOf(norms, 'f32')], ['history', bytesOf(new Float64Array(40).fill(7), 'f32')],
  ]);
  const result = await runKernel(gpu.device, node!, contents);
  const after = result.get('state')!;
  return { state: readState(after), history: values(result.get('history')!, 'f32'), bytes: after, ...decision(after) };
}

const near = (value: number, roundings = 16): unknown => expect.closeTo(value, -Math.log10(2 * Math.abs(value) * roundings * u));

test('the first step: counters, norm, loss, bias correction', async () => {
  const { state, history, factor, rate, correction2, update } = await step({});
  expect(state).toMatchObject({ frame: 1, updates: 1, skipped: 0, badPixels: 0, badNow: 0, scale: 128, norm: near(3), loss: near(51.2 / PIXELS) });
  expect(state.smoothed).toEqual(near(51.2 / PIXELS, 400));
  expect([factor, update]).toEqual([1, 1]);
  expect(rate).toEqual(near(0.01 / (1 - 0.99)));
  expect(correction2).toEqual(near(1 / (1 - 0.999)));
  expect(history[0]).toBe(Math.fround(state.loss));
  expect(Array.from(history.subarray(1))).toEqual(new Array(39).fill(7));
});

test.each([1, 2, 10, 1000])('bias correction of update %d', async (n) => {
  // What 1 - beta^n is kept by, as the updates before left it.
  let [debias1, debias2] = [0, 0];
  for (let i = 1; i < n; i++) [debias1, debias2] = [Math.fround(debias1 * Math.fround(0.99) + Math.fround(0.01)), Math.fround(debias2 * Math.fround(0.999) + Math.fround(0.001))];
  const { state, rate, correction2 } = await step({ state: { ...FRESH, 0: n - 1, 1: n - 1, 12: { f: debias1 }, 13: { f: debias2 } } });
  expect(state.updates).toBe(n);
  // Errors of the recursion decay as the terms do: at most 1/(1 - beta) roundings of what is then 1/n (n small: n).
  expect(rate).toEqual(near(0.01 / (1 - 0.99 ** n), 16 + 3 * Math.min(n, 100)));
  expect(correction2).toEqual(near(1 / (1 - 0.999 ** n), 16 + 3 * Math.min(n, 1000)));
});

test.each([[2, 2 / 3], [3.001, 1], [1e9, 1]])('clipping |g| = 3 to %d', async (gradclip, expected) => {
  expect((await step({ hyper: { gradclip } })).factor).toEqual(near(expected));
});

describe('the learning rate', () => {
  const rateOf = async (frame: number, hyper: Partial<Hyper>): Promise<number> => {
    const { rate, debias1 } = await step({ hyper: { frames: 100, ...hyper }, state: { ...FRESH, 0: frame } });
    return rate * debias1;
  };
  test.each([[0, 1], [25, 0.5 + Math.SQRT1_2 / 2], [50, 0.5], [99, 0.5 + 0.5 * Math.cos(Math.PI * 0.99)]])('cosine, frame %d of 100', async (frame, factor) => {
    // Vulkan's cos is exact to 2^-11; its argument to 2u pi.
    expect(Math.abs((await rateOf(frame, { decay: 1 })) - 0.01 * factor)).toBeLessThanOrEqual(0.01 * 0.5 * 2 ** -11 + 1e-9);
  });
  test.each([[0, 1], [50, 0.1], [100, 0.01]])('exp, frame %d of 100', async (frame, factor) => {
    expect(await rateOf(frame, { decay: 2 })).toEqual(near(0.01 * factor, 64));
  });
  test.each([[0, 0.1], [4, 0.5], [9, 1], [10, 1], [70, 1]])('warmup over 10 frames, frame %d', async (frame, factor) => {
    expect(await rateOf(frame, { warmup: 10 })).toEqual(near(0.01 * factor));
  });
});

describe('the scale of gradients', () => {
  test.each([NaN, Infinity])('|g|^2 %d: halved, nothing updated, counted', async (square) => {
    const before = { 0: 9, 1: 5, 2: 3, 4: { f: 128 }, 5: 77, 9: { f: 0.25 }, 10: { f: 0.5 }, 11: { f: 2 }, 12: { f: 0.75 }, 13: { f: 0.125 } };
    const { state, bytes, update, debias1, debias2 } = await step({ square, state: before });
    expect(state).toMatchObject({ frame: 10, updates: 5, skipped: 4, scale: 64 });
    expect([update, debias1, debias2]).toEqual([0, 0.75, 0.125]);
    expect(new Uint32Array(bytes.buffer, bytes.byteOffset, 16)[5]).toBe(0); // patience starts over
  });
  test('doubled after 2000 updates without', async () => {
    expect((await step({ state: { 4: { f: 128 }, 5: 1998 } })).state.scale).toBe(128);
    const { state, bytes } = await step({ state: { 4: { f: 128 }, 5: 1999 } });
    expect(state.scale).toBe(256);
    expect(new Uint32Array(bytes.buffer, bytes.byteOffset, 16)[5]).toBe(0);
  });
  test('stays within 2^-16 and 2^16', async () => {
    expect((await step({ state: { 4: { f: 65536 }, 5: 1999 } })).state.scale).toBe(65536);
    expect((await step({ square: NaN, state: { 4: { f: 2 ** -16 } } })).state.scale).toBe(2 ** -16);
  });
});

test('bad pixels are counted, in all and of the frame, and left out of the mean', async () => {
  const { state } = await step({ bad: 112, loss: 40, state: { ...FRESH, 3: 1000 } });
  expect(state).toMatchObject({ badNow: 112, badPixels: 1112, loss: near(40 / (PIXELS - 112)) });
  expect((await step({ bad: PIXELS, loss: 0 })).state).toMatchObject({ badNow: PIXELS, loss: 0, updates: 1 });
  expect((await step({ bad: 112, state: { ...FRESH, 3: 0xffffffff - 5 } })).state.badPixels).toBe(0xffffffff);
});

test('frames past the history leave it alone', async () => {
  const { history, state } = await step({ state: { ...FRESH, 0: 40 } });
  expect(state.frame).toBe(41);
  expect(Array.from(history)).toEqual(new Array(40).fill(7));
});
