import { parseArgs, type ParseArgsConfig } from 'node:util';

export interface CommandLine<Flag extends string> {
  /** The name of its npm script. */
  readonly command: string;
  /** The text of `--help`. */
  readonly usage: string;
  readonly flags: readonly Flag[];
}

/** Reads a command line that has only flags. `--help` prints the usage and ends the process with 0; an unknown flag does so with 2. */
export function readFlags<Flag extends string>({ command, usage, flags }: CommandLine<Flag>): Readonly<Partial<Record<Flag, boolean>>> {
  const options: NonNullable<ParseArgsConfig['options']> = { ...Object.fromEntries(flags.map((flag) => [flag, { type: 'boolean' }])), help: { type: 'boolean', short: 'h' } };
  try {
    const { values } = parseArgs({ options });
    if (values['help'] === true) {
      process.stdout.write(usage);
      return process.exit(0);
    }
    const kept = flags.find((flag) => values[flag] === undefined && isKeptByNpm(flag));
    if (kept === undefined) return values as Partial<Record<Flag, boolean>>;
    throw new Error(`npm kept --${kept} for itself, and nothing was done. Put -- before it: npm run ${command} -- --${kept}`);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    return process.exit(2);
  }
}

/** Whether npm took a flag for one of its own options, because no `--` stands before it. npm sets an environment variable then. */
function isKeptByNpm(flag: string): boolean {
  return (process.env[`npm_config_${flag.replaceAll('-', '_')}`] ?? '') !== '';
}
