// Colour: primaries, matrices between them and transfer curves, in f64 (SPEC section 5: `--colour-prim`, `--colour-trc`).
// Inside the program colours are linear rec2020. Sources: ITU-T H.273, ITU-R BT.709, BT.2020, BT.2100, BT.2408, IEC 61966-2-1,
// Adobe RGB (1998), SMPTE ST 2084 and ST 428-1, ICC.1:2010.

export const primaryNames = ['sRGB', 'bt2020', 'AdobeRGB', 'P3', 'XYZ'] as const;
export type Primaries = (typeof primaryNames)[number];
export const curveNames = ['linear', 'bt709', 'sRGB', 'PQ', 'DCI', 'HLG', 'gamma2.2'] as const;
export type Curve = (typeof curveNames)[number];

type Xy = readonly [number, number];
export type Vec3 = readonly [number, number, number];
/** Row-major 3x3. */
export type Matrix = readonly [Vec3, Vec3, Vec3];

export const whiteD65: Xy = [0.3127, 0.329];
/** The ICC's profile connection space, as XYZ (ICC.1 section 7.2.16). */
export const whiteD50: Vec3 = [0.9642, 1, 0.8249];

/** Chromaticities of red, green, blue. All have white D65; P3 is Display P3. */
const chromaticities: Record<Exclude<Primaries, 'XYZ'>, readonly [Xy, Xy, Xy]> = {
  sRGB: [[0.64, 0.33], [0.3, 0.6], [0.15, 0.06]],
  bt2020: [[0.708, 0.292], [0.17, 0.797], [0.131, 0.046]],
  AdobeRGB: [[0.64, 0.33], [0.21, 0.71], [0.15, 0.06]],
  P3: [[0.68, 0.32], [0.265, 0.69], [0.15, 0.06]],
};

const identity: Matrix = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
const row = (m: Matrix, i: number): Vec3 => m[i as 0 | 1 | 2];
const dot = (a: Vec3, b: Vec3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a: Vec3, b: Vec3): Vec3 => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
export const apply = (m: Matrix, v: Vec3): Vec3 => [dot(m[0], v), dot(m[1], v), dot(m[2], v)];
export const transpose = (m: Matrix): Matrix => [[m[0][0], m[1][0], m[2][0]], [m[0][1], m[1][1], m[2][1]], [m[0][2], m[1][2], m[2][2]]];
/** a·b */
export function multiply(a: Matrix, b: Matrix): Matrix {
  const columns = transpose(b);
  const line = (i: number): Vec3 => [dot(row(a, i), columns[0]), dot(row(a, i), columns[1]), dot(row(a, i), columns[2])];
  return [line(0), line(1), line(2)];
}
/** The inverse; entries are not finite where there is none. */
export function invert(m: Matrix): Matrix {
  const columns: Matrix = [cross(m[1], m[2]), cross(m[2], m[0]), cross(m[0], m[1])];
  const det = dot(m[0], columns[0]);
  const scaled = columns.map((c) => c.map((x) => x / det)) as unknown as Matrix;
  return transpose(scaled);
}

/** xy chromaticity -> XYZ with Y = 1. */
export const xyToXyz = ([x, y]: Xy): Vec3 => [x / y, 1, (1 - x - y) / y];

/**
 * RGB -> CIE XYZ under D65, white having Y = 1. "XYZ" is CIE XYZ itself, unadapted, as in ITU-T H.273: the matrix is the identity.
 */
export function rgbToXyz(primaries: Primaries): Matrix {
  if (primaries === 'XYZ') return identity;
  const columns = transpose(chromaticities[primaries].map(xyToXyz) as unknown as Matrix);
  const scale = apply(invert(columns), xyToXyz(whiteD65));
  return columns.map((r) => r.map((x, c) => x * scale[c as 0 | 1 | 2])) as unknown as Matrix;
}

/** Linear RGB of one set of primaries -> linear RGB of another. */
export const convertPrimaries = (from: Primaries, to: Primaries): Matrix => (from === to ? identity : multiply(invert(rgbToXyz(to)), rgbToXyz(from)));

const bradford: Matrix = [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]];
/** Bradford adaptation of XYZ from one white (XYZ) to another. */
export function adapt(from: Vec3, to: Vec3): Matrix {
  const [a, b] = [apply(bradford, from), apply(bradford, to)];
  return multiply(invert(bradford), multiply([[b[0] / a[0], 0, 0], [0, b[1] / a[1], 0], [0, 0, b[2] / a[2]]], bradford));
}
/** XYZ under D65 -> XYZ under the ICC's D50. */
export const d65ToD50 = (): Matrix => adapt(xyToXyz(whiteD65), whiteD50);

/** Luminance of linear rec2020 (SPEC section 1.3). */
export const rec2020Luminance: Vec3 = [0.2627002, 0.6779981, 0.0593017];

interface CurvePair {
  /** Linear light, 1 = diffuse white, to signal. Negative light mirrors (f(-x) = -f(x)): extended range for float files. */
  encode(x: number): number;
  /** The inverse. */
  decode(v: number): number;
}

// BT.709 with the exact constants of BT.2020, so that the two branches meet.
const [a709, b709] = [1.09929682680944, 0.018053968510807];
// ST 2084.
const [m1, m2, c1, c2, c3] = [2610 / 16384, (2523 / 4096) * 128, 3424 / 4096, (2413 / 4096) * 32, (2392 / 4096) * 32];
/** BT.2408: diffuse white is 203 cd/m^2 in PQ (whose signal 1 is 10,000 cd/m^2), and signal 0.75 in HLG. */
export const pqWhite = 203 / 10000;
const [aHlg, bHlg, cHlg] = [0.17883277, 0.28466892, 0.55991073];
const hlgDecode = (v: number): number => (v <= 0.5 ? (v * v) / 3 : (Math.exp((v - cHlg) / aHlg) + bHlg) / 12);
export const hlgWhite = hlgDecode(0.75);
/** ST 428-1: the signal's head room over white. */
const dciHead = 48 / 52.37;

/** Curves for light >= 0. */
const positive: Record<Curve, CurvePair> = {
  linear: { encode: (x) => x, decode: (v) => v },
  bt709: { encode: (x) => (x < b709 ? 4.5 * x : a709 * x ** 0.45 - (a709 - 1)), decode: (v) => (v < 4.5 * b709 ? v / 4.5 : ((v + a709 - 1) / a709) ** (1 / 0.45)) },
  sRGB: { encode: (x) => (x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055), decode: (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4) },
  PQ: {
    encode: (x) => ((c1 + c2 * (x * pqWhite) ** m1) / (1 + c3 * (x * pqWhite) ** m1)) ** m2,
    decode: (v) => (Math.max(v ** (1 / m2) - c1, 0) / (c2 - c3 * v ** (1 / m2))) ** (1 / m1) / pqWhite,
  },
  DCI: { encode: (x) => (x * dciHead) ** (1 / 2.6), decode: (v) => v ** 2.6 / dciHead },
  HLG: {
    encode: (x) => (x * hlgWhite <= 1 / 12 ? Math.sqrt(3 * x * hlgWhite) : aHlg * Math.log(12 * x * hlgWhite - bHlg) + cHlg),
    decode: (v) => hlgDecode(v) / hlgWhite,
  },
  'gamma2.2': { encode: (x) => x ** (1 / 2.2), decode: (v) => v ** 2.2 },
};
const mirrored = (f: (x: number) => number) => (x: number): number => (x < 0 ? -f(-x) : f(x));

/** A transfer curve both ways. */
export const curve = (name: Curve): CurvePair => ({ encode: mirrored(positive[name].encode), decode: mirrored(positive[name].decode) });

/** The decoded light of each of `steps` codes 0 .. steps-1, code steps-1 being signal 1. */
export const decodeTable = (decode: (v: number) => number, steps: number): Float64Array => Float64Array.from({ length: steps }, (_, i) => decode(i / (steps - 1)));
