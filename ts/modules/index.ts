// All modules by their names in graph files.

import type { ModuleType } from '../graph/types.js';
import { beside } from './beside.js';
import { cnngenin } from './cnngenin.js';
import { ioModules } from './io.js';
import { kpn } from './kpn/kpn.js';
import { kpnT } from './kpn-t/kpn-t.js';

export const modules: ReadonlyMap<string, ModuleType> = new Map([...ioModules, beside, cnngenin, kpn, kpnT].map((m) => [m.name, m]));

/** The modules with sinks that write nothing: a check or a measurement leaves no files. */
export const withoutFiles = (): ReadonlyMap<string, ModuleType> =>
  new Map([...modules].map(([name, type]) => [name, type.connectors.some((c) => c.type === 'sink') ? { ...type, create: () => ({ shapes: () => ({}), build: () => undefined }) } : type]));
