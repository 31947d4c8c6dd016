// `vkpn denoise`: the graph of one picture, as text. `vkpn cli` runs the same text to the same pixels.

import { inLine } from '../cfg/write.js';
import { sourceModules } from '../pictures/read.js';
import { extensionOf, type Job, type OutputFormat } from './denoise-files.js';

export interface GraphSettings {
  /** Weights file, absolute. */
  weights: string;
  noise: { a: number; b: number };
  /** 0: as it was, 1: all of it. */
  strength: number;
  quality: number;
  /** Raw: exposure in stops, white balance, size. */
  ev: number;
  wb: string;
  size: string;
  path?: string;
  /** How often the picture is denoised, each time lying otherwise. */
  spin: string;
}

/**
 * Standard deviations of its noise that a pixel changes by at most, in luminance and in each channel: what is farther off is the picture (docs/denoise.md). Of raw values the
 * profile is each channel's; else channels may have noise of their own, of which the profile says the luminance's part. As parameters of kpn.
 */
const limits = (luminance: number, channel: number): readonly string[] => [`limit:${luminance}`, `limit c:${channel}`];
export const PICTURE_LIMITS = limits(3, 6);
const RAW_LIMITS = limits(2.5, 2.5);

const sinkOf: Record<OutputFormat, string> = { jpg: 'o-jpg', png16: 'o-png', tiff16: 'o-tif', pfm: 'o-pfm' };

/** Lines of an output. */
function sink(job: Job, inst: string, file: string, from: string, s: GraphSettings): string[] {
  const module = sinkOf[job.format];
  const name = file.slice(0, -extensionOf[job.format].length);
  return [
    `module:${module}:${inst}`,
    `connect:${from}:${module}:${inst}:input`,
    `param:${module}:${inst}:filename:${inLine(name, JSON.stringify(name))}`,
    ...(job.format === 'pfm' ? [] : [`param:${module}:${inst}:icc:1`]),
    ...(job.format === 'jpg' ? [`param:${module}:${inst}:quality:${s.quality}`] : []),
  ];
}

/** The text of a graph file that denoises one picture. */
export function denoiseGraph(job: Job, s: GraphSettings): string {
  const source = sourceModules[job.kind];
  const lines = [
    'frames:1',
    `module:${source}:photo`,
    'module:i-lut:w',
    'module:kpn:01',
    `param:${source}:photo:filename:${inLine(job.path, JSON.stringify(job.path))}`,
    ...(job.kind === 'raw' ? [`param:${source}:photo:wb:${s.wb}`, `param:${source}:photo:ev:${s.ev}`, `param:${source}:photo:size:${s.size}`] : []),
    `param:i-lut:w:filename:${inLine(s.weights, JSON.stringify(s.weights))}`,
    `connect:${source}:photo:output:kpn:01:input`,
    'connect:i-lut:w:output:kpn:01:w',
    `param:kpn:01:noise a:${s.noise.a}`,
    `param:kpn:01:noise b:${s.noise.b}`,
    ...(job.kind === 'raw' ? RAW_LIMITS : PICTURE_LIMITS).map((limit) => `param:kpn:01:${limit}`),
    ...(s.strength === 1 ? [] : [`param:kpn:01:strength:${s.strength}`]),
    ...(s.spin === '1' ? [] : [`param:kpn:01:spin:${s.spin}`]),
    ...(s.path === undefined ? [] : [`param:kpn:01:path:${s.path}`]),
    ...sink(job, 'out', job.output, 'kpn:01:output', s),
  ];
  if (job.compare !== undefined) {
    lines.push(
      'module:beside:01',
      `connect:${source}:photo:output:beside:01:first`,
      'connect:kpn:01:output:beside:01:second',
      ...sink(job, 'both', job.compare, 'beside:01:output', s),
    );
  }
  return `${lines.join('\n')}\n`;
}
