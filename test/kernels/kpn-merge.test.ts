// kpn/merge: O of a level under postdiff, from I, down(I) and the coarser O (SPEC 1.6), whatever those hold.
import { useDevice } from '../unit/gpu-harness.js';
import { finished } from './denoise-check.js';
import { combined } from './expected.js';
import { filteredContents, shrinkCase } from './inference-cases.js';
import { pictureOf, runInference } from './inference-run.js';
import { combinations } from './kernel-test.js';
import { compare } from './step-check.js';

const gpu = useDevice();

const rows = combinations({ chroma: [false, true], pyramid: ['box', 'binomial'], up: ['bspline', 'bilinear'], shape: [[1, 1, 3], [7, 1, 4], [1, 6, 2], [23, 14, 5]], strength: [1, 0.25], limits: [[0, 0], [2, 3]] } as const);

test.each(rows)('%s', async (_, { chroma, pyramid, up, shape: [width, height, levels], strength, limits }) => {
  const c = { ...shrinkCase({ chroma, combine: 'postdiff', pyramid, up, levels }, [width, height], 'f16'), strength, limits };
  const snapshot = await runInference(gpu.device, c, /^merge/, filteredContents(c));
  for (let tile = 0; tile < c.inputs.length; tile++)
    for (let i = 0; i + 1 < levels; i++) {
      const at = (name: string, level: number, channels = 3, part = 0) => pictureOf(c, snapshot, name, level, tile, channels, part);
      const parts = chroma ? [0, 1] : [0];
      const whole = combined(c.model, parts.map((k) => at(`I ${i}`, i, 4, k)), at(`O ${i + 1}`, i + 1), parts.map((k) => ({ image: at(`down ${i}`, i + 1, 3, k) })));
      const given = at('img', 0).data;
      const { value, bound } = i === 0 ? finished(given, whole, { noise: c.noise, limits, strength }) : whole;
      compare(`O ${i}`, at(i === 0 ? 'output' : `O ${i}`, i).data, { value, bound, stored: 1 });
    }
});
