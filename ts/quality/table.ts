// Scores for people: PSNR in dB and SSIM, sRGB-encoded / linear.

import type { LevelScores } from './evaluate.js';
import type { Encoding, Scores } from './metrics.js';

const encodings: readonly Encoding[] = ['srgb', 'linear'];
const both = (scores: Scores, digits: number, key: 'psnr' | 'ssim'): string => encodings.map((e) => (Number.isNaN(scores[e][key]) ? '-' : scores[e][key].toFixed(digits))).join(' / ');
const cell = (scores: Scores): string => `${both(scores, 2, 'psnr')}  ${both(scores, 4, 'ssim')}`;

/** Rows of levels, columns of the noisy picture and of what was done about it. `titles`: of the levels, then of the columns. */
export function scoreTable(titles: readonly string[], levels: readonly LevelScores[]): string {
  const rows = [titles, ...levels.map((l) => [l.level, ...[l.noisy, ...l.denoised].map(cell)])];
  const widths = titles.map((_, i) => Math.max(...rows.map((r) => r[i]!.length)));
  return rows.map((r) => r.map((c, i) => c.padEnd(widths[i]!)).join('   ').trimEnd()).join('\n');
}
