// npm run demo: builds, trains on the sample photographs through the command, denoises a photograph that was not among them, and
// says how well. All it makes lies in demo/.
import { mkdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import sharp from 'sharp';
import { root, run, since } from './run.mjs';

const out = join(root, 'demo');
const shown = (name) => relative(process.cwd(), join(out, name));

/** Runs a command in demo/, where its sinks write. Ends the demo if it fails. */
async function step(what, command, args, cwd) {
  console.log(`\n${what}`);
  const { code } = await run(command, args, { cwd });
  if (code !== 0) process.exit(code);
}
const vkpn = (what, graph, ...args) => step(what, process.execPath, [join(root, 'bin', 'vkpn'), 'cli', '-g', join(root, 'examples', graph), ...args], out);

/** A PNG of 16 bits as written by o-png: sRGB-encoded values, three a pixel. */
async function pixels(name) {
  const { data, info } = await sharp(join(out, name)).removeAlpha().toColourspace('rgb16').raw({ depth: 'ushort' }).toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, values: new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2) };
}

/** Peak signal to noise ratio in dB. */
function psnr(a, b) {
  const squares = a.values.reduce((sum, value, i) => sum + ((value - b.values[i]) / 65535) ** 2, 0);
  return -10 * Math.log10(squares / a.values.length);
}

/** The middle of each picture, side by side, as 8-bit PNG. */
async function sideBySide(names, file) {
  const { width, height } = await sharp(join(out, names[0])).metadata();
  const size = Math.min(width, height);
  const gap = 8;
  const area = { left: (width - size) >> 1, top: (height - size) >> 1, width: size, height: size };
  const parts = await Promise.all(names.map((name) => sharp(join(out, name)).extract(area).toColourspace('srgb').png().toBuffer()));
  await sharp({ create: { width: names.length * (size + gap) - gap, height: size, channels: 3, background: 'white' } })
    .composite(parts.map((input, i) => ({ input, left: i * (size + gap), top: 0 })))
    .png()
    .toFile(join(out, file));
}

// Ctrl-C reaches the command too, which ends the training early and writes its weights: what follows goes on with these.
process.on('SIGINT', () => {});

const start = performance.now();
mkdirSync(out, { recursive: true });
await step('Building', process.execPath, [join(root, 'scripts', 'build.mjs')], root);
await vkpn('Training on eight photographs, with noise added to them (examples/demo.cfg)', 'demo.cfg', '--last-frame-only', '--progress');
const weights = `param:i-lut:w:filename:${join(out, 'weights.lut')}`;
await vkpn('Denoising a ninth (examples/demo-denoise.cfg)', 'demo-denoise.cfg', '--last-frame-only', '--config', weights);

const [noisy, denoised, reference] = await Promise.all(['noisy.png', 'denoised.png', 'reference.png'].map(pixels));
await sideBySide(['noisy.png', 'denoised.png', 'reference.png'], 'demo.png');
const [before, after] = [psnr(noisy, reference), psnr(denoised, reference)];
console.log(`
PSNR on a photograph it did not train on (examples/photos/test_0000.jpg, sRGB-encoded): ${before.toFixed(2)} dB noisy, ${after.toFixed(2)} dB denoised (${(after - before).toFixed(2)} dB better)
Picture, noisy | denoised | reference: ${shown('demo.png')}
Weights: ${shown('weights.lut')}
Done in ${since(start)}.`);
