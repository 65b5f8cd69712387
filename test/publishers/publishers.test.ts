import { createParser } from 'eventsource-parser';
import t, { type Test } from 'tap';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { RawConnection, type Answer } from '../support/raw.ts';
import { contentOf, headBytes, headerOf, RECORDINGS, type Recording } from './recordings.ts';

/**
 * What real programs post, replayed byte for byte on both edges, and read back by a parser that is not ours. `docs/publishers.md` tells users what to set in each of
 * them; what is refused here has its reason there.
 */

const MULTIPART = [415, 'unsupported-media-type', /^A form of several parts is not taken apart: send the data itself as the body/] as const;
const COMPRESSED = [415, 'unsupported-media-type', /^The body must not be compressed\.$/] as const;
const OTHER_METHOD = [405, 'method-not-allowed', /is not possible here; POST is\.$/] as const;

/** What is refused: the status, the code, and what the answer says. */
const REFUSED: Readonly<Record<string, readonly [status: number, code: string, detail: RegExp]>> = {
  'curl-F': MULTIPART,
  'httpie-multipart': MULTIPART,
  'requests-files': MULTIPART,
  'httpx-files': MULTIPART,
  'php-curl-array': MULTIPART,
  'fetch-form': MULTIPART,
  'kuma-form-data': MULTIPART,
  'curl-gzip': COMPRESSED,
  'httpie-compress': COMPRESSED,
  'curl-T': OTHER_METHOD,
  'curl-PUT': OTHER_METHOD,
  'curl-G': OTHER_METHOD,
  'kuma-get': OTHER_METHOD,
  'grafana-put': OTHER_METHOD,
  // HTTPie says application/json of whatever it is given on its standard input.
  'httpie-stdin': [400, 'invalid-data', /^The Content-Type says that the body is JSON, and it is not: /],
};
/** Asks whether there is something to post to. Its answer has no body. */
const PROBE = 'curl-I';

/** The event names that recordings give, in the URL or in our header; most give none. */
const EVENTS: Readonly<Record<string, string>> = {
  alertmanager: 'alertmanager', 'apprise-headers': 'deploy', 'kuma-headers': 'monitor', 'github-push': 'github', 'github-ping': 'github', 'github-form': 'github', 'stripe-event': 'stripe', 'grafana-post': 'grafana',
};

/** Sends a recording as its program did, and resolves with the final answer. */
async function replay(t: Test, instance: Instance, recording: Recording, topic: string): Promise<Answer> {
  const connection = await RawConnection.open(t, instance);
  const method = recording.head[0]!.split(' ', 1)[0]!;
  const final = (): Answer | undefined => connection.answers(method).find(({ status, complete }) => status >= 200 && complete);
  connection.send(headBytes(recording, { host: `127.0.0.1:${instance.port}`, topic }));
  // It is told to go on, or why not.
  if (headerOf(recording, 'expect') !== undefined) await connection.until('100 or a refusal', () => connection.answers(method).length > 0);
  if (final() === undefined) connection.send(recording.body);
  await connection.until('an answer', () => final() !== undefined);
  connection.destroy();
  return final()!;
}

/** The events that a stream brings, as a library parses them, until so many messages have come. */
async function readStream(url: string, count: number): Promise<{ event: string | undefined; data: string }[]> {
  const controller = new AbortController();
  const { body } = await fetch(url, { signal: controller.signal });
  const events: { event: string | undefined; data: string }[] = [];
  const parser = createParser({ onEvent: ({ event, data }) => void events.push({ event, data }) });
  const decoder = new TextDecoder();
  for await (const piece of body!) {
    parser.feed(decoder.decode(piece, { stream: true }));
    if (events.length >= count) break;
  }
  controller.abort();
  return events;
}

async function checkAll(t: Test, instance: Instance): Promise<void> {
  const http = new Http(t, instance.url);
  const stored: { recording: Recording; topic: string }[] = [];
  for (const [index, recording] of RECORDINGS.entries()) {
    const { name, how, source } = recording;
    const topic = `recordings.${index}`;
    const answer = await replay(t, instance, recording, topic);
    const what = `${source}: ${how}`;
    const refused = REFUSED[name];
    if (name === PROBE) {
      t.strictSame([answer.status, answer.headers['allow']], [405, 'POST'], what);
    } else if (refused !== undefined) {
      const { code, detail } = JSON.parse(answer.body) as { code: string; detail: string };
      t.strictSame([answer.status, code], refused.slice(0, 2), what);
      t.match(detail, refused[2], what);
    } else {
      t.equal(answer.status, 201, what, { body: answer.body });
      stored.push({ recording, topic });
    }
  }

  const events = await readStream(`${instance.url}/topics/recordings.*/events?after=start&control=0`, stored.length);
  for (const [index, { recording, topic }] of stored.entries()) {
    const { name, how, source } = recording;
    const meant = contentOf(recording);
    const event = EVENTS[name];
    t.strictSame(events[index], { event, data: meant.toString().replaceAll(/\r\n?/g, '\n') }, `${source}: ${how}, on a stream`);
    // In history JSON is embedded as its source text, and text as a JSON string.
    const isJson = /^application\/json\b/i.test(headerOf(recording, 'content-type') ?? '');
    const page = (await http.get(`/topics/${topic}/messages`)).body;
    t.ok(page.includes(`"data":${isJson ? meant.toString() : JSON.stringify(meant.toString())}}`), `${source}: ${how}, in history`, { page });
  }
}

/** A delivery that is sent again is stored once, and its kind is the event name. */
async function checkDelivery(t: Test, instance: Instance): Promise<void> {
  const push = RECORDINGS.find(({ name }) => name === 'github-push')!;
  const named = { ...push, head: [push.head[0]!.replace('?event=github', '?idempotencyHeader=X-GitHub-Delivery&eventHeader=X-GitHub-Event'), ...push.head.slice(1)] };
  const [first, again] = [await replay(t, instance, named, 'github'), await replay(t, instance, named, 'github')];
  t.strictSame([first.status, again.status, again.body, again.headers['idempotency-replayed']], [201, 201, first.body, 'true']);
  const { messages } = await new Http(t, instance.url).json<{ messages: readonly { event: string; data: unknown }[] }>('/topics/github/messages');
  t.strictSame(messages.map(({ event, data }) => ({ event, data })), [{ event: 'push', data: JSON.parse(push.body.toString()) as unknown }]);
}

for (const path of ['on', 'off']) {
  void t.test(`real publishers post, with the fast path ${path}`, async (t) => {
    const instance = await startInstance(t, { LOG_LEVEL: 'warn', HTTP_FAST_PATH: path });
    await checkAll(t, instance);
    await checkDelivery(t, instance);
  });
}
