// What `vkpn cli` does to the displays of a graph before it runs (SPEC section 5): the chosen ones become output modules,
// the others go. Works on statements, so that the result can be printed and tested.

import { InputError, type Place } from '../errors.js';
import { placeOf, type Field, type Statement } from './statement.js';
import { suggestion } from './suggest.js';

/** An output as the command line describes it; numbers and names are checked by the module they are set in. */
export interface OutputChoice {
  /** Instance of the display to replace. */
  inst: string;
  /** The module that takes its place. */
  format: string;
  /** Without extension and frame number; default: the instance. */
  filename?: string;
  /** Further parameters of the module by name: quality, width, height, … */
  params: Record<string, string>;
  /** For messages, by parameter: the option it came from. */
  options?: Record<string, string>;
}

export interface ReplaceOptions {
  /** Explicitly chosen outputs must exist; without, `display:main` is replaced if it is there. */
  explicit: boolean;
  lastFrameOnly: boolean;
  /** Frames of the whole graph, further lines (`--config`) included. */
  frames: number;
  isSink: (module: string) => boolean;
  warn: (message: string) => void;
}

type ModuleStatement = Extract<Statement, { kind: 'module' }>;

/** Statements with displays replaced or dropped. Throws InputError where a chosen display doesn't exist. */
export function replaceDisplays(statements: readonly Statement[], outputs: readonly OutputChoice[], options: ReplaceOptions): Statement[] {
  const modules = statements.filter((s): s is ModuleStatement => s.kind === 'module');
  const displays = modules.filter((m) => m.module.text === 'display');
  const main = modules.find((m) => m.inst.text === 'main' && m.module.text !== 'display' && !m.module.text.startsWith('i-') && options.isSink(m.module.text));
  if (main !== undefined) {
    if (options.explicit) options.warn(`${main.module.text}:main is a sink of the graph's own: no display is replaced, the options about outputs are not used`);
    return dropDisplays(statements, () => false);
  }
  const otherSinks = modules.some((m) => m.module.text !== 'display' && options.isSink(m.module.text));
  const chosen = outputs.filter((o) => {
    const found = displays.some((d) => d.inst.text === o.inst);
    if (!found && (options.explicit || !otherSinks)) throw noDisplay(o, displays);
    return found;
  });
  checkDistinct(chosen, modules);
  const replaced = dropDisplays(statements, (inst) => chosen.some((o) => o.inst === inst)).flatMap((s) => replace(s, chosen));
  return [...replaced, ...chosen.flatMap((o) => parameters(o, options, placeOfDisplay(displays, o)))];
}

function noDisplay(o: OutputChoice, displays: readonly ModuleStatement[]): InputError {
  const hint = displays.length === 0 ? 'the graph has no display: add module:display:main and connect it' : suggestion(o.inst, displays.map((d) => d.inst.text));
  return new InputError('CLI_NO_DISPLAY', `the graph has no display:${o.inst} to write as ${o.format}`, { hint });
}

function placeOfDisplay(displays: readonly ModuleStatement[], o: OutputChoice): Place {
  return displays.find((d) => d.inst.text === o.inst)?.place ?? { file: '--output' };
}

function checkDistinct(chosen: readonly OutputChoice[], modules: readonly ModuleStatement[]): void {
  const files = new Set<string>();
  for (const o of chosen) {
    const clash = modules.find((m) => m.module.text === o.format && m.inst.text === o.inst);
    if (clash) throw new InputError('CLI_OUTPUT_TWICE', `the graph has ${o.format}:${o.inst} already: display:${o.inst} can't become it`, { place: placeOf(clash, clash.module) });
    const file = `${o.format} ${o.filename ?? o.inst}`;
    if (files.has(file)) throw new InputError('CLI_OUTPUT_TWICE', `two outputs would write the same file: ${o.filename ?? o.inst} as ${o.format}`, { hint: 'give each its --filename, before its --output' });
    files.add(file);
  }
}

/** Takes out displays, and what connects to them or sets their parameters. */
function dropDisplays(statements: readonly Statement[], keep: (inst: string) => boolean): Statement[] {
  const dropped = (module: Field, inst: Field): boolean => module.text === 'display' && !keep(inst.text);
  return statements.filter((s) => {
    if (s.kind === 'module') return !dropped(s.module, s.inst);
    if (s.kind === 'connect') return !dropped(s.to.module, s.to.inst);
    if (s.kind === 'param' || s.kind === 'keyframe') return s.target.module.text !== 'display'; // the output module has others
    return true;
  });
}

/** A line about a chosen display, once for each output that takes its place. */
function replace(s: Statement, chosen: readonly OutputChoice[]): Statement[] {
  const rename = (module: Field, inst: Field): Field[] =>
    module.text === 'display' ? chosen.filter((o) => o.inst === inst.text).map((o) => ({ ...module, text: o.format })) : [];
  if (s.kind === 'module' && s.module.text === 'display') return rename(s.module, s.inst).map((module) => ({ ...s, module }));
  if (s.kind === 'connect' && s.to.module.text === 'display') return rename(s.to.module, s.to.inst).map((module) => ({ ...s, to: { ...s.to, module } }));
  return [s];
}

function parameters(o: OutputChoice, options: ReplaceOptions, place: Place): Statement[] {
  const numbered = options.lastFrameOnly || options.frames <= 1 ? '' : '_%04d';
  const params = { filename: `${o.filename ?? o.inst}${numbered}`, ...o.params };
  return Object.entries(params).map(([name, value]): Statement => {
    const option = o.options?.[name];
    const from = option === undefined ? place : { file: option };
    const field = (text: string): Field => ({ text, column: from.column ?? 1 });
    const target = { module: field(o.format), inst: field(o.inst), param: field(name), range: field(name), value: field(value), begin: 0, end: 0 };
    return { kind: 'param', op: 'set', target, place: from };
  });
}
