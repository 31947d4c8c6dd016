// Ctrl-C, SIGTERM and SIGHUP (the terminal is gone): the first stops gently, the second at once. Output that nobody reads any more ends quietly.

import { constants } from 'node:os';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Listens while a run goes on. */
export class StopSignal {
  private readonly controller = new AbortController();
  /** Exit code of the signal that came: 130, 143 or 129. */
  code: number | undefined;

  constructor(private readonly say: (message: string) => void) {
    for (const s of signals) process.on(s, this.handle);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  private readonly handle = (name: NodeJS.Signals): void => {
    const code = 128 + constants.signals[name];
    if (this.code !== undefined) process.exit(code);
    this.code = code;
    this.say('stopping after the current submit and writing what there is; once more to quit at once');
    this.controller.abort();
  };

  release(): void {
    for (const s of signals) process.off(s, this.handle);
  }
}

let ignoring = false;

/** A closed pipe behind stdout or stderr (`| head`) must not end a training run: what can't be printed is dropped. */
export function ignoreClosedPipes(): void {
  if (ignoring) return;
  ignoring = true;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      stream.write = () => true;
      if (['EPIPE', 'EIO', 'EBADF'].includes(error.code ?? '')) return;
      // A full disk behind `> file`: the output is what was asked for.
      process.stderr.write(`vkpn: printing failed: ${error.message}\n`);
      process.exit(1);
    });
  }
}
