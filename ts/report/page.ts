// The report of a training as one page of HTML: no script, no network, pictures inside. Pure.

import { smoothedLog } from '../modules/kpn-t/pictures.js';
import type { Validated } from '../quality/validation.js';
import { escape, lineChart, thin } from './charts.js';

export interface Crop {
  level: string;
  /** PNG. */
  noisy: Uint8Array;
  denoised: Uint8Array;
  /** sRGB-encoded, dB. */
  before: number;
  after: number;
}

export interface Report {
  title: string;
  /** Said at the top: the results, a name and a value each. */
  facts: readonly (readonly [string, string])[];
  settings: readonly (readonly [string, string])[];
  timings: readonly (readonly [string, string])[];
  /** A frame each, from frame 0. */
  loss: Float32Array;
  validations: readonly Validated[];
  /** Of one picture. */
  crops: { file: string; reference: Uint8Array; levels: readonly Crop[] } | undefined;
  /** PNG of weights and dE/dw. */
  weights: Uint8Array;
  graph: string;
}

const MOST_POINTS = 700;

const style = `
:root{--paper:#fbfbf9;--card:#fff;--ink:#20242b;--soft:#646b76;--rule:#e3e5e8;--a:#2563a8;--b:#c2571a;--c:#2e8540;color-scheme:light dark}
@media(prefers-color-scheme:dark){:root{--paper:#14161a;--card:#1d2026;--ink:#e4e6ea;--soft:#9aa2ae;--rule:#333842;--a:#6fb1f2;--b:#f0975a;--c:#71c785}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,"Segoe UI","DejaVu Sans",sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 18px 60px}h1{font-size:1.6rem;margin:0 0 .2em}h2{font-size:1.12rem;margin:2.2em 0 .6em}p{margin:.3em 0 .9em;color:var(--soft)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin-top:18px}.facts div{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:10px 13px}
.facts b{display:block;font-size:1.25rem;font-variant-numeric:tabular-nums}.facts span{color:var(--soft);font-size:.85rem}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:14px}
figure{margin:0;background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:12px}figure svg,figure img{display:block;width:100%;height:auto}
svg text{fill:var(--soft);font-size:12px}.cards svg text{font-size:17px}@media(max-width:560px){svg text{font-size:19px}.cards svg text{font-size:19px}}.grid{stroke:var(--rule)}.line{fill:none;stroke-width:2;stroke-linejoin:round}.dashed{stroke-dasharray:5 4}
path.a{stroke:var(--a)}path.b{stroke:var(--b)}path.c{stroke:var(--c)}circle.a{fill:var(--a)}circle.b{fill:var(--b)}circle.c{fill:var(--c)}path.faint{stroke:var(--a);opacity:.3;stroke-width:1}
.key{display:flex;flex-wrap:wrap;gap:4px 16px;margin-top:8px;font-size:.85rem;color:var(--soft)}.key i{display:inline-block;width:20px;border-top:3px solid;margin-right:6px;vertical-align:middle}
i.a{color:var(--a)}i.b{color:var(--b)}i.c{color:var(--c)}i.faint{color:var(--a);opacity:.35}i.dashed{border-top-style:dashed}
.crops{display:grid;grid-template-columns:repeat(3,1fr);gap:8px}.crops figure{padding:6px}.crops img,.crops svg{border-radius:4px}figcaption{font-size:.85rem;color:var(--soft);margin-top:6px}figcaption b{color:var(--ink)}
table{border-collapse:collapse;width:100%;font-size:.92rem}td,th{text-align:left;padding:5px 10px 5px 0;border-bottom:1px solid var(--rule);vertical-align:top;overflow-wrap:anywhere}td:first-child,th{color:var(--soft);font-weight:400}
td{font-variant-numeric:tabular-nums}.wide{overflow-x:auto}.cards+.wide{margin-top:14px}pre{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:12px;overflow-x:auto;font-size:.82rem;line-height:1.45}
.none{font-style:italic}.weights img{image-rendering:pixelated;background:#fff}
@media(max-width:560px){.crops{grid-template-columns:1fr 1fr}.crops .ref{display:none}body{font-size:15px}}
`;

const dataUrl = (png: Uint8Array): string => `data:image/png;base64,${Buffer.from(png).toString('base64')}`;
const image = (png: Uint8Array, alt: string): string => `<img alt="${escape(alt)}" src="${dataUrl(png)}">`;
const table = (rows: readonly (readonly [string, string])[]): string => `<table>${rows.map(([k, v]) => `<tr><td>${escape(k)}</td><td>${escape(v)}</td></tr>`).join('')}</table>`;
const dB = (x: number): string => `${x.toFixed(2)} dB`;

function validationParts(validations: readonly Validated[]): string {
  if (validations.length === 0) return '<p class="none">No pictures were held out, so nothing was validated.</p>';
  const styles = ['a', 'b', 'c'];
  const names = validations[0]!.levels.map((l) => l.level);
  const chart = (what: 'psnr' | 'ssim'): string => lineChart(`${what} over the frames`, names.flatMap((name, i) => {
    const style = styles[i % 3]!;
    const of = (pick: 'noisy' | 'denoised'): [number, number][] => validations.map((v) => [v.frame, (pick === 'noisy' ? v.levels[i]!.noisy : v.levels[i]!.denoised[0]!).srgb[what]]);
    return [{ name, points: of('denoised'), style }, { name: `${name}, noisy`, points: of('noisy'), style, dashed: true }];
  }), what === 'psnr' ? 'PSNR, dB' : 'SSIM');
  const last = validations.at(-1)!;
  const rows = last.levels.map((l) => [l.level, ...(['psnr', 'ssim'] as const).flatMap((w) => [l.noisy.srgb[w], l.denoised[0]!.srgb[w]].map((x) => x.toFixed(w === 'psnr' ? 2 : 4)))]);
  return `<p>Means over ${last.pictures} pictures that were held out, sRGB-encoded.</p><div class="cards">${chart('psnr')}${chart('ssim')}</div>
<div class="wide"><table><tr><th>noise</th><th>PSNR noisy</th><th>denoised</th><th>SSIM noisy</th><th>denoised</th></tr>${rows.map((r) => `<tr>${r.map((c) => `<td>${escape(c)}</td>`).join('')}</tr>`).join('')}</table></div>`;
}

function cropParts(crops: Report['crops']): string {
  if (!crops) return '<p class="none">The run ended before there were weights to show.</p>';
  const figures = crops.levels.flatMap((l, i) => [
    `<figure>${image(l.noisy, `noisy, ${l.level}`)}<figcaption><b>${escape(l.level)}</b> noisy, ${dB(l.before)}</figcaption></figure>`,
    `<figure>${image(l.denoised, `denoised, ${l.level}`)}<figcaption><b>${escape(l.level)}</b> denoised, ${dB(l.after)}</figcaption></figure>`,
    // One picture in the page, shown beside each.
    `<figure class="ref"><svg viewBox="0 0 1 1" role="img" aria-label="reference">${i === 0 ? `<image id="reference" width="1" height="1" href="${dataUrl(crops.reference)}"/>` : '<use href="#reference"/>'}</svg><figcaption>reference</figcaption></figure>`,
  ]);
  return `<p>The middle of ${escape(crops.file)}, noise added to it.</p><div class="crops">${figures.join('')}</div>`;
}

/** The page. */
export function reportPage(r: Report): string {
  let known = 1;
  const every = Array.from(r.loss, (v) => (known = Number.isFinite(v) && v > 0 ? v : known));
  const smooth = smoothedLog(every, Math.max(10, Math.round(every.length / 50)));
  const loss = lineChart('loss over the frames', [
    { name: 'each frame', points: thin(every, 0, MOST_POINTS), style: 'faint' },
    { name: 'smoothed', points: thin(smooth, 0, MOST_POINTS), style: 'a' },
  ], 'loss, mean a pixel', true);
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${escape(r.title)}</title><style>${style}</style></head>
<body><main><h1>${escape(r.title)}</h1>
<div class="facts">${r.facts.map(([k, v]) => `<div><b>${escape(v)}</b><span>${escape(k)}</span></div>`).join('')}</div>
<h2>Loss</h2>${loss}
<h2>Validation</h2>${validationParts(r.validations)}
<h2>Before and after</h2>${cropParts(r.crops)}
<h2>Weights</h2><p>Upper row: the weights, a block a layer; lower row: their last gradient.</p><figure class="weights wide">${image(r.weights, 'weights and gradient')}</figure>
<h2>Settings</h2><div class="cards"><div>${table(r.settings)}</div><div>${table(r.timings)}</div></div>
<h2>Graph</h2><pre>${escape(r.graph)}</pre>
</main></body></html>
`;
}
