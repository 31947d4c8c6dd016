// From the options to a Watch, and from a Watch to the hooks of a run.

import { InputError } from '../errors.js';
import { loadSpirv } from '../gpu/index.js';
import type { RunOptions } from '../graph/run.js';
import type { Watch } from '../quality/watch.js';
import type { CliOptions } from './cli-options.js';

/** Undefined where nothing is to be watched. Throws InputError. */
export async function openWatch(options: CliOptions, signal: AbortSignal, say: (message: string) => void, warn: (message: string) => void): Promise<Watch | undefined> {
  const { validate, validateEvery: every, validateLevels, validateCrop, patience, log: csv, tensorboard } = options;
  const alone = Object.entries({ '--validate-every': every, '--validate-levels': validateLevels, '--validate-crop': validateCrop, '--patience': patience }).find(([, value]) => value !== undefined);
  if (!validate && alone) throw new InputError('CLI_VALIDATE', `${alone[0]} means nothing without --validate`, { hint: 'name the pictures to validate on: --validate FOLDER' });
  const log = csv === undefined && tensorboard === undefined ? undefined : { csv, tensorboard };
  if (!validate && !log) return undefined;
  // Here, so that a run without them starts sooner.
  const [{ Watch }, { parseCrop }, { listPictures }, { PROTOCOL_SEED }, { NAMED_LEVELS }] = await Promise.all([
    import('../quality/watch.js'), import('./eval.js'), import('../pictures/read.js'), import('../quality/evaluate.js'), import('../quality/noise.js'),
  ]);
  const crop = validateCrop === undefined ? undefined : (parseCrop('--validate-crop', validateCrop) ?? ('none' as const));
  const validation = validate && { files: await listPictures(validate), levels: validateLevels ?? NAMED_LEVELS, seed: PROTOCOL_SEED, crop, every, patience };
  return Watch.open({ validation, log, load: loadSpirv, warn, say, signal });
}

/** The hooks of a run with those of a watch besides. */
export function watched(options: Partial<RunOptions>, watch: Watch | undefined): Partial<RunOptions> {
  if (watch === undefined) return options;
  const { onPlan, onSlice, inspect, signal, checkpoint } = options;
  return {
    ...options,
    signal: AbortSignal.any([watch.stop, ...(signal ? [signal] : [])]),
    nextStop: (done) => watch.nextStop(done),
    onPlan: async (plan, graph) => {
      await watch.attach(graph);
      await onPlan?.(plan, graph);
    },
    onSlice: async (done, access) => {
      await watch.slice(done, access);
      await onSlice?.(done, access);
    },
    inspect: async (access) => {
      // At the same time: while threads score, the device has nothing to do. Both end before the buffers go.
      const ended = await Promise.allSettled([watch.end(access), inspect?.(access)]);
      for (const result of ended) if (result.status === 'rejected') throw result.reason;
    },
    checkpoint: checkpoint && { ...checkpoint, watcher: { save: () => watch.save(), restore: (value) => watch.restore(value) }, ...(watch.validates ? { score: () => watch.score() } : {}) },
  };
}
