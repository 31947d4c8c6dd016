// The network's description (SPEC 1): its options, presets, sizes, and the text that travels with weights (SPEC 6).
// Pure: no GPU, no files.

/** The taps of the kernel, (dx, dy); tap 7 is the centre (SPEC 1.1). */
export const TAPS: readonly (readonly [number, number])[] = [
  [0, -2],
  [-2, -1], [-1, -1], [0, -1], [1, -1], [2, -1],
  [-1, 0], [0, 0], [1, 0],
  [-2, 1], [-1, 1], [0, 1], [1, 1], [2, 1],
  [0, 2],
];

/** Values of the options that are chosen by name; the first is the `classic` preset's. Their index is what kernels see. */
export const CHOICES = {
  context: ['star', 'window', 'norm', 'wnorm', 'guide'],
  pyramid: ['box', 'binomial'],
  up: ['bspline', 'bilinear'],
  combine: ['blend', 'prediff', 'postdiff'],
  apply: ['softmax', 'plain'],
  ablend: ['plain', 'sigmoid', 'clamped', 'const'],
  act: ['lrelu', 'relu', 'none'],
  loss: ['l2', 'smape', 'cosh', 'rel', 'enc', 'even'],
} as const;
export type Choice<K extends keyof typeof CHOICES> = (typeof CHOICES)[K][number];

/** What a network is; together with the weights it is all that inference needs (`loss` only documents). */
export interface ModelSpec {
  /** W, channels of input and hidden layers: 32, 64 or 128. */
  width: number;
  /** H, hidden layers: 1..8. */
  layers: number;
  /** Mip levels the network works on: 1..7. */
  levels: number;
  context: Choice<'context'>;
  pyramid: Choice<'pyramid'>;
  up: Choice<'up'>;
  combine: Choice<'combine'>;
  apply: Choice<'apply'>;
  /** Softmax sharpness s. */
  sharp: number;
  ablend: Choice<'ablend'>;
  act: Choice<'act'>;
  loss: Choice<'loss'>;
  /** Whether luminance and chroma have kernels of their own (32 outputs instead of 16). */
  chroma: boolean;
}

const classic: ModelSpec = {
  width: 32, layers: 3, levels: 4, context: 'star', pyramid: 'box', up: 'bspline', combine: 'blend',
  apply: 'softmax', sharp: 0.1, ablend: 'plain', act: 'lrelu', loss: 'l2', chroma: false,
};

export const PRESETS = {
  classic,
  wide: { ...classic, width: 64, layers: 6 },
  photo: { ...classic, layers: 4, levels: 5, context: 'norm', up: 'bilinear', combine: 'postdiff', sharp: 1, ablend: 'sigmoid', loss: 'even' },
  best: { ...classic, width: 64, layers: 6, levels: 5, context: 'guide', up: 'bilinear', combine: 'postdiff', sharp: 1, ablend: 'sigmoid', loss: 'even' },
} as const satisfies Record<string, ModelSpec>;
export type Preset = keyof typeof PRESETS;

export const WIDTHS = [32, 64, 128] as const;
export const MAX_LAYERS = 8;
export const MAX_LEVELS = 7;
export const SLOPE = 0.001;

/** Outputs of the last matrix: 15 taps and a blend weight, twice with `chroma`. */
export const outputsOf = (m: ModelSpec): number => (m.chroma ? 32 : 16);

/** Kernels of a pixel, each with a blend weight: of rgb; with `chroma` of luminance, and of rgb - luminance. */
export const partsOf = (m: ModelSpec): number => outputsOf(m) / 16;

/** Number of weights as stored: H+1 matrices of W x W, the rows past the outputs of the last one zero (SPEC 1.4). */
export const weightCount = (m: ModelSpec): number => (m.layers + 1) * m.width * m.width;

/** Index of w_l[out][in]. */
export const weightIndex = (m: ModelSpec, l: number, out: number, inp: number): number => l * m.width * m.width + out * m.width + inp;

/** Why this combination of options can't be; undefined where it can. */
export function incompatibility(m: ModelSpec): { option: keyof ModelSpec; reason: string; hint: string } | undefined {
  if (!WIDTHS.includes(m.width as 32)) return { option: 'width', reason: `width ${m.width} is not supported`, hint: 'use 32, 64 or 128' };
  if (m.layers < 1 || m.layers > MAX_LAYERS) return { option: 'layers', reason: `a network of ${m.layers} layers is not supported`, hint: `use 1 to ${MAX_LAYERS}` };
  if (['window', 'wnorm', 'guide'].includes(m.context) && m.width < 64)
    return { option: 'context', reason: `context ${m.context} needs a width of at least 64, but width is ${m.width}`, hint: 'set width:64, or use context star or norm' };
  return undefined;
}

/** Sizes of levels 0..n of a w x h picture: each is ceil(half) of the one before (SPEC 1.2). */
export function levelSizes(width: number, height: number, n: number): { width: number; height: number }[] {
  const sizes = [{ width, height }];
  for (let i = 1; i <= n; ++i) {
    const s = sizes[i - 1]!;
    sizes.push({ width: Math.ceil(s.width / 2), height: Math.ceil(s.height / 2) });
  }
  return sizes;
}

/** Standard deviation of white noise of unit variance at levels 0..n (SPEC 1.2, g_i). */
export function noiseGains(pyramid: ModelSpec['pyramid'], n: number): number[] {
  if (pyramid === 'box') return Array.from({ length: n + 1 }, (_, i) => 2 ** -i);
  // A level's pixel is a separable filter of level-0 pixels: f_{i+1} = f_i convolved with [1 4 6 4 1]/16 stretched by 2^i.
  const gains: number[] = [];
  let f = [1];
  for (let i = 0; i <= n; ++i) {
    gains.push(f.reduce((s, x) => s + x * x, 0)); // the square of one dimension's gain: the gain of both
    const step = 2 ** i;
    const next = new Array<number>(f.length + 4 * step).fill(0);
    [1, 4, 6, 4, 1].forEach((b, k) => f.forEach((x, j) => (next[j + k * step]! += (x * b) / 16)));
    f = next;
  }
  return gains;
}

const phrases: Record<string, string> = {
  softmax: 'softmax kernel weight activation', plain: 'plain kernel weight activation',
  lrelu: 'leaky relu mlp activation', relu: 'relu mlp activation', none: 'no mlp activation',
  l2: 'L2 loss', smape: 'SMAPE loss', cosh: 'cosh loss', rel: 'rel loss', enc: 'enc loss', even: 'even loss',
};

/** The text behind the weights: vkdt's lines, then `key: value` for every option, so that a file configures `kpn` by itself. */
export function weightsText(m: ModelSpec): string {
  return [
    'lut contains weights for',
    'multi-level kernel predicting mlp with:',
    `${m.layers} hidden layers`,
    `${m.width} network width`,
    phrases[m.apply],
    `${m.ablend} alpha blending activation`,
    phrases[m.act],
    phrases[m.loss],
    ...(['levels', 'context', 'pyramid', 'up', 'combine', 'apply', 'sharp', 'ablend', 'act', 'loss'] as const).map((k) => `${k}: ${m[k]}`),
    `chroma: ${m.chroma ? 1 : 0}`,
    '',
  ].join('\n');
}

/**
 * What a weights file's text says of the network. Lines of vkdt and ours; unknown lines are passed over (they may be comments).
 * Returns only what the text says, and what of our keys it got wrong.
 */
export function parseWeightsText(text: string): { spec: Partial<ModelSpec>; problems: string[] } {
  const spec: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.replace(/\0/g, '').trim();
    const hidden = /^(\d+) hidden layers$/.exec(line);
    const width = /^(\d+) network width$/.exec(line);
    const alpha = /^(plain|sigmoid|clamped|const) alpha blending activation$/.exec(line);
    if (hidden) spec['layers'] = Number(hidden[1]);
    else if (width) spec['width'] = Number(width[1]);
    else if (alpha) spec['ablend'] = alpha[1];
    for (const kind of ['apply', 'act', 'loss'] as const) {
      const choice = (CHOICES[kind] as readonly string[]).find((c) => phrases[c]?.toLowerCase() === line.toLowerCase());
      if (choice !== undefined) spec[kind] = choice;
    }
    const key = /^([a-z]+): (.*)$/.exec(line);
    if (!key) continue;
    const [, name, value] = key as unknown as [string, string, string];
    if (name in CHOICES) {
      if ((CHOICES[name as keyof typeof CHOICES] as readonly string[]).includes(value)) spec[name] = value;
      else problems.push(`"${line}": ${name} is one of ${CHOICES[name as keyof typeof CHOICES].join(', ')}`);
    } else if (name === 'levels' || name === 'sharp') {
      const x = Number(value);
      const ok = name === 'levels' ? Number.isInteger(x) && x >= 1 && x <= MAX_LEVELS : Number.isFinite(x) && x > 0;
      if (ok) spec[name] = x;
      else problems.push(`"${line}": not a valid value of ${name}`);
    } else if (name === 'chroma') spec['chroma'] = value === '1';
  }
  return { spec: spec as Partial<ModelSpec>, problems };
}
