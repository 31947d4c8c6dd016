// From denoised raw planes to a picture: white balance, demosaicing, colours (the way back from raw.ts; docs/denoise.md).
// The planes are two half-size pictures, red, first green, blue and red, second green, blue: together a mosaic again.

import type { Matrix } from './colour.js';
import { fromHalf, halfOf } from './half.js';

export interface Development {
  /** Gains of red, green, blue; where the sensor clips becomes 1. */
  gains: readonly [number, number, number];
  /** Balanced camera rgb is clipped here before the matrix, then scaled by `scale`. */
  scale: number;
  toRec2020: Matrix;
  /** Where red stands in the 2x2 quad. */
  red: { x: 0 | 1; y: 0 | 1 };
  /** The noise that was taken off the planes (camera rgb, SPEC section 1.3), and how far, 0..1: greens are evened out by it. */
  denoised?: { a: number; b: number; strength: number };
}

/** How far evening the greens looks for energy. */
const reach = 3;
/** Rows that a row's demosaicing looks at above and below: two for green, one more for the others; and those that evening the greens looks at; an even number. */
export const haloRows = 8;

const one = 0x3c00;

/** Mirrored without repeating the edge, so that a mosaic goes on as a mosaic. */
function reflect(i: number, n: number): number {
  if (n === 1) return 0;
  const m = ((i % (2 * n - 2)) + 2 * n - 2) % (2 * n - 2);
  return m < n ? m : 2 * n - 2 - m;
}

/** rgb of the pixels, balanced and clipped, through the matrix into f16 rgba. */
class Writer {
  private readonly f32 = new Float32Array(3);
  private readonly bits = new Uint32Array(this.f32.buffer);

  constructor(
    private readonly out: Uint16Array,
    private readonly d: Development,
  ) {}

  put(o: number, r: number, g: number, b: number): void {
    const { toRec2020: m, scale } = this.d;
    const [R, G, B] = [Math.min(r, 1) * scale, Math.min(g, 1) * scale, Math.min(b, 1) * scale];
    this.f32[0] = m[0][0] * R + m[0][1] * G + m[0][2] * B;
    this.f32[1] = m[1][0] * R + m[1][1] * G + m[1][2] * B;
    this.f32[2] = m[2][0] * R + m[2][1] * G + m[2][2] * B;
    for (let c = 0; c < 3; c++) this.out[o + c] = halfOf(this.bits[c]!);
    this.out[o + 3] = one;
  }
}

/** Camera rgb in f16, one picture -> linear rec2020 in f16, pixel by pixel. */
export function developPixels(rgba: Uint16Array, d: Development): Uint16Array {
  const v = fromHalf(rgba);
  const out = new Uint16Array(rgba.length);
  const writer = new Writer(out, d);
  for (let i = 0; i < v.length; i += 4) writer.put(i, v[i]! * d.gains[0], v[i + 1]! * d.gains[1], v[i + 2]! * d.gains[2]);
  return out;
}

/** Both pictures at half size: the greens' mean. */
export function developHalf(first: Uint16Array, second: Uint16Array, d: Development): Uint16Array {
  const [a, b] = [fromHalf(first), fromHalf(second)];
  const out = new Uint16Array(first.length);
  const writer = new Writer(out, d);
  const mean = (i: number): number => (a[i]! + b[i]!) / 2;
  for (let i = 0; i < a.length; i += 4) writer.put(i, mean(i) * d.gains[0], mean(i + 1) * d.gains[1], mean(i + 2) * d.gains[2]);
  return out;
}

/** A part of the mosaic: rows `top` - haloRows to `bottom` + haloRows, as many columns more at each side, mirrored at the picture's borders. */
interface Mosaic {
  values: Float32Array;
  pitch: number;
  /** Row and column of the mosaic at index 0. */
  y0: number;
  x0: number;
  rows: number;
}

const side = haloRows;

/** The planes' rows -> the mosaic's, balanced, where the sensor clips being 1. */
function assemble(a: Float32Array, b: Float32Array, planeTop: number, width: number, height: number, top: number, bottom: number, d: Development): Mosaic {
  const [W, H] = [2 * width, 2 * height];
  const pitch = W + 2 * side;
  const rows = bottom - top + 2 * haloRows;
  const values = new Float32Array(pitch * rows);
  for (let row = 0; row < rows; row++) {
    const y = reflect(top - haloRows + row, H);
    const line = 4 * ((y >> 1) - planeTop) * width;
    const onRed = (y & 1) === d.red.y;
    for (let column = 0; column < pitch; column++) {
      const x = reflect(column - side, W);
      const i = line + 4 * (x >> 1);
      const redColumn = (x & 1) === d.red.x;
      // Red and blue were denoised in both pictures, a green in one.
      const v = onRed ? (redColumn ? ((a[i]! + b[i]!) / 2) * d.gains[0] : a[i + 1]! * d.gains[1]) : redColumn ? b[i + 1]! * d.gains[1] : ((a[i + 2]! + b[i + 2]!) / 2) * d.gains[2];
      values[row * pitch + column] = Math.min(v, 1);
    }
  }
  return { values, pitch, y0: top - haloRows, x0: -side, rows };
}

/**
 * How much of the energy that white noise has there is taken for noise. White noise of variance v gives a green's difference to the mean of its four
 * neighbours 1.25 v. docs/denoise.md has what was measured.
 */
const noisy = 0.75 * 1.25;

/**
 * Evens out the two greens, in place. They were denoised apart, and what is left of their noise differs: a mesh. A green's difference to the mean of its four
 * nearest, which are of the other kind, is that mesh where its energy all around is no more than the noise had there; half of it is taken away, which leaves
 * nothing of a mesh. Where there is more, it is the picture's (a Wiener filter).
 */
function evenGreens({ values: m, pitch, y0, x0, rows }: Mosaic, d: Development): void {
  const { a, b, strength } = d.denoised!;
  const gain = d.gains[1];
  const difference = new Float32Array(m.length);
  /** The first column from `least` on that has a green in this row. */
  const firstGreen = (row: number, least: number): number => least + (((((y0 + row) & 1) === d.red.y ? 1 - d.red.x : d.red.x) - x0 - least) & 1);
  for (let row = 1; row < rows - 1; row++)
    for (let column = firstGreen(row, 1), i = row * pitch + column; column < pitch - 1; column += 2, i += 2)
      difference[i] = m[i]! - (m[i - pitch - 1]! + m[i - pitch + 1]! + m[i + pitch - 1]! + m[i + pitch + 1]!) / 4;
  const across = new Float32Array(m.length);
  for (let row = 1; row < rows - 1; row++)
    for (let i = row * pitch + reach; i < (row + 1) * pitch - reach; i++) for (let k = -reach; k <= reach; k++) across[i]! += difference[i + k]! ** 2;
  const greens = ((2 * reach + 1) ** 2 + 1) / 2;
  const inside = reach + 1;
  for (let row = inside; row < rows - inside; row++)
    for (let column = firstGreen(row, inside), i = row * pitch + column; column < pitch - inside; column += 2, i += 2) {
      let energy = 0;
      for (let k = -reach; k <= reach; k++) energy += across[i + k * pitch]!;
      const noise = (noisy * (gain * gain * a + 65535 * gain * Math.max(m[i]!, 0) * b)) / 65535 ** 2;
      const share = Math.min(1, (noise * greens) / Math.max(energy, 1e-30));
      m[i]! -= strength * share * (difference[i]! / 2);
    }
}

/** Differences below this don't choose a direction: it is about a code of 12 bits. */
const flat = 2.5e-4;

/**
 * Green everywhere. At red and blue sites from the two greens of a line, corrected by how the site's own colour bends there; the lines
 * (across and down) weighted by how little happens along them.
 */
function green({ values: m, pitch, y0, x0, rows }: Mosaic, d: Development): Float32Array {
  const g = new Float32Array(m);
  for (let row = 2; row < rows - 2; row++) {
    const onRed = ((y0 + row) & 1) === d.red.y;
    // The first column with red or blue in this row.
    const first = ((onRed ? d.red.x : 1 - d.red.x) - x0) & 1;
    for (let column = first + 2, i = row * pitch + column; column < pitch - 2; column += 2, i += 2) {
      const bendX = 2 * m[i]! - m[i - 2]! - m[i + 2]!;
      const bendY = 2 * m[i]! - m[i - 2 * pitch]! - m[i + 2 * pitch]!;
      const [left, right, up, down] = [m[i - 1]!, m[i + 1]!, m[i - pitch]!, m[i + pitch]!];
      const dx = Math.abs(left - right) + Math.abs(bendX) + flat;
      const dy = Math.abs(up - down) + Math.abs(bendY) + flat;
      const [wx, wy] = [1 / (dx * dx), 1 / (dy * dy)];
      g[i] = (wx * ((left + right) / 2 + bendX / 4) + wy * ((up + down) / 2 + bendY / 4)) / (wx + wy);
    }
  }
  return g;
}

/**
 * Full-size rows [top, bottom) of the picture, f16 rgba, linear rec2020, from the planes' rows from `planeTop` on, which must reach
 * haloRows beyond or to the picture's border. @param width, height of a plane
 */
export function developRows(first: Uint16Array, second: Uint16Array, planeTop: number, width: number, height: number, top: number, bottom: number, d: Development): Uint16Array {
  const mosaic = assemble(fromHalf(first), fromHalf(second), planeTop, width, height, top, bottom, d);
  if (d.denoised && d.denoised.strength > 0) evenGreens(mosaic, d);
  const { values: m, pitch } = mosaic;
  const g = green(mosaic, d);
  const W = 2 * width;
  const out = new Uint16Array(4 * W * (bottom - top));
  const writer = new Writer(out, d);
  // Red and blue follow green: their differences to it change slowly, and are what is interpolated.
  const diff = (i: number): number => m[i]! - g[i]!;
  for (let y = top, o = 0; y < bottom; y++) {
    const onRed = (y & 1) === d.red.y;
    let i = (y - mosaic.y0) * pitch - mosaic.x0;
    for (let x = 0; x < W; x++, i++, o += 4) {
      const G = g[i]!;
      const redColumn = (x & 1) === d.red.x;
      if (onRed === redColumn) {
        const other = G + (diff(i - pitch - 1) + diff(i - pitch + 1) + diff(i + pitch - 1) + diff(i + pitch + 1)) / 4;
        if (onRed) writer.put(o, m[i]!, G, other);
        else writer.put(o, other, G, m[i]!);
      } else {
        const across = G + (diff(i - 1) + diff(i + 1)) / 2;
        const down = G + (diff(i - pitch) + diff(i + pitch)) / 2;
        if (onRed) writer.put(o, across, G, down);
        else writer.put(o, down, G, across);
      }
    }
  }
  return out;
}

/** A picture turned clockwise by quarter turns. */
export function turn(rgba: Uint16Array, width: number, height: number, turns: 0 | 1 | 2 | 3): { width: number; height: number; rgba: Uint16Array } {
  if (turns === 0) return { width, height, rgba };
  const whole = rgba.byteOffset % 8 === 0 ? rgba : rgba.slice();
  const pixels = new BigUint64Array(whole.buffer, whole.byteOffset, width * height);
  const out = new BigUint64Array(width * height);
  const [W, H] = turns === 2 ? [width, height] : [height, width];
  for (let y = 0, o = 0; y < H; y++)
    for (let x = 0; x < W; x++) out[o++] = pixels[turns === 1 ? (height - 1 - x) * width + y : turns === 2 ? (height - 1 - y) * width + width - 1 - x : x * width + width - 1 - y]!;
  return { width: W, height: H, rgba: new Uint16Array(out.buffer) };
}
