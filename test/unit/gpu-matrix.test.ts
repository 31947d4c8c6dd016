// Which matrix path and shape a device gets, and the self-test that it must pass: on made-up devices, and in real child processes.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InputError, type GpuError } from '../../ts/errors.js';
import { listDevices, openDevice } from '../../ts/gpu/index.js';
import { bestShape, firstTrial, listedPath, shapeName, testedPath, type PathState } from '../../ts/gpu/matrix.js';
import { verdicts } from '../../ts/gpu/probe.js';
import { CONVERTING, judge, makeProduct, runTrial, tryChild } from '../../ts/gpu/selftest.js';
import type { ComponentType, DeviceInfo, MatrixShape } from '../../ts/gpu/types.js';
import { describeDevice } from '../../ts/cli/devices.js';
import { PRESETS, type ModelSpec } from '../../ts/model/spec.js';
import { choosePath, denoiseLaunch, forwardLaunch, fusedLaunch, gradientLaunch, inferenceLaunch, isPacked, packLaunch, panelLaunch, pathReport, type KeptActivations, type LayerPath } from '../../ts/modules/kpn/path.js';
import { fromHalf, toHalf } from '../../ts/formats/half.js';
import { packageRoot } from '../../ts/root.js';
import { scratch } from './gpu-harness.js';

const real = listDevices()[0]!;

const shape = (name: string, sums: ComponentType = 'f32', more: Partial<MatrixShape> = {}): MatrixShape => {
  const [m = 0, n = 0, k = 0] = name.split('x').map(Number);
  return { m, n, k, a: 'f16', b: 'f16', c: sums, result: sums, scope: 'subgroup', ...more };
};

/** A GPU with these shapes. */
function gpu(khr: MatrixShape[], nv: MatrixShape[] = [], more: Partial<DeviceInfo> = {}): DeviceInfo {
  return {
    ...real, name: 'Testor 3000', type: 'discrete', driverName: 'testdrv', driverInfo: '1.2',
    subgroup: { size: 32, min: 32, max: 32, sizeControl: true, fullSubgroups: true, shuffle: true },
    limits: { ...real.limits, maxComputeSharedMemorySize: 49152, maxComputeWorkGroupInvocations: 1024 },
    features: { ...real.features, shaderFloat16: true, khrCooperativeMatrix: khr.length > 0, nvCooperativeMatrix: nv.length > 0, nvCooperativeMatrix2: null },
    matrixShapes: { khr, nv, nv2: [] },
    ...more,
  };
}
const nvidia = [shape('16x8x8'), shape('16x16x16', 'f16'), shape('16x8x16'), shape('16x16x16'), shape('16x16x32', 'f32', { a: 'u8', b: 'u8' })];
const listed = (info: DeviceInfo, path: 'khr' | 'nv'): PathState => listedPath(info, path, {});

describe('the shape', () => {
  test.each([
    ['NVIDIA', nvidia, '16x16x16'],
    ['Intel', [shape('8x16x16'), shape('8x8x16'), shape('1x16x16')], '8x16x16'],
    ['Intel, older', [shape('8x8x16'), shape('8x8x16', 'f16')], '8x8x16'],
    ['lavapipe', [shape('8x8x8', 'f16'), shape('8x8x8')], '8x8x8'],
    ['large ones first', [shape('8x8x8'), shape('32x16x16'), shape('16x16x16')], '32x16x16'],
    ['of equal ones 16 rows', [shape('32x8x16'), shape('16x16x16')], '16x16x16'],
    ['f16 sums alone', [shape('8x8x8', 'f16'), shape('16x16x16', 'f16')], '16x16x16 with f16 sums'],
    ['f32 sums, though smaller', [shape('16x16x16', 'f16'), shape('8x8x8')], '8x8x8'],
    ['sums in f32 of which the result is f16', [shape('16x16x16', 'f32', { result: 'f16' })], undefined],
    ['of a workgroup', [shape('16x16x16', 'f32', { scope: 'workgroup' })], undefined],
    ['too wide for 16 outputs', [shape('16x32x16'), shape('16x16x32')], undefined],
  ])('%s', (_, shapes, expected) => {
    const best = bestShape(shapes);
    expect(best && shapeName(best)).toBe(expected);
  });

  test('switched off, not there, nothing usable: each says why', () => {
    expect(listedPath(gpu(nvidia), 'khr', { VKPN_NO_KHR: '1' })).toEqual({ why: 'VKPN_NO_KHR is set' });
    expect(listedPath(gpu(nvidia, nvidia), 'nv', { VKPN_NO_NV: '1' })).toEqual({ why: 'VKPN_NO_NV is set' });
    expect(listedPath(gpu(nvidia), 'khr', { VKPN_NO_KHR: '0', VKPN_NO_NV: '1' })).toEqual({ shape: { m: 16, n: 16, k: 16 } });
    expect(listed(gpu(nvidia), 'nv')).toEqual({ why: 'the device has no VK_NV_cooperative_matrix' });
    const { subgroup } = gpu(nvidia);
    expect(listed(gpu(nvidia, [], { subgroup: { ...subgroup, shuffle: false } }), 'khr')).toEqual({ why: "the device's subgroups can't shuffle" });
    expect(listed(gpu([shape('16x16x16', 'f32', { scope: 'workgroup' })]), 'khr')).toEqual({ why: expect.stringMatching(/VK_KHR_cooperative_matrix lists no f16\*f16\+f32 or \+f16 shape/) });
  });

  test('VKPN_F16_SUMS takes shapes with f16 sums, as if there were no others', () => {
    expect(listedPath(gpu(nvidia), 'khr', { VKPN_F16_SUMS: '1' })).toEqual({ shape: { m: 16, n: 16, k: 16, halfSums: true } });
    expect(listedPath(gpu(nvidia), 'khr', { VKPN_F16_SUMS: '0' })).toEqual({ shape: { m: 16, n: 16, k: 16 } });
    expect(listedPath(gpu([shape('16x16x16')]), 'khr', { VKPN_F16_SUMS: '1' })).toEqual({ why: expect.stringContaining('no f16*f16+f16 shape') });
    expect(listedPath(gpu(nvidia), 'khr', { VKPN_F16_SUMS: '1', VKPN_TILE: '16x8x16' })).toEqual({ why: expect.stringContaining('VKPN_TILE is 16x8x16') });
  });

  test('VKPN_TILE takes what is listed, and multiples where dimensions are flexible', () => {
    const small = gpu([shape('8x8x8')]);
    const flexible = { ...small, features: { ...small.features, nvCooperativeMatrix2: { flexibleDimensions: true, conversions: false, workgroupScope: false } }, matrixShapes: { ...small.matrixShapes, nv2: [shape('8x8x8')] } };
    expect(listedPath(gpu(nvidia), 'khr', { VKPN_TILE: '16x8x16' })).toEqual({ shape: { m: 16, n: 8, k: 16 } });
    expect(listedPath(flexible, 'khr', { VKPN_TILE: '16x16x16' })).toEqual({ shape: { m: 16, n: 16, k: 16 } });
    for (const [info, tile] of [[small, '16x16x16'], [flexible, '12x8x8'], [flexible, '64x16x16'], [flexible, '16'], [gpu(nvidia), '8x8x8']] as const)
      expect(listedPath(info, 'khr', { VKPN_TILE: tile })).toEqual({ why: expect.stringContaining(`VKPN_TILE is ${tile}`) });
    expect(listedPath(small, 'khr', { VKPN_TILE: '16x16x16' })).toEqual({ why: expect.stringMatching(/; it offers 8x8x8$/) });
  });
});

describe('the path', () => {
  const both = gpu(nvidia, nvidia);
  const choose = (info: DeviceInfo, asked: string, tested = listed): [string, string[]] => {
    const warnings: string[] = [];
    return [choosePath(info, asked, (text) => warnings.push(text), tested).name, warnings];
  };
  const broken = (...paths: string[]) => (info: DeviceInfo, path: 'khr' | 'nv'): PathState => (paths.includes(path) ? { why: '16x16x16 is listed, but wrong', wrong: true } : listed(info, path));

  test('auto: matrices on GPUs, plain on CPUs and where there is nothing else', () => {
    expect(choose(both, 'auto')).toEqual(['khr', []]);
    expect(choose(gpu([], nvidia), 'auto')).toEqual(['nv', []]);
    expect(choose(gpu([]), 'auto')).toEqual(['plain', []]);
    expect(choose({ ...both, type: 'cpu' }, 'auto')).toEqual(['plain', []]);
    expect(choose(gpu([shape('16x16x16', 'f16')]), 'auto')).toEqual(['khr', []]);
    expect(choose(gpu([shape('16x16x16', 'f16')], nvidia), 'auto')).toEqual(['nv', []]); // f32 sums first
  });

  test('auto passes over what is wrong, and says so once a path, with device, driver and shape', () => {
    const [name, warnings] = choose(both, 'auto', broken('khr'));
    expect([name, warnings.length]).toEqual(['nv', 1]);
    expect(warnings[0]).toMatch(/^Testor 3000, testdrv 1\.2: path khr is left out, because 16x16x16 is listed, but wrong/);
    expect(choose(both, 'auto', broken('khr', 'nv'))[0]).toBe('plain');
  });

  test.each(['khr', 'nv', 'plain'])('%s is taken where asked for', (name) => expect(choose(both, name)).toEqual([name, []]));

  test('what the device lacks or gets wrong is refused, with what there is: never replaced', () => {
    const error = (info: DeviceInfo, asked: string, tested = listed, tile = false): GpuError => {
      try {
        choosePath(info, asked, () => undefined, tested, tile);
      } catch (e) {
        return e as GpuError;
      }
      throw new Error('accepted');
    };
    const lacking = error(gpu(nvidia), 'nv');
    expect([lacking.code, lacking.exitCode]).toEqual(['NO_PATH', 2]);
    expect(lacking.format()).toBe('Testor 3000 has no path nv: the device has no VK_NV_cooperative_matrix\n  there is: khr, plain; auto takes the fastest');
    expect(error(both, 'khr', broken('khr')).format()).toMatch(/no path khr: 16x16x16 is listed, but wrong\n {2}there is: nv, plain/);
    const shapeless = (info: DeviceInfo, path: 'khr' | 'nv'): PathState => listedPath(info, path, { VKPN_TILE: '8x8x8' });
    expect(error(both, 'auto', shapeless, true).format()).toMatch(/no path with this shape: VKPN_TILE is 8x8x8, .*KHR.*; it offers 16x8x8, 16x16x16, 16x8x16; VKPN_TILE is 8x8x8, .*NV.*\n {2}there is: plain/);
    expect(error({ ...gpu([]), type: 'cpu' }, 'khr').hint).toBe('there is: plain; auto takes the fastest');
  });

  test('the report names every path once', () => {
    for (const info of [both, gpu([], nvidia), gpu([]), { ...both, type: 'cpu' as const }]) {
      const { chosen, others } = pathReport(info, listed);
      expect([chosen.name, ...others.map((o) => o.path)].sort()).toEqual(['khr', 'nv', 'plain']);
    }
  });
});

test('vkpn devices tells of a GPU: driver, memory, subgroups, every shape by its types, NV2, the path and why not the others', () => {
  const shapes = [...nvidia, shape('16x16x32', 'i32', { a: 'i8', b: 'i8' })];
  const base = gpu(nvidia, nvidia, { memoryBytes: 8 * 2 ** 30, memoryBudget: 7 * 2 ** 30, apiVersion: '1.4.312', index: 1 });
  const info: DeviceInfo = {
    ...base, subgroup: { size: 32, min: 16, max: 32, sizeControl: true, fullSubgroups: true, shuffle: true },
    features: { ...base.features, nvCooperativeMatrix2: { flexibleDimensions: true, conversions: true, workgroupScope: false } },
    matrixShapes: { khr: shapes, nv: nvidia, nv2: [shape('16x16x16', 'f32', { scope: 'workgroup', workgroupInvocations: 128 })] },
  };
  const converting = (d: DeviceInfo, path: 'khr' | 'nv'): PathState => {
    const state = listed(d, path);
    return 'shape' in state && path === 'khr' ? { shape: { ...state.shape, converts: true } } : state;
  };
  expect(describeDevice(info, pathReport(info, converting)).trimEnd().split('\n').map((line) => line.trimEnd())).toEqual([
    '1: Testor 3000 (discrete)',
    '   driver        testdrv 1.2, Vulkan 1.4.312',
    '   memory        8.0 GiB, of which free 7.0 GiB',
    '   subgroups     32 (16 to 32), size can be required, full subgroups too',
    '   workgroups    1024 invocations, 48 KiB shared memory',
    expect.stringMatching(/^ {3}f16 {11}arithmetic yes, storage (yes|no)$/),
    '   matrix KHR    f16*f16+f32 -> f32, subgroup: 16x8x8 16x8x16 16x16x16',
    '                 f16*f16+f16 -> f16, subgroup: 16x16x16',
    '                 u8*u8+f32 -> f32, subgroup: 16x16x32',
    '                 i8*i8+i32 -> i32, subgroup: 16x16x32',
    '   matrix NV     f16*f16+f32 -> f32, subgroup: 16x8x8 16x8x16 16x16x16',
    '                 f16*f16+f16 -> f16, subgroup: 16x16x16',
    '                 u8*u8+f32 -> f32, subgroup: 16x16x32',
    '   matrix NV2    f16*f16+f32 -> f32, workgroup of 128: 16x16x16',
    '                 flexible dimensions yes, conversions yes, workgroup scope no',
    "   path          khr 16x16x16, with NV2's conversions (auto)",
    '                 not nv: nv 16x16x16 works, but khr comes first',
    '                 not plain: works everywhere, but slower',
  ]);
});

describe('launches fit the device', () => {
  const sizes = [8, 16, 32, 64];
  const tiles = ['8x8x8', '8x8x16', '8x16x16', '16x16x16', '32x16x16'];
  test.each(sizes.flatMap((s) => tiles.flatMap((t) => [[s, t, 'f32'], [s, t, 'f16']] as const)))('subgroups of %i, tiles of %s, %s sums', (size, name, sums) => {
    const { m, n, k } = shape(name);
    const halfSums = sums === 'f16';
    for (const shared of [32768, 49152, 65536])
      for (const width of [32, 64, 128])
        for (const pixels of [1, 5440, 1 << 20]) {
          const info = gpu([], [], { subgroup: { size, min: size, max: size, sizeControl: true, fullSubgroups: true, shuffle: true }, limits: { ...real.limits, maxComputeSharedMemorySize: shared, maxComputeWorkGroupInvocations: 1024 } });
          const path = { name: 'khr', tile: { m, n, k, ...(halfSums ? { halfSums } : {}) } } as const;
          const { spec: p, groups } = panelLaunch(path, info, { 0: 64 }, width, pixels, 1);
          const [local, per, panel, rows] = [p[0], p[22], p[23], p[24]] as number[];
          expect(local).toBe(size * per!);
          expect(local!).toBeLessThanOrEqual(1024);
          expect(per! * panel! * (2 * width + 16) + width * (2 * rows! + 16)).toBeLessThanOrEqual(shared);
          expect([panel! % m, rows! % n, width % rows!, (4 * panel!) % size]).toEqual([0, 0, 0, 0]);
          expect(groups[0] * per! * panel!).toBeGreaterThanOrEqual(pixels);
          expect(inferenceLaunch(path, info, { 0: 64 }, width, pixels, 1)).toEqual(panelLaunch(path, info, { 0: 64 }, width, pixels, 1));
          if (n === k && !halfSums) {
            const besides = 9000;
            const { variant, spec: q, groups: many } = inferenceLaunch({ name: 'khr', tile: { m, n, k, converts: true } }, info, { 0: 64 }, width, pixels, 1, { besides });
            const [held, slab] = [q[22] as number, q[23] as number];
            expect(many[0] * held * slab).toBeGreaterThanOrEqual(pixels);
            const fits = besides + 4 * Math.max(m, size) * (2 * width + 16) <= shared && n * k === 8 * size; // a word of eight an invocation
            expect(variant).toMatch(fits && info.type !== 'cpu' ? /^khr.resident$/ : /^khr(\.rolled)?$/);
            if (fits) expect([q[0], slab % m, (4 * slab) % size]).toEqual([size * held, 0, 0]);
          }
          const g = gradientLaunch(path, info, { 0: 64 }, width, 3, pixels, 1);
          const [gl, gper, run, runs, block] = [g.spec[0], g.spec[22], g.spec[16], g.spec[17], g.spec[25]] as number[];
          expect([gl, gl! <= 1024, run! % k, block! % m, block! % n]).toEqual([size * gper!, true, 0, 0, 0]);
          expect(2 * run! * (2 * width + 16) + (halfSums ? gper! * 2 * m * (2 * n + 16) : 0)).toBeLessThanOrEqual(shared);
          if (halfSums) expect(m * n).toBeGreaterThanOrEqual(size); // an element an invocation
          expect(g.variant).toMatch(halfSums ? /^khr\.half/ : /^khr(\.rolled)?$/);
          expect([g.groups[0], g.groups[1], g.groups[2] * gper! * block! ** 2]).toEqual([g.parts, 4, width ** 2]);
          expect(g.parts * run! * runs!).toBeGreaterThanOrEqual(pixels);
        }
  });
});

test.each([1, 128, 129, 32768, 32769, 87040, 1 << 20])('activations are made anew of many pixels where matrices convert, 32 wide, up to six layers: %i pixels', (pixels) => {
  const info = gpu([], [], { subgroup: { size: 32, min: 32, max: 32, sizeControl: true, fullSubgroups: true, shuffle: true }, limits: { ...real.limits, maxComputeSharedMemorySize: 49152, maxComputeWorkGroupInvocations: 1024 } });
  const path = { name: 'khr', tile: { m: 16, n: 16, k: 16, converts: true as const } } as const;
  const launch = (width: number, layers: number, kept?: 'anew', of: typeof path | { name: 'khr'; tile: { m: number; n: number; k: number } } = path, shared = info) => fusedLaunch(of, shared, { 0: 64 }, width, layers, pixels, 1, kept);
  for (const [layers, subgroups] of [[1, 4], [3, 4], [4, 4], [5, 8], [6, 8]] as const) {
    const { variant, kept, dK, spec, groups, parts } = launch(32, layers, 'anew')!;
    expect([variant, kept, dK, groups, launch(32, layers)!.kept]).toEqual(['fused.anew.khr', 'anew', 'apart', [parts, 1, 1], pixels > 32768 ? 'anew' : 'all']);
    const part = (spec[17] as number) * (spec[22] as number) * (spec[23] as number); // pixels
    expect([parts * part >= pixels, (parts - 1) * part < pixels, parts <= (subgroups === 4 ? 264 : 132), spec[22]]).toEqual([true, true, true, subgroups]); // two workgroups a processor, or one
    expect(forwardLaunch(path, info, { 0: 64 }, 32, pixels, 1, 'anew').variant).toBe('anew.khr.resident');
  }
  const none = [launch(64, 3, 'anew'), launch(32, 7, 'anew'), launch(32, 3, 'anew', { name: 'khr', tile: { m: 16, n: 16, k: 16 } }), launch(32, 3, 'anew', path, { ...info, type: 'cpu' }), launch(32, 6, 'anew', path, { ...info, limits: { ...info.limits, maxComputeSharedMemorySize: 32768 } })];
  expect(none).toEqual(none.map(() => undefined));
  expect([launch(32, 7)!.kept, launch(64, 6)!.kept, launch(64, 4)!.kept]).toEqual(pixels > 32768 ? ['sparse', 'sparse', 'all'] : ['all', 'all', 'all']);
});

test('subgroups of 16 whose sums of nine matrices need too many registers: no pass back with dE/dw', () => {
  const info = gpu([], [], { subgroup: { size: 16, min: 16, max: 16, sizeControl: true, fullSubgroups: true, shuffle: true } });
  const launch = (layers: number) => fusedLaunch({ name: 'khr', tile: { m: 16, n: 16, k: 16 } }, info, { 0: 64 }, 32, layers, 5440, 1);
  expect(launch(8)).toBeUndefined();
  expect(launch(3)).toBeDefined();
});

describe('the plain path', () => {
  const plain = { name: 'plain' } as const;
  const withShared = (shared: number, more: Partial<DeviceInfo> = {}): DeviceInfo => gpu([], [], { limits: { ...real.limits, maxComputeSharedMemorySize: shared, maxComputeWorkGroupInvocations: 128 }, ...more });
  afterEach(() => void delete process.env['VKPN_PLAIN']);

  test.each([32768, 49152, 65536].flatMap((shared) => [32, 64, 128].flatMap((width) => [1, 5440, 1 << 20].map((pixels) => [shared, width, pixels] as const))))('tiled on GPUs: %i bytes shared, %i wide, %i pixels', (shared, width, pixels) => {
    process.env['VKPN_PLAIN'] = 'tiled';
    const { variant, spec, groups } = panelLaunch(plain, withShared(shared), { 0: 64, 1: width }, width, pixels, 1);
    const [local, stage] = [spec[0], spec[24]] as number[];
    const held = (8 * local!) / (width / 8); // pixels
    expect([variant, local! <= 128, [4, 8].includes(stage!) && stage! <= width / 4]).toEqual(['plain.tiled', true, true]);
    expect(16 * (held * (width / 4 + 1) + width * stage!)).toBeLessThanOrEqual(shared);
    expect([groups[0] * held >= pixels, (groups[0] - 1) * held < pixels]).toEqual([true, true]);
    const g = gradientLaunch(plain, withShared(shared), { 0: 64, 1: width }, width, 3, pixels, 1);
    const [run, runs] = [g.spec[16], g.spec[17]] as number[];
    const block = Math.min(width, 64);
    const slices = (g.spec[0] as number) / (block / 8) ** 2;
    expect([g.variant, slices >= 1, run! % (4 * slices), g.groups[2] * block ** 2]).toEqual(['plain.tiled', true, 0, width ** 2]);
    expect(2 * run! * block * 4).toBeLessThanOrEqual(16384);
    expect([g.groups[0], g.parts * run! * runs! >= pixels, (g.parts - 1) * run! * runs! < pixels]).toEqual([g.parts, true, true]);
  });

  test('a pixel an invocation where shared memory is little, on CPUs, in f32; VKPN_PLAIN decides between the two', () => {
    const variant = (info: DeviceInfo, width = 64, path: typeof plain | { name: 'plain'; f32: true } = plain): string[] =>
      [panelLaunch(path, info, { 0: 64 }, width, 99, 1).variant, panelLaunch(path, info, { 0: 64 }, width, 99, 1, 'back').variant, gradientLaunch(path, info, { 0: 64 }, width, 3, 99, 1).variant];
    const [tiled, rows] = ['plain.tiled', 'plain'];
    expect(variant(withShared(49152))).toEqual([tiled, rows, tiled]); // what is faster
    expect(variant(withShared(49152), 128)).toEqual([rows, 'plain.wide', tiled]);
    expect(variant(withShared(32768))).toEqual([rows, rows, tiled]);
    expect(variant(withShared(16384), 32)).toEqual([rows, rows, tiled]);
    expect(variant(withShared(49152), 64, { name: 'plain', f32: true })).toEqual(['f32', 'f32', 'f32']);
    const cpu = withShared(49152, { type: 'cpu' });
    expect(variant(cpu)).toEqual(['plain.rolled', 'plain.rolled', 'plain.rolled']);
    process.env['VKPN_PLAIN'] = 'tiled';
    expect(variant(cpu)).toEqual([tiled, 'plain.rolled', tiled]);
    process.env['VKPN_PLAIN'] = 'rows';
    expect(variant(withShared(49152))).toEqual([rows, rows, rows]);
    process.env['VKPN_PLAIN'] = 'tile';
    expect(() => variant(withShared(49152))).toThrow(new InputError('BAD_VARIABLE', 'VKPN_PLAIN can\'t be "tile"'));
  });

  test('inference leaves room for what its kernel needs besides', () => {
    expect(inferenceLaunch(plain, withShared(49152), { 0: 64 }, 64, 99, 1, { besides: 4096 }).spec[24]).toBe(8);
    expect(inferenceLaunch(plain, withShared(49152), { 0: 64 }, 64, 99, 1, { besides: 8192 }).spec[24]).toBe(4);
    expect(inferenceLaunch(plain, withShared(49152), { 0: 64 }, 64, 99, 1, { besides: 11264 }).variant).toBe('plain');
  });
});

describe('the self-test', () => {
  const tile = { m: 16, n: 16, k: 16 };
  const product = makeProduct(tile);
  const sums = Float32Array.from([...product.sum, ...product.sum.map((x) => 2 * x)]);
  const halves = fromHalf(toHalf(product.sum).data);

  test('accepts the right result', () => expect(judge(product, sums, halves)).toBeUndefined());
  test('notices one wrong element, a transposed product, sums in f16, NaN', () => {
    const spoiled = (x: Float32Array, i: number, v: number): Float32Array => Float32Array.from(x, (y, j) => (j === i ? v : y));
    expect(judge(product, spoiled(sums, 17, sums[17]! + 2 ** -8), halves)).toBe(`element 17 of its product is ${sums[17]! + 2 ** -8}, not ${sums[17]}`);
    expect(judge(product, spoiled(sums, 300, NaN), halves)).toMatch(/^element 44 of its product is NaN/);
    expect(judge(product, sums, spoiled(halves, 255, 0))).toMatch(/^element 255/);
    expect(judge(product, Float32Array.from(sums, (_, i) => (i < 256 ? product.sum[(i % 16) * 16 + Math.floor(i / 16)]! : sums[i]!)), halves)).toMatch(/^element/);
    expect(judge(product, fromHalf(toHalf(sums).data), halves)).toMatch(/^element/);
  });
  test('of conversions: the second half must be right as well', () => {
    const twice = Float32Array.from([...halves, ...halves]);
    expect(judge(product, sums, twice)).toBeUndefined();
    for (const at of [17, 256 + 17]) expect(judge(product, sums, twice.map((v, i) => (i === at ? v + 1 : v)))).toMatch(/^element 17/);
  });

  const script = (name: string, text: string): string => {
    const file = join(scratch, `${name}.cjs`);
    writeFileSync(file, text);
    return file;
  };
  const trial = { index: 0, path: 'khr', tile };
  test.each([
    ['crashes', 'process.kill(process.pid, "SIGSEGV")', /crashed in the driver \(SIGSEGV\)/],
    ['is wrong', 'console.log(JSON.stringify({ wrong: "element 3 of its product is 1, not 2" }))', /^element 3 of its product/],
    ['fails', 'console.error("vkCreateComputePipelines: -13"); process.exit(1)', /failed \(exit code 1\): vkCreateComputePipelines: -13/],
    ['says nothing', '', /failed \(exit code 0\)/],
    ['passes', 'console.log(JSON.stringify({ wrong: null }))', undefined],
  ])('a child that %s', (name, text, expected) => {
    const verdict = tryChild(trial, script(name.replace(' ', '-'), text));
    if (expected === undefined) expect(verdict).toBeUndefined();
    else expect(verdict).toMatch(expected);
  });

  // Of a device that this machine hasn't got: a child of its own could only fail.
  test('made by the child that tried the drivers needs no child of its own', () => {
    const kept = process.env.XDG_CACHE_HOME;
    process.env.XDG_CACHE_HOME = join(scratch, 'verdicts-of-the-probe');
    try {
      const info = gpu(nvidia, nvidia, { index: 99 });
      const first = firstTrial(info)!;
      expect(first).toEqual({ path: 'khr', tile: { m: 16, n: 16, k: 16 } });
      expect(firstTrial(gpu([]))).toBeUndefined();
      verdicts.push({ index: 99, ...first, wrong: 'element 3 of its product is 1, not 2' }, { index: 99, path: 'nv', tile: first.tile, wrong: null });
      expect(testedPath(info, 'khr')).toEqual({ why: '16x16x16 is listed, but element 3 of its product is 1, not 2', wrong: true });
      expect(testedPath(info, 'nv')).toEqual({ shape: first.tile });
    } finally {
      if (kept === undefined) delete process.env.XDG_CACHE_HOME;
      else process.env.XDG_CACHE_HOME = kept;
      verdicts.length = 0;
    }
  });

  test('of f16 sums: whole numbers, exact there', () => {
    const half = makeProduct({ ...tile, halfSums: true });
    expect(fromHalf(toHalf(half.sum).data)).toEqual(half.sum);
    expect(half.sum.some((x) => x !== half.sum[0])).toBe(true);
  });

  // On drivers without the extension these tests have no subject; docs/testing.md says which run has one.
  for (const [variant, env] of [['khr', {}], ['khr.resident', {}], ['khr.half', { VKPN_F16_SUMS: '1' }], ['nv', {}], ['nv.half', { VKPN_F16_SUMS: '1' }]] as const) {
    const path = variant.startsWith('khr') ? 'khr' : 'nv';
    const state = listedPath(real, path, env);
    if ('why' in state || (variant === CONVERTING && !real.features.nvCooperativeMatrix2?.conversions)) continue;
    const asked = variant === CONVERTING ? variant : path;
    test(`this device passes ${variant}, in this process and in a child`, async () => {
      const device = openDevice({ index: 0, cacheDir: null });
      expect(await runTrial(device, asked, state.shape)).toBeUndefined();
      device.close();
      expect(tryChild({ index: 0, path: asked, tile: state.shape })).toBeUndefined();
    });

    // In real processes: the first one tries the device, later ones trust what it found, wherever they are started.
    test(`the verdict on ${variant} is kept, for processes in any folder; not with VKPN_NO_CACHE`, () => {
      const [cache, folder] = [join(scratch, `verdicts-${variant}`), mkdtempSync(join(scratch, 'folder-'))];
      const module = (name: string): string => JSON.stringify(join(packageRoot, 'dist', 'gpu', name));
      const script = `import { listDevices } from ${module('index.js')}; import { testedPath } from ${module('matrix.js')};
        if (!('shape' in testedPath(listDevices()[0], '${path}'))) process.exit(1);`;
      const run = (more: NodeJS.ProcessEnv = {}): number | null =>
        spawnSync(process.execPath, ['--input-type=module', '-e', script], { cwd: folder, env: { ...process.env, ...env, XDG_CACHE_HOME: cache, ...more } }).status;
      const verdicts = (): string[] => (existsSync(join(cache, 'vkpn')) ? readdirSync(join(cache, 'vkpn')).filter((name) => name.startsWith('selftest-')).map((name) => `${name} ${statSync(join(cache, 'vkpn', name)).mtimeMs}`) : []);
      expect([run({ VKPN_NO_CACHE: '1' }), verdicts()]).toEqual([0, []]);
      expect(run()).toBe(0);
      const first = verdicts();
      expect(first.length).toBeGreaterThan(0);
      writeFileSync(join(folder, 'weights.lut'), 'the folder has changed');
      expect([run(), verdicts()]).toEqual([0, first]);
    });
  }
});

test('the panel stays in registers, with packed weights, where matrices convert, an invocation has a word of eight of one, and pixels are many or activations made anew', () => {
  const info = gpu([], [], { subgroup: { size: 32, min: 32, max: 32, sizeControl: true, fullSubgroups: true, shuffle: true }, limits: { ...real.limits, maxComputeSharedMemorySize: 49152, maxComputeWorkGroupInvocations: 1024 } });
  const tile = { m: 16, n: 16, k: 16 };
  const [converting, plainly] = [{ name: 'khr', tile: { ...tile, converts: true as const } }, { name: 'khr', tile }] as const;
  const forward = (path: LayerPath, width: number, pixels: number, kept: KeptActivations, on = info): string => forwardLaunch(path, on, { 0: 64 }, width, pixels, 1, kept).variant;
  for (const width of [32, 64]) {
    expect([32768, 32769].map((pixels) => forward(converting, width, pixels, 'all'))).toEqual(['khr', 'khr.resident']);
    expect([1, 1 << 20].map((pixels) => forward(converting, width, pixels, 'sparse'))).toEqual(['sparse.khr.resident', 'sparse.khr.resident']);
    for (const other of [plainly, { ...converting, tile: { ...converting.tile, n: 8, k: 8 } }]) expect(forward(other, width, 1 << 20, 'sparse')).toBe('sparse.khr');
    expect(forward(converting, width, 1 << 20, 'all', { ...info, type: 'cpu' })).toBe('khr.rolled');
    expect(forward(converting, width, 1 << 20, 'all', { ...info, subgroup: { ...info.subgroup, size: 64 } })).toBe('khr'); // four elements
  }
  // dE/dw of all layers in registers: a workgroup a processor of an H100.
  const back = (path: LayerPath) => fusedLaunch(path, info, { 0: 64 }, 64, 6, 1 << 20, 1)!;
  expect([back(converting).variant, back(converting).parts, back(plainly).variant, back(plainly).parts]).toEqual(['fused.sparse.khr.resident', 131, 'fused.sparse.khr', 256]);
  expect(['khr.resident', 'sparse.khr.resident', 'infer.khr.resident', 'khr.holding', 'fused.sparse.khr.resident', 'fused.anew.khr', 'khr', 'plain'].map((variant) => isPacked({ variant }))).toEqual([true, true, true, true, false, false, false, false]);
  expect(packLaunch(converting, info, { 0: 64 }, 7 * 64 * 64)).toMatchObject({ variant: 'khr', groups: [28, 1, 1], spec: { 0: 128, 22: 4 } });
});

test('denoise holds weights where they are few, 32 wide, but under prediff, whose tiles are not fetched ahead', () => {
  const launch = { variant: 'khr.resident', spec: {}, groups: [1, 1, 1] as [number, number, number] };
  const of = (model: Partial<ModelSpec>, variant = 'khr.resident'): string => denoiseLaunch({ ...launch, variant }, { ...PRESETS.classic, ...model }).variant;
  expect([of({}), of({ layers: 4 }), of({ layers: 5 }), of({ width: 64 }), of({ combine: 'prediff' }), of({}, 'khr')]).toEqual(['khr.holding', 'khr.holding', 'khr.resident', 'khr.resident', 'khr.resident', 'khr']);
});
