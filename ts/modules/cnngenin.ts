// cnngenin: a frame's training data from a picture and its reference, or from a pool of such pictures (SPEC 4).

import { InputError } from '../errors.js';
import type { BuildContext, FrameContext, InstanceInfo, ModuleInstance, ModuleType, PlanBuffer, PortShape, ShapeContext } from '../graph/types.js';
import { checkF16Range } from './f16-range.js';

const NOISES = ['vkdt', 'log', 'fixed'] as const;
const LOCAL = 64;
/** What each mode reads; mode 2 and 4 make their input from the reference. */
const fromReference = (generate: number): boolean => generate === 2 || generate === 4;

class Cnngenin implements ModuleInstance {
  private frameBuffer!: PlanBuffer;
  private tile!: PortShape;

  shapes(ctx: ShapeContext): Record<string, PortShape> {
    const p = ctx.params;
    const generate = p.int('generate');
    const ref = ctx.input('refi')!;
    const img = ctx.input('imgi');
    if (!img && !fromReference(generate))
      throw new InputError('NO_INPUT', `cnngenin:${ctx.info.inst}: nothing is connected to imgi, which generate ${generate} needs`, {
        place: ctx.info.place, hint: 'connect the noisy picture, or let generate:2 add noise to the reference',
      });
    if (img && (img.width !== ref.width || img.height !== ref.height))
      throw new InputError('SIZE_MISMATCH', `cnngenin:${ctx.info.inst}: imgi is ${img.width}x${img.height}, but refi is ${ref.width}x${ref.height}`, {
        place: ctx.info.place, hint: 'the noisy picture and its reference must show the same pixels',
      });
    if (img && img.count !== ref.count)
      throw new InputError('SIZE_MISMATCH', `cnngenin:${ctx.info.inst}: imgi holds ${img.count} pictures, but refi holds ${ref.count}`, {
        place: ctx.info.place, hint: 'connect both to the same i-set, or both to single pictures',
      });
    this.checkProfiles(ctx, ref.count);
    if (img && img.period !== ref.period && !fromReference(generate))
      throw new InputError('SEQUENCE_MISMATCH', `cnngenin:${ctx.info.inst}: imgi goes through ${img.period ?? 1} frames, but refi through ${ref.period ?? 1}`, {
        place: ctx.info.place, hint: 'the noisy pictures and their references must be as many, and start with the same number',
      });
    const whole = p.int('tiles') === 0;
    const size = p.int('size');
    const width = whole ? ref.width : size;
    const height = whole ? ref.height : size;
    if (ref.width < width || ref.height < height)
      throw new InputError('PICTURE_TOO_SMALL', `cnngenin:${ctx.info.inst}: the picture is ${ref.width}x${ref.height}, smaller than a tile of ${size}x${size}`, {
        place: ctx.info.place, hint: 'use a larger picture, a smaller tile (size), or the whole picture (tiles:0)',
      });
    const random = !whole && generate !== 0;
    const [least, most] = [p.float('ev lo'), p.float('ev hi')];
    if (least > most)
      throw new InputError('EXPOSURES', `cnngenin:${ctx.info.inst}: exposures from ev lo ${least} to ev hi ${most} are none`, { place: ctx.params.place(p.isSet('ev lo') ? 'ev lo' : 'ev hi'), hint: 'set ev lo to less than ev hi' });
    if (p.float('hilite') > 0 && !fromReference(generate))
      throw new InputError('HIGHLIGHTS', `cnngenin:${ctx.info.inst}: hilite ${p.float('hilite')} can't expand the highlights of generate ${generate}: their noise is the picture's own, which is clipped with them`, {
        place: ctx.params.place('hilite'), hint: 'leave hilite 0, or add noise to the reference (generate:2 or 4)',
      });
    // Expanded highlights add nothing to this: they end at 2^hilite, at most 512, times 64 of ev hi.
    const gain = random ? Math.max(1, 2 ** most) : 1;
    for (const picture of fromReference(generate) ? [ref] : [ref, img!]) checkF16Range(`cnngenin:${ctx.info.inst}`, picture, gain, ctx.info.place);
    const count = random ? p.int('batch') : 1;
    this.tile = { channels: 'rgba', format: 'f16', width, height, count };
    const picture = { ...this.tile, noise: this.profile(ctx) };
    return { imgo: picture, refo: this.tile, noiseab: { channels: 'ssbo', format: 'f32', width: 2, height: count, count: 1 } };
  }

  private checkProfiles(ctx: ShapeContext, pictures: number): void {
    const profile = ctx.input('profile');
    if (!profile || (profile.width * profile.height === 2 * pictures && profile.format === 'f32')) return;
    throw new InputError('SIZE_MISMATCH', `cnngenin:${ctx.info.inst}: profile has ${profile.width * profile.height} values for ${pictures} picture${pictures === 1 ? '' : 's'}, which need${pictures === 1 ? 's' : ''} two each`, {
      place: ctx.info.place, hint: 'connect the profiles of the i-set that the pictures come from',
    });
  }

  /** The noise of the picture itself, or the fixed one that is added. */
  private profile(ctx: ShapeContext): { a: number; b: number } {
    const p = ctx.params;
    if (fromReference(p.int('generate'))) return { a: p.float('noise a'), b: p.float('noise b') };
    return ctx.input('imgi')?.noise ?? { a: 0, b: 0 };
  }

  build(ctx: BuildContext): void {
    const p = ctx.params;
    const generate = p.int('generate');
    const ref = ctx.port('refi')!;
    const img = ctx.port('imgi') ?? ref;
    const profiles = ctx.port('profile');
    const { a, b } = this.profile(ctx);
    const random = generate !== 0 && p.int('tiles') !== 0;
    this.frameBuffer = ctx.buffer('frame', 4, { persistent: true, init: 'zero' });
    const push = new DataView(new ArrayBuffer(36));
    [ref.shape.width, ref.shape.height, this.tile.count, p.int('seed')].forEach((x, i) => push.setUint32(4 * i, x, true));
    push.setFloat32(16, a, true);
    push.setFloat32(20, b, true);
    push.setFloat32(24, p.float('ev lo'), true);
    push.setFloat32(28, p.float('ev hi') - p.float('ev lo'), true);
    push.setFloat32(32, p.float('hilite'), true);
    ctx.node({
      label: 'gen', kernel: 'cnngenin/gen', push: new Uint8Array(push.buffer),
      spec: { 0: LOCAL, 1: generate, 2: img.shape.format === 'f32', 3: ref.shape.format === 'f32', 4: NOISES.indexOf(p.string('noise') as 'vkdt'), 5: random, 6: ref.shape.count, 7: profiles !== undefined, 8: p.float('hilite') > 0, 9: this.tile.width, 10: this.tile.height },
      groups: [Math.ceil((this.tile.width * this.tile.height * this.tile.count) / LOCAL), 1, 1],
      uses: [
        { buffer: this.frameBuffer, access: 'r' }, { buffer: img.buffer, access: 'r' }, { buffer: ref.buffer, access: 'r' },
        { buffer: ctx.output('imgo'), access: 'w' }, { buffer: ctx.output('refo'), access: 'w' }, { buffer: ctx.output('noiseab'), access: 'w' },
        { buffer: (profiles ?? ref).buffer, access: 'r' }, // something must be bound
      ],
    });
    ctx.node({ label: 'tick', kernel: 'cnngenin/tick', spec: { 0: 1 }, groups: [1, 1, 1], uses: [{ buffer: this.frameBuffer, access: 'rw' }] });
  }

  beforeFrame(ctx: FrameContext, frame: number): void {
    ctx.write(this.frameBuffer, Uint32Array.of(frame));
  }
}

export const cnngenin: ModuleType = {
  name: 'cnngenin',
  doc: 'makes training data: random tiles of a picture (or of a pool of them) and its reference, with synthetic noise or mosaic',
  connectors: [
    { name: 'imgi', type: 'read', channels: 'rgba', format: '*', optional: true },
    { name: 'refi', type: 'read', channels: 'rgba', format: '*' },
    { name: 'profile', type: 'read', channels: 'ssbo', format: 'f32', optional: true },
    { name: 'imgo', type: 'write', channels: 'rgba', format: 'f16' },
    { name: 'refo', type: 'write', channels: 'rgba', format: 'f16' },
    { name: 'noiseab', type: 'write', channels: 'ssbo', format: 'f32' },
  ],
  params: [
    { name: 'generate', type: 'int', default: 0, min: 0, max: 4, doc: '0 static patch, 1 random tiles of the pair, 2 synthetic noise on the reference, 3 mosaic, 4 noise and mosaic' },
    { name: 'tiles', type: 'int', default: 1, min: 0, max: 1, doc: '0: the whole picture, never randomised' },
    { name: 'batch', type: 'int', default: 1, min: 1, max: 65536, doc: 'tiles a frame' },
    { name: 'size', type: 'int', default: 64, min: 1, max: 16384, doc: 'width and height of a tile' },
    { name: 'noise', type: 'enum', values: NOISES, default: 'vkdt', doc: 'how synthetic noise is drawn: uniform a and b, log-uniform sigma, or noise a and noise b' },
    { name: 'noise a', type: 'float', default: 0, min: 0, doc: 'with noise:fixed: var(x) = (a + 65535 x b) / 65535^2' },
    { name: 'noise b', type: 'float', default: 0, min: 0, doc: 'with noise:fixed' },
    { name: 'ev lo', type: 'float', default: -2, min: -16, max: 16, doc: 'tiles are exposed at random, by 2^ev with ev from here' },
    { name: 'ev hi', type: 'float', default: 2, min: -16, max: 6, doc: '... to here' },
    { name: 'hilite', type: 'float', default: 0, min: 0, max: 9, doc: 'tiles with synthetic noise: highlights (from half of white on) are expanded, white by 2^u with u at random from 0 to here' },
    { name: 'seed', type: 'int', default: 1, min: 0, doc: 'of tiles and noise' },
  ],
  create: (_info: InstanceInfo) => new Cnngenin(),
};
