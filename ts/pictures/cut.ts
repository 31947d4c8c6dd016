// Crops of a picture file, or of a noisy and a clean one alike, as f16: what a training set keeps on the device (SPEC 4, i-set).
// Runs on a worker thread (cut-queue.ts). Only what is cut is converted to linear colour; whole photographs of floats are large.

import { InputError } from '../errors.js';
import { withInput } from '../files.js';
import { decodeExr } from '../formats/exr.js';
import { maxHalf, toHalf } from '../formats/half.js';
import { decodePfm } from '../formats/pfm.js';
import { openPictureBytes, type Area, type OpenPicture } from '../formats/picture.js';
import { mirror } from '../formats/pixels.js';
import { decodeRaw } from '../formats/raw.js';
import { autoReduce, startOf, type Cut, type CutJob } from './crops.js';
import { pairNoise } from './pair-noise.js';
import { requireKind } from './read.js';

/** A decoded picture of which parts become linear floats. */
type Cuttable = Pick<OpenPicture, 'width' | 'height' | 'part'>;

/** Brightest value kept: training exposes by up to 64 (cnngenin, `ev hi`; `hilite` makes nothing brighter than 512 before), and f16 ends there. */
const brightest = maxHalf / 64;

/**
 * Cuts the crops.
 * @throws InputError where a file can't be read or decoded, holds values that aren't finite, or the two of a pair differ in size
 */
export async function cutPicture(job: CutJob): Promise<Cut> {
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  const picture = await open(job.path, warn);
  const clean = job.clean === undefined ? undefined : await open(job.clean, warn);
  if (clean && (clean.width !== picture.width || clean.height !== picture.height))
    throw new InputError('PAIR_SIZE', `the picture has ${picture.width}x${picture.height} pixels, but its clean counterpart ${job.clean!} has ${clean.width}x${clean.height}`, { place: { file: job.path } });
  const reduce = job.reduce || (clean ? 1 : autoReduce(picture.width, picture.height));
  const cut: Cut = { width: Math.floor(picture.width / reduce), height: Math.floor(picture.height / reduce), crops: cropsOf(picture, job, reduce, job.path), warnings };
  if (cut.width < 1 || cut.height < 1) throw new InputError('PICTURE_TOO_SMALL', `the picture has ${picture.width}x${picture.height} pixels, too few to reduce it ${reduce} times`, { place: { file: job.path } });
  if (!clean) return cut;
  cut.clean = cropsOf(clean, job, reduce, job.clean!);
  if (job.estimate) cut.noise = pairNoise(cut.crops, cut.clean);
  return cut;
}

async function open(path: string, warn: (message: string) => void): Promise<Cuttable> {
  const kind = requireKind(path);
  const bytes = await withInput(path, {}, (file) => file.read(0, file.bytes));
  if (kind === 'pfm') return whole(decodePfm(bytes, path));
  if (kind === 'exr') return whole(decodeExr(bytes, path));
  if (kind === 'raw') return whole(await decodeRaw(bytes, path)); // of two pictures the first
  return openPictureBytes(bytes, kind, path, warn);
}

/** A picture that is decoded to floats as a whole. */
function whole({ width, height, rgba }: { width: number; height: number; rgba: Float32Array }): Cuttable {
  const part = (area: Area): Float32Array => {
    const out = new Float32Array(area.width * area.height * 4);
    for (let y = 0; y < area.height; y++) {
      const from = 4 * ((area.y + y) * width + area.x);
      out.set(rgba.subarray(from, from + 4 * area.width), 4 * y * area.width);
    }
    return out;
  };
  return { width, height, part };
}

function cropsOf(picture: Cuttable, { size, places }: CutJob, reduce: number, path: string): Uint16Array {
  const [width, height] = [Math.floor(picture.width / reduce), Math.floor(picture.height / reduce)];
  const [w, h] = [Math.min(size, width), Math.min(size, height)];
  const crops = new Uint16Array(places.length * size * size * 4);
  for (const [i, { u, v }] of places.entries()) {
    const [x, y] = [startOf(u, width, size), startOf(v, height, size)];
    const area = { x: x * reduce, y: y * reduce, width: w * reduce, height: h * reduce };
    const values = shrinkBox(picture.part(area), w, h, reduce);
    for (let k = 0; k < values.length; k++) {
      const value = values[k]!;
      if (!Number.isFinite(value)) throw new InputError('PICTURE_NAN', 'the picture has values that are NaN or infinite', { place: { file: path } });
      values[k] = Math.min(Math.max(value, -brightest), brightest);
    }
    mirrorInto(toHalf(values).data, w, h, crops.subarray(i * size * size * 4, (i + 1) * size * size * 4), size);
  }
  return crops;
}

/** The mean of each block of r x r pixels; (w r) x (h r) pixels become w x h. */
function shrinkBox(rgba: Float32Array, w: number, h: number, r: number): Float32Array {
  if (r === 1) return rgba;
  const out = new Float32Array(w * h * 4);
  const line = new Float64Array(4 * w);
  for (let y = 0; y < h; y++) {
    line.fill(0);
    for (let i = y * r; i < (y + 1) * r; i++)
      for (let x = 0, from = 4 * i * w * r; x < w; x++)
        for (let k = 0; k < r; k++, from += 4) for (let c = 0; c < 4; c++) line[4 * x + c]! += rgba[from + c]!;
    for (let i = 0; i < 4 * w; i++) out[4 * y * w + i] = line[i]! / (r * r);
  }
  return out;
}

/** Fills size x size pixels with w x h ones, mirrored on at right and bottom. */
function mirrorInto(data: Uint16Array, w: number, h: number, out: Uint16Array, size: number): void {
  if (w === size && h === size) return out.set(data);
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const from = 4 * (mirror(y, h) * w + mirror(x, w));
      out.set(data.subarray(from, from + 4), 4 * (y * size + x));
    }
}
