import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { UNDERSTOOD_LEVEL } from '../../src/store/level.ts';
import { Child, type Exit } from '../support/child.ts';
import { COMMAND_ENV } from '../support/compile-cache.ts';
import { startInstance } from '../support/instance.ts';
import { tempFolder } from '../support/temp.ts';

/** `npm run migrate`, as a process. What it does to logs that are in use is in test/fleet/rolling.test.ts. */

const COMMAND = join(import.meta.dirname, '../../src/cli/migrate.ts');

async function run(args: readonly string[], url: string, env: Readonly<Record<string, string>> = {}): Promise<Exit & { readonly output: string }> {
  const child = new Child(t, process.execPath, [COMMAND, ...args], { cwd: tempFolder(t), env: { ...COMMAND_ENV, DATABASE_URL: url, ...env } });
  return { ...await child.exited, output: child.output };
}

t.test('a new log is made and named, in a folder that is there; it has no level until an instance opens it', async (t) => {
  const folder = join(tempFolder(t), 'new');
  const url = `file:${join(folder, 'log.db')}`;
  t.match(await run([], url), { code: 1, output: new RegExp(`^DATABASE_URL: there is no folder ${folder}: make it, or correct DATABASE_URL\n$`) });
  t.notOk(existsSync(folder));
  mkdirSync(folder);
  t.match(await run([], url), { code: 0, output: /new\/log\.db: there was no log: a new, empty one was made \(\d+ migrations applied\)\n.*: no instance has opened the log yet: .*\n$/ });
  t.match(await run([], url), { code: 0, output: /: up to date\n.*: no instance has opened the log yet/ });
  t.match(await run(['--raise-level'], url), { code: 0, output: /: up to date\n.*: no instance has opened the log yet/ });
});

t.test('the level of a log is shown, and whether it was raised', async () => {
  const folder = tempFolder(t);
  const url = `file:${join(folder, 'log.db')}`;
  await startInstance(t, { DATABASE_URL: url });
  t.match(await run([], url), { code: 0, output: new RegExp(`: up to date\\n.*: the log is at level ${UNDERSTOOD_LEVEL}, the highest that this version understands\\n$`) });
  t.match(await run(['--raise-level'], url), { code: 0, output: new RegExp(`: up to date\\n.*: the log was at level ${UNDERSTOOD_LEVEL} already, the highest that this version understands\\n$`) });
});

t.test('a flag that npm kept for itself does not go unnoticed', async (t) => {
  const file = join(tempFolder(t), 'log.db');
  // What `npm run migrate --raise-level` sets.
  const kept = { npm_config_raise_level: 'true' };
  t.match(await run([], `file:${file}`, kept), { code: 2, output: /^npm kept --raise-level for itself, and nothing was done\. Put -- before it: npm run migrate -- --raise-level\n/ });
  t.notOk(existsSync(file));
  t.match(await run(['--raise-level'], `file:${file}`, kept), { code: 0 }, 'it was given as well');
  t.match(await run([], `file:${file}`, { npm_config_raise_level: '' }), { code: 0 }, 'npm run migrate --no-raise-level');
});

t.test('-h is --help, and says what npm does with a flag', async (t) => {
  for (const flag of ['-h', '--help']) t.match(await run([flag], 'mysql://somewhere'), { code: 0, output: /^npm run migrate -- \[options\][^]*without it npm keeps the option for itself/ });
});

t.test('wrong usage ends it before it touches anything', async (t) => {
  for (const [args, says] of [
    [['--raise'], /Unknown option '--raise'[^]*\n\nnpm run migrate -- \[options\]/],
    [['--raise-level=2'], /'--raise-level' does not take an argument[^]*options/],
    [['raise'], /Unexpected argument 'raise'[^]*options/],
  ] as const) t.match(await run(args, `file:${join(tempFolder(t), 'log.db')}`), { code: 2, output: says }, args.join(' '));
  t.match(await run([], 'mysql://somewhere'), { code: 1, output: /DATABASE_URL/ });
  t.match(await run([], 'postgres://user@127.0.0.1:1/x'), { code: 1, output: /^DATABASE_URL: .*ECONNREFUSED/ });
});
