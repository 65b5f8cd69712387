import t from 'tap';
import { connect, type Connection, type ConnectOptions } from '../../src/client/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import type { Scope } from '../support/temp.ts';
import { hs256, SECRET } from '../support/tokens.ts';
import { until } from '../support/until.ts';

/** The client library with tokens that end. */

const instance = await startInstance(t, { LOG_LEVEL: 'error', JWT_SECRET: SECRET, PUBLIC_TOPICS: 'public.>', RETRY_MIN_MS: '10', RETRY_MAX_MS: '20' });
const http = new Http(t, instance.url);

/** A token for the topics of a user. @param seconds From now to its end. */
function token(sub: string, seconds = 3_600): string {
  const now = Math.floor(Date.now() / 1000);
  return hs256({ sub, iat: now - 7_200, exp: now + seconds, tidings: { publish: ['user.{sub}.>'], subscribe: ['user.{sub}.>'] } });
}

const BACKEND = hs256({ sub: 'backend', iat: Math.floor(Date.now() / 1000), exp: Math.floor(Date.now() / 1000) + 3_600, tidings: { admin: true, publish: ['>'], subscribe: ['>'] } });
const publish = (topic: string, data: string): Promise<unknown> => http.post(topic, data, bearer(BACKEND));
const opened = async (): Promise<number> => Number(/^tidings_streams_opened_total (\d+)$/m.exec((await http.get('/metrics', bearer(BACKEND))).body)![1]);

function open(t: Scope, options: ConnectOptions): Connection {
  const tidings = connect(instance.url, options);
  t.teardown(() => tidings.close());
  return tidings;
}

void t.test('a stream goes on by a new token, and is not opened anew', async (t) => {
  let asked = 0;
  const tidings = open(t, { getToken: () => token('alice', ++asked === 1 ? 1 : 3_600) });
  const heard: unknown[] = [];
  tidings.subscribe('user.alice.inbox').on('message', ({ data }) => heard.push(data));
  await until('it is live', () => tidings.status === 'live');
  const before = await opened();
  await until('a new token was asked for', () => asked === 2);
  await publish('user.alice.inbox', 'by the new one');
  await until('it is there', () => heard.length === 1);
  t.equal(await opened(), before);
});

void t.test('a token that is refused is asked for once more, and then everything is denied until a login', async (t) => {
  let good = false;
  let asked = 0;
  const tidings = open(t, { getToken: async () => {
    asked++;
    await Promise.resolve();
    return token('bob', good ? 3_600 : -3_600);
  } });
  const heard: unknown[] = [];
  const errors: Error[] = [];
  tidings.on('error', (error) => errors.push(error));
  tidings.subscribe('user.bob.>').on('message', ({ data }) => heard.push(data));
  await until('it is denied', () => tidings.status === 'denied');
  t.equal(asked, 2);
  t.match(errors, [{ code: 'invalid-credential', status: 401 }]);
  await t.rejects(tidings.publish('user.bob.inbox', 'x'), { code: 'invalid-credential' });
  good = true;
  tidings.login();
  await until('it is live', () => tidings.status === 'live');
  await tidings.publish('user.bob.inbox', 'after the login');
  await until('it is there', () => heard.length === 1);
});

void t.test('what a user may not read is refused alone; without a token nothing is read that is not public', async (t) => {
  const tidings = open(t, { getToken: () => token('carol') });
  const refused: Error[] = [];
  const heard: unknown[] = [];
  tidings.subscribe('user.dave.inbox', { last: 5 }).on('error', (error) => refused.push(error));
  tidings.subscribe('user.carol.inbox').on('message', ({ data }) => heard.push(data));
  await until('it is refused', () => refused.length === 1);
  t.match(refused, [{ code: 'forbidden', status: 403 }]);
  await until('the other is live', () => tidings.status === 'live');
  await publish('user.carol.inbox', 'for carol');
  await until('it is there', () => heard.length === 1);

  const nobody = open(t, { getToken: () => null });
  const news: unknown[] = [];
  const subscription = nobody.subscribe('public.news');
  subscription.on('message', ({ data }) => news.push(data));
  await until('what is public is live', () => nobody.status === 'live');
  await publish('public.news', 'for everybody');
  await until('it is there', () => news.length === 1);
  subscription.unsubscribe();
  nobody.subscribe('user.carol.inbox');
  await until('it is not said in silence', () => nobody.status === 'denied');
});

void t.test('a token that cannot be got now is asked for later', async (t) => {
  let asked = 0;
  const tidings = open(t, { getToken: () => {
    if (++asked === 1) throw new Error('The login page is away.');
    return token('erin');
  } });
  tidings.subscribe('user.erin.inbox');
  await until('it is offline', () => tidings.status === 'offline');
  await until('it is live', () => tidings.status === 'live');
  t.equal(asked, 2);
});

void t.test('an erasure is reported', async (t) => {
  const tidings = open(t, { getToken: () => token('frank') });
  const { id } = await tidings.publish('user.frank.inbox', 'secret');
  const erased: unknown[] = [];
  const heard: unknown[] = [];
  const subscription = tidings.subscribe('user.frank.inbox', { last: 1 });
  subscription.on('message', ({ data }) => heard.push(data));
  subscription.on('erased', (what) => erased.push(what));
  await until('it is there', () => heard.length === 1 && tidings.status === 'live');
  t.equal((await http.send('DELETE', `/messages/${id}`, bearer(BACKEND))).status, 204);
  await until('it is taken back', () => erased.length === 1);
  t.strictSame(erased, [{ id, topic: 'user.frank.inbox' }]);
  const later = open(t, { getToken: () => token('frank') });
  const found: unknown[] = [];
  later.subscribe('user.frank.inbox', { after: 'start' }).on('erased', (what) => found.push(what));
  await until('whoever reads later is told, too', () => found.length === 1);
  t.strictSame(found, erased);
});
