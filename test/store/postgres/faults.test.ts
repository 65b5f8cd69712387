import { copyFileSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createSecureContext, TLSSocket } from 'node:tls';
import type pg from 'pg';
import t from 'tap';
import { PgConnections } from '../../../src/store/postgres/connection/connection-pool.ts';
import { migrate } from '../../../src/store/postgres/migrate.ts';
import { PostgresStore } from '../../../src/store/postgres/postgres.ts';
import { complaint, draft, EVERYTHING, failure, openStore, range, readMessages, request, seqs, stored } from '../../contract/store-kit.ts';
import { Liar } from '../../support/liar.ts';
import { Link } from '../../support/link.ts';
import { quietLogger } from '../../support/logger.ts';
import { listening } from '../../support/listening.ts';
import { startPostgres } from '../../support/postgres.ts';
import { tempFolder, type Scope } from '../../support/temp.ts';
import { until } from '../../support/until.ts';
import { duringLockWait, PostgresDatabase } from './database.ts';

const server = await startPostgres(t);

/** A store that reaches its database over a network that can break. */
async function overLink(t: Scope): Promise<{ readonly store: PostgresStore; readonly link: Link; readonly database: PostgresDatabase }> {
  const database = await PostgresDatabase.create(server);
  const link = await Link.start(t, server.port);
  const store = new PostgresStore({ url: server.url(database.name, link), maxPgConnections: 4, logger: quietLogger });
  t.teardown(() => store.close());
  await store.open();
  return { store, link, database };
}

t.test('connections that are reset cost the calls under way, and nothing else', async (t) => {
  const { store, link } = await overLink(t);
  await stored(store, [request(draft('a'))]);
  const [{ epoch } = { epoch: '' }] = (await store.state()).lineage.epochs;
  link.cut();
  t.equal(await failure(store.state()), 'unavailable');
  t.not(await failure(store.append([request(draft('a'))])), 'none');
  t.equal(await failure(store.append([request(draft('a'))])), 'unavailable', 'what cannot be sent was not stored, for certain');
  link.heal();
  const { outcomes, log } = await store.append([request(draft('a'))]);
  t.match(outcomes, [{ kind: 'stored', first: 2 }]);
  t.match(log.lineage.epochs, [{ epoch, first: 1 }, { first: 2 }], 'the first append after a loss of connections begins an epoch');
  t.match((await store.append([request(draft('a'))])).log.lineage.epochs.length, 2, 'the next append does not');
  t.same(seqs(await readMessages(store)), range(1, 3));
});

t.test('an append sent when the connection broke may have been stored: nobody denies it', async (t) => {
  const { store, outcome } = await duringLockWait(async () => {
    const { store, link, database } = await overLink(t);
    const holder = await holdHead(t, database);
    const appending = failure(store.append([request(draft('a', 'sent'))]));
    await database.locked(1, appending);
    link.cut();
    const outcome = await appending;
    await holder.query('COMMIT');
    link.heal();
    return { store, outcome };
  });
  t.equal(outcome, 'outcome-unknown');
  await until('it was stored all the same', async () => (await store.state()).head === 1);
});

t.test('a connection that the server ends in the middle of an append is a lost one: the next begins an epoch', async (t) => {
  const { store, outcome } = await duringLockWait(async () => {
    const { store, database } = await overLink(t);
    await stored(store, [request(draft('a'))]);
    const holder = await holdHead(t, database);
    const appending = failure(store.append([request(draft('a'))]));
    await database.locked(1, appending);
    await database.ask(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database.name}' AND wait_event_type = 'Lock'`);
    const outcome = await appending;
    await holder.query('COMMIT');
    return { store, outcome };
  });
  t.equal(outcome, 'outcome-unknown');
  t.match((await store.append([request(draft('a'))])).log.lineage.epochs, [{ first: 1 }, { first: 2 }]);
  t.equal((await store.append([request(draft('a'))])).log.lineage.epochs.length, 2);
});

/** A connection past the store that has the head's lock, until it commits. */
async function holdHead(t: Scope, database: PostgresDatabase): Promise<pg.Client> {
  const holder = await database.client(t);
  await holder.query('BEGIN; SELECT * FROM tidings.head FOR UPDATE');
  return holder;
}

t.test('a pooler that lost the server during a commit leaves the outcome open, and the next append begins an epoch', async (t) => {
  const { store, outcome } = await duringLockWait(async () => {
    const database = await PostgresDatabase.create(server);
    const liar = await Liar.start(t, server.port);
    const store = new PostgresStore({ url: server.url(database.name, liar), maxPgConnections: 2, logger: quietLogger });
    t.teardown(() => store.close());
    await store.open();
    const holder = await holdHead(t, database);
    const appending = failure(store.append([request(draft('a', 'sent'))]));
    await database.locked(1, appending);
    // PgBouncer's words for a server that crashed.
    liar.interject(Buffer.from('E\0\0\0\x2aSERROR\0VERROR\0C08P01\0Mserver crashed\0\0', 'latin1'));
    const outcome = await appending;
    await holder.query('COMMIT');
    return { store, outcome };
  });
  t.equal(outcome, 'outcome-unknown');
  await until('it was stored all the same', async () => (await store.state()).head === 1);
  t.match((await store.append([request(draft('a'))])).log.lineage.epochs, [{ first: 1 }, { first: 2 }]);
});

t.test('over TLS too, a server that makes no sense loses its connection, and the process lives', async (t) => {
  const secured = await startPostgres(t, { tls: true });
  const context = createSecureContext({ cert: readFileSync(secured.certificate), key: readFileSync(secured.certificate.replace('.crt', '.key')) });
  const nonsense = createServer((client) => {
    client.on('error', () => undefined);
    client.once('data', () => {
      client.write('S');
      const told = new TLSSocket(client, { isServer: true, secureContext: context });
      told.on('error', () => undefined);
      told.once('data', () => told.write(Buffer.from('E\0\0\0\x04', 'latin1')));
    });
  });
  const port = await listening(nonsense);
  t.teardown(() => nonsense.close());
  const store = new PostgresStore({ url: `${secured.url('postgres', { port })}?sslmode=no-verify`, maxPgConnections: 2, logger: quietLogger });
  t.match(await complaint(store.open()), /malformed error/);
  await store.close();
});

t.test('a connection of which the server said that it ends does not take its successor with it', async (t) => {
  const database = await PostgresDatabase.create(server);
  const { port, clients } = await holdingEnds(t);
  const pgConnections = new PgConnections({ url: server.url(database.name, { port }), maxQueryConnections: 1 });
  t.teardown(() => pgConnections.close());
  const backend = (): Promise<unknown> => pgConnections.write('SELECT pg_backend_pid()', ([row]) => row![0]);
  const first = await backend();
  await database.ask(`SELECT pg_terminate_backend(${String(first)})`);
  await until('it has read the reason', () => pgConnections.losses === 1);
  const second = await backend();
  await until('it has left the connection', () => clients[0]!.destroyed);
  t.equal(await backend(), second, 'nor is a third made beside it, which would leave it open for ever');
  t.equal(pgConnections.losses, 1, 'one was lost');
});

/** A way to the server on which its words pass, but not the end of a connection: that comes later, or when the test says so. */
async function holdingEnds(t: Scope): Promise<{ readonly port: number; readonly clients: readonly Socket[] }> {
  const clients: Socket[] = [];
  const way = createServer((client) => {
    clients.push(client);
    const upstream = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
    client.pipe(upstream);
    upstream.pipe(client, { end: false });
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    client.on('close', () => upstream.destroy());
  });
  const port = await listening(way);
  t.teardown(() => {
    for (const client of clients) client.destroy();
    way.close();
  });
  return { port, clients };
}

t.test('a server that was stopped and comes back', async (t) => {
  const database = await PostgresDatabase.create(server);
  const store = await openStore(t, database);
  await stored(store, [request(draft('a'))]);
  await server.stop('fast');
  t.equal(await failure(store.state()), 'unavailable');
  t.equal(await failure(store.read(EVERYTHING)), 'unavailable');
  t.not(await failure(store.append([request(draft('a'))])), 'none');
  await server.start();
  await until('it answers', async () => await failure(store.state()) === 'none');
  await until('it stores', async () => await failure(store.append([request(draft('a', 'after'))])) === 'none');
  const { lineage, head } = await store.state();
  t.equal(head, 2);
  t.ok(lineage.epochs.length >= 2, 'in a new epoch: a server that comes back may have lost what it had answered');
});

// It waits for long, and uses a server that nothing is done to meanwhile.
t.jobs = 2;

t.test('a server that falls silent is given up, in a time that has a bound', async (t) => {
  const { store, link } = await overLink(t);
  await stored(store, [request(draft('a'))]);
  link.silence(true);
  const began = performance.now();
  const [read, append] = await Promise.all([complaint(store.state()), complaint(store.append([request(draft('a'))]))]);
  t.match(read, /did not answer for 12 s/);
  t.match(append, /lost during the commit.*did not answer for 12 s/);
  t.equal(await failure(store.append([request(draft('a'))])), 'unavailable', 'no connection can be made');
  t.ok(performance.now() - began > 12_000);
  link.heal();
  await until('it goes on', async () => await failure(store.append([request(draft('a'))])) === 'none');
});

t.test('over TLS, and with a password', async (t) => {
  const secret = 'p@ss/w:rd';
  const secured = await startPostgres(t, { tls: true, password: secret });
  const name = await secured.database();
  const open = async (url: string): Promise<string> => {
    const store = new PostgresStore({ url, maxPgConnections: 2, logger: quietLogger });
    try {
      await store.open();
      return 'opened';
    } catch (error) {
      return (error as Error).message;
    } finally {
      await store.close();
    }
  };
  const url = secured.url(name);
  t.equal(await open(`${url}?sslmode=verify-full&sslrootcert=${encodeURIComponent(secured.certificate)}`), 'opened');
  t.equal(await open(`${url}?sslmode=no-verify`), 'opened');
  t.match(await open(`${url}?sslmode=verify-full`), /the database cannot be reached: self-signed certificate/);
  const wrong = await open(`${url.replace(encodeURIComponent(secret), 'wr0ng-secret')}?sslmode=no-verify`);
  t.match(wrong, /the server does not let this user in/);
  t.match(await open(`${url}?sslmode=verify-full&sslrootcert=/nowhere.pem`), /nowhere/);
  t.match(await open(`${url.replace(name, 'nothing')}?sslmode=no-verify`), /there is no such database/);
  t.notOk(wrong.includes('wr0ng-secret'));
});

t.test('a certificate that vanished is missed at the next connection, and found when it is back', async (t) => {
  const secured = await startPostgres(t, { tls: true });
  const name = await secured.database();
  const certificate = join(tempFolder(t), 'root.pem');
  copyFileSync(secured.certificate, certificate);
  const store = new PostgresStore({ url: `${secured.url(name)}?sslmode=verify-full&sslrootcert=${encodeURIComponent(certificate)}`, maxPgConnections: 2, logger: quietLogger });
  t.teardown(() => store.close());
  await store.open();
  await stored(store, [request(draft('a'))]);
  rmSync(certificate);
  await secured.ask('postgres', `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`);
  for (const call of [() => store.append([]), () => store.state()]) {
    await until('it connects anew', async () => /the database cannot be reached: .*root\.pem/.test(await complaint(call())));
  }
  copyFileSync(secured.certificate, certificate);
  t.same(await stored(store, [request(draft('a'))]), [2]);
});

t.test('databases that cannot hold a log say so', async (t) => {
  await server.ask('postgres', "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0");
  t.match(await complaint(migrate(server.url('latin'))), /encoded in LATIN1/);
  const database = await PostgresDatabase.create(server);
  t.strictSame(await migrate(database.url), { applied: 22, isNew: true, level: undefined, raisedFrom: undefined });
  t.strictSame(await migrate(database.url), { applied: 0, isNew: false, level: undefined, raisedFrom: undefined });
  await database.ask('UPDATE tidings.__drizzle_migrations SET created_at = created_at + 1000000000, compatible = compatible + 1000000000 WHERE id = (SELECT max(id) FROM tidings.__drizzle_migrations)');
  t.match(await complaint(database.store().open()), /made by a newer version/);
});

t.test('text that the database cannot store is refused', async (t) => {
  const store = await openStore(t, await PostgresDatabase.create(server));
  const odd = ["'; DROP SCHEMA tidings CASCADE; --", '\\', "\\'", '"', '{a,b}', 'NULL', '$1', "E'\\n'", '}\\"'];
  t.same(await stored(store, odd.map((event) => request(draft('a', event, { event })))), range(1, odd.length));
  t.same((await readMessages(store)).map(({ event }) => event), odd);
  t.equal(await failure(store.append([request(draft('a', '', { event: 'a\0b' }))])), 'refused');
  t.equal((await store.state()).head, odd.length);
});
