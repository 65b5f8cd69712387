import t from 'tap';
import { openStream } from '../support/client.ts';
import { each, Http, seqOf } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';

const COMMENT = /^:\n/;
const CURSOR = /^event: \$cursor\ndata: \{\}\nid: (\S+)\n\n/;

/** What a quiet stream was sent behind its `$open`, one sign of life after the other: ':' or the id of a `$cursor`. */
function signs(text: string): string[] {
  const found: string[] = [];
  for (let rest = text.slice(text.indexOf('\n\n') + 2); rest !== '';) {
    const cursor = CURSOR.exec(rest);
    const match = cursor ?? COMMENT.exec(rest);
    if (match === null) throw new Error(`That is no sign of life: ${JSON.stringify(rest)}`);
    found.push(cursor?.[1] ?? ':');
    rest = rest.slice(match[0].length);
  }
  return found;
}

t.test('a quiet stream gets a comment line without a blank line, and every second time, or when the log moved on, its cursor', async (t) => {
  const instance = await startInstance(t, { HEARTBEAT_SECONDS: '1' });
  const http = new Http(t, instance.url);
  const first = await http.publish('other', 'before');
  let text = '';
  const stream = await openStream(t, `${instance.url}/topics/quiet/events`, { onData: (chunk) => { text += chunk.toString(); } });
  let silent = '';
  const script = await openStream(t, `${instance.url}/topics/quiet/events?control=0`, { onData: (chunk) => { silent += chunk.toString(); } });

  await stream.until(() => stream.comments.length === 2 && stream.events.length === 3);
  t.same(signs(text), [':', first, ':', first], 'by turns, while nothing happens');
  const second = await http.publish('other', 'meanwhile');
  await stream.next(({ id }) => id === second);
  t.equal(signs(text)[4], second, 'at once, when the log has moved on');
  await stream.until(() => stream.events.length === 5);
  t.same(signs(text).slice(4), [second, second], 'which leaves the turns as they are');
  t.equal(stream.comments.length, 2);

  await script.until(() => script.comments.length >= 4);
  t.match(silent, /^retry: \d+\n(:\n)+$/, 'without control events there is nothing but comments');
  t.equal(script.events.length, 0);
  t.same([...stream.faults, ...script.faults], []);
});

t.test('the id of a sign of life is the place of its own stream: nothing before it comes later, also in the middle of a replay', async (t) => {
  // In a small tail next to nothing is found: every replay goes through the log, and takes its time.
  const instance = await startInstance(t, { HEARTBEAT_SECONDS: '1', TAIL_BYTES: '16KiB' });
  const http = new Http(t, instance.url);
  let publishing = true;
  const load = each(3, 3, async () => {
    while (publishing) {
      await http.batch(Array.from({ length: 20 }, (_, index) => ({ topic: ['mine', 'other', 'other.too'][index % 3]!, data: 'x'.repeat(200) })));
    }
  });
  const streams = await Promise.all(Array.from({ length: 40 }, (_, index) =>
    openStream(t, `${instance.url}/topics/${['mine', 'rare', 'other.*', '%3E'][index % 4]}/events?after=start`)));
  const beats = (stream: (typeof streams)[number]): number => stream.events.filter(({ event }) => event === '$cursor').length;
  await Promise.all(streams.map((stream) => stream.until(() => beats(stream) >= 3)));
  publishing = false;
  await load;

  for (const { events } of streams) {
    let at = 0;
    const wrong = events.find(({ event, id }) => {
      const before = at;
      at = seqOf(id);
      // A message is new; a position may be the one that was just said.
      return event === undefined ? at <= before : at < before;
    });
    if (wrong !== undefined) t.fail(`${JSON.stringify(wrong)} came too late`);
  }
  const last = await http.publish('mine', 'the end');
  for (const stream of streams.filter((_, index) => index % 4 === 0)) {
    await stream.next(({ id, event }) => event === undefined && id === last);
    const { messages } = await http.json<{ messages: { id: string }[] }>('/topics/mine/messages?limit=1000');
    const ids = new Set(stream.events.filter(({ event }) => event === undefined).map(({ id }) => id));
    t.ok(messages.every(({ id }) => ids.has(id)), 'and nothing was passed over');
  }
});
