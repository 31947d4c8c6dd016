// Device, buffers, kernels and programs of ts/gpu on the driver at hand.
import { GpuError } from '../../ts/errors.js';
import { listDevices, loadSpirv, openDevice, type Op } from '../../ts/gpu/index.js';
import { compileShader, doubleAdd, doubleAddOp, readWords, runScript, useDevice, words } from './gpu-harness.js';

const spirv = compileShader('double-add');
const holder = useDevice();

/** Runs `body` and gives the GpuError it throws. */
function errorOf(body: () => unknown): GpuError {
  try {
    body();
  } catch (error) {
    expect(error).toBeInstanceOf(GpuError);
    return error as GpuError;
  }
  throw new Error('nothing was thrown');
}

describe('devices', () => {
  test('are described with plausible numbers', () => {
    const devices = listDevices();
    expect(devices.length).toBeGreaterThan(0);
    devices.forEach((d, i) => {
      expect(d.index).toBe(i);
      expect(d.name).not.toBe('');
      expect(d.apiVersion).toMatch(/^1\.[1-9]\d*\.\d+$/);
      expect(d.deviceUuid).toMatch(/^[0-9a-f]{32}$/);
      expect(d.driverUuid).toMatch(/^[0-9a-f]{32}$/);
      expect(d.memoryBytes).toBeGreaterThan(1 << 28);
      expect(d.memoryBudget).toBeGreaterThan(0);
      expect(d.memoryBudget).toBeLessThanOrEqual(d.memoryBytes);
      const { min, size, max } = d.subgroup;
      for (const n of [min, size, max]) expect(Math.log2(n) % 1).toBe(0);
      expect(min <= size && size <= max).toBe(true);
      expect(d.limits.maxComputeWorkGroupSize).toHaveLength(3);
      expect(d.limits.maxStorageBufferRange).toBeGreaterThanOrEqual(1 << 27);
      expect(d.limits.minStorageBufferOffsetAlignment).toBeLessThanOrEqual(256);
    });
  });

  test('list matrix shapes exactly where they have the feature', () => {
    for (const { features, matrixShapes } of listDevices()) {
      expect(matrixShapes.khr.length > 0).toBe(features.khrCooperativeMatrix);
      expect(matrixShapes.nv.length > 0).toBe(features.nvCooperativeMatrix);
      expect(matrixShapes.nv2.length > 0).toBe(features.nvCooperativeMatrix2?.flexibleDimensions ?? false);
      for (const { m, n, k } of [...matrixShapes.khr, ...matrixShapes.nv, ...matrixShapes.nv2]) expect(m * n * k).toBeGreaterThan(0);
    }
  });

  test('of an index that does not exist', () => {
    const error = errorOf(() => openDevice({ index: 99 }));
    expect(error.code).toBe('NO_SUCH_DEVICE');
    expect(error.exitCode).toBe(2);
    expect(error.message).toContain(listDevices()[0]!.name);
  });

  test('closed: later use says so', () => {
    const device = openDevice({ index: 0, cacheDir: null });
    const buffer = device.buffer('b', 64);
    device.close();
    device.close();
    expect(errorOf(() => device.buffer('c', 64)).code).toBe('CLOSED');
    expect(errorOf(() => buffer.write(words(1))).code).toBe('CLOSED');
  });

  test('closed during a run: the run ends and the promise resolves', async () => {
    const device = openDevice({ index: 0, cacheDir: null });
    const [source, target] = [device.buffer('source', 256), device.buffer('target', 256)];
    const kernel = doubleAdd(device, spirv);
    const running = device.program([doubleAddOp(kernel, { buffer: source }, { buffer: target }, 0, 64)]).run(1e9);
    device.close();
    const { done } = await running;
    expect(done).toBeLessThan(1e9);
  });
});

describe('kernels built by a thread', () => {
  const desc = { name: 'double-add', spirv, bindings: ['storage', 'storage'] as ['storage', 'storage'], pushBytes: 8 };

  test('compute what others do, while a program runs; the same desc gives the same kernel, also while it is being built', async () => {
    const { device } = holder;
    const [source, target] = [device.buffer('source', 256), device.buffer('target', 256)];
    source.write(words(...Array.from({ length: 64 }, (_, i) => i)));
    target.fill(0);
    const running = device.program([doubleAddOp(doubleAdd(device, spirv, { 1: 3 }), { buffer: source }, { buffer: target }, 0, 64)]).run(200);
    const [one, two] = await Promise.all([device.buildKernel({ ...desc, spec: { 0: 64, 1: 5 } }), device.buildKernel({ ...desc, spec: { 0: 64, 1: 5 } })]);
    expect(two).toBe(one);
    expect(device.kernel({ ...desc, spec: { 0: 64, 1: 5 } })).toBe(one);
    await running;
    target.fill(7);
    await device.program([doubleAddOp(one, { buffer: source }, { buffer: target }, 2, 64)]).run(1);
    expect(await readWords(target)).toEqual(Array.from({ length: 64 }, (_, i) => 2 * 7 + i + 2 + 5));
  });

  test('what is wrong rejects, with its code', async () => {
    await expect(holder.device.buildKernel({ ...desc, spirv: words(1, 2, 3, 4, 5) })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    await expect(holder.device.buildKernel({ ...desc, subgroupSize: 1024 })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  test('a device that is closed meanwhile is freed once they are built', async () => {
    const device = openDevice({ index: 0, cacheDir: null });
    const building = device.buildKernel({ ...desc, spec: { 0: 64, 1: 9 } });
    device.close();
    await building;
    await expect(device.buildKernel(desc)).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

describe.each([{ host: false }, { host: true }])('buffers with %j', (options) => {
  test('give back what was written, parts too', async () => {
    const buffer = holder.device.buffer('b', 64, options);
    buffer.write(Uint32Array.from({ length: 16 }, (_, i) => i));
    buffer.write(Uint16Array.of(7, 8), 4);
    buffer.write(new Uint8Array([9, 9, 9, 9, 5]).subarray(4), 63);
    const all = await buffer.read();
    expect(all).toHaveLength(64);
    expect([...new Uint32Array(all.buffer).subarray(0, 15)]).toEqual([0, 0x80007, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    expect(all[63]).toBe(5);
    expect([...(await buffer.read(8, 5))]).toEqual([2, 0, 0, 0, 3]);
    expect(await buffer.read(64)).toHaveLength(0);
    buffer.destroy();
  });

  test('are filled with a pattern, parts too, and no further', async () => {
    const buffer = holder.device.buffer('b', 32, options);
    buffer.fill(0xdeadbeef);
    buffer.fill(-1, 8, 12);
    expect(await readWords(buffer)).toEqual([0xdeadbeef, 0xdeadbeef, 0xffffffff, 0xffffffff, 0xffffffff, 0xdeadbeef, 0xdeadbeef, 0xdeadbeef]);
    buffer.destroy();
  });

  test('refuse ranges beyond their end', () => {
    const buffer = holder.device.buffer('small', 16, options);
    const refused = [
      () => buffer.write(new Uint8Array(17)),
      () => buffer.write(new Uint8Array(1), 16),
      () => buffer.write(new Uint8Array(1), -1),
      () => buffer.write(new Uint8Array(1), 0.5),
      () => buffer.read(17),
      () => buffer.read(0, 17),
      () => buffer.read(NaN),
      () => buffer.fill(0, 0, 20),
      () => buffer.fill(0, 2, 4),
      () => buffer.fill(0, 0, 6),
      () => buffer.fill(2 ** 32),
      () => buffer.fill(0.5),
    ];
    for (const body of refused) {
      const error = errorOf(body);
      expect(error.code).toBe('BAD_ARGUMENT');
      expect(error.message).toContain('small');
    }
    buffer.destroy();
    expect(errorOf(() => buffer.write(words(1))).code).toBe('CLOSED');
    expect(errorOf(() => buffer.read()).code).toBe('CLOSED');
  });
});

test.each(['0', '1'])('a buffer larger than a staging piece survives the way there and back (VKPN_NO_MAP=%s)', (noMap) => {
  const child = runScript(
    `const device = gpu.openDevice({ index: 0, cacheDir: null });
     const buffer = device.buffer('large', (32 << 20) + 4096);
     const data = new Uint32Array(buffer.bytes / 4).map((_, i) => Math.imul(i, 2654435761));
     buffer.write(data);
     buffer.write(data.subarray(0, 2), 4096);
     buffer.fill(0xabababab, 4104, 8);
     data.set([data[0], data[1], 0xabababab, 0xabababab], 1024);
     console.log(Buffer.compare(await buffer.read(), Buffer.from(data.buffer)));
     console.log(Buffer.compare(await buffer.read(4096, 20), Buffer.from(data.buffer).subarray(4096, 4116)));
     console.log(device.validationMessages().length);
     device.close();`,
    { VKPN_NO_MAP: noMap },
  );
  expect(child).toMatchObject({ stdout: '0\n0\n0\n', status: 0 });
});

test('memory that is not there is refused with numbers, and the device goes on', async () => {
  const { device } = holder;
  for (const bytes of [2 ** 50, device.info.memoryBytes * 2]) {
    const error = errorOf(() => device.buffer('huge', bytes));
    expect(error.code).toBe('OUT_OF_MEMORY');
    expect(error.exitCode).toBe(2);
    expect(error.message).toMatch(/buffer huge needs \d+\.\d MB.* \d+\.\d MB are left/);
    expect(error.hint).toBeDefined();
  }
  for (const bytes of [0, -1, 1.5, NaN]) expect(errorOf(() => device.buffer('b', bytes)).code).toBe('BAD_ARGUMENT');
  const buffer = device.buffer('b', 4);
  buffer.fill(3);
  expect(await readWords(buffer)).toEqual([3]);
  buffer.destroy();
});

test('memory in use is counted', () => {
  // A fresh device: after some thirty allocations the allocator asks the driver anew, which may count other processes too.
  const device = openDevice({ index: 0, cacheDir: null });
  const before = device.memory();
  const buffer = device.buffer('b', 64 << 20);
  const during = device.memory();
  buffer.destroy();
  expect(before.budget).toBeGreaterThan(0);
  expect(during.usage - before.usage).toBeGreaterThanOrEqual(64 << 20);
  device.close();
});

describe('programs', () => {
  test('dispatch with bindings, push and specialisation constants', async () => {
    const { device } = holder;
    const source = device.buffer('source', 1024);
    const target = device.buffer('target', 1024);
    source.write(Uint32Array.from({ length: 256 }, (_, i) => 10 * i));
    target.write(Uint32Array.from({ length: 256 }, (_, i) => i));
    const kernel = doubleAdd(device, spirv, { 0: 32, 1: 1000, 2: { f: 500.5 } });
    const program = device.program([{ op: 'dispatch', kernel, bindings: [{ buffer: source }, { buffer: target }], push: words(7, 200), groups: [8, 1, 1] }]);
    expect((await program.run(1)).done).toBe(1);
    const expected = Array.from({ length: 256 }, (_, i) => (i < 200 ? 12 * i + 1507 : i));
    expect(await readWords(target)).toEqual(expected);
    const negated = device.program([doubleAddOp(doubleAdd(device, spirv, { 3: true }), { buffer: source }, { buffer: target }, 0, 1)]);
    await negated.run(1);
    expect((await readWords(target, 0, 8))[0]).toBe(~(2 * 1507) >>> 0);
    for (const p of [program, negated]) p.destroy();
    for (const b of [source, target]) b.destroy();
  });

  test('write views and nothing beside them', async () => {
    const { device } = holder;
    const step = Math.max(64, device.info.limits.minStorageBufferOffsetAlignment);
    const source = device.buffer('source', 3 * step);
    const target = device.buffer('target', 3 * step);
    source.fill(5);
    target.fill(0xabababab);
    target.fill(0, step, step);
    // The kernel would write 64 words; the view's own words are the last it may touch.
    const kernel = doubleAdd(device, spirv);
    const program = device.program([doubleAddOp(kernel, { buffer: source, offset: step, bytes: step }, { buffer: target, offset: step, bytes: step }, 1, step / 4)]);
    await program.run(3);
    const n = step / 4;
    expect(await readWords(target)).toEqual(Array.from({ length: 3 * n }, (_, i) => (i >= n && i < 2 * n ? 42 : 0xabababab)));
    for (const gone of [program, source, target]) gone.destroy();
  });

  test('copy and fill parts, in order with dispatches', async () => {
    const { device } = holder;
    const source = device.buffer('source', 64);
    const target = device.buffer('target', 64);
    source.write(Uint32Array.from({ length: 16 }, (_, i) => i + 1));
    target.fill(0);
    const kernel = doubleAdd(device, spirv);
    const ops: Op[] = [
      { op: 'copy', src: { buffer: source, offset: 8 }, dst: { buffer: target, offset: 16 }, bytes: 12 },
      { op: 'fill', dst: { buffer: target, offset: 4 }, value: 100, bytes: 8 },
      { op: 'barrier' },
      { op: 'barrier' },
      doubleAddOp(kernel, { buffer: source }, { buffer: target }, 0, 16),
      { op: 'barrier' },
      { op: 'copy', src: { buffer: target }, dst: { buffer: target, offset: 32 }, bytes: 4 },
    ];
    const program = device.program(ops);
    await program.run(1);
    expect(await readWords(target)).toEqual([1, 202, 203, 4, 11, 14, 17, 8, 1, 10, 11, 12, 13, 14, 15, 16]);
    for (const gone of [program, source, target]) gone.destroy();
  });

  test('of barriers alone, and of nothing, run', async () => {
    for (const ops of [[], [{ op: 'barrier' }, { op: 'barrier' }]] as Op[][]) {
      const program = holder.device.program(ops);
      expect((await program.run(5)).done).toBe(5);
      expect((await program.run(0)).done).toBe(0);
      expect((await program.run(2, { timestamps: true })).opNs).toEqual(ops.map(() => 0));
      program.destroy();
    }
  });

  test('give the same kernel for the same desc, another for another', () => {
    const { device } = holder;
    expect(doubleAdd(device, spirv)).toBe(doubleAdd(device, spirv));
    expect(doubleAdd(device, spirv, { 1: 2 })).not.toBe(doubleAdd(device, spirv, { 1: 3 }));
  });

  test('refuse what Vulkan would not check', () => {
    const { device } = holder;
    const { limits } = device.info;
    const a = device.buffer('a', 1024);
    const b = device.buffer('b', 1024);
    const gone = device.buffer('gone', 64);
    gone.destroy();
    const kernel = doubleAdd(device, spirv);
    const good = doubleAddOp(kernel, { buffer: a }, { buffer: b }, 0, 64) as Extract<Op, { op: 'dispatch' }>;
    const binding = (view: object): Op => ({ ...good, bindings: [{ buffer: a }, { buffer: b, ...view }] });
    const copy = (src: object, dst: object, bytes: number): Op => ({ op: 'copy', src: { buffer: a, ...src }, dst: { buffer: b, ...dst }, bytes });
    const refused: [Op, RegExp][] = [
      [{ ...good, bindings: [{ buffer: a }] }, /op 1.*has 2 bindings, not 1/],
      [{ ...good, push: words(1) }, /takes 8 bytes of push constants, not 4/],
      [{ ...good, groups: [0, 1, 1] }, /0 workgroups in x/],
      [{ ...good, groups: [1, limits.maxComputeWorkGroupCount[1] + 1, 1] }, /workgroups in y/],
      [{ ...good, groups: [1, 1, 1.5] }, /1.5 workgroups in z/],
      [binding({ offset: 4 }), new RegExp(`offset 4 into buffer b is not a multiple of ${limits.minStorageBufferOffsetAlignment}`)],
      [binding({ offset: 1024 }), /0 bytes of buffer b/],
      [binding({ offset: 1040 }), /binding 1/],
      [binding({ bytes: 1028 }), /bytes 0 to 1028 reach beyond its 1024/],
      [binding({ buffer: gone }), /destroyed/],
      [copy({}, {}, 1025), /beyond its 1024/],
      [copy({}, { offset: 1020 }, 8), /beyond/],
      [copy({ bytes: 4 }, {}, 8), /view of buffer a/],
      [copy({}, {}, 0), /0 bytes/],
      [copy({}, { buffer: a, offset: 4 }, 8), /overlap/],
      [{ op: 'fill', dst: { buffer: a, offset: 2 }, value: 0, bytes: 4 }, /multiples of 4/],
      [{ op: 'fill', dst: { buffer: a }, value: 0, bytes: 1028 }, /beyond/],
    ];
    for (const [op, message] of refused) {
      const error = errorOf(() => device.program([{ op: 'barrier' }, op], 'bad'));
      expect(error.message).toMatch(message);
      expect(['BAD_ARGUMENT', 'CLOSED']).toContain(error.code);
    }
    for (const buffer of [a, b]) buffer.destroy();
  });

  test('bind uniform buffers, made as such', async () => {
    const { device } = holder;
    const uniform = device.buffer('uniform', 64, { uniform: true });
    const plain = device.buffer('plain', 64);
    const target = device.buffer('target', 64);
    uniform.write(Uint32Array.from({ length: 16 }, (_, i) => i * i));
    const kernel = device.kernel({ name: 'uniform', spirv: compileShader('uniform'), bindings: ['uniform', 'storage'] });
    const op = (buffer: typeof uniform): Op => ({ op: 'dispatch', kernel, bindings: [{ buffer }, { buffer: target }], groups: [1, 1, 1] });
    const program = device.program([op(uniform)]);
    await program.run(1);
    expect(await readWords(target)).toEqual(Array.from({ length: 16 }, (_, i) => i * i + 1));
    expect(errorOf(() => device.program([op(plain)])).message).toMatch(/plain was not made with/);
    for (const gone of [program, uniform, plain, target]) gone.destroy();
  });
});

describe('kernels', () => {
  test('of what is not SPIR-V are refused', () => {
    for (const bytes of [new Uint8Array(0), new Uint8Array(64), spirv.subarray(0, 21)]) {
      expect(errorOf(() => holder.device.kernel({ name: 'k', spirv: bytes, bindings: [] })).message).toMatch(/kernel k: this is not SPIR-V/);
    }
  });

  test('with too many push constants, fractional constants, odd subgroup sizes are refused', () => {
    const desc = { name: 'k', spirv, bindings: ['storage', 'storage'] as ['storage', 'storage'], pushBytes: 8 };
    const most = holder.device.info.limits.maxPushConstantsSize;
    expect(errorOf(() => holder.device.kernel({ ...desc, pushBytes: most + 4 })).code).toBe('BAD_ARGUMENT');
    expect(errorOf(() => holder.device.kernel({ ...desc, spec: { 1: 0.5 } })).message).toMatch(/constant 1 is 0.5/);
    expect(errorOf(() => holder.device.kernel({ ...desc, subgroupSize: 24 })).message).toMatch(/24 is not a power of two/);
    expect(errorOf(() => holder.device.kernel({ ...desc, subgroupSize: 1024 })).code).toBe('UNSUPPORTED');
  });

  test('get the subgroup size that they require', async () => {
    const { device } = holder;
    const { min, max, sizeControl } = device.info.subgroup;
    const target = device.buffer('target', 4);
    const code = compileShader('subgroup');
    for (let size = min; size <= max; size *= 2) {
      if (!sizeControl && size !== device.info.subgroup.size) continue;
      const kernel = device.kernel({ name: 'subgroup', spirv: code, bindings: ['storage'], subgroupSize: size, fullSubgroups: true });
      const program = device.program([{ op: 'dispatch', kernel, bindings: [{ buffer: target }], groups: [1, 1, 1] }]);
      await program.run(1);
      expect(await readWords(target)).toEqual([size]);
      program.destroy();
    }
    target.destroy();
  });
});

test('a shader that was not built is named', () => {
  const error = errorOf(() => loadSpirv('kpn/nothing', 'plain'));
  expect(error.code).toBe('NO_SHADER');
  expect(error.message).toMatch(/kpn\/nothing \(variant plain\)/);
  expect(error.hint).toMatch(/npm run build/);
});
