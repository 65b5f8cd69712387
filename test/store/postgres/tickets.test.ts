import t from 'tap';
import { PostgresStore } from '../../../src/store/postgres/postgres.ts';
import { failure } from '../../contract/store-kit.ts';
import { newTicket, ticketStoreContract } from '../../contract/ticket-store.ts';
import { Link } from '../../support/link.ts';
import { quietLogger } from '../../support/logger.ts';
import { startPostgres } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { PostgresDatabase, readsAll } from './database.ts';

const server = await startPostgres(t);

ticketStoreContract(t, 'PostgreSQL', () => PostgresDatabase.create(server));

t.test('no creation reads all tickets', async (t) => {
  t.notOk(await readsAll(server, { table: 'tickets', fill: (database, count) => database.fillTickets(count, 'key:a'), create: (store, name) => store.tickets.createTicket(newTicket(name)) }));
});

t.test('a standby is not believed; one that became the primary has lost uses, and gives no generation twice', async (t) => {
  const primary = await startPostgres(t);
  const database = await PostgresDatabase.create(primary);
  const link = await Link.start(t, primary.port);
  const store = new PostgresStore({ url: primary.url(database.name, link), maxPgConnections: 3, logger: quietLogger });
  t.teardown(() => store.close());
  await store.open();
  const { tickets } = store;
  const ticket = newTicket('a');
  const use = { ...ticket, hasPosition: true };
  await tickets.createTicket(ticket);
  await tickets.useTickets([use]);
  const replication = await Link.start(t, primary.port);
  const standby = await primary.standby(replication);
  await until('the standby has it', async () => String(await standby.ask(database.name, 'SELECT generation FROM tidings.ticket_state').catch(() => '')) === '1');
  replication.cut();
  const [lost] = await tickets.useTickets([use]);
  t.same(lost, { generation: 2, before: 1 });
  await primary.stop();
  link.lead(standby.port);
  for (const call of [() => tickets.findTickets(['a']), () => tickets.useTickets([use]), () => tickets.ticketUses(0), () => tickets.keepTickets([{ id: 'a', generation: 2, isGuarded: true }])]) {
    await until('it is not believed', async () => await failure(call()) !== 'none');
  }
  await standby.promote();
  let used: Awaited<ReturnType<typeof tickets.useTickets>> = [];
  await until('it takes uses', async () => await failure(tickets.useTickets([use]).then((answer) => {
    used = answer;
  })) === 'none');
  t.ok(used[0]!.generation > lost!.generation, `${used[0]!.generation}`);
});
