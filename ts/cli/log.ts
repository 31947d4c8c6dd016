// What goes to the terminal besides results: log levels as vkdt's `-d` names them (SPEC section 5), all on stderr.

import { InputError } from '../errors.js';
import { suggestion } from '../cfg/suggest.js';

export const channels = ['qvk', 'pipe', 'gui', 'db', 'cli', 'snd', 'perf', 'mem', 'err'] as const;
export type Channel = (typeof channels)[number];

export class Log {
  private readonly on: Set<Channel>;

  /** `levels`: names with commas between; later `none` and `all` override earlier ones. Default: what the command does (cli). */
  constructor(
    levels: readonly string[] = [],
    private readonly print: (line: string) => void = (line) => void process.stderr.write(`${line}\n`),
  ) {
    this.on = new Set(['cli']);
    for (const level of levels.flatMap((l) => l.split(','))) {
      if (level === 'none') this.on.clear();
      else if (level === 'all') channels.forEach((c) => this.on.add(c));
      else if (isChannel(level)) this.on.add(level);
      else throw new InputError('CLI_LOG_LEVEL', `-d has no level "${level}"`, { hint: suggestion(level, ['none', ...channels, 'all']) });
    }
  }

  has(channel: Channel): boolean {
    return this.on.has(channel);
  }

  log(channel: Channel, message: string): void {
    if (this.on.has(channel)) this.print(`[${channel}] ${message}`);
  }

  /** Something the user should know that doesn't stop the work; silent with `-d none`. */
  warn(message: string): void {
    if (this.on.size > 0) this.print(`vkpn: warning: ${message}`);
  }
}

function isChannel(level: string): level is Channel {
  return (channels as readonly string[]).includes(level);
}
