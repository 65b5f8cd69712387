import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { accessFile, ROOT, WATCHER } from '../support/access-state.ts';
import { Http, seqOf, type Answer } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { until } from '../support/until.ts';
import { WebhookReceiver, wrongDeliveries, type Received } from '../support/webhook-receiver.ts';

/** One instance, whose receivers are on this machine. */
const receiver = await WebhookReceiver.start(t);
const instance = await startInstance(t, {
  ACCESS_FILE: accessFile(t, ['>']), WEBHOOK_ALLOW: '127.0.0.1', WEBHOOK_RETRY_MIN_MS: '20', WEBHOOK_TIMEOUT_SECONDS: '60', POLL_MS: '50', LOG_LEVEL: 'info',
});
const http = new Http(t, instance.url);

interface Shown {
  readonly id: string;
  readonly secret: string;
  readonly status: string;
  readonly reason?: string;
  readonly cursor: string;
  readonly failures: number;
  readonly circuit: string;
  readonly nextAttempt?: string;
  readonly deadTopic: string;
  readonly behind: number;
  readonly lastError?: { readonly status?: number; readonly delivery: string };
}

function ask(method: string, path: string, body?: object): Promise<Answer> {
  return http.send(method, path, { ...bearer(ROOT.text), ...(body === undefined ? {} : { 'content-type': 'application/json' }) }, body === undefined ? '' : JSON.stringify(body));
}

async function make(path: string, topics: readonly string[], more: object = {}): Promise<Shown> {
  const { status, body } = await ask('POST', '/webhooks', { url: receiver.url + path, topics, ...more });
  if (status !== 201) throw new Error(body);
  return JSON.parse(body) as Shown;
}

async function look(id: string): Promise<Shown> {
  return JSON.parse((await ask('GET', `/webhooks/${id}`)).body) as Shown;
}

function publish(topic: string, data: string, headers: Record<string, string> = {}): Promise<string> {
  return http.publish(topic, data, { ...bearer(WATCHER.text), ...headers });
}

const isJson = { 'content-type': 'application/json' };

t.test('a receiver gets published messages in order, and can check the signature with a third-party library', async (t) => {
  const { secret, id } = await make('/first', ['orders.*']);
  const ids = [await publish('orders.a', '{"price":12345678901234567890}', isJson), await publish('orders.b', 'text'), await publish('other', 'not this')];
  await until('both are there', () => receiver.at('/first').length === 2);
  const got = receiver.at('/first');
  t.same(got.map((one) => one.id), ids.slice(0, 2));
  for (const { headers, body } of got) new Webhook(secret).verify(body, headers);
  t.match(got[0]!.body, /"topic":"orders\.a",.*"data":\{"price":12345678901234567890\}/, 'the data is as it was published');
  t.throws(() => new Webhook(secret).verify(`${got[0]!.body} `, { ...got[0]!.headers }), 'a body that was changed');
  await until('its cursor is in the database', async () => seqOf((await look(id)).cursor) >= seqOf(ids[1]));
});

t.test('the secret is shown once, and is in no list, no answer after it, and no line of the log', async (t) => {
  const { id, secret } = await make('/secret', ['secret']);
  for (const path of ['/webhooks', `/webhooks/${id}`, `/webhooks/${id}/attempts`]) t.notMatch((await ask('GET', path)).body, secret.slice(10));
  const rotated = JSON.parse((await ask('POST', `/webhooks/${id}/rotate`, { overlapSeconds: 3600 })).body) as Shown;
  await publish('secret', 'with both');
  await until('it is there', () => receiver.at('/secret').length === 1);
  const [{ headers, body }] = receiver.at('/secret') as [Received];
  t.equal(headers['webhook-signature']!.split(' ').length, 2, 'two signatures while the rotation overlaps');
  for (const one of [secret, rotated.secret]) new Webhook(one).verify(body, headers);
  await ask('POST', `/webhooks/${id}/rotate`, {});
  await publish('secret', 'with one');
  await until('it is there', () => receiver.at('/secret').length === 2);
  t.throws(() => new Webhook(rotated.secret).verify(receiver.at('/secret')[1]!.body, receiver.at('/secret')[1]!.headers), 'the secret before has ended');
  t.notOk([secret, rotated.secret].some((one) => instance.output.includes(one.slice(10))), 'the log does not have it');
});

t.test('CloudEvents, and only the events that are asked for', async (t) => {
  await make('/cloud', ['cloud'], { format: 'cloudevents', events: ['wanted'] });
  await publish('cloud', 'x', { 'tidings-event': 'unwanted' });
  const id = await publish('cloud', '{"a":1}', { 'tidings-event': 'wanted', ...isJson });
  await until('it is there', () => receiver.at('/cloud').length > 0);
  const [{ headers, body }] = receiver.at('/cloud') as [Received];
  t.match(headers['content-type'], /^application\/cloudevents\+json/);
  t.match(JSON.parse(body), { specversion: '1.0', id, type: 'wanted', subject: 'cloud', source: String, datacontenttype: 'application/json', data: { a: 1 } });
});

t.test('a receiver that fails gets the same delivery again, with the same id, and later ones wait for it', async (t) => {
  let failures = 3;
  receiver.answers.set('/flaky', (_received, response) => void (failures-- > 0 ? response.writeHead(500).end('broken \u0000 here') : response.end()));
  const { id } = await make('/flaky', ['flaky']);
  const ids = [await publish('flaky', 'one'), await publish('flaky', 'two')];
  await until('both are there', () => receiver.at('/flaky').length === 5);
  t.same(receiver.at('/flaky').map((one) => one.id), [ids[0], ids[0], ids[0], ids[0], ids[1]]);
  await until('they are noted', async () => seqOf((await look(id)).cursor) >= seqOf(ids[1]));
  const { attempts } = JSON.parse((await ask('GET', `/webhooks/${id}/attempts`)).body) as { attempts: { number: number; status: number; answer?: string; delivery: string }[] };
  t.same(attempts.map(({ number, status }) => [number, status]), [[5, 200], [4, 200], [3, 500], [2, 500], [1, 500]]);
  t.match(attempts.at(-1), { delivery: ids[0], answer: /^broken/ });
  t.match(await look(id), { failures: 0, circuit: 'closed' });
});

t.test('Retry-After is honoured', async (t) => {
  receiver.answers.set('/later', (_received, response) => void response.writeHead(503, { 'retry-after': '3600' }).end());
  const { id } = await make('/later', ['later']);
  const message = await publish('later', 'x');
  await until('it has failed', async () => (await look(id)).failures === 1);
  t.match(await look(id), { behind: 1, lastError: { number: 1, status: 503, delivery: message } }, 'it tells its newest error, and how far behind it is');
  t.ok(Date.parse((await look(id)).nextAttempt!) > Date.now() + 3_000_000, 'the next attempt is in an hour');
  receiver.answers.delete('/later');
  await ask('POST', `/webhooks/${id}/resume`);
  await until('it is sent at once after a change', () => receiver.at('/later').length === 2);
  await until('that is noted', async () => (await look(id)).behind === 0);
  t.equal((await look(id)).lastError, undefined, 'what was taken is no error');
});

t.test('410 ends a webhook, which can be resumed from where it stands', async (t) => {
  receiver.answers.set('/gone', (_received, response) => void response.writeHead(410).end());
  const { id } = await make('/gone', ['gone']);
  const message = await publish('gone', 'x');
  await until('it is disabled', async () => (await look(id)).status === 'disabled');
  t.match(await look(id), { reason: /410/ });
  receiver.answers.delete('/gone');
  await ask('POST', `/webhooks/${id}/resume`);
  await until('it goes on', () => receiver.at('/gone').length === 2);
  t.same(receiver.at('/gone').map((one) => one.id), [message, message]);
});

t.test('a webhook is paused and resumed, sent back to an earlier place, and deleted', async (t) => {
  const ids = [await publish('places', '1'), await publish('places', '2')];
  const { id } = await make('/places', ['places'], { from: 'start' });
  await until('it begins with the oldest', () => receiver.at('/places').length === 2);
  await until('it has noted them', async () => seqOf((await look(id)).cursor) >= seqOf(ids[1]));
  t.equal((JSON.parse((await ask('POST', `/webhooks/${id}/pause`)).body) as Shown).status, 'paused');
  ids.push(await publish('places', '3'));
  const other = await make('/places-too', ['places'], { from: ids[1]! });
  await until('another one has the third', () => receiver.at('/places-too').length === 1);
  t.equal(receiver.at('/places').length, 2, 'and the one that was paused has not');
  await ask('POST', `/webhooks/${id}/resume`);
  await until('it goes on', () => receiver.at('/places').length === 3);
  await ask('POST', `/webhooks/${id}/replay`, { from: ids[0] });
  await until('it begins again after the first', () => receiver.at('/places').length === 5);
  t.same(receiver.at('/places').map((one) => one.id), [...ids, ids[1], ids[2]]);
  await ask('POST', `/webhooks/${id}/replay`, { from: '1h' });
  await until('it begins again with what came in the last hour', () => receiver.at('/places').length === 8);
  t.same(receiver.at('/places').slice(5).map((one) => one.id), ids);
  for (const from of ['abcdefgh12-5', `${ids[0]!.split('-')[0]!}-999999`]) {
    const refused = await ask('POST', `/webhooks/${id}/replay`, { from });
    t.match({ ...refused, body: JSON.parse(refused.body) as object }, { status: 400, body: { code: 'invalid-cursor', field: 'from' } }, `${from} was never given`);
  }
  t.equal((await ask('DELETE', `/webhooks/${id}`)).status, 204);
  t.equal((await ask('GET', `/webhooks/${id}`)).status, 404);
  t.equal((await ask('DELETE', `/webhooks/${id}`)).status, 404);
  await ask('PATCH', `/webhooks/${other.id}`, { topics: ['moved'] });
  await publish('places', '4');
  const moved = await publish('moved', '5');
  await until('it follows its new topics', () => receiver.at('/places-too').some((one) => one.id === moved));
  t.same(wrongDeliveries(receiver.at('/places-too'), [ids[2]!, moved]), []);
});

t.test('a deleted place is delivered as a gap, signed like everything', async (t) => {
  const { secret } = await make('/gap', ['gaps'], { from: 'abcdefgh12-5' });
  await until('the gap is there', () => receiver.at('/gap').length > 0);
  const [{ id, body, headers }] = receiver.at('/gap') as [Received];
  t.equal(id, 'gap-abcdefgh12-5');
  t.match(JSON.parse(body), { event: '$gap', data: { requested: 'abcdefgh12-5', reason: 'unknown-log' } });
  new Webhook(secret).verify(body, headers);
  const message = await publish('gaps', 'after it');
  await until('messages follow', () => receiver.at('/gap').length === 2);
  t.equal(receiver.at('/gap')[1]!.id, message);
});

t.test('a test delivery says what became of it', async (t) => {
  receiver.answers.set('/test', (_received, response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end('elsewhere'));
  const { id, secret } = await make('/test', ['test']);
  t.match(JSON.parse((await ask('POST', `/webhooks/${id}/test`)).body), { delivered: false, status: 302, answer: 'elsewhere' });
  receiver.answers.delete('/test');
  t.match(JSON.parse((await ask('POST', `/webhooks/${id}/test`)).body), { delivered: true, status: 204 });
  const got = receiver.at('/test');
  t.equal(got.length, 2, 'no redirect was followed');
  new Webhook(secret).verify(got[1]!.body, got[1]!.headers);
});

t.test('a receiver that hangs keeps nobody waiting', async (t) => {
  receiver.answers.set('/hang', () => undefined);
  const hanging = await Promise.all(Array.from({ length: 8 }, () => make('/hang', ['hanging'])));
  await make('/beside', ['hanging']);
  const ids = [await publish('hanging', '1'), await publish('hanging', '2')];
  await until('the one beside has them', () => receiver.at('/beside').length === 2);
  t.same(wrongDeliveries(receiver.at('/beside'), ids), []);
  await until('the others were asked', () => receiver.at('/hang').length === 8);
  for (const { id } of hanging) await ask('DELETE', `/webhooks/${id}`);
});

t.test('internal addresses and invalid targets are refused; nothing of a URL is repeated', async (t) => {
  for (const [body, field] of [
    [{ topics: ['a'] }, 'url'], [{ url: 'http://10.0.0.1/', topics: ['a'] }, 'url'], [{ url: 'https://user:geheim@example.com/', topics: ['a'] }, 'url'], [{ url: 'ftp://example.com/', topics: ['a'] }, 'url'],
    [{ url: 'https://example.com/' }, 'topics'], [{ url: 'https://example.com/', topics: [] }, 'topics'], [{ url: 'https://example.com/', topics: ['a..b'] }, 'topics[0]'],
    [{ url: 'https://example.com/', topics: ['a'], format: 'xml' }, 'format'], [{ url: 'https://example.com/', topics: ['a'], secret: 'geheim' }, 'secret'], [{ url: 'https://example.com/', topics: ['a'], events: [1] }, 'events[0]'],
    [{ url: 'https://example.com/', topics: ['a'], from: 'yesterday' }, 'from'], [{ url: 'https://example.com/', topics: ['a'], deadTopic: '*' }, 'deadTopic'], [{ url: 'https://example.com/', topics: ['a'], events: 'x' }, 'events'],
    [{ url: 'https://example.com/', topics: ['a'], Events: ['x'] }, 'Events'],
  ] as const) {
    const { status, body: answer } = await ask('POST', '/webhooks', body);
    t.match([status, JSON.parse(answer)], [400, { field }], JSON.stringify(body));
    t.notMatch(answer, 'geheim');
  }
});

t.test('what cannot be delivered becomes a dead letter, once, and the next message follows', async (t) => {
  receiver.answers.set('/dead', ({ body }, response) => void response.writeHead(body.includes('poison') ? 500 : 204).end());
  const { id, deadTopic } = await make('/dead', ['dying']);
  // It goes on where it was.
  await instance.replace(undefined, { WEBHOOK_RETRY_SECONDS: '1' });
  const poison = await publish('dying', 'poison');
  const good = await publish('dying', 'good');
  await until('the next one is there', () => receiver.at('/dead').some((one) => one.id === good));
  t.equal(deadTopic, `dead.webhooks.${id}`);
  const { messages } = JSON.parse((await http.get(`/topics/${deadTopic}/messages`, bearer(WATCHER.text))).body) as { messages: { data: { delivery: string; body: { id: string; data: string } } }[] };
  t.match(messages, [{ event: 'dead-letter', data: { webhook: id, delivery: poison, body: { id: poison, data: 'poison' } } }]);
  t.equal(messages.length, 1);
});
