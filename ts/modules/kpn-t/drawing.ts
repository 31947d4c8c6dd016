// A small drawing board for the pictures that kpn-t makes on the host: shapes and text as SVG paths, pixels laid over them.
// Text is drawn from the outlines of a font that comes with the package: a bare machine has none.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type opentype from 'opentype.js';
import { decodePicture } from '../../formats/picture.js';
import { sharp } from '../../formats/sharp.js';
import type { DrawnPicture } from '../../graph/types.js';
import { packageRoot } from '../../root.js';

export type Rgb = readonly [number, number, number];
export type Point = readonly [number, number];

const css = (c: Rgb): string => `rgb(${c.map((x) => Math.round(x)).join(',')})`;
const at = (x: number): string => String(Math.round(100 * x) / 100);

export const ink: Rgb = [34, 38, 46];
export const faint: Rgb = [128, 134, 144];
export const rule: Rgb = [226, 229, 234];
export const paper: Rgb = [255, 255, 255];

const fonts = new Map<400 | 700, opentype.Font>();

function font(weight: 400 | 700): opentype.Font {
  let found = fonts.get(weight);
  if (found === undefined) {
    const require = createRequire(join(packageRoot, 'package.json'));
    const { parse } = require('opentype.js') as typeof opentype; // here, because most runs draw nothing
    const file = require.resolve(`@fontsource/dejavu-sans/files/dejavu-sans-latin-${weight}-normal.woff`);
    const bytes = readFileSync(file);
    found = parse(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    fonts.set(weight, found);
  }
  return found;
}

/** A text's outlines from (0, 0) on, and its width. Glyph by glyph: the font's ligatures are of a kind that the parser refuses. */
function outlines(f: opentype.Font, text: string, size: number): { path: string; width: number } {
  let x = 0;
  let path = '';
  let before: opentype.Glyph | undefined;
  for (const character of text) {
    const glyph = f.charToGlyph(character);
    if (before) x += (f.getKerningValue(before, glyph) * size) / f.unitsPerEm;
    path += glyph.getPath(x, 0, size).toPathData(2);
    x += ((glyph.advanceWidth ?? 0) * size) / f.unitsPerEm;
    before = glyph;
  }
  return { path, width: x };
}

export interface TextStyle {
  /** Height of the letters' square, pixels; default 13. */
  size?: number;
  colour?: Rgb;
  bold?: boolean;
  /** Which part of the text is at x. Default: its start. */
  anchor?: 'start' | 'middle' | 'end';
  /** A quarter turn, reading upwards. */
  upright?: boolean;
}

export class Drawing {
  private readonly shapes: string[] = [];
  private readonly images: { input: Buffer; raw: { width: number; height: number; channels: 3 }; left: number; top: number }[] = [];

  constructor(
    readonly width: number,
    readonly height: number,
  ) {}

  rect(x: number, y: number, width: number, height: number, colour: Rgb): void {
    this.shapes.push(`<rect x="${at(x)}" y="${at(y)}" width="${at(width)}" height="${at(height)}" fill="${css(colour)}"/>`);
  }

  /** The outline of a rectangle, one pixel wide, just outside it. */
  frame(x: number, y: number, width: number, height: number, colour: Rgb): void {
    this.shapes.push(`<rect x="${at(x - 0.5)}" y="${at(y - 0.5)}" width="${at(width + 1)}" height="${at(height + 1)}" fill="none" stroke="${css(colour)}"/>`);
  }

  line(points: readonly Point[], colour: Rgb, width = 1): void {
    const path = points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${at(x)} ${at(y)}`).join('');
    this.shapes.push(`<path d="${path}" fill="none" stroke="${css(colour)}" stroke-width="${width}" stroke-linejoin="round" stroke-linecap="round"/>`);
  }

  /** A closed shape, filled. */
  area(points: readonly Point[], colour: Rgb): void {
    this.shapes.push(`<path d="M${points.map(([x, y]) => `${at(x)} ${at(y)}`).join('L')}Z" fill="${css(colour)}"/>`);
  }

  /** A line of text; y is its base line. */
  text(x: number, y: number, text: string, { size = 13, colour = ink, bold = false, anchor = 'start', upright = false }: TextStyle = {}): void {
    const { path, width } = outlines(font(bold ? 700 : 400), text, size);
    const shift = anchor === 'start' ? 0 : anchor === 'end' ? -width : -width / 2;
    const turn = `${upright ? ' rotate(-90)' : ''} translate(${at(shift)} 0)`;
    this.shapes.push(`<path d="${path}" transform="translate(${at(x)} ${at(y)})${turn}" fill="${css(colour)}"/>`);
  }

  /** Pixels over everything else: rgb, row-major, whole coordinates. */
  image(x: number, y: number, width: number, height: number, rgb: Uint8Array): void {
    this.images.push({ input: Buffer.from(rgb.buffer, rgb.byteOffset, rgb.byteLength), raw: { width, height, channels: 3 }, left: x, top: y });
  }

  async render(): Promise<DrawnPicture> {
    const { width, height } = this;
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><rect width="100%" height="100%" fill="${css(paper)}"/>${this.shapes.join('')}</svg>`;
    const png = await sharp()(Buffer.from(svg)).composite(this.images).removeAlpha().png({ compressionLevel: 1 }).toBuffer();
    return decodePicture(png, 'png', 'a drawing', () => undefined);
  }
}

/** A number for reading: 3 digits, powers of ten only where it is very large or small. */
export function legible(value: number): string {
  const size = Math.abs(value);
  if (value === 0) return '0';
  if (!Number.isFinite(value)) return String(value);
  if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(3)));
  return value.toExponential(1).replace('e+', 'e');
}
