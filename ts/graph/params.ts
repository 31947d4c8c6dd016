// The parameters of one module instance: set, changed and animated by the graph file's lines (SPEC section 5).

import { valueAt, insertKey, type Key } from '../cfg/keyframes.js';
import { parseNumber, printable } from '../cfg/read.js';
import { placeOf, valueFields, type Field, type ParamTarget, type StatementOf } from '../cfg/statement.js';
import { suggestion } from '../cfg/suggest.js';
import { InputError, type Place } from '../errors.js';
import type { InstanceInfo, ModuleType, ParamReader, ParamSpec } from './types.js';

interface Value {
  spec: ParamSpec;
  numbers: number[];
  text: string;
  place?: Place;
  /** Keyframes of each number; absent where it isn't animated. */
  keys: (Key[] | undefined)[];
}

type ParamStatement = StatementOf<'param'> | StatementOf<'keyframe'>;

/** Values by name, checked as they are set. Reading a name that the module doesn't declare is a programming error. */
export class ParamValues implements ParamReader {
  private readonly values = new Map<string, Value>();

  constructor(
    private readonly type: ModuleType,
    private readonly info: InstanceInfo,
  ) {
    for (const spec of type.params) {
      const count = spec.count ?? 1;
      const number = typeof spec.default === 'number' ? spec.default : spec.type === 'enum' ? (spec.values ?? []).indexOf(spec.default) : 0;
      this.values.set(spec.name, { spec, numbers: Array<number>(count).fill(number), text: String(spec.default), keys: Array<Key[] | undefined>(count) });
    }
  }

  /** Applies a `param`, `paramsub`, `paraminc`, `paramdec` or `keyframe` line. Throws InputError at the field that is wrong. */
  apply(statement: ParamStatement): void {
    const { target } = statement;
    const value = this.values.get(target.param.text);
    if (value === undefined)
      throw new InputError('CFG_UNKNOWN_PARAM', `${this.type.name} has no parameter ${printable(target.param.text)}`, {
        place: placeOf(statement, target.param),
        hint: suggestion(target.param.text, this.values.keys()),
      });
    if (statement.kind === 'keyframe') this.addKeyframe(statement, value);
    else if (value.spec.type === 'string' || value.spec.type === 'enum') this.setText(statement, value);
    else this.setNumbers(statement, value);
    value.place = placeOf(statement, target.param);
  }

  private setText(statement: StatementOf<'param'>, value: Value): void {
    const { target } = statement;
    if (statement.op !== 'set') throw this.error(statement, target.param, `${value.spec.name} is a name, not numbers: it can only be set`, 'use param:');
    const text = target.value.text;
    if (value.spec.type === 'enum') {
      const { name, values = [] } = value.spec;
      const index = values.indexOf(text);
      const numbers = values.every((v) => /^\d+$/.test(v)); // of which none is a slip of another
      if (index < 0) throw this.error(statement, target.value, `${name} can't be "${printable(text.slice(0, 40))}"`, numbers ? `there is: ${values.join(', ')}` : suggestion(text, values));
      value.numbers[0] = index;
    } else if (text.includes('\0')) {
      throw this.error(statement, target.value, `${value.spec.name} may not hold a NUL character`);
    }
    value.text = text;
  }

  private setNumbers(statement: StatementOf<'param'>, value: Value): void {
    const { begin, numbers, fields } = this.readNumbers(statement, value);
    numbers.forEach((x, i) => {
      const old = value.numbers[begin + i] ?? 0;
      const changed = statement.op === 'inc' ? old + x : statement.op === 'dec' ? old - x : x;
      this.checkRange(statement, value.spec, changed, fields[i]);
      value.numbers[begin + i] = changed;
    });
  }

  private addKeyframe(statement: StatementOf<'keyframe'>, value: Value): void {
    const { spec } = value;
    if (spec.type === 'string' || spec.type === 'enum' || !spec.animated)
      throw this.error(statement, statement.target.param, `${spec.name} of ${this.type.name} is read once: it can't be animated`, 'use param:');
    const { begin, numbers, fields } = this.readNumbers(statement, value);
    numbers.forEach((x, i) => {
      this.checkRange(statement, spec, x, fields[i]);
      insertKey((value.keys[begin + i] ??= []), { frame: statement.frame, value: x, easing: statement.easing });
    });
  }

  private readNumbers(statement: ParamStatement, { spec }: Value): { begin: number; numbers: number[]; fields: Field[] } {
    const { target } = statement;
    const [begin, end] = this.range(statement, target, spec);
    const fields = valueFields(target.value);
    if (fields.length !== end - begin)
      throw this.error(statement, target.value, `${spec.name} takes ${count(end - begin)} here, this line has ${fields.length}`);
    return { begin, fields, numbers: fields.map((field) => this.number(statement, spec, field)) };
  }

  private range(statement: ParamStatement, target: ParamTarget, spec: ParamSpec): [number, number] {
    const size = spec.count ?? 1;
    const end = target.end === 0 ? size : target.end;
    if (target.begin >= end || end > size)
      throw this.error(statement, target.range, `${spec.name} has ${count(size)}: the range ${target.begin} to ${target.end} is outside`, 'the first index counts from 0, the end is exclusive, end 0 means all');
    return [target.begin, end];
  }

  private number(statement: ParamStatement, spec: ParamSpec, field: Field): number {
    const value = parseNumber(field.text);
    const whole = spec.type === 'int';
    if (value === undefined || (whole && !Number.isSafeInteger(value)))
      throw this.error(statement, field, `${spec.name} needs a ${whole ? 'whole ' : ''}number, not "${printable(field.text.slice(0, 40))}"`, spec.doc);
    return value;
  }

  private checkRange(statement: ParamStatement, spec: ParamSpec, value: number, field: Field | undefined): void {
    const { min = -Infinity, max = Infinity } = spec;
    if (value >= min && value <= max) return;
    const range = max === Infinity ? `at least ${min}` : min === -Infinity ? `at most ${max}` : `from ${min} to ${max}`;
    throw this.error(statement, field ?? statement.target.value, `${spec.name} should be ${range}, not ${value}`, spec.doc);
  }

  private error(statement: ParamStatement, field: Field, message: string, hint?: string): InputError {
    return new InputError('CFG_BAD_VALUE', message, { place: placeOf(statement, field), hint });
  }

  private get(name: string): Value {
    const value = this.values.get(name);
    if (value === undefined) throw new Error(`${this.type.name} reads the parameter ${name} that it doesn't declare`);
    return value;
  }

  /** All numbers of a parameter at a frame. */
  numbers(name: string, frame = 0): number[] {
    const { numbers, keys, spec } = this.get(name);
    return numbers.map((x, i) => (keys[i] === undefined ? x : valueAt(keys[i], frame, spec.type === 'float')));
  }

  float(name: string, frame = 0): number {
    return this.numbers(name, frame)[0] ?? NaN;
  }

  /** Of an enum: the index of its value. */
  int(name: string, frame = 0): number {
    return Math.trunc(this.float(name, frame));
  }

  string(name: string): string {
    const { spec, text } = this.get(name);
    if (spec.type === 'int' || spec.type === 'float') throw new Error(`${this.type.name} reads the number ${name} as text`);
    return text;
  }

  isSet(name: string): boolean {
    return this.get(name).place !== undefined;
  }

  place(name: string): Place {
    return this.get(name).place ?? this.info.place;
  }

  isAnimated(name: string): boolean {
    return this.get(name).keys.some((keys) => keys?.some((key) => key.value !== keys[0]?.value) ?? false);
  }

  /** Every parameter, defaults included: its value as a `param:` line has it, its keyframes by index. */
  all(): { name: string; value: string; keys: { index: number; key: Key }[] }[] {
    return [...this.values].map(([name, { spec, numbers, text, keys }]) => ({
      name,
      value: spec.type === 'string' || spec.type === 'enum' ? text : numbers.join(':'),
      keys: keys.flatMap((of, index) => (of ?? []).map((key) => ({ index, key }))),
    }));
  }

  /** The first frame after `frame`, before `limit`, in which some animated value differs from the frame before; `limit` if none. */
  nextChange(frame: number, limit: number): number {
    const animated = [...this.values.keys()].filter((name) => this.isAnimated(name));
    if (animated.length === 0) return limit;
    for (let f = frame + 1; f < limit; f++)
      if (animated.some((name) => this.numbers(name, f).some((x, i) => x !== this.numbers(name, f - 1)[i]))) return f;
    return limit;
  }
}

function count(n: number): string {
  return n === 1 ? 'one value' : `${n} values`;
}
