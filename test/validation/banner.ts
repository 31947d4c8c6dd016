// The validation layer says on standard output where it logs to: no part of what the command printed.
export const withoutBanner = (out: string): string => out.replace(/^Validation Layer Info - .*\n/gm, '');
