import { connect, type Socket } from 'node:net';
import t from 'tap';
import { HEAD_MAX_MS, REQUEST_MAX_MS } from '../../src/http/admission/server-limits.ts';
import { openStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { rounds } from '../support/rounds.ts';
import type { Scope } from '../support/temp.ts';

/**
 * Clients that send a byte now and then: of a head that never ends, and of a body. Meanwhile streams and a publisher are served. The slow ones are let go after the times that
 * src/http/admission/server-limits.ts names. `npm test` does not wait for bodies, which may take two minutes.
 */

const SENDERS = rounds(20, 500);
const STREAMS = rounds(20, 100);
const WAITS_FOR_BODIES = rounds(0, 1) === 1;

/** Each slow client sends a byte, and the publisher a message, so often. Milliseconds. */
const TICK_MS = 250;

/** More than comes in all the time that this takes. */
const HEAD = 'GET /topics/slow/events HTTP/1.1\r\nHost: localhost\r\nX-Slow: ';
const BODY = 'POST /topics/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n';

class SlowSender {
  /** Everything that came. */
  text = '';
  /** When the connection ended, after it began. Milliseconds. */
  lasted: number | undefined;
  readonly ended: Promise<void>;
  readonly #socket: Socket;
  readonly #bytes: string;
  #sent = 0;

  /** @param atOnce How many bytes are sent at once. */
  constructor(t: Scope, port: number, bytes: string, atOnce: number) {
    const began = performance.now();
    this.#bytes = bytes;
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    t.teardown(() => this.#socket.destroy());
    this.#socket.setEncoding('latin1').on('data', (piece: string) => (this.text += piece)).on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      this.#socket.once('close', () => {
        this.lasted = performance.now() - began;
        resolve();
      });
    });
    this.#socket.write(bytes.slice(0, atOnce));
    this.#sent = atOnce;
  }

  sendOne(): void {
    if (this.#socket.writable) this.#socket.write(this.#bytes[this.#sent++] ?? 'x');
  }
}

// Most of it is waiting.
t.jobs = 2;

for (const HTTP_FAST_PATH of ['on', 'off']) t.test(`${2 * SENDERS} slow senders are let go, and ${STREAMS} streams and a publisher do not notice them; with the fast path ${HTTP_FAST_PATH}`, async (t) => {
  const instance = await startInstance(t, { LOG_LEVEL: 'warn', HTTP_FAST_PATH });
  const http = new Http(t, instance.url);
  const streams = await Promise.all(Array.from({ length: STREAMS }, () => openStream(t, `${instance.url}/topics/news/events`)));
  await Promise.all(streams.map((stream) => stream.next(({ event }) => event === '$open')));
  const heads = Array.from({ length: SENDERS }, () => new SlowSender(t, instance.port, HEAD, 1));
  const bodies = Array.from({ length: SENDERS }, () => new SlowSender(t, instance.port, BODY, BODY.length));

  const published: string[] = [];
  let publishing = Promise.resolve();
  const ticks = setInterval(() => {
    for (const sender of [...heads, ...bodies]) sender.sendOne();
    publishing = publishing.then(async () => void published.push(await http.publish('news', String(published.length))));
  }, TICK_MS);
  t.teardown(() => clearInterval(ticks));

  await Promise.all(heads.map(({ ended }) => ended));
  if (WAITS_FOR_BODIES) await Promise.all(bodies.map(({ ended }) => ended));
  clearInterval(ticks);
  await publishing;

  t.same(heads.filter(({ text }) => !/^HTTP\/1\.1 408 .*"code":"request-timeout"/s.test(text)).map(({ text }) => text), [], 'each slow head is told that it came too late');
  t.same(heads.filter(({ lasted }) => lasted! < HEAD_MAX_MS || lasted! >= REQUEST_MAX_MS), [], 'not before its time, and long before that of bodies');
  const letGo = bodies.filter(({ lasted }) => lasted !== undefined);
  t.same(letGo.filter(({ lasted, text }) => lasted! < REQUEST_MAX_MS || !/^HTTP\/1\.1 408 /.test(text)).map(({ text, lasted }) => [text, lasted]), [], 'slow bodies have longer');
  t.equal((await http.metrics()).get('tidings_responses_total{status="408"}'), heads.length + letGo.length);
  const last = published.at(-1)!;
  for (const stream of streams) {
    await stream.until(() => stream.events.at(-1)?.id === last);
    t.same(stream.events.filter(({ event }) => event === undefined).map(({ id }) => id), published, 'everything, in order');
  }
  t.same((await http.json<{ messages: unknown[] }>('/topics/slow/messages')).messages, [], 'nothing half-sent was stored');
});
