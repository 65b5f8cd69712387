import type { Command } from 'commander';

interface ServeOptions {
  readonly port?: string;
  readonly host?: string;
  readonly log?: string;
}

/** `tidings serve`: as `npm start`. The options are settings, and override the environment. `config/` checks them. */
export function addServeCommand(program: Command, start: () => Promise<unknown>): void {
  program.command('serve').description('Runs the service, with the settings of the environment and of the file .env, as npm start does.')
    .option('--port <port>', 'the setting PORT')
    .option('--host <address>', 'the setting HOST')
    .option('--log <level>', 'the setting LOG_LEVEL')
    .addHelpText('after', '\nExample:\n  $ tidings serve --port 8081\n')
    .action(async ({ port, host, log }: ServeOptions) => {
      for (const [name, value] of Object.entries({ PORT: port, HOST: host, LOG_LEVEL: log })) if (value !== undefined) process.env[name] = value;
      await start();
    });
}
