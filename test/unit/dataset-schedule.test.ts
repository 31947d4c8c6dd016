// Which crop lies where at which frame (ts/modules/i-set/schedule.ts), where crops are cut and how much is reduced (ts/pictures/crops.ts).
import { autoReduce, cover, startOf } from '../../ts/pictures/crops.js';
import { pairUp } from '../../ts/pictures/folder.js';
import { holdOut, lastDraw, mix, Order, place, type Schedule } from '../../ts/modules/i-set/schedule.js';

const schedule: Schedule = { pictures: 10, pool: 8, crops: 2, every: 5, seed: 3 };
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** The chi-square statistic of counts that should be equal, in standard deviations from its mean. */
function chi(counts: readonly number[]): number {
  const expected = counts.reduce((a, b) => a + b, 0) / counts.length;
  const freedom = counts.length - 1;
  return (counts.reduce((s, n) => s + (n - expected) ** 2 / expected, 0) - freedom) / Math.sqrt(2 * freedom);
}

test('the pool is full before frame 0, then every fifth frame brings one crop', () => {
  expect([0, 4, 5, 9, 10, 1000].map((f) => lastDraw(schedule, f))).toEqual([7, 7, 8, 8, 9, 207]);
});

test('every epoch visits every picture once, each in an order of its own; asking back and forth changes nothing', () => {
  const order = new Order(schedule);
  const epochs = range(50).map((e) => range(10).map((i) => order.picture(10 * e + i)));
  for (const epoch of epochs) expect([...epoch].sort((a, b) => a - b)).toEqual(range(10));
  expect(new Set(epochs.map(String)).size).toBe(50);
  const again = new Order(schedule);
  for (const e of [3, 49, 0, 17]) expect(range(10).map((i) => again.picture(10 * e + i))).toEqual(epochs[e]);
  const other = new Order({ ...schedule, seed: 4 });
  expect(range(10).map((i) => other.picture(i))).not.toEqual(epochs[0]);
});

test('in place of damaged pictures the next of the same epoch, all of them in turn', () => {
  const order = new Order(schedule);
  for (const v of [0, 4, 9, 23]) {
    expect(order.picture(v, 0)).toBe(order.picture(v));
    expect(range(10).map((skip) => order.picture(v, skip)).sort((a, b) => a - b)).toEqual(range(10));
  }
});

test('pictures come first in an epoch equally often', () => {
  const order = new Order({ ...schedule, pictures: 7 });
  const counts = range(7).map(() => 0);
  for (let e = 0; e < 2100; e++) counts[order.picture(7 * e)]!++;
  expect(Math.abs(chi(counts))).toBeLessThan(5);
});

test('places are uniform and independent, of each other and of the draw before', () => {
  const n = 20_000;
  const places = range(n).map((k) => place(schedule, k));
  const cells = range(100).map(() => 0);
  for (const { u, v } of places) cells[10 * Math.floor(10 * u) + Math.floor(10 * v)]!++;
  expect(Math.abs(chi(cells))).toBeLessThan(5);
  const correlation = (a: (i: number) => number, b: (i: number) => number): number => range(n - 1).reduce((s, i) => s + (a(i) - 0.5) * (b(i) - 0.5), 0) * 12 / n;
  for (const [a, b] of [[(i: number) => places[i]!.u, (i: number) => places[i]!.v], [(i: number) => places[i]!.u, (i: number) => places[i + 1]!.u], [(i: number) => places[i]!.v, (i: number) => places[i + 1]!.u]] as const)
    expect(Math.abs(correlation(a, b))).toBeLessThan(5 / Math.sqrt(n));
  expect(place({ ...schedule, seed: 4 }, 0)).not.toEqual(places[0]);
});

test('mix: other values, other order, other length: another hash', () => {
  const hashes = [mix(), mix(0), mix(0, 0), mix(1), mix(1, 2), mix(2, 1), mix(1, 2, 0)];
  expect(new Set(hashes).size).toBe(hashes.length);
  // Every bit of the input changes half of the output's bits.
  const bits = (x: number): number => range(32).filter((i) => (x >>> i) & 1).length;
  const changed = range(32).flatMap((bit) => range(20).map((k) => bits(mix(7, k) ^ mix(7, k ^ (1 << bit)))));
  expect(Math.abs(changed.reduce((a, b) => a + b, 0) / changed.length - 16)).toBeLessThan(1);
  expect(Math.min(...changed)).toBeGreaterThan(3);
});

test('every start is equally likely, the last one included', () => {
  const starts = range(1300).map((i) => startOf((i + 0.5) / 1300, 20, 8));
  expect(range(13).map((x) => starts.filter((s) => s === x).length)).toEqual(range(13).map(() => 100));
  expect(startOf(0.999, 5, 8)).toBe(0);
});

test.each([[20, 8], [8, 8], [5, 8], [16, 8], [257, 256], [1000, 256]])('crops cover %d pixels by %d without a gap, no more of them than that takes', (n, size) => {
  const starts = cover(n, size, size).map(({ u }) => startOf(u, n, size));
  expect(starts[0]).toBe(0);
  expect(starts.at(-1)).toBe(Math.max(0, n - size));
  starts.slice(1).forEach((s, i) => expect(s - starts[i]!).toBeLessThanOrEqual(size));
  expect(starts.length).toBe(Math.ceil(n / size));
  expect(cover(n, n, size).length).toBe(starts.length ** 2);
});

test.each([[6000, 4000, 4], [4000, 3000, 2], [5000, 3333, 3], [3000, 2000, 2], [1600, 1200, 1], [768, 512, 1]])('a picture of %dx%d is reduced %d times', (w, h, r) => {
  expect(autoReduce(w, h)).toBe(r);
});

test('held out by the hash of the name alone: wherever the folder lies, whatever else is in it', () => {
  const names = range(60).map((i) => `IMG_${1000 + i}.jpg`);
  const { train, held } = holdOut(names.map((n) => `/a/${n}`), 6);
  expect(held.length).toBe(6);
  expect([...train, ...held].sort()).toEqual(names.map((n) => `/a/${n}`));
  expect(holdOut(names.map((n) => `/other/${n}`).reverse(), 6).held.map((f) => f.slice(7)).sort()).toEqual(held.map((f) => f.slice(3)).sort());
  const more = holdOut([...names, 'new.jpg'].map((n) => `/a/${n}`), 6).held;
  expect(more.filter((f) => !held.includes(f)).length).toBeLessThanOrEqual(1);
  expect(holdOut(names, 0)).toEqual({ train: names, held: [] });
  // Not the first or last of the folder: spread over it.
  const at = held.map((f) => names.indexOf(f.slice(3)));
  expect(Math.max(...at) - Math.min(...at)).toBeGreaterThan(20);
});

test('pairs have the same path in their folders, endings apart', () => {
  expect(pairUp(['/n/a.tif', '/n/b.jpg', '/n/d/a.png', '/n/x.y.png'], '/n', ['/c/a.png', '/c/d/a.jpg', '/c/x.y.exr', '/c/z.png'], '/c')).toEqual({
    pairs: [{ path: '/n/a.tif', clean: '/c/a.png' }, { path: '/n/d/a.png', clean: '/c/d/a.jpg' }, { path: '/n/x.y.png', clean: '/c/x.y.exr' }],
    alone: ['/n/b.jpg'],
  });
});
