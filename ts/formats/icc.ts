// ICC profiles: reads the RGB matrix and grey kinds, writes RGB matrix ones (ICC.1:2010; SPEC section 4, i-jpg, i-png, o-jpg, o-png).

import { adapt, d65ToD50, invert, multiply, rgbToXyz, transpose, whiteD50, whiteD65, xyToXyz, type Curve, type Matrix, type Primaries, type Vec3 } from './colour.js';

/** What an RGB or grey picture's profile says: signal -> light, then light -> linear rec2020. */
export interface Profile {
  /** Of red, green, blue; a grey picture's is the same thrice. */
  decode: readonly [Decode, Decode, Decode];
  toRec2020: Matrix;
  space: 'rgb' | 'grey';
}
type Decode = (v: number) => number;

const tagTable = 128;

/** Whether these bytes are an ICC profile at all. */
export const isProfile = (icc: Uint8Array): boolean => icc.length >= tagTable + 4 && ascii(icc, 36, 4) === 'acsp';

const ascii = (b: Uint8Array, offset: number, n: number): string => String.fromCharCode(...b.subarray(offset, offset + n));

/** The tags' bytes by signature, bounds checked; undefined where the table is broken. */
function readTags(icc: Uint8Array): Map<string, DataView> | undefined {
  const view = new DataView(icc.buffer, icc.byteOffset, icc.length);
  const count = view.getUint32(tagTable);
  if (tagTable + 4 + 12 * count > icc.length) return undefined;
  const tags = new Map<string, DataView>();
  for (let i = 0, at = tagTable + 4; i < count; i++, at += 12) {
    const [offset, size] = [view.getUint32(at + 4), view.getUint32(at + 8)];
    if (offset + size > icc.length) return undefined;
    tags.set(ascii(icc, at, 4), new DataView(icc.buffer, icc.byteOffset + offset, size));
  }
  return tags;
}

const fixed = (v: DataView, offset: number): number => v.getInt32(offset) / 65536;
const typeOf = (v: DataView): string => String.fromCharCode(v.getUint8(0), v.getUint8(1), v.getUint8(2), v.getUint8(3));

function readXyz(v: DataView | undefined): Vec3 | undefined {
  return v && v.byteLength >= 20 && typeOf(v) === 'XYZ ' ? [fixed(v, 8), fixed(v, 12), fixed(v, 16)] : undefined;
}

/** curveType: identity, a gamma, or a table interpolated linearly. */
function readCurv(v: DataView): Decode | undefined {
  const n = v.getUint32(8);
  if (v.byteLength < 12 + 2 * n) return undefined;
  if (n === 0) return (x) => x;
  if (n === 1) return (x) => x ** (v.getUint16(12) / 256);
  const table = Float64Array.from({ length: n }, (_, i) => v.getUint16(12 + 2 * i) / 65535);
  return (x) => {
    const at = Math.min(Math.max(x, 0), 1) * (n - 1);
    const i = Math.min(Math.floor(at), n - 2);
    return table[i]! + (at - i) * (table[i + 1]! - table[i]!);
  };
}

/** parametricCurveType, function types 0 to 4. */
function readPara(v: DataView): Decode | undefined {
  const type = v.getUint16(8);
  const parameters = [1, 3, 4, 5, 7][type];
  if (parameters === undefined || v.byteLength < 12 + 4 * parameters) return undefined;
  const p = (i: number): number => (i < parameters ? fixed(v, 12 + 4 * i) : 0);
  const g = p(0);
  const [a, b] = type === 0 ? [1, 0] : [p(1), p(2)];
  // Below d: c x + f, above: (a x + b)^g + e. Types 1 and 2 are constant below -b/a.
  const d = type === 0 ? -Infinity : type <= 2 ? -b / a : p(4);
  const [c, e, f] = type <= 1 ? [0, 0, 0] : type === 2 ? [0, p(3), p(3)] : [p(3), p(5), p(6)];
  return (x) => (x >= d ? Math.max(a * x + b, 0) ** g + e : c * x + f);
}

function readCurve(v: DataView | undefined): Decode | undefined {
  if (!v || v.byteLength < 12) return undefined;
  return typeOf(v) === 'curv' ? readCurv(v) : typeOf(v) === 'para' ? readPara(v) : undefined;
}

/** What a grey profile's light is in linear rec2020: grey stays grey. */
const grey: Matrix = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];

/** Reads a profile of the matrix or grey kind. undefined: another kind (tables), or broken. */
export function readProfile(icc: Uint8Array): Profile | undefined {
  if (!isProfile(icc)) return undefined;
  const tags = readTags(icc);
  const space = ascii(icc, 16, 4);
  if (!tags || tags.has('A2B0')) return undefined;
  if (space === 'GRAY') {
    const k = readCurve(tags.get('kTRC'));
    return k && { decode: [k, k, k], toRec2020: grey, space: 'grey' };
  }
  if (space !== 'RGB ' || ascii(icc, 20, 4) !== 'XYZ ') return undefined;
  const [r, g, b] = ['r', 'g', 'b'].map((c) => readXyz(tags.get(`${c}XYZ`)));
  const [dr, dg, db] = ['r', 'g', 'b'].map((c) => readCurve(tags.get(`${c}TRC`)));
  if (!r || !g || !b || !dr || !dg || !db) return undefined;
  const d50ToRec2020 = multiply(invert(rgbToXyz('bt2020')), adapt(whiteD50, xyToXyz(whiteD65)));
  return { decode: [dr, dg, db], toRec2020: multiply(d50ToRec2020, transpose([r, g, b])), space: 'rgb' };
}

/** ICC functions of the curves that have one, as their type and parameters g a b c d. */
const parametric: Partial<Record<Curve, readonly [number, readonly number[]]>> = {
  linear: [0, [1]],
  bt709: [3, [1 / 0.45, 1 / 1.09929682680944, 0.09929682680944 / 1.09929682680944, 1 / 4.5, 4.5 * 0.018053968510807]],
  sRGB: [3, [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045]],
  'gamma2.2': [0, [2.2]],
};

const s15Fixed16 = (...values: number[]): Buffer => {
  const b = Buffer.alloc(4 * values.length);
  values.forEach((x, i) => b.writeInt32BE(Math.round(x * 65536), 4 * i));
  return b;
};
const u32 = (...values: number[]): Buffer => {
  const b = Buffer.alloc(4 * values.length);
  values.forEach((x, i) => b.writeUInt32BE(x, 4 * i));
  return b;
};
const tagOf = (type: string, ...parts: Buffer[]): Buffer => {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), u32(0), ...parts]);
  return Buffer.concat([body, Buffer.alloc((4 - (body.length % 4)) % 4)]);
};
const textTag = (text: string): Buffer => {
  const utf16 = Buffer.from(text, 'utf16le').swap16();
  return tagOf('mluc', u32(1, 12), Buffer.from('enUS', 'latin1'), u32(utf16.length, 28), utf16);
};

/** A version 4 display profile. undefined where the ICC has no such kind: XYZ, and the curves PQ, DCI, HLG. */
export function writeProfile(primaries: Primaries, curve: Curve): Uint8Array | undefined {
  const p = parametric[curve];
  if (primaries === 'XYZ' || !p) return undefined;
  const columns = transpose(multiply(d65ToD50(), rgbToXyz(primaries)));
  const xyz = (v: Vec3): Buffer => tagOf('XYZ ', s15Fixed16(...v));
  const trc = tagOf('para', Buffer.from([0, p[0], 0, 0]), s15Fixed16(...p[1]));
  const tags: [string[], Buffer][] = [
    [['desc'], textTag(`${primaries} ${curve}`)],
    [['cprt'], textTag('No copyright, use freely')],
    [['wtpt'], xyz(whiteD50)],
    [['chad'], tagOf('sf32', s15Fixed16(...d65ToD50().flat()))],
    [['rXYZ'], xyz(columns[0])],
    [['gXYZ'], xyz(columns[1])],
    [['bXYZ'], xyz(columns[2])],
    [['rTRC', 'gTRC', 'bTRC'], trc],
  ];
  const count = tags.reduce((n, [names]) => n + names.length, 0);
  let offset = tagTable + 4 + 12 * count;
  const table: Buffer[] = [u32(count)];
  for (const [names, body] of tags) {
    for (const name of names) table.push(Buffer.from(name, 'latin1'), u32(offset, body.length));
    offset += body.length;
  }
  const header = Buffer.alloc(tagTable);
  header.writeUInt32BE(offset, 0);
  header.writeUInt32BE(0x04300000, 8);
  header.write('mntrRGB XYZ ', 12, 'latin1');
  // A fixed date: the same options give the same bytes.
  [2024, 1, 1].forEach((x, i) => header.writeUInt16BE(x, 24 + 2 * i));
  header.write('acsp', 36, 'latin1');
  s15Fixed16(...whiteD50).copy(header, 68);
  return Buffer.concat([header, ...table, ...tags.map(([, body]) => body)]);
}
