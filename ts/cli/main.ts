// The command `vkpn`: finds the subcommand, prints errors as one message, decides the exit code.

import { Command, CommanderError } from 'commander';
import { VkpnError } from '../errors.js';
import { leave, prepareDevices } from '../gpu/index.js';
import { vkpnVersion } from '../root.js';
import { splitConfig } from './cli-options.js';
import { ignoreClosedPipes } from './stop.js';

/** Adds a command; `config` is what stands behind `--config`. */
type Register = (program: Command, config: readonly string[]) => void;

/** One file a command, in the order of `--help`. Only the command that runs is loaded: all of them take longer than a device takes to open. */
const commands: Readonly<Record<string, () => Promise<{ register: Register }>>> = {
  cli: () => import('./cli.js'),
  train: () => import('./train.js'),
  denoise: () => import('./denoise.js'),
  devices: () => import('./devices.js'),
  modules: () => import('./modules.js'),
  bench: () => import('./bench.js'),
  gradcheck: () => import('./gradcheck.js'),
  eval: () => import('./eval.js'),
  profile: () => import('./profile.js'),
};

async function makeProgram(args: readonly string[], config: readonly string[]): Promise<Command> {
  const program = new Command('vkpn');
  program
    .description('Train and run a tiny neural network that denoises photographs, on any Vulkan GPU.')
    .version(vkpnVersion())
    .showHelpAfterError('(--help says more)')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'vkpn: ')) });
  const asked = Object.entries(commands).find(([name]) => name === args[0])?.[1];
  for (const load of asked ? [asked] : Object.values(commands)) (await load()).register(program, config);
  for (const command of program.commands) command.version(vkpnVersion());
  return program;
}

/** Runs the command line (without node and script); resolves to the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  ignoreClosedPipes();
  const { args, config } = splitConfig(argv);
  if (opensDevice(args)) prepareDevices();
  try {
    process.exitCode = 0;
    await (await makeProgram(args, config)).parseAsync(args, { from: 'user' });
    return Number(process.exitCode);
  } catch (error) {
    // Commander has printed its own; --help and --version end with 0, everything else is a wrong command line.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`${describe(error, wantsStack(argv))}\n`);
    return error instanceof VkpnError ? error.exitCode : 1;
  }
}

/**
 * From now on the process ends as soon as JavaScript is done (its exit handlers included) and runs no destructors of libraries: threads that have used a driver live
 * until then, and NVIDIA's (580), unloaded under them, crashes, after all is written. Not under a profiler, which writes at the end.
 */
export function leaveAtExit(): void {
  if (process.execArgv.some((option) => option.includes('-prof'))) return;
  const node = process as unknown as { reallyExit: (code: number) => void };
  const end = node.reallyExit.bind(process);
  node.reallyExit = (code) => {
    leave(code);
    end(code);
  };
  process.once('beforeExit', () => process.exit());
}

/** Command lines that come to a device after much else: its driver is loaded meanwhile. */
const opensDevice = ([command, ...rest]: readonly string[]): boolean => ['cli', 'train', 'denoise'].includes(command ?? '') && !rest.includes('--help') && !rest.includes('-h');

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
