// The weights of the moment, of a graph that trains.

import type { RunAccess } from '../graph/run.js';
import { weightsText } from '../model/spec.js';
import type { KpnT } from '../modules/kpn-t/kpn-t.js';
import type { Weights } from './denoiser.js';

/** What `trainer`, named `key`, has made of its weights. */
export async function trainedWeights(key: string, trainer: KpnT, access: RunAccess): Promise<Weights> {
  const m = trainer.spec;
  return { name: key, shape: { channels: 'ssbo', format: 'f16', width: m.width, height: (m.layers + 1) * m.width, count: 1, text: weightsText(m) }, data: await access.readBuffer(trainer.buffers.weights) };
}
