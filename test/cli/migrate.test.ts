import { join } from 'node:path';
import t from 'tap';
import { Child, type Exit } from '../support/child.ts';
import { tempFolder } from '../support/temp.ts';

/** `npm run migrate`, as a process. What it does to logs that are in use is in test/fleet/rolling.test.ts. */

const COMMAND = join(import.meta.dirname, '../../src/cli/migrate.ts');

async function run(args: readonly string[], url: string): Promise<Exit & { readonly output: string }> {
  const child = new Child(t, process.execPath, [COMMAND, ...args], { cwd: tempFolder(t), env: { PATH: process.env['PATH'], DATABASE_URL: url } });
  return { ...await child.exited, output: child.output };
}

t.test('a new database is made, and has no level until a program opens it', async (t) => {
  const file = join(tempFolder(t), 'new/log.db');
  t.match(await run([], `file:${file}`), { code: 0, output: /new\/log\.db: \d+ migrations applied\n$/ });
  t.match(await run([], `file:${file}`), { code: 0, output: /: up to date\n$/ });
  t.match(await run(['--raise-level'], `file:${file}`), { code: 0, output: /: up to date\n.*: there is no log yet/ });
});

t.test('what it does not understand ends it before it touches anything', async (t) => {
  for (const [args, says] of [
    [['--raise'], /Unknown option '--raise'[^]*\n\nnpm run migrate -- \[options\]/],
    [['--raise-level=2'], /'--raise-level' does not take an argument[^]*options/],
    [['raise'], /Unexpected argument 'raise'[^]*options/],
  ] as const) t.match(await run(args, `file:${join(tempFolder(t), 'log.db')}`), { code: 2, output: says }, args.join(' '));
  t.match(await run([], 'mysql://somewhere'), { code: 1, output: /DATABASE_URL/ });
  t.match(await run([], 'postgres://user@127.0.0.1:1/x'), { code: 1, output: /^DATABASE_URL: .*ECONNREFUSED/ });
});
