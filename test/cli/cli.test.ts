// The real command as a child process, with the real modules, on the first device. Needs `npm run build`.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { main } from '../../ts/cli/main.js';
import { encodePfm, decodePfm } from '../../ts/formats/pfm.js';
import { listDevices } from '../../ts/gpu/index.js';
import { packageRoot } from '../../ts/root.js';
import { withoutBanner } from '../validation/banner.js';

jest.setTimeout(180_000);

const script = join(packageRoot, 'bin', 'vkpn');
let dir: string;

/** Smooth, in [0.1, 0.9], with noise of this size. */
function picture(width: number, height: number, noise: number): Uint8Array {
  const rgba = new Float32Array(width * height * 4).fill(1);
  let seed = 1;
  for (let i = 0; i < rgba.length; i++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    if (i % 4 < 3) rgba[i] = 0.5 + 0.3 * Math.sin(((i >> 2) % width) / 9 + (i % 4)) + noise * (seed / 2 ** 32 - 0.5);
  }
  return encodePfm(width, height, rgba, 4);
}

// The reference graph, unchanged.
const reference = `frames:250001
fps:0
module:i-pfm:main
module:i-pfm:ref
module:cnngenin:01
module:kpn-t:01
module:o-lut:w
module:display:main
connect:i-pfm:main:output:cnngenin:01:imgi
connect:i-pfm:ref:output:cnngenin:01:refi
connect:cnngenin:01:imgo:kpn-t:01:input
connect:cnngenin:01:refo:kpn-t:01:ref
connect:cnngenin:01:noiseab:kpn-t:01:noiseab
connect:kpn-t:01:w:o-lut:w:input
connect:kpn-t:01:output:display:main:input
param:i-pfm:main:filename:img_12800.pfm
param:i-pfm:ref:filename:img_100.pfm
param:cnngenin:01:generate:2
param:kpn-t:01:init:1
param:kpn-t:01:L2:0
param:kpn-t:01:alpha:0.003
param:kpn-t:01:gradclip:1.0
param:o-lut:w:filename:mlp-w
`;
const convert = `module:i-pfm:main
module:display:main
module:display:other
connect:i-pfm:main:output:display:main:input
connect:i-pfm:main:output:display:other:input
param:i-pfm:main:filename:img_100.pfm
`;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'vkpn-cli-'));
  mkdirSync(join(dir, 'graph'));
  writeFileSync(join(dir, 'graph', 'img_100.pfm'), picture(96, 80, 0));
  writeFileSync(join(dir, 'graph', 'img_12800.pfm'), picture(96, 80, 0.1));
  for (let i = 3; i < 6; i++) writeFileSync(join(dir, 'graph', `seq_${String(i).padStart(4, '0')}.pfm`), picture(16, 16, i / 10));
  writeFileSync(join(dir, 'graph', 'train.cfg'), reference);
  writeFileSync(join(dir, 'graph', 'convert.cfg'), convert);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** A fresh working directory for each test. */
let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(dir, 'run-'));
});

function vkpn(args: string[], options: { cwd?: string } = {}): { code: number | null; out: string; err: string } {
  const child = spawnSync(process.execPath, [script, ...args], { cwd: options.cwd ?? cwd, encoding: 'utf8', timeout: 170_000 });
  return { code: child.status, out: withoutBanner(child.stdout), err: child.stderr };
}

/** The same within this process, where starting one for each of many cases would take long. */
async function inProcess(args: string[]): Promise<{ code: number; out: string; err: string }> {
  const text = { out: '', err: '' };
  const catches = (to: 'out' | 'err') => (chunk: unknown) => ((text[to] += String(chunk)), true);
  const spies = [jest.spyOn(process.stdout, 'write').mockImplementation(catches('out')), jest.spyOn(process.stderr, 'write').mockImplementation(catches('err'))];
  const before = process.cwd();
  process.chdir(cwd);
  try {
    const code = await main(args);
    return { code, ...text };
  } finally {
    process.chdir(before);
    process.exitCode = undefined;
    spies.forEach((s) => s.mockRestore());
  }
}

const train = (): string => join(dir, 'graph', 'train.cfg');
const conv = (): string => join(dir, 'graph', 'convert.cfg');
const files = (): string[] => readdirSync(cwd).sort();

function dot(text: string): string {
  const child = spawnSync('dot', ['-Tsvg'], { input: text, encoding: 'utf8' });
  expect([child.status, child.stderr]).toEqual([0, '']);
  return child.stdout;
}

describe('training with the reference graph', () => {
  test('from another folder: weights and picture where the command stands, progress on a pipe', () => {
    const { code, out, err } = vkpn(['cli', '-g', train(), '--last-frame-only', '--progress', '--config', 'frames:30']);
    expect([code, out, files()]).toEqual([0, '', ['main.jpg', 'mlp-w.lut']]);
    expect(err).toMatch(/^frame 30\/30 \| [\d.]+ frames\/s \| 0s left \| loss [\d.e-]+ \| .*skipped \d+$/m);
    expect(err).toMatch(/wrote mlp-w\.lut\n[^]*wrote main\.jpg/);
    const weights = readFileSync(join(cwd, 'mlp-w.lut'));
    expect([weights.readUInt32LE(0), weights.readUInt32LE(8), weights.readUInt32LE(12)]).toEqual([1234, 32, 128]);
    expect(weights.subarray(16 + 2 * 32 * 128).toString()).toMatch(/multi-level kernel predicting mlp/);
  });

  test('from its own folder, further lines change it; weights go on from a file', () => {
    const own = join(dir, 'graph');
    expect(vkpn(['cli', '-g', 'train.cfg', '--last-frame-only', '--config', 'frames:3', 'param:o-lut:w:filename:w1'], { cwd: own }).code).toBe(0);
    const more = ['module:i-lut:w', 'connect:i-lut:w:output:kpn-t:01:wcp', 'param:i-lut:w:filename:w1.lut', 'param:kpn-t:01:init:0', 'param:o-lut:w:filename:w2', 'frames:1', 'param:kpn-t:01:alpha:0'];
    expect(vkpn(['cli', '-g', 'train.cfg', '--last-frame-only', '--config', ...more], { cwd: own })).toMatchObject({ code: 0 });
    // A step of size zero: what came in goes out.
    const data = (name: string): Buffer => readFileSync(join(own, name)).subarray(16, 16 + 2 * 32 * 128);
    expect(data('w2.lut').equals(data('w1.lut'))).toBe(true);
  });

  test('-d perf and -d mem say where time and memory go', () => {
    const { code, err } = vkpn(['cli', '-g', train(), '--last-frame-only', '-d', 'perf,mem', '-d', 'qvk', '--config', 'frames:3']);
    expect(code).toBe(0);
    expect(err).toMatch(/\[perf\] +[\d.]+ us +[\d.]+ % {2}kpn-t:01 fwd/);
    expect(err).toMatch(/\[perf\] start-up: process and modules [\d.]+ ms, check [\d.]+ ms/);
    expect(err).toMatch(/\[mem\] +\d+ bytes {2}.*kpn-t:01/);
    expect(err).toMatch(/\[qvk\] device \d+: /);
  });

  test('modules and nodes as graphviz, and nothing run', () => {
    const modules = vkpn(['cli', '-g', train(), '--dump-modules']);
    expect([modules.code, files()]).toEqual([0, []]);
    expect(dot(modules.out)).toContain('kpn&#45;t:01');
    const nodes = vkpn(['cli', '-g', train(), '--dump-nodes', '--last-frame-only']);
    expect([nodes.code, files()]).toEqual([0, []]);
    expect(dot(nodes.out)).toContain('kpn/fwd');
    expect(dot(vkpn(['cli', '-g', train(), '--dump-nodes', '--dump-modules']).out)).toContain('kpn/fwd');
  });
});

describe('stopping', () => {
  /** Starts a long training and resolves once it has printed progress. */
  function start(): Promise<{ child: ChildProcess; err: () => string; ended: Promise<number | null> }> {
    const child = spawn(process.execPath, [script, 'cli', '-g', train(), '--last-frame-only', '--progress'], { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
    let text = '';
    const ended = new Promise<number | null>((done) => child.on('close', done));
    return new Promise((ready, failed) => {
      child.stderr.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (text.includes('frames/s')) ready({ child, ended, err: () => text });
      });
      child.on('exit', () => failed(new Error(text)));
    });
  }

  test.each([['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]] as const)('%s stops after the current submit, writes a checkpoint and the sinks', async (signal, code) => {
    const { child, err, ended } = await start();
    child.kill(signal);
    expect(await ended).toBe(code);
    const frame = /stopped after (\d+) of 250001 frames/.exec(err())?.[1] ?? '';
    expect(files()).toEqual(['main.jpg', 'mlp-w.checkpoints', 'mlp-w.lut']);
    expect(readdirSync(join(cwd, 'mlp-w.checkpoints')).sort()).toEqual(['best.ckpt', `frame-${frame.padStart(9, '0')}.ckpt`]);
    expect(err()).toMatch(/holds the state after \d+ frames: the same command with --resume goes on/);
    expect(err()).toMatch(/wrote mlp-w\.lut/);
  });

  test('a second Ctrl-C quits at once; no result is half-written', async () => {
    const { child, ended } = await start();
    child.kill('SIGINT');
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    // No temporary file, no lock, and what has a result's name is whole.
    const results = files();
    for (const f of results) expect(['main.jpg', 'mlp-w.checkpoints', 'mlp-w.lut']).toContain(f);
    if (results.includes('mlp-w.checkpoints')) for (const f of readdirSync(join(cwd, 'mlp-w.checkpoints'))) expect(f).toMatch(/^(frame-\d+|best)\.ckpt$/);
    if (results.includes('main.jpg')) expect(readFileSync(join(cwd, 'main.jpg')).subarray(-2).toString('hex')).toBe('ffd9');
  });
});

describe('outputs', () => {
  test('one display in two formats and another in a third, each with its options', () => {
    const { code, err } = vkpn(['cli', '-g', conv(), '--format', 'o-pfm', '--filename', 'a', '--output', 'main', '--width', '48', '--format', 'o-png', '--filename', 'b', '--output', 'main', '--output', 'other']);
    expect([code, err.match(/wrote .*/g), files()]).toEqual([0, ['wrote a.pfm', 'wrote b.png', 'wrote other.jpg'], ['a.pfm', 'b.png', 'other.jpg']]);
    const png = readFileSync(join(cwd, 'b.png'));
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([48, 40]);
    // f32 in, f32 out: the same picture.
    const [source, written] = [join(dir, 'graph', 'img_100.pfm'), join(cwd, 'a.pfm')].map((f) => decodePfm(readFileSync(f), f));
    expect(written!.rgba).toEqual(source!.rgba);
  });

  test('a sequence: each frame its file, numbered; --config after the replacement may name the output', () => {
    const { code } = vkpn(['cli', '-g', conv(), '--format', 'o-pfm', '--config', 'frames:3', 'param:i-pfm:main:filename:seq_%04d.pfm', 'param:i-pfm:main:startid:3', 'param:o-pfm:main:trc:linear']);
    expect([code, files()]).toEqual([0, ['main_0000.pfm', 'main_0001.pfm', 'main_0002.pfm']]);
    for (let i = 0; i < 3; i++) {
      const [a, b] = [join(cwd, `main_000${i}.pfm`), join(dir, 'graph', `seq_000${i + 3}.pfm`)];
      expect(decodePfm(readFileSync(a), a).rgba).toEqual(decodePfm(readFileSync(b), b).rgba);
    }
  });

  test('standard output that is closed early, or from the start, is no failure', () => {
    const shell = (line: string): number | null => spawnSync('bash', ['-c', `set -o pipefail; "$0" "$1" cli -g "$2" ${line}`, process.execPath, script, conv()], { cwd, timeout: 60_000 }).status;
    expect(shell('--dump-modules | head -c 1 > /dev/null')).toBe(0);
    expect(shell('--filename x >&- 2>&-')).toBe(0);
    expect(files()).toEqual(['x.jpg']);
    expect(shell('--dump-modules > /dev/full')).toBe(1);
  });
});

// Arguments, first line of the message, hint: all exit 2, print nothing on stdout, and leave no file.
test.each<[string[], RegExp]>([
  [['cli'], /required option '-g, --graph <file>' not specified/],
  [['clii'], /unknown command 'clii'\n\(Did you mean cli\?\)/],
  [['cli', '-g', 'CONV', '--progess'], /unknown option '--progess'\n\(Did you mean --progress\?\)/],
  [['cli', '-g', 'CONV', 'extra'], /too many arguments/],
  [['cli', '-g', 'nowhere.cfg'], /the file nowhere\.cfg is missing/],
  [['cli', '-g', '.'], /is a folder/],
  [['cli', '-g', 'CONV', '-d', 'prf'], /-d has no level "prf"\n {2}did you mean perf\?/],
  [['cli', '-g', 'CONV', '--device', 'nonesuch'], /no device fits --device "nonesuch"\n {2}there is: 0: /],
  [['cli', '-g', 'CONV', '--device-id', '99'], /no device fits --device-id 99/],
  [['cli', '-g', 'CONV', '--device-id', 'x'], /whole number/],
  [['cli', '-g', 'CONV', '--output', 'mian'], /no display:mian to write as o-jpg\n {2}did you mean main\?/],
  [['cli', '-g', 'CONV', '--format', 'o-jgp'], /--format has no o-jgp\n {2}did you mean o-jpg\?/],
  [['cli', '-g', 'CONV', '--format', 'kpn'], /--format has no kpn/],
  [['cli', '-g', 'CONV', '--quality', '500'], /--quality: quality should be from/],
  [['cli', '-g', 'CONV', '--width', '-4'], /--width: width should be at least 0/],
  [['cli', '-g', 'CONV', '--format', 'o-pfm', '--quality', '50'], /--quality means nothing to o-pfm/],
  [['cli', '-g', 'CONV', '--filename', 'nowhere/x'], /--filename: the folder nowhere for the output/],
  [['cli', '-g', 'CONV', '--path', 'nv'], /--path means nothing/],
  [['cli', '-g', 'TRAIN', '--path', 'nv'], /has no path nv: .*\n {2}there is: .*plain; auto takes the fastest/],
  [['cli', '-g', 'TRAIN', '--path', 'cuda'], /path can't be "cuda"/],
  [['cli', '-g', 'TRAIN', '--config', 'param:kpn-t:01:path:nv'], /has no path nv/],
  [['cli', '-g', 'TRAIN', '--config', 'param:kpn-t:01:width:48'], /--config:1:16: .*width 48 is not supported/],
  [['cli', '-g', 'CONV', '--config', 'bogus:1'], /--config:1:1: no command bogus/],
  [['cli', '-g', 'CONV', '--config', 'module:kpnt:01'], /--config:1:8: no module kpnt\n {2}did you mean kpn-t\?/],
  [['cli', '-g', 'CONV', '--config', 'param:i-pfm:main:filename:img_10.pfm'], /--config:1:18: the file .*img_10\.pfm is missing\n {2}Did you mean .*img_100\.pfm/],
  [['cli', '-g', 'TRAIN', '--config', 'param:kpn-t:01:init:0'], /--config:1:16: .*wcp/],
  [['cli', '-g', 'TRAIN', '--config', 'connect:-1:-1:-1:cnngenin:01:refi'], /train\.cfg:5:8: cnngenin:01 has nothing connected to its input refi/],
])('%j is refused', async (args, words) => {
  if (words.source.includes('no path nv') && listDevices()[0]?.features.nvCooperativeMatrix) return;
  const { code, out, err } = await inProcess(args.map((a) => (a === 'CONV' ? conv() : a === 'TRAIN' ? train() : a)));
  expect(err).toMatch(words);
  expect(err).not.toMatch(/ {4}at /);
  expect([code, out, files()]).toEqual([2, '', []]);
});

test('what is refused ends the real command with code 2', () => {
  const { code, out, err } = vkpn(['cli', '-g', train(), '--config', 'module:kpnt:01']);
  expect([code, out, err, files()]).toEqual([2, '', 'vkpn: --config:1:8: no module kpnt\n  did you mean kpn-t?\n', []]);
});

test('an unknown module in a graph without display is told of before the missing display', () => {
  const graph = join(dir, 'kpnt.cfg');
  writeFileSync(graph, 'module:i-pfm:main\nmodule:kpnt:01\n');
  const { code, err } = vkpn(['cli', '-g', graph]);
  expect([code, err]).toEqual([2, `vkpn: ${graph}:2:8: no module kpnt\n  did you mean kpn-t?\n`]);
});

test('--lenient runs what is left', () => {
  const { code, err } = vkpn(['cli', '-g', conv(), '--lenient', '--config', 'bogus:1', 'param:i-pfm:main:gain:2']);
  expect([code, files()]).toEqual([0, ['main.jpg']]);
  expect(err.match(/vkpn: warning: --config:\d+:\d+: .*/g)).toHaveLength(2);
});

test('help, version, devices', () => {
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  for (const args of [['--version'], ['cli', '--version']]) expect(vkpn(args)).toEqual({ code: 0, out: `${version}\n`, err: '' });
  const help = vkpn(['cli', '--help']);
  expect(help.code).toBe(0);
  for (const option of ['-g', '--last-frame-only', '--progress', '-d', '--dump-modules', '--dump-nodes', '--quality', '--width', '--height', '--filename', '--format', '--output', '--colour-prim', '--colour-trc', '--device', '--device-id', '--config', '--lenient', '--checkpoint', '--checkpoint-dir', '--resume', '--resume-anyway', 'Examples:', 'Exit codes:'])
    expect(help.out).toContain(option);
  const devices = JSON.parse(vkpn(['devices', '--json']).out) as { name: string; index: number; paths: { chosen: object; others: object[] } }[];
  expect(devices[0]?.index).toBe(0);
  for (const device of devices) {
    for (const key of ['type', 'driverName', 'driverInfo', 'apiVersion', 'deviceUuid', 'driverUuid', 'memoryBytes', 'memoryBudget', 'subgroup', 'limits', 'features', 'matrixShapes']) expect(device).toHaveProperty(key);
    expect([device.paths.chosen, ...device.paths.others]).toHaveLength(3);
  }
  expect(vkpn(['devices']).out).toContain(`0: ${devices[0]?.name}`);
  expect(existsSync(script)).toBe(true);
});
