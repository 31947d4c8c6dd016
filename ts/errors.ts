// The one class hierarchy of errors: a code for programs, a place and a hint for people.

/** Where in a text an error is: file, 1-based line and column. */
export interface Place {
  file: string;
  line?: number;
  column?: number;
}

export interface ErrorDetail {
  place?: Place;
  /** What to do about it, one sentence. */
  hint?: string;
  cause?: unknown;
}

/** Base of all errors this program reports on purpose. */
export class VkpnError extends Error {
  /** Stable, upper-case, for programs: `CFG_UNKNOWN_MODULE`, `PFM_TRUNCATED`, … */
  readonly code: string;
  readonly place: Place | undefined;
  readonly hint: string | undefined;
  /** The process's exit code when this error ends it. */
  readonly exitCode: number = 1;

  constructor(code: string, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = new.target.name;
    this.code = code;
    this.place = detail.place;
    this.hint = detail.hint;
  }

  /** `file:line:column: message` and, on a second line, the hint. */
  format(): string {
    const p = this.place;
    const where = p ? [p.file, p.line, p.column].filter((x) => x !== undefined).join(':') + ': ' : '';
    return `${where}${this.message}${this.hint === undefined ? '' : `\n  ${this.hint}`}`;
  }
}

/** The user's input (graph file, options, pictures) is wrong; found before any GPU work. */
export class InputError extends VkpnError {
  override readonly exitCode: number = 2;
}

/** The device, driver or addon failed. `code` is `DEVICE_LOST` for a lost device (exit code 3). */
export class GpuError extends VkpnError {
  override readonly exitCode: number;
  constructor(code: string, message: string, detail: ErrorDetail = {}) {
    super(code, message, detail);
    // What a device lacks is as much bad input as a wrong path is; a failure during work is not.
    this.exitCode = code === 'DEVICE_LOST' ? 3 : ['NO_LOADER', 'NO_DEVICE', 'NO_SUCH_DEVICE', 'NO_PATH', 'OUT_OF_MEMORY'].includes(code) ? 2 : 4;
  }
}

/** Writing a result failed. */
export class OutputError extends VkpnError {}
