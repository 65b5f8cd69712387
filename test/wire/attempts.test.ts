import { createHash } from 'node:crypto';
import { t, type Test } from 'tap';
import { accessFile, accessState, makeKey, ROOT, WATCHER } from '../support/access-state.ts';
import { each, Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { exchange, RawConnection, type Answer } from '../support/raw.ts';
import type { Scope } from '../support/temp.ts';
import { APP, batch, BOBS_SECRET, COOKIE, get, head, post, remove, type Attempt, type Facts, type Headers, type Request } from './attempts/attempt.ts';
import { credentialAttempts } from './attempts/credentials.ts';
import { framingAttempts } from './attempts/framing.ts';
import { pageAttempts } from './attempts/pages.ts';
import { topicAttempts } from './attempts/topics.ts';

/**
 * Attempts to read, publish or find out what a credential does not allow. Each is sent byte by byte, on both edges, on one of them with the client's side closed after it. None may change
 * anything, or be told anything. Where it makes sense, the same request with the right credential succeeds, so the attempt could have.
 */

const SETTINGS = { AUTH_COOKIE: COOKIE, AUTH_QUERY_TOKEN: 'on', CORS_ORIGINS: APP, PUBLIC_TOPICS: 'status.>', PUBLIC_PUBLISH: 'feedback', FAILED_LOGINS_LIMIT: 'off', LOG_LEVEL: 'debug' };

/** What is never in an answer. */
const INJECTED = 'x-injected';

/** So many attempts are made before what may have changed is compared. */
const TOGETHER = 20;

interface Ground {
  readonly instance: Instance;
  readonly http: Http;
  readonly facts: Facts;
}

async function prepare(t: Scope, HTTP_FAST_PATH: string): Promise<Ground> {
  const instance = await startInstance(t, { ...SETTINGS, HTTP_FAST_PATH, ACCESS_FILE: accessFile(t, ['>']) });
  const http = new Http(t, instance.url);
  const alice = await makeKey(http, { name: 'alice', publish: ['user.alice.>'], subscribe: ['user.alice.>', 'caf\u00e9.>', 'a.*.c'] });
  const bob = await makeKey(http, { name: 'bob', publish: ['user.bob.>'], subscribe: ['user.bob.>'] });
  const message = await http.publish('user.bob.inbox', BOBS_SECRET, bearer(bob.key));
  return { instance, http, facts: {
    alice: alice.key, aliceId: alice.id, bob: bob.key, bobId: bob.id, bobDigest: createHash('sha256').update(bob.key.slice(-64)).digest('hex'), watcher: WATCHER.text, root: ROOT.text, message, host: `localhost:${instance.port}`,
  } };
}

/** All answers that come, until the server ends the connection, or there are as many as are expected. A stream that should not have been opened does not end. */
async function answersTo(t: Test, instance: Instance, { bytes, statuses, methods }: Attempt, isHalfClosed: boolean): Promise<readonly Answer[]> {
  const isOver = (answers: readonly Answer[]): boolean => answers.length > 0 && answers.length >= statuses.length && answers.every(({ complete, headers }) => complete || headers['content-type']?.startsWith('text/event-stream') === true);
  const connection = await RawConnection.open(t, instance);
  connection.send(bytes);
  if (isHalfClosed) connection.end();
  await connection.until('all answers', () => connection.closed || (!isHalfClosed && isOver(connection.answers(...methods))));
  connection.destroy();
  return connection.answers(...methods);
}

/** The status of the first answer's head: a stream does not end. */
async function statusOf(t: Test, instance: Instance, bytes: Buffer): Promise<number> {
  const connection = await RawConnection.open(t, instance);
  connection.send(bytes);
  await connection.until('the head of an answer', () => connection.answers().length > 0);
  const { status } = connection.answers()[0]!;
  connection.destroy();
  return status;
}

function faultsIn(answers: readonly Answer[], { statuses }: Attempt, secrets: readonly string[]): string[] {
  const came = answers.map(({ status }) => status).join();
  const text = JSON.stringify(answers);
  return [
    ...(came === statuses.join() ? [] : [`${came} and not ${statuses.join()}: ${text}`]),
    ...(text.includes(BOBS_SECRET) ? ['it is told what is secret'] : []),
    ...(secrets.some((secret) => text.includes(secret)) ? ['a credential is in an answer'] : []),
    ...(answers.some(({ headers }) => INJECTED in headers) ? ['it made a header of an answer'] : []),
  ];
}

for (const HTTP_FAST_PATH of ['on', 'off']) {
  t.test(`with HTTP_FAST_PATH=${HTTP_FAST_PATH}`, async (t) => {
    const { instance, http, facts } = await prepare(t, HTTP_FAST_PATH);

    await t.test('nothing is read, published or changed that a credential does not allow', async (t) => {
      const attempts = [topicAttempts, credentialAttempts, pageAttempts, framingAttempts].flatMap((table) => table(facts));
      const secrets = [facts.alice, facts.bob, facts.watcher, facts.root].map((key) => key.slice(-64));
      const wrong: string[] = [];
      const state = await accessState(http);
      for (let from = 0; from < attempts.length; from += TOGETHER) {
        const together = attempts.slice(from, from + TOGETHER);
        await Promise.all(together.map(async (attempt, index) => {
          const isHalfClosed = (index % 2 === 0) === (HTTP_FAST_PATH === 'on');
          const faults = faultsIn(await answersTo(t, instance, attempt, isHalfClosed), attempt, secrets);
          wrong.push(...faults.map((fault) => `${attempt.what}${isHalfClosed ? ', with its side closed' : ''}: ${fault}`));
        }));
        const after = await accessState(http);
        if (after !== state) wrong.push(`${state} became ${after}, by one of these: ${together.map(({ what }) => what).join('; ')}`);
      }
      await each(attempts.length, TOGETHER, async (index) => {
        const { what, control } = attempts[index]!;
        const status = control === undefined ? 200 : await statusOf(t, instance, control);
        if (status >= 300) wrong.push(`${what}: ${status} with the right credential, so it could not have succeeded`);
      });
      t.same(wrong, []);
      t.comment(`${attempts.length} attempts`);
      t.equal(new Set(attempts.map(({ what }) => what)).size, attempts.length, 'each tries something else');
      t.same(secrets.filter((secret) => instance.output.includes(secret)), [], 'no credential is in its output');
    });

    await t.test('answers do not tell existing messages from missing ones', async (t) => {
      const { alice, bobId, message } = facts;
      const missing = message.replace(/[0-9]+$/, '4711');
      const nobody = bobId.split('').reverse().join('');
      await http.post('user.bob.inbox', 'with a key', { ...bearer(facts.bob), 'idempotency-key': 'used' });
      const wrongSecret = (id: string): string => `tdg_${id}_${'0'.repeat(64)}`;
      // Each pair asks for something that is there, and for something that is not. What was asked for is left out of what is compared.
      const pairs: readonly (readonly [what: string, ask: (name: string) => Request, there: string, notThere: string, headers: Headers])[] = [
        ['a message', (id) => get(`/messages/${id}`), message, missing, bearer(alice)],
        ['the head of a message', (id) => head(`/messages/${id}`), message, missing, bearer(alice)],
        ['a message, without a credential', (id) => get(`/messages/${id}`), message, missing, {}],
        ['history of a topic', (topic) => get(`/topics/${topic}/messages`), 'user.bob.inbox', 'user.bob.xobni', bearer(alice)],
        ['the newest messages of a topic', (topic) => get(`/messages?topic=${topic}&last=5`), 'user.bob.inbox', 'user.bob.xobni', bearer(alice)],
        ['a stream from a message', (id) => get(`/topics/user.bob.inbox/events?after=${id}`), message, missing, bearer(alice)],
        ['publishing with a used idempotency key', (key) => post('/topics/user.bob.inbox', 'with a key', { 'Idempotency-Key': key }), 'used', 'free', bearer(alice)],
        ['a batch with a used idempotency key', (key) => (headers) => batch('[{"topic":"user.bob.inbox","data":1}]')({ ...headers, 'Idempotency-Key': key }), 'used', 'free', bearer(alice)],
        ['an API key', (id) => get(`/keys/${id}`), bobId, nobody, bearer(alice)],
        ['the end of an API key', (id) => remove(`/keys/${id}`), bobId, nobody, bearer(alice)],
        ['a new secret for an API key', (id) => post(`/keys/${id}/rotate`, '{}'), bobId, nobody, bearer(alice)],
        ['the secret of an API key', (id) => (headers) => get('/topics/a/messages')({ ...headers, ...bearer(wrongSecret(id)) }), bobId, nobody, {}],
        ['the secret of an API key, in a cookie', (id) => (headers) => get('/topics/a/messages')({ ...headers, Cookie: `${COOKIE}=${wrongSecret(id)}` }), bobId, nobody, {}],
      ];
      for (const [what, ask, there, notThere, headers] of pairs) {
        const answer = async (name: string): Promise<object> => {
          const { status, headers: { date: _date, ...others }, body } = await exchange(t, instance, ask(name)(headers));
          return { status, headers: others, body: body.replaceAll(name, 'what was asked for') };
        };
        const [one, other] = [await answer(there), await answer(notThere)];
        t.match(one, { status: /^40[134]$/ }, what);
        t.same(one, other, what);
      }
    });

    await t.test('nobody is answered with what somebody else has sent under the same idempotency key', async (t) => {
      const { alice, watcher } = facts;
      const send = async (headers: Headers): Promise<string> => {
        const { status, headers: answered, body } = await http.post('feedback', 'the same', { ...headers, 'idempotency-key': 'same' });
        return `${status}${String(answered['idempotency-replayed'] ?? '')} ${(JSON.parse(body) as { id: string }).id}`;
      };
      const answers = [await send(bearer(watcher)), await send(bearer(alice)), await send({})];
      t.equal(new Set(answers).size, 3, 'three messages');
      t.ok(answers.every((answer) => answer.startsWith('201 ')), 'all of them are new');
      t.match(await send(bearer(watcher)), `201true ${answers[0]!.split(' ')[1]!}`, 'and each gets its own again');
    });
  });
}
