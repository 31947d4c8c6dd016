// Robust fit of variance against mean: v(x) = offset + slope max(x, 0), both not negative, to points of which some are too high (structure
// that was taken for noise) and few too low.

export interface Point {
  /** Mean signal, 0..1. */
  x: number;
  /** Variance found there. */
  v: number;
  /** Relative standard error of v. */
  error: number;
}

export interface Line {
  offset: number;
  slope: number;
}

export const evaluate = ({ offset, slope }: Line, x: number): number => offset + slope * (x > 0 ? x : 0);

/** Weighted least squares with both coefficients >= 0; weights by the relative errors and `weights`, relative to the line `by`. */
export function leastSquares(points: readonly Point[], weights: ArrayLike<number>, by: Line): Line {
  let [s, sx, sxx, sv, sxv] = [0, 0, 0, 0, 0];
  points.forEach((p, i) => {
    const scale = Math.max(evaluate(by, p.x), 1e-300) * p.error;
    const w = weights[i]! / scale / scale;
    const x = Math.max(p.x, 0);
    s += w; sx += w * x; sxx += w * x * x; sv += w * p.v; sxv += w * x * p.v;
  });
  const det = s * sxx - sx * sx;
  if (det > 1e-9 * s * sxx) {
    const offset = (sxx * sv - sx * sxv) / det;
    const slope = (s * sxv - sx * sv) / det;
    if (offset >= 0 && slope >= 0) return { offset, slope };
  }
  // On a border of the quadrant: whichever single coefficient explains more.
  const offset = s > 0 ? Math.max(0, sv / s) : 0;
  const slope = sxx > 0 ? Math.max(0, sxv / sxx) : 0;
  return offset * sv >= slope * sxv ? { offset, slope: 0 } : { offset: 0, slope };
}

/** How badly points fit: squared ln of the ratio, in errors. Above the line it is soon bounded (structure), below it counts twice. */
function misfit(points: readonly Point[], line: Line): number {
  let sum = 0;
  for (const p of points) {
    const e = Math.hypot(p.error, 0.04);
    const r = Math.log(Math.max(p.v, 1e-300) / Math.max(evaluate(line, p.x), 1e-300)) / e;
    sum += r > 0 ? Math.min(r * r, 6) : Math.min(2 * r * r, 200);
  }
  return sum;
}

/** The line through two of the points (or level, or through 0, and one) that fits best. */
export function startLine(points: readonly Point[]): Line {
  let [best, least] = [{ offset: 0, slope: 0 } as Line, Infinity];
  const consider = (line: Line): void => {
    if (!(line.offset >= 0 && line.slope >= 0)) return;
    const m = misfit(points, line);
    if (m < least) [best, least] = [line, m];
  };
  for (const p of points) {
    consider({ offset: p.v, slope: 0 });
    if (p.x > 0) consider({ offset: 0, slope: p.v / p.x });
    for (const q of points) {
      const d = Math.max(q.x, 0) - Math.max(p.x, 0);
      if (d <= 0) continue;
      const slope = (q.v - p.v) / d;
      consider({ offset: p.v - slope * Math.max(p.x, 0), slope });
    }
  }
  return best;
}

/** Fits by iteratively re-weighted least squares from `start`; weights say how much each point counted, 0..1. */
export function fitLine(points: readonly Point[], start: Line): { line: Line; weights: Float64Array } {
  const weights = new Float64Array(points.length);
  let line = start;
  for (let round = 0; round < 30; round++) {
    points.forEach((p, i) => {
      const e = Math.hypot(p.error, 0.03);
      const r = (p.v / Math.max(evaluate(line, p.x), 1e-300) - 1) / e;
      // Tukey's biweight above, Huber's weights below the line.
      const limit = 4;
      weights[i] = r > 0 ? Math.max(0, 1 - (r / limit) ** 2) ** 2 : Math.min(1, 2 / Math.max(-r, 1e-9));
    });
    const next = leastSquares(points, weights, line);
    if (next.offset === 0 && next.slope === 0) break;
    const change = Math.abs(next.offset - line.offset) + Math.abs(next.slope - line.slope);
    line = next;
    if (change < 1e-7 * (line.offset + line.slope)) break;
  }
  return { line, weights };
}
