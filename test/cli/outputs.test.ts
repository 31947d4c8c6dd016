// What `vkpn cli` makes of displays, options about outputs, and `--config` (SPEC section 5).
import { Command } from 'commander';
import { replaceDisplays, type ReplaceOptions } from '../../ts/cfg/outputs.js';
import { readCfg } from '../../ts/cfg/read.js';
import { writeCfg } from '../../ts/cfg/write.js';
import { declareCliOptions, OutputOptions, splitConfig } from '../../ts/cli/cli-options.js';
import { InputError } from '../../ts/errors.js';

const graph = `frames:3
module:kpn-t:01
module:o-lut:w
module:display:main
module:display:view0
module:display:hist
connect:kpn-t:01:w:o-lut:w:input
connect:kpn-t:01:output:display:main:input
connect:kpn-t:01:vis:display:view0:input
feedback:kpn-t:01:graph:display:hist:input
param:display:main:gain:2
`;

/** The graph after `vkpn cli` with these options; `frames` as the file says. */
function after(args: string[], text = graph, more: Partial<ReplaceOptions> = {}): string[] {
  const outputs = new OutputOptions();
  declareCliOptions(new Command().exitOverride().configureOutput({ writeErr: () => undefined }), outputs).parse(['-g', 'g.cfg', ...args], { from: 'user' });
  const { outputs: chosen, explicit } = outputs.finish();
  const statements = replaceDisplays(readCfg(text, 'g.cfg'), chosen, {
    explicit,
    lastFrameOnly: args.includes('--last-frame-only'),
    frames: 3,
    isSink: (name) => name === 'display' || name.startsWith('o-'),
    warn: (m) => warnings.push(m),
    ...more,
  });
  return writeCfg(statements).trimEnd().split('\n');
}

let warnings: string[] = [];
beforeEach(() => {
  warnings = [];
});

const common = ['frames:3', 'module:kpn-t:01', 'module:o-lut:w'];
const lut = 'connect:kpn-t:01:w:o-lut:w:input';

test('by default display:main becomes o-jpg:main, numbered, and the others go', () => {
  expect(after([])).toEqual([...common, 'module:o-jpg:main', lut, 'connect:kpn-t:01:output:o-jpg:main:input', 'param:o-jpg:main:filename:main_%04d']);
});

test('no number with --last-frame-only, or with one frame', () => {
  expect(after(['--last-frame-only']).at(-1)).toBe('param:o-jpg:main:filename:main');
  expect(after([], graph, { frames: 1 }).at(-1)).toBe('param:o-jpg:main:filename:main');
});

test('the vkdt line of the derivative check', () => {
  expect(after(['--format', 'o-pfm', '--filename', 'diff', '--last-frame-only', '--output', 'view0'])).toEqual([
    ...common, 'module:o-pfm:view0', lut, 'connect:kpn-t:01:vis:o-pfm:view0:input', 'param:o-pfm:view0:filename:diff',
  ]);
});

test('each --output harvests the options before it, and they start anew', () => {
  const lines = after(['--last-frame-only', '--quality', '80', '--width', '640', '--colour-prim', 'p3', '--filename', 'a:b', '--output', 'main', '--format', 'o-png', '--colour-trc', '709', '--height', '99', '--output', 'view0']);
  expect(lines.filter((l) => l.startsWith('module:') || l.startsWith('param:'))).toEqual([
    'module:kpn-t:01', 'module:o-lut:w', 'module:o-jpg:main', 'module:o-png:view0',
    'param:o-jpg:main:filename:a:b', 'param:o-jpg:main:quality:80', 'param:o-jpg:main:width:640', 'param:o-jpg:main:prim:P3',
    'param:o-png:view0:filename:view0', 'param:o-png:view0:trc:bt709', 'param:o-png:view0:height:99',
  ]);
});

test('one display can be written twice, in two formats', () => {
  const lines = after(['--last-frame-only', '--output', 'main', '--format', 'o-pfm', '--output', 'main']);
  expect(lines.filter((l) => l.includes(':main'))).toEqual([
    'module:o-jpg:main', 'module:o-pfm:main',
    'connect:kpn-t:01:output:o-jpg:main:input', 'connect:kpn-t:01:output:o-pfm:main:input',
    'param:o-jpg:main:filename:main', 'param:o-pfm:main:filename:main',
  ]);
});

test('feedback to a display that is replaced stays feedback, disconnecting stays disconnecting', () => {
  expect(after(['--output', 'hist'])).toContain('feedback:kpn-t:01:graph:o-jpg:hist:input');
  expect(after([], `${graph}connect:-1:-1:-1:display:main:input\n`)).toContain('connect:-1:-1:-1:o-jpg:main:input');
});

test("a sink of the graph's own called main suppresses the replacement; an i- module or a module that is no sink does not", () => {
  const own = graph.replace('module:kpn-t:01', 'module:kpn-t:01\nmodule:o-png:main');
  expect(after([], own).filter((l) => l.includes('display') || l.includes('o-jpg'))).toEqual([]);
  expect(warnings).toEqual([]);
  after(['--output', 'view0'], own);
  expect(warnings).toEqual([expect.stringContaining('o-png:main is a sink')]);
  for (const other of ['i-pfm', 'kpn-t']) expect(after([], graph.replace('module:kpn-t:01', `module:kpn-t:01\nmodule:${other}:main`))).toContain('module:o-jpg:main');
});

test('a display that is not there: an error where it was asked for, or where nothing else is written', () => {
  const refused = (work: () => unknown, words: RegExp): void => {
    expect(work).toThrow(InputError);
    expect(work).toThrow(words);
  };
  refused(() => after(['--output', 'viewO']), /no display:viewO/);
  const weightsOnly = graph.split('\n').filter((l) => !l.includes('display')).join('\n');
  expect(after([], weightsOnly)).toEqual([...common, lut]);
  refused(() => after(['--filename', 'x'], weightsOnly), /no display:main/);
  refused(() => after([], weightsOnly.split('\n').filter((l) => !l.includes('o-lut')).join('\n')), /no display:main/);
});

test('two outputs into one file, or onto a module that is there, are refused', () => {
  expect(() => after(['--filename', 'x', '--output', 'main', '--filename', 'x', '--output', 'view0'])).toThrow(/two outputs would write the same file: x as o-jpg/);
  expect(() => after(['--output', 'main', '--output', 'main'])).toThrow(/two outputs/);
  expect(() => after(['--output', 'view0'], graph.replace('module:o-lut:w', 'module:o-lut:w\nmodule:o-jpg:view0'))).toThrow(/has o-jpg:view0 already/);
});

test('options after the last --output belong to nothing', () => {
  expect(() => after(['--output', 'main', '--filename', 'x', '--quality', '9'])).toThrow(/--filename, --quality after the last --output/);
});

test('colours that do not exist are refused with what there is', () => {
  expect(() => after(['--colour-prim', 'rec709'])).toThrow(/sRGB, bt2020, AdobeRGB, P3, XYZ/);
  expect(() => after(['--colour-trc', 'gamma'])).toThrow(/linear, bt709, sRGB, PQ, DCI, HLG, gamma2.2/);
});

test('everything after --config is lines', () => {
  expect(splitConfig(['cli', '-g', 'x', '--config', 'frames:1', '--output', '--config'])).toEqual({ args: ['cli', '-g', 'x'], config: ['frames:1', '--output', '--config'] });
  expect(splitConfig(['cli'])).toEqual({ args: ['cli'], config: [] });
});
