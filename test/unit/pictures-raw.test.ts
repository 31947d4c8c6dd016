// A real raw file: a Canon EOS 30D at ISO 640 (Debian's rawtran-doc; scripts/bootstrap.sh --test fetches it into .samples/).
import { join } from 'node:path';
import { readShot } from '../../ts/formats/exif.js';
import { estimateNoise } from '../../ts/noise/estimate.js';
import { openPicture, type OpenedPicture } from '../../ts/pictures/read.js';
import { packageRoot } from '../../ts/root.js';

let picture: OpenedPicture;
beforeAll(async () => {
  picture = await openPicture(join(packageRoot, '.samples', 'IMG_5952.CR2'));
});

/** Mean of a part, a channel. */
function mean(x0: number, y0: number, size: number): number[] {
  const sum = [0, 0, 0];
  for (let y = y0; y < y0 + size; y++) for (let x = x0; x < x0 + size; x++) for (let c = 0; c < 3; c++) sum[c]! += picture.rgba[4 * (y * picture.width + x) + c]!;
  return sum.map((s) => s / size ** 2);
}

test('size, camera, ISO, white balance and EXIF are those that dcraw and raw-identify tell', () => {
  expect(picture).toMatchObject({ width: 1761, height: 1174, colour: 'camera', kind: 'raw', meta: { camera: 'Canon EOS 30D', iso: 640 } });
  expect(picture.meta.raw).toMatchObject({ turns: 0, camera: [2226 / 1024, 1, 1485 / 1024] });
  expect(readShot(picture.meta.exif)).toEqual({ camera: 'Canon EOS 30D', iso: 640 });
  // White stays white.
  for (const row of picture.meta.raw!.toRec2020) expect(row[0] + row[1] + row[2]).toBeCloseTo(1, 3);
});

test('clouds are grey after white balance and matrix, and nothing is clipped at black', () => {
  const { camera, toRec2020 } = picture.meta.raw!;
  const cloud = mean(1180, 100, 40).map((v, c) => v * camera![c]!);
  const [r, g, b] = toRec2020.map((row) => row[0] * cloud[0]! + row[1] * cloud[1]! + row[2] * cloud[2]!);
  expect(Math.max(Math.abs(r! / g! - 1), Math.abs(b! / g! - 1))).toBeLessThan(0.15);
  expect(picture.rgba.some((v) => v < 0)).toBe(true);
});

test('its noise is found: shot noise of about a 600th of the signal at white, little read noise, white', () => {
  const { width, height, rgba } = picture;
  const e = estimateNoise({ width, height, rgba });
  expect(e.reason).toBe('');
  // Twelve bits at ISO 640: 7 to 9 of 65535 units a unit of signal; read noise of 1.5 to 4 codes of 12 bits, squared, in 16-bit units.
  expect(e.b).toBeGreaterThan(6.5);
  expect(e.b).toBeLessThan(9);
  expect(Math.sqrt(e.a) / 16).toBeGreaterThan(1);
  expect(Math.sqrt(e.a) / 16).toBeLessThan(4);
  expect(e.correlation!).toBeLessThan(1.3);
});
