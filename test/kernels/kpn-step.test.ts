// kpn/step: |g|, clipping, the learning rate of the frame, bias correction, the gradients' scale, what is skipped (SPEC 3).
import { hyperBytes, readState, type Hyper, type State } from '../../ts/modules/kpn-t/state.js';
import { useDevice } from '../unit/gpu-harness.js';
import { type AdamOptions, gradientNorm, random, type UsualNorm, usualNorm } from '../reference/index.js';
import { HYPER, caseOf, stateBytes } from './batch.js';
import { u } from './expected.js';
import { nodesOf, runKernel } from './harness.js';
import { bytesOf, geometryOfCase, type Snapshot, values } from './step-run.js';

const gpu = useDevice();
const c = caseOf({}, [16, 16], 2);
const PIXELS = 512;

/** A state's words that `State` doesn't name: what step decided, and what it knows of all weights and moments. */
interface Decision { factor: number; rate: number; correction2: number; debias1: number; debias2: number; update: number; ratio: number; second: number; large: number }
const decision = (bytes: Uint8Array): Decision => {
  const f = new Float32Array(bytes.buffer, bytes.byteOffset, 20);
  const n = new Uint32Array(bytes.buffer, bytes.byteOffset, 20);
  return { factor: f[9]!, rate: f[10]!, correction2: f[11]!, debias1: f[12]!, debias2: f[13]!, update: n[14]!, ratio: f[16]!, second: f[17]!, large: n[18]! };
};

interface Case {
  hyper?: Partial<Hyper>;
  state?: Record<number, number | { f: number }>;
  /** Squared norm and, in the loss's groups, loss and bad pixels. */
  square?: number;
  loss?: number;
  bad?: number;
  weights?: Weights;
}

/** What an update works on, as adam finds it. */
interface Weights {
  dEdw: Float64Array;
  master: Float64Array;
  moment1: Float64Array;
  moment2: Float64Array;
}

const COUNT = 2 * 32 * 32;
const USED = 32 * 32 + 16 * 32;
const zeros = (): Weights => ({ dEdw: new Float64Array(COUNT), master: new Float64Array(COUNT), moment1: new Float64Array(COUNT), moment2: new Float64Array(COUNT) });

const FRESH = { 4: { f: 128 } };

async function step({ hyper, state = FRESH, square = 9, loss = 51.2, bad = 0, weights = zeros() }: Case): Promise<{ state: State; history: Float64Array; bytes: Uint8Array } & Decision> {
  const [node] = await nodesOf(gpu.device, { ...c, frames: 40 }, /^step$/);
  const bytes = (name: string): number => node!.uses.find((use) => use.name === name)!.bytes;
  const norms = new Float64Array(bytes('norms') / 4);
  const groups = norms.length / 2 - 1;
  for (let g = 0; g < groups; g++) norms[2 * g] = square / groups;
  norms.set([loss, bad], 2 * groups);
  const contents: Snapshot = new Map([
    ['geometry', geometryOfCase(c).bytes], ['state', stateBytes(state)], ['hyper', hyperBytes({ ...HYPER, history: 40, ...hyper })],
    ...Object.entries(weights).map(([name, v]: [string, Float64Array]) => [name, bytesOf(v, 'f32')] as const),
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

describe('outlier: an update whose gradient is far longer than usual is none (docs/cfg.md)', () => {
  const usual = (bytes: Uint8Array): UsualNorm => {
    const v = new DataView(bytes.buffer, bytes.byteOffset);
    return { count: v.getUint32(84, true), mean: v.getFloat32(88, true), variance: v.getFloat32(92, true) };
  };
  const words = ({ count, mean, variance }: UsualNorm): Record<number, number | { f: number }> => ({ 21: count, 22: { f: mean }, 23: { f: variance } });
  /** What is usual as the reference has it, in f32: logarithms are good to 3 units. */
  const closeTo = ({ count, mean, variance }: UsualNorm): unknown => ({ count, mean: expect.closeTo(mean, 5), variance: expect.closeTo(variance, 5) });

  test('what is usual, from the first gradient on', async () => {
    const next = random(3);
    let expected: UsualNorm = { count: 0, mean: 0, variance: 0 };
    let found = expected;
    for (let i = 0; i < 7; i++) {
      const norm = 3 * 10 ** next();
      const { bytes, update } = await step({ hyper: { outlier: 0.01 }, square: norm ** 2, state: { ...FRESH, 0: i, 1: i, ...words(found) } });
      found = usual(bytes);
      expected = usualNorm(expected, norm, 0.01).usual;
      expect([update, found]).toEqual([1, closeTo(expected)]);
    }
    expect(expected.variance).toBeGreaterThan(0.1);
  });

  // By log |g|: mean 1, standard deviation 0.3.
  const known: UsualNorm = { count: 100, mean: 1, variance: 0.09 };
  test.each([
    ['usual', Math.exp(1.2), 3, known, 0], ['just within', Math.exp(1.899), 3, known, 0], ['just beyond', Math.exp(1.901), 3, known, 1], ['far beyond', 1e12, 3, known, 1],
    ['far too short', 1e-12, 3, known, 0], ['none', 0, 3, known, 0], ['far beyond, but of few', 1e12, 3, { ...known, count: 99 }, 0], ['the last of few', 2, 3, { ...known, count: 99 }, 0],
    ['off', 1e12, 0, known, 0], ['all alike, a little longer', Math.exp(1.18), 3, { ...known, variance: 0 }, 0], ['all alike, much longer', Math.exp(1.19), 3, { ...known, variance: 0 }, 1],
  ] as const)('a gradient that is %s', async (_, norm, outlier, before, outliers) => {
    const debias = { 12: { f: 0.75 }, 13: { f: 0.125 } };
    const after = await step({ hyper: { outlier, gradclip: 1 }, square: norm ** 2, state: { 0: 200, 1: 190, 2: 5, 4: { f: 64 }, 5: 40, 20: 4, 16: { f: 2 }, 17: { f: 3 }, ...debias, ...words(before) } });
    const expected = outlier === 0 ? { usual: before, skip: false } : usualNorm(before, norm, outlier);
    expect([expected.skip, usual(after.bytes)]).toEqual([outliers === 1, closeTo(expected.usual)]);
    expect(after.state).toMatchObject({ frame: 201, updates: 191 - outliers, skipped: 5 + outliers, outliers: 4 + outliers, overflows: 0, scale: 64 });
    expect(after.update).toBe(1 - outliers);
    if (outliers === 1) expect([after.debias1, after.debias2, after.ratio, after.second]).toEqual([0.75, 0.125, 2, 3]);
    else expect(after.debias1).toBeGreaterThan(0.75);
  });

  test('a gradient that is not finite is none of them', async () => {
    const { state, bytes } = await step({ hyper: { outlier: 3 }, square: Infinity, state: { ...FRESH, 20: 4, ...words(known) } });
    expect(state).toMatchObject({ skipped: 1, outliers: 4, scale: 64 });
    expect(usual(bytes)).toEqual(closeTo(known));
  });
});

describe('an update that would leave something not finite is none (SPEC 3)', () => {
  const FLOOR = 2 ** -30;
  const OPTIONS: AdamOptions = { alpha: 0.01, beta1: 0.99, beta2: 0.999, eps: 1e-4, L2: 0, gradclip: 1e30 };

  /** Random values of these sizes, moments as some updates leave them. */
  function some(seed: number, size: Partial<Record<keyof Weights, number>> = {}): Weights {
    const next = random(seed);
    const w = zeros();
    for (let i = 0; i < USED; i++) {
      w.dEdw[i] = Math.fround((size.dEdw ?? 1) * (2 * next() - 1));
      w.master[i] = Math.fround((size.master ?? 0.3) * (2 * next() - 1));
      w.moment1[i] = Math.fround((size.moment1 ?? 1) * (2 * next() - 1));
      w.moment2[i] = Math.fround((size.moment2 ?? 1) * (0.5 + next()));
    }
    return w;
  }

  /** What step would know of these weights: true of each, no tighter than it has to be. */
  function known({ master, moment1, moment2 }: Weights): Record<number, number | { f: number }> {
    const ratio = Math.max(...moment1.map((m, i) => Math.abs(m) / (Math.sqrt(moment2[i]!) + FLOOR)));
    return { 16: { f: ratio }, 17: { f: Math.max(...moment2) }, 18: master.some((v) => Math.abs(v) > 32768) ? 1 : 0 };
  }

  /** The worst of the update in f64, over what is allowed: over 1 it must be skipped; NaN where there is none. */
  function excess(w: Weights, n: number, o: AdamOptions): number {
    const factor = Math.min(1, o.gradclip / gradientNorm(w.dEdw));
    let worst = 0;
    for (let i = 0; i < USED; i++) {
      const g = factor * w.dEdw[i]! + 2 * o.L2 * w.master[i]!;
      const m1 = o.beta1 * w.moment1[i]! + (1 - o.beta1) * g;
      const m2 = Math.fround(o.beta2 * w.moment2[i]! + (1 - o.beta2) * g * g);
      const rate = (o.alpha / (1 - o.beta1 ** n)) * m1;
      const next = w.master[i]! - rate / (Math.sqrt(m2 / (1 - o.beta2 ** n)) + o.eps);
      const of = Math.max(Math.abs(next) / 65504, Math.abs(m1) / 3e38, m2 / 3e38, Math.abs(rate) / 3.4e38, Math.abs(g) / 3.4e38);
      if (Number.isNaN(of)) return NaN;
      worst = Math.max(worst, of);
    }
    return worst;
  }

  /** Step's verdict on update n, from what it knows or from nothing. */
  async function verdict(weights: Weights, n: number, o: AdamOptions, knows: boolean): Promise<Awaited<ReturnType<typeof step>>> {
    const before = { 0: n - 1, 1: n - 1, 2: 4, 4: { f: 128 }, 5: 7, 12: { f: 1 - o.beta1 ** (n - 1) }, 13: { f: 1 - o.beta2 ** (n - 1) }, 19: 2 };
    const { alpha, beta1, beta2, eps, L2, gradclip } = o;
    return step({ weights, square: gradientNorm(weights.dEdw) ** 2, hyper: { alpha, beta1, beta2, eps, l2: L2, gradclip }, state: { ...before, ...(knows ? known(weights) : { 16: { f: Infinity } }) } });
  }

  const one = (w: Weights, change: Partial<Record<keyof Weights, number>>, at = 777): Weights => {
    for (const [name, v] of Object.entries(change)) w[name as keyof Weights][at] = Math.fround(v);
    return w;
  };
  const cases: [string, Weights, Partial<AdamOptions>][] = [
    ['a huge alpha', some(1), { alpha: 1e30 }],
    ['an infinite rate', some(1), { alpha: 1e38 }],
    ['a weight that leaves f16', one(some(2), { master: 65503.9, moment1: -1e6, moment2: 1e-6 }), {}],
    ['eps 0 and no gradient ever: 0/0', one(some(3), { dEdw: 0, moment1: 0, moment2: 0 }), { eps: 0 }],
    ['eps 0 and a gradient whose square vanishes', one(some(4), { dEdw: 1e-30, moment1: 1e-30, moment2: 0 }), { eps: 0 }],
    ['a first moment without a second', one(some(5), { dEdw: 0, moment1: 1e5, moment2: 0 }), {}],
    ['a second moment past f32', one(some(6), { dEdw: 1.5e19, moment2: 3.1e38 }), {}],
    ['a first moment that overflows times the rate', one(some(7), { moment1: 3e38, moment2: 1e38 }), { alpha: 10 }],
    ['L2 of a large weight past f32', one(some(8), { master: 60000 }), { L2: 1e34 }],
    ['L2 past f32', some(8), { L2: 3e38 }],
    ['the last weight', one(some(9), { dEdw: 0, moment1: 1e5, moment2: 0 }, USED - 1), {}],
  ];
  describe.each([['what is known', true], ['looking', false]] as const)('by %s', (_, knows) => {
    test.each(cases)('%s', async (_name, weights, more) => {
      const o = { ...OPTIONS, ...more };
      expect(excess(weights, 5, o)).not.toBeLessThanOrEqual(1);
      const { state, bytes, update, debias1, debias2 } = await verdict(weights, 5, o, knows);
      expect([update, state.frame, state.updates, state.skipped, state.overflows, state.scale, new Uint32Array(bytes.buffer, bytes.byteOffset, 20)[5]]).toEqual([0, 5, 4, 5, 3, 128, 7]);
      expect([debias1, debias2]).toEqual([Math.fround(1 - 0.99 ** 4), Math.fround(1 - 0.999 ** 4)]);
    });
    test('else it is one', async () => {
      expect((await verdict(some(1), 5, OPTIONS, knows)).state).toMatchObject({ updates: 5, skipped: 4, overflows: 2 });
    });
  });

  test('rows past the outputs don\'t count', async () => {
    expect((await verdict(one(some(1), { moment1: NaN }, USED), 5, { ...OPTIONS, eps: 0 }, false)).update).toBe(1);
  });

  test('looking leaves the tightest that is true; a large weight, that there is one', async () => {
    const weights = some(10);
    const { ratio, second, large } = await verdict(weights, 1, OPTIONS, false);
    const after = { m1: weights.moment1.map((m, i) => 0.99 * m + 0.01 * weights.dEdw[i]!), m2: weights.moment2.map((v, i) => 0.999 * v + 0.001 * weights.dEdw[i]! ** 2) };
    expect(ratio).toEqual(near(Math.max(...after.m1.map((m, i) => Math.abs(m) / (Math.sqrt(after.m2[i]!) + FLOOR))), 400));
    expect([second, large]).toEqual([near(Math.max(...after.m2)), 0]);
    expect((await verdict(one(some(10), { master: -33000 }), 1, OPTIONS, false)).large).toBe(1);
  });

  test('options and sizes of all orders of magnitude: the verdict is the formula\'s, known or not', async () => {
    const next = random(5);
    const any = (low: number, high: number): number => 10 ** (low + (high - low) * next());
    const seen = [0, 0];
    for (let k = 0; k < 150; k++) {
      const weights = some(k, { dEdw: any(-14, 17), master: any(-3, 5.5), moment1: any(-25, 25), moment2: any(-30, 38.2) });
      const o = { alpha: any(-8, 12), beta1: 1 - any(-6, 0), beta2: 1 - any(-6, -0.001), eps: next() < 0.2 ? 0 : any(-12, 3), L2: next() < 0.5 ? 0 : any(-6, 20), gradclip: any(-3, 30) };
      const n = 1 + Math.floor(1000 * next());
      const e = excess(weights, n, o);
      if (e > 0.5 && e < 2) continue;
      for (const knows of [true, false]) {
        const { update } = await verdict(weights, n, o, knows);
        expect({ k, knows, e, update }).toEqual({ k, knows, e, update: e < 1 ? 1 : 0 });
        seen[update]!++;
      }
    }
    expect(Math.min(...seen)).toBeGreaterThan(50);
  });
});
