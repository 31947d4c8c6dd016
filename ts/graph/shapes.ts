// The pass over all modules that finds sizes and checks parameters and files, before any GPU work.

import { InputError } from '../errors.js';
import { isInput, mismatch, type Connection, type Graph, type GraphNode } from './graph.js';
import type { ModuleInstance, PortShape, ShapeContext } from './types.js';

/** A module that runs, with the shapes of its outputs. */
export interface RunNode {
  node: GraphNode;
  instance: ModuleInstance;
  shapes: Record<string, PortShape>;
  context: ShapeContext;
}

/** Whether one of these modules trains (ModuleInstance.trains): then the run is worth checkpoints, and its frames are many. */
export const trains = (run: readonly RunNode[]): boolean => run.some((r) => r.instance.trains?.() ?? false);

const bytesOf = { f16: 2, f32: 4, ui8: 1, ui16: 2 } as const;

/** Bytes of what flows over a connection. */
export function shapeBytes(shape: PortShape): number {
  return shape.width * shape.height * shape.count * (shape.channels === 'rgba' ? 4 : 1) * bytesOf[shape.format];
}

/**
 * Creates the modules in `order` and asks each for its shapes. Where a feedback's source comes later its shape isn't known
 * at first: then a second pass with fresh instances gets the shapes of the first, and must find the same ones.
 */
export async function findShapes(graph: Graph, order: readonly GraphNode[], graphDir: string, warn: (message: string) => void): Promise<RunNode[]> {
  const said = new Set<string>();
  const warnOnce = (message: string): void => void (said.has(message) || (said.add(message), warn(message)));
  const first = await pass(graph, order, graphDir, warnOnce, new Map());
  const position = new Map(order.map((node, i) => [node, i]));
  const late = order.some((node, i) => [...node.inputs.values()].some((c) => c.feedback && (position.get(c.source) ?? 0) >= i));
  const run = late ? await pass(graph, order, graphDir, warnOnce, shapesOf(first)) : first;
  if (late) checkSettled(first, run);
  for (const r of run) for (const [name, c] of r.node.inputs) checkFits(r.node, name, c, shapeOf(shapesOf(run), c));
  return run;
}

type Shapes = Map<GraphNode, Record<string, PortShape>>;
const shapesOf = (run: readonly RunNode[]): Shapes => new Map(run.map((r) => [r.node, r.shapes]));
const shapeOf = (shapes: Shapes, c: Connection): PortShape | undefined => shapes.get(c.source)?.[c.output.name];

async function pass(graph: Graph, order: readonly GraphNode[], graphDir: string, warn: (message: string) => void, known: Shapes): Promise<RunNode[]> {
  const read = new Set(order.flatMap((node) => [...node.inputs.values()].map((c) => `${c.source.key}:${c.output.name}`)));
  const shapes: Shapes = new Map(known);
  const run: RunNode[] = [];
  for (const node of order) {
    const info = { module: node.type.name, inst: node.inst, place: node.place };
    const instance = node.type.create(info);
    const context: ShapeContext = {
      info,
      params: node.params,
      frames: graph.frames,
      graphDir,
      warn: (message) => warn(`${node.key}: ${message}`),
      isConnected: (output) => read.has(`${node.key}:${output}`),
      input: (name) => {
        if (!node.type.connectors.some((c) => c.name === name && isInput(c))) throw new Error(`${node.type.name} has no input ${name}`);
        const c = node.inputs.get(name);
        return c && shapeOf(shapes, c);
      },
    };
    for (const [name, c] of node.inputs) if (!c.feedback) checkFits(node, name, c, shapeOf(shapes, c));
    const found = await instance.shapes(context);
    checkOutputs(node, found);
    shapes.set(node, found);
    run.push({ node, instance, shapes: found, context });
  }
  return run;
}

/** What a module says of its own outputs must be whole: a fault here is the module's, not the user's. */
function checkOutputs(node: GraphNode, shapes: Record<string, PortShape>): void {
  for (const c of node.type.connectors) {
    if (isInput(c)) continue;
    const s = shapes[c.name];
    if (s === undefined) throw new Error(`${node.type.name} gave no shape for its output ${c.name}`);
    const whole = [s.width, s.height, s.count].every((n) => Number.isSafeInteger(n) && n > 0);
    const agrees = (c.channels === '*' || c.channels === s.channels) && (c.format === '*' || c.format === s.format);
    if (!whole || !agrees) throw new Error(`${node.type.name} gave a wrong shape for its output ${c.name}: ${JSON.stringify({ ...s, text: undefined })}`);
  }
}

/** The checks that needed the shape, where a connector takes or gives any (`*`). */
function checkFits(node: GraphNode, name: string, c: Connection, shape: PortShape | undefined): void {
  const input = node.type.connectors.find((x) => x.name === name);
  const why = input && shape && mismatch(shape, input);
  if (why !== undefined) throw new InputError('CFG_MISMATCH', `${c.source.key}:${c.output.name} doesn't fit ${node.key}:${name}: ${why}`, { place: c.place });
}

function checkSettled(first: readonly RunNode[], second: readonly RunNode[]): void {
  second.forEach((r, i) => {
    for (const [name, s] of Object.entries(r.shapes)) {
      const before = first[i]?.shapes[name];
      if (before?.width === s.width && before.height === s.height && before.count === s.count && before.format === s.format && before.channels === s.channels) continue;
      throw new InputError('CFG_FEEDBACK_SIZE', `the size of ${r.node.key}:${name} depends on itself through feedback and does not settle`, { place: r.node.place });
    }
  });
}
