// A graph as lines that say all that decides what it computes, and how two such texts differ.

import { spellings, writeCfg } from '../cfg/write.js';
import type { Statement } from '../cfg/statement.js';
import type { Graph } from '../graph/graph.js';
import type { RunNode } from '../graph/shapes.js';

/** Frames, then of every module that runs its line, its connections and its parameters, defaults included. */
export function graphLines(graph: Graph, run: readonly RunNode[]): string[] {
  const lines = [`frames:${graph.frames}`];
  for (const { node } of run) {
    lines.push(`module:${node.key}`);
    for (const [input, c] of [...node.inputs].sort(([a], [b]) => (a < b ? -1 : 1))) lines.push(`${c.feedback ? 'feedback' : 'connect'}:${c.source.key}:${c.output.name}:${node.key}:${input}`);
    for (const { name, keys, value } of node.params.all()) {
      lines.push(`param:${node.key}:${name}:${value}`);
      for (const { index, key } of keys) lines.push(`${spellings[key.easing]}:${key.frame}:${node.key}:${name}:${index}:${index + 1}:${key.value}`);
    }
  }
  return lines;
}

/** The statements as a file that runs by itself: without comments. */
export function graphText(statements: readonly Statement[]): string {
  return writeCfg(statements.filter((s) => s.kind !== 'comment' && s.kind !== 'blank'));
}

/** Lines that only one of the two has, the old ones with "- ", the new ones with "+ ", each new one behind the old one of the same beginning. */
export function differences(before: readonly string[], after: readonly string[]): string[] {
  const [old, now] = [new Set(before), new Set(after)];
  const removed = before.filter((line) => !now.has(line));
  const added = after.filter((line) => !old.has(line));
  const subject = (line: string): string => line.slice(0, line.lastIndexOf(':'));
  const out: string[] = [];
  for (const line of removed) {
    out.push(`- ${line}`);
    const at = added.findIndex((a) => subject(a) === subject(line));
    if (at >= 0) out.push(`+ ${added.splice(at, 1)[0]!}`);
  }
  return [...out, ...added.map((line) => `+ ${line}`)];
}
