// Statements -> graph: parameters, connections, order, sizes, and everything that can be wrong (SPEC sections 4, 5).
import { readCfg } from '../../ts/cfg/read.js';
import { VkpnError } from '../../ts/errors.js';
import { buildGraph, runOrder, type Graph, type GraphNode } from '../../ts/graph/graph.js';
import { checkGraph, type CheckedGraph } from '../../ts/graph/run.js';
import { testModules } from './graph-modules.js';

const graphOf = (text: string): Graph => buildGraph(readCfg(text, 'g.cfg'), testModules);
const node = (graph: Graph, key: string): GraphNode => graph.nodes.get(key)!;
const check = (text: string, lenient = false, onWarning?: (m: string) => void): Promise<CheckedGraph> => checkGraph({ file: 'g.cfg', text, registry: testModules, lenient, onWarning });

const chain = `module:i-src:01
module:filter:01
module:o-img:main
connect:i-src:01:output:filter:01:input
connect:filter:01:output:o-img:main:input
`;

test('parameters: set, sub, inc, dec over ranges; the last line wins', () => {
  const { params } = node(graphOf(`${chain}param:filter:01:mat:1:2:3
paramsub:filter:01:mat:1:3:5:7
paraminc:filter:01:mat:0:2:0.5:-1
paramdec:filter:01:mat:2:0:10
param:filter:01:gain:2
param:filter:01:gain:3
param:filter:01:mode:tent
param:filter:01:filename:a:b
`), 'filter:01');
  expect(params.numbers('mat')).toEqual([1.5, 4, -3]);
  expect(params.float('gain')).toBe(3);
  expect([params.string('mode'), params.int('mode'), params.string('filename')]).toEqual(['tent', 1, 'a:b']);
  expect([params.isSet('gain'), params.isSet('steps'), params.int('steps')]).toEqual([true, false, 2]);
  expect(params.place('gain')).toEqual({ file: 'g.cfg', line: 11, column: 17 });
  expect(params.place('steps')).toEqual({ file: 'g.cfg', line: 2, column: 8 });
});

test('keyframes animate ranges of numbers; the others keep their value', () => {
  const { params } = node(graphOf(`${chain}param:filter:01:mat:9:9:9
keyframe:0:filter:01:mat:0:1:0
Keyframe:10:filter:01:mat:0:1:8
keyframe:4:filter:01:steps:0:0:3
keyframe:8:filter:01:steps:0:0:5
`), 'filter:01');
  expect(params.numbers('mat', 5)).toEqual([1, 9, 9]);
  expect([0, 4, 7, 8, 20].map((f) => params.int('steps', f))).toEqual([3, 3, 3, 5, 5]);
  expect([params.isAnimated('mat'), params.isAnimated('steps'), params.isAnimated('gain')]).toEqual([true, true, false]);
  expect([params.nextChange(0, 100), params.nextChange(5, 100), params.nextChange(10, 100)]).toEqual([1, 6, 100]);
});

test('a keyframe alone, or keyframes all equal, are no animation', () => {
  const { params } = node(graphOf(`${chain}keyframe:5:filter:01:gain:0:0:4\n`), 'filter:01');
  expect([params.float('gain', 0), params.float('gain', 9), params.isAnimated('gain'), params.nextChange(0, 50)]).toEqual([4, 4, false, 50]);
});

test('frames and fps; 0 frames or none are one', () => {
  expect([graphOf('frames:7\nfps:24').frames, graphOf('frames:7\nfps:24').fps, graphOf('').frames, graphOf('frames:0').frames]).toEqual([7, 24, 1, 1]);
});

test('a later connect replaces, -1 disconnects, a module named twice is one', () => {
  const graph = graphOf(`${chain}module:filter:01
module:i-src:02
connect:i-src:02:output:filter:01:input
connect:i-src:01:output:filter:01:prev
connect:-1:-1:-1:filter:01:prev
`);
  expect(node(graph, 'filter:01').inputs.get('input')?.source.key).toBe('i-src:02');
  expect(node(graph, 'filter:01').inputs.has('prev')).toBe(false);
  expect(graph.nodes.size).toBe(4);
});

test('only what reaches a sink runs, sources first', () => {
  const graph = graphOf(`module:o-img:main
module:filter:02
module:filter:03
module:filter:01
module:i-src:01
connect:i-src:01:output:filter:01:input
connect:filter:01:output:filter:02:input
connect:filter:02:output:o-img:main:input
connect:filter:01:output:filter:03:input
`);
  expect(runOrder(graph).map((n) => n.key)).toEqual(['i-src:01', 'filter:01', 'filter:02', 'o-img:main']);
});

test('feedback is no cycle, and its source runs though nothing else reads it', () => {
  const graph = graphOf(`${chain}module:filter:02
connect:filter:01:output:filter:02:input
feedback:filter:02:output:filter:01:prev
`);
  expect(runOrder(graph).map((n) => n.key)).toEqual(['i-src:01', 'filter:01', 'o-img:main', 'filter:02']);
});

test('sizes flow through the graph, through feedback too', async () => {
  const { run } = await check(`${chain}feedback:filter:01:output:filter:01:prev\n`);
  expect(run.map((r) => [r.node.key, r.shapes.output?.width ?? null])).toEqual([['i-src:01', 8], ['filter:01', 8], ['o-img:main', null]]);
  expect(run[1]?.context.input('prev')).toMatchObject({ width: 8, height: 4 });
});

// Each: what is added to the chain, line and column of the error, its code, words of message and hint.
test.each<[string, number, number, string, RegExp]>([
  ['module:filtr:02', 6, 8, 'CFG_UNKNOWN_MODULE', /no module filtr\n {2}did you mean filter\?/],
  ['connect:filtr:01:output:o-img:main:input', 6, 9, 'CFG_UNKNOWN_MODULE', /no module filtr[^]*filter/],
  ['connect:filter:02:output:o-img:main:input', 6, 16, 'CFG_UNKNOWN_INSTANCE', /no instance filter:02\n {2}did you mean 01/],
  ['param:display:01:x:1', 6, 7, 'CFG_UNKNOWN_INSTANCE', /add a line module:display:01/],
  ['param:display:01:x:1\nmodule:display:01', 6, 7, 'CFG_UNKNOWN_INSTANCE', /further down, in line 7/],
  ['connect:filter:01:outpt:o-img:main:input', 6, 19, 'CFG_UNKNOWN_CONNECTOR', /no output outpt[^]*did you mean output/],
  ['connect:filter:01:output:o-img:main:inptu', 6, 37, 'CFG_UNKNOWN_CONNECTOR', /no input inptu[^]*did you mean input/],
  ['connect:filter:01:input:o-img:main:input', 6, 19, 'CFG_WRONG_DIRECTION', /input of filter is an input, an output belongs here/],
  ['connect:filter:01:output:filter:01:output', 6, 36, 'CFG_WRONG_DIRECTION', /is an output/],
  ['connect:i-ssbo:01:output:filter:01:input', 6, 9, 'CFG_UNKNOWN_INSTANCE', /module:i-ssbo:01/],
  ['module:i-ssbo:01\nconnect:i-ssbo:01:output:filter:01:input', 7, 19, 'CFG_MISMATCH', /it has ssbo, the input takes rgba/],
  ['module:i-f32:01\nconnect:i-f32:01:output:filter:01:input', 7, 18, 'CFG_MISMATCH', /format f32, the input takes f16/],
  ['module:any:01\nconnect:any:01:output:filter:01:input', 7, 9, 'CFG_MISMATCH', /format f32, the input takes f16/],
  ['module:o-arr:01\nconnect:filter:01:output:o-arr:01:input', 7, 19, 'CFG_MISMATCH', /it has rgba, the input takes ssbo/],
  ['feedback:filter:01:output:o-img:main:input', 6, 1, 'CFG_FEEDBACK_SINK', /sink/],
  ['param:filter:01:gian:1', 6, 17, 'CFG_UNKNOWN_PARAM', /no parameter gian[^]*did you mean gain/],
  ['param:filter:01:gain:x', 6, 22, 'CFG_BAD_VALUE', /needs a number, not "x"/],
  ['param:filter:01:gain:', 6, 22, 'CFG_BAD_VALUE', /needs a number/],
  ['param:filter:01:steps:1.5', 6, 23, 'CFG_BAD_VALUE', /whole number/],
  ['param:filter:01:gain:1:2', 6, 22, 'CFG_BAD_VALUE', /takes one value here, this line has 2/],
  ['param:filter:01:mat:1:2', 6, 21, 'CFG_BAD_VALUE', /takes 3 values here, this line has 2/],
  ['param:filter:01:gain:11', 6, 22, 'CFG_BAD_VALUE', /from 0 to 10, not 11/],
  ['paraminc:filter:01:gain:0:0:10', 6, 29, 'CFG_BAD_VALUE', /from 0 to 10, not 11/],
  ['keyframe:3:filter:01:gain:0:0:-1', 6, 31, 'CFG_BAD_VALUE', /from 0 to 10, not -1/],
  ['paramsub:filter:01:mat:1:4:1:2:3', 6, 24, 'CFG_BAD_VALUE', /has 3 values: the range 1 to 4 is outside/],
  ['paramsub:filter:01:mat:2:2:1', 6, 24, 'CFG_BAD_VALUE', /range 2 to 2/],
  ['paramsub:filter:01:filename:0:1:x', 6, 20, 'CFG_BAD_VALUE', /can only be set/],
  ['param:filter:01:mode:tnet', 6, 22, 'CFG_BAD_VALUE', /can't be "tnet"[^]*did you mean tent/],
  ['keyframe:0:filter:01:fixed:0:0:1', 6, 22, 'CFG_BAD_VALUE', /can't be animated/],
  ['module:o-img:02', 6, 8, 'CFG_UNCONNECTED', /the sink o-img:02 has nothing connected/],
  ['connect:-1:-1:-1:filter:01:input', 2, 8, 'CFG_UNCONNECTED', /filter:01 has nothing connected to its input input[^]*add connect:/],
  ['module:filter:02\nconnect:filter:01:output:filter:02:input\nconnect:filter:02:output:filter:01:input', 7, 9, 'CFG_CYCLE', /in a circle: filter:\d+ -> filter:\d+ -> filter:\d+[^]*feedback:/],
])('%j is refused', async (lines, line, column, code, words) => {
  const error = await check(`${chain}${lines}\n`).then(() => undefined, (e: unknown) => e);
  if (!(error instanceof VkpnError)) throw new Error('should be refused', { cause: error });
  expect(error.format()).toMatch(words);
  expect([error.code, error.place, error.exitCode]).toEqual([code, { file: 'g.cfg', line, column }, 2]);
});

test('a graph without a sink is refused', async () => {
  await expect(check('module:i-src:01\n')).rejects.toMatchObject({ code: 'CFG_NO_SINK', exitCode: 2 });
});

test('lenient: what makes no sense is warned of; what is then missing is an error all the same', async () => {
  const warnings: string[] = [];
  await check(`${chain}bogus\nmodule:filtr:02\nparam:filter:01:gian:1\nparam:filter:01:gain:x\n`, true, (m) => warnings.push(m));
  expect(warnings.map((w) => w.split('\n')[0])).toEqual([
    'g.cfg:6:1: no command bogus',
    'g.cfg:7:8: no module filtr',
    'g.cfg:8:17: filter has no parameter gian',
    'g.cfg:9:22: gain needs a number, not "x"',
  ]);
  await expect(check(chain.replace('module:i-src:01', 'module:i-scr:01'), true)).rejects.toMatchObject({ code: 'CFG_UNCONNECTED' });
});

test('--config lines come after the file, and errors name them', async () => {
  const { graph } = await checkGraph({ file: 'g.cfg', text: `${chain}frames:5\n`, config: ['frames:9', 'param:filter:01:gain:4'], registry: testModules });
  expect([graph.frames, node(graph, 'filter:01').params.float('gain')]).toEqual([9, 4]);
  await expect(checkGraph({ file: 'g.cfg', text: chain, config: ['frames:1', 'param:filter:01:gain:x'], registry: testModules })).rejects.toMatchObject({ place: { file: '--config', line: 2, column: 22 } });
});
