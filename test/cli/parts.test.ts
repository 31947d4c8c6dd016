// The command's parts that need no device: which device, log levels, the progress line.
import { PassThrough } from 'node:stream';
import { chooseDevice } from '../../ts/cli/device-choice.js';
import { Log } from '../../ts/cli/log.js';
import { duration, ProgressLine, short } from '../../ts/cli/progress.js';
import { VkpnError } from '../../ts/errors.js';
import type { DeviceInfo } from '../../ts/gpu/types.js';

const device = (index: number, name: string, type: DeviceInfo['type']): DeviceInfo => ({ index, name, type }) as DeviceInfo;
const devices = [device(0, 'llvmpipe (LLVM 15.0.6, 256 bits)', 'cpu'), device(1, 'Intel Arc', 'integrated'), device(2, 'NVIDIA H100', 'discrete'), device(3, 'NVIDIA H100 PCIe', 'discrete')];

test('the best device is discrete before integrated before virtual before cpu, the first of equals', () => {
  expect(chooseDevice(devices).index).toBe(2);
  expect(chooseDevice(devices.slice(0, 2)).index).toBe(1);
  expect(chooseDevice([device(0, 'a', 'cpu'), device(1, 'b', 'virtual')]).index).toBe(1);
});

test('a device by part of its name, its whole name before parts of others, or its number', () => {
  expect(chooseDevice(devices, { name: 'LLVM' }).index).toBe(0);
  expect(chooseDevice(devices, { name: 'nvidia h100' }).index).toBe(2);
  expect(chooseDevice(devices, { id: 3 }).index).toBe(3);
  expect(chooseDevice(devices, { name: 'h100', id: 3 }).index).toBe(3);
});

test.each([
  [{ name: 'radeon' }, /no device fits --device "radeon"/],
  [{ name: 'h1' }, /--device "h1" fits 2 devices/],
  [{ id: 9 }, /no device fits --device-id 9/],
  [{ name: 'intel', id: 0 }, /no device fits --device "intel" with --device-id 0/],
])('%j is refused with what there is', (choice, words) => {
  const choose = (): unknown => chooseDevice(devices, choice);
  expect(choose).toThrow(words);
  try {
    choose();
  } catch (error) {
    if (!(error instanceof VkpnError)) throw error;
    expect([error.exitCode, error.code]).toEqual([2, 'NO_SUCH_DEVICE']);
    expect(error.hint).toMatch(/0: llvmpipe.*3: NVIDIA H100 PCIe/);
  }
});

test('log levels', () => {
  const lines: string[] = [];
  const say = (levels: string[] | undefined): string[] => {
    lines.length = 0;
    const log = new Log(levels, (l) => lines.push(l));
    log.log('cli', 'a');
    log.log('perf', 'b');
    log.log('mem', 'c');
    log.warn('w');
    return [...lines];
  };
  expect(say(undefined)).toEqual(['[cli] a', 'vkpn: warning: w']);
  expect(say(['none'])).toEqual([]);
  expect(say(['perf,mem'])).toEqual(['[cli] a', '[perf] b', '[mem] c', 'vkpn: warning: w']);
  expect(say(['none', 'perf'])).toEqual(['[perf] b', 'vkpn: warning: w']);
  expect(say(['all'])).toHaveLength(4);
  expect(() => new Log(['prf'])).toThrow(/no level "prf"/);
});

test('on a pipe: a plain line now and then and at the end, the loss smoothed', () => {
  const out = new PassThrough();
  const line = new ProgressLine(out as unknown as NodeJS.WriteStream);
  const at = (done: number, seconds: number, loss: number): void => line.update({ first: 0, done, seconds, frames: 100, status: [{ module: 'kpn-t:01', values: [{ name: 'loss', value: loss }, { name: 'skipped', value: 0 }] }] });
  at(10, 0.5, 8);
  at(20, 1, 8);
  at(90, 5.5, 18);
  at(100, 6, 18);
  line.stop();
  expect(String(out.read()).split('\n')).toEqual([
    'frame 90/100 | 16.36 frames/s | 1s left | loss 9 | skipped 0',
    'frame 100/100 | 16.36 frames/s | 0s left | loss 9.9 | skipped 0',
    '',
  ]);
});

test('a run that is stopped says its last state', () => {
  const out = new PassThrough();
  const line = new ProgressLine(out as unknown as NodeJS.WriteStream);
  line.update({ first: 0, done: 3, frames: 100, seconds: 0.5, status: [] });
  line.stop();
  line.stop();
  expect(String(out.read())).toBe('frame 3/100 | 6 frames/s | 16s left\n');
});

test('numbers and times for people', () => {
  expect([0, 3, 1234567, 0.12345, 123.456, 1e-7, NaN].map(short)).toEqual(['0', '3', '1.23e+6', '0.1235', '123.5', '1.00e-7', 'NaN']);
  expect([3, 59.6, 200, 3720, Infinity].map(duration)).toEqual(['3s', '1m 00s', '3m 20s', '1h 02m', '?']);
});
