// Opens a picture file of any kind that vkpn reads, as linear floating point: what commands that look at pictures use. (Graphs read files by
// the modules i-jpg, i-png, i-tif, i-pfm, i-exr, i-raw, which share the decoders.)

import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { InputError } from '../errors.js';
import { withInput } from '../files.js';
import { readShot } from '../formats/exif.js';
import { decodePfm, requireFinite } from '../formats/pfm.js';
import { decodePicture, type PictureKind } from '../formats/picture.js';
import type { RawColour } from '../formats/raw.js';
import { natural } from './natural.js';
import { inWorker } from './pool.js';

export interface PictureMeta {
  /** A TIFF structure, orientation set to upright. */
  exif?: Uint8Array;
  icc?: Uint8Array;
  /** Maker's first word and model: "Canon EOS 30D". */
  camera?: string;
  iso?: number;
  /** raw: how its camera rgb becomes rec2020. */
  raw?: RawColour;
}

export interface OpenedPicture {
  width: number;
  height: number;
  /** (y, x, c), linear, alpha 1, upright (raw: as the sensor lies). */
  rgba: Float32Array;
  /** rec2020, or the camera's own before white balance, 1 = the sensor's white level. */
  colour: 'rec2020' | 'camera';
  /** display: 8 or 16 bits after a tone curve, undone as far as the profile tells; linear: floating point; raw: half size, one value of the sensor in each channel. */
  kind: 'display' | 'linear' | 'raw';
  meta: PictureMeta;
}

export type FileKind = PictureKind | 'pfm' | 'exr' | 'raw';

/** The module that reads each kind. */
export const sourceModules: Record<FileKind, string> = { jpeg: 'i-jpg', png: 'i-png', tiff: 'i-tif', pfm: 'i-pfm', exr: 'i-exr', raw: 'i-raw' };

const rawEndings = '3fr ari arw bay cap cr2 cr3 crw dcr dcs dng drf eip erf fff gpr iiq k25 kdc mdc mef mos mrw nef nrw orf pef ptx pxn r3d raf raw rw2 rwl rwz sr2 srf srw x3f'.split(' ');
const endings = new Map<string, FileKind>([
  ['jpg', 'jpeg'], ['jpeg', 'jpeg'], ['png', 'png'], ['tif', 'tiff'], ['tiff', 'tiff'], ['pfm', 'pfm'], ['exr', 'exr'],
  ...rawEndings.map((e): [string, FileKind] => [e, 'raw']),
]);

/** By the name's ending; undefined: no picture that vkpn reads. */
export const kindOfName = (path: string): FileKind | undefined => endings.get(extname(path).slice(1).toLowerCase());

/** @throws InputError PICTURE_FORMAT where the name's ending says nothing that vkpn reads */
export function requireKind(path: string): FileKind {
  const kind = kindOfName(path);
  if (kind === undefined) throw new InputError('PICTURE_FORMAT', `${path} has no ending of a picture that can be read`, { hint: `There is: jpg png tif pfm exr, and camera raw: ${rawEndings.slice(0, 12).join(' ')} …` });
  return kind;
}

/**
 * Reads and decodes a file; its kind goes by the name's ending.
 * @throws InputError FILE_…, PICTURE_…, PFM_…, EXR_…, RAW_…
 */
export async function openPicture(path: string, warn: (message: string) => void = () => undefined): Promise<OpenedPicture> {
  const kind = requireKind(path);
  const bytes = await withInput(path, {}, (file) => file.read(0, file.bytes));
  switch (kind) {
    case 'pfm': {
      const { width, height, rgba, ...rest } = decodePfm(bytes, path);
      requireFinite({ width, height, rgba, ...rest }, path);
      return { width, height, rgba, colour: 'rec2020', kind: 'linear', meta: {} };
    }
    case 'exr':
      return { ...(await inWorker('decodeExr', [bytes, path])), colour: 'rec2020', kind: 'linear', meta: {} };
    case 'raw': {
      const { header, colour, width, height, rgba } = await inWorker('decodeRaw', [bytes, path]);
      const { camera, iso, exif } = header;
      return { width, height, rgba: rgba.subarray(0, 4 * width * height), colour: 'camera', kind: 'raw', meta: { camera, iso, exif, raw: colour } };
    }
    default: {
      const { width, height, rgba, exif, icc } = await decodePicture(bytes, kind, path, warn);
      return { width, height, rgba, colour: 'rec2020', kind: 'display', meta: { exif, icc, ...readShot(exif) } };
    }
  }
}

/**
 * The picture files among `paths`: files as they are, of folders what lies in them (not deeper) and can be read, in natural order (img2 before img10).
 * @throws InputError FILE_ENOENT, FOLDER_EMPTY, PICTURE_FORMAT
 */
export async function listPictures(paths: string | readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const path of typeof paths === 'string' ? [paths] : paths) {
    const s = await stat(path).catch(() => undefined);
    if (!s?.isDirectory()) {
      await withInput(path, {}, async () => undefined);
      requireKind(path);
      found.push(path);
      continue;
    }
    const names = (await readdir(path)).filter((n) => !basename(n).startsWith('.') && kindOfName(n) !== undefined).sort(natural);
    if (names.length === 0) throw new InputError('FOLDER_EMPTY', `the folder ${path} has no picture that can be read`, { hint: 'Folders inside it are not looked into.' });
    found.push(...names.map((n) => join(path, n)));
  }
  return found;
}
