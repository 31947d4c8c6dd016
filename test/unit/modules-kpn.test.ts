// What kpn-t, kpn and cnngenin refuse, before any GPU work: through checkGraph, with sources of this file.
import { InputError } from '../../ts/errors.js';
import { checkGraph } from '../../ts/graph/run.js';
import type { ModuleType, PortShape } from '../../ts/graph/types.js';
import { PRESETS, weightsText, type ModelSpec } from '../../ts/model/spec.js';
import { modules } from '../../ts/modules/index.js';

const picture: PortShape = { channels: 'rgba', format: 'f32', width: 100, height: 80, count: 1 };

function source(name: string, shape: PortShape): [string, ModuleType] {
  const connector = { name: 'output', type: 'source', channels: shape.channels, format: shape.format } as const;
  return [name, { name, doc: '', connectors: [connector], params: [], create: () => ({ shapes: () => ({ output: shape }), build: () => undefined }) }];
}

const weightsOf = (m: ModelSpec, text = weightsText(m)): PortShape => ({ channels: 'ssbo', format: 'f16', width: m.width, height: (m.layers + 1) * m.width, count: 1, text });

interface Inputs {
  img?: PortShape;
  ref?: PortShape;
  weights?: PortShape;
}

/** The error of the training graph with these lines added. */
async function refused(lines: string[], { img = picture, ref = picture, weights = weightsOf(PRESETS.classic) }: Inputs = {}): Promise<InputError> {
  const text = `module:img:a
module:ref:a
module:wts:a
module:cnngenin:01
module:kpn-t:01
module:display:main
connect:img:a:output:cnngenin:01:imgi
connect:ref:a:output:cnngenin:01:refi
connect:cnngenin:01:imgo:kpn-t:01:input
connect:cnngenin:01:refo:kpn-t:01:ref
connect:cnngenin:01:noiseab:kpn-t:01:noiseab
connect:kpn-t:01:output:display:main:input
param:cnngenin:01:generate:1
param:kpn-t:01:init:1
${lines.join('\n')}
`;
  const registry = new Map([...modules, source('img', img), source('ref', ref), source('wts', weights)]);
  try {
    await checkGraph({ file: 'train.cfg', text, registry });
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
  throw new Error('the graph was accepted');
}

test('the graph of these tests is right as it stands', async () => {
  await expect(refused([])).rejects.toThrow('the graph was accepted');
});

test.each([
  ['sizes of the pair differ', [], { img: { ...picture, width: 99 } }, 'SIZE_MISMATCH', /imgi is 99x80, but refi is 100x80/],
  ['the pair goes through its sequence apart', [], { img: { ...picture, period: 3 }, ref: { ...picture, period: 4 } }, 'SEQUENCE_MISMATCH', /3 frames, but refi through 4/],
  ['exposures that are none', ['param:cnngenin:01:ev lo:3'], {}, 'EXPOSURES', /exposures from ev lo 3 to ev hi 2 are none/],
  ['highlights of a pair', ['param:cnngenin:01:hilite:3'], {}, 'HIGHLIGHTS', /hilite 3 can't expand the highlights of generate 1/],
  ['highlights of a mosaic with its own noise', ['param:cnngenin:01:generate:3', 'param:cnngenin:01:hilite:3'], {}, 'HIGHLIGHTS', /highlights of generate 3/],
  ['beyond f16 by exposure, whatever the highlights', ['param:cnngenin:01:generate:2', 'param:cnngenin:01:ev hi:6', 'param:cnngenin:01:hilite:7'], { ref: { ...picture, range: { min: 0, max: 1100 } } }, 'BEYOND_F16', /values up to 1100, 64 times that/],
  ['more highlights than f16 holds', ['param:cnngenin:01:generate:2', 'param:cnngenin:01:hilite:9.5'], {}, 'CFG_BAD_VALUE', /hilite should be from 0 to 9, not 9.5/],
  ['a picture smaller than a tile', ['param:cnngenin:01:size:128'], {}, 'PICTURE_TOO_SMALL', /100x80, smaller than a tile of 128x128/],
  ['beyond f16 by exposure', [], { ref: { ...picture, range: { min: 0, max: 20000 } } }, 'BEYOND_F16', /values up to 20000, 4 times that/],
  ['no checkpoint', ['param:kpn-t:01:init:0'], {}, 'NO_CHECKPOINT', /init is 0.*nothing is connected to wcp/],
  ['a checkpoint of another size', ['connect:wts:a:output:kpn-t:01:wcp', 'param:kpn-t:01:init:0', 'param:kpn-t:01:layers:2'], { weights: weightsOf(PRESETS.classic, '') }, 'CHECKPOINT_MISMATCH', /32 x 128 weights.*32 x 96/],
  ['a checkpoint of another kind', ['connect:wts:a:output:kpn-t:01:wcp', 'param:kpn-t:01:init:0', 'param:kpn-t:01:context:norm'], {}, 'CHECKPOINT_MISMATCH', /has context star, but this graph's has norm/],
  ['a context that needs more channels', ['param:kpn-t:01:context:window'], {}, 'MODEL_OPTIONS', /context window needs a width of at least 64/],
  ['the guide needs more channels', ['param:kpn-t:01:context:guide', 'param:kpn-t:01:chroma:1'], {}, 'MODEL_OPTIONS', /context guide needs a width of at least 64/],
  ['a width that is none', ['param:kpn-t:01:width:48'], {}, 'MODEL_OPTIONS', /width 48 is not supported/],
] as const)('%s', async (_name, lines, inputs, code, message) => {
  const error = await refused([...lines], inputs);
  expect([error.code, error.exitCode]).toEqual([code, 2]);
  expect(error.message).toMatch(message);
  expect(error.place?.file).toBe('train.cfg');
  expect(error.place?.line).toBeGreaterThan(0);
});

test('beyond f16 only where it is kept in f16', async () => {
  const ref = { ...picture, range: { min: -60000, max: 60000 } };
  await expect(refused(['param:cnngenin:01:generate:0'], { img: ref, ref })).rejects.toThrow('the graph was accepted');
  // Highlights end at 2^hilite, which exposure leaves in f16.
  const bright = ['param:cnngenin:01:generate:2', 'param:cnngenin:01:ev hi:6', 'param:cnngenin:01:hilite:9'];
  await expect(refused(bright, { ref: { ...picture, range: { min: 0, max: 1023 } } })).rejects.toThrow('the graph was accepted');
});

test('a checkpoint that fits is taken, whatever loss it was trained with', async () => {
  const weights = weightsOf({ ...PRESETS.classic, loss: 'smape' });
  await expect(refused(['connect:wts:a:output:kpn-t:01:wcp', 'param:kpn-t:01:init:0'], { weights })).rejects.toThrow('the graph was accepted');
});

test("kpn: weights whose text doesn't fit their size", async () => {
  const lines = ['module:kpn:01', 'module:display:two', 'connect:ref:a:output:kpn:01:input', 'connect:wts:a:output:kpn:01:w', 'connect:kpn:01:output:display:two:input'];
  const error = await refused(lines, { weights: { ...weightsOf(PRESETS.wide), height: 64 } });
  expect(error.code).toBe('WEIGHTS_MISMATCH');
  expect(error.message).toMatch(/64 x 64 values, but a network of width 64 with 6 layers has 64 x 448/);
});
