import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import type { StreamsPage } from '../../src/fleet/stream-list.ts';
import { askToChange, change, handleOf } from '../support/changes.ts';
import { openStream, type SseStream } from '../support/client.ts';
import { Http, type Answer } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { tempFolder } from '../support/temp.ts';
import { hs256, SECRET } from '../support/tokens.ts';
import { until } from '../support/until.ts';

/** An open stream gets other topics: `PATCH /streams/{id}`. */

const codeOf = ({ status, body }: Answer): string => {
  const { code, field = '' } = JSON.parse(body) as { readonly code: string; readonly field?: string };
  return `${status} ${code} ${field}`;
};

/** What a stream of many topics was sent: the data of its messages. */
const dataOf = ({ events }: SseStream): unknown[] => events.filter(({ event }) => event?.startsWith('$') !== true).map(({ data }) => (JSON.parse(data) as { data: unknown }).data);

for (const HTTP_FAST_PATH of ['on', 'off']) {
  t.test(`a stream gets other topics without a reconnect, HTTP_FAST_PATH=${HTTP_FAST_PATH}`, async (t) => {
    const instance = await startInstance(t, { HTTP_FAST_PATH, TOPICS_PER_STREAM: '3' });
    const http = new Http(t, instance.url);
    const stream = await openStream(t, `${instance.url}/events?topic=a&topic=b`);
    await stream.next();
    const handle = handleOf(stream);
    for (const topic of ['a', 'b', 'c']) await http.publish(topic, `${topic}1`);
    await stream.next(({ data }) => data.includes('b1'));
    const { topics, cursor } = await change(http, handle, { add: ['c.>', 'c'], remove: ['a'] });
    t.same(topics, ['b', 'c', 'c.>']);
    for (const topic of ['a', 'b', 'c', 'c.x']) await http.publish(topic, `${topic}2`);
    await stream.next(({ data }) => data.includes('c.x2'));
    t.same(dataOf(stream), ['a1', 'b1', 'b2', 'c2', 'c.x2']);
    const told = stream.events.find(({ event }) => event === '$topics');
    t.same([told?.id, JSON.parse(told!.data)], [cursor, { topics, cursor }], 'its client is told at the place itself');

    t.test('what an added topic had before is read as history', async (t) => {
      const { messages } = await http.json<{ messages: { data: string }[] }>(`/messages?topic=c&topic=c.%3E&until=${cursor}`);
      t.same(messages.map(({ data }) => data), ['c1']);
    });
    t.test('adding a present topic or removing an absent one changes nothing', async (t) => {
      const events = stream.events.length;
      t.same((await change(http, handle, { add: ['c'], remove: ['z'] })).topics, topics);
      t.same((await change(http, handle, { add: [] })).topics, topics);
      const id = await http.publish('b', 'b3');
      await stream.next(({ data }) => data.includes('b3'));
      t.equal(stream.events.length, events + 1);
      t.equal((await change(http, handle, { remove: [] })).cursor, id);
    });
    t.test('one topic is left at least, and there are no more than a stream may be opened with', async (t) => {
      t.equal(codeOf(await askToChange(http, handle, { remove: [...topics] })), '400 invalid-topic remove');
      t.equal(codeOf(await askToChange(http, handle, { add: ['d'] })), '400 invalid-topic add');
      t.same((await change(http, handle, { add: ['d'], remove: ['c'] })).topics, ['b', 'd', 'c.>']);
    });
    t.test('the secret says whose stream it is', async (t) => {
      const other = await openStream(t, `${instance.url}/topics/a/events`);
      await other.next();
      for (const secret of [handleOf(other).secret, 'x'.repeat(22)]) t.equal(codeOf(await askToChange(http, { id: handle.id, secret }, { add: ['e'] })), '403 forbidden secret');
      t.equal(codeOf(await askToChange(http, { ...handle, id: `${handle.id}0` }, { add: ['e'] })), '404 not-found id');
      t.equal(codeOf(await askToChange(http, handle, { add: ['e.*'] }, {}, '?pattern=0')), '400 invalid-topic add[0]');
    });
    t.test('the list of streams and the count of changes follow', async (t) => {
      t.match(await http.json<StreamsPage>('/streams?topic=d'), { streams: [{ id: handle.id, topics: ['b', 'd', 'c.>'] }] });
      t.same((await http.json<StreamsPage>('/streams?topic=c')).streams, []);
      t.equal(await http.metric('stream_topics_changed_total'), 5);
    });
    t.test('a stream of one topic goes on with the data alone; one without control events has no name', async (t) => {
      const [single, scripted] = [await openStream(t, `${instance.url}/topics/a/events`), await openStream(t, `${instance.url}/topics/a/events?control=0`)];
      await single.next();
      await change(http, handleOf(single), { add: ['x'] });
      await http.publish('x', 'alone');
      t.equal((await single.next(({ event }) => event === undefined)).data, 'alone');
      t.same(scripted.events, []);
    });
    t.test('a stream that has ended is not there', async (t) => {
      t.equal((await http.send('DELETE', `/streams/${handle.id}`)).status, 204);
      t.equal(codeOf(await askToChange(http, handle, { add: ['e'] })), '404 not-found id');
    });
  });
}

t.test('who listens follows the topics of a stream', async (t) => {
  const instance = await startInstance(t, { PRESENCE_GRACE_SECONDS: '60' });
  const http = new Http(t, instance.url);
  const stream = await openStream(t, `${instance.url}/events?topic=a&topic=b&as=alice&meta=%7B%22n%22%3A1%7D&presence=1`);
  const watcher = await openStream(t, `${instance.url}/events?topic=a&topic=c&presence=1`);
  await stream.next();
  await watcher.next(({ event, data }) => event === '$presence' && data.includes('"topic":"c"'));
  await change(http, handleOf(stream), { add: ['c'], remove: ['a'] });
  t.match(JSON.parse((await watcher.next(({ data }) => data.includes('"left":["alice"]'))).data), { topic: 'a' }, 'it is gone at once');
  const at = async (topic: string): Promise<unknown> => http.json(`/topics/${topic}/presence`);
  t.match(await at('a'), { streams: 1, members: [] });
  t.match(await at('b'), { streams: 1, members: [{ id: 'alice', streams: 1, meta: { n: 1 } }] });
  t.match(await at('c'), { streams: 2, members: [{ id: 'alice', streams: 1, meta: { n: 1 } }] });
  await stream.next(({ event, data }) => event === '$presence' && data.includes('"topic":"c"'));
  await openStream(t, `${instance.url}/events?topic=a&topic=c&as=bob`);
  await stream.next(({ event, data }) => event === '$presence' && data.includes('"topic":"c"') && data.includes('bob'));
  const later = stream.events.slice(stream.events.findIndex(({ event }) => event === '$topics'));
  t.notOk(later.some(({ event, data }) => event === '$presence' && data.includes('"topic":"a"')), 'of what it has given up it is told nothing');
  stream.destroy();
  await until('nothing is counted any more', async () => (await http.json<{ streams: number }>('/topics/b/presence')).streams === 0);
});

t.test('with access control, a stream has no topic that its credential may not read', async (t) => {
  const [wide, narrow, other, root] = [makeApiKey(), makeApiKey(), makeApiKey(), makeApiKey()];
  const path = join(tempFolder(t), 'access.json');
  writeFileSync(path, JSON.stringify({ keys: [
    { id: wide.id, sha256: wide.digest.toString('hex'), name: 'wide', publish: ['>'], subscribe: ['>'], presence: ['seen.>'] },
    { id: other.id, sha256: other.digest.toString('hex'), name: 'other', subscribe: ['>'] },
    { id: narrow.id, sha256: narrow.digest.toString('hex'), name: 'narrow', subscribe: ['a.>'] },
    { id: root.id, sha256: root.digest.toString('hex'), name: 'root', admin: true },
  ] }));
  const instance = await startInstance(t, { ACCESS_FILE: path, PUBLIC_TOPICS: 'public.>', JWT_SECRET: SECRET, AUTH_COOKIE: 'session', FAILED_LOGINS_LIMIT: '4/h' });
  const http = new Http(t, instance.url);
  const open = async (path: string, headers: Record<string, string> = {}): Promise<SseStream> => {
    const stream = await openStream(t, instance.url + path, { headers });
    await stream.next();
    return stream;
  };
  const token = (subscribe: string[], sub = 'alice', jti = 'one'): Record<string, string> => bearer(hs256({ sub, jti, iat: Math.floor(Date.now() / 1000), exp: Math.floor(Date.now() / 1000) + 600, tidings: { subscribe } }));

  await t.test('the grant of the request covers all that the stream is to have', async (t) => {
    const stream = handleOf(await open('/topics/a.x/events', bearer(narrow.text)));
    t.equal(codeOf(await askToChange(http, stream, { add: ['b'] }, bearer(narrow.text))), '403 forbidden topic');
    t.equal(codeOf(await askToChange(http, stream, { add: ['>'] }, bearer(narrow.text))), '403 forbidden topic');
    t.equal(codeOf(await askToChange(http, stream, { add: ['a.y'] })), '401 unauthorized Authorization');
    t.equal(codeOf(await askToChange(http, stream, { add: ['b'] }, bearer(other.text))), '403 forbidden Authorization');
    t.same((await change(http, stream, { add: ['a.>', 'public.x'] }, bearer(narrow.text))).topics, ['a.x', 'public.x', 'a.>']);
  });
  await t.test('a client without a credential keeps to public topics', async (t) => {
    const stream = handleOf(await open('/topics/public.a/events'));
    t.same((await change(http, stream, { add: ['public.b'] })).topics, ['public.a', 'public.b']);
    t.equal(codeOf(await askToChange(http, stream, { add: ['a.x'] })), '401 unauthorized Authorization');
    t.equal(codeOf(await askToChange(http, stream, { add: ['a.x'] }, bearer(wide.text))), '403 forbidden Authorization');
  });
  await t.test('who listens is told of topics of which the credential may know it', async (t) => {
    const stream = handleOf(await open('/topics/seen.a/events?presence=1', bearer(wide.text)));
    t.equal(codeOf(await askToChange(http, stream, { add: ['b'] }, bearer(wide.text))), '403 forbidden topic');
    t.same((await change(http, stream, { add: ['seen.b'] }, bearer(wide.text))).topics, ['seen.a', 'seen.b']);
  });
  await t.test('a stream ends with the credential that its topics were added by', async (t) => {
    const stream = await open('/topics/a.x/events', token(['a.>']));
    const handle = handleOf(stream);
    t.equal(codeOf(await askToChange(http, handle, { add: ['b'] }, token(['>'], 'bob'))), '403 forbidden Authorization');
    t.same((await change(http, handle, { add: ['b'] }, token(['a.>', 'b'], 'alice', 'two'))).topics, ['a.x', 'b']);
    t.equal(codeOf(await askToChange(http, handle, { add: ['a.y'] }, token(['a.>']))), '403 forbidden topic', 'the first one may not read all of it');
    t.equal((await http.send('POST', '/revocations', { ...bearer(root.text), 'content-type': 'application/json' }, '{"jti":"two"}')).status, 201);
    await stream.next(({ event }) => event === '$busy');
  });
  await t.test('a secret is guessed no more often than a credential, and a good one is never refused for it', async (t) => {
    const stream = handleOf(await open('/topics/public.a/events'));
    const answers: string[] = [];
    for (let count = 0; count < 6; count++) answers.push(codeOf(await askToChange(http, { ...stream, secret: 'x'.repeat(22) }, { add: ['public.c'] })));
    t.match(answers.slice(0, 4).join(), /^(403 forbidden secret,?)+$/);
    t.match(answers.at(-1), /^429 rate-limited/);
    t.same((await change(http, stream, { add: ['public.c'] })).topics, ['public.a', 'public.c']);
  });
});
