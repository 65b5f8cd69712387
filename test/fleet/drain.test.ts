import { connect } from 'node:net';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { check, summarise, type Stored } from '../support/checker.ts';
import { openStream, type SseStream } from '../support/client.ts';
import { Publishers, readHistory } from '../support/fleet-publishers.ts';
import { Random } from '../support/fleet-random.ts';
import { each, Http, type Answer } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { rounds } from '../support/rounds.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';

const STREAMS = rounds(200, 500);
const PUBLISHERS = 10;
/** The longest pause of a publisher: every message goes to every stream. Milliseconds. */
const THINK = 40;
const LONG_POLLS = 5;
/** Connections that are kept open and idle when the drain begins. */
const IDLE = 5;
/** Long enough that what is asked meanwhile is asked within it, on a machine that stands still for seconds too. */
const WINDOW_SECONDS = 10;
/** Far more than where all are closed in the same moment. */
const STEPS = 10;
/** The part of the window after which the last stream is closed. */
const CLOSED_BY = 0.9;
const RETRY_MIN = 1_000;
const RETRY_MAX = 4_000;
/** Longer than any test takes: who ends before it did not wait for it. Seconds. */
const LONG_WINDOW = '120';

interface Closing {
  readonly stream: SseStream;
  /** Milliseconds since before the signal. */
  readonly after: number;
  readonly clean: boolean;
}

/** Opens streams and resolves when each has had its `$open`. */
async function openStreams(t: Scope, { url }: Instance, count: number): Promise<SseStream[]> {
  const streams: SseStream[] = [];
  await each(count, 50, async () => {
    const stream = await openStream(t, `${url}/topics/news/events`);
    await stream.next(({ event }) => event === '$open');
    streams.push(stream);
  });
  return streams;
}

async function isRefused(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return false;
  } catch {
    return true;
  } finally {
    socket.destroy();
  }
}

/** A publish of which only a part is sent until `finish`. */
function slowPublish(t: Scope, port: number, text: string): { finish(): Promise<string> } {
  const socket = connect(port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  let answer = '';
  socket.setEncoding('utf8').on('data', (part: string) => {
    answer += part;
  });
  // How it ended stands in what was answered.
  socket.on('error', () => undefined);
  socket.write(`POST /topics/news HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\n\r\n${text.slice(0, 3)}`);
  return {
    finish: async () => {
      const closed = once(socket, 'close');
      socket.write(text.slice(3));
      await closed;
      return answer;
    },
  };
}

t.test(`SIGTERM under ${STREAMS} streams and publishes: each publish answered, streams closed evenly, code 0, nothing left`, async (t) => {
  const instance = await startInstance(t, {
    LOG_LEVEL: 'warn', DRAIN_SECONDS: String(WINDOW_SECONDS), RETRY_MIN_MS: String(RETRY_MIN), RETRY_MAX_MS: String(RETRY_MAX),
  });
  const { url, port } = instance;
  const random = new Random(1);
  const publishers = new Publishers(t, [url], random.fork());
  const http = new Http(t, url);
  const streams = await openStreams(t, instance, STREAMS);

  const idle = Array.from({ length: IDLE }, () => new Http(t, url, 1));
  await Promise.all(idle.map((one) => one.get('/healthz')));
  const { cursor } = await http.json<{ readonly cursor: string }>('/topics/nothing/messages');
  let polled = 0;
  const polls = Array.from({ length: LONG_POLLS }, async () => {
    const answer = await new Http(t, url, 1).get(`/topics/nothing/messages?after=${cursor}&wait=50`);
    polled++;
    return answer;
  });
  const slow = slowPublish(t, port, 'sent in two parts');

  // Each on a connection of its own, which is kept, one publish after the other.
  let stopped = false;
  let draining = false;
  const closings: Closing[] = [];
  const answers: Answer[] = [];
  /** How many streams were closed when each came. */
  const closedAtAnswer = new Set<number>();
  const kept: Answer[] = [];
  const unanswered: { readonly at: number; readonly error: unknown }[] = [];
  const running = Promise.all(Array.from({ length: PUBLISHERS }, async (_, publisher) => {
    const own = new Http(t, url, 1);
    for (let count = 0; !stopped; count++) {
      const notes = publishers.note([{ topic: 'news', text: `${count} of publisher ${publisher}` }]);
      const late = draining;
      try {
        const answer = await own.post('news', notes[0]!.text);
        answers.push(answer);
        closedAtAnswer.add(closings.length);
        if (late && answer.headers.connection !== 'close') kept.push(answer);
        if (answer.status === 201) publishers.answered(notes, answer);
      } catch (error) {
        unanswered.push({ at: performance.now(), error });
        // Nobody is there any more, or soon nobody will be.
        if (draining) return;
      }
      await sleep(random.below(THINK));
    }
  }));
  await publishers.reached(50);
  t.equal(polled, 0, 'long polls wait');

  const began = performance.now();
  const closed = Promise.all(streams.map(async (stream) => {
    const { clean } = await stream.ended;
    closings.push({ stream, after: performance.now() - began, clean });
  }));
  instance.kill('SIGTERM');

  for (const { status, headers, body } of await Promise.all(polls)) {
    t.equal(status, 200, 'a long poll is answered at once');
    t.equal(headers.connection, 'close');
    t.same((JSON.parse(body) as { readonly messages: Stored[] }).messages, []);
  }
  draining = true;
  const ready = await http.get('/readyz');
  t.equal(ready.status, 503);
  t.equal(ready.headers.connection, 'close');
  t.match(ready.body, '"draining"');
  const busy = await openStream(t, `${url}/topics/news/events`);
  t.equal(busy.status, 200, 'a new stream is sent away with 200');
  t.equal((await busy.ended).clean, false);
  t.same(busy.events.map(({ event }) => event), ['$busy']);
  t.match(JSON.parse(busy.events[0]!.data), { reason: 'draining' });
  t.ok(busy.retry! >= RETRY_MIN && busy.retry! <= RETRY_MAX);

  await until('half of the streams are closed', () => closings.length >= STREAMS / 2);
  const before = publishers.acknowledged;
  for (const one of idle) {
    const notes = publishers.note([{ topic: 'news', text: `on a connection that was idle, ${idle.indexOf(one)}` }]);
    const answer = await one.post('news', notes[0]!.text);
    t.equal(answer.status, 201, 'a connection that was idle is served');
    t.equal(answer.headers.connection, 'close');
    publishers.answered(notes, answer);
  }
  t.match(await slow.finish(), /^HTTP\/1.1 201 [^]*\r\nconnection: close\r\n/i, 'a publish that was half sent is taken');
  publishers.note([{ topic: 'news', text: 'sent in two parts' }]);
  await Promise.race([publishers.reached(before + IDLE + PUBLISHERS), running]);
  await until('most of the streams are closed', () => closings.length >= STREAMS * 3 / 4);
  stopped = true;
  await running;
  await closed;

  t.same(await instance.exited, { code: 0, signal: null });
  t.ok(await isRefused(port), 'nothing listens any more');
  // By the time of the failure the window was open for sure, since it began later; after it, only this process was late.
  t.same(unanswered.filter(({ at }) => at < began + WINDOW_SECONDS * 1000), []);
  t.same(answers.filter(({ status }) => status !== 201).map(({ status, body }) => `${status} ${body}`), [], 'the log was there all the time');
  t.same(kept.length, 0, 'every answer ends its connection');

  t.same(closings.filter(({ clean }) => clean), [], 'no stream ended with the last chunk');
  t.same(closings.filter(({ stream }) => stream.events.at(-1)?.event !== '$busy').length, 0, 'each was told to come back, last of all');
  const retries = closings.map(({ stream }) => stream.retry!);
  t.ok(retries.every((retry) => retry >= RETRY_MIN && retry <= RETRY_MAX));
  t.ok(new Set(retries).size > STREAMS / 2, `${new Set(retries).size} times to come back for ${STREAMS} streams`);
  const quarters = [0, 0, 0, 0];
  for (const { after } of closings) quarters[Math.min(3, Math.floor(after / (WINDOW_SECONDS * 1000 / 4)))]!++;
  t.comment(`closed in each quarter of the window: ${quarters.join(', ')}; ${publishers.acknowledged} messages`);
  // A machine that is busy closes them later, never sooner. That they are not all closed at its end shows in what was answered between them.
  const early = closings.filter(({ after }, index) => index + 1 > STREAMS * after / (WINDOW_SECONDS * 1000 * CLOSED_BY) + STREAMS / 10);
  t.same(early.map(({ after }) => after), [], 'closed over the whole window');
  t.ok(closedAtAnswer.size > STEPS, `answers came at ${closedAtAnswer.size} numbers of streams that were closed`);

  await instance.restart();
  const history = await readHistory(new Http(t, url));
  t.same(summarise(check({ publications: publishers.notes, streams: [], history })), [], 'what got its 201 is there, once');
  const ids = history.map(({ id }) => id);
  for (const { stream } of closings) {
    const received = stream.events.flatMap(({ id, event }) => (event === undefined ? [id!] : []));
    if (received.length < 50 || received.some((id, index) => id !== ids[index])) t.fail(`a stream got ${received.join(' ')}, and not the first messages in order`);
  }
});

t.test('SIGTERM ends it at once when no stream is open and nothing is under way', async (t) => {
  const instance = await startInstance(t, { LOG_LEVEL: 'warn', DRAIN_SECONDS: LONG_WINDOW });
  // Its connection stays open, and idle.
  await new Http(t, instance.url, 1).publish('news', 'one');
  const began = performance.now();
  instance.kill('SIGTERM');
  t.same(await instance.exited, { code: 0, signal: null });
  t.ok(performance.now() - began < Number(LONG_WINDOW) * 1000 / 2);
});

t.test('a few streams are sent away at once, and then it ends', async (t) => {
  const instance = await startInstance(t, { LOG_LEVEL: 'warn', DRAIN_SECONDS: LONG_WINDOW });
  const streams = await openStreams(t, instance, 3);
  const began = performance.now();
  instance.kill('SIGTERM');
  for (const stream of streams) {
    t.equal((await stream.ended).clean, false);
    t.same(stream.events.map(({ event }) => event), ['$open', '$busy']);
    t.match(JSON.parse(stream.events[1]!.data), { reason: 'draining' });
  }
  t.same(await instance.exited, { code: 0, signal: null });
  t.ok(performance.now() - began < Number(LONG_WINDOW) * 1000 / 2);
});

t.test('a publish that is under way is waited for', async (t) => {
  const instance = await startInstance(t, { LOG_LEVEL: 'warn', DRAIN_SECONDS: LONG_WINDOW });
  const slow = slowPublish(t, instance.port, 'sent in two parts');
  // Sent later, on another connection: by now the first part was read.
  await new Http(t, instance.url).get('/healthz');
  instance.kill('SIGTERM');
  await until('nothing new is taken', () => isRefused(instance.port));
  t.match(await slow.finish(), /^HTTP\/1.1 201 /);
  t.same(await instance.exited, { code: 0, signal: null });
});

t.test('a second signal ends it at once', async (t) => {
  const instance = await startInstance(t, { LOG_LEVEL: 'warn', DRAIN_SECONDS: LONG_WINDOW });
  slowPublish(t, instance.port, 'never sent to its end');
  await openStreams(t, instance, 5);
  const http = new Http(t, instance.url);
  instance.kill('SIGTERM');
  await until('it drains', async () => (await http.get('/readyz')).status === 503);
  instance.kill('SIGTERM');
  t.same(await instance.exited, { code: 1, signal: null });
  t.ok(await isRefused(instance.port));
});

t.test('SIGINT waits for no window: streams are sent away, long polls answered, code 0', async (t) => {
  const instance = await startInstance(t, { LOG_LEVEL: 'warn', DRAIN_SECONDS: LONG_WINDOW });
  const streams = await openStreams(t, instance, 20);
  const http = new Http(t, instance.url, 1);
  const { cursor } = await http.json<{ readonly cursor: string }>('/topics/nothing/messages');
  const poll = http.get(`/topics/nothing/messages?after=${cursor}&wait=50`);
  // Sent later, on another connection: by now the poll was read.
  await new Http(t, instance.url).get('/healthz');
  instance.kill('SIGINT');
  t.equal((await poll).status, 200);
  for (const stream of streams) {
    t.equal((await stream.ended).clean, false);
    t.same(stream.events.map(({ event }) => event), ['$open', '$busy']);
  }
  t.same(await instance.exited, { code: 0, signal: null });
});

t.test('a publish that is never sent to its end does not keep it from ending', async (t) => {
  const instance = await startInstance(t, { LOG_LEVEL: 'warn', DRAIN_SECONDS: '1' });
  slowPublish(t, instance.port, 'never sent to its end');
  const http = new Http(t, instance.url);
  await http.publish('news', 'another');
  instance.kill('SIGTERM');
  t.same(await instance.exited, { code: 0, signal: null });
  await instance.restart();
  t.same((await readHistory(new Http(t, instance.url))).map(({ data }) => data), ['another']);
});
