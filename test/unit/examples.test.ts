// The training graphs in examples/ as they are: two frames of smaller tiles on the device.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadSpirv } from '../../ts/gpu/index.js';
import { runGraph } from '../../ts/graph/run.js';
import { PRESETS, weightsText, type ModelSpec } from '../../ts/model/spec.js';
import { modules } from '../../ts/modules/index.js';
import { readState } from '../../ts/modules/kpn-t/state.js';
import type { KpnT } from '../../ts/modules/kpn-t/kpn-t.js';
import { readWeights } from '../../ts/quality/denoiser.js';
import { packageRoot } from '../../ts/root.js';
import { useDevice } from './gpu-harness.js';

const gpu = useDevice();

/** Two frames of it. What kpn-t was, and the weights' bytes. */
async function run(name: 'photo' | 'best' | 'wnorm', config: string[] = []): Promise<{ spec: ModelSpec; updates: number; bytes: Buffer }> {
  const file = join(packageRoot, 'examples', `train-${name}.cfg`);
  const dir = mkdtempSync(join(tmpdir(), 'vkpn-examples-'));
  try {
    let found: { spec: ModelSpec; updates: number } | undefined;
    await runGraph({
      file, text: readFileSync(file, 'utf8'), registry: modules, config: ['frames:2', 'param:cnngenin:01:batch:2', 'param:cnngenin:01:size:16', `param:o-lut:w:filename:${join(dir, 'w')}`, ...config],
      device: () => gpu.device, loadSpirv, lastFrameOnly: true, maxSlice: 1,
      inspect: async (access) => {
        const trained = access.instance('kpn-t:01') as KpnT;
        found = { spec: trained.spec, updates: readState(await access.readBuffer(trained.buffers.state)).updates };
      },
    });
    return { ...found!, bytes: readFileSync(join(dir, 'w.lut')) };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test.each([
  ['photo', PRESETS.photo],
  ['best', PRESETS.best],
  ['wnorm', { ...PRESETS.best, context: 'wnorm', chroma: true, loss: 'rel' }],
] as const)('train-%s.cfg: trains the network it says; the same graph leaves the same file, another seed another', async (name, network) => {
  const { spec, updates, bytes } = await run(name);
  expect(spec).toEqual(network);
  expect(updates).toBeGreaterThan(0);
  expect((await run(name)).bytes.equals(bytes)).toBe(true);
  expect((await run(name, ['param:cnngenin:01:seed:2'])).bytes.equals(bytes)).toBe(false);
  expect((await run(name, ['param:cnngenin:01:hilite:0'])).bytes.equals(bytes)).toBe(false);
});

test.each(['photo', 'best'] as const)('weights/%s.lut: of the preset, trained by a graph that says what train-%s.cfg says', async (preset) => {
  const lines = (...path: string[]): string[] => readFileSync(join(packageRoot, ...path), 'utf8').split('\n').filter((line) => !line.startsWith('#')).map((line) => line.replace('../examples/', ''));
  expect(lines('weights', `${preset}.cfg`)).toEqual(lines('examples', `train-${preset}.cfg`));
  const { shape } = await readWeights(join(packageRoot, 'weights', `${preset}.lut`));
  expect(shape.text).toBe(weightsText(PRESETS[preset]));
});
