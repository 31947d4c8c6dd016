// The one place that knows where the package lies on disk.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The package's root folder: the parent of `dist/` (or of `ts/` under jest). */
export const packageRoot: string = join(dirname(fileURLToPath(import.meta.url)), '..');

/** The version in package.json. */
export function vkpnVersion(): string {
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  return version;
}
