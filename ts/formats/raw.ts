// Camera raw files, bytes -> linear camera rgb (LibRaw, built for WebAssembly, reads them).
// A Bayer mosaic becomes two half-size rgb pictures, one with each green of the 2x2 quads: every value is one sensor value, so that the
// noise is white and one (a, b) fits all channels. Black is subtracted, nothing is clipped, white balance and colours come after denoising.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { InputError } from '../errors.js';
import { convertPrimaries, multiply, type Matrix } from './colour.js';
import { cameraName, exifOfShot, exifOfTiff } from './exif.js';

/** How a picture in camera rgb is turned into one for looking at. */
export interface RawColour {
  /** Gains of red, green, blue as shot, and under daylight; green 1. */
  camera?: readonly [number, number, number];
  daylight: readonly [number, number, number];
  /** White-balanced camera rgb -> linear rec2020; white stays white. */
  toRec2020: Matrix;
  /** Where the sensor clips: 1, or less where this picture shows that it clips earlier. */
  clip: number;
  /** Turns clockwise by 90 degrees to stand upright. */
  turns: 0 | 1 | 2 | 3;
}

/** What is known without the pixels. */
export interface RawHeader {
  camera: string | undefined;
  iso: number | undefined;
  /** Of the full-size picture, as the sensor lies. */
  width: number;
  height: number;
  turns: 0 | 1 | 2 | 3;
  exif: Uint8Array | undefined;
  /** "bayer": a 2x2 mosaic of red, green, blue; "other": anything else, which LibRaw demosaics. */
  sensor: 'bayer' | 'other';
  /** Where red stands in the 2x2 quad. */
  red: { x: 0 | 1; y: 0 | 1 };
}

export interface Raw {
  header: RawHeader;
  colour: RawColour;
  /** Pixels of one picture. */
  width: number;
  height: number;
  /** Pictures in `rgba`: 2 of a Bayer mosaic (first and second green), else 1. */
  count: 1 | 2;
  /** (picture, y, x, c), linear camera rgb, 1 = the sensor's white level, below black is negative; alpha 1. */
  rgba: Float32Array;
}

interface LibRawColour {
  black: number;
  maximum: number;
  cam_mul: number[];
  pre_mul: number[];
  rgb_cam: number[][];
  dng_levels: { dng_black: number };
}

interface LibRawMetadata {
  width: number;
  height: number;
  flip: number;
  camera_make: string;
  camera_model: string;
  iso_speed: number;
  shutter: number;
  aperture: number;
  focal_len: number;
  timestamp: number | Date;
  normalized_make?: string;
  normalized_model?: string;
  colors?: number;
  filters?: number;
  cdesc?: string;
  color_data: LibRawColour;
  lens?: { Lens: string; makernotes: { Lens: string } };
  canon?: { ChannelBlackLevel: number[] };
}

interface LibRaw {
  open(bytes: Uint8Array, settings: object): void;
  metadata(full: boolean): LibRawMetadata;
  rawImageData(): { raw_width: number; top_margin: number; left_margin: number; width: number; height: number; data: Uint16Array } | undefined;
  imageData(): { width: number; height: number; colors: number; bits: number; data: Uint8Array | Uint16Array } | undefined;
  delete(): void;
}

type LibRawFactory = (options: { wasmBinary: Uint8Array }) => Promise<{ LibRaw: new () => LibRaw }>;
let factory: ReturnType<LibRawFactory> | undefined;

/** LibRaw itself: the package's own entry point wants a browser's workers, its module doesn't. */
async function libRaw(): Promise<LibRaw> {
  factory ??= (async () => {
    const folder = new URL('.', import.meta.resolve('libraw-wasm'));
    const { default: make } = (await import(new URL('libraw.js', folder).href)) as { default: LibRawFactory };
    return make({ wasmBinary: readFileSync(fileURLToPath(new URL('libraw.wasm', folder))) });
  })();
  return new (await factory).LibRaw();
}

/** Camera rgb without black subtraction (which would clip), white balance, scaling or gamma; only used where the sensor is no Bayer mosaic. */
const plainSettings = {
  outputColor: 0, outputBps: 16, noAutoBright: true, noAutoScale: true, gamm: [1, 1], useCameraMatrix: 0, userMul: [1, 1, 1, 1],
  userBlack: 0, userCblack: [0, 0, 0, 0], highlight: 1, userQual: 3, userFlip: 0,
};

const broken = (file: string, what: string): InputError =>
  new InputError('RAW_BROKEN', what, { place: { file }, hint: 'Was it copied completely? LibRaw reads most cameras; files of others can be converted to DNG first.' });

/** Opens a file for `use`; LibRaw's memory is given back afterwards. */
async function withRaw<T>(bytes: Uint8Array, file: string, settings: object, use: (raw: LibRaw) => T): Promise<T> {
  const raw = await libRaw();
  try {
    try {
      raw.open(bytes, settings);
    } catch {
      // What it throws is a C++ exception that can't be read from here.
      throw broken(file, 'not a camera raw file that LibRaw can read');
    }
    return use(raw);
  } finally {
    raw.delete();
  }
}

const turnsOf = (flip: number): RawHeader['turns'] => (flip === 3 ? 2 : flip === 5 ? 3 : flip === 6 ? 1 : 0);

/** Colour of the mosaic at (x, y): 0 red, 1 green, 2 blue, 3 the green of blue's rows. */
const colourAt = (filters: number, x: number, y: number): number => (filters >>> ((((y << 1) & 14) | (x & 1)) << 1)) & 3;

/** Where red stands in the quad, where the mosaic is a 2x2 one of red, two greens and blue. */
function bayerRed({ filters = 0, cdesc, colors }: LibRawMetadata): RawHeader['red'] | undefined {
  if (filters < 1000 || colors !== 3 || !cdesc?.startsWith('RGB')) return undefined;
  for (let y = 0; y < 8; y++) for (let x = 0; x < 2; x++) if (colourAt(filters, x, y) !== colourAt(filters, x, y & 1)) return undefined;
  for (const y of [0, 1] as const) for (const x of [0, 1] as const) if (colourAt(filters, x, y) === 0 && colourAt(filters, 1 - x, 1 - y) === 2) return { x, y };
  return undefined;
}

function headerOf(m: LibRawMetadata, bytes: Uint8Array): RawHeader {
  const red = bayerRed(m);
  const time = typeof m.timestamp === 'number' ? m.timestamp : m.timestamp.getTime() / 1000;
  const lens = m.lens?.Lens || m.lens?.makernotes.Lens || '';
  const shot = { make: m.camera_make, model: m.camera_model, iso: m.iso_speed, exposure: m.shutter, fNumber: m.aperture, focal: m.focal_len, time, lens };
  return {
    camera: cameraName(m.normalized_make ?? m.camera_make, m.normalized_model ?? m.camera_model),
    iso: m.iso_speed > 0 ? m.iso_speed : undefined,
    width: m.width,
    height: m.height,
    turns: turnsOf(m.flip),
    exif: exifOfTiff(bytes) ?? exifOfShot(shot),
    sensor: red ? 'bayer' : 'other',
    red: red ?? { x: 0, y: 0 },
  };
}

/** Gains with green 1; undefined where the file has none. */
function gains(mul: readonly number[]): readonly [number, number, number] | undefined {
  const [r = 0, g = 0, b = 0] = mul;
  return r > 0 && g > 0 && b > 0 ? [r / g, 1, b / g] : undefined;
}

/** The largest value, and how often it is there: a sensor that clips leaves many of it. */
class Largest {
  value = 0;
  count = 0;

  see(v: number): void {
    if (v > this.value) {
      this.value = v;
      this.count = 1;
    } else if (v === this.value) this.count++;
  }
}
/** Equal largest values that are no chance. */
const clippedCount = 100;

function colourOf(m: LibRawMetadata, turns: RawHeader['turns'], largest: Largest): RawColour {
  const c = m.color_data;
  const rows = c.rgb_cam.map((r) => r.slice(0, 3)) as unknown as Matrix;
  const known = rows.flat().some((x) => x !== 0);
  // Some cameras clip below the white level that LibRaw knows.
  const clip = largest.value > 0.5 && largest.value < 1 && largest.count >= clippedCount ? largest.value : 1;
  const toSrgb: Matrix = known ? rows : [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
  return { camera: gains(c.cam_mul), daylight: gains(c.pre_mul) ?? [1, 1, 1], toRec2020: multiply(convertPrimaries('sRGB', 'bt2020'), toSrgb), clip, turns };
}

/** Black levels of red, green, blue and the second green. LibRaw's common level, finer where a camera says so. */
function blackLevels(m: LibRawMetadata): readonly [number, number, number, number] {
  const { black } = m.color_data;
  const own = m.canon?.ChannelBlackLevel;
  const near = own?.length === 4 && own.every((v) => Math.abs(v - black) <= 64);
  // In the order of the mosaic: red, green, the other green, blue.
  return near ? [own[0]!, own[1]!, own[3]!, own[2]!] : [black, black, black, black];
}

/** Reads what is known without the pixels. Throws InputError RAW_BROKEN. */
export function readRawHeader(bytes: Uint8Array, file: string): Promise<RawHeader> {
  return withRaw(bytes, file, {}, (raw) => headerOf(raw.metadata(true), bytes));
}

/** Decodes a whole file. Throws InputError RAW_BROKEN. */
export async function decodeRaw(bytes: Uint8Array, file: string): Promise<Raw> {
  const found = await withRaw(bytes, file, {}, (raw) => {
    const header = headerOf(raw.metadata(true), bytes);
    return header.sensor === 'bayer' ? decodeBayer(raw, header, file) : { header, black: commonBlack(raw) };
  });
  if ('rgba' in found) return found;
  return withRaw(bytes, file, plainSettings, (raw) => decodeOther(raw, found.header, found.black, file));
}

/** The black level of a sensor that is no Bayer mosaic; LibRaw knows it after unpacking, and has no mosaic of files that were demosaiced before. */
function commonBlack(raw: LibRaw): number {
  try {
    raw.rawImageData();
  } catch {
    return raw.metadata(true).color_data.dng_levels.dng_black;
  }
  return raw.metadata(true).color_data.black;
}

function decodeBayer(raw: LibRaw, header: RawHeader, file: string): Raw {
  const mosaic = unpack(() => raw.rawImageData(), file);
  const m = raw.metadata(true); // black and white levels are known after unpacking only
  const { width: W, height: H, data, raw_width: pitch } = mosaic;
  const levels = blackLevels(m);
  const scale = whiteScale(m, m.color_data.black, file);
  const [width, height] = [W >> 1, H >> 1];
  if (width === 0 || height === 0) throw broken(file, `the raw picture has only ${W}x${H} pixels`);
  const rgba = new Float32Array(2 * width * height * 4).fill(1);
  const { x: rx, y: ry } = header.red;
  // Offsets of red, the green beside it, blue, the green beside that, from the quad's corner.
  const at = [ry * pitch + rx, ry * pitch + 1 - rx, (1 - ry) * pitch + 1 - rx, (1 - ry) * pitch + rx] as const;
  const second = width * height * 4;
  const largest = new Largest();
  for (let y = 0, o = 0; y < height; y++) {
    let i = (mosaic.top_margin + 2 * y) * pitch + mosaic.left_margin;
    for (let x = 0; x < width; x++, i += 2, o += 4) {
      const r = (data[i + at[0]]! - levels[0]) * scale;
      const g = (data[i + at[1]]! - levels[1]) * scale;
      const b = (data[i + at[2]]! - levels[2]) * scale;
      const g2 = (data[i + at[3]]! - levels[3]) * scale;
      rgba[o] = r;
      rgba[o + 1] = g;
      rgba[o + 2] = b;
      rgba[second + o] = r;
      rgba[second + o + 1] = g2;
      rgba[second + o + 2] = b;
      largest.see(r);
      largest.see(g);
      largest.see(b);
      largest.see(g2);
    }
  }
  return { header, colour: colourOf(m, header.turns, largest), width, height, count: 2, rgba };
}

function decodeOther(raw: LibRaw, header: RawHeader, black: number, file: string): Raw {
  const picture = unpack(() => raw.imageData(), file);
  const m = raw.metadata(true);
  const { width, height, colors, bits, data } = picture;
  if (bits !== 16 || (colors !== 3 && colors !== 1)) throw broken(file, `LibRaw makes a picture of ${colors} colours and ${bits} bits of it, which is not supported`);
  const codes = data instanceof Uint16Array ? data : new Uint16Array(new Uint8Array(data).buffer);
  const scale = whiteScale(m, black, file);
  const rgba = new Float32Array(width * height * 4).fill(1);
  const largest = new Largest();
  for (let p = 0; p < width * height; p++)
    for (let c = 0; c < 3; c++) {
      const v = (codes[p * colors + (colors === 3 ? c : 0)]! - black) * scale;
      rgba[4 * p + c] = v;
      largest.see(v);
    }
  return { header, colour: colourOf(m, header.turns, largest), width, height, count: 1, rgba };
}

function unpack<T>(read: () => T | undefined, file: string): T {
  let result: T | undefined;
  try {
    result = read();
  } catch {
    throw broken(file, "the raw file's pixels can't be decoded");
  }
  if (!result) throw broken(file, "the raw file's pixels can't be decoded");
  return result;
}

function whiteScale(m: LibRawMetadata, black: number, file: string): number {
  const range = m.color_data.maximum - black;
  if (!(range > 0)) throw broken(file, `the raw file's white level ${m.color_data.maximum} is not above its black level ${black}`);
  return 1 / range;
}
