// The network's description: text of the weights, sizes, noise gains (SPEC 1, 6), against the reference.
import { CHOICES, incompatibility, levelSizes, noiseGains, outputsOf, parseWeightsText, PRESETS, TAPS, weightsText, type ModelSpec } from '../../ts/model/spec.js';
import { initialWeights } from '../../ts/model/init.js';
import * as reference from '../reference/index.js';

test('the text of weights says everything inference needs', () => {
  const spec: ModelSpec = {
    width: 64, layers: 5, levels: 6, context: 'wnorm', pyramid: 'binomial', up: 'bilinear', combine: 'postdiff',
    apply: 'plain', sharp: 0.75, ablend: 'clamped', act: 'relu', loss: 'smape', chroma: true,
  };
  expect(parseWeightsText(weightsText(spec))).toEqual({ spec, problems: [] });
});

test("vkdt's text, without our keys, is read", () => {
  const text = [
    'lut contains weights for', 'multi-level kernel predicting mlp with:', '6 hidden layers', '64 network width',
    'softmax kernel weight activation', 'sigmoid alpha blending activation', 'leaky relu mlp activation', 'L2 loss', '',
  ].join('\n');
  expect(parseWeightsText(text).spec).toEqual({ layers: 6, width: 64, apply: 'softmax', ablend: 'sigmoid', act: 'lrelu', loss: 'l2' });
  expect(weightsText({ ...PRESETS.classic, layers: 6, width: 64, ablend: 'sigmoid' }).startsWith(text.trimEnd())).toBe(true);
});

test('a wrong value in the text is reported, not taken', () => {
  const { spec, problems } = parseWeightsText('context: stra\nlevels: 9\nsharp: x\npyramid: box\n');
  expect(spec).toEqual({ pyramid: 'box' });
  expect(problems).toHaveLength(3);
});

test('taps are those of the reference, the centre at 7', () => {
  expect(TAPS).toHaveLength(15);
  expect(TAPS[7]).toEqual([0, 0]);
  expect(TAPS.map(([x, y]) => [x, y])).toEqual(reference.TAPS.map((t) => [...t]));
});

test.each(CHOICES.pyramid)('noise gains of the %s pyramid', (pyramid) => {
  const gains = noiseGains(pyramid, 6);
  gains.forEach((g, i) => expect(g).toBeCloseTo(reference.noiseGain(i, pyramid), 12));
});

test('level sizes are halves, rounded up', () => {
  expect(levelSizes(70, 1, 3)).toEqual([{ width: 70, height: 1 }, { width: 35, height: 1 }, { width: 18, height: 1 }, { width: 9, height: 1 }]);
});

test('windowed contexts need 64 channels', () => {
  expect(incompatibility({ ...PRESETS.classic, context: 'window' })?.option).toBe('context');
  expect(incompatibility({ ...PRESETS.classic, context: 'window', width: 64 })).toBeUndefined();
  expect(incompatibility({ ...PRESETS.classic, width: 48 })?.option).toBe('width');
});

test('initial weights: Xavier bound, rows past the outputs zero, by seed', () => {
  const m = PRESETS.wide;
  const w = initialWeights(m, 7);
  const used = m.layers * m.width ** 2 + outputsOf(m) * m.width;
  const bound = Math.sqrt(6 / (2 * m.width));
  expect(w.every((x) => Math.abs(x) <= bound)).toBe(true);
  const variance = w.subarray(0, used).reduce((s, x) => s + x * x, 0) / used;
  expect(variance).toBeGreaterThan((0.97 * bound ** 2) / 3);
  expect(variance).toBeLessThan((1.03 * bound ** 2) / 3);
  expect(w.subarray(used).every((x) => x === 0)).toBe(true);
  expect(initialWeights(m, 7)).toEqual(w);
  expect(initialWeights(m, 8)).not.toEqual(w);
});
