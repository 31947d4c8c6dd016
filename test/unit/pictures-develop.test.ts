// Developing planes of a sensor: demosaicing, white balance, clipping, turning (ts/formats/develop.ts), and TIFF files of our own.

import sharp from 'sharp';
import { developHalf, developPixels, developRows, haloRows, turn, type Development } from '../../ts/formats/develop.js';
import { exifOfShot, readShot, exifOfTiff } from '../../ts/formats/exif.js';
import { fromHalf, toHalf } from '../../ts/formats/half.js';
import { writeProfile } from '../../ts/formats/icc.js';
import { inWorker } from '../../ts/pictures/pool.js';
import { codesArray } from '../../ts/formats/codes.js';
import { encodeTiff, type PackStrip } from '../../ts/formats/tiff.js';

const identity = [[1, 0, 0], [0, 1, 0], [0, 0, 1]] as const;
const plain: Development = { gains: [1, 1, 1], scale: 1, toRec2020: identity, red: { x: 0, y: 0 } };

/** Planes of the mosaic that a sensor sees of a picture. */
function planes(W: number, H: number, at: (x: number, y: number) => readonly [number, number, number], red: Development['red']): [Uint16Array, Uint16Array] {
  const [w, h] = [W / 2, H / 2];
  const [first, second] = [new Float32Array(4 * w * h), new Float32Array(4 * w * h)];
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      const value = (dx: number, dy: number, c: 0 | 1 | 2): number => at(2 * x + dx, 2 * y + dy)[c];
      const [r, b] = [value(red.x, red.y, 0), value(1 - red.x, 1 - red.y, 2)];
      first.set([r, value(1 - red.x, red.y, 1), b, 1], 4 * (y * w + x));
      second.set([r, value(red.x, 1 - red.y, 1), b, 1], 4 * (y * w + x));
    }
  return [toHalf(first).data, toHalf(second).data];
}

const whole = ([a, b]: [Uint16Array, Uint16Array], W: number, H: number, d: Development): Float32Array => fromHalf(developRows(a, b, 0, W / 2, H / 2, 0, H, d));

describe('demosaicing', () => {
  const [W, H] = [24, 16];

  test.each([[0, 0], [1, 0], [0, 1], [1, 1]] as const)('a plane of colour and one that slants are restored, red at %d, %d', (x, y) => {
    const d = { ...plain, red: { x, y } };
    const slope = (px: number, py: number) => [0.2 + px / 64, 0.3 + px / 64 + py / 128, 0.1 + py / 128] as const;
    const flat = () => [0.5, 0.25, 0.125] as const;
    for (const at of [flat, slope]) {
      const rgb = whole(planes(W, H, at, d.red), W, H, d);
      for (let py = 0; py < H; py++)
        for (let px = 0; px < W; px++)
          for (const c of [0, 1, 2] as const) {
            const inside = at === flat || (px >= 3 && px < W - 3 && py >= 3 && py < H - 3); // mirroring bends a slope
            if (inside) expect(Math.abs(rgb[4 * (py * W + px) + c]! - at(px, py)[c])).toBeLessThan(0.001);
          }
    }
  });

  test('a grey edge of any direction has no coloured fringe beyond a pixel, and is no wider', () => {
    for (const slope of [0, 1, 3, 1e9]) {
      const at = (x: number, y: number) => (y - H / 2 > slope * (x - W / 2) ? [0.8, 0.8, 0.8] : [0.1, 0.1, 0.1]) as [number, number, number];
      const rgb = whole(planes(W, H, at, plain.red), W, H, plain);
      for (let y = 3; y < H - 3; y++)
        for (let x = 4; x < W - 4; x++) {
          const near = [-2, -1, 0, 1, 2].some((dy) => [-2, -1, 0, 1, 2].some((dx) => at(x + dx, y + dy)[0] !== at(x, y)[0]));
          const [r, g, b] = rgb.subarray(4 * (y * W + x)) as unknown as [number, number, number];
          if (!near) expect(Math.max(Math.abs(r - at(x, y)[0]), Math.abs(g - at(x, y)[0]), Math.abs(b - at(x, y)[0]))).toBeLessThan(0.002);
        }
    }
  });

  test('parts are the whole, bit for bit', () => {
    const value = (x: number, y: number, c: number): number => ((x * 7 + y * 13 + c * 5) % 23) / 23;
    const [a, b] = planes(W, H, (x, y) => [value(x, y, 0), value(x, y, 1), value(x, y, 2)], plain.red);
    const all = developRows(a, b, 0, W / 2, H / 2, 0, H, plain);
    const [top, bottom] = [5, 11];
    const from = Math.max(0, (top - haloRows) >> 1);
    const cut = (p: Uint16Array) => p.slice(4 * from * (W / 2));
    expect(developRows(cut(a), cut(b), from, W / 2, H / 2, top, bottom, plain)).toEqual(all.slice(4 * W * top, 4 * W * bottom));
  });

  describe('greens that were denoised apart', () => {
    const [w, h] = [48, 40];
    // Noise of a standard deviation of 0.02 everywhere.
    const denoised = { a: (0.02 * 65535) ** 2, b: 0, strength: 1 };
    const meshed = (of: (x: number, y: number) => number, mesh: number, red = plain.red): [Uint16Array, Uint16Array] => planes(w, h, (x, y) => {
      const g = of(x, y) + ((y & 1) === red.y ? mesh : -mesh);
      return [of(x, y), g, of(x, y)];
    }, red);
    const worst = (rgb: Float32Array, of: (x: number, y: number) => number, margin: number): number => {
      let most = 0;
      for (let y = margin; y < h - margin; y++) for (let x = margin; x < w - margin; x++) most = Math.max(most, Math.abs(rgb[4 * (y * w + x) + 1]! - of(x, y)));
      return most;
    };

    test.each([[0, 0], [1, 0], [0, 1], [1, 1]] as const)('a mesh below the noise goes, on a slope too, red at %d, %d', (x, y) => {
      const d = { ...plain, red: { x, y }, denoised };
      const slope = (px: number, py: number): number => 0.3 + px / 200 + py / 300;
      for (const [of, margin] of [[() => 0.3, 0], [slope, 3]] as const) {
        expect(worst(whole(meshed(of, 0.008, d.red), w, h, d), of, margin)).toBeLessThan(0.0005);
        expect(worst(whole(meshed(of, 0.008, d.red), w, h, { ...d, denoised: undefined }), of, margin)).toBeGreaterThan(0.007);
      }
    });

    test('a pattern above the noise is the picture, and stays but for what noise would be in it; strength 0 changes nothing, a half goes half way', () => {
      const flat = (): number => 0.3;
      // Its difference to its neighbours is 0.2; the noise's energy there is 0.75 * 1.25 * 0.02^2, or 0.94 % of that.
      expect(worst(whole(meshed(flat, 0.1), w, h, { ...plain, denoised }), flat, 0)).toBeCloseTo(0.1 * (1 - 0.0094), 3);
      const off = { ...denoised, strength: 0 };
      expect(whole(meshed(flat, 0.008), w, h, { ...plain, denoised: off })).toEqual(whole(meshed(flat, 0.008), w, h, plain));
      expect(worst(whole(meshed(flat, 0.008), w, h, { ...plain, denoised: { ...denoised, strength: 0.5 } }), flat, 0)).toBeCloseTo(0.004, 3);
    });

    test('the noise is that of camera rgb: balanced green, and shot noise by the signal', () => {
      const shot = { a: 0, b: (65535 * 0.02 ** 2) / 0.15, strength: 1 }; // 0.02 at a signal of 0.15
      const d = { ...plain, gains: [2, 2, 2] as const, denoised: shot };
      const [above, below] = [0.04, 0.008].map((mesh) => worst(whole(meshed(() => 0.15, mesh), w, h, d), () => 0.3, 0) / (2 * mesh));
      expect(below).toBeLessThan(0.05);
      // (2 * 0.04)^2 against 0.75 * 1.25 * 0.02^2, both of the camera's values.
      expect(above).toBeCloseTo(1 - (0.9375 * 0.02 ** 2) / 0.08 ** 2, 1);
    });

    test('parts are the whole, bit for bit', () => {
      const value = (x: number, y: number): number => 0.2 + ((x * 7 + y * 13) % 23) / 400;
      const d = { ...plain, denoised };
      const [a, b] = meshed(value, 0.01);
      const all = developRows(a, b, 0, w / 2, h / 2, 0, h, d);
      const [top, bottom] = [13, 25];
      const from = (top - haloRows) >> 1;
      const to = (bottom + haloRows + 1) >> 1;
      const cut = (p: Uint16Array) => p.slice(2 * from * w, 2 * to * w);
      expect(developRows(cut(a), cut(b), from, w / 2, h / 2, top, bottom, d)).toEqual(all.slice(4 * w * top, 4 * w * bottom));
    });
  });

  test('half size takes the mean of the greens; balance, then clipping, then matrix and exposure', () => {
    const half = (...v: number[]) => toHalf(Float32Array.from(v)).data;
    const d: Development = { ...plain, gains: [2, 1, 1.5], scale: 0.5, toRec2020: [[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]] };
    expect([...fromHalf(developHalf(half(0.25, 0.25, 0.5, 1), half(0.25, 0.75, 0.5, 1), d))]).toEqual([0.25, 0.25, 0.375, 1]);
    expect([...fromHalf(developPixels(half(0.9, 1, 0.9, 1), d))]).toEqual([0.5, 0.5, 0.5, 1]); // what clips is white, not pink
    expect([...fromHalf(developPixels(half(-0.25, 0, 0, 1), d))]).toEqual([-0.125, 0, 0, 1]); // below black stays below
  });
});

test('turning: the corner that was top left', () => {
  const rgba = Uint16Array.from([1, 2, 3, 4, 5, 6].flatMap((v) => [v, v, v, v])); // 3 x 2
  const corners = ([0, 1, 2, 3] as const).map((turns) => {
    const t = turn(rgba, 3, 2, turns);
    return [t.width, t.height, ...t.rgba.filter((_, i) => i % 4 === 0)];
  });
  expect(corners).toEqual([[3, 2, 1, 2, 3, 4, 5, 6], [2, 3, 4, 1, 5, 2, 6, 3], [3, 2, 6, 5, 4, 3, 2, 1], [2, 3, 3, 6, 2, 5, 1, 4]]);
});

describe('TIFF files', () => {
  const icc = writeProfile('P3', 'sRGB')!;
  const little = exifOfShot({ make: 'Canon', model: 'Canon EOS 30D', iso: 640, exposure: 1 / 400, fNumber: 22, focal: 22, time: 1248181400, lens: '' });

  test('strips packed on threads are the same file', async () => {
    const [W, H] = [601, 1300];
    const codes = codesArray(16, W * H, true).map((_, i) => (i * 2654435761) % 65536);
    const threads: string[] = [];
    const pack: PackStrip = (...strip) => (threads.push('strip'), inWorker('packStrip', strip));
    for (const exif of [little, undefined]) expect(Buffer.from(await encodeTiff(W, H, codes, { exif, pack })).equals(Buffer.from(await encodeTiff(W, H, codes, { exif })))).toBe(true);
    expect(threads.length).toBe(6);
  });

  test.each([8, 16] as const)('%d bits: what libvips reads of it, profile and EXIF kept, many strips', async (bits) => {
    const [W, H] = [701, 900];
    const values = Array.from({ length: 3 * W * H }, (_, i) => (i * 2654435761) % 2 ** bits);
    const codes = bits === 8 ? Uint8Array.from(values) : Uint16Array.from(values);
    const big = await sharp({ create: { width: 1, height: 1, channels: 3, background: 'red' } }).withExif({ IFD0: { Model: 'X' }, IFD2: { ISOSpeedRatings: '200' } }).jpeg().toBuffer();
    const bigEndian = (await sharp(big).metadata()).exif!.subarray(6);
    for (const exif of [little, Uint8Array.from(bigEndian), undefined]) {
      const tiff = await encodeTiff(W, H, codes, { exif, icc });
      const image = sharp(tiff);
      const meta = await image.metadata();
      expect(meta).toMatchObject({ format: 'tiff', width: W, height: H, channels: 3, depth: bits === 8 ? 'uchar' : 'ushort', icc: Buffer.from(icc) });
      const { data } = await sharp(tiff, { ignoreIcc: true }).toColourspace(bits === 8 ? 'srgb' : 'rgb16').raw({ depth: bits === 8 ? 'uchar' : 'ushort' }).toBuffer({ resolveWithObject: true });
      expect(data.equals(Buffer.from(codes.buffer))).toBe(true);
      if (exif) expect(readShot(exifOfTiff(tiff))).toEqual(readShot(exif));
    }
  });
});
