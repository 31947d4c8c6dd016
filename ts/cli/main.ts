// The command `vkpn`: finds the subcommand, prints errors as one message, decides the exit code.

import { Command, CommanderError } from 'commander';
import { VkpnError } from '../errors.js';
import { vkpnVersion } from '../root.js';
import { register as bench } from './bench.js';
import { register as cli } from './cli.js';
import { splitConfig } from './cli-options.js';
import { register as devices } from './devices.js';
import { register as denoise } from './denoise.js';
import { register as evalCommand } from './eval.js';
import { register as gradcheck } from './gradcheck.js';
import { register as modules } from './modules.js';
import { register as profile } from './profile.js';
import { ignoreClosedPipes } from './stop.js';
import { register as train } from './train.js';

/** One file a command; `config` is what stands behind `--config`. */
const commands: readonly ((program: Command, config: readonly string[]) => void)[] = [cli, train, denoise, devices, modules, bench, gradcheck, evalCommand, profile];

function makeProgram(config: readonly string[]): Command {
  const program = new Command('vkpn');
  program
    .description('Train and run a tiny neural network that denoises photographs, on any Vulkan GPU.')
    .version(vkpnVersion())
    .showHelpAfterError('(--help says more)')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'vkpn: ')) });
  for (const register of commands) register(program, config);
  for (const command of program.commands) command.version(vkpnVersion());
  return program;
}

/** Runs the command line (without node and script); resolves to the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  ignoreClosedPipes();
  const { args, config } = splitConfig(argv);
  try {
    process.exitCode = 0;
    await makeProgram(config).parseAsync(args, { from: 'user' });
    return Number(process.exitCode);
  } catch (error) {
    // Commander has printed its own; --help and --version end with 0, everything else is a wrong command line.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`${describe(error, wantsStack(argv))}\n`);
    return error instanceof VkpnError ? error.exitCode : 1;
  }
}

/** Whether `-d err` or `-d all` asks for stacks. */
function wantsStack(argv: readonly string[]): boolean {
  return argv.some((arg, i) => (argv[i - 1] === '-d' && /(^|,)(err|all)(,|$)/.test(arg)) || /^-d(.*,)?(err|all)(,|$)/.test(arg));
}

function describe(error: unknown, stack: boolean): string {
  if (error instanceof VkpnError) return `vkpn: ${error.format()}${stack ? `\n${error.stack ?? ''}` : ''}`;
  const message = error instanceof Error ? error.message : String(error);
  const trace = error instanceof Error ? error.stack : undefined;
  return stack ? `vkpn: ${trace ?? message}` : `vkpn: ${message}\n  this is a fault of vkpn itself; -d err shows where`;
}
