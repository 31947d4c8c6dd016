// Statements -> graph file text (SPEC section 5): what readCfg reads back as the same statements.

import { InputError } from '../errors.js';
import type { ConnectorRef, Easing, ParamTarget, Statement } from './statement.js';

export const spellings: Readonly<Record<Easing, string>> = { linear: 'keyframe', in: 'Keyframe', out: 'keyframE', smooth: 'KeyframE', step: 'keyFRAME' };
const paramCommands = { set: 'param', sub: 'paramsub', inc: 'paraminc', dec: 'paramdec' } as const;

/** The file's text, every line ended by a newline. */
export function writeCfg(statements: readonly Statement[]): string {
  return statements.map((s) => `${writeStatement(s)}\n`).join('');
}

/** One line, without a newline. */
export function writeStatement(s: Statement): string {
  switch (s.kind) {
    case 'blank':
      return '';
    case 'comment':
      return `#${s.text}`;
    case 'frames':
      return `frames:${s.frames}`;
    case 'fps':
      return `fps:${s.fps}`;
    case 'module':
      return ['module', s.module.text, s.inst.text, ...(s.position ?? [])].join(':');
    case 'connect':
      return `${s.feedback ? 'feedback' : 'connect'}:${s.from === null ? '-1:-1:-1' : reference(s.from)}:${reference(s.to)}`;
    case 'param':
      return `${paramCommands[s.op]}:${target(s.target, s.op !== 'set')}`;
    case 'keyframe':
      return `${spellings[s.easing]}:${s.frame}:${target(s.target, true)}`;
  }
}

function reference(ref: ConnectorRef): string {
  return `${ref.module.text}:${ref.inst.text}:${ref.connector.text}`;
}

function target(t: ParamTarget, ranged: boolean): string {
  return [t.module.text, t.inst.text, t.param.text, ...(ranged ? [t.begin, t.end] : []), t.value.text].join(':');
}

/** Text for a line of a graph. `what` it is, for people. Throws InputError where no line can hold it. */
export function inLine(text: string, what: string): string {
  if (/[\n\r\0]/.test(text)) throw new InputError('LINE_BREAK', `${what} has a line break or a NUL in it, which no line of a graph can hold`, { hint: 'rename it' });
  return text;
}
