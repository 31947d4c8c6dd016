// sharp, loaded when a picture is first read or written: loading it takes as long as everything else that a run loads.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type Sharp from 'sharp';
import { packageRoot } from '../root.js';

let loaded: typeof Sharp | undefined;

export const sharp = (): typeof Sharp => (loaded ??= createRequire(join(packageRoot, 'package.json'))('sharp') as typeof Sharp);
