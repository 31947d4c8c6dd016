// kpn: denoises a picture with trained weights (SPEC 4); the weights' text says what the network is.

import { InputError } from '../../errors.js';
import type { BuildContext, FrameContext, InstanceInfo, ModuleInstance, ModuleType, PortShape, Rect, ShapeContext } from '../../graph/types.js';
import { parseWeightsText, weightCount, type ModelSpec } from '../../model/spec.js';
import { checkF16Range } from '../f16-range.js';
import { modelFromParams, modelParams } from './options.js';
import { addRuns, SPINS, turnedPart, turnedSize, turnsOf, type Run, type Turn } from './spin.js';
import { WINDOW_BYTES, windowBytes, windowLevels, windowNeeds, type WindowLevel, type WindowSettings } from './window.js';

class Kpn implements ModuleInstance {
  private model!: ModelSpec;
  /** The whole picture, and what of it is in memory. */
  private picture = { width: 0, height: 0 };
  private inMemory = { width: 0, height: 0 };
  private settings!: WindowSettings;
  /** How often the picture is denoised, each time lying otherwise (spin.ts). */
  private spin = 1;
  private runs: Run[] = [];
  private noiseab: { a: number; b: number } = { a: 0, b: 0 };

  shapes(ctx: ShapeContext): Record<string, PortShape> {
    const weights = ctx.input('w')!;
    const said = parseWeightsText(weights.text ?? '');
    for (const problem of said.problems) ctx.warn(`kpn:${ctx.info.inst}: the weights' text says ${problem}`);
    const m = (this.model = modelFromParams(ctx.params, said.spec));
    if (weights.width !== m.width || weights.width * weights.height !== weightCount(m))
      throw new InputError('WEIGHTS_MISMATCH', `kpn:${ctx.info.inst}: the weights file holds ${weights.width} x ${weights.height} values, but a network of width ${m.width} with ${m.layers} layers has ${m.width} x ${(m.layers + 1) * m.width}`, {
        place: ctx.info.place, hint: 'the file may be truncated or of another kind; or set the parameters width and layers',
      });
    const input = ctx.input('input')!;
    checkF16Range(`kpn:${ctx.info.inst}`, input, 1, ctx.info.place);
    const p = ctx.params;
    const own = p.isSet('noise a') || p.isSet('noise b');
    this.noiseab = own || !input.noise ? { a: p.float('noise a'), b: p.float('noise b') } : input.noise;
    this.spin = Number(p.string('spin'));
    this.picture = { width: input.width, height: input.height };
    return { output: { ...input, channels: 'rgba', format: 'f16', denoised: { ...this.noiseab, strength: p.float('strength') } } };
  }

  build(ctx: BuildContext): void {
    const m = this.model;
    const { width, height } = ctx.port('input')!.shape;
    this.inMemory = { width, height };
    const p = ctx.params;
    this.settings = { noise: this.noiseab, strength: p.float('strength'), limits: { luminance: p.float('limit'), channel: p.float('limit c') } };
    const { align } = windowNeeds(m);
    this.runs = turnsOf(this.spin, align).map((turn, k) => {
      const levels = this.levelsAt(turn, k, 0, 0);
      const window = ctx.buffer(k === 0 ? 'window' : `window, run ${k}`, WINDOW_BYTES, { persistent: true, init: windowBytes(m, levels, this.settings) });
      return { turn, window, levels };
    });
    addRuns(ctx, m, this.runs, this.picture, align, { input: ctx.port('input')!, weights: ctx.port('w')!.buffer, output: ctx.output('output') });
  }

  /** The levels of a run, of the window of the picture that begins at (x, y). The first run's picture is not turned. */
  private levelsAt(turn: Turn, run: number, x: number, y: number): WindowLevel[] {
    const { model: m, picture } = this;
    const part = { x, y, ...this.inMemory };
    const { align } = windowNeeds(m);
    return run === 0 ? windowLevels(m, picture, part) : windowLevels(m, turnedSize(turn, picture, align), turnedPart(turn, picture, part, align));
  }

  /** A shift moves the pyramid's grid by less than its period. */
  windows(): { halo: number; align: number } {
    const { halo, align } = windowNeeds(this.model);
    return { halo: this.spin > 1 ? halo + align : halo, align };
  }

  beforeWindow(ctx: FrameContext, { x, y }: Rect): void {
    this.runs.forEach(({ turn, window }, k) => ctx.write(window, windowBytes(this.model, this.levelsAt(turn, k, x, y), this.settings)));
  }
}

export const kpn: ModuleType = {
  name: 'kpn',
  doc: 'denoises a picture with trained weights',
  connectors: [
    { name: 'input', type: 'read', channels: 'rgba', format: '*' },
    { name: 'output', type: 'write', channels: 'rgba', format: 'f16' },
    { name: 'w', type: 'read', channels: 'ssbo', format: 'f16' },
  ],
  params: [
    { name: 'noise a', type: 'float', default: 0, min: 0, doc: 'var(x) = (a + 65535 x b) / 65535^2; where not set, the picture\'s own' },
    { name: 'noise b', type: 'float', default: 0, min: 0, doc: 'see noise a' },
    { name: 'strength', type: 'float', default: 1, min: 0, max: 1, doc: 'how far to go from the input to the denoised picture' },
    { name: 'limit', type: 'float', default: 0, min: 0, doc: "no pixel's luminance changes by more than so many standard deviations of its noise; 0: by any" },
    { name: 'limit c', type: 'float', default: 0, min: 0, doc: 'the same for each channel' },
    { name: 'spin', type: 'enum', values: SPINS, default: '1', doc: 'the mean of so many results for the picture lying in other ways: better, for as many times the work' },
    ...modelParams,
  ],
  create: (_info: InstanceInfo) => new Kpn(),
};
