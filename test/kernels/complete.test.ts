// Every kernel under glsl/ has a test file of its own, test/kernels/<folder>-<name>.test.ts, and all its variants are run there:
// a new kernel or variant without a test fails here.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../ts/root.js';

const glsl = join(packageRoot, 'glsl');
const sources = readdirSync(glsl, { recursive: true }).map(String).filter((file) => file.endsWith('.comp')).sort();
const variantsOf = (source: string): string[] => [...readFileSync(join(glsl, source), 'utf8').matchAll(/^\/\/! variant (\S+)/gm)].map((m) => m[1]!);

/** Kernels that another file tests. */
const ELSEWHERE: Record<string, string> = { 'common/selftest.comp': 'test/unit/gpu-matrix.test.ts' };
const testOf = (source: string): string => ELSEWHERE[source] ?? `test/kernels/${source.replace(/\.comp$/, '').replaceAll('/', '-')}.test.ts`;

const byPath = ['plain', 'plain.rolled', 'khr', 'khr.rolled', 'nv'];
const everyPath = [...byPath, 'plain.tiled', 'khr.half', 'khr.half.rolled', 'nv.half', 'khr.resident', 'khr.holding'];
/** What a test contains that runs variants without naming each. Rolled ones are what a path takes on CPU drivers, or mostly. */
const COVERS: readonly (readonly [RegExp, (variant: string) => boolean])[] = [
  [/\.each\(STORAGES\)/, (v) => ['f16', 'f32'].includes(v)],
  [/\.each\((LONG_)?PATHS\)/, (v) => byPath.includes(v)],
  [/\.each\(ALL_PATHS\)|of ALL_PATHS\b/, (v) => everyPath.includes(v)],
  [/\.each\(LAYER_VARIANTS\)/, (v) => [...everyPath, 'f32'].includes(v)],
  [/`infer\.\$\{/, (v) => v.startsWith('infer.') && everyPath.includes(v.slice('infer.'.length))],
  [/`fused\.\$\{/, (v) => /^fused\.(khr|nv)/.test(v)],
  [/variant fused\.sparse, path (of )?%s/, (v) => v.startsWith('fused.sparse.')],
  [/'kpn\/mlpbck', \[act, dAct\]/, (v) => v === 'plain.wide'], // MLP_CASES has one of 128 wide, unrolled
  [/variant post\.dK, path %s/, (v) => v === 'post.dK'],
  [/variant sparse, path %s/, (v) => v.startsWith('sparse.')],
  [/variant = `\$\{path\}/, (v) => /^(khr|nv)\b/.test(v)],
];

/** Comments don't run. */
const codeOf = (file: string): string => readFileSync(join(packageRoot, file), 'utf8').replace(/^\s*\/\/.*$/gm, '');

test('there are kernels', () => {
  expect(sources.length).toBeGreaterThan(20);
});

test.each(sources)('%s', (source) => {
  const file = testOf(source);
  expect({ file, exists: existsSync(join(packageRoot, file)) }).toEqual({ file, exists: true });
  const code = codeOf(file);
  const isRun = (variant: string): boolean =>
    code.includes(`variant ${variant}:`) || code.includes(`'${variant}'`) || COVERS.some(([pattern, covers]) => pattern.test(code) && covers(variant));
  expect({ withoutTest: variantsOf(source).filter((variant) => !isRun(variant)) }).toEqual({ withoutTest: [] });
});
