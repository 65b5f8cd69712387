import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
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

t.test('a path that a proxy keeps out is not taken for an old service alone', async (t) => {
  const proxy = createServer((_request, response) => void response.writeHead(404, { 'content-type': 'application/problem+json' }).end('{"code":"not-found","detail":"ask an instance"}'));
  t.teardown(() => proxy.close());
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  const env = { TIDINGS_URL: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
  for (const [line, what] of [['tidings access --key 3k9f2m7q1x8d', 'GET /keys/3k9f2m7q1x8d/access'], ['tidings webhooks show a', 'webhooks'], ['tidings topics', 'list of topics']] as const) {
    t.match(await typed(t, line, { env }), { code: 1, output: new RegExp(`^This service has no ${what}.* or a proxy keeps it out.* The answer was: ask an instance`) }, line);
  }
});

t.test('--version prints the version, and nothing else', async (t) => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { readonly version: string };
  t.strictSame(await typed(t, 'tidings --version'), { code: 0, output: `${version}\n` });
});
