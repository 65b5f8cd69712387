import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import { openStream, type SseStream } from '../support/client.ts';
import { Http, type Answer } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { logIn } from '../support/sessions.ts';
import { tempFolder, type Scope } from '../support/temp.ts';
import { getTicket } from '../support/tickets.ts';
import { hs256, SECRET } from '../support/tokens.ts';
import { until } from '../support/until.ts';

/** Who listens, as clients ask for it: on both edges, with access control and without. */

interface Present {
  readonly topic: string;
  readonly streams: number;
  readonly members: readonly { readonly id: string; readonly streams: number; readonly since: string; readonly meta?: unknown }[];
  readonly cursor?: string;
  readonly more: boolean;
  readonly partial?: true;
}

/** Opens a stream, and waits until it has begun. */
async function listen(t: Scope, { url }: Instance, path: string, headers: Readonly<Record<string, string>> = {}): Promise<SseStream> {
  const stream = await openStream(t, url + path, { headers });
  if (stream.status === 200 && !path.includes('control=0')) await stream.next();
  return stream;
}

const read = <Body>({ status, body }: Answer): Body => {
  if (status !== 200) throw new Error(`${status} ${body}`);
  return JSON.parse(body) as Body;
};

const codeOf = ({ status, body }: { readonly status: number; readonly body: string }): string => `${status} ${(JSON.parse(body) as { code: string; field?: string }).code} ${(JSON.parse(body) as { field?: string }).field ?? ''}`;

for (const HTTP_FAST_PATH of ['on', 'off']) {
  t.test(`without access control, HTTP_FAST_PATH=${HTTP_FAST_PATH}`, async (t) => {
    const instance = await startInstance(t, { HTTP_FAST_PATH, PRESENCE_GRACE_SECONDS: '0' });
    const http = new Http(t, instance.url);
    const at = (topic: string, query = ''): Promise<Present> => http.json<Present>(`/topics/${encodeURIComponent(topic)}/presence${query}`);

    await t.test('one member with three tabs is one member with three streams; since and metadata are told', async (t) => {
      const before = Date.now();
      const tabs = [await listen(t, instance, '/topics/room.1/events?as=alice&meta=%7B%22n%22%3A12345678901234567890%7D'), await listen(t, instance, '/events?topic=room.1&topic=room.%3E&as=alice'), await listen(t, instance, '/topics/room.1/events?as=alice&control=0&since=1m')];
      await listen(t, instance, '/topics/room.1/events?as=b%20%C3%A9');
      await listen(t, instance, '/topics/room.1/events');
      const { members, ...rest } = await at('room.1');
      t.strictSame(rest, { topic: 'room.1', streams: 5, more: false });
      t.same(members.map(({ id, streams }) => [id, streams]), [['alice', 3], ['b é', 1]]);
      const since = Date.parse(members[0]!.since);
      t.ok(since >= before && since <= Date.now());
      t.match((await http.get('/topics/room.1/presence')).body, '"meta":{"n":12345678901234567890}', 'as it was given');
      t.equal(members[1]!.meta, undefined);
      t.match((await at('room.>')), { streams: 1, members: [{ id: 'alice', streams: 1 }] }, 'a pattern is asked for as such');
      t.match((await at('room.2')), { streams: 0, members: [] }, 'and nobody is at a topic because of it');
      t.same(await http.json('/presence?topic=room.%3E&topic=room.1&topic=none&topic=room.1'), { topics: [{ topic: 'none', streams: 0, members: 0 }, { topic: 'room.1', streams: 5, members: 2 }, { topic: 'room.>', streams: 1, members: 1 }] });
      t.match(await http.json('/members/alice'), { id: 'alice', present: true, topics: [{ topic: 'room.1', streams: 3 }, { topic: 'room.>', streams: 1 }], more: false });
      t.strictSame(await http.json('/members/nobody'), { id: 'nobody', present: false, topics: [], more: false });
      tabs.forEach((tab) => tab.destroy());
      await until('alice is gone', async () => (await at('room.1')).streams === 2);
      t.same((await at('room.1')).members.map(({ id }) => id), ['b é']);
      t.match(await http.json('/members/alice'), { present: false, topics: [] });
    });

    await t.test('pages: by the bytes of the ids, each member once', async (t) => {
      const ids = Array.from({ length: 25 }, (_, index) => `m${String(index).padStart(2, '0')}`);
      await Promise.all(ids.map((id) => listen(t, instance, `/topics/pages/events?as=${id}`)));
      const got: string[] = [];
      let query = '?limit=10';
      for (;;) {
        const page = await at('pages', query);
        got.push(...page.members.map(({ id }) => id));
        t.equal(page.more, page.cursor !== undefined);
        if (page.cursor === undefined) break;
        query = `?limit=10&after=${encodeURIComponent(page.cursor)}`;
      }
      t.same(got, ids);
      t.equal((await http.metrics()).get('tidings_presence_up'), 1);
    });

    await t.test('a stream with presence=1 is told the state of its topics, and who comes and goes', async (t) => {
      const bob = await listen(t, instance, '/topics/w.1/events?as=bob');
      const watcher = await listen(t, instance, '/events?topic=w.1&topic=w.2&as=w&presence=1');
      const told = async (topic: string): Promise<{ event: Record<string, unknown>; id: string | undefined }> => {
        const { data, id } = await watcher.next(({ event, data }) => event === '$presence' && (JSON.parse(data) as { topic: string }).topic === topic);
        return { event: JSON.parse(data) as Record<string, unknown>, id };
      };
      const first = await told('w.1');
      t.match(first, { event: { number: 1, streams: 2, members: [{ id: 'bob', streams: 1 }, { id: 'w', streams: 1 }] }, id: undefined });
      const alice = await listen(t, instance, '/topics/w.1/events?as=alice&meta=%7B%22a%22%3A1%7D');
      t.match(await told('w.1'), { event: { number: 2, streams: 3, joined: [{ id: 'alice', streams: 1, meta: { a: 1 } }], changed: [], left: [] } });
      alice.destroy();
      bob.destroy();
      let [number, left] = [2, [] as string[]];
      while (left.length < 2) {
        const { event } = await told('w.1');
        t.equal(event['number'], ++number);
        left = [...left, ...event['left'] as string[]];
      }
      t.same(left.sort(), ['alice', 'bob']);
      await http.publish('w.2', 'a message');
      t.equal((await watcher.next(({ event }) => event === undefined)).data.includes('a message'), true, 'messages come as ever');
      for (const query of ['presence=2', 'presence=', 'presence=1&control=0']) t.match((await listen(t, instance, `/topics/a/events?${query}`)).status, 400, query);
      t.equal(watcher.faults.length, 0);
    });

    await t.test('a refused stream is nobody', async (t) => {
      t.equal((await listen(t, instance, '/topics/refused/events?as=alice&after=x')).status, 400);
      t.equal((await at('refused')).streams, 0);
    });
  });

  t.test(`with access control, HTTP_FAST_PATH=${HTTP_FAST_PATH}`, async (t) => {
    const keys = { alice: makeApiKey(), watcher: makeApiKey(), root: makeApiKey() };
    const file = join(tempFolder(t), 'access.json');
    const entry = ({ id, digest }: { id: string; digest: Buffer }, more: object): object => ({ id, sha256: digest.toString('hex'), ...more });
    writeFileSync(file, JSON.stringify({ keys: [
      entry(keys.alice, { name: 'alice', subscribe: ['>'], publish: ['>'] }), entry(keys.watcher, { name: 'the watcher', subscribe: ['>'], presence: ['room.>', 'one'] }), entry(keys.root, { name: 'root', admin: true }),
    ] }));
    const instance = await startInstance(t, { HTTP_FAST_PATH, ACCESS_FILE: file, JWT_SECRET: SECRET, AUTH_COOKIE: 'session', PUBLIC_TOPICS: 'public' });
    const http = new Http(t, instance.url);
    const token = (sub: string, tidings: object): Record<string, string> => {
      const iat = Math.floor(Date.now() / 1000);
      return bearer(hs256({ sub, iat, exp: iat + 3600, tidings }));
    };
    const [alice, watcher, root] = [bearer(keys.alice.text), bearer(keys.watcher.text), bearer(keys.root.text)];
    const present = async (t: Test, topic: string): Promise<string> => {
      const { members, streams } = read<Present>(await http.get(`/topics/${encodeURIComponent(topic)}/presence`, root));
      t.ok(members.every(({ since }) => since.endsWith('Z')));
      return [...members.map(({ id, streams: own, meta }) => `${id}:${own}${meta === undefined ? '' : JSON.stringify(meta)}`), streams].join(' ');
    };

    await t.test('a member is the name of a key or the subject of a token, also by a session or ticket; strangers only count', async (t) => {
      await listen(t, instance, '/topics/room.a/events', alice);
      await listen(t, instance, '/topics/room.a/events?meta=%22x%22', token('alice', { subscribe: ['room.>'] }));
      await listen(t, instance, '/topics/room.a/events', token('bob', { subscribe: ['room.>'], meta: { color: 'red' } }));
      await listen(t, instance, '/topics/room.a/events', await logIn(http, token('bob', { subscribe: ['room.>'], meta: { color: 'red' } })['authorization']!.slice(7)));
      const { ticket } = await getTicket(http, ['room.a'], token('carol', { subscribe: ['room.>'], meta: 7 }));
      await listen(t, instance, `/topics/room.a/events?ticket=${ticket}`);
      await listen(t, instance, '/topics/public/events');
      t.equal(await present(t, 'room.a'), 'alice:2"x" bob:2{"color":"red"} carol:17 5');
      t.equal(await present(t, 'public'), '1');
    });

    await t.test('as names nobody here, and what a token says of its subject is not changed', async (t) => {
      for (const headers of [{}, alice, token('bob', { subscribe: ['>'] })]) {
        const answer = await listen(t, instance, '/topics/public/events?as=root', headers);
        t.equal((await answer.ended, codeOf(answer)), '403 forbidden as');
      }
      const answer = await listen(t, instance, '/topics/room.a/events?meta=1', token('bob', { subscribe: ['>'], meta: 2 }));
      t.equal((await answer.ended, codeOf(answer)), '403 forbidden meta');
      for (const meta of ['x'.repeat(1023), { a: 'é'.repeat(600) }]) t.equal((await http.get('/topics/a/messages', token('bob', { subscribe: ['>'], meta }))).status, 401, 'too long');
    });

    await t.test('who listens is seen with a grant for it, and where that is for', async (t) => {
      for (const [path, headers, expected] of [
        ['/topics/room.a/presence', {}, '401 unauthorized Authorization'], ['/topics/room.a/presence', alice, '403 forbidden Authorization'], ['/topics/other/presence', watcher, '403 forbidden topic'],
        ['/topics/%3E/presence', watcher, '403 forbidden topic'], ['/topics/public/presence', {}, '401 unauthorized Authorization'],
        ['/presence?topic=room.a&topic=other', watcher, '403 forbidden topic'], ['/presence?topic=one', token('x', { subscribe: ['>'] }), '403 forbidden Authorization'],
        ['/members/alice', {}, '401 unauthorized Authorization'], ['/members/alice', alice, '403 forbidden Authorization'],
      ] as const) t.equal(codeOf(await http.get(path, headers)), expected, path);
      for (const path of ['/topics/room.%3E/presence', '/topics/one/presence', '/presence?topic=room.a&topic=room.b.*&topic=one', '/members/alice']) t.equal((await http.get(path, watcher)).status, 200, path);
      t.equal((await http.get('/topics/x.y/presence', token('x', { presence: ['{sub}.>'] }))).status, 200);
      const asked = await http.get('/topics/room.a/presence', await logIn(http, keys.watcher.text));
      t.equal(asked.status, 200, 'a page asks with its cookie');
      t.equal(asked.headers['cache-control'], 'no-store');
      t.equal((await http.send('HEAD', '/topics/room.a/presence', watcher)).status, 200);
    });

    await t.test('a stream is told who listens only where its credential may see that', async (t) => {
      for (const [headers, status] of [[alice, 403], [watcher, 200], [token('x', { subscribe: ['room.>'] }), 403], [token('x', { subscribe: ['room.>'], presence: ['room.a'] }), 200]] as const) {
        const path = '/topics/room.a/events?presence=1';
        t.equal((await listen(t, instance, path, headers)).status, status);
        t.equal((await http.send('HEAD', path, headers)).status, status);
      }
      t.equal((await listen(t, instance, '/events?topic=room.a&topic=other&presence=1', watcher)).status, 403, 'all of its topics, or none');
      for (const [presence, status] of [[['room.>'], 200], [['elsewhere'], 403]] as const) {
        const { ticket } = await getTicket(http, ['room.a'], token('y', { subscribe: ['room.>'], presence }));
        t.equal((await listen(t, instance, `/topics/room.a/events?presence=1&ticket=${ticket}`)).status, status);
      }
    });

    await t.test('of a member only the topics are told that may be seen', async (t) => {
      await listen(t, instance, '/events?topic=room.b&topic=other&topic=one', token('dora', { subscribe: ['>'] }));
      const topics = async (headers: Record<string, string>): Promise<unknown> => read<{ topics: { topic: string }[] }>(await http.get('/members/dora', headers)).topics.map(({ topic }) => topic);
      t.same(await topics(watcher), ['one', 'room.b']);
      t.same(await topics(root), ['one', 'other', 'room.b']);
      t.same(read(await http.get('/members/dora', token('y', { presence: ['elsewhere'] }))), { id: 'dora', present: false, topics: [], more: false });
    });
  });
}

