// Opening pictures of every kind (ts/pictures): values against what was written, by other means where there are some.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { curve } from '../../ts/formats/colour.js';
import { encodePfm } from '../../ts/formats/pfm.js';
import { cameraName, directoryBytes, exifOfShot, exifOfTiff, readShot } from '../../ts/formats/exif.js';
import { kindOfName, listPictures, openPicture } from '../../ts/pictures/read.js';
import { exrBytes } from './exr-file.js';

let dir: string;
beforeAll(() => (dir = mkdtempSync(join(tmpdir(), 'vkpn-read-'))));
afterAll(() => rmSync(dir, { recursive: true }));

const file = (name: string, bytes: Uint8Array | string = ''): string => {
  const path = join(dir, name);
  writeFileSync(path, bytes);
  return path;
};

/** sRGB's red in linear rec2020, by ITU-R BT.2087. */
const red = [0.6274, 0.0691, 0.0164];

describe('openPicture', () => {
  test('tiff of 8 and of 16 bits: sRGB to linear rec2020, depth kept', async () => {
    for (const bits of [8, 16] as const) {
      const top = 2 ** bits - 1;
      const codes = (bits === 8 ? Uint8Array : Uint16Array).from([top, 0, 0, top, top, top, 1, 1, 1]);
      const tiff = await sharp(codes, { raw: { width: 3, height: 1, channels: 3 } }).toColourspace(bits === 8 ? 'srgb' : 'rgb16').tiff({ compression: 'lzw' }).toBuffer();
      const { rgba, ...rest } = await openPicture(file(`t${bits}.tif`, tiff));
      expect(rest).toMatchObject({ width: 3, height: 1, colour: 'rec2020', kind: 'display' });
      red.forEach((v, c) => expect(rgba[c]).toBeCloseTo(v, 3));
      for (let c = 0; c < 3; c++) expect(rgba[4 + c]).toBeCloseTo(1, 5);
      expect(rgba[8]! * 1e6).toBeCloseTo(curve('sRGB').decode(1 / top) * 1e6, 2);
    }
  });

  test('a float TIFF ends with a sentence', async () => {
    const entry = (tag: number, type: 3 | 4, v: number) => ({ tag, type, count: 1, value: new Uint8Array((type === 3 ? Uint16Array.of(v) : Uint32Array.of(v)).buffer) });
    // One pixel of one f32 sample: size, bits, no compression, grey, its place, samples, rows a strip, bytes, floating point.
    const tags: [number, 3 | 4, number][] = [[256, 3, 1], [257, 3, 1], [258, 3, 32], [259, 3, 1], [262, 3, 1], [273, 4, 8], [277, 3, 1], [278, 3, 1], [279, 4, 4], [339, 3, 3]];
    const directory = directoryBytes(tags.map((t) => entry(...t)), 12, true);
    const tiff = Buffer.concat([Uint8Array.of(0x49, 0x49, 42, 0, 12, 0, 0, 0, 0, 0, 0, 63), directory]);
    await expect(openPicture(file('f.tif', tiff))).rejects.toMatchObject({ code: 'PICTURE_DEPTH' });
  });

  test('exr: values, rows from the top, primaries', async () => {
    const rgb = Float32Array.from([1, 0, 0, 0.5, 0.5, 0.5, 0.25, 4, 0.125, 0, 0, 0, -0.5, 2, 1, 3, 3, 3]);
    for (const half of [true, false]) {
      const p = await openPicture(file('a.exr', exrBytes(3, 2, rgb, { half })));
      expect(p).toMatchObject({ width: 3, height: 2, colour: 'rec2020', kind: 'linear' });
      red.forEach((v, c) => expect(p.rgba[c]).toBeCloseTo(v, 3)); // rec709 where the file says nothing
      expect([...p.rgba.subarray(4, 7)].map((v) => Math.round(v * 1e5) / 1e5)).toEqual([0.5, 0.5, 0.5]);
      expect([...p.rgba.subarray(20, 24)].map((v) => Math.round(v * 1e5) / 1e5)).toEqual([3, 3, 3, 1]);
    }
    const rec2020 = await openPicture(file('b.exr', exrBytes(3, 2, rgb, { chromaticities: [0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329] })));
    [1, 0, 0].forEach((v, c) => expect(rec2020.rgba[c]).toBeCloseTo(v, 5));
    [0.25, 4, 0.125].forEach((v, c) => expect(rec2020.rgba[8 + c]).toBeCloseTo(v, 5));
  });

  test('broken files of every kind end with a sentence that names the file', async () => {
    for (const [name, code] of [['x.exr', 'EXR_BROKEN'], ['x.jpg', 'PICTURE_BROKEN'], ['x.tif', 'PICTURE_BROKEN'], ['x.png', 'PICTURE_BROKEN'], ['x.pfm', 'PFM_MAGIC'], ['x.cr2', 'RAW_BROKEN'], ['x.dng', 'RAW_BROKEN']] as const)
      await expect(openPicture(file(name, 'nothing that is a picture'.repeat(40)))).rejects.toMatchObject({ code, place: { file: join(dir, name) } });
    await expect(openPicture(file('x.txt', 'hello'))).rejects.toMatchObject({ code: 'PICTURE_FORMAT' });
    const nan = exrBytes(1, 2, Float32Array.from([1, 1, 1, NaN, 1, 1]), { half: false });
    await expect(openPicture(file('nan.exr', nan))).rejects.toMatchObject({ code: 'EXR_NAN', message: expect.stringContaining('x = 0, y = 1') as string });
  });

  test('pfm', async () => {
    const p = await openPicture(file('a.pfm', encodePfm(1, 1, Float32Array.of(-1, 2, 3), 3)));
    expect(p).toMatchObject({ kind: 'linear', colour: 'rec2020' });
    expect([...p.rgba]).toEqual([-1, 2, 3, 1]);
  });
});

describe('exif', () => {
  test('camera and ISO, from a block of our own, from a JPEG, from a TIFF in either byte order', async () => {
    const shot = { make: 'Canon', model: 'Canon EOS 30D', iso: 640, exposure: 1 / 400, fNumber: 22, focal: 22, time: 1248181400, lens: 'EF-S 18-55mm' };
    const block = exifOfShot(shot);
    expect(readShot(block)).toEqual({ camera: 'Canon EOS 30D', iso: 640 });
    const jpeg = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
      .withExif({ IFD0: { Make: 'NIKON CORPORATION', Model: 'NIKON D750' }, IFD2: { ISOSpeedRatings: '3200' } }).jpeg().toBuffer();
    expect((await openPicture(file('a.jpg', jpeg))).meta).toMatchObject({ camera: 'NIKON D750', iso: 3200 });
    expect(readShot(exifOfTiff(block))).toEqual({ camera: 'Canon EOS 30D', iso: 640 }); // a block is a TIFF without a picture
    const { exif } = await sharp(jpeg).metadata();
    const [little, big] = [exif!.subarray(6), exifOfTiff(exif!.subarray(6))!];
    expect(readShot(little)).toEqual(readShot(big));
  });

  test('names', () => {
    expect(cameraName('SONY', 'ILCE-7M3')).toBe('SONY ILCE-7M3');
    expect(cameraName('Canon', '')).toBe('Canon');
    expect(cameraName('', '')).toBeUndefined();
    expect(readShot(Uint8Array.of(1, 2, 3))).toEqual({});
  });
});

describe('listPictures', () => {
  test('files as they are, folders in natural order', async () => {
    const folder = mkdtempSync(join(dir, 'f-'));
    for (const name of ['img10.jpg', 'img2.JPG', 'img1.cr2', 'notes.txt', '.img0.jpg']) writeFileSync(join(folder, name), 'x');
    expect(await listPictures(folder)).toEqual(['img1.cr2', 'img2.JPG', 'img10.jpg'].map((n) => join(folder, n)));
    expect(await listPictures([join(folder, 'img10.jpg'), folder])).toHaveLength(4);
    await expect(listPictures(join(folder, 'img3.jpg'))).rejects.toMatchObject({ code: 'FILE_ENOENT' });
    await expect(listPictures(join(folder, 'notes.txt'))).rejects.toMatchObject({ code: 'PICTURE_FORMAT' });
    await expect(listPictures(mkdtempSync(join(dir, 'empty-')))).rejects.toMatchObject({ code: 'FOLDER_EMPTY' });
    expect(kindOfName('a/b.NEF')).toBe('raw');
  });
});
