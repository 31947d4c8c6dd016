// The picture of `vkpn profile --plot`: variance against mean, the points of each estimate and its line.

import { encodePicture } from '../formats/picture.js';
import { Drawing, faint, ink, legible, rule, type Point, type Rgb } from '../modules/kpn-t/drawing.js';
import { linearTicks } from '../modules/kpn-t/pictures.js';
import { type NoiseAb, type NoiseEstimate, noiseVariance } from '../noise/estimate.js';

export interface Panel {
  /** "Canon EOS 30D, ISO 640, raw". */
  title: string;
  estimate: NoiseEstimate;
}

export const PANEL = { width: 640, height: 440 };
const blue: Rgb = [31, 92, 168];
const channelColours: readonly Rgb[] = [[196, 52, 52], [42, 140, 70], [58, 88, 200]];

/** One panel an estimate, two beside each other. PNG bytes. */
export async function plotNoise(panels: readonly Panel[]): Promise<Uint8Array> {
  const columns = Math.min(2, panels.length);
  const d = new Drawing(columns * PANEL.width, Math.ceil(panels.length / columns) * PANEL.height);
  panels.forEach((p, i) => drawPanel(d, p, (i % columns) * PANEL.width, Math.floor(i / columns) * PANEL.height));
  const { width, height, rgba } = await d.render();
  return encodePicture(width, height, rgba, 'png', { primaries: 'sRGB', curve: 'sRGB', bits: 8 });
}

/** The number that four fifths of the points and all of the line up to the last of these are below, with some room. */
function topOf({ levels, ...e }: NoiseEstimate, right: number): number {
  const counted = levels.filter((l) => l.weight > 0).map((l) => l.variance);
  return 1.12 * Math.max(noiseVariance(e, right), ...counted, 1e-12);
}

function drawPanel(d: Drawing, { title, estimate: e }: Panel, x0: number, y0: number): void {
  const [left, right, top, bottom] = [x0 + 88, x0 + PANEL.width - 28, y0 + 84, y0 + PANEL.height - 56];
  const last = 1.04 * Math.max(0.01, ...e.levels.map((l) => l.mean));
  const first = Math.min(0, ...e.levels.map((l) => l.mean));
  const high = topOf(e, last);
  const x = (mean: number): number => left + ((right - left) * (mean - first)) / (last - first);
  const y = (v: number): number => bottom - ((bottom - top) * Math.min(v, high)) / high;
  d.text(left, y0 + 28, title, { size: 16, bold: true });
  d.text(left, y0 + 48, `a ${legible(e.a)}  b ${legible(e.b)}  residual ${legible(100 * e.residual)} %  patches ${e.patches}`, { colour: faint });
  axes(d, { left, right, top, bottom }, { first, last, high }, x, y);
  const outliers = e.levels.filter((l) => l.weight <= 0.1).length;
  const above = e.levels.filter((l) => l.variance > high).length;
  legend(d, left, y0 + 68, outliers, above, e.channels !== undefined);

  const line = (ab: NoiseAb, colour: Rgb, width: number): void => {
    const end = Math.min(last, ab.b > 0 ? (high * 65535 * 65535 - ab.a) / (65535 * ab.b) : last);
    const points = [first, 0, end].filter((m, i, all) => i === 0 || m > all[i - 1]!);
    d.line(points.map((m): Point => [x(m), y(noiseVariance(ab, m))]), colour, width);
  };
  e.channels?.forEach((ab, c) => line(ab, channelColours[c]!, 1.4));
  line(e, blue, 2);
  for (const l of e.levels) point(d, x(l.mean), y(l.variance), l.variance > high, l.weight > 0.1 ? ink : [176, 180, 188]);
}

function point(d: Drawing, x: number, y: number, above: boolean, colour: Rgb): void {
  if (above) d.area([[x - 4, y + 7], [x + 4, y + 7], [x, y]], colour);
  else d.area([[x - 3, y], [x, y - 3], [x + 3, y], [x, y + 3]], colour);
}

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

function axes(d: Drawing, { left, right, top, bottom }: Box, { first, last, high }: { first: number; last: number; high: number }, x: (m: number) => number, y: (v: number) => number): void {
  for (const t of linearTicks(0, high, 6)) {
    d.line([[left, y(t)], [right, y(t)]], rule);
    d.text(left - 8, y(t) + 4.5, legible(t), { anchor: 'end' });
  }
  for (const t of linearTicks(first, last, 7)) {
    d.line([[x(t), bottom], [x(t), bottom + 5]], ink);
    d.text(x(t), bottom + 20, legible(Number(t.toPrecision(6))), { anchor: 'middle' });
  }
  d.line([[left, top], [left, bottom], [right, bottom]], ink);
  d.text((left + right) / 2, bottom + 42, 'mean, linear, white = 1', { anchor: 'middle', colour: faint });
  d.text(left - 68, (top + bottom) / 2, 'variance of the noise', { anchor: 'middle', upright: true, colour: faint });
}

function legend(d: Drawing, left: number, y: number, outliers: number, above: number, channels: boolean): void {
  let at = left;
  const entry = (text: string, width: number, draw: (x: number) => void): void => {
    draw(at);
    d.text(at + 28, y, text);
    at += 28 + width;
  };
  entry('fit', 38, (x) => d.line([[x, y - 4], [x + 22, y - 4]], blue, 2));
  entry('flat patches', 106, (x) => point(d, x + 11, y - 4, false, ink));
  if (outliers > 0) entry(above > 0 ? 'off the line, ▲ higher than drawn' : 'off the line', above > 0 ? 250 : 104, (x) => point(d, x + 11, y - 4, false, [176, 180, 188]));
  if (channels) entry('red, green, blue', 120, (x) => channelColours.forEach((c, i) => d.line([[x, y - 8 + 4 * i], [x + 22, y - 8 + 4 * i]], c, 1.4)));
}
