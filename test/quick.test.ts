import t from 'tap';
import { chainToStarter, quickFiles } from './support/quick.ts';

/** `npm run test:quick` is to take less than a minute, wherever it runs: what it leaves out is decided by what a file imports, and here is shown that this decides well. */

t.test('the tests of the spine, of the simulation and of the rules are quick', async (t) => {
  const files = quickFiles();
  for (const folder of ['test/delivery/', 'test/http/input/', 'test/log/', 'test/model/', 'test/simulation/']) t.ok(files.some((file) => file.startsWith(folder)), folder);
  t.ok(files.includes('test/layout.test.ts'));
  t.same(files.map((file) => chainToStarter(file)).filter((chain) => chain !== undefined), []);
});

t.test('a file that starts a service, a server, a browser or any other process is not', async (t) => {
  const ends = [
    ['test/wire/http.test.ts', 'node:http'], ['test/store/sqlite/sqlite.test.ts', 'better-sqlite3'], ['test/store/postgres/postgres.test.ts', 'pg'],
    ['test/bus/redis/redis.test.ts', 'node:net'], ['test/clients/comeback.test.ts', 'eventsource'], ['test/simulation/planted.test.ts', 'node:child_process'],
  ] as const;
  for (const [file, end] of ends) t.equal(chainToStarter(file)?.at(-1), end, file);
});

t.test('it is found over any detour, also a circular one', async (t) => {
  const graph = new Map([['a.ts', ['b.ts', 'c.ts']], ['b.ts', ['a.ts', 'eventsource-parser', 'node:fs']], ['c.ts', ['d.ts']], ['d.ts', ['a.ts', 'pg']]]);
  const chain = (file: string): readonly string[] | undefined => chainToStarter(file, (one) => graph.get(one) ?? []);
  t.same(chain('a.ts'), ['a.ts', 'c.ts', 'd.ts', 'pg']);
  t.equal(chain('e.ts'), undefined);
  for (const starter of ['node:child_process', 'node:net', 'fastify', '@fastify/cors', 'pg', 'ioredis', 'playwright-core', 'better-sqlite3']) t.same(chain(starter), [starter]);
  for (const other of ['node:fs', 'eventsource-parser', 'pino', 'page.ts']) t.equal(chain(other), undefined, other);
});
