// The chi-squared distribution, for mean squares of Gaussian noise.

/** ln of the gamma function (Lanczos), x > 0. */
function lnGamma(x: number): number {
  const c = [76.1800917294715, -86.5053203294168, 24.01409824083091, -1.231739572450155, 0.00120865097386618, -0.5395239384953e-5];
  let sum = 1.00000000019;
  c.forEach((k, i) => (sum += k / (x + 1 + i)));
  const t = x + 5.5;
  return (x + 0.5) * Math.log(t) - t + Math.log((2.50662827463 * sum) / x);
}

/** P(chi-squared of k degrees of freedom <= x), by the series of the incomplete gamma function. */
export function chi2Below(k: number, x: number): number {
  const [s, h] = [k / 2, x / 2];
  if (h <= 0) return 0;
  if (h > s + 40 * Math.sqrt(s) + 200) return 1;
  let term = 1 / s;
  let sum = term;
  for (let n = 1; n < 10000 && term > 1e-16 * sum; n++) sum += term *= h / (s + n);
  return Math.min(1, sum * Math.exp(s * Math.log(h) - h - lnGamma(s)));
}

/** Mean of a mean square of k values of unit variance, among those below `limit`. */
export const meanBelow = (k: number, limit: number): number => chi2Below(k + 2, k * limit) / Math.max(chi2Below(k, k * limit), 1e-300);
