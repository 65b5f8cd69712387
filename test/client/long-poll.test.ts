import t from 'tap';
import type { Erased, Gap, Message, TidingsError } from '../../src/client/client.ts';
import { createEventStream } from '../../src/client/event-stream.ts';
import type { EventStream, EventStreamDependencies } from '../../src/client/stream.ts';
import { createRequests } from '../../src/client/token-requests.ts';
import { BufferingProxy } from '../support/buffering-proxy.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import type { Scope } from '../support/temp.ts';
import { hs256, SECRET } from '../support/tokens.ts';
import { until } from '../support/until.ts';

/** Messages where something on the way holds streams back. `proxies.test.ts` has real proxies that do. */

const instance = await startInstance(t, { LOG_LEVEL: 'warn', RETRY_MIN_MS: '10', RETRY_MAX_MS: '20' });
const http = new Http(t, instance.url);
const BACKEND = bearer(hs256({ sub: 'backend', iat: Math.floor(Date.now() / 1000), exp: Math.floor(Date.now() / 1000) + 3_600, tidings: { admin: true, publish: ['>'], subscribe: ['>'] } }));
const numbers = (count: number, first = 0): number[] => Array.from({ length: count }, (_, index) => first + index);
const publish = (topic: string, data: number): Promise<string[]> => http.batch([{ topic, data }]);

interface Told {
  readonly stream: EventStream;
  readonly heard: unknown[];
  readonly gaps: Gap[];
  readonly begun: string[];
  readonly refused: (string | undefined)[];
}

/** A stream that loses its patience soon. */
function openStream(t: Scope, url: string, wanted: readonly string[], options: Partial<EventStreamDependencies> = {}): Told {
  const [heard, gaps, begun, refused]: [unknown[], Gap[], string[], (string | undefined)[]] = [[], [], [], []];
  const unwanted = new Set<string>();
  const stream = createEventStream({
    requests: createRequests(url, {}), options: {}, firstFrameMs: 100, streamAgainMs: 10, ...options,
    listener: {
      wanted: () => wanted.filter((topic) => !unwanted.has(topic)),
      began: (_topics, cursor) => begun.push(cursor),
      take: (event, content) => {
        if (event === '$gap') gaps.push(content as Gap);
        else if (event === '$erased') heard.push(`erased ${(content as Erased).id}`);
        else if (!event.startsWith('$')) heard.push((content as Message).data);
      },
      refused: (_error: TidingsError, topic) => {
        refused.push(topic);
        if (topic !== undefined) unwanted.add(topic);
      },
      changed: () => undefined,
    },
  });
  t.teardown(() => stream.close());
  stream.restart();
  return { stream, heard, gaps, begun, refused };
}

void t.test('a stream that is held back becomes a long poll, and a stream again once one comes through', async (t) => {
  const proxy = await BufferingProxy.start(t, instance.port);
  const { stream, heard, gaps, begun } = openStream(t, proxy.url, ['held.a', 'held.b']);
  await until('it is open', () => stream.state === 'open');
  t.equal(stream.cursor, begun[0], 'it has begun where the log ended');
  for (const data of numbers(40)) await publish(data % 2 === 0 ? 'held.a' : 'held.b', data);
  await until('all are there', () => heard.length >= 40);
  t.ok(proxy.asked.some((path) => path.startsWith('/messages?topic=held.a&topic=held.b&')));
  const { id } = await http.json<{ id: string }>(`/messages/${(await publish('held.c', 0))[0]}`);
  t.not(stream.cursor, id, 'of other topics it hears nothing');
  proxy.isBuffering = false;
  // A stream that is only tried has no place to go on from.
  const isStreaming = (): boolean => stream.state === 'open' && /^\/events.*lastEventId=/.test(proxy.asked.at(-1)!);
  await until('there is a stream again', async () => {
    await publish('held.a', heard.length);
    return isStreaming();
  });
  await publish('held.a', -1);
  const published = (await http.json<{ messages: { data: number }[] }>('/messages?topic=held.a&topic=held.b&limit=1000')).messages.map(({ data }) => data);
  await until('all are there', () => heard.length >= published.length);
  t.strictSame(heard, published);
  t.strictSame(gaps, []);
});

void t.test('a poll reports gaps, erasures, and a refused topic', async (t) => {
  const closed = await startInstance(t, { LOG_LEVEL: 'error', JWT_SECRET: SECRET, PUBLIC_TOPICS: 'told' });
  const proxy = await BufferingProxy.start(t, closed.port);
  const ids: string[] = [];
  for (const data of numbers(3)) ids.push((await new Http(t, closed.url).post('told', String(data), BACKEND)).headers.location!.slice('/messages/'.length));
  t.equal((await new Http(t, closed.url).send('DELETE', `/messages/${ids[1]}`, BACKEND)).status, 204);
  const { heard, gaps } = openStream(t, proxy.url, ['told'], { cursor: 'unknown0-7' });
  await until('all are there', () => heard.includes('2'));
  t.strictSame(heard, ['0', `erased ${ids[1]}`, '2']);
  t.match(gaps, [{ reason: 'unknown-log' }]);
  const { stream, refused } = openStream(t, proxy.url, ['told', 'bad..topic']);
  await until('the other is open', () => stream.state === 'open');
  t.strictSame(refused, ['bad..topic']);
});

void t.test('without a fallback it waits', async (t) => {
  const proxy = await BufferingProxy.start(t, instance.port);
  const { stream } = openStream(t, proxy.url, ['waits'], { options: { fallback: 'none' } });
  const polling = openStream(t, proxy.url, ['waits']);
  await until('the other is open', () => polling.stream.state === 'open');
  t.equal(stream.state, 'connecting');
});
