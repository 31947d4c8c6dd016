// Small modules for tests of graph and plan: a source, a filter of some steps, a sink that remembers.
import type { BuildContext, ModuleInstance, ModuleType, PlanBuffer, PortShape } from '../../ts/graph/types.js';

export const size = { width: 8, height: 4, count: 1 };
const image: PortShape = { channels: 'rgba', format: 'f16', ...size };

/** A source whose contents the host writes; `f32` and `ssbo` variants for mismatches. */
function source(name: string, shape: Partial<PortShape> = {}): ModuleType {
  const out: PortShape = { ...image, ...shape };
  return {
    name,
    doc: 'a source',
    connectors: [{ name: 'output', type: 'source', channels: out.channels, format: out.format }],
    params: [{ name: 'level', type: 'float', default: 0, animated: true, doc: 'what every value is' }],
    create: () => ({ shapes: () => ({ output: out }), build: (ctx) => void ctx.output('output', { persistent: true }) }),
  };
}

/** The shape is known only when its parameters are read. */
const any: ModuleType = {
  ...source('any'),
  connectors: [{ name: 'output', type: 'source', channels: '*', format: '*' }],
  create: () => ({ shapes: () => ({ output: { ...image, format: 'f32' } }), build: (ctx) => void ctx.output('output', { persistent: true }) }),
};

/** Two passes over the picture with a transient buffer between; reads `prev` where connected. */
const filter: ModuleType = {
  name: 'filter',
  doc: 'two steps',
  connectors: [
    { name: 'input', type: 'read', channels: 'rgba', format: 'f16' },
    { name: 'prev', type: 'read', channels: 'rgba', format: 'f16', optional: true },
    { name: 'output', type: 'write', channels: 'rgba', format: 'f16' },
    { name: 'extra', type: 'write', channels: 'rgba', format: 'f16' },
  ],
  params: [
    { name: 'gain', type: 'float', default: 1, min: 0, max: 10, animated: true, doc: 'a factor' },
    { name: 'mat', type: 'float', default: 0, count: 3, animated: true, doc: 'three numbers' },
    { name: 'steps', type: 'int', default: 2, min: 1, max: 8, animated: true, doc: 'how often' },
    { name: 'mode', type: 'enum', default: 'box', values: ['box', 'tent'], doc: 'which' },
    { name: 'filename', type: 'string', default: 'x', doc: 'a name' },
    { name: 'fixed', type: 'int', default: 0, doc: 'read once' },
  ],
  create: (): ModuleInstance => ({
    shapes: (ctx) => {
      const input = ctx.input('input')!;
      return { output: { ...input, perFrame: undefined }, extra: { ...input } };
    },
    build: buildFilter,
  }),
};

function buildFilter(ctx: BuildContext): void {
  const input = ctx.port('input')!;
  const prev = ctx.port('prev');
  let from = input.buffer;
  const steps = ctx.params.int('steps');
  for (let i = 0; i < steps; i++) {
    const to: PlanBuffer = i === steps - 1 ? ctx.output('output') : ctx.buffer(`pass ${i}`, input.buffer.bytes);
    const uses: { buffer: PlanBuffer; access: 'r' | 'w' }[] = [{ buffer: from, access: 'r' }, { buffer: to, access: 'w' }];
    if (prev && i === 0) uses.push({ buffer: prev.buffer, access: 'r' });
    ctx.node({ label: `pass ${i}`, kernel: 'test/pass', groups: [1, 1, 1], uses });
    from = to;
  }
  if (ctx.isConnected('extra')) ctx.copy(from, ctx.output('extra'), from.bytes);
}

function sink(name: string, channels: 'rgba' | 'ssbo', format: 'f16' | 'f32' | 'ui8'): ModuleType {
  return {
    name,
    doc: 'a sink',
    connectors: [{ name: 'input', type: 'sink', channels, format }],
    params: [{ name: 'filename', type: 'string', default: 'out', doc: 'a name' }],
    create: () => ({ shapes: () => ({}), build: () => undefined, write: () => Promise.resolve('') }),
  };
}

const types = [source('i-src'), source('i-f32', { format: 'f32' }), source('i-ssbo', { channels: 'ssbo' }), any, filter, sink('o-img', 'rgba', 'ui8'), sink('o-arr', 'ssbo', 'f16'), sink('display', 'rgba', 'f16')];
export const testModules: ReadonlyMap<string, ModuleType> = new Map(types.map((t) => [t.name, t]));
