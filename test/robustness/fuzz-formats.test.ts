// Damaged PFM, LUT, graph, PNG and JPEG files are read or end in an InputError, at once, without memory for what they merely claim (docs/testing.md).

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { readCfg } from '../../ts/cfg/read.js';
import { InputError } from '../../ts/errors.js';
import { encodeLut, decodeLut } from '../../ts/formats/lut.js';
import { decodePfm, encodePfm } from '../../ts/formats/pfm.js';
import { tagJpeg, tagPng } from '../../ts/formats/container.js';
import { writeProfile } from '../../ts/formats/icc.js';
import { decodePicture, type PictureKind } from '../../ts/formats/picture.js';
import { checkGraph } from '../../ts/graph/run.js';
import { modules } from '../../ts/modules/index.js';
import { packageRoot } from '../../ts/root.js';
import { mutate, random } from './mutate.js';

const mutations = 10_000;

/** How often each outcome was seen: an InputError's code, or `read`. No file may take more than `maxBytes` of memory. Anything else fails the test, and names the seed's step. */
async function outcomes(files: Uint8Array[], head: number, count: number, seed: number, maxBytes: number, decode: (bytes: Uint8Array) => unknown): Promise<Map<string, number>> {
  const rand = random(seed);
  const seen = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    const bytes = mutate(files[i % files.length]!, head, rand);
    let outcome = 'read';
    const before = process.memoryUsage().arrayBuffers;
    const start = performance.now();
    try {
      await decode(bytes);
    } catch (e) {
      if (!(e instanceof InputError)) throw new Error(`mutation ${i}: ${bytes.toString('hex').slice(0, 400)}`, { cause: e });
      outcome = e.code;
    }
    const grown = process.memoryUsage().arrayBuffers - before;
    if (grown > maxBytes || performance.now() - start > 5_000) throw new Error(`mutation ${i} took ${grown} bytes and ${performance.now() - start} ms`);
    seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
  }
  return seen;
}

const rgba = Float32Array.from({ length: 5 * 4 * 4 }, (_, i) => i / 7);
const grey = Buffer.concat([Buffer.from('Pf\n# grey\n5 4\n1.0\n'), Buffer.from(new Uint8Array(rgba.buffer, 0, 80))]);

test('PFM', async () => {
  const seen = await outcomes([encodePfm(5, 4, rgba, 4), grey], 20, mutations, 1, 1 << 16, (bytes) => {
    const p = decodePfm(bytes, 'a.pfm');
    expect(p.rgba.length).toBe(p.width * p.height * 4);
    expect(p.width * p.height * p.channels * 4).toBeLessThan(bytes.length);
  });
  // The test reaches what it is about.
  for (const code of ['read', 'PFM_MAGIC', 'PFM_HEADER', 'PFM_SIZE', 'PFM_TRUNCATED', 'PFM_TRAILING']) expect(seen.get(code)).toBeGreaterThan(20);
});

test('LUT', async () => {
  const text = 'lut contains weights for\n';
  const files = (['f16', 'f32', 'ui8'] as const).flatMap((format) => {
    const data = new Uint8Array(24 * { f16: 2, f32: 4, ui8: 1 }[format]);
    return [encodeLut({ width: 4, height: 6, channels: 1, format, ssbo: true, data, text }), encodeLut({ width: 4, height: 2, channels: 3, format, ssbo: false, data, text: '' })];
  });
  const seen = await outcomes(files, 24, mutations, 2, 1 << 19, (bytes) => {
    const l = decodeLut(bytes, 'a.lut');
    expect(l.data.length).toBeLessThanOrEqual(bytes.length - 16);
    expect(l.width * l.height * l.channels).toBeLessThanOrEqual(l.data.length);
  });
  for (const code of ['read', 'LUT_MAGIC', 'LUT_VERSION', 'LUT_CHANNELS', 'LUT_DATATYPE', 'LUT_SIZE', 'LUT_TRUNCATED', 'LUT_TRAILING', 'LUT_NAN']) expect(seen.get(code)).toBeGreaterThan(20);
});

/** The shipped graph files, as bytes: what is no UTF-8 is read as replacement characters. */
const graphs = ['demo.cfg', 'mlp/mlp.cfg', 'train-mlp-cli.cfg'].map((name) => readFileSync(join(packageRoot, 'examples', name)));

test('graph files', async () => {
  const seen = await outcomes(graphs, 4000, mutations, 4, 1 << 20, (bytes) => readCfg(new TextDecoder().decode(bytes), 'a.cfg'));
  for (const code of ['read', 'CFG_UNKNOWN_COMMAND', 'CFG_BAD_TOKEN', 'CFG_MISSING_FIELD', 'CFG_LONG_TOKEN', 'CFG_EXTRA_FIELD', 'CFG_BAD_NUMBER']) expect(seen.get(code)).toBeGreaterThan(20);
});

test('graphs: whatever a graph file asks for is checked before anything is made', async () => {
  const seen = await outcomes([graphs[1]!], 4000, 1000, 5, 4 << 20, async (bytes) => {
    const { run } = await checkGraph({ file: join(packageRoot, 'examples', 'mlp', 'fuzz.cfg'), text: new TextDecoder().decode(bytes), registry: modules });
    expect(run.length).toBeGreaterThan(0);
  });
  expect(seen.get('read')).toBeGreaterThan(20);
  expect([...seen.keys()].length).toBeGreaterThan(5);
});

test.each<PictureKind>(['png', 'jpeg'])('%s', async (kind) => {
  const image = () => sharp(Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => (i * 11) % 256), { raw: { width: 16, height: 16, channels: 3 } }).withMetadata({ orientation: 6 });
  // (Tables of 16-bit curves are 1.5 MiB.)
  const plain = await (kind === 'png' ? image().png() : image().jpeg()).toBuffer();
  const icc = writeProfile('P3', 'sRGB');
  const files = [plain, kind === 'png' ? tagPng(plain, { icc }) : tagJpeg(plain, { icc })];
  const seen = await outcomes(files, plain.length, 500, 3, 4 << 20, async (bytes) => {
    const p = await decodePicture(bytes, kind, 'a', () => undefined);
    expect(p.rgba.length).toBe(p.width * p.height * 4);
  });
  expect(seen.get('read')).toBeGreaterThan(20);
  expect(seen.get('PICTURE_BROKEN')).toBeGreaterThan(20);
});
