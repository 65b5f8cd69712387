import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createKey, keysCommand } from '../support/keys-command.ts';
import { tempFolder } from '../support/temp.ts';

/** `npx tidings keys`. That instances go by what it does is in test/fleet/access.test.ts; both databases are in test/contract/key-store.ts. */

const WRONG: readonly (readonly [args: readonly string[], code: number, said: RegExp])[] = [
  [[], 2, /Usage: tidings keys/],
  [['create'], 2, /required option '--name <name>'/],
  [['create', '--name', 'x'], 2, /would allow nothing/],
  [['create', '--name', 'x', '--admin', '--expires', 'soon'], 2, /Write it in whole seconds/],
  [['create', '--name', 'x', '--admin', '--expire', '1d'], 2, /unknown option '--expire'/],
  [['rotate', 'tdg_abcdefghijkl_0'], 2, /the part of the key between the two underscores/],
  [['rotate', 'abcdefghijkl', '--overlap', '400d'], 2, /'--overlap <duration>' argument '400d' is invalid\. Write it in whole seconds: .* up to 30d/],
  [['rotate', 'abcdefghijkl'], 2, /There is no key abcdefghijkl/],
  [['revoke', 'abcdefghijkl'], 2, /There is no key abcdefghijkl/],
];

t.test('wrong usage ends with 2 and one reason, and changes nothing', async (t) => {
  const env = { DATABASE_URL: `file:${join(tempFolder(t), 'log.db')}` };
  await createKey(t, env, '--name', 'first', '--admin');
  const list = await keysCommand(t, env, 'list', '--json');
  for (const [args, code, said] of WRONG) {
    const ran = await keysCommand(t, env, ...args);
    t.match(ran, { code, output: said }, args.join(' '));
  }
  t.same(await keysCommand(t, env, 'list', '--json'), list);
});

t.test('only the first key makes a database; every other command says that there is no database', async (t) => {
  const file = join(tempFolder(t), 'folder', 'log.db');
  const env = { DATABASE_URL: `file:${file}` };
  for (const args of [['list'], ['rotate', 'abcdefghijkl'], ['revoke', 'abcdefghijkl']]) t.match(await keysCommand(t, env, ...args), { code: 1, output: /DATABASE_URL: there is no such file/ });
  t.equal(existsSync(file), false);
  t.match(await keysCommand(t, env, 'create', '--name', 'first', '--subscribe', 'a', 'b.>'), { code: 0, output: `${file}\nthere was no log: a new, empty one was made.` });
  t.equal(existsSync(file), true);
  t.notMatch((await keysCommand(t, env, 'create', '--name', 'second', '--admin')).output, /new, empty/);
  // An empty file is what some set-ups make before the service.
  const empty = join(tempFolder(t), 'empty.db');
  writeFileSync(empty, '');
  t.match(await keysCommand(t, { DATABASE_URL: `file:${empty}` }, 'list'), { code: 1, output: /there is no log in this database/ });
});

t.test('a key is shown once, and listed without its secret, until and after it is revoked', async (t) => {
  const env = { DATABASE_URL: `file:${join(tempFolder(t), 'log.db')}` };
  const { id, key } = await createKey(t, env, '--name', 'ci', '--publish', 'deploys.>', '--expires', '90d');
  const listed = async (): Promise<Record<string, unknown>> => JSON.parse(/^\{.*\}$/m.exec((await keysCommand(t, env, 'list', '--json')).output)![0]) as Record<string, unknown>;
  const { created, expires, ...rest } = await listed();
  t.same(rest, { id, name: 'ci', publish: ['deploys.>'], subscribe: [], admin: false, operate: false });
  t.equal(Date.parse(String(expires)) - Date.parse(String(created)), 90 * 86_400_000);
  t.match(await keysCommand(t, env, 'list'), { code: 0, output: new RegExp(`^${id}\tgood\t.*\tci\tdeploys\\.>\t-\t-\t-$`, 'm') });
  const rotated = await keysCommand(t, env, 'rotate', id);
  t.match(rotated, { code: 0, output: new RegExp(`^tdg_${id}_[0-9a-f]{64}$`, 'm') });
  t.notMatch(rotated.output, key);
  t.match(await keysCommand(t, env, 'revoke', id), { code: 0, output: /is revoked/ });
  t.match(await keysCommand(t, env, 'revoke', id), { code: 0, output: /is revoked/ }, 'again, the same');
  t.match(await listed(), { revoked: /^2/ });
  t.match(await keysCommand(t, env, 'rotate', id), { code: 2, output: /or it has ended/ });
  t.notMatch((await keysCommand(t, env, 'list')).output, /[0-9a-f]{64}/);
});
