// The pictures of training (SPEC 4: graph, vis, debug), drawn on the host from what was read back.

import { TAPS, type ModelSpec } from '../../model/spec.js';
import { curve, convertPrimaries } from '../../formats/colour.js';
import type { DrawnPicture } from '../../graph/types.js';
import { Drawing, faint, ink, legible, paper, rule, type Point, type Rgb } from './drawing.js';

const blue: Rgb = [31, 92, 168];
const paleBlue: Rgb = [168, 198, 232];

// ---- graph: the loss over the frames -------------------------------------------------------------------------------

export const GRAPH_SIZE = { width: 960, height: 540 };

/** Round numbers between two values: about `count` of them, steps of 1, 2 or 5 times a power of ten. */
export function linearTicks(from: number, to: number, count: number): number[] {
  const rough = (to - from) / count;
  if (!(rough > 0)) return [from];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough) ?? 10 * power;
  return Array.from({ length: Math.floor(to / step) - Math.ceil(from / step) + 1 }, (_, i) => (Math.ceil(from / step) + i) * step);
}

/** 1, 2, 5 times powers of ten between two positive values; whole powers only where these would be more than eight. */
export function logTicks(from: number, to: number): number[] {
  const powers = Array.from({ length: Math.floor(Math.log10(to)) - Math.floor(Math.log10(from)) + 1 }, (_, i) => Math.floor(Math.log10(from)) + i);
  const inside = (ticks: number[]): number[] => ticks.filter((t) => t >= from * 0.999999 && t <= to * 1.000001);
  const fine = inside(powers.flatMap((p) => [1, 2, 5].map((k) => k * 10 ** p)));
  if (fine.length <= 8) return fine;
  const whole = inside(powers.map((p) => 10 ** p));
  return whole.filter((_, i) => i % Math.ceil(whole.length / 8) === 0);
}

/** Exponential mean of the logarithm over about `window` values before and after each, so that it lags nowhere. */
export function smoothedLog(values: readonly number[], window: number): number[] {
  const keep = 1 - 1 / Math.max(1, window);
  const sums = (list: readonly number[]): { sum: number; weight: number }[] => {
    let sum = 0;
    let weight = 0;
    return list.map((v) => ({ sum: (sum = keep * sum + v), weight: (weight = keep * weight + 1) }));
  };
  const logs = values.map((v) => Math.log(v));
  const back = sums([...logs].reverse()).reverse();
  return sums(logs).map(({ sum, weight }, i) => Math.exp((sum + back[i]!.sum) / (weight + back[i]!.weight)));
}

/** The loss of frames 0 .. n-1, mean a pixel, in log space. `frames`: done in all; more than were kept where `history` is full. */
export async function drawGraph(history: Float32Array, frames: number, spec: ModelSpec): Promise<DrawnPicture> {
  const { width, height } = GRAPH_SIZE;
  const d = new Drawing(width, height);
  const [left, right, top, bottom] = [84, width - 100, 64, height - 56];
  const losses = [...history].map((v, frame) => ({ frame, v })).filter(({ v }) => v > 0 && Number.isFinite(v));
  d.text(left, 30, 'Loss over the frames', { size: 18, bold: true });
  d.text(left, 50, `${spec.loss}, mean a pixel, logarithmic`, { colour: faint });
  d.text((left + right) / 2, height - 14, history.length < frames ? `frame (the first ${history.length} of ${frames} were kept)` : 'frame', { anchor: 'middle', colour: faint });
  d.text(24, (top + bottom) / 2, 'loss', { anchor: 'middle', upright: true, colour: faint });
  if (losses.length === 0) {
    d.text((left + right) / 2, (top + bottom) / 2, 'no frame had a loss that is positive and finite', { anchor: 'middle' });
    return d.render();
  }
  const values = losses.map(({ v }) => v);
  const smooth = smoothedLog(values, values.length / 60);
  // The extreme thousandths may leave the picture: one outlier must not flatten all the rest.
  const sorted = [...values].sort((a, b) => a - b);
  const outliers = Math.floor(sorted.length / 1000);
  const low = smooth.reduce((a, b) => Math.min(a, b), sorted[outliers]!) / 1.15;
  const high = smooth.reduce((a, b) => Math.max(a, b), sorted[sorted.length - 1 - outliers]!) * 1.15;
  const last = Math.max(1, history.length - 1);
  const x = (frame: number): number => left + ((right - left) * frame) / last;
  const y = (v: number): number => bottom - (bottom - top) * (Math.log(Math.min(high, Math.max(low, v)) / low) / Math.log(high / low));

  for (const t of logTicks(low, high)) {
    d.line([[left, y(t)], [right, y(t)]], rule);
    d.text(left - 8, y(t) + 4.5, legible(t), { anchor: 'end' });
  }
  for (const t of linearTicks(0, last, 8)) {
    if (!Number.isInteger(t)) continue;
    d.line([[x(t), bottom], [x(t), bottom + 5]], ink);
    d.text(x(t), bottom + 20, String(t), { anchor: 'middle' });
  }
  drawRaw(d, losses, x, y);
  d.line(thin(losses.map(({ frame }, i): Point => [x(frame), y(smooth[i]!)])), blue, 2.2);
  d.line([[left, top], [left, bottom], [right, bottom]], ink);
  const now = smooth.at(-1)!;
  d.text(right + 8, y(now) + 4.5, legible(now), { colour: blue, bold: true, size: 14 });
  d.text(right + 8, y(now) + 20, 'smoothed', { colour: faint, size: 11 });

  d.line([[right - 250, 46], [right - 226, 46]], paleBlue, 4);
  d.text(right - 220, 50, 'each frame');
  d.line([[right - 126, 46], [right - 102, 46]], blue, 2.2);
  d.text(right - 96, 50, 'smoothed');
  d.text(right, 26, `${frames} frames · last ${legible(values.at(-1)!)} · best smoothed ${legible(smooth.reduce((a, b) => Math.min(a, b)))}`, { anchor: 'end', colour: faint });
  return d.render();
}

/** Every frame's loss: a line where there is room, else the band from the smallest to the largest of each column of pixels. */
function drawRaw(d: Drawing, losses: readonly { frame: number; v: number }[], x: (frame: number) => number, y: (v: number) => number): void {
  const columns = new Map<number, { low: number; high: number }>();
  for (const { frame, v } of losses) {
    const c = columns.get(Math.round(x(frame)));
    if (c) [c.low, c.high] = [Math.min(c.low, v), Math.max(c.high, v)];
    else columns.set(Math.round(x(frame)), { low: v, high: v });
  }
  if (losses.length < 4 * columns.size) return d.line(losses.map(({ frame, v }): Point => [x(frame), y(v)]), paleBlue);
  for (const [column, { low, high }] of columns) d.rect(column - 0.5, y(high) - 0.5, 1, y(low) - y(high) + 1, paleBlue);
}

/** Not more than one point a pixel. */
function thin(points: readonly Point[]): Point[] {
  return points.filter((p, i) => i === points.length - 1 || Math.floor(p[0]) !== Math.floor(points[i - 1]?.[0] ?? -1));
}

// ---- vis: the weights and their gradient ---------------------------------------------------------------------------

/** What the output vis holds: one WxW block a layer side by side, weights above, dE/dw below. */
export const visSize = (m: ModelSpec): { width: number; height: number } => ({ width: (m.layers + 1) * m.width, height: 2 * m.width });

/** Rgba of signed values, the same in r, g and b: `weights` and `derivatives` are (layer, out, in). */
export function visValues(m: ModelSpec, weights: Float32Array, derivatives: Float32Array): Float32Array {
  const { width } = visSize(m);
  const W = m.width;
  const rgba = new Float32Array(width * 2 * W * 4);
  [weights, derivatives].forEach((values, row) => {
    for (let l = 0; l <= m.layers; ++l)
      for (let o = 0; o < W; ++o)
        for (let i = 0; i < W; ++i) {
          const v = values[(l * W + o) * W + i]!;
          rgba.set([v, v, v, 1], 4 * ((row * W + o) * width + l * W + i));
        }
  });
  return rgba;
}

/** Colour of a signed value: white is 0, red negative, blue positive; the darkest is +-1. Small values are lifted by a square root. */
function signed(v: number): Rgb {
  const t = Math.sqrt(Math.min(1, Math.abs(v)));
  const end: Rgb = v < 0 ? [150, 12, 24] : [12, 62, 140];
  // Through a lighter tone of the same colour, so that steps look even.
  const middle: Rgb = v < 0 ? [236, 106, 84] : [94, 160, 214];
  const mix = (a: Rgb, b: Rgb, s: number): Rgb => [0, 1, 2].map((c) => a[c as 0] + (b[c as 0] - a[c as 0]) * s) as unknown as Rgb;
  return t < 0.5 ? mix(paper, middle, 2 * t) : mix(middle, end, 2 * t - 1);
}

/** vis for looking at: sign by colour, a scale for each row. `derivative`: what the lower row shows. */
export async function drawVis(m: ModelSpec, derivative: string, values: Float32Array): Promise<DrawnPicture> {
  const W = m.width;
  const { width: across } = visSize(m);
  const zoom = Math.max(1, Math.min(8, Math.floor(1100 / across)));
  const block = W * zoom;
  const gap = 14;
  const [left, top, rowGap] = [40, 78, 66];
  const width = Math.max(620, left + (m.layers + 1) * (block + gap) + 20);
  const height = top + 2 * block + rowGap + 70;
  const d = new Drawing(width, height);
  d.text(left, 28, 'Weights and their derivatives', { size: 18, bold: true });
  d.text(left, 48, `a block a layer: outputs down, inputs across · red negative, blue positive`, { colour: faint });
  [`weights`, derivative].forEach((name, row) => {
    const y = top + row * (block + rowGap);
    const all: number[] = [];
    for (let k = row * W * across; k < (row + 1) * W * across; ++k) if (Number.isFinite(values[4 * k]!)) all.push(Math.abs(values[4 * k]!));
    const largest = all.reduce((a, b) => Math.max(a, b), 0);
    for (let l = 0; l <= m.layers; ++l) {
      const x = left + l * (block + gap);
      const rgb = new Uint8Array(block * block * 3);
      for (let py = 0; py < block; ++py)
        for (let px = 0; px < block; ++px) {
          const v = values[4 * ((row * W + Math.floor(py / zoom)) * across + l * W + Math.floor(px / zoom))]!;
          rgb.set(Number.isFinite(v) ? signed(largest > 0 ? v / largest : 0) : [255, 0, 255], 3 * (py * block + px));
        }
      d.frame(x, y, block, block, faint);
      d.image(x, y, block, block, rgb);
      if (row === 0) d.text(x, y - 8, l < m.layers ? `layer ${l}` : `layer ${l}: kernel`, { colour: faint });
    }
    d.text(left - 12, y + block / 2, name, { upright: true, anchor: 'middle' });
    scaleBar(d, left, y + block + 14, largest, name);
  });
  return d.render();
}

function scaleBar(d: Drawing, x: number, y: number, largest: number, name: string): void {
  const [width, height] = [320, 10];
  const rgb = new Uint8Array(width * height * 3);
  for (let px = 0; px < width; ++px) {
    // Even in what is seen: a square-root scale.
    const t = (2 * (px + 0.5)) / width - 1;
    const colour = signed(Math.sign(t) * t * t);
    for (let py = 0; py < height; ++py) rgb.set(colour, 3 * (py * width + px));
  }
  d.frame(x, y, width, height, faint);
  d.image(x, y, width, height, rgb);
  for (const t of [-1, -0.5, 0, 0.5, 1]) d.text(x + (width * (t + 1)) / 2, y + height + 15, legible(Math.sign(t) * t * t * largest), { size: 11, anchor: t === -1 ? 'start' : t === 1 ? 'end' : 'middle' });
  d.text(x + width + 16, y + 10, `${name}, square-root scale`, { size: 11, colour: faint });
}

// ---- debug: the predicted kernels ----------------------------------------------------------------------------------

/** Pixels of the finest level whose kernels are shown, a side. */
const CROP = 20;
/** Pixels of the picture a tap, and of a star with the gap around it. */
const TAP = 6;
const STAR = 5 * TAP + 6;
const ZOOMED = 8;

/** The finest level of the first tile, and what the network made of it. */
export interface Kernels {
  width: number;
  height: number;
  /** (pixel, 15): weights of the taps. */
  taps: Float32Array;
  /** (pixel): blend weight. */
  alpha: Float32Array;
  /** (pixel, 4): linear rec2020. */
  input: Float32Array;
  output: Float32Array;
}

/** Size of the debug picture, whatever the tile's. */
export const DEBUG_SIZE = { width: 40 + CROP * STAR + 40 + CROP * ZOOMED + 40, height: 92 + CROP * STAR + 24 };

/** From the network's outputs K (pixel, outputs) to kernel and blend weights (SPEC 1.5); of `chroma` the luminance's. */
export function kernelsOf(m: ModelSpec, K: Float32Array, outputs: number): { taps: Float32Array; alpha: Float32Array } {
  const n = K.length / outputs;
  const taps = new Float32Array(n * 15);
  const alpha = new Float32Array(n);
  for (let p = 0; p < n; ++p) {
    const k = K.subarray(p * outputs, p * outputs + 15);
    const top = k.reduce((a, b) => Math.max(a, b));
    const raw = k.map((v) => (m.apply === 'softmax' ? Math.exp(m.sharp * (v - top)) : Math.abs(v) >= 10 ? 0.001 : v));
    const sum = raw.reduce((a, b) => a + b, 0);
    taps.set(raw.map((v) => v / (m.apply === 'softmax' ? sum : Math.max(0.001, sum))), p * 15);
    const x = K[p * outputs + 15]!;
    alpha[p] = m.ablend === 'sigmoid' ? (0.5 * x) / Math.sqrt(1 + x * x) + 0.5 : m.ablend === 'clamped' ? Math.min(1, Math.max(0, x)) : m.ablend === 'const' ? 1 : x;
  }
  return { taps, alpha };
}

/** Blend weight as the colour behind a star: 0 (all from the coarser level) violet, 1 (all from this level) green; outside, darker. */
function alphaColour(a: number): Rgb {
  const t = Math.min(1, Math.max(0, a));
  const [from, to]: [Rgb, Rgb] = [[196, 178, 226], [160, 214, 158]];
  const dim = Math.max(0.45, 1 - 0.5 * Math.max(0, Math.abs(a - 0.5) - 0.5));
  return [0, 1, 2].map((c) => dim * (from[c as 0] + (to[c as 0] - from[c as 0]) * t)) as unknown as Rgb;
}

/** The kernels of a crop in the middle of the tile, a star of 15 taps a pixel, and the crop itself before and after. */
export async function drawDebug(k: Kernels, spec: ModelSpec): Promise<DrawnPicture> {
  const d = new Drawing(DEBUG_SIZE.width, DEBUG_SIZE.height);
  const [w, h] = [Math.min(CROP, k.width), Math.min(CROP, k.height)];
  const [x0, y0] = [(k.width - w) >> 1, (k.height - h) >> 1];
  const [left, top] = [40, 92];
  const crop = Array.from({ length: w * h }, (_, i) => (y0 + Math.floor(i / w)) * k.width + x0 + (i % w));
  const largest = crop.reduce((a, p) => k.taps.subarray(p * 15, p * 15 + 15).reduce((b, v) => Math.max(b, Math.abs(v)), a), 1e-9);
  const stars = new Uint8Array(w * STAR * h * STAR * 3).fill(255);
  crop.forEach((p, i) => {
    const [sx, sy] = [(i % w) * STAR, Math.floor(i / w) * STAR];
    const behind = alphaColour(k.alpha[p]!);
    fill(stars, w * STAR, sx, sy, STAR - 1, STAR - 1, behind);
    TAPS.forEach(([dx, dy], t) => fill(stars, w * STAR, sx + 2 + (dx + 2) * TAP, sy + 2 + (dy + 2) * TAP, TAP, TAP, tapColour(k.taps[p * 15 + t]! / largest)));
  });
  d.text(left, 30, 'Predicted kernels', { size: 18, bold: true });
  d.text(left, 50, `${w} x ${h} pixels in the middle of the first tile, finest level: a star of 15 taps a pixel (${spec.apply})`, { colour: faint });
  d.image(left, top, w * STAR, h * STAR, stars);
  tapLegend(d, left, 62, largest);
  alphaLegend(d, left + 400, 62);
  const side = left + w * STAR + 40;
  // Exposed alike, so that the bright parts of the result are just not white: tiles of training are exposed at random.
  const bright = crop.map((p) => Math.max(...k.output.subarray(4 * p, 4 * p + 3))).sort((a, b) => a - b)[Math.floor(0.95 * (crop.length - 1))]!;
  const exposure = bright > 0 && Number.isFinite(bright) ? 0.7 / bright : 1;
  (['input', 'output'] as const).forEach((name, i) => {
    const y = top + 20 + i * (CROP * ZOOMED + 60);
    d.text(side, y - 6, name === 'input' ? 'noisy' : 'denoised');
    d.image(side, y, w * ZOOMED, h * ZOOMED, zoomed(k[name], exposure, crop, w, h));
    d.frame(side, y, w * ZOOMED, h * ZOOMED, faint);
  });
  const y = top + 20 + 2 * (CROP * ZOOMED + 60);
  d.text(side, y, 'mean over the crop', { bold: true });
  const mean = (list: number[]): number => list.reduce((a, b) => a + b, 0) / list.length;
  d.text(side, y + 18, `centre tap ${legible(mean(crop.map((p) => k.taps[p * 15 + 7]!)))}`);
  d.text(side, y + 36, `alpha ${legible(mean(crop.map((p) => k.alpha[p]!)))}`);
  return d.render();
}

/** A tap's weight over the largest: white to black; red where negative. */
function tapColour(v: number): Rgb {
  const t = Math.sqrt(Math.min(1, Math.abs(v)));
  return v < 0 ? [255 - 60 * t, 255 - 230 * t, 255 - 220 * t] : [255 - 245 * t, 255 - 240 * t, 255 - 230 * t];
}

function fill(rgb: Uint8Array, stride: number, x: number, y: number, width: number, height: number, colour: Rgb): void {
  for (let j = y; j < y + height; ++j) for (let i = x; i < x + width; ++i) rgb.set(colour, 3 * (j * stride + i));
}

function bar(colourAt: (t: number) => Rgb, width: number, height: number): Uint8Array {
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width; ++i) fill(rgb, width, i, 0, 1, height, colourAt((i + 0.5) / width));
  return rgb;
}

function tapLegend(d: Drawing, x: number, y: number, largest: number): void {
  d.text(x, y + 10, 'tap 0', { size: 11 });
  d.image(x + 40, y, 120, 12, bar((t) => tapColour(t * t), 120, 12));
  d.frame(x + 40, y, 120, 12, faint);
  d.text(x + 168, y + 10, `${legible(largest)} (even: ${legible(1 / 15)}); red: negative`, { size: 11 });
}

function alphaLegend(d: Drawing, x: number, y: number): void {
  d.text(x, y + 10, 'alpha 0: coarser level', { size: 11 });
  d.image(x + 134, y, 120, 12, bar((t) => alphaColour(t), 120, 12));
  d.frame(x + 134, y, 120, 12, faint);
  d.text(x + 262, y + 10, '1: this level', { size: 11 });
}

/** Pixels of linear rec2020 as sRGB codes, each ZOOMED x ZOOMED. */
function zoomed(rgba: Float32Array, exposure: number, crop: readonly number[], w: number, h: number): Uint8Array {
  const matrix = convertPrimaries('bt2020', 'sRGB').map((row) => row.map((x) => exposure * x) as [number, number, number]);
  const { encode } = curve('sRGB');
  const rgb = new Uint8Array(w * ZOOMED * h * ZOOMED * 3);
  crop.forEach((p, i) => {
    const colour = matrix.map((row) => 255 * Math.min(1, Math.max(0, encode(row[0] * rgba[4 * p]! + row[1] * rgba[4 * p + 1]! + row[2] * rgba[4 * p + 2]!))) + 0.5 || 0) as unknown as Rgb;
    fill(rgb, w * ZOOMED, (i % w) * ZOOMED, Math.floor(i / w) * ZOOMED, ZOOMED, ZOOMED, colour);
  });
  return rgb;
}
