// kpn's `spin`: which turns there are, and what a plan with them needs of the device.
import { makePlan, type Plan } from '../../ts/graph/plan.js';
import { checkGraph } from '../../ts/graph/run.js';
import type { ModuleType, PortShape } from '../../ts/graph/types.js';
import { PRESETS, weightsText, type ModelSpec } from '../../ts/model/spec.js';
import { kpn } from '../../ts/modules/kpn/kpn.js';
import { SPINS, turnedPart, turnedSize, turnsOf } from '../../ts/modules/kpn/spin.js';
import { useDevice } from './gpu-harness.js';

const gpu = useDevice();

/** The plan of a picture of 24 megapixels. */
async function planOf(m: ModelSpec, spin?: string): Promise<Plan> {
  const shapes: Record<string, PortShape> = {
    img: { channels: 'rgba', format: 'f16', width: 6000, height: 4000, count: 1 },
    w: { channels: 'ssbo', format: 'f16', width: m.width, height: (m.layers + 1) * m.width, count: 1, text: weightsText(m) },
  };
  const source: ModuleType = {
    name: 'i-test', doc: '', params: [], connectors: Object.entries(shapes).map(([name, { channels, format }]) => ({ name, type: 'source', channels, format })),
    create: () => ({ shapes: () => shapes, build: (ctx) => Object.keys(shapes).forEach((name) => ctx.output(name, { persistent: true })) }),
  };
  const sink: ModuleType = { name: 'o-test', doc: '', connectors: [{ name: 'input', type: 'sink', channels: 'rgba', format: 'f16' }], params: [], create: () => ({ shapes: () => ({}), build: () => undefined }) };
  const text = `module:i-test:01\nmodule:kpn:01\nmodule:o-test:01\nconnect:i-test:01:img:kpn:01:input\nconnect:i-test:01:w:kpn:01:w\nconnect:kpn:01:output:o-test:01:input\n${spin === undefined ? '' : `param:kpn:01:spin:${spin}\n`}`;
  const { run } = await checkGraph({ file: 'test.cfg', text, registry: new Map([source, sink, kpn].map((t) => [t.name, t])) });
  return makePlan(run, gpu.device.info);
}

const bytesOf = (plan: Plan): number => plan.slots.reduce((sum, slot) => sum + slot.bytes, 0);
const named = (plan: Plan) => plan.steps.map((step) => (step.kind === 'node' ? { ...step.desc, uses: step.desc.uses.map(({ buffer, ...use }) => ({ ...use, buffer: [buffer.name, buffer.bytes, buffer.init] })) } : step));

test.each(['photo', 'best'] as const)('%s, 24 megapixels: one run as without the parameter; several in less than 1.5 GB, eight in no more than four but for their windows', async (preset) => {
  const m = PRESETS[preset];
  const plain = await planOf(m);
  expect(named(await planOf(m, '1'))).toEqual(named(plain));
  expect(plain.buffers.filter((b) => /run|turn|sum/.test(b.name))).toEqual([]);
  const [two, four, eight] = await Promise.all(['2', '4', '8'].map((spin) => planOf(m, spin)));
  for (const plan of [two!, four!, eight!]) expect(bytesOf(plan)).toBeLessThan(1.5e9);
  expect(bytesOf(two!)).toBeGreaterThan(bytesOf(plain));
  expect(bytesOf(eight!) - bytesOf(four!)).toBeLessThan(4 * 512);
});

test('turns: the picture as it is, then no symmetry and no shift twice', () => {
  for (const spin of SPINS.map(Number)) {
    const turns = turnsOf(spin, 16);
    expect(turns[0]).toEqual({ flipX: false, flipY: false, transposed: false, shift: { x: 0, y: 0 } });
    expect(new Set(turns.map(({ shift }) => `${shift.x} ${shift.y}`)).size).toBe(spin);
    const symmetries = new Map<string, number>();
    for (const t of turns) symmetries.set(`${t.flipX} ${t.flipY} ${t.transposed}`, (symmetries.get(`${t.flipX} ${t.flipY} ${t.transposed}`) ?? 0) + 1);
    expect([...symmetries.values()]).toEqual(Array(spin).fill(1));
  }
  for (const align of [1, 2, 8, 64]) for (const { shift } of turnsOf(8, align)) expect(Math.max(shift.x, shift.y)).toBeLessThan(align);
});

test('a part of the turned picture holds the part of the picture, from a corner on the grid', () => {
  const picture = { width: 101, height: 67 };
  for (const align of [1, 4, 16])
    for (const turn of turnsOf(8, align))
      for (const [x, y, width, height] of [[0, 0, 101, 67], [0, 0, 64, 32], [32, 16, 48, 48], [80, 48, 64, 64]] as const) {
        const part = turnedPart(turn, picture, { x, y, width, height }, align);
        expect([part.x % align, part.y % align]).toEqual([0, 0]);
        const whole = turnedSize(turn, picture, align);
        for (const [px, py] of [[x, y], [Math.min(x + width, 101) - 1, Math.min(y + height, 67) - 1]] as const) {
          const u = (turn.flipX ? align * Math.ceil(101 / align) - 1 - px : px) + turn.shift.x;
          const v = (turn.flipY ? align * Math.ceil(67 / align) - 1 - py : py) + turn.shift.y;
          const [a, b] = turn.transposed ? [v, u] : [u, v];
          expect(a >= part.x && a < part.x + part.width && a < whole.width && b >= part.y && b < part.y + part.height && b < whole.height).toBe(true);
        }
      }
});
