// Positive control of the validated runs (scripts/test.mjs): two dispatches, the second reads what the first wrote, no barrier
// between them (synchronisation validation must call it a hazard), and writes past the range that it is given (GPU-assisted
// validation must see it). Were the layer not loaded or set up wrongly, it would be silent about everything.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile } from 'glslang-validator';
import { openDevice } from '../../dist/gpu/index.js';

const scratch = mkdtempSync(join(tmpdir(), 'vkpn-control-'));
try {
  const output = join(scratch, 'copy.spv');
  await compile({ source: join(dirname(fileURLToPath(import.meta.url)), 'copy.comp'), output });
  const device = openDevice({ index: 0, cacheDir: null });
  const buffers = ['a', 'b', 'c'].map((name) => device.buffer(name, 256));
  const kernel = device.kernel({ name: 'copy', spirv: readFileSync(output), bindings: ['storage', 'storage'] });
  const copy = (from, to, bytes) => ({ op: 'dispatch', kernel, bindings: [{ buffer: buffers[from] }, { buffer: buffers[to], bytes }], groups: [1, 1, 1] });
  const program = device.program([copy(0, 1, 256), copy(1, 2, 128)], 'without a barrier, past the end');
  await program.run(1);
  program.destroy();
  for (const buffer of buffers) buffer.destroy();
  device.close();
} finally {
  rmSync(scratch, { recursive: true });
}
