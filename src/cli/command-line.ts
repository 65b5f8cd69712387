import { parseArgs, type ParseArgsConfig } from 'node:util';

/** What a command is asked for, by flags alone. `--help` prints its usage and ends it; so does a flag that it does not have, with exit code 2. */
export function readFlags<Flag extends string>(usage: string, flags: readonly Flag[]): Readonly<Partial<Record<Flag, boolean>>> {
  const options: NonNullable<ParseArgsConfig['options']> = Object.fromEntries([...flags, 'help'].map((flag) => [flag, { type: 'boolean' }]));
  try {
    const { values } = parseArgs({ options });
    if (values['help'] !== true) return values as Partial<Record<Flag, boolean>>;
    process.stdout.write(usage);
    return process.exit(0);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    return process.exit(2);
  }
}
