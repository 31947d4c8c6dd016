// Graphviz pictures of a graph's modules and of a plan's nodes (`--dump-modules`, `--dump-nodes`).

import { isInput, type Graph } from './graph.js';
import { accesses, stepName, type Plan } from './plan.js';
import type { RunNode } from './shapes.js';
import type { PlanBuffer, PortShape } from './types.js';

const quote = (text: string): string => `"${text.replace(/["\\]/g, '\\$&').replace(/\n/g, '\\n')}"`;
/** Text inside a record label, where braces, bars and angles have a meaning. */
const record = (text: string): string => text.replace(/[{}|<>\\ ]/g, '\\$&');

/** All modules of the graph; those that don't run are grey, feedback is dashed. */
export function dotModules(graph: Graph, run: readonly RunNode[]): string {
  const running = new Map(run.map((r) => [r.node, r]));
  const lines = ['digraph modules {', '  rankdir=LR;', '  node [shape=record, fontname="sans-serif"];', '  edge [fontname="sans-serif", fontsize=10];'];
  for (const node of graph.nodes.values()) {
    const port = (name: string): string => `<${port_(name)}> ${record(name)}`;
    const inputs = node.type.connectors.filter(isInput).map((c) => port(c.name));
    const outputs = node.type.connectors.filter((c) => !isInput(c)).map((c) => port(c.name));
    const label = [inputs, [record(node.key)], outputs].filter((g) => g.length > 0).map((g) => (g === inputs || g === outputs ? `{${g.join('|')}}` : g[0])).join('|');
    lines.push(`  ${quote(node.key)} [label="{${label}}"${running.has(node) ? '' : ', color=grey, fontcolor=grey'}];`);
  }
  for (const node of graph.nodes.values())
    for (const [name, c] of node.inputs) {
      const shape = running.get(c.source)?.shapes[c.output.name];
      const label = shape ? `, label=${quote(describe(shape))}` : '';
      lines.push(`  ${quote(c.source.key)}:${quote(port_(c.output.name))} -> ${quote(node.key)}:${quote(port_(name))} [style=${c.feedback ? 'dashed' : 'solid'}${label}];`);
    }
  return `${[...lines, '}'].join('\n')}\n`;
}

/** Port names apart from compass points, which graphviz would take for a direction. */
const port_ = (name: string): string => `p_${name.replace(/[^A-Za-z0-9]/g, '_')}`;

/** "rgba f16 640x480" */
export function describe(s: PortShape): string {
  return `${s.channels} ${s.format} ${s.width}x${s.height}${s.count > 1 ? ` x${s.count}` : ''}`;
}

/** The steps of one frame in order; edges are buffers from who writes to who reads, barriers stand between clusters. */
export function dotNodes(plan: Plan): string {
  const lines = ['digraph nodes {', '  rankdir=LR;', '  node [shape=box, fontname="sans-serif"];', '  edge [fontname="sans-serif", fontsize=10];'];
  const writer = new Map<PlanBuffer, number>();
  const edges: string[] = [];
  const hosts = new Set<PlanBuffer>();
  let cluster = 0;
  const open = (): void => void lines.push(`  subgraph cluster_${cluster++} {`, '    style=dotted;');
  open();
  plan.steps.forEach((step, i) => {
    if (plan.barriers.has(i)) {
      lines.push('  }');
      open();
    }
    const detail = step.kind === 'node' ? `\n${step.desc.kernel}${step.desc.variant === undefined ? '' : `.${step.desc.variant}`} ${step.desc.groups.join('x')}` : '';
    lines.push(`    n${i} [label=${quote(`${stepName(step)}${detail}`)}];`);
    for (const a of accesses(step)) {
      if (!a.reads) continue;
      const from = writer.get(a.memory);
      if (from === undefined) hosts.add(a.memory);
      edges.push(`  ${from === undefined ? `b${a.memory.id}` : `n${from}`} -> n${i} [label=${quote(`${a.memory.name}\n${a.memory.bytes} bytes`)}];`);
    }
    for (const a of accesses(step)) if (a.writes) writer.set(a.memory, i);
  });
  lines.push('  }');
  // Read before this frame wrote them: from the host or the frame before.
  for (const b of hosts) lines.push(`  b${b.id} [shape=ellipse, label=${quote(b.name)}];`);
  const sinks = [...plan.ports].flatMap(([run, ports]) => run.node.type.connectors.filter((c) => c.type === 'sink').map((c) => ({ key: run.node.key, port: ports.inputs.get(c.name) })));
  for (const { key, port } of sinks) {
    if (port === undefined) continue;
    const from = writer.get(port.buffer);
    if (from === undefined && !hosts.has(port.buffer)) lines.push(`  b${port.buffer.id} [shape=ellipse, label=${quote(port.buffer.name)}];`);
    lines.push(`  ${quote(key)} [shape=house, orientation=270];`);
    edges.push(`  ${from === undefined ? `b${port.buffer.id}` : `n${from}`} -> ${quote(key)} [label=${quote(port.buffer.name)}];`);
  }
  return `${[...lines, ...edges, '}'].join('\n')}\n`;
}
