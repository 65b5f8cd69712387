import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { startInstance } from '../support/instance.ts';
import { createKey } from '../support/keys-command.ts';
import { tempFolder } from '../support/temp.ts';
import { typed } from '../support/tidings-command.ts';

/** `tidings access`: may somebody do something? What is allowed is in test/access/. */

t.test('it answers for the sender and for a key, by words, JSON and the exit code', async (t) => {
  const DATABASE_URL = `file:${join(tempFolder(t), 'log.db')}`;
  const { key, id } = await createKey(t, { DATABASE_URL }, '--name', 'me', '--admin', '--subscribe', 'deploys.>');
  const { key: other, id: otherId } = await createKey(t, { DATABASE_URL }, '--name', 'other', '--publish', 'deploys.api');
  const instance = await startInstance(t, { DATABASE_URL, LOG_LEVEL: 'error' });
  const env = { TIDINGS_URL: instance.url, TIDINGS_TOKEN: key };
  const cases: readonly (readonly [line: string, code: number, output: RegExp, token?: string])[] = [
    ['tidings access', 0, new RegExp(`^name\tkey ${id}\npublish\t-\nsubscribe\tdeploys\\.>\nerase\t>\npresence\t>\noperate\tyes\nstreams\tyes\nadminister\tyes\n$`)],
    ['tidings access publish deploys.api', 5, /^no\n\S.* \(forbidden\)\n$/],
    [`tidings access publish deploys.api --key ${otherId}`, 0, /^yes\n$/],
    [`tidings access read deploys.api --key ${otherId} --json`, 5, /^\{"action":"read","topic":"deploys\.api","allowed":false,"code":"forbidden",.*\}\n$/],
    [`tidings access --key ${id}`, 4, /\(forbidden\)/, other],
    ['tidings access read', 2, /topic is missing/],
    ['tidings access eat deploys.api', 2, /Allowed choices are/],
  ];
  await Promise.all(cases.map(async ([line, code, output, token = key]) => t.match(await typed(t, line, { env: { ...env, TIDINGS_TOKEN: token } }), { code, output }, line)));
});

t.test('--version prints the version, and nothing else', async (t) => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { readonly version: string };
  t.strictSame(await typed(t, 'tidings --version'), { code: 0, output: `${version}\n` });
});
