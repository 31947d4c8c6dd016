// kpn/pack: weights as matrices hold them. Which of a tile's elements an invocation has is the driver's; that all tiles are held alike, none lost and none twice, is not.
import { useDevice } from '../unit/gpu-harness.js';
import type { Device } from '../../ts/gpu/types.js';
import { outputsOf, PRESETS, weightCount, type ModelSpec } from '../../ts/model/spec.js';
import { isPacked } from '../../ts/modules/kpn/path.js';
import { random, toHalf } from '../reference/index.js';
import { caseOf } from './batch.js';
import { nodesOf, poison } from './harness.js';
import { layerPath, packed } from './mlp-harness.js';
import { onConverting, PATHS } from './paths.js';
import { bytesOf, values } from './step-run.js';

const gpu = useDevice();

const on = PATHS.includes('khr') ? test : test.skip;
describe("variant 'khr'", () => {
  on.each([[32, 1, false], [32, 3, true], [64, 6, false], [128, 2, true]])('%d wide, %d layers, chroma %p', async (width, layers, chroma) => {
    const m: ModelSpec = { ...PRESETS.classic, width, layers, chroma };
    const path = layerPath(gpu.device, 'khr');
    if (path.name === 'plain') throw new Error('khr is plain');
    const { n, k } = path.tile;
    const count = weightCount(m), used = layers * width ** 2 + outputsOf(m) * width;
    const pack = async (weights: Float64Array): Promise<Float64Array> => {
      const all = await packed(gpu.device, m, 'khr', bytesOf(weights, 'f16'));
      expect(all.subarray(2 * used)).toEqual(poison(2 * (count - used))); // rows past the outputs are none
      return values(all, 'f16', 0, used);
    };
    // Where weight i lies: tiles (layer, column, k) one after the other, w by columns.
    const tileOf = (i: number): number => (Math.floor(i / width / n) * (width / k)) + Math.floor((i % width) / k);
    const inTile = (i: number): number => (Math.floor(i / width) % n) * k + ((i % width) % k);
    const order = await pack(Float64Array.from({ length: count }, (_, i) => inTile(i)));
    const first = [...order.subarray(0, n * k)];
    expect([...first].sort((a, b) => a - b)).toEqual(first.map((_, i) => i));
    for (let t = 0; t < used / (n * k); t++) expect([...order.subarray(t * n * k, (t + 1) * n * k)]).toEqual(first);
    const next = random(width + layers);
    const weights = Float64Array.from({ length: count }, () => toHalf(2 * next() - 1));
    const at = new Map(first.map((element, j) => [element, j]));
    const got = await pack(weights);
    const wrong = Array.from({ length: used }, (_, i) => i).filter((i) => got[tileOf(i) * n * k + at.get(inTile(i))!] !== weights[i]);
    expect(wrong).toEqual([]);
  });
});

/** Under context guide each level has a fwd of its own, and the coarse ones fewer pixels. */
onConverting.each([[1, false], [12, true]])('fwd of each level is given packed weights where its build takes these: %d tiles', async (tiles, packs) => {
  const gpuOf = { ...gpu.device, info: { ...gpu.device.info, type: 'discrete' } } as Device; // planned as a GPU's, not run
  const c = caseOf({ context: 'guide', width: 64, layers: 3 }, [64, 64], tiles, { path: 'khr' });
  const nodes = await nodesOf(gpuOf, c, /^(pack|fwd)/);
  const fwd = nodes.filter(({ kernel }) => kernel === 'kpn/fwd');
  expect(fwd.map(({ variant, uses }) => [isPacked({ variant: variant ?? '' }), uses.some(({ name }) => name === 'packed'), uses.some(({ name }) => name === 'w')])).toEqual(fwd.map((_, i) => (packs && i === 2 ? [true, true, false] : [false, false, true])));
  expect(nodes.length - fwd.length).toBe(packs ? 1 : 0);
});
