// Weights for kpn, as files (SPEC 4, 6): those of vkdt, whose text has none of our keys; levels as trained or by parameter; and every kind of file
// that doesn't fit ends in a sentence before any GPU work.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InputError } from '../../ts/errors.js';
import { encodeLut, type Lut } from '../../ts/formats/lut.js';
import { listDevices } from '../../ts/gpu/index.js';
import { checkGraph } from '../../ts/graph/run.js';
import { makePlan } from '../../ts/graph/plan.js';
import type { ModuleType, NodeDesc, PortShape } from '../../ts/graph/types.js';
import { PRESETS, weightsText, type ModelSpec } from '../../ts/model/spec.js';
import { modules } from '../../ts/modules/index.js';
import { specOf } from '../../ts/modules/kpn/options.js';

const dir = mkdtempSync(join(tmpdir(), 'vkpn-weights-'));
afterAll(() => rmSync(dir, { recursive: true }));

/** As vkdt writes it, C string and all. */
const VKDT = `lut contains weights for
multi-level kernel predicting mlp with:
3 hidden layers
32 network width
softmax kernel weight activation
plain alpha blending activation
leaky relu mlp activation
L2 loss\0`;

const zeros = (width: number, height: number): Uint8Array => new Uint8Array(2 * width * height);
const weights = (text: string, change: Partial<Lut> = {}): Uint8Array => {
  const lut: Lut = { width: 32, height: 128, channels: 1, format: 'f16', ssbo: true, data: new Uint8Array(), text, ...change };
  return encodeLut({ ...lut, data: change.data ?? zeros(lut.width, lut.height) });
};

const shape: PortShape = { channels: 'rgba', format: 'f16', width: 64, height: 48, count: 1 };
const source: ModuleType = {
  name: 'i-test', doc: '', connectors: [{ name: 'output', type: 'source', channels: 'rgba', format: 'f16' }], params: [],
  create: () => ({ shapes: () => ({ output: shape }), build: (ctx) => void ctx.output('output', { persistent: true }) }),
};

/** The levels of the plan of kpn with these weights, its kernels' constants, and warnings. */
async function load(file: Uint8Array, lines: string[] = []): Promise<{ denoise: NodeDesc[]; warnings: string[] }> {
  writeFileSync(join(dir, 'w.lut'), file);
  const text = `module:i-test:01
module:i-lut:w
module:kpn:01
module:display:main
connect:i-test:01:output:kpn:01:input
connect:i-lut:w:output:kpn:01:w
connect:kpn:01:output:display:main:input
param:i-lut:w:filename:w.lut
param:kpn:01:path:plain
${lines.join('\n')}
`;
  const warnings: string[] = [];
  const { run } = await checkGraph({ file: join(dir, 'g.cfg'), text, registry: new Map([...modules, ['i-test', source]]), onWarning: (m) => warnings.push(m) });
  const plan = makePlan(run, listDevices()[0]!);
  return { denoise: plan.steps.flatMap((s) => (s.kind === 'node' && s.desc.label.startsWith('denoise') ? [s.desc] : [])), warnings };
}

/** Of the network alone. */
const constants = (spec: NodeDesc['spec']): unknown[] => [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12].map((id) => spec![id]);
const expectModel = ({ denoise }: { denoise: NodeDesc[] }, m: ModelSpec): void => {
  expect(denoise.map((d) => d.label)).toEqual(Array.from({ length: m.levels }, (_, i) => `denoise ${m.levels - 1 - i}`));
  for (const d of denoise) expect(constants(d.spec)).toEqual(constants(specOf(m, 64)));
};

test("vkdt's weights, whose text has none of our keys, load with vkdt's defaults", async () => {
  const loaded = await load(weights(VKDT));
  expect(loaded.warnings).toEqual([]);
  expectModel(loaded, PRESETS.classic);
});

test('what vkdt says other than by default is taken', async () => {
  const text = VKDT.replace('3 hidden', '6 hidden').replace('32 network', '64 network').replace('softmax', 'plain').replace('plain alpha', 'sigmoid alpha').replace('leaky relu', 'relu');
  expectModel(await load(weights(text, { width: 64, height: 448 })), { ...PRESETS.classic, width: 64, layers: 6, apply: 'plain', ablend: 'sigmoid', act: 'relu' });
});

test('a network of ours is all that its text says', async () => {
  const m: ModelSpec = { ...PRESETS.best, layers: 3, chroma: true, levels: 3, pyramid: 'binomial', up: 'bilinear', combine: 'prediff', act: 'none', ablend: 'clamped' };
  expectModel(await load(weights(weightsText(m), { width: 64, height: 256 })), m);
});

test('levels as trained, or more or fewer by parameter', async () => {
  const text = weightsText({ ...PRESETS.classic, levels: 5 });
  expect((await load(weights(text))).denoise).toHaveLength(5);
  expect((await load(weights(text), ['param:kpn:01:levels:7'])).denoise).toHaveLength(7);
  expect((await load(weights(text), ['param:kpn:01:levels:1'])).denoise).toHaveLength(1);
});

test('a key with a value that is none is warned of', async () => {
  const { warnings } = await load(weights(`${VKDT.replace('\0', '')}\ncontext: stars\nlevels: 99\n`));
  expect(warnings).toHaveLength(2);
  expect(warnings[0]).toMatch(/the weights' text says "context: stars": context is one of star, window/);
});

const nan = zeros(32, 128);
nan.set([0x00, 0x7e], 2 * 100);
const word = (file: Uint8Array, at: number, value: number): Uint8Array => (new DataView(file.buffer).setUint32(at, value, true), file);

test.each([
  ['empty', new Uint8Array(), 'FILE_EMPTY', /empty/],
  ['cut off', weights('').subarray(0, 5000), 'LUT_TRUNCATED', /truncated: 32x128 values of 1 channel in f16 need 8208 bytes/],
  ['no .lut file', word(weights(VKDT), 0, 0x0a465050), 'LUT_MAGIC', /not a \.lut file/],
  ['a later version', word(weights(VKDT), 4, 0x10010003), 'LUT_VERSION', /version 3; version 2 can be read/],
  ['a datatype that is none', word(weights(VKDT), 4, 0x20010002), 'LUT_DATATYPE', /unknown datatype 32/],
  ['f32', weights(VKDT, { format: 'f32', data: new Uint8Array(4 * 32 * 128) }), 'CFG_MISMATCH', /i-lut:w:output doesn't fit kpn:01:w/],
  ['a picture', weights(VKDT, { ssbo: false }), 'CFG_MISMATCH', /i-lut:w:output doesn't fit kpn:01:w/],
  ['NaN', weights(VKDT, { data: nan }), 'LUT_NAN', /1 of the 4096 values .* NaN or infinite; the first is in column 4, row 3/],
  ['fewer layers than said', weights(VKDT, { height: 96 }), 'WEIGHTS_MISMATCH', /holds 32 x 96 values, but a network of width 32 with 3 layers has 32 x 128/],
  ['another width than said', weights(VKDT, { width: 64, height: 64 }), 'WEIGHTS_MISMATCH', /holds 64 x 64 values, but a network of width 32/],
  ['a width that there is not', weights(VKDT.replace('32 network', '48 network'), { width: 48, height: 192 }), 'MODEL_OPTIONS', /width 48 is not supported/],
  ['no layers', weights(VKDT.replace('3 hidden', '0 hidden'), { height: 32 }), 'MODEL_OPTIONS', /a network of 0 layers is not supported/],
  ['more layers than there can be', weights(VKDT.replace('3 hidden', '99 hidden'), { height: 3200 }), 'MODEL_OPTIONS', /a network of 99 layers is not supported/],
] as const)('refused: %s', async (_, file, code, message) => {
  const error = await load(file).then(() => undefined, (e: unknown) => e);
  expect(error).toBeInstanceOf(InputError);
  expect(error).toMatchObject({ code, exitCode: 2 });
  expect((error as InputError).message).toMatch(message);
});
