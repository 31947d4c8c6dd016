// The network's options as parameters of kpn-t and kpn (SPEC 4), and as specialisation constants of the kernels.

import { InputError } from '../../errors.js';
import { CHOICES, incompatibility, MAX_LAYERS, MAX_LEVELS, outputsOf, PRESETS, type ModelSpec, type Preset } from '../../model/spec.js';
import type { NodeDesc, ParamReader, ParamSpec } from '../../graph/types.js';

const choice = (name: keyof typeof CHOICES, doc: string): ParamSpec => ({ name, type: 'enum', values: CHOICES[name], default: CHOICES[name][0], doc });

/** Parameters that say what the network is; defaults are the `classic` preset's. */
export const modelParams: readonly ParamSpec[] = [
  { name: 'preset', type: 'enum', values: Object.keys(PRESETS), default: 'classic', doc: 'sets the other options of the network, which may override it' },
  { name: 'width', type: 'int', default: 32, min: 1, max: 128, doc: 'channels of the hidden layers: 32, 64 or 128' },
  { name: 'layers', type: 'int', default: 3, min: 1, max: MAX_LAYERS, doc: 'hidden layers' },
  { name: 'levels', type: 'int', default: 4, min: 1, max: MAX_LEVELS, doc: 'levels of the image pyramid' },
  choice('context', 'what the network sees of a pixel\'s neighbourhood'),
  choice('pyramid', 'how a level is made of the finer one'),
  choice('up', 'how a level is enlarged to the finer one\'s size'),
  choice('combine', 'how the levels\' results are put together'),
  choice('apply', 'what makes kernel weights of the network\'s outputs'),
  { name: 'sharp', type: 'float', default: 0.1, min: 1e-6, max: 1e6, doc: 'sharpness of the softmax' },
  choice('ablend', 'what makes a blend weight of the network\'s output'),
  choice('act', 'activation of the hidden layers'),
  choice('loss', 'what training minimises'),
  { name: 'chroma', type: 'int', default: 0, min: 0, max: 1, doc: '1: kernels of their own for luminance and chroma' },
  { name: 'path', type: 'enum', values: ['auto', 'khr', 'nv', 'plain'], default: 'auto', doc: 'shader path of the layers' },
];

/** The network that the parameters describe, over `base` (the preset, or what a weights file says). Throws InputError. */
export function modelFromParams(params: ParamReader, base?: Partial<ModelSpec>): ModelSpec {
  const m: ModelSpec = { ...PRESETS[params.string('preset') as Preset], ...base };
  const set = <K extends keyof ModelSpec>(k: K, value: unknown): void => {
    if (params.isSet(k)) m[k] = value as ModelSpec[K];
  };
  for (const k of ['width', 'layers', 'levels'] as const) set(k, params.int(k));
  for (const k of Object.keys(CHOICES) as (keyof typeof CHOICES)[]) set(k, params.string(k));
  set('sharp', params.float('sharp'));
  set('chroma', params.int('chroma') === 1);
  const wrong = incompatibility(m);
  if (wrong) {
    const option = params.isSet(wrong.option) ? wrong.option : 'context';
    throw new InputError('MODEL_OPTIONS', wrong.reason, { place: params.place(option), hint: wrong.hint });
  }
  return m;
}

/** Specialisation constants of glsl/common/options.glsl, half.glsl and addressing.glsl. `local`: invocations a workgroup; `packRounds`: CPU drivers (llvmpipe) round to nearest by themselves; `small`: pictures may be less than 4 pixels wide or high; `slopes`: training's, SLOPES. */
export function specOf(m: ModelSpec, local: number, formats: { inputF32?: boolean; refF32?: boolean; packRounds?: boolean; small?: boolean; slopes?: boolean } = {}): NonNullable<NodeDesc['spec']> {
  const index = <K extends keyof typeof CHOICES>(k: K): number => (CHOICES[k] as readonly string[]).indexOf(m[k]);
  return {
    0: local, 1: m.width, 2: m.layers, 3: index('context'), 4: index('pyramid'), 5: index('up'), 6: index('combine'),
    7: index('apply'), 8: { f: m.sharp }, 9: index('ablend'), 10: index('act'), 11: index('loss'), 12: outputsOf(m),
    13: formats.inputF32 ?? false, 14: formats.refF32 ?? false,
    27: formats.packRounds ?? false, 30: formats.small ?? true, 33: formats.slopes ?? false,
  };
}
