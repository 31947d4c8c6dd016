// What a graph file says, line by line (SPEC section 5). Pure data: no modules, no files.

import type { Place } from '../errors.js';

/** A piece of a line and the column (1-based) it starts at. */
export interface Field {
  text: string;
  column: number;
}

/** Keyframe spellings in the order of SPEC section 5. */
export type Easing = 'linear' | 'in' | 'out' | 'smooth' | 'step';

/** `MOD:INST:CONN` */
export interface ConnectorRef {
  module: Field;
  inst: Field;
  connector: Field;
}

/** What `param…` and `keyframe` lines set: the values [begin, end) of a parameter; end 0 means all. */
export interface ParamTarget {
  module: Field;
  inst: Field;
  param: Field;
  begin: number;
  end: number;
  /** Where BEGIN stands (for messages); of `param:` the parameter. */
  range: Field;
  /** The rest of the line, colons included: a string's value, or numbers between colons (`valueFields`). */
  value: Field;
}

/** `place` is the line's: `--config` lines and options of the command line have a file name of their own. */
export type Statement = { place: Place } & (
  | { kind: 'blank' }
  | { kind: 'comment'; text: string }
  | { kind: 'frames'; frames: number }
  | { kind: 'fps'; fps: number }
  | { kind: 'module'; module: Field; inst: Field; position?: [number, number] }
  /** `from` null: disconnects the input. */
  | { kind: 'connect'; feedback: boolean; from: ConnectorRef | null; to: ConnectorRef }
  | { kind: 'param'; op: 'set' | 'sub' | 'inc' | 'dec'; target: ParamTarget }
  | { kind: 'keyframe'; easing: Easing; frame: number; frameField: Field; target: ParamTarget }
);

export type StatementOf<K extends Statement['kind']> = Extract<Statement, { kind: K }>;

/** The place of a field of a statement; a line that an option stands for has no columns. */
export function placeOf({ place }: { place: Place }, field: Field): Place {
  return place.line === undefined ? place : { ...place, column: field.column };
}

/** Splits the rest of a line at its colons. One empty field at the end (`0:1:`) is dropped: vkdt reads such lines. */
export function valueFields(value: Field): Field[] {
  const fields: Field[] = [];
  let column = value.column;
  for (const text of value.text.split(':')) {
    fields.push({ text, column });
    column += text.length + 1;
  }
  if (fields.length > 1 && fields.at(-1)?.text === '') fields.pop();
  return fields;
}
