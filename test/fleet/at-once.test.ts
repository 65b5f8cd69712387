import t from 'tap';
import { openStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { startPostgres } from '../support/postgres.ts';
import { rounds } from '../support/rounds.ts';

/** That ten stores agree is shown in test/store/postgres; here, whole instances do, with their streams. */
const INSTANCES = rounds(8, 10);

t.test('instances that start at once on an empty database agree on one log', async (t) => {
  const server = await startPostgres(t);
  const env = { LOG_LEVEL: 'warn', POLL_MS: '50', DATABASE_URL: server.url(await server.database()), DATABASE_CONNECTIONS: '2' };
  const instances = await Promise.all(Array.from({ length: INSTANCES }, () => startInstance(t, env)));
  const streams = await Promise.all(instances.map(({ url }) => openStream(t, `${url}/topics/a/events`)));
  await Promise.all(streams.map((stream) => stream.next(({ event }) => event === '$open')));
  const ids = await Promise.all(instances.map(({ url }, index) => new Http(t, url).publish('a', String(index))));
  const last = ids.toSorted((a, b) => Number(a.split('-')[1]) - Number(b.split('-')[1])).at(-1)!;
  for (const stream of streams) {
    await stream.next(({ id }) => id === last);
    const messages = stream.events.filter(({ event }) => event === undefined);
    t.equal(messages.length, INSTANCES);
    t.same(messages.map(({ id }) => Number(id!.split('-')[1])), Array.from({ length: INSTANCES }, (_, index) => index + 1), 'one numbering, without holes');
    t.same(messages.map(({ id, data }) => [id, data]), messages.map(({ data }) => [ids[Number(data)], data]), 'each is what its publisher was told');
  }
});
