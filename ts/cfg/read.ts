// Graph file text -> statements (SPEC section 5). Knows the grammar, not the modules.

import { InputError, type Place } from '../errors.js';
import type { ConnectorRef, Easing, Field, ParamTarget, Statement } from './statement.js';
import { suggestion } from './suggest.js';

export interface ReadOptions {
  /** Lines that can't be read become warnings (as in vkdt) instead of errors. */
  lenient?: boolean;
  warn?: (error: InputError) => void;
}

const maxToken = 8;
const maxInt = 2 ** 31 - 1;

const easings: Readonly<Record<string, Easing>> = { keyframe: 'linear', Keyframe: 'in', keyframE: 'out', KeyframE: 'smooth', keyFRAME: 'step' };
const paramOps: Readonly<Record<string, 'set' | 'sub' | 'inc' | 'dec'>> = { param: 'set', paramsub: 'sub', paraminc: 'inc', paramdec: 'dec' };
export const commands: readonly string[] = ['frames', 'fps', 'module', 'connect', 'feedback', ...Object.keys(paramOps), ...Object.keys(easings)];

/** Reads a whole graph file. Throws InputError with file, line and column. */
export function readCfg(text: string, file: string, options: ReadOptions = {}): Statement[] {
  const lines = text.replace(/^\uFEFF/, '').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return readLines(lines, file, options);
}

/** The same from lines, for `--config`. */
export function readLines(lines: readonly string[], file: string, options: ReadOptions = {}): Statement[] {
  const statements: Statement[] = [];
  lines.forEach((line, i) => {
    try {
      statements.push(readLine(line.endsWith('\r') ? line.slice(0, -1) : line, { file, line: i + 1, column: 1 }));
    } catch (error) {
      if (!options.lenient || !(error instanceof InputError)) throw error;
      options.warn?.(error);
    }
  });
  return statements;
}

/** Reads one line without its end. */
export function readLine(line: string, place: Place): Statement {
  if (line.trim() === '') return { kind: 'blank', place };
  if (line.startsWith('#')) return { kind: 'comment', text: line.slice(1), place };
  const fields = new Fields(line, place);
  const command = fields.next('a command');
  const { text } = command;
  if (text === 'frames') return { kind: 'frames', frames: fields.int('the number of frames'), place: fields.ended() };
  if (text === 'fps') return { kind: 'fps', fps: fields.float('frames per second', 0), place: fields.ended() };
  if (text === 'module') return readModule(fields);
  if (text === 'connect' || text === 'feedback') return readConnect(fields, text === 'feedback');
  const op = own(paramOps, text);
  if (op !== undefined) return { kind: 'param', op, target: readTarget(fields, op !== 'set'), place };
  const easing = own(easings, text);
  if (easing !== undefined) {
    const frameField = fields.peek();
    const frame = fields.int('the frame');
    return { kind: 'keyframe', easing, frame, frameField, target: readTarget(fields, true), place };
  }
  const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  throw fields.error('CFG_UNKNOWN_COMMAND', `no command ${printable(shown)}`, command, suggestion(text, commands));
}

function readModule(fields: Fields): Statement {
  const module = fields.token('a module');
  const inst = fields.token('an instance');
  if (fields.atEnd()) return { kind: 'module', module, inst, place: fields.place };
  // Where vkdt's node editor shows it.
  const position: [number, number] = [fields.float('the x position'), fields.float('the y position')];
  return { kind: 'module', module, inst, position, place: fields.ended() };
}

function readConnect(fields: Fields, feedback: boolean): Statement {
  const from = readRef(fields);
  const to = readRef(fields);
  const place = fields.ended();
  const none = [from.module, from.inst, from.connector].map((f) => f.text === '-1');
  return { kind: 'connect', feedback, from: none.every(Boolean) ? null : from, to, place };
}

function readRef(fields: Fields): ConnectorRef {
  return { module: fields.token('a module'), inst: fields.token('an instance'), connector: fields.token('a connector') };
}

function readTarget(fields: Fields, ranged: boolean): ParamTarget {
  const module = fields.token('a module');
  const inst = fields.token('an instance');
  const param = fields.token('a parameter');
  const range = ranged ? fields.peek() : param;
  const begin = ranged ? fields.int('the first index') : 0;
  const end = ranged ? fields.int('the end index') : 0;
  return { module, inst, param, begin, end, range, value: fields.rest('a value') };
}

/** Parses a number as graph files write them. Undefined if it is none or not finite. */
export function parseNumber(text: string): number | undefined {
  const trimmed = text.trim();
  if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(trimmed)) return undefined;
  const value = Number(trimmed);
  return Number.isFinite(value) ? value : undefined;
}

/** Text as it may stand in a message: control characters escaped. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

/** Takes a line apart from left to right. */
class Fields {
  private position = 0;

  constructor(
    private readonly line: string,
    readonly place: Place,
  ) {}

  atEnd(): boolean {
    return this.position > this.line.length || this.line.length === 0;
  }

  /** The next field without taking it. */
  peek(): Field {
    const end = this.line.indexOf(':', this.position);
    return { text: this.line.slice(this.position, end < 0 ? undefined : end), column: Math.min(this.position, this.line.length) + 1 };
  }

  next(what: string): Field {
    if (this.atEnd()) throw this.error('CFG_MISSING_FIELD', `the line ends where ${what} should follow`, this.peek());
    const field = this.peek();
    this.position += field.text.length + 1;
    return field;
  }

  token(what: string): Field {
    const field = this.next(what);
    if (field.text.trim() === '') throw this.error('CFG_MISSING_FIELD', `${what} is missing`, field);
    const shown = printable(field.text.slice(0, 40));
    if (field.text.length > maxToken)
      throw this.error('CFG_LONG_TOKEN', `${what} has at most ${maxToken} characters, this has ${field.text.length}: ${shown}`, field);
    if (shown !== field.text) throw this.error('CFG_BAD_TOKEN', `${what} may not hold control characters: ${shown}`, field);
    return field;
  }

  float(what: string, min = -Infinity): number {
    const field = this.next(what);
    const value = parseNumber(field.text);
    if (value === undefined || value < min)
      throw this.error('CFG_BAD_NUMBER', `${what} should be a number${min === 0 ? ', not negative' : ''}; it is "${printable(field.text.slice(0, 40))}"`, field);
    return value;
  }

  /** A whole number, not negative. */
  int(what: string): number {
    const field = this.next(what);
    const value = parseNumber(field.text);
    if (value === undefined || !Number.isInteger(value) || value < 0 || value > maxInt)
      throw this.error('CFG_BAD_NUMBER', `${what} should be a whole number from 0 to ${maxInt}; it is "${printable(field.text.slice(0, 40))}"`, field);
    return value;
  }

  /** Everything to the end of the line, colons included. */
  rest(what: string): Field {
    if (this.atEnd()) throw this.error('CFG_MISSING_FIELD', `the line ends where ${what} should follow`, this.peek());
    const field = { text: this.line.slice(this.position), column: this.position + 1 };
    this.position = this.line.length + 1;
    return field;
  }

  /** Checks that nothing follows (one colon at the end may); the line's place. */
  ended(): Place {
    if (!this.atEnd() && this.position < this.line.length)
      throw this.error('CFG_EXTRA_FIELD', `more fields than the command takes: "${printable(this.line.slice(this.position, this.position + 40))}"`, this.peek());
    return this.place;
  }

  error(code: string, message: string, field: Field, hint?: string): InputError {
    const place: Place = { ...this.place, column: field.column };
    return new InputError(code, message, { place, hint });
  }
}
