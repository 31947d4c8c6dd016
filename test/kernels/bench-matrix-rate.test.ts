// bench/matrix-rate: the sums of its products, by a formula that does not know that `vkpn bench` gives negatives.
import { launchOfSubgroups } from '../../ts/bench/subgroups.js';
import { testedPath, type MatrixPath } from '../../ts/gpu/matrix.js';
import { random } from '../reference/index.js';
import { useDevice } from '../unit/gpu-harness.js';
import { runKernel } from './harness.js';
import { PATHS } from './paths.js';
import { bytesOf, values } from './step-run.js';

const gpu = useDevice();
const [MS, NS, GROUPS] = [2, 4, 3];

const cases = PATHS.filter((path) => path !== 'plain').flatMap((path) => (['f32', 'f16'] as const).map((sums) => ({ path: path as MatrixPath, sums })));

(cases.length > 0 ? describe : describe.skip)('matrices', () => {
  test.each(cases.length > 0 ? cases : [{ path: 'khr' as const, sums: 'f32' as const }])('$path, $sums', async ({ path, sums }) => {
    const state = testedPath(gpu.device.info, path);
    if (!('shape' in state)) throw new Error(state.why);
    const { m, n, k } = state.shape;
    const next = random(3);
    const small = (count: number): Float64Array => Float64Array.from({ length: count }, () => Math.floor(5 * next()) / 2 - 1); // halves up to 1: exact in f16 too
    const a = small(MS * m * k);
    const b = small(2 * NS * k * n);
    const turns = 3;
    const want = new Float64Array(m * n);
    for (let i = 0; i < MS; i++)
      for (let j = 0; j < 2 * NS; j++)
        for (let row = 0; row < m; row++)
          for (let column = 0; column < n; column++)
            for (let inner = 0; inner < k; inner++)
              want[row * n + column]! += (j < NS ? turns + 1 : turns) * a[(i * m + row) * k + inner]! * b[(j * k + inner) * n + column]!;
    const { launch, perGroup } = launchOfSubgroups(gpu.device.info, state.shape, 4);
    const variant = `${path}${sums === 'f16' ? '.f16' : ''}${gpu.device.info.type === 'cpu' ? '.rolled' : ''}`;
    const factors = bytesOf([...a, ...b], 'f16');
    const result = await runKernel(gpu.device, {
      kernel: 'bench/matrix-rate', variant, ...launch, groups: [GROUPS, 1, 1], push: new Uint8Array(Uint32Array.of(turns).buffer),
      uses: [{ name: 'factors', access: 'r', bytes: factors.byteLength }, { name: 'sums', access: 'w', bytes: GROUPS * perGroup * m * n * (sums === 'f32' ? 4 : 2) }],
    }, new Map([['factors', factors]]));
    const got = values(result.get('sums')!, sums);
    for (let s = 0; s < GROUPS * perGroup; s++) expect(got.subarray(s * m * n, (s + 1) * m * n)).toEqual(want);
  });
});
