import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { EventSource } from 'eventsource';
import t, { type Test } from 'tap';
import { openStream } from '../support/client.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { behindWorker, chromiumKinds } from './support/chromium.ts';
import { furtherPrograms, programs, ReconnectingEventSource, type Client, type Kind } from './support/kinds.ts';

/** Clients that we did not write come back by themselves, whatever happened to the instance, and have missed nothing. */

const TOPIC = 'news.today';
const PATHS = [`/topics/${TOPIC}/events?`, '/events?topic=other&topic=news.*&'];
const SETTINGS = { RETRY_MIN_MS: '150', RETRY_MAX_MS: '300', CORS_ORIGINS: '*', DRAIN_SECONDS: '1' };

const [inChromium, instance] = await Promise.all([chromiumKinds(t), startInstance(t, SETTINGS)]);
const inWorker = await behindWorker(t, inChromium.browser);
const http = new Http(t, instance.url);
const kinds: readonly Kind[] = [...programs, ...inChromium.kinds];
const further: readonly Kind[] = [...furtherPrograms, ...inChromium.further, ...inWorker.kinds];

/** The longest pause between two messages. Milliseconds. */
const PAUSE_MAX_MS = 200;

interface Opened {
  readonly name: string;
  readonly client: Client;
}

/** Two streams of every client, one of each form, from a place in the log on or from now. */
function openAll(t: Scope, urlOf: (index: number) => string, after = ''): Opened[] {
  return kinds.flatMap((kind, index) => PATHS.map((path, form) => {
    const client = kind.open(t, `${urlOf(index * PATHS.length + form)}${path}after=${after}`);
    return { name: `${kind.name}, ${path}`, client };
  }));
}

/** One stream of each of the others, of one form or the other. */
function openFurther(t: Scope, url: string, after: string): Opened[] {
  return further.map((kind, index) => {
    const path = PATHS[index % PATHS.length]!;
    return { name: `${kind.name}, ${path}`, client: kind.open(t, `${url}${path}after=${after}`) };
  });
}

/** The texts of the messages that a client got, of either form. */
function texts({ client }: Opened): string[] {
  return client.received.filter(({ event }) => !event.startsWith('$')).map(({ data }) => (data.startsWith('{') ? (JSON.parse(data) as { data: string }).data : data));
}

function controls({ client }: Opened, event: string): string[] {
  return client.received.filter((one) => one.event === event).map(({ data }) => data);
}

async function checkAll(t: Test, all: readonly Opened[], published: readonly string[]): Promise<void> {
  const last = published.at(-1);
  await until('everyone has the last message', () => all.every((one) => one.client.gaveUp !== undefined || texts(one).at(-1) === last))
    .catch((error: unknown) => t.fail(String(error)));
  for (const one of all) {
    t.strictSame(texts(one), published, `${one.name}: everything once, in order`);
    t.equal(one.client.gaveUp, undefined, `${one.name}: it did not give up`);
  }
  t.strictSame([...inChromium.faults, ...inWorker.faults], []);
}

/** No client whose errors can be seen calls a planned end one. */
function checkRaised(t: Test, all: readonly Opened[]): void {
  for (const one of all) t.strictSame(one.client.raised ?? [], [], `${one.name}: it reported no error`);
}

/** Publishes numbered messages, one after the other, whatever happens to the instance: each until it was stored. */
class Publishing {
  readonly stored: string[] = [];
  readonly #http: Http;
  /** Others have used numbers for keys before. */
  readonly #prefix = randomUUID();
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(through: Http) {
    this.#http = through;
    this.#done = this.#run();
  }

  /** Ends when so many more were stored. */
  async finish(more: number): Promise<readonly string[]> {
    const goal = this.stored.length + more;
    await until('messages are stored again', () => this.stored.length >= goal);
    this.#stopped = true;
    await this.#done;
    return this.stored;
  }

  async #run(): Promise<void> {
    for (let number = 1; !this.#stopped; number++) {
      const text = String(number);
      while (!await this.#isStored(text)) await sleep(10);
      this.stored.push(text);
      // Fewer and fewer: some clients wait for many seconds before they come back.
      await sleep(Math.min(number, PAUSE_MAX_MS));
    }
  }

  async #isStored(text: string): Promise<boolean> {
    const answer = await this.#http.post(TOPIC, text, { 'idempotency-key': `${this.#prefix} ${text}` }).catch(() => undefined);
    return answer?.status === 201;
  }
}

void t.test('after $busy, when there is room again', async (t) => {
  const streams = kinds.length * PATHS.length + further.length;
  const full = await startInstance(t, { ...SETTINGS, MAX_STREAMS: String(streams) });
  const client = new Http(t, full.url);
  const before = await client.publish(TOPIC, 'before');
  const occupants = await Promise.all(Array.from({ length: streams }, () => openStream(t, `${full.url}/topics/full/events`)));
  const all = [...openAll(t, () => full.url, before), ...openFurther(t, full.url, before)];
  await until('everyone was refused twice', () => all.every((one) => controls(one, '$busy').length >= 2));
  await client.publish(TOPIC, 'while it is full');
  for (const occupant of occupants) occupant.destroy();
  await until('everyone is in', () => all.every((one) => texts(one).length > 0));
  await client.publish(TOPIC, 'afterwards');
  await checkAll(t, all, ['while it is full', 'afterwards']);
  checkRaised(t, all);
  for (const one of all) {
    const waits = controls(one, '$busy').map((data) => (JSON.parse(data) as { retryMs: number }).retryMs);
    t.ok(waits.every((ms) => ms >= 150 && ms <= 300), `${one.name}: every $busy says when to come back`);
  }
});

for (const [signal, what] of [['SIGTERM', 'a drain, when another instance has the port'], ['SIGKILL', 'kill -9 and a restart']] as const) {
  void t.test(`after ${what}`, async (t) => {
    const before = await http.publish(TOPIC, 'before');
    const all = [...openAll(t, () => instance.url, before), ...openFurther(t, instance.url, before)];
    const publishing = new Publishing(http);
    await until('everyone gets messages', () => all.every((one) => texts(one).length >= 10));
    await instance.restart(signal);
    await checkAll(t, all, await publishing.finish(10));
    if (signal === 'SIGTERM') checkRaised(t, all);
    for (const one of all) t.ok(controls(one, '$open').length >= 2, `${one.name}: it opened a second stream`);
  });
}

void t.test('after the instance was gone for a while, behind a proxy that accepts connections and closes them', async (t) => {
  await http.publish(TOPIC, 'before');
  const proxies = await Promise.all(Array.from({ length: kinds.length * PATHS.length }, () => CuttingProxy.start(t, instance.port)));
  // From now on, with no place in the URL: all they have when they are cut is the position in `$open`.
  const all = openAll(t, (index) => proxies[index]!.url);
  await until('everyone knows its position', () => all.every((one) => controls(one, '$open').length === 1));
  for (const proxy of proxies) proxy.goAway('closing');
  await http.publish(TOPIC, 'while it is gone');
  await until('everyone was turned away, and again', () => proxies.every((proxy) => proxy.turnedAway >= 5));
  for (const proxy of proxies) proxy.comeBack();
  await until('everyone is back', () => all.every((one) => texts(one).length === 1));
  await http.publish(TOPIC, 'afterwards');
  await checkAll(t, all, ['while it is gone', 'afterwards']);
});

// A status other than 200 ends an EventSource for good: the service never sends one to a stream, but a proxy may. This package then
// makes a new EventSource, which has no last id yet, and so names the id that it knows in the URL. It knows ids only of events that it
// was asked to listen for with `addEventListener`: one that has only `onmessage` set begins anew, at that moment.
void t.test('reconnecting-eventsource, after a proxy answered 502', async (t) => {
  const proxy = await CuttingProxy.start(t, instance.port);
  const got: string[] = [];
  const source = new ReconnectingEventSource(`${proxy.url}/topics/${TOPIC}/events`, { eventSourceClass: EventSource, max_retry_time: 50 });
  t.teardown(() => source.close());
  source.addEventListener('message', ({ data }) => void got.push(String(data)));
  await until('it is open', () => (proxy.passages[0]?.body.length ?? 0) > 0);
  await http.publish(TOPIC, 'live');
  await until('it gets messages', () => got.length === 1);
  proxy.goAway('answering 502');
  await http.publish(TOPIC, 'while it is gone');
  await until('it was told 502, and again', () => proxy.turnedAway >= 2);
  proxy.comeBack();
  await until('it is back', () => got.length === 2);
  await http.publish(TOPIC, 'afterwards');
  await until('it has the last message', () => got.includes('afterwards'));
  t.strictSame(got, ['live', 'while it is gone', 'afterwards']);
});
