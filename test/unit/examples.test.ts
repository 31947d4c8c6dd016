// The training graphs in examples/ run as they are: checked whole, and two frames of smaller tiles on the device.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadSpirv } from '../../ts/gpu/index.js';
import { checkGraph, runGraph } from '../../ts/graph/run.js';
import { PRESETS } from '../../ts/model/spec.js';
import { modules } from '../../ts/modules/index.js';
import { readState } from '../../ts/modules/kpn-t/state.js';
import type { KpnT } from '../../ts/modules/kpn-t/kpn-t.js';
import { packageRoot } from '../../ts/root.js';
import { useDevice } from './gpu-harness.js';

const gpu = useDevice();

test.each(['photo', 'best'] as const)('train-%s.cfg', async (preset) => {
  const file = join(packageRoot, 'examples', `train-${preset}.cfg`);
  const source = { file, text: readFileSync(file, 'utf8'), registry: modules };
  expect((await checkGraph(source)).graph.frames).toBeGreaterThan(1000);
  const dir = mkdtempSync(join(tmpdir(), 'vkpn-examples-'));
  let updates = 0;
  let spec = {};
  await runGraph({
    ...source, config: ['frames:2', 'param:cnngenin:01:batch:2', 'param:cnngenin:01:size:16', `param:o-lut:w:filename:${join(dir, 'w')}`], device: () => gpu.device, loadSpirv, lastFrameOnly: true, maxSlice: 1,
    onSlice: async (_, access) => {
      const trained = access.instance('kpn-t:01') as KpnT;
      spec = trained.spec;
      updates = readState(await access.readBuffer(trained.buffers.state)).updates;
    },
  });
  rmSync(dir, { recursive: true });
  expect(spec).toEqual(PRESETS[preset]);
  expect(updates).toBeGreaterThan(0);
});
