// i-set: a folder of pictures of any number, size and format as a pool of crops on the device (SPEC 4). cnngenin draws each tile from one of
// them. Of a small folder all is kept; of a larger one crops are replaced one by one while the run goes on, when schedule.ts says.

import { basename, relative, resolve } from 'node:path';
import { InputError } from '../../errors.js';
import type { BuildContext, FrameContext, InstanceInfo, ModuleInstance, ModuleType, PlanBuffer, PortShape, ShapeContext, Status } from '../../graph/types.js';
import { cover, type CutJob } from '../../pictures/crops.js';
import { cutOnThread, reducedSize } from '../../pictures/cut-queue.js';
import { pairUp, picturesUnder } from '../../pictures/folder.js';
import { holdOut, lastDraw, type Schedule } from './schedule.js';
import { Supply, type Crop, type Source } from './supply.js';

const REDUCE = ['auto', '1', '2', '3', '4'] as const;

/** A crop of a small folder: which picture, and where. */
interface Kept {
  source: number;
  place: CutJob['places'][number];
}

/** Files whose names are like `pattern`, in which * stands for anything. */
function named(files: readonly string[], pattern: string): string[] {
  const like = new RegExp(`^${pattern.split('*').map((text) => text.replace(/[^a-zA-Z0-9]/g, '\\$&')).join('.*')}$`, 's');
  return files.filter((file) => like.test(basename(file)));
}

export class PictureSet implements ModuleInstance {
  private ctx!: ShapeContext;
  private sources: Source[] = [];
  private job!: Pick<CutJob, 'size' | 'reduce' | 'estimate'>;
  private schedule!: Schedule;
  /** Of a folder that fits. */
  private kept: Kept[] | undefined;
  /** The noise profile that the graph gives. */
  private own = { a: 0, b: 0 };
  private supply!: Supply;
  private buffers!: { output: PlanBuffer; ref: PlanBuffer | undefined; noise: PlanBuffer | undefined };
  /** The newest draw on the device. */
  private newest = -1;
  private waited = 0;
  private began = 0;
  private warnedSlow = false;

  /** Pictures that are trained on; after `shapes`. */
  get pictures(): readonly Source[] {
    return this.sources;
  }

  async shapes(ctx: ShapeContext): Promise<Record<string, PortShape>> {
    this.ctx = ctx;
    const p = ctx.params;
    this.sources = await this.list();
    const [size, pool] = [p.int('size'), p.int('pool')];
    this.own = { a: p.float('noise a'), b: p.float('noise b') };
    const own = p.isSet('noise a') || p.isSet('noise b');
    this.job = { size, reduce: REDUCE.indexOf(p.string('reduce') as 'auto'), estimate: !own && this.sources[0]!.clean !== undefined && ctx.isConnected('noise') };
    this.kept = await this.keepAll(pool);
    this.schedule = { pictures: this.sources.length, pool, crops: p.int('crops'), every: p.int('every'), seed: p.int('seed') };
    this.supply = new Supply({
      sources: this.sources, schedule: this.schedule, last: lastDraw(this.schedule, ctx.frames - 1), job: this.job, cut: cutOnThread, warn: (message) => ctx.warn(message),
    });
    const count = this.kept?.length ?? pool;
    const picture: PortShape = { channels: 'rgba', format: 'f16', width: size, height: size, count, perFrame: !this.kept, noise: own ? this.own : undefined };
    return { output: picture, ref: { ...picture, noise: undefined }, noise: { channels: 'ssbo', format: 'f32', width: 2, height: count, count: 1 } };
  }

  /** The files, those that are held out left out. */
  private async list(): Promise<Source[]> {
    const { params: p, graphDir, warn, info } = this.ctx;
    const folderOf = (name: string): string => resolve(graphDir, p.string(name));
    const folder = folderOf('folder');
    const files = named(await picturesUnder(folder, p.place('folder')), p.string('names'));
    if (files.length === 0) throw new InputError('SET_NAMES', `i-set:${info.inst}: no picture of ${folder} has a name like ${p.string('names')}`, { place: p.place('names'), hint: '* stands for any part of a name' });
    const { train } = holdOut(files, p.int('holdout'));
    if (train.length === 0) throw new InputError('SET_HELD_OUT', `i-set:${info.inst}: all ${files.length} pictures of ${folder} are held out`, { place: p.place('holdout'), hint: `set param:i-set:${info.inst}:holdout to less than ${files.length}` });
    if (!p.isSet('clean')) {
      for (const output of ['ref', 'noise'])
        if (this.ctx.isConnected(output))
          throw new InputError('SET_NO_CLEAN', `i-set:${info.inst}: ${output} is connected, but there are no pairs`, { place: info.place, hint: `name the folder of the clean pictures: param:i-set:${info.inst}:clean:FOLDER` });
      return train.map((path) => ({ path }));
    }
    if (!['auto', '1'].includes(p.string('reduce')))
      throw new InputError('SET_REDUCED_PAIRS', `i-set:${info.inst}: pairs can't be reduced: their noise would be another`, { place: p.place('reduce'), hint: 'leave reduce out' });
    const cleanFolder = folderOf('clean');
    const { pairs, alone } = pairUp(train, folder, await picturesUnder(cleanFolder, p.place('clean')), cleanFolder);
    if (pairs.length === 0)
      throw new InputError('SET_NO_PAIRS', `i-set:${info.inst}: no picture of ${folder} has one of the same name in ${cleanFolder}`, { place: p.place('clean'), hint: 'pairs have the same names, endings apart: noisy/a.tif and clean/a.png' });
    if (alone.length > 0) warn(`${alone.length} of ${train.length} pictures have no clean counterpart and are left out: ${alone.slice(0, 3).map((f) => relative(folder, f)).join(', ')}${alone.length > 3 ? ', …' : ''}`);
    return pairs;
  }

  /** The crops that cover all pictures, if the pool has room for them. Looks at no more files than that takes. */
  private async keepAll(pool: number): Promise<Kept[] | undefined> {
    const kept: Kept[] = [];
    let reason: InputError | undefined;
    for (const [source, { path, clean }] of this.sources.entries()) {
      try {
        const { width, height } = await reducedSize({ ...this.job, path, clean });
        kept.push(...cover(width, height, this.job.size).map((place) => ({ source, place })));
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        reason = error; // whoever loads it will warn
      }
      if (kept.length > pool) return undefined;
    }
    if (kept.length === 0) throw this.unreadable(reason);
    return kept;
  }

  private unreadable(reason: InputError | undefined): InputError {
    const n = this.sources.length;
    return new InputError('SET_UNREADABLE', `${n === 1 ? 'the picture' : `none of the ${n} pictures`} of the folder can${n === 1 ? "'t" : ''} be read`, { place: this.ctx.params.place('folder'), hint: reason && `the last one: ${reason.format()}`, cause: reason });
  }

  inputs(): readonly string[] {
    return this.sources.flatMap(({ path, clean }) => (clean === undefined ? [path] : [path, clean]));
  }

  build(ctx: BuildContext): void {
    const keep = (name: string): PlanBuffer | undefined => (ctx.isConnected(name) ? ctx.output(name, { persistent: true }) : undefined);
    this.buffers = { output: ctx.output('output', { persistent: true }), ref: keep('ref'), noise: keep('noise') };
  }

  async beforeFrame(ctx: FrameContext, frame: number): Promise<void> {
    if (this.kept) {
      if (this.newest < 0) await this.loadAll(ctx);
      return;
    }
    const last = lastDraw(this.schedule, frame);
    // At the start, and where a run is resumed, the whole pool.
    const first = Math.max(this.newest + 1, last - this.schedule.pool + 1);
    const begin = performance.now();
    for (let k = first; k <= last; k++) this.put(ctx, k % this.schedule.pool, await this.supply.crop(k));
    if (this.newest < 0) this.began = performance.now();
    else this.waited += performance.now() - begin;
    this.newest = last;
  }

  changesAt(frame: number): boolean {
    return this.kept === undefined && frame % this.schedule.every === 0;
  }

  /** All crops of all pictures. Slots of damaged ones get the others' crops again. */
  private async loadAll(ctx: FrameContext): Promise<void> {
    const kept = this.kept!;
    const bySource = new Map<number, number[]>();
    kept.forEach(({ source }, slot) => bySource.set(source, [...(bySource.get(source) ?? []), slot]));
    const loading = [...bySource].map(([source, slots]) => this.supply.cut(source, slots.map((slot) => kept[slot]!.place)));
    const results = await Promise.allSettled(loading);
    const good: Crop[] = [];
    const empty: number[] = [];
    let reason: InputError | undefined;
    for (const [i, slots] of [...bySource.values()].entries()) {
      const result = results[i]!;
      if (result.status === 'fulfilled') {
        result.value.forEach((crop, k) => this.put(ctx, slots[k]!, crop));
        good.push(...result.value);
        continue;
      }
      if (!(result.reason instanceof InputError)) throw result.reason;
      reason = result.reason;
      this.ctx.warn(`a picture is left out: ${reason.format()}`);
      empty.push(...slots);
    }
    if (good.length === 0) throw this.unreadable(reason);
    empty.forEach((slot, i) => this.put(ctx, slot, good[i % good.length]!));
    this.newest = 0;
  }

  private put(ctx: FrameContext, slot: number, crop: Crop): void {
    const { output, ref, noise } = this.buffers;
    ctx.write(output, crop.picture, slot * crop.picture.byteLength);
    if (ref) ctx.write(ref, crop.clean!, slot * crop.clean!.byteLength);
    const { a, b } = crop.noise ?? this.own;
    if (noise) ctx.write(noise, Float32Array.of(a, b), 8 * slot);
  }

  /** Says once that reading pictures holds the device up. */
  status(): Promise<Status> {
    const seconds = (performance.now() - this.began) / 1000;
    const warnings: string[] = [];
    if (this.began > 0 && seconds > 30 && !this.warnedSlow && this.waited / 1000 > seconds / 3) {
      this.warnedSlow = true;
      const { module, inst } = this.ctx.info;
      warnings.push(`the device waits for pictures ${Math.round((100 * this.waited) / 1000 / seconds)} % of the time; param:${module}:${inst}:every:${4 * this.schedule.every} decodes a quarter as many`);
    }
    return Promise.resolve({ values: [], warnings });
  }
}

export const iSet: ModuleType = {
  name: 'i-set',
  doc: 'a folder of pictures to train on, of any number, size and format: a pool of crops, from which cnngenin draws tiles',
  connectors: [
    { name: 'output', type: 'source', channels: 'rgba', format: 'f16' },
    { name: 'ref', type: 'source', channels: 'rgba', format: 'f16' },
    { name: 'noise', type: 'source', channels: 'ssbo', format: 'f32' },
  ],
  params: [
    { name: 'folder', type: 'string', default: 'photos', doc: "folder of pictures, relative to the graph file's; folders inside it are looked into" },
    { name: 'names', type: 'string', default: '*', doc: 'of all files only those of such names; * stands for any part' },
    { name: 'clean', type: 'string', default: '', doc: 'pairs: folder of the clean counterparts, by the same names (endings apart): `ref` has their crops; `noise` the noise that separates them' },
    { name: 'holdout', type: 'int', default: 0, min: 0, doc: 'so many pictures are left out, by the hash of their names, to test on' },
    { name: 'size', type: 'int', default: 256, min: 8, max: 4096, doc: 'width and height of a crop; smaller pictures are mirrored on' },
    { name: 'pool', type: 'int', default: 256, min: 1, max: 65536, doc: 'crops on the device; a folder that has no more is kept as a whole' },
    { name: 'crops', type: 'int', default: 4, min: 1, max: 1024, doc: 'crops of a larger folder that are cut from a picture each time it is decoded' },
    { name: 'every', type: 'int', default: 16, min: 1, doc: 'frames after which a crop of a larger folder is replaced, the oldest first' },
    { name: 'reduce', type: 'enum', values: REDUCE, default: 'auto', doc: "makes pictures smaller by the mean of so many times so many pixels, and their own noise with it; auto: as far as 1.5 million pixels are left, pairs never" },
    { name: 'seed', type: 'int', default: 1, min: 0, doc: 'of the order of pictures and the places of crops' },
    { name: 'noise a', type: 'float', default: 0, min: 0, doc: "the pictures' own noise profile, where it is known; pairs without it: found from their differences" },
    { name: 'noise b', type: 'float', default: 0, min: 0, doc: 'see noise a' },
  ],
  create: (_info: InstanceInfo) => new PictureSet(),
};
