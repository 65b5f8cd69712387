import { join } from 'node:path';
import { t, type Test } from 'tap';
import { FIRST_USE_MS, RETURN_MS } from '../../src/store/contracts/ticket-store.ts';
import { accessFile, makeKey, ROOT } from '../support/access-state.ts';
import { openStream, type SseStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { startRedis } from '../support/redis.ts';
import { rounds } from '../support/rounds.ts';
import { logIn } from '../support/sessions.ts';
import { tempFolder, type Scope } from '../support/temp.ts';
import { getTicket, TicketTime, type Ticket } from '../support/tickets.ts';
import { hs256, SECRET } from '../support/tokens.ts';
import { until } from '../support/until.ts';

/** Tickets on two instances: each opens one stream at a time, for its topics, and for as long as its credential lasts. */

const ENV = { RETRY_MIN_MS: '20', RETRY_MAX_MS: '40', LOG_LEVEL: 'debug', AUTH_COOKIE: 'session', JWT_SECRET: SECRET, FAILED_LOGINS_LIMIT: 'off' };

/** One ticket is raced on two instances so often. */
const RACE_ROUNDS = rounds(20, 1000, 5);

interface Fleet {
  readonly instances: readonly [Instance, Instance];
  readonly http: readonly [Http, Http];
  readonly time: TicketTime;
}

async function startFleet(t: Scope, env: Readonly<Record<string, string>>): Promise<Fleet> {
  const DATABASE_URL = `file:${join(tempFolder(t), 'log.db')}`;
  const shared = { ...ENV, ACCESS_FILE: accessFile(t, ['>']), DATABASE_URL, ...env };
  const instances = [await startInstance(t, shared), await startInstance(t, shared)] as const;
  return { instances, http: [new Http(t, instances[0].url), new Http(t, instances[1].url)], time: new TicketTime(DATABASE_URL) };
}

async function open(t: Scope, { url }: Instance, { ticket }: Ticket, { path = '/topics/a/events', position }: { readonly path?: string; readonly position?: string | undefined } = {}): Promise<SseStream> {
  const stream = await openStream(t, `${url}${path}${path.includes('?') ? '&' : '?'}ticket=${ticket}`, { headers: position === undefined ? {} : { 'last-event-id': position } });
  if (stream.status === 200) await stream.next();
  return stream;
}

/** The position that its client has. */
function positionOf({ events }: SseStream): string {
  return events.findLast(({ id }) => id !== undefined)!.id!;
}

async function isSentAway(stream: SseStream): Promise<void> {
  await stream.next(({ event }) => event === '$busy');
  await stream.ended;
}

async function heard(stream: SseStream): Promise<string> {
  return (await stream.next(({ event }) => event === undefined)).data;
}

function refusalOf({ status, body }: SseStream): readonly [number, string] {
  return [status, (JSON.parse(body) as { code: string }).code];
}

async function refused(stream: SseStream): Promise<readonly [number, string]> {
  await stream.ended;
  return refusalOf(stream);
}

const seconds = (): number => Math.floor(Date.now() / 1000);

function token(claims: { readonly sub: string; readonly jti?: string; readonly subscribe?: readonly string[] }): Record<string, string> {
  const { subscribe = ['a', 'b.>'], ...rest } = claims;
  return bearer(hs256({ iat: seconds() - 100, exp: seconds() + 3600, ...rest, tidings: { publish: [], subscribe } }));
}

const LOST = [401, 'invalid-credential'];

t.test('without Redis: a ticket opens its topics on any instance; a leaked URL opens only as documented', async (t) => {
  const fleet = await startFleet(t, { POLL_MS: '50' });
  const { instances: [one, two], http: [first, second], time } = fleet;
  const { key } = await makeKey(first, { name: 'reader', subscribe: ['a', 'b.>'], publish: ['a'] });
  const headers = bearer(key);
  const stranger = bearer((await makeKey(first, { name: 'other', subscribe: ['other'] })).key);

  await t.test('it takes a credential that may read all that it is for', async (t) => {
    const ask = async (body: string, credential: Record<string, string>): Promise<number> => (await first.send('POST', '/tickets', credential, body)).status;
    t.equal(await ask('{"topics":["a"]}', {}), 401);
    t.equal(await ask('{"topics":["a"]}', stranger), 403);
    t.equal(await ask('{"topics":["a","c"]}', headers), 403, 'all or nothing');
    t.equal(await ask('{"topics":["b.*","b.c.>"]}', headers), 201);
    const { ticket, expiresAt } = await getTicket(first, ['a'], headers);
    t.match(ticket, /^tdt_[a-z0-9]{12}_[0-9a-f]{64}$/);
    const waits = Date.parse(expiresAt) - Date.now();
    t.ok(waits > 0 && waits <= FIRST_USE_MS, `${waits} ms`);
    t.equal(await ask('{"topics":["a"]}', bearer(ticket)), 401, 'a ticket makes no ticket');
  });

  await t.test('the stream has what the ticket names, all or nothing; nothing but a stream takes it', async (t) => {
    const ticket = await getTicket(first, ['a', 'b.*'], headers);
    for (const path of ['/topics/c/events', '/topics/b.%3E/events', '/events?topic=a&topic=b.c.d', '/events?topic=a&topic=c']) t.same(await refused(await open(t, two, ticket, { path })), [403, 'forbidden'], path);
    for (const path of ['/topics/a/messages', '/messages?topic=a', '/session']) t.equal((await second.get(`${path}${path.includes('?') ? '&' : '?'}ticket=${ticket.ticket}`)).status, 401, path);
    t.equal((await second.send('HEAD', `/topics/a/events?ticket=${ticket.ticket}`)).status, 401, 'it opens no stream');
    t.equal((await second.get('/topics/a/messages', bearer(ticket.ticket))).status, 401);
    t.same(await refused(await openStream(t, `${two.url}/topics/a/events`, { headers: bearer(ticket.ticket) })), LOST);
    t.same(await refused(await openStream(t, `${two.url}/topics/a/events`, { headers: { cookie: `session=${ticket.ticket}` } })), LOST);
    t.same(await refused(await open(t, two, { ...ticket, ticket: key })), LOST, 'and nothing else counts in its place');
    t.same(await refused(await openStream(t, `${two.url}/topics/a/events?ticket=${ticket.ticket}`, { headers })), [400, 'invalid-request'], 'two credentials');
    const stream = await open(t, two, ticket, { path: '/events?topic=a&topic=b.c' });
    await first.post('a', 'for the ticket', headers);
    t.match(await heard(stream), /"data":"for the ticket"/);
  });

  await t.test('a URL that is found before its stream is opened opens it, and the page takes it back; both take turns', async (t) => {
    const ticket = await getTicket(first, ['a'], headers);
    const thief = await open(t, one, ticket);
    const page = await open(t, two, ticket);
    await isSentAway(thief);
    const back = await open(t, one, ticket, { position: positionOf(thief) });
    await isSentAway(page);
    const again = await open(t, one, ticket, { position: positionOf(page) });
    await isSentAway(back);
    await first.post('a', 'for the last one', headers);
    t.equal(await heard(again), 'for the last one');
  });

  await t.test('while its stream is open, and after that, it opens nothing for a client without a position of the log', async (t) => {
    const ticket = await getTicket(first, ['a'], headers);
    const page = await open(t, one, ticket);
    time.guard();
    for (const position of [undefined, 'guessed1-5', 'start', 'x']) t.same(await refused(await open(t, two, ticket, { position })), LOST, `${position}`);
    t.same(await refused(await open(t, two, ticket, { path: '/topics/a/events?after=start' })), LOST);
    t.same(await refused(await open(t, two, ticket, { path: '/topics/a/events?since=1h' })), LOST);
    await first.post('a', 'not disturbed', headers);
    t.equal(await heard(page), 'not disturbed');
    const position = positionOf(page);
    page.destroy();
    t.same(await refused(await open(t, two, ticket)), LOST);
    for (const query of ['lastEventId', 'after']) t.same(await refused(await open(t, two, ticket, { path: `/topics/a/events?${query}=${position}`, position: 'x' })), LOST, 'what stands in the URL may be found with it');
    const back = await open(t, two, ticket, { position });
    t.equal(back.status, 200);
    back.destroy();
    time.age(RETURN_MS);
    t.same(await refused(await open(t, two, ticket, { position })), LOST, 'some time after it was open, nothing');
  });

  await t.test('a ticket that waits too long, that never was, or whose secret is another, is 401', async (t) => {
    const ticket = await getTicket(first, ['a'], headers);
    const wrong = ticket.ticket.slice(0, -1) + (ticket.ticket.endsWith('0') ? '1' : '0');
    for (const text of [wrong, `tdt_aaaaaaaaaaaa_${'0'.repeat(64)}`, 'tdt_x', 'x', '']) t.same(await refused(await open(t, one, { ...ticket, ticket: text })), LOST, text);
    time.age(FIRST_USE_MS);
    t.same(await refused(await open(t, one, ticket)), LOST);
  });

  await t.test('a renewal prolongs the ticket with its stream; a revocation, and the end of a session or key, end it', async (t) => {
    const ticket = await getTicket(first, ['a'], token({ sub: 'alice', jti: 'first' }));
    const page = await open(t, one, ticket);
    const { id, secret } = (JSON.parse(page.events[0]!.data) as { stream: { id: string; secret: string } }).stream;
    t.equal((await first.send('POST', `/streams/${id}/credential`, token({ sub: 'alice', jti: 'second' }), JSON.stringify({ secret }))).status, 200);
    t.equal((await second.send('POST', '/revocations', bearer(ROOT.text), '{"jti":"first"}')).status, 201);
    const back = await open(t, two, ticket, { position: positionOf(page) });
    await isSentAway(page);
    t.equal((await first.send('POST', '/revocations', bearer(ROOT.text), '{"jti":"second"}')).status, 201);
    await isSentAway(back);
    t.same(await refused(await open(t, one, ticket, { position: positionOf(back) })), LOST);

    const session = await logIn(first, key);
    const inSession = await getTicket(first, ['a'], session);
    const streamOfSession = await open(t, two, inSession);
    t.equal((await first.send('DELETE', '/session', session)).status, 204);
    await isSentAway(streamOfSession);
    t.same(await refused(await open(t, two, inSession, { position: positionOf(streamOfSession) })), LOST);

    const short = await makeKey(first, { name: 'revoked', subscribe: ['a'] });
    const [opened, unused] = [await getTicket(first, ['a'], bearer(short.key)), await getTicket(first, ['a'], bearer(short.key))];
    const stream = await open(t, two, opened);
    await first.send('DELETE', `/keys/${short.id}`, bearer(ROOT.text));
    await isSentAway(stream);
    for (const one of [opened, unused]) t.same(await refused(await open(t, two, one, { position: positionOf(stream) })), LOST);
  });

  await t.test('raced on two instances, it opens one stream at a time', (t) => race(t, fleet));

  await t.test('its life is written down without its secret, which nothing tells', async (t) => {
    const { ticket } = await getTicket(first, ['a'], headers);
    const [, id, secret] = ticket.split('_');
    const page = await open(t, one, { ticket, expiresAt: '' });
    await open(t, one, { ticket, expiresAt: '' }, { position: positionOf(page) });
    await refused(await open(t, one, { ticket, expiresAt: '' }, { path: '/topics/c/events' }));
    const { body: metrics } = await first.get('/metrics', bearer(ROOT.text));
    t.match(metrics, /^tidings_tickets_made_total [1-9]/m);
    t.match(metrics, /^tidings_streams_cut_total\{reason="taken-over"\} [1-9]/m);
    for (const audit of ['ticket-made', 'ticket-taken-over']) await one.says(`"audit":"${audit}","ticket":"${id}"`);
    await until('the refusal is written down', () => (one.output + two.output).includes('"audit":"ticket-refused"'));
    for (const text of [one.output, two.output, metrics]) t.notOk(text.includes(secret!), 'no secret');
    t.notMatch(one.output + two.output, /tdt_/);
  });
});

/** One stream at a time, whichever of two uses at once is later. */
async function race(t: Test, { instances, http: [http] }: Fleet): Promise<void> {
  const headers = bearer((await makeKey(http, { name: 'racer', subscribe: ['a'], publish: ['a'] })).key);
  const ticket = await getTicket(http, ['a'], headers);
  // Before its first use the instance that made it sends away who comes there second, and nobody has it: test/access/tickets.test.ts.
  const first = await open(t, instances[0], ticket);
  first.destroy();
  await first.ended;
  let position = positionOf(first);
  for (let round = 0; round < RACE_ROUNDS; round++) {
    const streams = await Promise.all(instances.map((instance) => open(t, instance, ticket, { position })));
    const over = await Promise.race(streams.map(async (stream, index) => {
      await stream.ended;
      return index;
    }));
    const [loser, winner] = [streams[over]!, streams[1 - over]!];
    t.equal(loser.events.at(-1)!.event, '$busy', 'it is told to come back');
    t.match(JSON.parse(loser.events.at(-1)!.data), { reason: 'taken-over' });
    t.equal((await http.post('a', `round ${round}`, headers)).status, 201);
    t.equal(await heard(winner), `round ${round}`);
    position = positionOf(winner);
    winner.destroy();
    await winner.ended;
  }
}

t.test('with Redis: one ticket raced on two instances opens one stream at a time, at once', async (t) => {
  await race(t, await startFleet(t, { REDIS_URL: (await startRedis(t)).url, POLL_MS: '60000' }));
});
