// `vkpn cli`: runs a graph file, with vkdt's options (SPEC section 5).

import { dirname } from 'node:path';
import type { Command } from 'commander';
import { replaceDisplays, type OutputChoice } from '../cfg/outputs.js';
import { readCfg, readLines } from '../cfg/read.js';
import type { Statement } from '../cfg/statement.js';
import { suggestion } from '../cfg/suggest.js';
import { InputError } from '../errors.js';
import { withInput } from '../files.js';
import { loadSpirv, type Device } from '../gpu/index.js';
import { dotModules, dotNodes } from '../graph/dot.js';
import { buildGraph } from '../graph/graph.js';
import { checkGraph, planGraph, runGraph, type GraphSource, type RunOptions, type RunSummary } from '../graph/run.js';
import type { ModuleType } from '../graph/types.js';
import { modules } from '../modules/index.js';
import type { Validated } from '../quality/validation.js';
import type { Watch } from '../quality/watch.js';
import { checkpointOptions, declareCliOptions, OutputOptions, type CliOptions } from './cli-options.js';
import { Log } from './log.js';
import { ProgressLine, short } from './progress.js';
import { findDevice, startDevice } from './session.js';
import { StopSignal } from './stop.js';
import { openWatch, watched } from './watching.js';

const examples = `
Examples:
  vkpn cli -g train-mlp-cli.cfg --last-frame-only --progress
      train, and write the weights at the end
  vkpn cli -g train-mlp-cli.cfg --last-frame-only --config frames:2000 param:kpn-t:01:alpha:0.001
      the same with other settings
  vkpn cli -g denoise.cfg --format o-png --filename result
      write what goes to display:main as result.png
  vkpn cli -g mlp.cfg --last-frame-only --format o-pfm --filename diff --output view0 --filename small --width 640 --output main
      two outputs, each with the options before it
  vkpn cli -g train-mlp-cli.cfg --last-frame-only --progress --resume
      go on where that training was stopped, however it was
  vkpn cli -g graph.cfg --dump-modules | dot -Tsvg > modules.svg

Exit codes: 0 done; 2 the input is wrong (graph, files, options, device); 1 writing failed; 3 the device was lost;
4 the device failed otherwise; 130, 143, 129 stopped by Ctrl-C, SIGTERM, SIGHUP: what was done until then is written.`;

/** Adds the command. `config`: the lines after `--config`. */
export function register(program: Command, config: readonly string[] = []): void {
  const outputs = new OutputOptions();
  const command = program.command('cli').description('run a graph file: train, denoise, convert').addHelpText('after', examples);
  declareCliOptions(command, outputs).action(async (options: CliOptions) => {
    process.exitCode = await runCli(options, outputs, config);
  });
}

/** Runs the command; returns the exit code. Throws VkpnError. */
export async function runCli(options: CliOptions, outputs: OutputOptions, config: readonly string[]): Promise<number> {
  const log = new Log(options.d);
  const source = await readGraph(options, outputs, config, modules, log);
  if (options.dumpModules || options.dumpNodes) return dump(options, source, log);
  return (await runSource(source, options, log)).code;
}

/** Runs a graph as `vkpn cli` does, with its progress, messages and signals. `more`: what another command adds. Throws VkpnError. */
export async function runSource(source: GraphSource, options: CliOptions, log: Log, more: Partial<RunOptions> = {}): Promise<{ code: number; summary: RunSummary; validations: readonly Validated[] }> {
  const progress = options.progress ? new ProgressLine(process.stderr) : undefined;
  const stop = new StopSignal((message) => {
    say(message);
  });
  // Meanwhile the graph is read and checked; what is wrong with that is told first.
  const opening = startDevice(options, log);
  opening.catch(() => undefined);
  let device: Device | undefined;
  const warn = (message: string): void => {
    progress?.clear();
    log.warn(message);
  };
  const say = (message: string): void => {
    progress?.clear();
    log.log('cli', message);
  };
  let watch: Watch | undefined;
  try {
    watch = await openWatch(options, stop.signal, say, warn);
    const hooks: Partial<RunOptions> = {
      lastFrameOnly: options.lastFrameOnly ?? false,
      signal: stop.signal,
      timestamps: log.has('perf'),
      tile: options.tile,
      memory: options.memory,
      onTile: progress && ((done, tiles) => progress.tile(done, tiles)),
      checkpoint: { ...checkpointOptions(options), onCheckpoint: (path, frame) => log.log('pipe', `wrote ${path}, the state after ${frame} frames`) },
      onWarning: warn,
      onProgress: progress && ((p) => {
        progress.note = watch?.note;
        progress.update(p);
      }),
      onWritten: (file) => log.log('pipe', `wrote ${file}`),
      onStage: (stage) => log.log('pipe', `stage ${stage}`),
      onPlan: (plan) => log.log('pipe', `${plan.steps.length} steps and ${plan.barriers.size} barriers a frame`),
      ...more,
    };
    const summary = await runGraph({ ...source, ...watched(hooks, watch), device: async () => (device = await opening), loadSpirv });
    progress?.stop();
    report(summary, log);
    for (const line of watch?.summary() ?? []) log.log('cli', line);
    if (watch) log.log('pipe', watch.costs);
    const early = watch?.stop.aborted === true && stop.code === undefined;
    return { code: summary.stopped && !early ? (stop.code ?? 130) : 0, summary, validations: watch?.history ?? [] };
  } finally {
    progress?.stop();
    stop.release();
    await watch?.close();
    for (const message of device?.validationMessages() ?? []) log.warn(`validation: ${message}`);
    if (device) device.close();
    else void opening.then((unused) => unused.close(), () => undefined);
  }
}

/** Reads the graph file and makes of it what the options say. */
export async function readGraph(options: CliOptions, outputs: OutputOptions, config: readonly string[], registry: ReadonlyMap<string, ModuleType>, log: Log): Promise<GraphSource> {
  const file = options.graph ?? '';
  const text = await withInput(file, {}, async (f) => new TextDecoder().decode(await f.read(0, f.bytes)));
  const lenient = { lenient: options.lenient ?? false, warn: (error: InputError) => log.warn(error.format()) };
  const further = readLines(config, '--config', lenient);
  const own = readCfg(text, file, lenient);
  const { outputs: chosen, explicit } = outputs.finish();
  const sinks = [...registry.values()].filter((m) => m.connectors.some((c) => c.type === 'sink')).map((m) => m.name);
  for (const o of chosen) checkFormat(o, sinks, registry);
  const replace = (): Statement[] =>
    replaceDisplays(own, chosen, {
      explicit,
      lastFrameOnly: options.lastFrameOnly ?? false,
      frames: countFrames([...own, ...further]),
      isSink: (name) => sinks.includes(name),
      warn: (message) => log.warn(message),
    });
  let replaced: Statement[];
  try {
    replaced = replace();
  } catch (error) {
    buildGraph(own, registry, lenient); // what is wrong inside the graph is told first: a display may be missing because of it
    throw error;
  }
  const statements = [...replaced, ...pathParams([...replaced, ...further], options.path, registry), ...further];
  return { file, statements, graphDir: dirname(file), registry, lenient: options.lenient ?? false, onWarning: (message) => log.warn(message) };
}

function checkFormat(o: OutputChoice, sinks: readonly string[], registry: ReadonlyMap<string, ModuleType>): void {
  const formats = sinks.filter((s) => s !== 'display');
  if (!formats.includes(o.format)) throw new InputError('CLI_FORMAT', `--format has no ${o.format}`, { hint: suggestion(o.format, formats) });
  for (const name of Object.keys(o.params))
    if (!registry.get(o.format)?.params.some((p) => p.name === name)) throw new InputError('CLI_FORMAT', `${o.options?.[name] ?? name} means nothing to ${o.format}`, { hint: 'leave it out, or choose another --format' });
}

function countFrames(statements: readonly Statement[]): number {
  return statements.reduce((frames, s) => (s.kind === 'frames' ? Math.max(1, s.frames) : frames), 1);
}

/** `--path`: a `param` line for every instance whose module has that parameter. */
function pathParams(statements: readonly Statement[], path: string | undefined, registry: ReadonlyMap<string, ModuleType>): Statement[] {
  if (path === undefined) return [];
  const field = (text: string) => ({ text, column: 1 });
  const lines = statements.flatMap((s): Statement[] => {
    if (s.kind !== 'module' || !registry.get(s.module.text)?.params.some((p) => p.name === 'path')) return [];
    const target = { module: field(s.module.text), inst: field(s.inst.text), param: field('path'), range: field('path'), value: field(path), begin: 0, end: 0 };
    return [{ kind: 'param', op: 'set', target, place: { file: '--path' } }];
  });
  if (lines.length === 0) throw new InputError('CLI_PATH', 'no module of the graph has matrix paths: --path means nothing', { hint: 'leave --path out' });
  return lines;
}

async function dump(options: CliOptions, source: GraphSource, log: Log): Promise<number> {
  const checked = await checkGraph(source);
  if (options.dumpModules) process.stdout.write(dotModules(checked.graph, checked.run));
  // The plan depends on what the device can do, so it is looked at, but nothing is run on it.
  if (options.dumpNodes) process.stdout.write(dotNodes(planGraph(checked, findDevice(options, log))));
  return 0;
}

function report(summary: RunSummary, log: Log): void {
  const { first, done, frames, seconds, files, startup, stages, memory, checkpoint, tiling } = summary;
  if (summary.stopped) log.log('cli', done === first ? `stopped before the first frame${first > 0 ? ` of this run, ${first},` : ''} was done: nothing is written` : `stopped after ${done} of ${frames} frames`);
  if (!summary.stopped && done === first) log.log('cli', `${checkpoint?.path ?? 'the run'} has done all ${frames} frames, and its outputs were written: nothing is left to do`);
  for (const file of new Set(files.slice(-20))) log.log('cli', `wrote ${file}`);
  if (tiling) log.log('cli', `in ${tiling.tiles.length} tile${tiling.tiles.length === 1 ? '' : 's'}: ${tiling.window.width}x${tiling.window.height} pixels at a time on the device, ${tiling.halo} of them around each tile`);
  if (summary.stopped && checkpoint) log.log('cli', `the checkpoint ${checkpoint.path} holds the state after ${checkpoint.frame} frames: the same command with --resume goes on`);
  const ran = done - first;
  if (ran > 0) log.log('cli', `${ran} frame${ran === 1 ? '' : 's'} in ${short(seconds)} s (${short(ran / seconds)} frames/s)`);
  const ms = (s: number): string => `${(s * 1000).toFixed(1)} ms`;
  log.log('perf', `start-up: process and modules ${ms(startup.process)}, check ${ms(startup.check)}, device ${ms(startup.device)}, plan ${ms(startup.plan)}, pipelines ${ms(startup.pipelines)}`);
  log.log('perf', `frames: device ${ms(stages.device)}, sources ${ms(stages.sources)}, sinks ${ms(stages.sinks)}, checkpoints ${ms(stages.checkpoints)}, all ${ms(seconds)}`);
  if (log.has('perf')) for (const line of stepTable(summary.stepNs)) log.log('perf', line);
  if (log.has('mem')) {
    for (const p of memory.pieces) log.log('mem', `${String(p.bytes).padStart(12)} bytes  ${p.buffers.join(', ')}`);
    log.log('mem', `${String(memory.bytes).padStart(12)} bytes in all`);
  }
}

/** GPU time of each step, the slowest first. */
function stepTable(steps: RunSummary['stepNs']): string[] {
  const total = steps.reduce((sum, s) => sum + s.ns, 0);
  const lines = [...steps].sort((a, b) => b.ns - a.ns).map((s) => `${(s.ns / 1000).toFixed(1).padStart(10)} us ${((100 * s.ns) / total).toFixed(1).padStart(5)} %  ${s.step} (${s.kernel})`);
  return [...lines, `${(total / 1000).toFixed(1).padStart(10)} us in all steps of a frame`];
}
