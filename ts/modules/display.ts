// display: a sink for looking at; the command line puts an output module in its place or drops it (SPEC section 5).

import type { ModuleType } from '../graph/types.js';
import { PIXELWISE } from './pixelwise.js';

export const display: ModuleType = {
  name: 'display',
  doc: "a picture to look at; `vkpn cli` writes it with the module of --format where --output names it, and drops it otherwise",
  connectors: [{ name: 'input', type: 'sink', channels: 'rgba', format: '*' }],
  params: [],
  create: () => ({ shapes: () => ({}), build: () => undefined, windows: () => PIXELWISE }),
};
