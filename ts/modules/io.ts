// The modules that read and write files (SPEC section 4).

import type { ModuleType } from '../graph/types.js';
import { display } from './display.js';
import { iExr } from './i-exr.js';
import { iLut } from './i-lut.js';
import { iPfm } from './i-pfm.js';
import { iJpg, iPng, iTif } from './i-picture.js';
import { iRaw } from './i-raw.js';
import { iSet } from './i-set/i-set.js';
import { oLut } from './o-lut.js';
import { oPfm } from './o-pfm.js';
import { oJpg, oPng, oTif } from './o-picture.js';

export const ioModules: readonly ModuleType[] = [iPfm, iJpg, iPng, iTif, iExr, iRaw, iSet, iLut, oLut, oPfm, oJpg, oPng, oTif, display];
