// `vkpn modules`: what graph files can be made of: modules, connectors, parameters (SPEC section 4).

import type { Command } from 'commander';
import { suggestion } from '../cfg/suggest.js';
import { InputError } from '../errors.js';
import type { ModuleType, ParamSpec } from '../graph/types.js';
import { modules } from '../modules/index.js';

export function register(program: Command): void {
  program
    .command('modules')
    .description('list the modules of graph files, with their connectors and parameters')
    .argument('[name...]', 'only these')
    .action((names: string[]) => {
      const chosen = names.length === 0 ? [...modules.values()] : names.map(find);
      process.stdout.write(chosen.map(describeModule).join('\n'));
    });
}

function find(name: string): ModuleType {
  const type = modules.get(name);
  if (type === undefined) throw new InputError('CLI_UNKNOWN_MODULE', `no module ${name}`, { hint: suggestion(name, modules.keys()) });
  return type;
}

/** A module for people, some lines. */
export function describeModule(type: ModuleType): string {
  const connectors = type.connectors.map((c) => `  ${c.name.padEnd(9)} ${c.type} ${c.channels} ${c.format}${c.optional ? ' (optional)' : ''}`);
  const params = type.params.map((p) => `  ${p.name.padEnd(9)} ${describeParam(p)}`);
  return `${[`${type.name}: ${type.doc}`, ...connectors, ...params].join('\n')}\n`;
}

function describeParam(p: ParamSpec): string {
  const kind = p.type === 'enum' ? (p.values ?? []).join('|') : `${p.type}${(p.count ?? 1) > 1 ? ` x${p.count}` : ''}`;
  return `${kind}, ${p.default === '' ? 'empty' : p.default}${p.animated ? ' (can be animated)' : ''}: ${p.doc}`;
}
