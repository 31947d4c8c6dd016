// The graph that `vkpn train` runs, as text. Pure.

import { inLine } from '../cfg/write.js';
import { PRESETS, type Preset } from '../model/spec.js';

/** The noise that is trained against. */
export type TrainNoise =
  /** Log-uniform read and shot noise, of all strengths alike. */
  | { kind: 'range' }
  /** `from`: the saved profile, for people. */
  | { kind: 'fixed'; a: number; b: number; from?: string }
  /** Of pairs: each pair's own, found from its difference. */
  | { kind: 'pairs' };

export interface TrainSettings {
  /** Of clean pictures. */
  folder: string;
  /** Of their noisy counterparts. */
  pairs?: string | undefined;
  /** Without ending. */
  weights: string;
  preset: Preset;
  noise: TrainNoise;
  frames: number;
  /** Tiles a frame, and their width and height. */
  batch: number;
  tile: number;
  alpha: number;
  seed: number;
  /** Pictures left out, to test on. */
  holdout: number;
  reduce: string;
  path?: string | undefined;
}

export const DEFAULTS = { preset: 'photo' as Preset, frames: 20_000, batch: 16, tile: 64, alpha: 0.003, seed: 1, reduce: 'auto' } as const;
/** Stops by which tiles of clean pictures are exposed at most, and their highlights expanded: so bright edges are learnt too (docs/quality.md). Pairs have their noise, which would be exposed with them. */
const BRIGHTEST_EV = 6;
const HIGHLIGHTS = 7;
/** Frames over which the learning rate rises: Adam's first estimates of the moments are of few frames. */
const WARMUP = 100;

/**
 * The modules of a training graph and how they are connected: pictures of `source` ("i-pfm:ref") through cnngenin and kpn-t to the weights file
 * o-lut:w. `links`: outputs of the source and the inputs of cnngenin that take them.
 */
export const trainingLines = (source: string, links: readonly (readonly [output: string, input: string])[] = [['output', 'refi']]): string[] => [
  `module:${source}`,
  'module:cnngenin:01',
  'module:kpn-t:01',
  'module:o-lut:w',
  ...links.map(([output, input]) => `connect:${source}:${output}:cnngenin:01:${input}`),
  'connect:cnngenin:01:imgo:kpn-t:01:input',
  'connect:cnngenin:01:refo:kpn-t:01:ref',
  'connect:cnngenin:01:noiseab:kpn-t:01:noiseab',
  'connect:kpn-t:01:w:o-lut:w:input',
];

/** The text of the graph file. Throws InputError for names that no graph file can hold. */
export function trainGraph(s: TrainSettings): string {
  const pairs = s.pairs !== undefined;
  const links = [...(pairs ? [['output', 'imgi'], ['ref', 'refi']] as const : [['output', 'refi']] as const), ...(s.noise.kind === 'pairs' ? [['noise', 'profile']] as const : [])];
  const set = (module: string, ...params: (readonly [name: string, value: string | number] | undefined)[]): string[] =>
    params.flatMap((p) => (p ? [`param:${module}:${p[0]}:${p[1]}`] : []));
  const when = <T>(condition: boolean, value: T): T | undefined => (condition ? value : undefined);
  return `${[
    pairs ? '# Trains a denoiser on pairs of noisy and clean pictures.' : '# Trains a denoiser on clean pictures, noise added to them anew each frame.',
    `frames:${s.frames}`,
    ...trainingLines('i-set:01', links),
    '# Pictures: crops of them on the device, replaced one by one where the folder is large.',
    ...set('i-set:01', ['folder', inLine(s.pairs ?? s.folder, 'the folder')], when(pairs, ['clean', inLine(s.folder, 'the folder')] as const), when(s.holdout > 0, ['holdout', s.holdout] as const), when(!pairs, ['reduce', s.reduce] as const), ['seed', s.seed],
      ...(pairs && s.noise.kind === 'fixed' ? [['noise a', s.noise.a] as const, ['noise b', s.noise.b] as const] : [])),
    `# Tiles of them, at random, exposed at random.${s.noise.kind === 'fixed' && s.noise.from !== undefined ? ` Noise of ${inLine(s.noise.from, 'the noise profile')}.` : ''}`,
    ...set('cnngenin:01', ['generate', pairs ? 1 : 2], ['batch', s.batch], ['size', s.tile], ['seed', s.seed],
      when(!pairs, ['ev hi', BRIGHTEST_EV] as const), when(!pairs, ['hilite', HIGHLIGHTS] as const), when(!pairs, ['noise', s.noise.kind === 'fixed' ? 'fixed' : 'log'] as const),
      ...(!pairs && s.noise.kind === 'fixed' ? [['noise a', s.noise.a] as const, ['noise b', s.noise.b] as const] : [])),
    '# The network, from random weights, and how it learns.',
    ...set('kpn-t:01', ['preset', s.preset], ['init', 1], ['seed', s.seed], ['alpha', s.alpha], ['beta1', 0.9], ['eps', '1e-8'], ['L2', 0], ['gradclip', 1], ['decay', 'cosine'], ['warmup', Math.min(WARMUP, Math.ceil(s.frames / 10))],
      when(s.path !== undefined, ['path', s.path!] as const)),
    ...set('o-lut:w', ['filename', inLine(s.weights, 'the output')]),
  ].join('\n')}\n`;
}

/** Of so many pictures, how many are held out to test on. */
export const holdoutOf = (pictures: number): number => (pictures < 8 ? 0 : Math.min(8, Math.max(2, Math.round(pictures / 10))));

export const presetNames = Object.keys(PRESETS) as Preset[];
