// Develops camera rgb, denoised or not, on threads: planes of the sensor -> linear rec2020, upright.

import { haloRows, turn, type Development } from '../formats/develop.js';
import type { Raw, RawColour } from '../formats/raw.js';
import { inWorker, poolSize } from './pool.js';

export interface DevelopSettings {
  /** As shot, as under daylight, or none. */
  wb: 'camera' | 'daylight' | 'none';
  /** Exposure, in stops. */
  ev: number;
  /** Full size by demosaicing, or half size without. */
  size: 'full' | 'half';
  /** The noise that was taken off, and how far. */
  denoised?: Development['denoised'];
}

export interface Developed {
  width: number;
  height: number;
  /** (y, x, c) f16, alpha 1. */
  rgba: Uint16Array;
}

const minRows = 64;

/** How a raw file's camera rgb is developed. */
function developmentOf(colour: RawColour, red: Development['red'], { wb, ev, denoised }: DevelopSettings): Development {
  const gains = wb === 'none' ? ([1, 1, 1] as const) : ((wb === 'camera' ? colour.camera : undefined) ?? colour.daylight);
  // The least gain becomes 1: where the sensor clips, all channels reach white.
  const least = Math.min(...gains) * colour.clip;
  return { gains: [gains[0] / least, gains[1] / least, gains[2] / least], scale: 2 ** ev, toRec2020: colour.toRec2020, red, denoised };
}

/** @param data f16 rgba of `count` pictures of width x height, as decodeRaw gives them */
export async function develop(data: Uint16Array, width: number, height: number, count: number, { colour, header }: Pick<Raw, 'colour' | 'header'>, settings: DevelopSettings): Promise<Developed> {
  const d = developmentOf(colour, header.red, settings);
  const plane = 4 * width * height;
  if (count === 1) return turn(await inWorker('developPixels', [data, d]), width, height, colour.turns);
  const [first, second] = [data.subarray(0, plane), data.subarray(plane, 2 * plane)];
  if (settings.size === 'half') return turn(await inWorker('developHalf', [first, second, d]), width, height, colour.turns);
  const rows = Math.max(minRows, 2 * Math.ceil(height / poolSize));
  const whole = new Uint16Array(16 * width * height);
  const parts: Promise<void>[] = [];
  for (let top = 0; top < 2 * height; top += rows) {
    const bottom = Math.min(2 * height, top + rows);
    const [from, to] = [Math.max(0, (top - haloRows) >> 1), Math.min(height, (bottom + haloRows + 1) >> 1)];
    const cut = (p: Uint16Array): Uint16Array => p.slice(4 * from * width, 4 * to * width);
    const [a, b] = [cut(first), cut(second)];
    parts.push(inWorker('developRows', [a, b, from, width, height, top, bottom, d], [a.buffer as ArrayBuffer, b.buffer as ArrayBuffer]).then((part) => whole.set(part, 8 * width * top)));
  }
  await Promise.all(parts);
  return turn(whole, 2 * width, 2 * height, colour.turns);
}
