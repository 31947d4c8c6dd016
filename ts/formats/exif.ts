// EXIF blocks (TIFF structures): what denoising asks of them, taking one out of a TIFF-like file, making one for a raw file.

import exifReader from 'exif-reader';

/** What a noise profile is looked up by. */
export interface Shot {
  /** Maker's first word and model: "Canon EOS 30D". */
  camera?: string;
  iso?: number;
}

/** "NIKON CORPORATION", "NIKON D750" -> "NIKON D750". */
export function cameraName(make: string, model: string): string | undefined {
  const maker = make.trim().split(/\s+/)[0] ?? '';
  const rest = model.trim();
  if (rest === '') return maker === '' ? undefined : maker;
  return maker === '' || rest.toLowerCase().startsWith(maker.toLowerCase()) ? rest : `${maker} ${rest}`;
}

/** Camera and ISO of a block, with or without "Exif\0\0"; nothing of one that can't be read. */
export function readShot(exif: Uint8Array | undefined): Shot {
  if (!exif) return {};
  try {
    const { Image, Photo } = exifReader(Buffer.from(exif));
    const text = (v: unknown): string => (typeof v === 'string' ? v.replace(/\0.*$/s, '') : '');
    const iso: unknown = Photo?.ISOSpeedRatings ?? Photo?.PhotographicSensitivity;
    const first: unknown = Array.isArray(iso) ? iso[0] : iso;
    return { camera: cameraName(text(Image?.Make), text(Image?.Model)), iso: typeof first === 'number' && first > 0 ? first : undefined };
  } catch {
    return {};
  }
}

export interface Entry {
  tag: number;
  type: number;
  count: number;
  value: Uint8Array;
}

const typeBytes = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8];
const [exifPointer, gpsPointer, orientationTag] = [0x8769, 0x8825, 0x0112];
/** Of the first directory: description, make, model, resolution, software, date, artist, copyright. */
const keptTags = new Set([0x010e, 0x010f, 0x0110, 0x011a, 0x011b, 0x0128, 0x0131, 0x0132, 0x013b, 0x8298]);
/** Maker notes hold offsets into the old file; the interoperability directory says what the old file was. */
const droppedTags = new Set([0x927c, 0xa005]);
const mostValueBytes = 4096;

/** A directory's entries, those whose values lie inside the file. */
export function readDirectory(view: DataView, at: number, little: boolean): Entry[] {
  if (at === 0 || at + 2 > view.byteLength) return [];
  const entries: Entry[] = [];
  const count = view.getUint16(at, little);
  for (let i = 0, e = at + 2; i < count && e + 12 <= view.byteLength; i++, e += 12) {
    const [tag, type, n] = [view.getUint16(e, little), view.getUint16(e + 2, little), view.getUint32(e + 4, little)];
    const bytes = (typeBytes[type] ?? 0) * n;
    const from = bytes <= 4 ? e + 8 : view.getUint32(e + 8, little);
    if (bytes === 0 || bytes > mostValueBytes || from + bytes > view.byteLength) continue;
    entries.push({ tag, type, count: n, value: new Uint8Array(view.buffer, view.byteOffset + from, bytes) });
  }
  return entries;
}

const pointer = (tag: number, at: number, little: boolean): Entry => ({ tag, type: 4, count: 1, value: number(4, at, little) });

function number(bytes: 2 | 4, value: number, little: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(bytes));
  if (bytes === 2) view.setUint16(0, value, little);
  else view.setUint32(0, value, little);
  return new Uint8Array(view.buffer);
}

/** A directory at offset `at` of its file, its values behind it; `next` 0. */
export function directoryBytes(entries: readonly Entry[], at: number, little: boolean): Uint8Array {
  const sorted = [...entries].sort((a, b) => a.tag - b.tag);
  let values = 2 + 12 * sorted.length + 4;
  const out = new Uint8Array(values + sorted.reduce((sum, e) => sum + (e.value.length > 4 ? e.value.length + (e.value.length & 1) : 0), 0));
  const view = new DataView(out.buffer);
  view.setUint16(0, sorted.length, little);
  sorted.forEach((e, i) => {
    const slot = 2 + 12 * i;
    view.setUint16(slot, e.tag, little);
    view.setUint16(slot + 2, e.type, little);
    view.setUint32(slot + 4, e.count, little);
    if (e.value.length <= 4) return out.set(e.value, slot + 8);
    view.setUint32(slot + 8, at + values, little);
    out.set(e.value, values);
    values += e.value.length + (e.value.length & 1);
  });
  return out;
}

/** The block of these directories. */
function block(first: readonly Entry[], exif: readonly Entry[], gps: readonly Entry[], little: boolean): Uint8Array {
  const header = Uint8Array.from([...(little ? [0x49, 0x49, 42, 0] : [0x4d, 0x4d, 0, 42]), ...number(4, 8, little)]);
  const own = [...first.filter((e) => e.tag !== orientationTag), { tag: orientationTag, type: 3, count: 1, value: number(2, 1, little) }];
  const place = (exifAt: number, gpsAt: number): Entry[] => [
    ...own,
    ...(exif.length > 0 ? [pointer(exifPointer, exifAt, little)] : []),
    ...(gps.length > 0 ? [pointer(gpsPointer, gpsAt, little)] : []),
  ];
  const exifAt = 8 + directoryBytes(place(0, 0), 8, little).length;
  const exifBytes = exif.length > 0 ? directoryBytes(exif, exifAt, little) : new Uint8Array();
  const gpsAt = exifAt + exifBytes.length;
  const gpsBytes = gps.length > 0 ? directoryBytes(gps, gpsAt, little) : new Uint8Array();
  return Buffer.concat([header, directoryBytes(place(exifAt, gpsAt), 8, little), exifBytes, gpsBytes]);
}

/** A TIFF, or a raw file built like one (CR2, NEF, ARW, DNG, …): its EXIF as a block of its own, upright. undefined: nothing to keep, or no TIFF. */
export function exifOfTiff(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length < 8) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const little = view.getUint16(0) === 0x4949;
  if (!little && view.getUint16(0) !== 0x4d4d) return undefined;
  const first = readDirectory(view, view.getUint32(4, little), little);
  const behind = (tag: number): Entry[] => {
    const entry = first.find((e) => e.tag === tag);
    if (entry?.value.length !== 4) return [];
    const at = new DataView(entry.value.buffer, entry.value.byteOffset, 4).getUint32(0, little);
    return readDirectory(view, at, little).filter((e) => !droppedTags.has(e.tag));
  };
  const kept = first.filter((e) => keptTags.has(e.tag));
  const [exif, gps] = [behind(exifPointer), behind(gpsPointer)];
  return kept.length + exif.length + gps.length > 0 ? block(kept, exif, gps, little) : undefined;
}

export interface ShotFields {
  make: string;
  model: string;
  iso: number;
  /** Seconds. */
  exposure: number;
  fNumber: number;
  /** mm */
  focal: number;
  /** Seconds since 1970, in the camera's clock; 0: unknown. */
  time: number;
  lens: string;
}

/** A block made of single facts, those that are known. */
export function exifOfShot(f: ShotFields): Uint8Array {
  const text = (tag: number, s: string): Entry[] => (s === '' ? [] : [{ tag, type: 2, count: Buffer.byteLength(s) + 1, value: Buffer.from(`${s}\0`) }]);
  const rational = (tag: number, x: number): Entry[] => {
    if (!(x > 0)) return [];
    const [top, bottom] = x < 1 ? [1000, Math.round(1000 / x)] : [Math.round(x * 1000), 1000];
    return [{ tag, type: 5, count: 1, value: Buffer.concat([number(4, top, true), number(4, bottom, true)]) }];
  };
  const date = f.time > 0 ? new Date(f.time * 1000).toISOString().slice(0, 19).replace('T', ' ').replaceAll('-', ':') : '';
  const first = [...text(0x010f, f.make), ...text(0x0110, f.model), ...text(0x0132, date)];
  const iso: Entry[] = f.iso > 0 ? [{ tag: 0x8827, type: 3, count: 1, value: number(2, Math.min(65535, Math.round(f.iso)), true) }] : [];
  return block(first, [...rational(0x829a, f.exposure), ...rational(0x829d, f.fNumber), ...iso, ...text(0x9003, date), ...rational(0x920a, f.focal), ...text(0xa434, f.lens)], [], true);
}
