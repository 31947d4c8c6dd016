// The user's home folder, which not every process has: containers run users that nobody entered anywhere.
import { homedir } from 'node:os';

/** $HOME or what the system knows; undefined: there is none. */
export function home(): string | undefined {
  try {
    return homedir();
  } catch {
    return undefined;
  }
}
