// Line charts as SVG, coloured by the page's CSS variables so that they are legible in light and dark. Pure.

import { legible } from '../modules/kpn-t/drawing.js';
import { linearTicks, logTicks } from '../modules/kpn-t/pictures.js';

export interface Series {
  name: string;
  points: readonly (readonly [x: number, y: number])[];
  /** CSS class: its colour. */
  style: string;
  dashed?: boolean;
}

const [W, H] = [720, 300];
const edge = { left: 62, right: 36, top: 12, bottom: 42 };

export const escape = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

/** A chart with its axes; `log`: of y. Points that aren't finite are left out. */
export function lineChart(title: string, series: readonly Series[], yName: string, log = false): string {
  const usable = ([x, y]: readonly [number, number]): boolean => Number.isFinite(x) && Number.isFinite(y) && (!log || y > 0);
  const all = series.flatMap((s) => s.points.filter(usable));
  if (all.length === 0) return '<p class="none">Nothing was measured.</p>';
  const scale = (y: number): number => (log ? Math.log10(y) : y);
  const range = (values: readonly number[]): [number, number] => values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  const [x0, x1] = range(all.map((p) => p[0]));
  let [y0, y1] = range(all.map((p) => scale(p[1])));
  const room = Math.max((y1 - y0) * 0.06, 1e-3);
  [y0, y1] = [y0 - room, y1 + room];
  const px = (x: number): number => edge.left + ((x - x0) / Math.max(x1 - x0, 1)) * (W - edge.left - edge.right);
  const py = (y: number): number => H - edge.bottom - ((scale(y) - y0) / (y1 - y0)) * (H - edge.top - edge.bottom);
  const at = (v: number): string => v.toFixed(1);
  const yTicks = log ? logTicks(10 ** y0, 10 ** y1) : linearTicks(y0, y1, 6);
  const grid = yTicks.map((t) => `<line class="grid" x1="${edge.left}" x2="${W - edge.right}" y1="${at(py(t))}" y2="${at(py(t))}"/><text x="${edge.left - 7}" y="${at(py(t) + 4)}" text-anchor="end">${legible(t)}</text>`);
  const xTicks = linearTicks(x0, x1, 6).map((t) => `<text x="${at(px(t))}" y="${H - edge.bottom + 17}" text-anchor="middle">${legible(t)}</text>`);
  const lines = series.map((s) => {
    const points = s.points.filter(usable);
    const path = points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${at(px(x))} ${at(py(y))}`).join('');
    const dots = points.length <= 30 && !s.dashed ? points.map(([x, y]) => `<circle class="${s.style}" cx="${at(px(x))}" cy="${at(py(y))}" r="3"/>`).join('') : '';
    return `<path class="line ${s.style}${s.dashed ? ' dashed' : ''}" d="${path}"/>${dots}`;
  });
  const key = series.map((s) => `<span><i class="${s.style}${s.dashed ? ' dashed' : ''}"></i>${escape(s.name)}</span>`).join('');
  return `<figure><svg viewBox="0 0 ${W} ${H}" role="img" aria-label="${escape(title)}">${grid.join('')}${xTicks.join('')}<text x="${W - edge.right}" y="${H - 3}" text-anchor="end">frame</text><text transform="translate(17 ${H / 2}) rotate(-90)" text-anchor="middle">${escape(yName)}</text>${lines.join('')}</svg><figcaption class="key">${key}</figcaption></figure>`;
}

/** At most `most` points of a long series: means of parts, in log space where all are above 0. */
export function thin(values: ArrayLike<number>, first: number, most: number): [number, number][] {
  const step = Math.max(1, Math.ceil(values.length / most));
  const points: [number, number][] = [];
  for (let i = 0; i < values.length; i += step) {
    const part = Array.from({ length: Math.min(step, values.length - i) }, (_, k) => values[i + k]!).filter((v) => Number.isFinite(v) && v > 0);
    if (part.length > 0) points.push([first + i + (step - 1) / 2, Math.exp(part.reduce((s, v) => s + Math.log(v), 0) / part.length)]);
  }
  return points;
}
