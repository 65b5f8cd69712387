import t from 'tap';
import { CuttingProxy, type Cut } from '../support/cutting-proxy.ts';
import { each, Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { chromiumKinds } from './support/chromium.ts';
import { programs, type Client, type Kind } from './support/kinds.ts';

/**
 * Clients that we did not write, each behind a proxy that cuts its stream after n bytes, for every n from the body's first
 * byte to the end of its second message: whatever the client had when it was cut, it gets every message once, in order.
 */

/** How many streams are open at once: fewer than the 256 sockets that Chromium has. */
const AT_ONCE = 100;
const TOPIC = 'cut.here';

/** As one reads messages off an event's data, in each of the two forms of a stream. */
const FORMS = {
  one: { path: `/topics/${TOPIC}/events?`, text: (data: string) => data },
  many: { path: '/events?topic=none&topic=cut.*&', text: (data: string) => (JSON.parse(data) as { data: string }).data },
};

/** Non-ASCII characters and line breaks: their bytes and lines are cut apart too. */
const PUBLISHED = [
  { data: 'größer\n😀', headers: {} },
  { data: 'done', headers: { 'tidings-event': 'update.done' } },
];
const LAST = 'after the cut';
const ALL = ['message größer\n😀', 'update.done done', `message ${LAST}`];

// No heartbeat falls into a round: it would shift the bytes after it.
const instance = await startInstance(t, { RETRY_MIN_MS: '10', RETRY_MAX_MS: '10', CORS_ORIGINS: '*' });
const http = new Http(t, instance.url);
// From here on numbers have four digits: so the frames of one round are as long as those of the next.
await http.batch(Array.from({ length: 999 }, () => ({ topic: 'filler', data: 0 })));
// And the numbers of streams, which `$open` tells to the base 36, have three.
await each(36 ** 2, 64, async () => {
  const stream = await fetch(`${instance.url}/topics/filler/events`);
  await stream.body?.cancel();
});
const inChromium = await chromiumKinds(t);

interface Run {
  readonly cut: number | undefined;
  readonly proxy: CuttingProxy;
  readonly client: Client;
}

/** One stream behind a proxy of its own, from the newest message on. */
async function open(t: Scope, kind: Kind, form: keyof typeof FORMS, after: string, cut: Cut | undefined): Promise<Run> {
  const proxy = await CuttingProxy.start(t, instance.port, cut === undefined ? [] : [cut]);
  return { cut: cut?.bytes, proxy, client: kind.open(t, `${proxy.url}${FORMS[form].path}after=${after}`) };
}

/** The messages that a client got, each with its event's name. */
function messages({ client }: Run, form: keyof typeof FORMS): string[] {
  return client.received.filter(({ event }) => !event.startsWith('$')).map(({ event, data }) => `${event} ${FORMS[form].text(data)}`);
}

function finished(run: Run, form: keyof typeof FORMS): boolean {
  return run.client.gaveUp !== undefined || messages(run, form).at(-1) === ALL.at(-1);
}

/** Opens streams that are cut at these bytes, one that is not, publishes while they are open, and waits until all have everything. */
async function round(t: Scope, kind: Kind, form: keyof typeof FORMS, cuts: readonly number[]): Promise<{ body: Buffer; runs: Run[] }> {
  const after = await http.publish(TOPIC, 'before');
  const whole = await open(t, kind, form, after, undefined);
  const runs = await Promise.all(cuts.map((bytes) => open(t, kind, form, after, { part: 'body', bytes })));
  const opened = ({ proxy: { passages: [first] } }: Run): boolean => first !== undefined && (first.over || first.body.includes(`id: ${after}\n\n`));
  await until('every stream is open, or cut before', () => [whole, ...runs].every(opened));
  for (const { data, headers } of PUBLISHED) await http.publish(TOPIC, data, headers);
  await until('every stream was cut', () => runs.every(({ proxy }) => proxy.passages[0]!.over));
  await until('the uncut stream has both', () => messages(whole, form).length === PUBLISHED.length);
  const { body } = whole.proxy.passages[0]!;
  await http.publish(TOPIC, LAST);
  await until('every client has the last message', () => [whole, ...runs].every((run) => finished(run, form)));
  for (const { client, proxy } of [whole, ...runs]) {
    client.close();
    await proxy.close();
  }
  return { body, runs };
}

/** For each message, the byte after its id's line and before the blank line that ends it. */
function behindIds(body: Buffer): (number | undefined)[] {
  const ends = [...body.toString('latin1').matchAll(/\nid: \S+\n(?=\n\r\n)/g)].map(({ index, 0: text }) => index + text.length);
  // The first is that of `$open`, which is no message: a client that loses it comes back to the same place.
  return ends.slice(1);
}

function check(kind: Kind, form: keyof typeof FORMS): void {
  void t.test(`${kind.name}, ${form} topic${form === 'one' ? '' : 's'}: every message once, in order, with the stream cut at any byte`, async (t) => {
    const { body } = await round(t, kind, form, []);
    const offsets = Array.from({ length: body.length + 1 }, (_, bytes) => bytes);
    const wrong: unknown[] = [];
    for (let from = 0; from < offsets.length; from += AT_ONCE) {
      const { body: again, runs } = await round(t, kind, form, offsets.slice(from, from + AT_ONCE));
      t.equal(again.length, body.length, 'the frames are as long as those that were measured');
      for (const run of runs) {
        const got = messages(run, form);
        const lost = kind.trustsIdLine ? behindIds(body).indexOf(run.cut) : -1;
        const allowed = lost === -1 ? [ALL] : [ALL, ALL.toSpliced(lost, 1)];
        const right = allowed.some((one) => JSON.stringify(one) === JSON.stringify(got));
        if (!right || run.client.gaveUp !== undefined || run.proxy.passages.length !== 2) {
          wrong.push({ cut: run.cut, got, gaveUp: run.client.gaveUp, connections: run.proxy.passages.length, before: body.subarray(0, run.cut).toString().slice(-30) });
        }
      }
    }
    t.strictSame(wrong, []);
    t.strictSame(inChromium.faults, []);
  });
}

for (const kind of [...programs, ...inChromium.kinds]) check(kind, 'one');
check(programs.find(({ name }) => name === 'eventsource')!, 'many');
