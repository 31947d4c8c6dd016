// JPEG and PNG: code values, profiles, orientation, round trips (SPEC sections 4 and 5).

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { lightToCodes } from '../../ts/formats/codes.js';
import { convertPrimaries, curve, curveNames, apply, type Curve, type Primaries, type Vec3 } from '../../ts/formats/colour.js';
import { crc32, tagPng, uprightExif } from '../../ts/formats/container.js';
import { isProfile, readProfile, writeProfile } from '../../ts/formats/icc.js';
import { codesOfCurve, decodePicture, encodePicture, type PictureKind } from '../../ts/formats/picture.js';
import { failure } from './io-harness.js';

const noWarning = (m: string): void => {
  throw new Error(m);
};
const decode = (bytes: Uint8Array, kind: PictureKind = 'png', warn = noWarning) => decodePicture(bytes, kind, 'a picture', warn);

/** Reproducible code values. */
function codes(n: number, top: number): number[] {
  let s = 12345;
  return Array.from({ length: n }, () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 2 ** 32) * (top + 1));
  });
}

/** What a code triple is in linear rec2020. */
function expected(rgb: Vec3, primaries: Primaries, trc: Curve, top: number): Vec3 {
  const { decode: d } = curve(trc);
  return apply(convertPrimaries(primaries, 'bt2020'), rgb.map((v) => d(v / top)) as unknown as Vec3);
}

function expectColours(rgba: Float32Array, rgb: ArrayLike<number>, primaries: Primaries, trc: Curve, top: number, bound: (v: number) => number): void {
  let worst = 0;
  for (let p = 0; p < rgba.length / 4; p++) {
    const want = expected([rgb[3 * p]!, rgb[3 * p + 1]!, rgb[3 * p + 2]!], primaries, trc, top);
    for (const c of [0, 1, 2] as const) worst = Math.max(worst, Math.abs(rgba[4 * p + c]! - want[c]) / bound(Math.max(...want)));
  }
  expect(worst).toBeLessThanOrEqual(1);
  expect(rgba[3]).toBe(1);
}

const f32 = (v: number): number => 2 ** -23 * v;
/**
 * A profile's numbers are s15Fixed16: each is off by 2^-17, a colorant by 2^-16 where its maker made the columns sum to white.
 * A linear value is three products with colorants, taken to rec2020 (rows of that matrix sum to below 2.7 in absolute values), of
 * light whose curve has a slope below 2.4 in each of its parameters a and b and below 0.2 in g.
 */
const profileBound = (): number => 2.7 * 3 * 2 ** -16 + 2.7 * 5 * 2 ** -17;

const raw = (data: number[], channels: 1 | 2 | 3 | 4, bits: 8 | 16, width: number) =>
  sharp(bits === 8 ? Uint8Array.from(data) : Uint16Array.from(data), { raw: { width, height: data.length / width / channels, channels } });

describe('decoding', () => {
  test.each([8, 16] as const)('%i-bit colour without a profile is sRGB', async (bits) => {
    const v = codes(60 * 3, 2 ** bits - 1);
    const png = await raw(v, 3, bits, 10).toColourspace(bits === 16 ? 'rgb16' : 'srgb').png().toBuffer();
    const p = await decode(png);
    expect([p.width, p.height]).toEqual([10, 6]);
    expectColours(p.rgba, v, 'sRGB', 'sRGB', 2 ** bits - 1, f32);
  });

  test.each([8, 16] as const)('%i-bit grey is grey, its alpha dropped', async (bits) => {
    const v = codes(40, 2 ** bits - 1);
    const space = bits === 16 ? 'grey16' : 'b-w';
    const thrice = v.flatMap((x) => [x, x, x]);
    const grey = await decode(await raw(v, 1, bits, 8).toColourspace(space).png().toBuffer());
    expectColours(grey.rgba, thrice, 'sRGB', 'sRGB', 2 ** bits - 1, f32);
    const alpha = await decode(await raw(v.flatMap((x, i) => [x, (i * 97) % 256]), 2, bits, 8).toColourspace(space).png().toBuffer());
    expect(alpha.rgba).toEqual(grey.rgba);
  });

  test.each([8, 16] as const)('%i-bit alpha is dropped, what lies below stays', async (bits) => {
    const v = codes(40 * 3, 2 ** bits - 1);
    const withAlpha = Array.from({ length: 40 }, (_, p) => [...v.slice(3 * p, 3 * p + 3), p]).flat();
    const p = await decode(await raw(withAlpha, 4, bits, 8).toColourspace(bits === 16 ? 'rgb16' : 'srgb').png().toBuffer());
    expectColours(p.rgba, v, 'sRGB', 'sRGB', 2 ** bits - 1, f32);
  });

  test('palette and one-bit pictures', async () => {
    const v = codes(16 * 3, 255);
    const palette = await raw([...v, ...v], 3, 8, 16).png({ palette: true, colours: 16, dither: 0 }).toBuffer();
    expect((await sharp(palette).metadata()).isPalette).toBe(true);
    expectColours((await decode(palette)).rgba, [...v, ...v], 'sRGB', 'sRGB', 255, f32);
    const bw = Array.from({ length: 32 }, (_, i) => 255 * (((i * i) >> 2) & 1));
    const bit = await raw(bw, 1, 8, 8).toColourspace('b-w').png({ palette: true, colours: 2 }).toBuffer();
    expect((await decode(bit)).rgba).toEqual(Float32Array.from(bw.flatMap((x) => { const l = Math.fround(expected([x, x, x], 'sRGB', 'sRGB', 255)[0]); return [l, l, l, 1]; })));
  });
});

describe('profiles', () => {
  let dir: string;
  beforeAll(() => void (dir = mkdtempSync(join(tmpdir(), 'vkpn-icc-'))));
  afterAll(() => rmSync(dir, { recursive: true }));
  const profileFile = (primaries: Primaries, trc: Curve): string => {
    const path = join(dir, `${primaries}-${trc}.icc`);
    writeFileSync(path, writeProfile(primaries, trc)!);
    return path;
  };
  const rawCodes = async (file: Uint8Array, bits: 8 | 16): Promise<number[]> => {
    const { data } = await sharp(file, { ignoreIcc: true }).toColourspace(bits === 16 ? 'rgb16' : 'srgb').raw({ depth: bits === 16 ? 'ushort' : 'uchar' }).toBuffer({ resolveWithObject: true });
    return bits === 8 ? [...data] : Array.from({ length: data.length / 2 }, (_, i) => data.readUInt16LE(2 * i));
  };
  /** A picture that libvips turned into this space and tagged, and its codes. */
  const tagged = async (icc: string, bits: 8 | 16): Promise<{ png: Buffer; v: number[] }> => {
    const png = await raw(codes(300, 2 ** bits - 1), 3, bits, 10).toColourspace(bits === 16 ? 'rgb16' : 'srgb').withIccProfile(icc).png().toBuffer();
    return { png, v: await rawCodes(png, bits) };
  };

  test.each([8, 16] as const)("sharp's own P3, %i bits", async (bits) => {
    const { png, v } = await tagged('p3', bits);
    // Its colorants are made non-negative: red's Z is 0 and blue's 0.78308, Display P3's are -0.00105 and 0.78407. Rec2020's blue takes 1.26 of Z.
    expectColours((await decode(png)).rgba, v, 'P3', 'sRGB', 2 ** bits - 1, () => profileBound() + 0.00105 * 1.26);
  });

  test("sharp's own sRGB", async () => {
    const { png, v } = await tagged('srgb', 8);
    expectColours((await decode(png)).rgba, v, 'sRGB', 'sRGB', 255, profileBound);
  });

  test.each([['AdobeRGB', 'gamma2.2'], ['bt2020', 'bt709'], ['P3', 'linear'], ['sRGB', 'sRGB']] as const)('%s %s: our profile through libvips', async (primaries, trc) => {
    const { png, v } = await tagged(profileFile(primaries, trc), 16);
    expect(isProfile((await sharp(png).metadata()).icc!)).toBe(true);
    expectColours((await decode(png)).rgba, v, primaries, trc, 65535, profileBound);
  });

  test.each([['AdobeRGB', 'gamma2.2'], ['sRGB', 'sRGB'], ['P3', 'bt709']] as const)('%s %s: lcms finds the same colours by our profiles as we', async (primaries, trc) => {
    // It resamples 16-bit transforms at 33 points: a chord of a curve of second derivative <= 3.02 lies above it by up to this.
    const lcmsBound = 3.02 / 8 / 32 ** 2;
    // Light colours, so that all are inside the target and nothing is clipped.
    const v = codes(300, 30000).map((x) => x + 30000);
    const png = tagPng(await raw(v, 3, 16, 10).toColourspace('rgb16').png().toBuffer(), { icc: writeProfile(primaries, trc) });
    const ours = await decode(png);
    const through = await sharp(png, { ignoreIcc: true }).toColourspace('rgb16').withIccProfile(profileFile('bt2020', 'linear')).png().toBuffer();
    const theirs = await rawCodes(through, 16);
    for (let p = 0; p < 100; p++) for (let c = 0; c < 3; c++) expect(Math.abs(ours.rgba[4 * p + c]! - theirs[3 * p + c]! / 65535)).toBeLessThan(profileBound() + lcmsBound);
    // The profile mattered.
    expect(Math.abs(theirs[0]! - expected([v[0]!, v[1]!, v[2]!], 'bt2020', 'linear', 65535)[0] * 65535)).toBeGreaterThan(400);
  });

  test('there is none for XYZ and the video curves', () => {
    expect(writeProfile('XYZ', 'linear')).toBeUndefined();
    for (const c of ['PQ', 'HLG', 'DCI'] as const) expect(writeProfile('bt2020', c)).toBeUndefined();
    expect(writeProfile('bt2020', 'bt709')).toEqual(writeProfile('bt2020', 'bt709'));
  });

  /** A profile by hand: its tags, for RGB or grey. */
  function handMade(some: Record<string, Buffer>, space = 'RGB '): Buffer {
    // libpng finds profiles of less than some 200 bytes too short.
    const tags = { ...some, cprt: Buffer.concat([words('text'), Buffer.from('Nobody has a right to this. '.repeat(10))]) } as Record<string, Buffer>;
    const names = Object.keys(tags);
    const head = Buffer.alloc(132 + 12 * names.length);
    let offset = head.length;
    head.write(`mntr${space}XYZ `, 12, 'latin1');
    head.writeUInt32BE(0x02400000, 8);
    head.write('acsp', 36, 'latin1');
    [0xf6d6, 0x10000, 0xd32d].forEach((x, i) => head.writeInt32BE(x, 68 + 4 * i));
    head.writeUInt32BE(names.length, 128);
    names.forEach((name, i) => {
      head.write(name, 132 + 12 * i, 'latin1');
      head.writeUInt32BE(offset, 136 + 12 * i);
      head.writeUInt32BE(tags[name]!.length, 140 + 12 * i);
      offset += tags[name]!.length;
    });
    head.writeUInt32BE(offset, 0);
    return Buffer.concat([head, ...names.map((n) => tags[n]!)]);
  }
  const words = (type: string, ...values: number[]): Buffer => {
    const b = Buffer.alloc(8 + 4 * values.length);
    b.write(type, 'latin1');
    values.forEach((x, i) => b.writeInt32BE(x, 8 + 4 * i));
    return b;
  };
  const fixed = (x: number): number => Math.round(x * 65536);
  const xyz = (...v: number[]): Buffer => words('XYZ ', ...v.map(fixed));
  const curv = (...v: number[]): Buffer => {
    const b = Buffer.alloc(12 + 2 * v.length + (v.length % 2) * 2);
    b.write('curv', 'latin1');
    b.writeUInt32BE(v.length, 8);
    v.forEach((x, i) => b.writeUInt16BE(x, 12 + 2 * i));
    return b;
  };
  const para = (type: number, ...v: number[]): Buffer => words('para', type << 16, ...v.map(fixed));
  const colorants = { rXYZ: xyz(0.4361, 0.2225, 0.0139), gXYZ: xyz(0.3851, 0.7169, 0.0971), bXYZ: xyz(0.1431, 0.0606, 0.7141) };

  test.each<[string, Buffer, (x: number) => number]>([
    ['identity', curv(), (x) => x],
    ['gamma 1.8', curv(0x1cd), (x) => x ** (0x1cd / 256)],
    ['table', curv(0, 6554, 65535), (x) => (x < 0.5 ? (2 * x * 6554) / 65535 : (6554 + (2 * x - 1) * (65535 - 6554)) / 65535)],
    ['type 0', para(0, 2), (x) => x ** 2],
    ['type 1', para(1, 2, 1.25, -0.25), (x) => (x >= 0.2 ? (1.25 * x - 0.25) ** 2 : 0)],
    ['type 2', para(2, 2, 1.25, -0.25, 0.125), (x) => (x >= 0.2 ? (1.25 * x - 0.25) ** 2 : 0) + 0.125],
    ['type 3', para(3, 2, 1, 0, 0.25, 0.25), (x) => (x >= 0.25 ? x ** 2 : x / 4)],
    ['type 4', para(4, 2, 1, 0, 0.25, 0.25, 0.125, 0.0625), (x) => (x >= 0.25 ? x ** 2 + 0.125 : x / 4 + 0.0625)],
  ])('curve: %s', (_, trc, want) => {
    const p = readProfile(handMade({ ...colorants, rTRC: trc, gTRC: curv(), bTRC: curv() }))!;
    for (const x of [0, 0.1, 0.2, 0.24, 0.26, 0.5, 0.77, 1]) expect(p.decode[0](x)).toBeCloseTo(want(x), 9);
    expect(p.decode[1](0.3)).toBe(0.3);
  });

  test('a grey picture by its grey profile', async () => {
    const v = codes(40, 255);
    const icc = handMade({ kTRC: para(0, 2) }, 'GRAY');
    const png = tagPng(await raw(v, 1, 8, 8).toColourspace('b-w').png().toBuffer(), { icc });
    const { rgba } = await decode(png);
    v.forEach((x, p) => expect([...rgba.subarray(4 * p, 4 * p + 4)]).toEqual([0, 1, 2].map(() => Math.fround((x / 255) ** 2)).concat(1)));
  });

  test.each([8, 16] as const)('a profile of tables goes through libvips, %i bits', async (bits) => {
    // A 2x2x2 table of XYZ, encoded as u1.15, linear in RGB: P3's colorants times 3/4. (Black stays black, or lcms would make it so.)
    const corners = Array.from({ length: 8 }, (_, i) => [0, 1, 2].map((c) => [[0.515, 0.292, 0.157], [0.241, 0.692, 0.067], [-0.001, 0.042, 0.784]][c]!.reduce((s, x, k) => s + 0.75 * ((i >> (2 - k)) & 1) * x, 0)));
    const ramp = [0, 65535, 0, 65535, 0, 65535];
    const lut = Buffer.alloc(52 + 2 * (6 + 24 + 6));
    lut.write('mft2', 'latin1');
    lut.set([3, 3, 2], 8);
    [1, 0, 0, 0, 1, 0, 0, 0, 1].forEach((x, i) => lut.writeInt32BE(fixed(x), 12 + 4 * i));
    lut.writeUInt16BE(2, 48);
    lut.writeUInt16BE(2, 50);
    [...ramp, ...corners.flat().map((x) => Math.max(0, Math.round(x * 32768))), ...ramp].forEach((x, i) => lut.writeUInt16BE(x, 52 + 2 * i));
    const icc = handMade({ wtpt: xyz(0.9642, 1, 0.8249), A2B0: lut });
    expect(readProfile(icc)).toBeUndefined();
    const top = 2 ** bits - 1;
    const v = codes(120, top);
    const png = tagPng(await raw(v, 3, bits, 8).toColourspace(bits === 16 ? 'rgb16' : 'srgb').png().toBuffer(), { icc });
    const { rgba } = await decode(png);
    for (let p = 0; p < 40; p++) {
      const light = [0, 1, 2].map((c) => (0.75 * v[3 * p + c]!) / top) as unknown as Vec3;
      // The colorants above have 3 decimals, which is the error that remains; libvips' 16-bit P3 adds little.
      apply(convertPrimaries('P3', 'bt2020'), light).forEach((x, c) => expect(Math.abs(rgba[4 * p + c]! - x)).toBeLessThan(2.7 * 3 * 0.0005));
    }
  });

  test('a broken profile is said, and the picture read as sRGB', async () => {
    const v = codes(30, 255);
    const plain = await raw(v, 3, 8, 5).png().toBuffer();
    const good = Buffer.from(writeProfile('P3', 'linear')!);
    const noTags = Buffer.concat([good.subarray(0, 128), Buffer.alloc(4)]);
    for (const icc of [noTags, good.subarray(0, 150)]) {
      expect(readProfile(icc)).toBeUndefined();
      const said: string[] = [];
      const p = await decode(tagPng(plain, { icc }), 'png', (m) => void said.push(m));
      expectColours(p.rgba, v, 'sRGB', 'sRGB', 255, f32);
      // libpng may drop a profile it finds broken: then there is none to speak of.
      expect(said.length).toBe((await sharp(tagPng(plain, { icc })).metadata()).icc ? 1 : 0);
    }
  });

  test('no cut or changed byte of a profile makes reading it throw', () => {
    const good = writeProfile('AdobeRGB', 'sRGB')!;
    for (let n = 0; n < good.length; n++) readProfile(good.subarray(0, n));
    for (let i = 128; i < good.length; i++)
      for (const x of [0, 255]) {
        const p = readProfile(good.map((b, k) => (k === i ? x : b)));
        p?.decode.forEach((d) => d(0.5));
      }
    expect(readProfile(good)).toBeDefined();
  });
});

describe('orientation and EXIF', () => {
  const rgb = codes(6 * 4 * 3, 255);

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('orientation %i', async (orientation) => {
    const file = await raw(rgb, 3, 8, 6).withMetadata({ orientation }).png().toBuffer();
    const p = await decode(file);
    const turned = orientation >= 5;
    expect([p.width, p.height]).toEqual(turned ? [4, 6] : [6, 4]);
    const flipX = [2, 3, 7, 8].includes(orientation);
    const flipY = [3, 4, 6, 7].includes(orientation);
    // Pixel (x, y) as shown is this one as stored (EXIF 2.3, tag 0x0112).
    const want: number[] = [];
    for (let y = 0; y < p.height; y++)
      for (let x = 0; x < p.width; x++) {
        const [sx, sy] = turned ? [y, x] : [x, y];
        const [fx, fy] = [flipX ? 5 - sx : sx, flipY ? 3 - sy : sy];
        want.push(...rgb.slice(3 * (fy * 6 + fx), 3 * (fy * 6 + fx) + 3));
      }
    // sharp attaches its sRGB profile as well.
    expectColours(p.rgba, want, 'sRGB', 'sRGB', 255, profileBound);
  });

  test('EXIF is handed on, upright', async () => {
    const file = await raw(rgb, 3, 8, 6).withExif({ IFD0: { Artist: 'somebody' } }).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    const { exif } = await decode(file, 'jpeg');
    const out = await encodePicture(2, 1, new Float32Array(8), 'jpeg', { primaries: 'sRGB', curve: 'sRGB', bits: 8, exif });
    const meta = await sharp(out).metadata();
    expect(meta.orientation).toBe(1);
    expect([meta.width, meta.height]).toEqual([2, 1]);
  });

  test('a broken EXIF block is dropped, whatever is wrong', () => {
    const little = Buffer.from('49492a000800000001001201030001000000060000000000000000', 'hex');
    expect(Buffer.from(uprightExif(little)!).readUInt16LE(18)).toBe(1);
    expect(uprightExif(Buffer.concat([Buffer.from('Exif\0\0'), little]))).toEqual(uprightExif(little));
    expect(little.readUInt16LE(18)).toBe(6);
    for (let n = 0; n < 26; n++) expect(uprightExif(little.subarray(0, n))).toBeUndefined();
    expect(uprightExif(Buffer.alloc(64))).toBeUndefined();
  });
});

describe('encoding', () => {
  const linear = Float32Array.from({ length: 64 * 4 }, (_, i) => (i % 4 === 3 ? 1 : ((i * 37) % 64) / 63));

  test('clamps, rounds to nearest, NaN is 0', () => {
    // Each value as a grey pixel: the codes of its red.
    const codes = (bits: 8 | 16, ...values: number[]) => [...lightToCodes(Float32Array.from(values.flatMap((v) => [v, v, v, 1])), codesOfCurve('bt2020', 'linear', bits)).codes].filter((_, i) => i % 3 === 0);
    expect(codes(8, -1, 0.49 / 255, 0.51 / 255, 1, 7, NaN, Infinity, -Infinity)).toEqual([0, 0, 1, 255, 255, 0, 0, 0]); // through a matrix, infinite is NaN
    expect(codes(16, 0.4999 / 65535, 0.5001 / 65535, 65534.4 / 65535, 2)).toEqual([0, 1, 65534, 65535]);
  });

  test('tables of curves are within a hundredth of a 16-bit code of the curve', () => {
    const light = Float32Array.from({ length: 4000 }, (_, i) => (i < 2000 ? i / 1999 : 2 ** (-24 + (i - 2000) / 64)));
    for (const trc of curveNames) {
      const { encode } = curve(trc);
      const table = codesOfCurve('bt2020', trc, 16);
      const { codes } = lightToCodes(Float32Array.from([...light].flatMap((v) => [v, v, v, 1])), table);
      light.forEach((v, i) => expect(Math.abs(codes[3 * i]! - Math.min(encode(v), 1) * 65535)).toBeLessThanOrEqual(0.51));
    }
  });

  test.each([['sRGB', 'sRGB'], ['P3', 'sRGB'], ['AdobeRGB', 'gamma2.2'], ['bt2020', 'linear'], ['bt2020', 'PQ'], ['XYZ', 'DCI'], ['bt2020', 'HLG'], ['sRGB', 'bt709']] as const)('PNG in %s %s', async (primaries, trc) => {
    const png = await encodePicture(8, 8, linear, 'png', { primaries, curve: trc, bits: 16 });
    const { data } = await sharp(png, { ignoreIcc: true }).toColourspace('rgb16').raw({ depth: 'ushort' }).toBuffer({ resolveWithObject: true });
    const { encode } = curve(trc);
    for (let p = 0; p < 64; p++) {
      const v = apply(convertPrimaries('bt2020', primaries), [linear[4 * p]!, linear[4 * p + 1]!, linear[4 * p + 2]!]);
      v.forEach((x, c) => expect(Math.abs(data.readUInt16LE(2 * (3 * p + c)) - 65535 * Math.min(Math.max(encode(x), 0), 1))).toBeLessThan(0.51));
    }
    expect((await sharp(png).metadata()).hasProfile).toBe(writeProfile(primaries, trc) !== undefined);
  });

  test.each([8, 16] as const)('all codes of a %i-bit PNG come back exactly', async (bits) => {
    const n = 2 ** bits;
    const v = codes(n * 3, n - 1);
    for (let i = 0; i < n; i++) v[3 * i] = i;
    const space = bits === 16 ? 'rgb16' : 'srgb';
    const first = await raw(v, 3, bits, 256).toColourspace(space).png().toBuffer();
    const { rgba, width, height } = await decode(first);
    const again = await encodePicture(width, height, rgba, 'png', { primaries: 'sRGB', curve: 'sRGB', bits });
    const { data } = await sharp(again, { ignoreIcc: true }).toColourspace(space).raw({ depth: bits === 16 ? 'ushort' : 'uchar' }).toBuffer({ resolveWithObject: true });
    const got = bits === 8 ? [...data] : Array.from({ length: n * 3 }, (_, i) => data.readUInt16LE(2 * i));
    expect(got.findIndex((x, i) => x !== v[i])).toBe(-1);
  });

  test.each([[95, '4:4:4'], [100, '4:4:4'], [60, '4:2:0']] as const)('JPEG of quality %i is what sharp makes of the codes', async (quality, chromaSubsampling) => {
    const v = codes(32 * 32 * 3, 255);
    const { rgba } = await decode(await raw(v, 3, 8, 32).png().toBuffer());
    const ours = await encodePicture(32, 32, rgba, 'jpeg', { primaries: 'sRGB', curve: 'sRGB', bits: 8, quality });
    const theirs = await raw(v, 3, 8, 32).jpeg({ quality, chromaSubsampling }).toBuffer();
    const pixels = (b: Uint8Array): Promise<Buffer> => sharp(b, { ignoreIcc: true }).raw().toBuffer();
    expect((await pixels(ours)).equals(await pixels(theirs))).toBe(true);
    expect((await sharp(ours).metadata()).chromaSubsampling).toBe(chromaSubsampling);
  });

  test('CRC-32, the check value', () => {
    expect(crc32(Buffer.from('123456789'))).toBe(0xcbf43926);
  });
});

describe('refused', () => {
  test.each([
    ['nothing', Buffer.alloc(0), 'PICTURE_BROKEN'],
    ['text', Buffer.from('P3\n1 1\n255\n0 0 0'), 'PICTURE_BROKEN'],
    ['half a signature', Buffer.from([0x89, 0x50, 0x4e, 0x47]), 'PICTURE_BROKEN'],
  ])('%s', async (_, bytes, code) => {
    expect((await failure(() => decode(bytes))).code).toBe(code);
  });

  test('CMYK', async () => {
    const jpeg = await raw(codes(30, 255), 3, 8, 5).toColourspace('cmyk').jpeg().toBuffer();
    expect((await failure(() => decode(jpeg, 'jpeg'))).code).toBe('PICTURE_CMYK');
  });

  test('a PNG with a wrong checksum', async () => {
    const png = await raw(codes(300, 255), 3, 8, 10).png().toBuffer();
    png[png.indexOf('IDAT') + 30]! ^= 1;
    expect((await failure(() => decode(png))).code).toBe('PICTURE_BROKEN');
  });
});

// Three of the sample photographs: whole pictures of real size, not divisible by a JPEG's blocks.
test.each(['test_0000.jpg', 'test_0001.jpg', 'train_0004.jpg'])('photograph %s: inside rec2020, its codes come back', async (name) => {
  const file = readFileSync(join(__dirname, '../../examples/photos', name));
  const { rgba, width, height } = await decode(file, 'jpeg');
  let [min, max] = [1, 0];
  for (const x of rgba) [min, max] = [Math.min(min, x), Math.max(max, x)];
  expect(min).toBeGreaterThanOrEqual(0);
  expect(max).toBeLessThanOrEqual(1.0000001);
  const pixels = (b: Uint8Array): Promise<Buffer> => sharp(b, { ignoreIcc: true }).toColourspace('srgb').raw().toBuffer();
  const codesIn = await pixels(file);
  const options = { primaries: 'sRGB', curve: 'sRGB', bits: 8 } as const;
  expect((await pixels(await encodePicture(width, height, rgba, 'png', options))).equals(codesIn)).toBe(true);
});
