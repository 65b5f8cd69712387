import { ConfigError, readConfig, type Config } from './config.ts';

/** The settings of this process; what is wrong with them is said on standard error, a line each, and ends it. */
export function configure(): Config {
  try {
    return readConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const line of error.lines) process.stderr.write(`${line}\n`);
    process.exit(1);
  }
}
