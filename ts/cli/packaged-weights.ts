// The weights that come with the package (weights/, docs/quality.md), by their names.

import { join } from 'node:path';
import { packageRoot } from '../root.js';

/** `photo`: the fast ones, the default. `best`: the better ones, at several times the work. */
export const packagedNames = ['photo', 'best'] as const;

/** A file of weights for `-w`: one that comes with the package, by its name, else the path as it is (`./best` is a file). */
export const weightsFile = (given: string): string => ((packagedNames as readonly string[]).includes(given) ? packagedPath(given) : given);

export const packagedPath = (name: string): string => join(packageRoot, 'weights', `${name}.lut`);
