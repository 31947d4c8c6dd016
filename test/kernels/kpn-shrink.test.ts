// kpn/shrink: the next level of a picture that is read, of one that is stored, and of I under postdiff (SPEC 1.2).
import { makeImage, toHalf } from '../reference/index.js';
import { useDevice } from '../unit/gpu-harness.js';
import { downOnce } from './expected.js';
import { filteredContents, shrinkCase } from './inference-cases.js';
import { pictureOf, runInference } from './inference-run.js';
import { combinations } from './kernel-test.js';
import { compare } from './step-check.js';

const gpu = useDevice();

const rows = combinations({ pyramid: ['box', 'binomial'], format: ['f16', 'f32'], shape: [[1, 1, 3], [7, 1, 4], [1, 6, 2], [70, 33, 7]] } as const);

test.each(rows)('%s', async (_, { pyramid, format, shape: [width, height, levels] }) => {
  const c = shrinkCase({ pyramid, levels }, [width, height], format);
  const snapshot = await runInference(gpu.device, c, /^shrink/);
  for (let tile = 0; tile < c.inputs.length; tile++)
    for (let i = 0; i + 1 < levels; i++)
      compare(`M ${i + 1}`, pictureOf(c, snapshot, `M ${i + 1}`, i + 1, tile).data, downOnce(c.model, pictureOf(c, snapshot, i === 0 ? 'img' : `M ${i}`, i, tile), true));
});

test('a picture in f32 is read as it is, not as f16', async () => {
  const c = shrinkCase({ levels: 2 }, [2, 2], 'f32');
  const tiny = 1 + 2 ** -12; // rounds to 1
  const odd = { ...c, inputs: [makeImage(2, 2, 3, new Float64Array(12).fill(tiny).map((v, i) => (i < 6 ? v : 1 + 2 ** -10)))] };
  const snapshot = await runInference(gpu.device, odd, /^shrink/);
  expect(pictureOf(odd, snapshot, 'M 1', 1, 0).data[0]).toBe(toHalf((tiny + 1 + 2 ** -10) / 2));
});

test.each([false, true])('down(I), under postdiff, chroma %p', async (chroma) => {
  const c = shrinkCase({ combine: 'postdiff', chroma, levels: 3 }, [13, 6], 'f16');
  const snapshot = await runInference(gpu.device, c, /^down/, filteredContents(c));
  for (let part = 0; part < (chroma ? 2 : 1); part++)
    for (let i = 0; i < 2; i++)
      compare(`down ${i}`, pictureOf(c, snapshot, `down ${i}`, i + 1, 1, 3, part).data, downOnce(c.model, pictureOf(c, snapshot, `I ${i}`, i, 1, 3, part), true));
});
