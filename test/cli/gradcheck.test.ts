// `vkpn gradcheck` and the two pictures of SPEC 7: they agree where derivatives are right, and find a wrong one.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runGradcheck, type GradcheckOptions } from '../../ts/cli/gradcheck.js';
import { decodePfm } from '../../ts/formats/pfm.js';
import { decodePicture } from '../../ts/formats/picture.js';
import { loadSpirv } from '../../ts/gpu/index.js';
import { compareDifferences, comparePaths, compareResults, type Differences, type PathRun } from '../../ts/model/gradcheck.js';
import { initialWeights } from '../../ts/model/init.js';
import { PRESETS, weightCount, type ModelSpec } from '../../ts/model/spec.js';
import { packageRoot } from '../../ts/root.js';
import { withoutBanner } from '../validation/banner.js';
import { random, toHalf } from '../reference/index.js';

jest.setTimeout(180_000);

const examples = join(packageRoot, 'examples');
let dir: string;
beforeAll(() => void (dir = mkdtempSync(join(tmpdir(), 'vkpn-gradcheck-'))));
afterAll(() => rmSync(dir, { recursive: true }));

const set = (name: string, value: string | number): string => `param:kpn-t:01:${name}:${value}`;

function vkpn(...args: string[]): { code: number | null; out: string; err: string } {
  const child = spawnSync(process.execPath, [join(packageRoot, 'bin', 'vkpn'), ...args], { encoding: 'utf8', cwd: dir });
  return { code: child.status, out: withoutBanner(child.stdout), err: child.stderr };
}

/** Runs the command in this process, with kernels from `load`; what it printed. */
async function check(config: string[], load = loadSpirv): Promise<{ code: number; out: string }> {
  let out = '';
  const spies = [
    jest.spyOn(process.stdout, 'write').mockImplementation((text) => ((out += String(text)), true)),
    jest.spyOn(process.stderr, 'write').mockImplementation(() => true),
  ];
  try {
    const options: GradcheckOptions = { graph: join(examples, 'mlp', 'mlp.cfg'), sample: 8 };
    return { code: await runGradcheck(options, [set('layers', 1), ...config], load), out };
  } finally {
    spies.forEach((spy) => spy.mockRestore());
  }
}

/** Kernels of which those variants are built from sources with this text replaced. */
function broken(file: string, kernel: string, variants: readonly string[], defines: readonly string[], before: string, after: string): typeof loadSpirv {
  const tree = join(mkdtempSync(join(dir, 'glsl-')), 'glsl');
  cpSync(join(packageRoot, 'glsl'), tree, { recursive: true });
  const path = join(tree, file);
  const text = readFileSync(path, 'utf8');
  if (text.split(before).length !== 2) throw new Error(`${file} has "${before}" ${text.split(before).length - 1} times`);
  writeFileSync(path, text.replace(before, after));
  const output = join(tree, 'broken.spv');
  const script = "import('glslang-validator').then(({ compile }) => compile(JSON.parse(process.argv[1])))";
  const options = { source: join(tree, `${kernel}.comp`), output, includes: [tree], defines };
  const child = spawnSync(process.execPath, ['-e', script, JSON.stringify(options)], { encoding: 'utf8', cwd: packageRoot });
  if (child.status !== 0) throw new Error(child.stderr);
  return (k, v) => (k === kernel && variants.includes(v ?? '') ? readFileSync(output) : loadSpirv(k, v));
}

describe('the command', () => {
  test('right derivatives: a row a layer, bounds that say something, exit 0, no files', () => {
    const { code, out } = vkpn('gradcheck', '-g', join(examples, 'mlp', 'mlp.cfg'), '--sample', '8', '--config', set('layers', 1));
    expect([code, out.match(/all within their bounds/)?.length]).toEqual([0, 1]);
    const rows = [...out.matchAll(/^ {2}(\d) +\S+ +(\d+) +(\S+) +(\S+) +\S+ +(\S+) {2}ok$/gm)];
    expect(rows.map((r) => r[1]).slice(0, 4)).toEqual(['0', '1', '0', '1']);
    expect(rows.slice(0, 4).map((r) => r[2])).toEqual(['8', '8', '1024', '512']);
    for (const r of rows.slice(0, 2)) expect(Number(r[5])).toBeLessThan(0.005);
    for (const r of rows.slice(2)) expect(Number(r[5])).toBeLessThan(0.151);
    expect(out).toMatch(/path plain \(f16\) against f32: results within \S+ \(bound \S+\) ok/);
  });

  test.each([
    ['a slope of 1.02 for 1 in the loss', 'kpn/loss.glsl', 'kpn/loss', [''], [], '2.0 * d)', '2.04 * d)'],
    ['the softmax without its normalisation', 'kpn/kernel_gradient.glsl', 'kpn/bck', ['f32'], ['PATH_PLAIN=1', 'F32=1'], 'if (!normalised[part]) mean[part] = 0.0;', 'mean[part] = 0.0;'],
    ['the coarser levels cut off', 'kpn/dup.comp', 'kpn/dup', ['f32'], [], 'restTransposed(alpha, g) : g', '0.0 * g : g'],
  ] as const)('%s: exit 1', async (_, file, kernel, variants, defines, before, after) => {
    const { code, out } = await check([], broken(file, kernel, variants, defines, before, after));
    expect(code).toBe(1);
    expect(out).toMatch(/wrong$/m);
    expect(out).toMatch(/gradcheck: FAILED/);
  });

  test('a wrong f16 path is found, though the f32 one is right', async () => {
    const { code, out } = await check([], broken('kpn/kernel_gradient.glsl', 'kpn/bck', ['plain', 'plain.rolled'], ['PATH_PLAIN=1', 'ROLLED=1'], '(hasSlope ? given.w : dot(g, d)) * blendWeightSlope(raw[part].alpha);', '0.0;'));
    expect(code).toBe(1);
    const [differences, path] = out.split('path plain');
    expect(differences).not.toMatch(/wrong$/m);
    expect(path).toMatch(/wrong$/m);
  });

  test.each([
    ['dE/dw', 'kpn/mulw.comp', 'kpn/mulw', '= vec4(sum[4 * o][j]', '= (layer == 0 ? 1.05 : 1.0) * vec4(sum[4 * o][j]', / {2}0 .* wrong$/m],
    ['the way back', 'common/panel_plain.glsl', 'kpn/bck', 'sum[j] += stage[(4 * o + c) * QUADS + i + j] * d[c];', 'sum[j] += (c == 0 ? 1.05 : 1.0) * stage[(4 * o + c) * QUADS + i + j] * d[c];', / {2}1 .* wrong$/m],
    ['the way forward', 'common/panel_plain.glsl', 'kpn/fwd', 'sum.x += dot(stage[at], panel[i]);', 'sum.x += 1.05 * dot(stage[at], panel[i]);', / {2}0 .* wrong$/m],
  ] as const)('a product of an f16 path that is off by 5 %% in a layer: %s', async (_, file, kernel, before, after, row) => {
    const { code, out } = await check([], broken(file, kernel, ['plain', 'plain.rolled'], ['PATH_PLAIN=1', 'ROLLED=1'], before, after));
    expect(code).toBe(1);
    expect(out.split('each product')[1]).toMatch(row);
  });

  test('a graph that trains nothing, one that isn\'t there, a step out of range: exit 2', () => {
    writeFileSync(join(dir, 'none.cfg'), `module:i-jpg:a\nmodule:display:main\nconnect:i-jpg:a:output:display:main:input\nparam:i-jpg:a:filename:${join(examples, 'photos', 'test_0000.jpg')}\n`);
    expect(vkpn('gradcheck', '-g', 'none.cfg')).toMatchObject({ code: 2, err: expect.stringContaining('trains nothing') as string });
    expect(vkpn('gradcheck', '-g', 'missing.cfg').code).toBe(2);
    expect(vkpn('gradcheck', '-g', join(examples, 'mlp', 'mlp.cfg'), '--config', set('dstep', 7)).code).toBe(2);
  });
});

describe('comparing', () => {
  const m: ModelSpec = { ...PRESETS.classic, layers: 1 };
  const count = weightCount(m);
  const used = 1024 + 512;
  const next = random(3);
  const truth = Float64Array.from({ length: count }, (_, i) => (i < used ? next() - 0.5 : 0));
  const targets = Array.from({ length: used }, (_, i) => i);
  // Differences as a step's own error, of h^2 and h^4, and rounding leave them.
  const over = (step: number): Float32Array => Float32Array.from(truth, (g) => g * (1 + 3 * step ** 2 + 2 * step ** 4) + (1e-7 * (next() - 0.5)) / step);
  const steps = [2 ** -2, 2 ** -4, 2 ** -6, 2 ** -8].map((step) => ({ step, differences: over(step) }));
  const differences = (change: (g: Float32Array) => void = () => undefined): Differences => {
    const analytic = Float32Array.from(truth);
    change(analytic);
    return { analytic, targets, steps, rounding: 0.1 };
  };
  const verdicts = (d: Differences): string[] => compareDifferences(m, d).map((r) => r.verdict);

  test('right', () => {
    expect(verdicts(differences())).toEqual(['ok', 'ok']);
    for (const r of compareDifferences(m, differences())) expect(r.bound).toBeLessThan(1e-3);
  });

  test.each<[string, (g: Float32Array) => void, string[]]>([
    ['one part in two hundred too large', (g) => g.forEach((v, i) => (g[i] = 1.005 * v)), ['wrong', 'wrong']],
    ['the last layer transposed', (g) => { for (let o = 0; o < 16; o++) for (let i = 0; i < o; i++) [g[1024 + 32 * o + i], g[1024 + 32 * i + o]] = [g[1024 + 32 * i + o]!, g[1024 + 32 * o + i]!]; }, ['ok', 'wrong']],
    ['a single weight', (g) => (g[77] = g[77]! + 0.05), ['wrong', 'ok']],
    ['a sign', (g) => g.subarray(0, 1024).forEach((v, i) => (g[i] = -v)), ['wrong', 'ok']],
    ['nothing at all', (g) => g.fill(0), ['wrong', 'wrong']],
    ['not a number', (g) => (g[1100] = NaN), ['ok', 'wrong']],
  ])('%s', (_, change, expected) => expect(verdicts(differences(change))).toEqual(expected));

  test('a layer that has no influence: all zero is right', () => {
    const zero = new Float32Array(count);
    const d = { targets, rounding: 0.1, steps: steps.map(({ step }) => ({ step, differences: zero })) };
    expect(verdicts({ ...d, analytic: zero })).toEqual(['ok', 'ok']);
    expect(verdicts({ ...d, analytic: zero.map((_, i) => (i === 5 ? 1 : 0)) })).toEqual(['wrong', 'ok']);
  });

  test('differences that drown in rounding prove nothing', () => {
    expect(verdicts({ ...differences(), rounding: 1e6 })).toEqual(['unsettled', 'unsettled']);
  });

  const run = (change: Partial<PathRun> = {}): PathRun => ({
    gradient: Float32Array.from(truth), result: new Float32Array(64).fill(0.5), dEdO: new Float32Array(64).fill(0.1),
    activations: Float32Array.from({ length: 2 * 16 * 32 }, (_, i) => Math.sin(i)), dEdA: new Float32Array(16 * 32).fill(0.01), ...change,
  });

  test('paths: rounding passes, a wrong gradient or result does not, flipped activations count by their share', () => {
    const rounded = run({ gradient: Float32Array.from(truth, toHalf) });
    expect(comparePaths(m, run(), rounded, 16).map((r) => r.verdict)).toEqual(['ok', 'ok']);
    const scaled = run({ gradient: Float32Array.from(truth, (g) => 1.05 * g) });
    expect(comparePaths(m, run(), scaled, 16).map((r) => r.verdict)).toEqual(['wrong', 'wrong']);
    const flipped = run();
    flipped.activations[512 + 1] = -flipped.activations[512 + 1]!;
    const [first, second] = comparePaths(m, run(), flipped, 16);
    const base = comparePaths(m, run(), run(), 16);
    expect(first!.bound - base[0]!.bound).toBeCloseTo(1 / Math.sqrt(512), 6);
    expect(second!.bound).toBe(base[1]!.bound);
    // However different the paths are, half a gradient is never right.
    const far = run({ gradient: Float32Array.from(truth, (g) => 0.5 * g), dEdO: new Float32Array(64) });
    expect(comparePaths(m, run(), far, 16).map((r) => r.verdict)).toEqual(['wrong', 'wrong']);
    expect(compareResults(m, run().result, run().result.map((v) => v * 1.001), 16).verdict).toBe('ok');
    expect(compareResults(m, run().result, run().result.map((v) => v * 1.01), 16).verdict).toBe('wrong');
    expect(compareResults(m, run().result, run().result.map(() => NaN), 16).verdict).toBe('wrong');
  });
});

describe('the two commands of SPEC 7', () => {
  test('diff.pfm and deriv.pfm hold the same weights, and derivatives that agree; o-png shows them with a legend', async () => {
    symlinkSync(join(examples, 'mlp'), join(dir, 'mlp'));
    const picture = (format: string, name: string, ...config: string[]): void => {
      const { code, err } = vkpn('cli', '-g', 'mlp/mlp.cfg', '--format', format, '--filename', name, '--last-frame-only', '--output', 'view0', '--config', set('layers', 1), ...config);
      expect([code, code === 0 ? '' : err]).toEqual([0, '']);
    };
    picture('o-pfm', 'diff', set('deriv', 1));
    picture('o-pfm', 'deriv', 'frames:1');
    const [diff, deriv] = ['diff', 'deriv'].map((name) => decodePfm(readFileSync(join(dir, `${name}.pfm`)), name)) as [ReturnType<typeof decodePfm>, ReturnType<typeof decodePfm>];
    expect([diff.width, diff.height, deriv.width, deriv.height]).toEqual([64, 64, 64, 64]);
    const block = (p: typeof diff, row: number, l: number): number[] => Array.from({ length: 1024 }, (_, i) => p.rgba[4 * ((32 * row + (i >> 5)) * 64 + 32 * l + (i & 31))]!);
    const weights = Array.from(initialWeights({ ...PRESETS.classic, layers: 1 }, 1), toHalf);
    const size = (values: number[]): number => Math.hypot(...values);
    for (const l of [0, 1]) {
      for (const p of [diff, deriv]) expect(block(p, 0, l)).toEqual(weights.slice(1024 * l, 1024 * (l + 1)));
      const g = block(deriv, 1, l);
      // Step 2^-8 and f16 are each good for a hundredth of the gradient here.
      expect(size(g.map((v, i) => v - block(diff, 1, l)[i]!)) / size(g)).toBeLessThan(0.02);
      expect(size(g)).toBeGreaterThan(0);
      expect(g.some((v) => v < 0)).toBe(true);
    }
    for (const p of [diff, deriv]) expect(block(p, 1, 1).slice(512)).toEqual(new Array(512).fill(0));

    picture('o-png', 'seen', 'frames:1');
    const png = await decodePicture(readFileSync(join(dir, 'seen.png')), 'png', 'seen.png', () => undefined);
    expect(png.width).toBeGreaterThan(600);
    expect(png.height).toBeGreaterThan(600);
  });
});
