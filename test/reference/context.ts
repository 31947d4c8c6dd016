// Reference: what the network sees of a pixel's neighbourhood, W channels a pixel (SPEC 1.3).
import { type Image, type Noise, TAPS, luminance, noiseSigma, pixel, saturation } from './image.js';

export type Context = 'star' | 'window' | 'norm' | 'wnorm' | 'guide';

/** Least width at which a context is whole; narrower networks (tests only) see its first channels. */
export const CONTEXT_CHANNELS: Record<Context, number> = { star: 32, window: 64, norm: 32, wnorm: 56, guide: 50 };

export interface ContextInput {
  /** The level's picture M, (h, w, 3): noise and colour differences come from it. */
  readonly M: Image;
  /** Where taps are read: M, or D under `prediff`. */
  readonly taps: Image;
  /** `guide` only: up2 of the coarser level's result, M at the coarsest level. */
  readonly G?: Image | undefined;
  readonly noise: Noise;
  /** Noise gain of the level. */
  readonly gain: number;
}

const MIN_SIGMA = 1e-5;
const CLAMP = 64;
/** Centre, left, right, up, down. */
const CROSS = [[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]] as const;

const clamp = (value: number): number => Math.min(Math.max(value, -CLAMP), CLAMP);

/** Sets channel values by number; every other channel stays 0. */
type Channels = Map<number, number>;

function star(input: ContextInput, x: number, y: number): Channels {
  const out: Channels = new Map();
  TAPS.forEach(([dx, dy], t) => {
    const rgb = pixel(input.taps, x + dx, y + dy);
    out.set(2 * t, luminance(rgb)).set(2 * t + 1, saturation(rgb));
  });
  const sigma = noiseSigma(input.noise, luminance(pixel(input.M, x, y)), input.gain);
  return out.set(30, sigma).set(31, 1);
}

function window8(input: ContextInput, x: number, y: number): Channels {
  const out: Channels = new Map();
  for (let dx = -4; dx <= 3; dx++)
    for (let dy = -4; dy <= 3; dy++)
      out.set(8 * (dx + 4) + (dy + 4), luminance(pixel(input.taps, x + dx, y + dy).map(Math.abs)));
  return out;
}

/** The centre pixel's noise, large enough to divide by. */
function safeSigma(input: ContextInput, x: number, y: number): number {
  return Math.max(noiseSigma(input.noise, luminance(pixel(input.M, x, y)), input.gain), MIN_SIGMA);
}

/** Luminance against the centre's, and saturation, both in units of four sigma. */
function relative(image: Image, x: number, y: number, sigma: number) {
  const centre = luminance(pixel(image, x, y));
  return {
    lum: (dx: number, dy: number) => clamp((luminance(pixel(image, x + dx, y + dy)) - centre) / (4 * sigma)),
    sat: (dx: number, dy: number) => clamp(saturation(pixel(image, x + dx, y + dy)) / (4 * sigma)),
  };
}

function norm(input: ContextInput, x: number, y: number): Channels {
  const out: Channels = new Map();
  const sigma = safeSigma(input, x, y);
  const { lum, sat } = relative(input.taps, x, y, sigma);
  TAPS.forEach(([dx, dy], t) => out.set(2 * t, lum(dx, dy)).set(2 * t + 1, sat(dx, dy)));
  return out.set(30, Math.log2(sigma) / 8).set(31, 1);
}

function wnorm(input: ContextInput, x: number, y: number): Channels {
  const out: Channels = new Map();
  const sigma = safeSigma(input, x, y);
  const { lum, sat } = relative(input.taps, x, y, sigma);
  for (let dy = -3; dy <= 3; dy++) for (let dx = -3; dx <= 3; dx++) out.set((dy + 3) * 7 + dx + 3, lum(dx, dy));
  CROSS.forEach(([dx, dy], k) => out.set(49 + k, sat(dx, dy)));
  return out.set(54, Math.log2(sigma) / 8).set(55, 1);
}

function guide(input: ContextInput, x: number, y: number): Channels {
  if (!input.G) throw new RangeError('context guide needs the guide picture');
  const G = input.G;
  const out: Channels = new Map();
  const sigma = safeSigma(input, x, y);
  const ofM = relative(input.taps, x, y, sigma);
  const ofG = relative(G, x, y, sigma);
  TAPS.forEach(([dx, dy], t) => out.set(t, ofM.lum(dx, dy)).set(15 + t, ofG.lum(dx, dy)));
  CROSS.forEach(([dx, dy], k) => {
    out.set(30 + k, ofM.sat(dx, dy)).set(35 + k, ofG.sat(dx, dy));
    const difference = luminance(pixel(input.M, x + dx, y + dy)) - luminance(pixel(G, x + dx, y + dy));
    out.set(43 + k, clamp(difference / (4 * sigma)));
  });
  const m = pixel(input.M, x, y);
  const g = pixel(G, x, y);
  for (let c = 0; c < 3; c++) out.set(40 + c, clamp((m[c]! - g[c]!) / (4 * sigma)));
  return out.set(48, Math.log2(sigma) / 8).set(49, 1);
}

const CONTEXTS: Record<Context, (input: ContextInput, x: number, y: number) => Channels> = {
  star, window: window8, norm, wnorm, guide,
};

/** The contexts of every pixel, (h*w, W). */
export function contexts(context: Context, width: number, input: ContextInput): Float64Array {
  const { width: columns, height: rows } = input.M;
  const out = new Float64Array(columns * rows * width);
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++)
      for (const [channel, value] of CONTEXTS[context](input, x, y))
        if (channel < width) out[(y * columns + x) * width + channel] = value;
  return out;
}
