// Graph file text <-> statements, suggestions (SPEC section 5).
import { readCfg, readLine, parseNumber } from '../../ts/cfg/read.js';
import { valueFields, type Statement } from '../../ts/cfg/statement.js';
import { editDistance, nearest, suggestion } from '../../ts/cfg/suggest.js';
import { writeCfg, writeStatement } from '../../ts/cfg/write.js';
import { InputError } from '../../ts/errors.js';

const place = { file: 'g.cfg', line: 1, column: 1 };
const read = (line: string): Statement => readLine(line, place);

function failure(work: () => unknown): InputError {
  try {
    work();
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
  throw new Error('should have thrown');
}

const reference = `# a comment: with colons
frames:250001
fps:0

module:i-pfm:main
module:kpn-t:01:120:-40.5
connect:i-pfm:main:output:kpn-t:01:input
feedback:kpn-t:01:output:kpn-t:01:ref
connect:-1:-1:-1:kpn-t:01:wcp
param:i-pfm:main:filename:img:with:colons and spaces.pfm
param:i-pfm:main:noise a:0.25
paramsub:a:01:mat:1:3:0.5:2
paraminc:a:01:mat:0:0:1:2:3
paramdec:a:01:mat:2:0:1e-3
keyframe:0:kpn-t:01:alpha:0:0:0.01
Keyframe:10:kpn-t:01:alpha:0:0:0.02
keyframE:20:kpn-t:01:alpha:0:0:0.03
KeyframE:30:kpn-t:01:alpha:0:1:0.04
keyFRAME:40:kpn-t:01:alpha:0:1:0.05
`;

test('every command is read, and written as it was', () => {
  const statements = readCfg(reference, 'g.cfg');
  expect(writeCfg(statements)).toBe(reference);
  expect(statements.map((s) => s.kind)).toEqual([
    'comment', 'frames', 'fps', 'blank', 'module', 'module', 'connect', 'connect', 'connect',
    ...Array<string>(5).fill('param'), ...Array<string>(5).fill('keyframe'),
  ]);
  expect(statements.map((s) => s.place.line)).toEqual(statements.map((_, i) => i + 1));
});

test('fields carry the columns they start at', () => {
  const s = read('param:kpn-t:01:noise a:0.5:7');
  if (s.kind !== 'param') throw new Error(s.kind);
  expect([s.target.module.column, s.target.inst.column, s.target.param.column, s.target.value.column]).toEqual([7, 13, 16, 24]);
  expect(valueFields(s.target.value)).toEqual([{ text: '0.5', column: 24 }, { text: '7', column: 28 }]);
  const k = read('keyFRAME:12:a:01:p:2:4:1:2');
  if (k.kind !== 'keyframe') throw new Error(k.kind);
  expect([k.easing, k.frame, k.target.begin, k.target.end, k.target.range.column]).toEqual(['step', 12, 2, 4, 20]);
});

test('easing follows the spelling', () => {
  const easing = (word: string): string => {
    const s = read(`${word}:0:a:b:c:0:0:1`);
    return s.kind === 'keyframe' ? s.easing : s.kind;
  };
  expect(['keyframe', 'Keyframe', 'keyframE', 'KeyframE', 'keyFRAME'].map(easing)).toEqual(['linear', 'in', 'out', 'smooth', 'step']);
  expect(failure(() => easing('KEYFRAME')).hint).toMatch(/did you mean/);
});

test('line ends: CRLF, no final newline, a byte order mark, blank lines of spaces', () => {
  const lf = readCfg('frames:3\nmodule:a:01\n', 'g');
  expect(readCfg('frames:3\r\nmodule:a:01\r\n', 'g')).toEqual(lf);
  expect(readCfg('frames:3\nmodule:a:01', 'g')).toEqual(lf);
  expect(readCfg('\uFEFFframes:3\nmodule:a:01', 'g')).toEqual(lf);
  expect(readCfg('  \t\n', 'g').map((s) => s.kind)).toEqual(['blank']);
  expect(readCfg('', 'g')).toEqual([]);
});

test('string values keep colons and spaces to the end of the line, and may be empty', () => {
  const value = (line: string): string => {
    const s = read(line);
    return s.kind === 'param' ? s.target.value.text : '';
  };
  expect(value('param:o-jpg:main:filename: a:b c ')).toBe(' a:b c ');
  expect(value('param:o-jpg:main:filename:')).toBe('');
});

test('one colon at the end is allowed, as vkdt reads it', () => {
  expect(read('frames:3:')).toEqual(read('frames:3'));
  expect(valueFields({ text: '1:2:', column: 1 })).toHaveLength(2);
  expect(valueFields({ text: '', column: 1 })).toHaveLength(1);
});

test.each([
  ['modul:a:01', 1, 'CFG_UNKNOWN_COMMAND', /did you mean module\?/],
  ['constructor:a', 1, 'CFG_UNKNOWN_COMMAND', /there is: frames/],
  ['module:a', 9, 'CFG_MISSING_FIELD', undefined],
  ['module::01', 8, 'CFG_MISSING_FIELD', undefined],
  ['module:kpn-trainer:01', 8, 'CFG_LONG_TOKEN', undefined],
  ['module:a\x01:01', 8, 'CFG_BAD_TOKEN', undefined],
  ['module:a:01:x:2', 13, 'CFG_BAD_NUMBER', undefined],
  ['module:a:01:1:2:3', 17, 'CFG_EXTRA_FIELD', undefined],
  ['frames:ten', 8, 'CFG_BAD_NUMBER', undefined],
  ['frames:-1', 8, 'CFG_BAD_NUMBER', undefined],
  ['frames:1.5', 8, 'CFG_BAD_NUMBER', undefined],
  ['frames:99999999999', 8, 'CFG_BAD_NUMBER', undefined],
  ['frames', 7, 'CFG_MISSING_FIELD', undefined],
  ['frames:', 8, 'CFG_BAD_NUMBER', undefined],
  ['frames:1:2', 10, 'CFG_EXTRA_FIELD', undefined],
  ['fps:-2', 5, 'CFG_BAD_NUMBER', undefined],
  ['connect:a:01:out:b:01', 22, 'CFG_MISSING_FIELD', undefined],
  ['connect:a:01:out:b:01:in:x', 26, 'CFG_EXTRA_FIELD', undefined],
  ['param:a:01:b', 13, 'CFG_MISSING_FIELD', undefined],
  ['keyframe:x:a:01:b:0:0:1', 10, 'CFG_BAD_NUMBER', undefined],
  ['paramsub:a:01:b:0:z:1', 19, 'CFG_BAD_NUMBER', undefined],
])('%j is refused at its column', (line, column, code, hint) => {
  const error = failure(() => readCfg(`frames:1\n${line}\n`, 'g.cfg'));
  expect(error.place).toEqual({ file: 'g.cfg', line: 2, column });
  expect(error.code).toBe(code);
  expect(error.exitCode).toBe(2);
  if (hint) expect(error.hint).toMatch(hint);
});

test('lenient: lines that cannot be read are warned of and left out', () => {
  const warnings: string[] = [];
  const statements = readCfg('frames:2\nbogus:1\nmodule:a:01\nframes:x', 'g', { lenient: true, warn: (e) => warnings.push(e.format()) });
  expect(statements.map(writeStatement)).toEqual(['frames:2', 'module:a:01']);
  expect(warnings).toHaveLength(2);
  expect(warnings[0]).toMatch(/^g:2:1: no command bogus/);
});

test('numbers as graph files write them', () => {
  expect(['1', '-2.5', '+.5', '1e-3', '5.', ' 7 '].map(parseNumber)).toEqual([1, -2.5, 0.5, 0.001, 5, 7]);
  for (const bad of ['', ' ', '1e', 'nan', 'inf', '0x10', '1,5', '1e999', '--1', '1 2']) expect(parseNumber(bad)).toBeUndefined();
});

test('edit distance and suggestions', () => {
  expect(editDistance('kpnt', 'kpn-t')).toBe(1);
  expect(editDistance('abcd', 'acbd')).toBe(1);
  expect(editDistance('', 'abc')).toBe(3);
  expect(editDistance('kitten', 'sitting')).toBe(3);
  expect(editDistance('KPN', 'kpn')).toBe(0);
  expect(nearest('kpnt', ['kpn', 'kpn-t', 'o-lut'])).toBe('kpn-t');
  expect(nearest('kpntt', ['kpn', 'kpn-t', 'o-lut'])).toBe('kpn-t');
  expect(nearest('zzzz', ['kpn', 'o-lut'])).toBeUndefined();
  expect(suggestion('zzzz', ['kpn', 'o-lut'])).toBe('there is: kpn, o-lut');
  expect(suggestion('x', [])).toBeUndefined();
});

test('10,000 mutated graph files are read or refused with InputError, never anything else', () => {
  // A small linear congruential generator: the same files each time.
  let seed = 12345;
  const random = (n: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  const pieces = [':', '\n', '#', '\r', '-1', '0', '\0', '😀', ' ', 'frames', 'keyframe', 'param', '1e999', '99999999999999999999', '\uFEFF', ''];
  let refused = 0;
  for (let i = 0; i < 10_000; i++) {
    let text = reference;
    for (let k = 1 + random(4); k > 0; k--) {
      const at = random(text.length);
      const cut = random(3) === 0 ? random(40) : random(2);
      text = text.slice(0, at) + (pieces[random(pieces.length)] ?? '') + text.slice(at + cut);
    }
    try {
      const statements = readCfg(text, 'fuzz');
      // What was read, written and read again, says the same.
      expect(writeCfg(readCfg(writeCfg(statements), 'fuzz'))).toBe(writeCfg(statements));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      expect(error.place?.line).toBeGreaterThan(0);
      expect(error.place?.column).toBeGreaterThan(0);
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(2000);
  expect(refused).toBeLessThan(9900);
});
