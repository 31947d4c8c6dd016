// The crops of a folder's pictures in the order of their draws (schedule.ts), cut ahead of time on worker threads. A damaged picture is
// warned of and passed over: the next of its epoch takes its place.

import { availableParallelism } from 'node:os';
import { InputError } from '../../errors.js';
import type { Cut, CutJob } from '../../pictures/crops.js';
import { Order, place, type Schedule } from './schedule.js';

/** A picture to train on, and its clean counterpart where it has one. */
export interface Source {
  path: string;
  clean?: string;
}

/** One crop, f16: (y, x, rgba). */
export interface Crop {
  picture: Uint16Array;
  clean?: Uint16Array;
  noise?: { a: number; b: number };
}

export interface SupplyOptions {
  sources: readonly Source[];
  schedule: Schedule;
  /** The last draw of the run. */
  last: number;
  job: Pick<CutJob, 'size' | 'reduce' | 'estimate'>;
  cut: (job: CutJob) => Promise<Cut>;
  warn: (message: string) => void;
}

/** Pictures decoded ahead, at most. A device may use them up faster than one thread decodes. */
const ahead = 2 * availableParallelism();

export class Supply {
  private readonly order: Order;
  private readonly visits = new Map<number, Promise<Crop[]>>();
  private readonly damaged = new Set<number>();

  constructor(private readonly options: SupplyOptions) {
    this.order = new Order(options.schedule);
  }

  /** The crop of draw k; draws come in rising order. Rejects with InputError where no picture of the folder can be read. */
  async crop(k: number): Promise<Crop> {
    const { schedule: { crops }, last } = this.options;
    const visit = Math.floor(k / crops);
    for (const v of this.visits.keys()) if (v < visit) this.visits.delete(v);
    for (let v = visit; v <= Math.max(visit, Math.min(visit + ahead, Math.floor(last / crops))); v++) this.start(v);
    return (await this.visits.get(visit)!)[k % crops]!;
  }

  private start(v: number): void {
    if (this.visits.has(v)) return;
    const cutting = this.visit(v);
    cutting.catch(() => undefined); // thrown where it is awaited
    this.visits.set(v, cutting);
  }

  /** What is cut depends on the visit and the files alone, not on which visit was decoded first. */
  private async visit(v: number): Promise<Crop[]> {
    const { sources, schedule } = this.options;
    const places = Array.from({ length: schedule.crops }, (_, i) => place(schedule, v * schedule.crops + i));
    let reason: unknown;
    for (let skip = 0; skip < sources.length; skip++) {
      const index = this.order.picture(v, skip);
      if (this.damaged.has(index)) continue;
      try {
        return await this.cut(index, places);
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        reason = error;
        this.markDamaged(index, error);
      }
    }
    throw new InputError('SET_UNREADABLE', `none of the ${sources.length} pictures can be read`, { cause: reason, hint: reason instanceof InputError ? `the last one: ${reason.format()}` : undefined });
  }

  private markDamaged(index: number, error: InputError): void {
    if (this.damaged.has(index)) return;
    this.damaged.add(index);
    this.options.warn(`a picture is left out: ${error.format()}`);
  }

  /** Crops of a picture at these places. */
  async cut(index: number, places: CutJob['places']): Promise<Crop[]> {
    const { sources, job, cut, warn } = this.options;
    const { path, clean } = sources[index]!;
    const { crops, clean: cleanCrops, noise, warnings } = await cut({ ...job, path, clean, places });
    warnings.forEach(warn);
    const values = job.size * job.size * 4;
    const part = (all: Uint16Array, i: number): Uint16Array => all.subarray(i * values, (i + 1) * values);
    return places.map((_p, i) => ({ picture: part(crops, i), clean: cleanCrops && part(cleanCrops, i), noise }));
  }
}
