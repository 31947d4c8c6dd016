// kpn/dup: dE/dO of a level from the finer one's, the exact transpose of up2 (SPEC 2); variant part: of I.a g alone.
import { useDevice } from '../unit/gpu-harness.js';
import { batchOf, caseOf } from './batch.js';
import { runNodes } from './harness.js';
import { combinations, testKernel } from './kernel-test.js';
import { Tensors, checkDup, checkPart, onLevels } from './step-check.js';
import { bytesOf, values } from './step-run.js';

const gpu = useDevice();
const factors = { pyramid: ['box', 'binomial'], up: ['bspline', 'bilinear'], shape: [[1, 1, 2], [2, 1, 3], [3, 5, 3], [12, 17, 4]] } as const;

test.each(combinations({ chroma: [false, true], combine: ['blend', 'prediff'], ...factors } as const))('variant f32: %s', async (_, row) => {
  const { chroma, combine, pyramid, up, shape: [width, height, levels] } = row;
  const c = caseOf({ chroma, combine, pyramid, up, levels }, [width, height], 3);
  // In place: level 0 is the loss's.
  await testKernel(gpu.device, c, { label: /^dup /, outputs: [], check: (t) => onLevels(checkDup, t, undefined, 1) });
});

test.each(combinations({ chroma: [false, true], ...factors } as const))('variant part: %s', async (_, row) => {
  const { chroma, pyramid, up, shape: [width, height, levels] } = row;
  const c = caseOf({ chroma, combine: 'postdiff', pyramid, up, levels }, [width, height], 2);
  await testKernel(gpu.device, c, { label: /^part /, outputs: ['up2T'], check: (t) => onLevels(checkPart, t, undefined, 1) });
});

test.each([['blend', false], ['postdiff', false], ['blend', true], ['postdiff', true]] as const)('%s, chroma %p: where no gradient is, I may be anything', async (combine, chroma) => {
  const c = caseOf({ combine, chroma, levels: 2 }, [6, 4], 1);
  const { contents } = batchOf(c);
  const I = values(contents.get('I')!, 'f32');
  const g = values(contents.get('dEdO')!, 'f32');
  for (const [p, bad] of [[0, NaN], [9, Infinity], [13, -Infinity]] as const) {
    I.fill(bad, 4 * p, 4 * p + 4);
    g.fill(0, 4 * p, 4 * p + 3);
  }
  contents.set('I', bytesOf(I, 'f32')).set('dEdO', bytesOf(g, 'f32'));
  const t = new Tensors(c, await runNodes(gpu.device, c, combine === 'blend' ? /^dup / : /^part /, contents), 1);
  onLevels(combine === 'blend' ? checkDup : checkPart, t, undefined, 1);
});
