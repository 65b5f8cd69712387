import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import { openStream, type SseStream } from '../support/client.ts';
import { emptyDatabase } from '../support/database.ts';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { bearer, createKey, keysCommand } from '../support/keys-command.ts';
import { startRedis } from '../support/redis.ts';
import { rounds } from '../support/rounds.ts';
import { logIn, type PageHeaders } from '../support/sessions.ts';
import { tempFolder, type Scope } from '../support/temp.ts';
import { hs256, SECRET } from '../support/tokens.ts';
import { until } from '../support/until.ts';
import { whileItLives } from '../support/while-it-lives.ts';

/** Streams and long polls end with the credential that opened them, and go on by a new one. */

const ENV = { RETRY_MIN_MS: '20', RETRY_MAX_MS: '40', LOG_LEVEL: 'debug' };
const ALL = { name: 'all', publish: ['>'], subscribe: ['>'] };

/** How much later a stream is opened than it is revoked, at the most: about as long as a revocation takes. */
const RACE_MS = 12;

type Pair = readonly [Instance, Instance];

async function startPair(t: Scope, env: Readonly<Record<string, string>>): Promise<Pair> {
  return [await startInstance(t, { ...ENV, ...env }), await startInstance(t, { ...ENV, ...env })];
}

async function listen(t: Scope, { url }: Instance, headers: Readonly<Record<string, string>>, path = '/topics/a/events'): Promise<SseStream> {
  const stream = await openStream(t, url + path, { headers });
  if (stream.status === 200) await stream.next();
  return stream;
}

/** It was told to come back, and its connection is closed. */
async function isSentAway(stream: SseStream): Promise<void> {
  await stream.next(({ event, data }) => event === '$busy' && (JSON.parse(data) as { reason: string }).reason === 'credential');
  await stream.ended;
}

/** What a stream is told of the end of its credential; undefined where it ended before that could be said. @param lifetime Seconds. */
async function told(stream: SseStream, lifetime: number): Promise<{ readonly stream: SseStream; readonly secondsLeft: number; readonly lifetime: number } | undefined> {
  await stream.until(() => stream.events.some(({ event }) => event === '$expiring' || event === '$busy'));
  const expiring = stream.events.find(({ event }) => event === '$expiring');
  return expiring && { stream, lifetime, secondsLeft: (JSON.parse(expiring.data) as { secondsLeft: number }).secondsLeft };
}

/** The next message. */
async function heard(stream: SseStream): Promise<string> {
  return (await stream.next(({ event }) => event === undefined)).data;
}

async function make(http: Http, admin: Record<string, string>, request: object): Promise<{ readonly id: string; readonly key: string }> {
  const { status, body } = await http.send('POST', '/keys', admin, JSON.stringify(request));
  if (status !== 201) throw new Error(`${status} ${body}`);
  return JSON.parse(body) as { id: string; key: string };
}

async function longPoll(http: Http, headers: Record<string, string>, admin = headers): Promise<{ readonly answer: Promise<{ status: number; body: string }> }> {
  const answer = http.get('/topics/a/messages?last=0&wait=50', headers);
  await until('it waits', async () => (await http.get('/metrics', admin)).body.includes('\ntidings_long_polls 1\n'));
  return { answer };
}

t.test('keys: the first one ends streams that everybody could open; an ended key ends its own streams on both instances', async (t) => {
  const env = { DATABASE_URL: await emptyDatabase(t), POLL_MS: '50' };
  const instances = await startPair(t, env);
  const [one, two] = instances.map(({ url }) => new Http(t, url)) as [Http, Http];

  const anonymous = await Promise.all(instances.map((instance) => listen(t, instance, {})));
  const anonymousPoll = await longPoll(one, {});
  const admin = bearer((await createKey(t, env, '--name', 'admin', '--admin')).key);
  await Promise.all(anonymous.map(isSentAway));
  t.match(await anonymousPoll.answer, { status: 401, body: /"code":"unauthorized"/ });
  t.equal((await listen(t, instances[0], {})).status, 401);

  const [revoked, replaced, bystander] = [await make(one, admin, ALL), await make(one, admin, ALL), await make(one, admin, ALL)];
  const bystanders = await Promise.all(instances.map((instance) => listen(t, instance, bearer(bystander.key))));
  const streams = await Promise.all(instances.map((instance) => listen(t, instance, bearer(revoked.key))));
  const poll = await longPoll(two, bearer(revoked.key), admin);
  t.equal((await one.send('DELETE', `/keys/${revoked.id}`, admin)).status, 200);
  await Promise.all(streams.map(isSentAway));
  t.match(await poll.answer, { status: 401, body: /"code":"invalid-credential"/ });
  t.equal((await listen(t, instances[1], bearer(revoked.key))).status, 401);
  t.match((await one.get('/metrics', admin)).body, /^tidings_streams_cut_total\{reason="revoked"\} 1$/m);
  // A row that is read anew between two streams makes another lease of the same key, and another line.
  const lines = (): RegExpMatchArray[] => [...instances[1].output.matchAll(/"audit":"streams-cut","credential":"key ([a-z0-9]{12})","reason":"revoked","count":(\d+)/g)];
  await until('the log has both', () => lines().reduce((sum, [, , count]) => sum + Number(count), 0) === 2);
  t.same(new Set(lines().map(([, id]) => id)), new Set([revoked.id]));

  let secret = replaced.key;
  const old = await whileItLives(1, async (overlapSeconds) => {
    const stream = await listen(t, instances[1], bearer(secret));
    const { output } = await keysCommand(t, env, 'rotate', replaced.id, '--overlap', `${overlapSeconds}s`);
    secret = /^tdg_\S+$/m.exec(output)![0];
    await until('the new secret is known', async () => (await two.get('/topics/a/messages', bearer(secret))).status === 200);
    return told(stream, overlapSeconds);
  });
  const fresh = secret;
  const kept = await listen(t, instances[1], bearer(fresh));
  const { short, expiring, plain } = await whileItLives(2, async (expiresInSeconds) => {
    const short = await make(one, admin, { ...ALL, expiresInSeconds });
    const [stream, plain] = await Promise.all([listen(t, instances[1], bearer(short.key)), openStream(t, `${instances[1].url}/topics/a/events?control=0`, { headers: bearer(short.key) })]);
    if (stream.status === 401 || plain.status === 401) return undefined;
    const expiring = await told(stream, expiresInSeconds);
    return expiring && { short, expiring, plain };
  });
  for (const { stream, secondsLeft, lifetime } of [old, expiring]) {
    t.ok(Number.isInteger(secondsLeft) && secondsLeft >= 0 && secondsLeft <= lifetime, `${secondsLeft} of ${lifetime} s`);
    await isSentAway(stream);
  }
  await plain.ended;
  t.same(plain.events, []);
  t.equal((await listen(t, instances[1], bearer(short.key))).status, 401);

  await one.send('POST', '/topics/a', bearer(fresh), 'goes on');
  for (const stream of [...bystanders, kept]) {
    t.equal(await heard(stream), 'goes on');
    t.same(stream.events.filter(({ event }) => event === '$expiring'), []);
  }
});

/** An administrator whom a file declares, and the settings for tokens. */
function administrated(t: Scope): { readonly admin: Record<string, string>; readonly env: Record<string, string> } {
  const root = makeApiKey();
  const path = join(tempFolder(t), 'access.json');
  writeFileSync(path, JSON.stringify({ keys: [{ id: root.id, sha256: root.digest.toString('hex'), name: 'root', admin: true }] }));
  return { admin: bearer(root.text), env: { ACCESS_FILE: path, JWT_SECRET: SECRET } };
}

const seconds = (): number => Math.floor(Date.now() / 1000);

/** A token that an application made: for an hour, unless it says otherwise. Its end is a minute later, since clocks may differ. */
function token(sub: string, { subscribe = ['>'], ...more }: { readonly subscribe?: readonly string[]; readonly jti?: string | undefined; readonly iat?: number; readonly exp?: number } = {}): Record<string, string> {
  return bearer(hs256({ sub, iat: seconds() - 100, exp: seconds() + 3600, ...more, tidings: { publish: ['>'], subscribe } }));
}

interface Handle {
  readonly id: string;
  readonly secret: string;
}

function handleOf({ events: [open] }: SseStream): Handle {
  return (JSON.parse(open!.data) as { stream: Handle }).stream;
}

function renew(http: Http, { id, secret }: Handle, headers: Record<string, string>): Promise<{ status: number; body: string }> {
  return http.send('POST', `/streams/${id}/credential`, headers, JSON.stringify({ secret }));
}

t.test('tokens, with Redis: a revocation on one instance cuts streams on the other at once; a new token renews a stream on any instance', async (t) => {
  const { admin, env } = administrated(t);
  const redis = await startRedis(t);
  const shared = { ...env, DATABASE_URL: await emptyDatabase(t), REDIS_URL: redis.url };
  // No poll finds anything meanwhile.
  const instances = await startPair(t, { ...shared, POLL_MS: '60000' });
  const [one, two] = instances.map(({ url }) => new Http(t, url)) as [Http, Http];
  const revoke = async (request: object): Promise<void> => {
    t.equal((await one.send('POST', '/revocations', admin, JSON.stringify(request))).status, 201);
  };
  await until('Redis is up', async () => (await Promise.all([one, two].map((http) => http.get('/readyz')))).every(({ body }) => body.includes('"ready"')));
  // Notes are proved by the newest epoch: that of the second instance, of which the first hears by a message.
  await two.send('POST', '/topics/b', token('x'), 'of the newest epoch');
  await until('it has arrived', async () => (await one.get('/topics/b/messages', token('x'))).body.includes('newest epoch'));

  await t.test('by id, by subject, and by time', async (t) => {
    const early = seconds() - 1_000;
    const cases = [[{ jti: 'one' }, token('alice', { jti: 'one' })], [{ sub: 'größe' }, token('größe')], [{ issuedBefore: new Date((early + 10) * 1000).toISOString() }, token('carol', { iat: early })]] as const;
    const kept = await listen(t, instances[1], token('alice', { jti: 'two' }));
    for (const [request, headers] of cases) {
      const stream = await listen(t, instances[1], headers);
      const began = performance.now();
      await revoke(request);
      await isSentAway(stream);
      const took = performance.now() - began;
      t.comment(`${Object.keys(request).join()}: cut after ${took.toFixed(0)} ms`);
      t.ok(took < 30_000, 'it was not a poll');
      for (const instance of instances) t.equal((await listen(t, instance, headers)).status, 401);
    }
    await one.send('POST', '/topics/a', token('alice'), 'goes on');
    t.equal(await heard(kept), 'goes on');
    t.equal((await listen(t, instances[0], token('größe', { iat: seconds() + 5 }))).status, 200, 'a subject may come back with a later token');
    const listed = JSON.parse((await two.get('/revocations', admin)).body) as { revocations: { jti?: string; sub?: string; issuedBefore?: string }[] };
    t.match(listed, { revocations: [{ jti: 'one' }, { sub: 'größe', issuedBefore: /Z$/ }, { issuedBefore: /Z$/, forgotten: /Z$/ }], more: false });
  });

  await t.test('a renewal', async (t) => {
    const { through, direct, control } = await whileItLives(6, async (left) => {
      // Some seconds are left of the minute in which a token is accepted after its end.
      const ending = (): Record<string, string> => token('dora', { iat: seconds() - 500, exp: seconds() - 60 + left });
      const [through, direct, control] = await Promise.all([listen(t, instances[1], ending()), listen(t, instances[1], ending()), listen(t, instances[1], ending())]);
      const streams = [through, direct, control];
      if (streams.some(({ status }) => status === 401) || (await Promise.all(streams.map((stream) => told(stream, left)))).includes(undefined)) return undefined;
      const renewals = await Promise.all([renew(one, handleOf(through), token('dora')), renew(two, handleOf(direct), token('dora'))]);
      if (renewals.some(({ status }) => status === 404)) return undefined;
      t.match(renewals, Array(2).fill({ status: 200, body: /"expires":".*Z"/ }));
      return { through, direct, control };
    });
    await isSentAway(control);
    await two.send('POST', '/topics/a', token('x'), 'after the end of the first tokens');
    for (const stream of [through, direct]) t.equal(await heard(stream), 'after the end of the first tokens');
  });

  await t.test('an invalid renewal', async (t) => {
    const stream = await listen(t, instances[1], token('eve', { subscribe: ['a', 'b'] }), '/events?topic=a&topic=b');
    const { id, secret } = handleOf(stream);
    const other = handleOf(await listen(t, instances[1], token('eve')));
    for (const http of [one, two]) {
      t.match(await renew(http, { id, secret }, token('mallory')), { status: 403, body: /another key or subject|"code":"forbidden"/ });
      t.match(await renew(http, { id, secret }, token('eve', { subscribe: ['a'] })), { status: 403, body: /may not read b/ });
      t.match(await renew(http, { id, secret: other.secret }, token('eve')), { status: 404 });
      t.match(await renew(http, { id, secret }, token('eve', { exp: seconds() - 61, iat: seconds() - 1_000 })), { status: 401 });
      t.match(await renew(http, { id, secret }, {}), { status: 401 });
    }
    t.match(await renew(two, { id: `${id}0`, secret }, token('eve')), { status: 404 });
    t.match(await renew(two, { id: `zzzzzzzzzz-1`, secret }, token('eve')), { status: 409, body: /"code":"stream-elsewhere"/ }, 'an instance that is not there');
    for (const body of ['', 'x', '[]', '{}', '{"secret":7}', '{"secret":"short"}', `{"secret":"${'x'.repeat(23)}"}`, `{"secret":"${secret}","secret":"${secret}"}`]) {
      t.match(await one.send('POST', `/streams/${id}/credential`, token('eve'), body), { status: 400, body: /"code":"invalid-request"/ }, body);
    }
    for (const body of ['', 'x', '[]', '{}', '{"jti":""}', '{"jti":"a","sub":"b"}', '{"issuedBefore":"2999-01-01T00:00:00Z"}', '{"sub":"a","iat":1}', '{"sub":"a","sub":"b"}', Buffer.from('{"sub":"größe"}', 'latin1')]) {
      t.match(await one.send('POST', '/revocations', admin, body), { status: 400, body: /"code":"invalid-request"/ }, body.toString());
    }
    for (const query of ['after=x', 'after=-1', 'limit=0', 'limit=501', 'limit=1.5', 'aftr=1']) t.match(await one.get(`/revocations?${query}`, admin), { status: 400, body: /"code":"invalid-(request|cursor)"/ }, query);
    await revoke({ sub: 'eve' });
    await isSentAway(stream);
  });

  await t.test('a revocation that races an opening stream: the stream is refused, or cut; none slips through', async (t) => {
    const outcomes = { refused: 0, busy: 0, cut: 0 };
    for (let round = 0; round < rounds(40, 1_000, 20); round++) {
      const jti = `round ${round}`;
      const open = async (): Promise<SseStream> => {
        await sleep(round % RACE_MS);
        return openStream(t, `${instances[0].url}/topics/a/events`, { headers: token('racer', { jti }) });
      };
      const [stream] = await Promise.all([open(), one.send('POST', '/revocations', admin, JSON.stringify({ jti }))]);
      if (stream.status === 401) outcomes.refused++;
      else {
        await isSentAway(stream);
        outcomes[stream.events[0]!.event === '$busy' ? 'busy' : 'cut']++;
      }
    }
    t.comment(JSON.stringify(outcomes));
    t.ok(outcomes.cut > 0);
  });

  const late = await startPair(t, { ...shared, POLL_MS: '500' });
  const [third, fourth] = late.map(({ url }) => new Http(t, url)) as [Http, Http];

  await t.test('Redis is killed first: within the polling interval, and renewals only where the stream is', async (t) => {
    const stream = await listen(t, late[1], token('frank'));
    const [frozen, restarted] = [await listen(t, late[1], token('gina')), await listen(t, late[0], token('gina'))];
    await redis.stop();
    await until('they know', async () => (await Promise.all([third, fourth].map((http) => http.get('/readyz')))).every(({ body }) => body.includes('degraded')));
    t.match(await renew(third, handleOf(stream), token('frank')), { status: 409, body: /"code":"stream-elsewhere"/ });
    t.match(await renew(fourth, handleOf(stream), token('frank')), { status: 200 });
    const began = performance.now();
    t.equal((await third.send('POST', '/revocations', admin, '{"sub":"frank"}')).status, 201);
    await isSentAway(stream);
    t.comment(`cut after ${(performance.now() - began).toFixed(0)} ms, polling every 500 ms`);

    late[1].kill('SIGSTOP');
    t.equal((await third.send('POST', '/revocations', admin, '{"sub":"gina"}')).status, 201);
    await isSentAway(restarted);
    await late[0].restart();
    t.equal((await listen(t, late[0], token('gina'))).status, 401, 'an instance that was restarted');
    late[1].kill('SIGCONT');
    // What it read before it was frozen may still be new enough to be believed. Then its first look cuts what was let in.
    const thawed = await openStream(t, `${late[1].url}/topics/a/events`, { headers: token('gina') });
    if (thawed.status === 200) await isSentAway(thawed);
    await isSentAway(frozen);
    t.equal((await listen(t, late[1], token('gina'))).status, 401, 'one that was frozen meanwhile');
  });

  const secrets = [admin, token('x')].map(({ authorization }) => authorization!.slice(-40));
  for (const { output } of [...instances, ...late]) {
    t.same(secrets.filter((secret) => output.includes(secret)), []);
    t.notMatch(output, /"secret"/);
  }
});

t.test('sessions: a stream ends with its session, or with what that was exchanged for, on both instances, and nothing else; a session prolongs a stream', async (t) => {
  const { admin, env } = administrated(t);
  const instances = await startPair(t, { ...env, DATABASE_URL: await emptyDatabase(t), AUTH_COOKIE: 'tidings', POLL_MS: '50', FAILED_LOGINS_LIMIT: '1/d burst 30' });
  const [one, two] = instances.map(({ url }) => new Http(t, url)) as [Http, Http];
  const { id, key } = await make(one, admin, ALL);
  const text = (sub: string, jti?: string): string => token(sub, { jti }).authorization!.slice('Bearer '.length);
  const everywhere = ({ cookie }: PageHeaders): Promise<SseStream[]> => Promise.all(instances.map((instance) => listen(t, instance, { cookie })));
  const revoke = async (request: object): Promise<void> => {
    t.equal((await two.send('POST', '/revocations', admin, JSON.stringify(request))).status, 201);
  };

  await t.test('that is ended, or replaced by a login', async (t) => {
    const [page, bystander] = [await logIn(one, key), await logIn(one, key)];
    const [streams, others] = [await everywhere(page), await everywhere(bystander)];
    const poll = await longPoll(two, { cookie: page.cookie }, admin);
    t.equal((await one.send('DELETE', '/session', page)).status, 204);
    await Promise.all(streams.map(isSentAway));
    t.match(await poll.answer, { status: 401, body: /"code":"invalid-credential"/ });
    for (const instance of instances) t.equal((await listen(t, instance, { cookie: page.cookie })).status, 401);
    await one.send('POST', '/topics/a', bearer(key), 'goes on');
    for (const stream of others) t.equal(await heard(stream), 'goes on');

    const next = await logIn(two, key, { cookie: bystander.cookie });
    await Promise.all(others.map(isSentAway));
    const last = await everywhere(next);
    t.equal((await one.send('DELETE', `/keys/${id}`, admin)).status, 200);
    await Promise.all(last.map(isSentAway));
  });

  await t.test('whose token is revoked', async (t) => {
    for (const [request, jti] of [[{ jti: 'one' }, 'one'], [{ sub: 'alice' }, 'two']] as const) {
      const page = await logIn(one, text('alice', jti));
      const streams = await everywhere(page);
      await revoke(request);
      await Promise.all(streams.map(isSentAway));
      for (const instance of instances) t.equal((await listen(t, instance, { cookie: page.cookie })).status, 401);
    }
  });

  await t.test('a renewal', async (t) => {
    const [page, other, stranger] = [await logIn(one, text('bob')), await logIn(one, text('bob')), await logIn(one, text('mallory'))];
    const [byToken, bySession, control] = [await listen(t, instances[0], page), await listen(t, instances[0], page), await listen(t, instances[0], page)];
    const handle = handleOf(bySession);
    t.match(await renew(one, handle, { cookie: other.cookie }), { status: 403, body: /"code":"cross-origin"/ }, 'without an origin');
    t.match(await renew(one, handle, stranger), { status: 403, body: /another key or subject/ });
    t.match(await renew(one, handle, other), { status: 200, body: /"expires":".*Z"/ });
    t.match(await renew(one, handleOf(byToken), token('bob')), { status: 200 });
    t.equal((await one.send('DELETE', '/session', page)).status, 204);
    await isSentAway(control);
    await one.send('POST', '/topics/a', token('bob'), 'after the logout');
    for (const stream of [byToken, bySession]) t.equal(await heard(stream), 'after the logout');
    t.equal((await two.send('DELETE', '/session', { ...other, origin: two.url })).status, 204);
    await isSentAway(bySession);
  });

  await t.test('who guesses secrets of streams is told to wait', async (t) => {
    const { id: stream } = handleOf(await listen(t, instances[0], token('carol')));
    const statuses: number[] = [];
    while (statuses.at(-1) !== 429 && statuses.length < 40) statuses.push((await renew(one, { id: stream, secret: 'x'.repeat(22) }, token('carol'))).status);
    t.match(statuses.join(), /^(404,)+429$/);
  });
});
