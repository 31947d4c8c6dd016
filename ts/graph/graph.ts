// Statements -> the graph of module instances and connections, with every check that needs no sizes (SPEC sections 4, 5).

import { printable } from '../cfg/read.js';
import { placeOf, type ConnectorRef, type Field, type Statement, type StatementOf } from '../cfg/statement.js';
import { suggestion } from '../cfg/suggest.js';
import { InputError, type Place } from '../errors.js';
import { ParamValues } from './params.js';
import type { ConnectorSpec, ModuleType } from './types.js';

export interface Connection {
  source: GraphNode;
  output: ConnectorSpec;
  /** Reads what the source had at the end of the frame before. */
  feedback: boolean;
  place: Place;
}

/** One `module:` line. */
export interface GraphNode {
  /** `MOD:INST` */
  key: string;
  type: ModuleType;
  inst: string;
  place: Place;
  params: ParamValues;
  /** By the name of the input. */
  inputs: Map<string, Connection>;
}

export interface Graph {
  /** At least 1: a file without `frames`, or with 0, runs one. */
  frames: number;
  /** Frames a second at most; 0: as fast as possible. */
  fps: number;
  nodes: Map<string, GraphNode>;
}

export interface GraphOptions {
  /** Lines that don't apply (unknown module, parameter, …) become warnings, as in vkdt. */
  lenient?: boolean;
  warn?: (error: InputError) => void;
}

export const isInput = (c: ConnectorSpec): boolean => c.type === 'read' || c.type === 'sink';

/** Builds the graph, line by line. Throws InputError at the line and column that is wrong. */
export function buildGraph(statements: readonly Statement[], registry: ReadonlyMap<string, ModuleType>, options: GraphOptions = {}): Graph {
  const graph: Graph = { frames: 1, fps: 0, nodes: new Map() };
  const builder = new Builder(graph, registry, statements);
  for (const statement of statements) {
    try {
      builder.apply(statement);
    } catch (error) {
      if (!options.lenient || !(error instanceof InputError)) throw error;
      options.warn?.(error);
    }
  }
  return graph;
}

class Builder {
  constructor(
    private readonly graph: Graph,
    private readonly registry: ReadonlyMap<string, ModuleType>,
    private readonly statements: readonly Statement[],
  ) {}

  apply(s: Statement): void {
    switch (s.kind) {
      case 'frames':
        this.graph.frames = Math.max(1, s.frames);
        return;
      case 'fps':
        this.graph.fps = s.fps;
        return;
      case 'module':
        return this.addModule(s);
      case 'connect':
        return this.connect(s);
      case 'param':
      case 'keyframe':
        return this.node(s, s.target.module, s.target.inst).params.apply(s);
      case 'blank':
      case 'comment':
    }
  }

  private addModule(s: StatementOf<'module'>): void {
    const type = this.registry.get(s.module.text);
    if (type === undefined)
      throw new InputError('CFG_UNKNOWN_MODULE', `no module ${printable(s.module.text)}`, {
        place: placeOf(s, s.module),
        hint: suggestion(s.module.text, this.registry.keys()),
      });
    const key = `${s.module.text}:${s.inst.text}`;
    if (this.graph.nodes.has(key)) return; // as in vkdt: named twice is the same instance
    const place = placeOf(s, s.module);
    const params = new ParamValues(type, { module: type.name, inst: s.inst.text, place });
    this.graph.nodes.set(key, { key, type, inst: s.inst.text, place, params, inputs: new Map() });
  }

  private connect(s: StatementOf<'connect'>): void {
    const node = this.node(s, s.to.module, s.to.inst);
    const input = this.connector(s, s.to, node, true);
    if (s.from === null) {
      node.inputs.delete(input.name);
      return;
    }
    const source = this.node(s, s.from.module, s.from.inst);
    const output = this.connector(s, s.from, source, false);
    if (s.feedback && input.type === 'sink')
      throw new InputError('CFG_FEEDBACK_SINK', `a sink can't be fed by feedback: ${node.key} writes what its frame made`, { place: { ...s.place }, hint: 'use connect:' });
    const why = mismatch(output, input);
    if (why !== undefined)
      throw new InputError('CFG_MISMATCH', `${source.key}:${output.name} doesn't fit ${node.key}:${input.name}: ${why}`, { place: placeOf(s, s.from.connector) });
    node.inputs.set(input.name, { source, output, feedback: s.feedback, place: placeOf(s, s.from.module) });
  }

  /** Finds `MOD:INST` among the modules named so far. */
  private node(s: Statement, module: Field, inst: Field): GraphNode {
    const key = `${module.text}:${inst.text}`;
    const node = this.graph.nodes.get(key);
    if (node !== undefined) return node;
    const later = this.statements.find((t) => t.kind === 'module' && t.module.text === module.text && t.inst.text === inst.text);
    const instances = [...this.graph.nodes.values()].filter((n) => n.type.name === module.text);
    const known = this.registry.has(module.text);
    const wrong = known && instances.length > 0 ? inst : module;
    const hint =
      later !== undefined && later.place.line !== undefined && this.statements.indexOf(later) > this.statements.indexOf(s)
        ? `module:${key} stands further down, in line ${later.place.line}: move it up`
        : !known
          ? suggestion(module.text, this.registry.keys())
          : instances.length > 0
            ? suggestion(inst.text, instances.map((n) => n.inst))
            : `add a line module:${key} before this one`;
    const what = known ? `no instance ${printable(key)}` : `no module ${printable(module.text)}`;
    throw new InputError(known ? 'CFG_UNKNOWN_INSTANCE' : 'CFG_UNKNOWN_MODULE', what, { place: placeOf(s, wrong), hint });
  }

  private connector(s: Statement, ref: ConnectorRef, node: GraphNode, input: boolean): ConnectorSpec {
    const spec = node.type.connectors.find((c) => c.name === ref.connector.text);
    const place = placeOf(s, ref.connector);
    const names = node.type.connectors.filter((c) => isInput(c) === input).map((c) => c.name);
    const kind = input ? 'input' : 'output';
    if (spec === undefined)
      throw new InputError('CFG_UNKNOWN_CONNECTOR', `${node.type.name} has no ${kind} ${printable(ref.connector.text)}`, { place, hint: suggestion(ref.connector.text, names) });
    if (isInput(spec) !== input)
      throw new InputError('CFG_WRONG_DIRECTION', `${spec.name} of ${node.type.name} is an ${input ? 'output' : 'input'}, an ${kind} belongs here`, {
        place,
        hint: 'the source is named first: connect:MOD:INST:OUTPUT:MOD:INST:INPUT',
      });
    return spec;
  }
}

/** Why an output can't feed an input, by what is known of both; undefined if it can. Sinks convert between formats of pictures. */
export function mismatch(output: Pick<ConnectorSpec, 'channels' | 'format'>, input: ConnectorSpec): string | undefined {
  if (output.channels !== '*' && input.channels !== '*' && output.channels !== input.channels) return `it has ${output.channels}, the input takes ${input.channels}`;
  const converts = input.type === 'sink' && output.channels !== 'ssbo' && input.channels !== 'ssbo';
  if (!converts && output.format !== '*' && input.format !== '*' && output.format !== input.format) return `it has the format ${output.format}, the input takes ${input.format}`;
  return undefined;
}

/**
 * The modules that reach a sink, each after those it reads from (feedback aside). Throws InputError for a cycle without
 * feedback, an input without connection, or no sink at all.
 */
export function runOrder(graph: Graph): GraphNode[] {
  const order: GraphNode[] = [];
  const done = new Set<GraphNode>();
  const path: GraphNode[] = [];
  const roots = [...graph.nodes.values()].filter((n) => n.type.connectors.some((c) => c.type === 'sink'));
  if (roots.length === 0)
    throw new InputError('CFG_NO_SINK', 'the graph writes nothing: it has no sink', { hint: 'add a module such as o-pfm, o-jpg, o-lut or display, and connect it' });
  const visit = (node: GraphNode, via?: Connection): void => {
    if (done.has(node)) return;
    const start = path.indexOf(node);
    if (start >= 0) throw cycle([...path.slice(start), node], via);
    path.push(node);
    checkConnected(node);
    for (const c of node.inputs.values()) if (c.feedback) roots.push(c.source);
    for (const c of node.inputs.values()) if (!c.feedback) visit(c.source, c);
    path.pop();
    done.add(node);
    order.push(node);
  };
  for (const root of roots) visit(root); // grows while walked: sources of feedback are roots too
  return order;
}

function cycle(nodes: GraphNode[], via: Connection | undefined): InputError {
  // `nodes` walks from reader to source; data flows the other way.
  const names = nodes.map((n) => n.key).reverse().join(' -> ');
  return new InputError('CFG_CYCLE', `the connections go in a circle: ${names}`, {
    place: via?.place,
    hint: 'where the value of the frame before is meant, write feedback: instead of connect:',
  });
}

function checkConnected(node: GraphNode): void {
  for (const c of node.type.connectors)
    if (isInput(c) && !c.optional && !node.inputs.has(c.name))
      throw new InputError('CFG_UNCONNECTED', `${c.type === 'sink' ? 'the sink ' : ''}${node.key} has nothing connected to its input ${c.name}`, {
        place: node.place,
        hint: `add connect:MOD:INST:OUTPUT:${node.key}:${c.name}${c.type === 'sink' ? ', or take the module out' : ''}`,
      });
}
