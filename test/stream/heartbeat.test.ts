import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { openStream } from '../support/client.ts';
import { each, Http, seqOf } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { RawConnection } from '../support/raw.ts';

const ATTEMPTS = 10;
const COMMENT = /^:\n/;
const CURSOR = /^event: \$cursor\ndata: \{\}\nid: (\S+)\n\n/;

/** What a quiet stream was sent after its `$open`, one sign of life after the other: ':' or the id of a `$cursor`. */
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

const instance = await startInstance(t, { HEARTBEAT_SECONDS: '1', TAIL_BYTES: '16KiB' });
const http = new Http(t, instance.url);

void t.test('a quiet stream gets a comment line without a blank line, and every second time, or when the log moved on, its cursor', async (t) => {
  const first = await http.publish('other', 'before');
  let text = '';
  const stream = await openStream(t, `${instance.url}/topics/quiet/events`, { onData: (chunk) => { text += chunk.toString(); } });
  let silent = '';
  const script = await openStream(t, `${instance.url}/topics/quiet/events?control=0`, { onData: (chunk) => { silent += chunk.toString(); } });

  const unchunked = await RawConnection.open(t, instance);
  unchunked.send('GET /topics/quiet/events?control=0 HTTP/1.0\r\n\r\n');

  const count = (): number => stream.comments.length + stream.events.length - 1;
  await stream.until(() => count() >= 4);
  t.same(signs(text).slice(0, 4), [':', first, ':', first], 'by turns, while nothing happens');
  // Between two signs of life there is a second: where publishing took that long, it is tried again.
  let moved = 0;
  for (let attempt = 0; attempt < ATTEMPTS && moved === 0; attempt++) {
    await stream.until(() => count() % 2 === 0);
    const next = count();
    const id = await http.publish('other', 'meanwhile');
    await stream.next((event) => event.id === id);
    if (signs(text)[next] === id) moved = next;
  }
  t.ok(moved > 0, 'at once, when the log has moved on, though it is the turn of a comment');
  await stream.until(() => count() >= moved + 4);
  const second = signs(text)[moved];
  t.same(signs(text).slice(moved, moved + 4), [second, second, ':', second], 'which leaves the turns as they are');

  await script.until(() => script.comments.length >= 4);
  t.match(silent, /^retry: \d+\n(:\n)+$/, 'without control events there is nothing but comments');
  t.equal(script.events.length, 0);
  await unchunked.until('heartbeats', () => unchunked.text.endsWith(':\n:\n'));
  t.match(unchunked.answers('GET')[0]!.body, /^retry: \d+\n(:\n)+$/, 'nor without chunks around them');
  t.same([...stream.faults, ...script.faults], []);
});

void t.test('the id of a heartbeat is the place of its own stream: nothing before it comes later, also in the middle of a replay', async (t) => {
  const topics = ['mine', 'other', 'other.too'];
  const batch = (): Promise<string[]> => http.batch(Array.from({ length: 100 }, (_, index) => ({ topic: topics[index % 3]!, data: 'x'.repeat(1000) })));
  await each(40, 2, batch);
  const head = await http.metric('log_head');
  /** Opens so many streams; how many signs of life came in the middle of their replays. */
  async function replay(count: number): Promise<number> {
    let publishing = true;
    const load = each(1, 1, async () => {
      while (publishing) {
        await batch();
        await sleep(50);
      }
    });
    // Each wants something else, so that they share no read.
    const streams = await Promise.all(Array.from({ length: count }, (_, index) =>
      openStream(t, `${instance.url}/events?topic=${['mine', 'rare', 'other.*', '%3E'][index % 4]}&topic=rare.${count}.${index}&after=start`)));
    const beats = (stream: (typeof streams)[number]): number => stream.events.filter(({ event }) => event === '$cursor').length;
    await Promise.all(streams.map((stream) => stream.until(() => beats(stream) >= 2)));
    publishing = false;
    await load;
    const last = (await http.batch([...topics, 'rare'].map((topic) => ({ topic, data: 'the end' })))).at(-1)!;

    let amid = 0;
    for (const stream of streams) {
      await stream.until(() => seqOf(stream.events.at(-1)!.id) >= seqOf(last) - 3);
      let at = 0;
      for (const { event, id } of stream.events) {
        // A message is new; a position may be the one that was just said.
        if (event === undefined ? seqOf(id) <= at : seqOf(id) < at) t.fail(`${event ?? 'a message'} ${id} came after ${at}`);
        at = seqOf(id);
        if (event === '$cursor' && at < head) amid++;
      }
    }
    for (const stream of streams) stream.destroy();
    return amid;
  }

  let amid = 0;
  // On a fast machine it takes many of them until a replay takes longer than a heartbeat.
  for (let count = 24; amid === 0 && count <= 384; count *= 2) amid = await replay(count);
  t.ok(amid > 0, `${amid} came in the middle of a replay`);
});
