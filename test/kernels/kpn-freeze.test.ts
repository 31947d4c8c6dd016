// kpn/freeze: frame 0's data are copied, later frames' are not (SPEC 7).
import { useDevice } from '../unit/gpu-harness.js';
import { batchOf, caseOf, stateBytes } from './batch.js';
import { nodesOf, poison, runKernel } from './harness.js';

const gpu = useDevice();

test.each(['input', 'ref', 'noiseab'])('%s: copied in frame 0 alone, whatever its format', async (name) => {
  const c = caseOf({}, [13, 9], 3, { params: { deriv: 1 }, formats: { input: 'f32', ref: 'f16' } });
  const [node] = await nodesOf(gpu.device, c, new RegExp(`^freeze ${name}$`));
  const [, live, frozen] = node!.uses.map((use) => use.name) as [string, string, string];
  expect(frozen).toBe(`frozen ${name}`);
  const { contents } = batchOf(c);
  const before = poison(node!.uses[2]!.bytes);
  const run = async (frame: number): Promise<Uint8Array> => {
    const dispatch = { ...node!, uses: node!.uses.map((use) => (use.name === frozen ? { ...use, access: 'rw' as const } : use)) };
    return (await runKernel(gpu.device, dispatch, new Map([...contents, ['state', stateBytes({ 0: frame })], [frozen, before]]))).get(frozen)!;
  };
  expect(Buffer.compare(await run(0), contents.get(live)!)).toBe(0);
  for (const frame of [1, 7]) expect(Buffer.compare(await run(frame), before)).toBe(0);
});
