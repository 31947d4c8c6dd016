// cnngenin/gen: tiles, flips, exposure, noise, mosaic and the noise's profile (SPEC 4, cnngenin). Its random numbers are its
// own; what it made of them is read off its output, compared exactly, and their distribution tested to 5 sigma.
import { type Image, addNoise, cutTile, expandHighlights, exposedNoise, makeImage, mosaic, noiseSigma, random, toHalf } from '../reference/index.js';
import { useDevice } from '../unit/gpu-harness.js';
import { runKernel } from './harness.js';
import { bytesOf, type PictureFormat, values } from './step-run.js';

const gpu = useDevice();

interface Options {
  mode: number;
  img: Image;
  ref: Image;
  size: readonly [number, number];
  tiles?: number;
  frame?: number;
  seed?: number;
  noise?: 'vkdt' | 'log' | 'fixed';
  randomTile?: boolean;
  a?: number;
  b?: number;
  formats?: readonly [PictureFormat, PictureFormat];
  /** Exposures from, to, in stops. */
  ev?: readonly [number, number];
  /** Highlights: stops by which they are expanded at most. */
  hilite?: number;
  /** More pictures behind the first. */
  more?: readonly { img: Image; ref: Image }[];
  /** A profile for each picture. */
  profiles?: readonly { a: number; b: number }[];
}

const rgba = (image: Image): number[] => Array.from({ length: 4 * image.width * image.height }, (_, i) => (i % 4 === 3 ? 0.25 : image.data[3 * (i >> 2) + (i % 4)]!));

interface Generated {
  img: Image[];
  ref: Image[];
  noise: { a: number; b: number }[];
}

async function generate({ mode, img, ref, size: [width, height], tiles = 1, frame = 0, seed = 1, noise = 'fixed', randomTile = false, a = 0, b = 0, ev = [-2, 2], hilite = 0, formats = ['f32', 'f32'], more = [], profiles }: Options): Promise<Generated> {
  const push = new DataView(new ArrayBuffer(36));
  [ref.width, ref.height, tiles, seed].forEach((v, i) => push.setUint32(4 * i, v, true));
  push.setFloat32(16, a, true);
  push.setFloat32(20, b, true);
  push.setFloat32(24, ev[0], true);
  push.setFloat32(28, ev[1] - ev[0], true);
  push.setFloat32(32, hilite, true);
  const pixels = width * height * tiles;
  const all = [{ img, ref }, ...more];
  const contents = new Map([
    ['frame', new Uint8Array(Uint32Array.of(frame).buffer)],
    ['imgi', bytesOf(all.flatMap((p) => rgba(p.img)), formats[0])], ['refi', bytesOf(all.flatMap((p) => rgba(p.ref)), formats[1])],
  ]);
  const profile = new Uint8Array(Float32Array.from((profiles ?? [{ a: 9e9, b: 9e9 }]).flatMap((p) => [p.a, p.b])).buffer);
  const result = await runKernel(gpu.device, {
    kernel: 'cnngenin/gen', spec: { 0: 64, 1: mode, 2: formats[0] === 'f32', 3: formats[1] === 'f32', 4: ['vkdt', 'log', 'fixed'].indexOf(noise), 5: randomTile, 6: all.length, 7: profiles !== undefined, 8: hilite > 0, 9: width, 10: height },
    push: new Uint8Array(push.buffer), groups: [Math.ceil(pixels / 64), 1, 1],
    uses: [
      ...[...contents].map(([name, data]) => ({ name, access: 'r' as const, bytes: data.byteLength })),
      { name: 'imgo', access: 'w', bytes: 8 * pixels }, { name: 'refo', access: 'w', bytes: 8 * pixels }, { name: 'noiseab', access: 'w', bytes: 8 * tiles },
      { name: 'profiles', access: 'r', bytes: profile.byteLength },
    ],
  }, contents.set('profiles', profile));
  const pictures = (name: string): Image[] => Array.from({ length: tiles }, (_, t) => {
    const rgb1 = values(result.get(name)!, 'f16', 4 * t * width * height, 4 * width * height);
    expect(rgb1.filter((_v, i) => i % 4 === 3).every((alpha) => alpha === 1)).toBe(true);
    return makeImage(width, height, 3, rgb1.filter((_v, i) => i % 4 < 3));
  });
  const ab = values(result.get('noiseab')!, 'f32');
  return { img: pictures('imgo'), ref: pictures('refo'), noise: Array.from({ length: tiles }, (_, t) => ({ a: ab[2 * t]!, b: ab[2 * t + 1]! })) };
}

/** Every pixel says where it is: (x, y, 1), and the like of another picture. */
const positions = (width: number, height: number, add = 0): Image => makeImage(width, height, 3, Array.from({ length: 3 * width * height }, (_, i) => {
  const p = Math.floor(i / 3);
  return add + [p % width, Math.floor(p / width), 1][i % 3]!;
}));

const noisePicture = (width: number, height: number, seed: number, format: PictureFormat = 'f16'): Image => {
  const next = random(seed);
  return makeImage(width, height, 3, Array.from({ length: 3 * width * height }, () => (format === 'f16' ? toHalf(next()) : Math.fround(next()))));
};

const mean = (v: ArrayLike<number>): number => Array.from(v).reduce((s, x) => s + x, 0) / v.length;
function variance(v: ArrayLike<number>): number {
  const m = mean(v);
  return mean(Array.from(v, (x) => (x - m) ** 2));
}

/** Uniform in [low, high): range, mean and variance within 5 standard errors. */
function expectUniform(v: readonly number[], low: number, high: number): void {
  const span = high - low;
  expect(Math.min(...v)).toBeGreaterThanOrEqual(low);
  expect(Math.max(...v)).toBeLessThanOrEqual(high);
  expect(Math.abs(mean(v) - (low + high) / 2)).toBeLessThan((5 * span) / Math.sqrt(12 * v.length));
  // The fourth central moment of a uniform variable is span^4 / 80.
  const error = Math.sqrt((1 / 80 - 1 / 144) / v.length);
  expect(Math.abs(variance(v) / span ** 2 - 1 / 12)).toBeLessThan(5 * error);
}

describe('random tiles', () => {
  const [W, H, w, h] = [40, 24, 8, 6];
  const tiles = 400;

  test.each([[-2, 2], [-1.5, 4.5]] as const)('place, flips and exposure by %p to %p stops, alike of picture and reference', async (...ev) => {
    const [img, ref] = [positions(W, H, 0.5), positions(W, H)];
    const g = await generate({ mode: 1, img, ref, size: [w, h], tiles, randomTile: true, a: 3, b: 1, ev });
    const drawn = g.noise.map(({ b: c }, t) => {
      const at = (x: number, y: number, channel: number): number => Math.round(g.ref[t]!.data[3 * (y * w + x) + channel]! / c);
      const [left, right, top, bottom] = [at(0, 0, 0), at(w - 1, 0, 0), at(0, 0, 1), at(0, h - 1, 1)];
      return { c, x: Math.min(left, right), y: Math.min(top, bottom), flipX: left > right, flipY: top > bottom };
    });
    let wrong = 0;
    for (const [t, { c, x, y, flipX, flipY }] of drawn.entries()) {
      for (const [from, to] of [[img, g.img[t]!], [ref, g.ref[t]!]] as const)
        for (let py = 0; py < h; py++)
          for (let px = 0; px < w; px++) {
            const p = (y + (flipY ? h - 1 - py : py)) * W + x + (flipX ? w - 1 - px : px);
            for (let k = 0; k < 3; k++) if (to.data[3 * (py * w + px) + k] !== toHalf(Math.fround(c * from.data[3 * p + k]!))) wrong++;
          }
      // The reference's profile: (c^2 a, c b).
      expect(g.noise[t]!.a / exposedNoise({ a: 3, b: 1 }, Math.log2(c)).a).toBeCloseTo(1, 6);
    }
    expect(wrong).toBe(0);
    expectUniform(drawn.map(({ c }) => Math.log2(c)), ev[0] - 1e-6, ev[1] + 1e-6);
    // Places 0..n are equally likely: in the middle of their bins they are uniform in [0, n + 1).
    const next = random(1);
    expectUniform(drawn.map(({ x }) => x + next()), 0, W - w + 1);
    expectUniform(drawn.map(({ y }) => y + next()), 0, H - h + 1);
    expect(new Set(drawn.map(({ x }) => x)).size).toBe(W - w + 1);
    expect(new Set(drawn.map(({ y }) => y)).size).toBe(H - h + 1);
    for (const flips of [drawn.map((d) => d.flipX), drawn.map((d) => d.flipY), drawn.map((d) => d.flipX === d.flipY)])
      expect(Math.abs(flips.filter(Boolean).length / tiles - 0.5)).toBeLessThan(2.5 / Math.sqrt(tiles));
  });

  test('a tile as large as the picture is all of it, perhaps flipped', async () => {
    const ref = noisePicture(8, 6, 1);
    const { ref: [tile], noise } = await generate({ mode: 1, img: ref, ref, size: [8, 6], randomTile: true, b: 1 });
    const cuts = [false, true].flatMap((flipX) => [false, true].map((flipY) => ({ flipX, flipY })));
    const expected = cuts.map(({ flipX, flipY }) => Array.from({ length: 144 }, (_, i) => {
      const [x, y] = [Math.floor(i / 3) % 8, Math.floor(i / 24)];
      return toHalf(Math.fround(noise[0]!.b * ref.data[3 * ((flipY ? 5 - y : y) * 8 + (flipX ? 7 - x : x)) + (i % 3)]!));
    }));
    expect(expected).toContainEqual(Array.from(tile!.data));
  });
});

/** pcg4d as its paper gives it, and the uniform numbers that glsl/common/random.glsl makes of its 23 upper bits. */
function drawn4(frame: number, tile: number, purpose: number, seed: number): number[] {
  let [x, y, z, w] = [frame, tile, purpose, seed].map((v) => (Math.imul(v, 1664525) + 1013904223) >>> 0) as [number, number, number, number];
  const mix = (): void => {
    x = (x + Math.imul(y, w)) >>> 0;
    y = (y + Math.imul(z, x)) >>> 0;
    z = (z + Math.imul(x, y)) >>> 0;
    w = (w + Math.imul(y, z)) >>> 0;
  };
  mix();
  [x, y, z, w] = [x, y, z, w].map((v) => (v ^ (v >>> 16)) >>> 0) as [number, number, number, number];
  mix();
  return [x, y, z, w].map((v) => ((v >>> 9) + 0.5) / 2 ** 23);
}

describe('a pool of pictures', () => {
  const [W, H, w, h] = [20, 16, 6, 4];
  const [pictures, tiles, frame, seed] = [7, 1400, 5, 3];
  /** Channel 2 says which picture it is. */
  const numbered = (k: number, add: number): Image => {
    const p = positions(W, H, add);
    p.data.forEach((_v, i) => i % 3 === 2 && (p.data[i] = k + 1 + add));
    return p;
  };
  const pool = Array.from({ length: pictures }, (_, k) => ({ img: numbered(k, 0.5), ref: numbered(k, 0) }));
  const profiles = pool.map((_p, k) => ({ a: 100 * (k + 1), b: k + 1 }));

  test('each tile is of a picture of its own, at a place of its own, as computed on the host', async () => {
    const g = await generate({ mode: 1, ...pool[0]!, more: pool.slice(1), size: [w, h], tiles, frame, seed, randomTile: true, a: 3, b: 1 });
    let wrong = 0;
    const of = Array.from({ length: tiles }, (_, t) => {
      const [ux, uy, , uw] = drawn4(frame, t, 0, seed) as [number, number, number, number];
      const [fx, fy] = drawn4(frame, t, 2, seed) as [number, number];
      // In f32, as on the device.
      const [x, y, k] = [Math.floor(Math.fround(ux * (W - w + 1))), Math.floor(Math.fround(uy * (H - h + 1))), Math.floor(Math.fround(uw * pictures))];
      const c = g.noise[t]!.b; // the exposure, as the kernel's exp2 gives it
      for (const [name, tile] of [['img', g.img[t]!], ['ref', g.ref[t]!]] as const)
        for (let py = 0; py < h; py++)
          for (let px = 0; px < w; px++) {
            const p = (y + (fy < 0.5 ? h - 1 - py : py)) * W + x + (fx < 0.5 ? w - 1 - px : px);
            for (let channel = 0; channel < 3; channel++)
              if (tile.data[3 * (py * w + px) + channel] !== toHalf(Math.fround(c * pool[k]![name].data[3 * p + channel]!))) wrong++;
          }
      return { k, x, y };
    });
    expect(wrong).toBe(0);
    // Pictures are equally likely (chi-square, 6 degrees of freedom: 5 sigma of its normal approximation), and independent of the place.
    const counts = pool.map((_p, k) => of.filter((d) => d.k === k).length);
    const expected = tiles / pictures;
    const chi = counts.reduce((s, n) => s + (n - expected) ** 2 / expected, 0);
    expect(Math.abs(chi - (pictures - 1))).toBeLessThan(5 * Math.sqrt(2 * (pictures - 1)));
    expectUniform(of.map((d, t) => d.k + drawn4(t, 1, 9, 9)[0]!), 0, pictures);
    const product = mean(of.map((d) => ((d.k + 0.5) / pictures - 0.5) * ((d.x + 0.5) / (W - w + 1) - 0.5)));
    expect(Math.abs(product)).toBeLessThan(5 / 12 / Math.sqrt(tiles));
  });

  test('each with its own noise profile, exposed with it', async () => {
    const of = (own: boolean): Promise<Generated> =>
      generate({ mode: 1, ...pool[0]!, more: pool.slice(1), size: [w, h], tiles, frame, seed, randomTile: true, a: 0, b: 1, ...(own ? { profiles } : {}) });
    const [exposures, g] = [(await of(false)).noise.map((n) => n.b), await of(true)];
    for (let t = 0; t < tiles; t++) {
      const k = Math.floor(Math.fround(drawn4(frame, t, 0, seed)[3]! * pictures));
      const { a, b } = exposedNoise(profiles[k]!, Math.log2(exposures[t]!));
      expect(g.noise[t]!.a / a).toBeCloseTo(1, 5);
      expect(g.noise[t]!.b / b).toBeCloseTo(1, 5);
    }
  });

  test('not random: the first of them', async () => {
    const g = await generate({ mode: 0, ...pool[0]!, more: pool.slice(1), size: [w, h], profiles });
    expect(g.ref[0]).toEqual(makeImage(w, h, 3, cutTile(pool[0]!.ref, { x: 0, y: 0, size: w, flipX: false, flipY: false, ev: 0 }).data.subarray(0, 3 * w * h)));
    expect(g.noise[0]).toEqual(profiles[0]);
  });
});

describe('highlights', () => {
  const [W, H, w, h] = [40, 24, 16, 12];
  const [tiles, frame, seed, hilite] = [300, 5, 3, 7];
  const ev = [-1, 2] as const;
  const next = random(11);
  /** A third of its pixels of shadows and mid tones, a third of highlights, a third of brighter than white; some below 0, some white. */
  const picture = makeImage(W, H, 3, Array.from({ length: W * H }, (_, i) => {
    const bright = i % 12 === 1 ? 1 : [0.5 * next(), 0.5 + 0.5 * next(), 2 ** (9 * next())][i % 3]!;
    const rgb = [bright, bright * next(), bright * (1.2 * next() - 0.2)];
    return Array.from({ length: 3 }, (_v, k) => toHalf(rgb[(i + k) % 3]!));
  }).flat());
  const run = (more: Partial<Options> = {}): Promise<Generated> =>
    generate({ mode: 2, img: picture, ref: picture, size: [w, h], tiles, frame, seed, randomTile: true, ev, hilite, ...more });
  /** Tile t as the reference makes it of the random numbers that the host finds. */
  const expected = (t: number, stops = hilite): Image => {
    const [ux, uy, uz] = drawn4(frame, t, 0, seed) as [number, number, number];
    const [fx, fy, share] = drawn4(frame, t, 2, seed) as [number, number, number];
    const [x, y] = [Math.floor(Math.fround(ux * (W - w + 1))), Math.floor(Math.fround(uy * (H - h + 1)))];
    const cut = cutTile(expandHighlights(picture, stops, share), { x, y, size: w, flipX: fx < 0.5, flipY: false, ev: ev[0] + (ev[1] - ev[0]) * uz });
    // Of the square that cutTile cuts the upper h rows, flipped among themselves.
    const row = (k: number): number[] => Array.from(cut.data.subarray(3 * w * k, 3 * w * (k + 1)));
    return makeImage(w, h, 3, Array.from({ length: h }, (_, k) => row(fy < 0.5 ? h - 1 - k : k)).flat());
  };
  /** Of f16's rounding, and of two exp2 in f32 (3 + 2 |x| units each, |x| to 7), which may fall on the other side of a tie. */
  const near = (found: number, right: number): boolean => Math.abs(found - right) <= 2 ** -24 + Math.abs(right) * (2 ** -11 + 2 ** -18);
  const off = (images: readonly Image[], of: (t: number) => Image): number =>
    images.reduce((wrong, image, t) => wrong + of(t).data.filter((right, i) => !near(image.data[i]!, right)).length, 0);

  test('are expanded as the reference expands them, by a factor of the tile that is drawn anew; 0 stops leave them', async () => {
    const g = await run();
    expect(g.img).toEqual(g.ref); // no noise
    expect(off(g.ref, expected)).toBe(0);
    // A test that can fail: neither is as it was, nor with another number of stops.
    for (const stops of [0, 6.9]) expect(off(g.ref, (t) => expected(t, stops))).toBeGreaterThan(1000);
    expectUniform(g.ref.map((_, t) => drawn4(frame, t, 2, seed)[2]!), 0, 1);
    expect(off((await run({ hilite: 0 })).ref, (t) => expected(t, 0))).toBe(0);
    expect(off((await run({ mode: 4 })).ref, expected)).toBe(0);
  });

  test('with the noise of what they became', async () => {
    const profile = { a: 4e6, b: 30 };
    const g = await run(profile);
    // Where f16 of what is stored is fine against the noise.
    const z = g.ref.flatMap((ref, t) => Array.from(ref.data, (v, i) => [v, (g.img[t]!.data[i]! - v) / noiseSigma(profile, v)] as const)).filter(([v]) => v > 2 && v < 16).map(([, u]) => u);
    expect(z.length).toBeGreaterThan(10_000);
    expect(Math.abs(mean(z))).toBeLessThan(5 / Math.sqrt(z.length));
    const rounding = Math.max(...[2, 4, 8].map((v) => (2 ** -10 * v / noiseSigma(profile, v)) ** 2 / 12));
    expect(Math.abs(variance(z) - 1)).toBeLessThan(5 * Math.sqrt(2 / z.length) + rounding);
  });

  test('of a picture as bright as f16 lets i-set be, exposed most, stay in f16', async () => {
    const bright = makeImage(W, H, 3, Array.from(picture.data, (v, i) => (i % 7 === 0 ? 1023.5 : i % 7 === 1 ? -1023.5 : toHalf(v))));
    const g = await run({ ref: bright, ev: [6, 6], hilite: 9 });
    const largest = Math.max(...g.ref.map(({ data }) => data.reduce((m, v) => Math.max(m, Math.abs(v)), 0)));
    expect(largest).toBe(65504);
    expect(g.img.every(({ data }) => data.every(Number.isFinite))).toBe(true);
  });

  test('are left alone where the tile is not random', async () => {
    const whole = { mode: 2, img: picture, ref: picture, size: [W, H] as const, hilite };
    expect((await generate(whole)).ref[0]!.data).toEqual(picture.data);
  });
});

test.each([0, 3] as const)('not random, mode %d: the top left tile as it is; f16 and f32 pictures alike', async (mode) => {
  const [img, ref] = [noisePicture(20, 12, 1), noisePicture(20, 12, 2)];
  const cut = { x: 0, y: 0, flipX: false, flipY: false, ev: 0 };
  const part = (image: Image): Image => makeImage(10, 10, 3, cutTile(image, { ...cut, size: 10 }).data);
  for (const formats of [['f32', 'f16'], ['f16', 'f32']] as const) {
    const g = await generate({ mode, img, ref, size: [10, 10], a: 5, b: 7, formats });
    expect(g.img[0]).toEqual(mode === 3 ? mosaic(part(img)) : part(img));
    expect(g.ref[0]).toEqual(part(ref));
    expect(g.noise[0]).toEqual({ a: 5, b: 7 });
  }
});

test('f32 pictures are rounded to nearest', async () => {
  const img = noisePicture(9, 5, 4, 'f32');
  const g = await generate({ mode: 0, img, ref: img, size: [9, 5] });
  expect(g.img[0]!.data).toEqual(img.data.map(toHalf));
});

describe('noise', () => {
  const size = [96, 64] as const;
  const flat = (level: number): Image => makeImage(size[0], size[1], 3, new Array<number>(3 * size[0] * size[1]).fill(level));

  test.each([[0, 4e6, 30], [0.25, 4e6, 30], [1, 0, 300], [4, 1e7, 0], [-0.5, 4e6, 30]])('at level %d its variance is (a + 65535 max(x, 0) b) / 65535^2', async (level, a, b) => {
    const g = await generate({ mode: 2, img: flat(0), ref: flat(level), size, a, b });
    expect(g.ref[0]).toEqual(flat(level));
    expect(g.noise[0]).toEqual({ a, b });
    const sigma = addNoise(makeImage(1, 1, 1, [level]), [1], { a, b }).data[0]! - level;
    const z = g.img[0]!.data.map((v) => (v - level) / sigma);
    const n = z.length;
    expect(Math.abs(mean(z))).toBeLessThan(5 / Math.sqrt(n));
    // f16 adds (spacing/sigma)^2 / 12 to the variance.
    const rounding = (2 ** -10 * Math.max(Math.abs(level), sigma) / sigma) ** 2 / 12;
    expect(Math.abs(variance(z) - 1)).toBeLessThan(5 * Math.sqrt(2 / n) + rounding);
    expect(Math.abs(mean(z.map((v) => v ** 4)) - 3)).toBeLessThan(5 * Math.sqrt(96 / n) + 6 * rounding);
    const correlation = (offset: number): number => mean(z.subarray(0, n - offset).map((v, i) => v * z[i + offset]!));
    for (const offset of [1, 2, 3, 3 * size[0]]) expect(Math.abs(correlation(offset))).toBeLessThan(5 / Math.sqrt(n)); // channels, neighbours
  });

  test('what is trained on is what is stored: noise is added to the rounded, exposed reference', async () => {
    const ref = noisePicture(16, 16, 3, 'f32');
    const g = await generate({ mode: 2, img: ref, ref, size: [16, 16] }); // no noise at all
    expect(g.img[0]).toEqual(g.ref[0]);
    expect(g.ref[0]!.data).toEqual(ref.data.map(toHalf));
  });

  test('the mosaic is of the noisy picture', async () => {
    const ref = noisePicture(17, 9, 5);
    const options = { img: ref, ref, size: [17, 9] as const, a: 4e6, b: 30 };
    const noisy = await generate({ mode: 2, ...options });
    const both = await generate({ mode: 4, ...options });
    expect(both.img[0]).toEqual(mosaic(noisy.img[0]!));
    expect(both.ref[0]).toEqual(ref);
    expect(noisy.img[0]).not.toEqual(ref);
  });

  test('vkdt draws a in 0 .. 1000 * 65535 and b in 0 .. 1000, uniformly and independently', async () => {
    const { noise } = await generate({ mode: 2, img: flat(0), ref: flat(0), size: [1, 1], tiles: 2000, noise: 'vkdt' });
    expectUniform(noise.map(({ a }) => a), 0, 1000 * 65535);
    expectUniform(noise.map(({ b }) => b), 0, 1000);
    const product = mean(noise.map(({ a, b }) => (a / 65535e3 - 0.5) * (b / 1000 - 0.5)));
    expect(Math.abs(product)).toBeLessThan(5 / 12 / Math.sqrt(2000));
  });

  test('log draws read sigma in 0.001 .. 0.1 and shot sigma at 0.18 in 0.004 .. 0.16, log-uniformly', async () => {
    const { noise } = await generate({ mode: 2, img: flat(0), ref: flat(0), size: [1, 1], tiles: 2000, noise: 'log' });
    expectUniform(noise.map(({ a }) => Math.log(Math.sqrt(a) / 65535)), Math.log(0.001) - 1e-6, Math.log(0.1) + 1e-6);
    expectUniform(noise.map(({ b }) => Math.log(Math.sqrt((0.18 * b) / 65535))), Math.log(0.004) - 1e-6, Math.log(0.16) + 1e-6);
  });

  test('the same for seed and frame, other for other seeds, frames and tiles', async () => {
    const ref = noisePicture(32, 32, 3);
    const of = (seed: number, frame: number): Promise<Generated> => generate({ mode: 2, img: ref, ref, size: [8, 8], tiles: 3, randomTile: true, noise: 'log', seed, frame });
    const first = await of(1, 0);
    expect(await of(1, 0)).toEqual(first);
    for (const other of [await of(2, 0), await of(1, 1)]) {
      expect(other.noise).not.toEqual(first.noise);
      expect(other.ref[0]).not.toEqual(first.ref[0]);
    }
    expect(first.noise[0]).not.toEqual(first.noise[1]);
  });
});
