// Scoring on threads (ts/pictures/worker.ts): what would hold up training.

import { toFloat } from '../formats/pixels.js';
import type { PortShape } from '../graph/types.js';
import { protocolScores, type RgbaPicture, type Scores } from './metrics.js';
import { addNoise, type NoiseLevel } from './noise.js';

/** A picture as the device left it. */
export interface DevicePicture {
  shape: Pick<PortShape, 'width' | 'height' | 'format'>;
  data: Uint8Array;
}

/** Its values. */
export const fromDevice = ({ shape: { width, height, format }, data }: DevicePicture): RgbaPicture => ({ width, height, rgba: toFloat(format, data) });

export const scoreDevicePicture = (result: DevicePicture, clean: RgbaPicture): Scores => protocolScores(fromDevice(result), clean);

/** The picture with noise, and how far that is from it. */
export function noisyCase(clean: RgbaPicture, level: NoiseLevel, seed: number): { rgba: Float32Array; scores: Scores } {
  const noisy = addNoise(clean, level, seed);
  return { rgba: noisy.rgba, scores: protocolScores(noisy, clean) };
}
