// Runs a module of ts/modules/io.ts without a graph or a device: parameters, shapes, frames, sinks.

import { InputError } from '../../ts/errors.js';
import type { FrameContext, ModuleInstance, ParamReader, PlanBuffer, PortShape, ShapeContext } from '../../ts/graph/types.js';
import { ioModules } from '../../ts/modules/io.js';

export interface Harness {
  instance: ModuleInstance;
  ctx: ShapeContext;
  warnings: string[];
  /** The output's buffer after `beforeFrame(frame)`. */
  frame(frame: number): Promise<Uint8Array>;
  uploads(): number;
}

function paramsOf(name: string, values: Record<string, number | string>): ParamReader {
  const specs = ioModules.find((m) => m.name === name)!.params;
  for (const key of Object.keys(values)) if (!specs.some((s) => s.name === key)) throw new Error(`${name} has no parameter ${key}`);
  const get = (key: string): number | string => values[key] ?? specs.find((s) => s.name === key)!.default;
  return {
    float: (key) => Number(get(key)),
    int: (key) => Number(get(key)),
    string: (key) => String(get(key)),
    isSet: (key) => key in values,
    place: (key) => ({ file: 'graph.cfg', line: 1 + Object.keys(values).indexOf(key) }),
    isAnimated: () => false,
  };
}

/** A module with its parameters; `input` is the shape at the sink's input. */
export function module(name: string, values: Record<string, number | string>, options: { graphDir?: string; frames?: number; input?: PortShape } = {}): Harness {
  const type = ioModules.find((m) => m.name === name)!;
  const info = { module: name, inst: 'main', place: { file: 'graph.cfg', line: 1 } };
  const instance = type.create(info);
  const warnings: string[] = [];
  const ctx: ShapeContext = {
    info,
    params: paramsOf(name, values),
    frames: options.frames ?? 1,
    input: () => options.input,
    isConnected: () => true,
    graphDir: options.graphDir ?? '.',
    warn: (m) => void warnings.push(m),
  };
  let contents = new Uint8Array();
  let uploads = 0;
  let built = false;
  const buffer = (init?: 'zero' | Uint8Array): PlanBuffer => {
    if (init instanceof Uint8Array) contents = init.slice();
    return { id: 0, name: 'output', bytes: 0, persistent: true };
  };
  const build = (): void => {
    if (built) return;
    built = true;
    instance.build({ ...ctx, output: (_: string, o?: { init?: 'zero' | Uint8Array }) => buffer(o?.init) } as unknown as Parameters<ModuleInstance['build']>[0]);
  };
  const frameContext: FrameContext = {
    params: ctx.params,
    read: () => Promise.resolve(contents),
    write: (_, data) => {
      uploads++;
      contents = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
    },
  };
  const frame = async (f: number): Promise<Uint8Array> => {
    build();
    await instance.beforeFrame?.(frameContext, f);
    return contents;
  };
  return { instance, ctx, warnings, frame, uploads: () => uploads };
}

/** The InputError (or other error) that `run` ends in. */
export async function failure(run: () => unknown): Promise<InputError> {
  try {
    await run();
  } catch (e) {
    if (e instanceof InputError) return e;
    throw e;
  }
  throw new Error('no error');
}

export const floats = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.slice().buffer);
export const halves = (bytes: Uint8Array): Uint16Array => new Uint16Array(bytes.slice().buffer);
