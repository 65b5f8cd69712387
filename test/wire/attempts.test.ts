import { createHash } from 'node:crypto';
import { t, type Test } from 'tap';
import { accessFile, accessState, makeKey, ROOT, WATCHER } from '../support/access-state.ts';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { RawConnection, type Answer } from '../support/raw.ts';
import { APP, BOBS_SECRET, COOKIE, type Attempt, type Facts } from './attempts/attempt.ts';
import { credentialAttempts } from './attempts/credentials.ts';
import { framingAttempts } from './attempts/framing.ts';
import { pageAttempts } from './attempts/pages.ts';
import { topicAttempts } from './attempts/topics.ts';

/**
 * Attempts to read, publish or find out what a credential does not allow. Each is sent byte by byte, on both edges, on one of them with the client's side closed after it. None may change
 * anything, or be told anything. Where it makes sense, the same request with the right credential succeeds, so the attempt could have.
 */

const SETTINGS = { AUTH_COOKIE: COOKIE, AUTH_QUERY_TOKEN: 'on', CORS_ORIGINS: APP, PUBLIC_TOPICS: 'status.>', PUBLIC_PUBLISH: 'feedback', LOG_LEVEL: 'debug' };

/** What is never in an answer. */
const INJECTED = 'x-injected';

/** So many attempts are made before what may have changed is compared. */
const TOGETHER = 20;

interface Ground {
  readonly instance: Instance;
  readonly http: Http;
  readonly facts: Facts;
}

async function prepare(t: Test, HTTP_FAST_PATH: string): Promise<Ground> {
  const instance = await startInstance(t, { ...SETTINGS, HTTP_FAST_PATH, ACCESS_FILE: accessFile(t, ['>']) });
  const http = new Http(t, instance.url);
  const alice = await makeKey(http, { name: 'alice', publish: ['user.alice.>'], subscribe: ['user.alice.>', 'caf\u00e9.>', 'a.*.c'] });
  const bob = await makeKey(http, { name: 'bob', publish: ['user.bob.>'], subscribe: ['user.bob.>'] });
  const message = await http.publish('user.bob.inbox', BOBS_SECRET, bearer(bob.key));
  return { instance, http, facts: {
    alice: alice.key, aliceId: alice.id, bob: bob.key, bobId: bob.id, bobDigest: createHash('sha256').update(bob.key.slice(-64)).digest('hex'), watcher: WATCHER.text, root: ROOT.text, message, host: `localhost:${instance.port}`,
  } };
}

/** All answers that come, until the server ends the connection, or there are as many as are expected. */
async function answersTo(t: Test, instance: Instance, { bytes, statuses, methods }: Attempt, isHalfClosed: boolean): Promise<readonly Answer[]> {
  const connection = await RawConnection.open(t, instance);
  connection.send(bytes);
  if (isHalfClosed) connection.end();
  await (isHalfClosed ? connection.untilClosed() : connection.answered(statuses.length, ...methods));
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
  t.test(`nothing is read, published or changed that a credential does not allow, with HTTP_FAST_PATH=${HTTP_FAST_PATH}`, async (t) => {
    const { instance, http, facts } = await prepare(t, HTTP_FAST_PATH);
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
      t.equal(await accessState(http), state, `nothing was changed by ${together.map(({ what }) => what).join('; ')}`);
    }
    for (const { what, control } of attempts) {
      const status = control === undefined ? 200 : await statusOf(t, instance, control);
      if (status >= 300) wrong.push(`${what}: ${status} with the right credential, so it could not have succeeded`);
    }
    t.same(wrong, []);
    t.comment(`${attempts.length} attempts`);
    t.equal(new Set(attempts.map(({ what }) => what)).size, attempts.length, 'each tries something else');
    t.same(secrets.filter((secret) => instance.output.includes(secret)), [], 'no credential is in its output');
  });
}
