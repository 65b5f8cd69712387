import t from 'tap';
import { openStream } from '../support/client.ts';
import { each, Http, seqOf } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';

const MIB = 1024 * 1024;
const MESSAGE_BYTES = 128 * 1024;
const RETENTION_BYTES = 4 * MIB;

t.test('a slow reader that retention overtakes is told in the middle of its stream what it missed, and gets the rest', async (t) => {
  const instance = await startInstance(t, { RETENTION_BYTES: '4MiB', TAIL_BYTES: '1MiB', STALL_SECONDS: '3600', POLL_MS: '50' });
  const http = new Http(t, instance.url);
  const url = `${instance.url}/topics/load/events`;
  const slow = await openStream(t, url);
  const silent = await openStream(t, `${url}?control=0`);
  const opened = await slow.next();
  slow.pause();
  silent.pause();
  let published = 0;
  const load = (messages: number): Promise<void> => each(messages, 4, async () => {
    await http.publish('load', `${published++}`.padEnd(MESSAGE_BYTES));
  });
  // What they still get without asking is in the kernel's buffers: they stand where they fell behind.
  await load(32);
  for (let behind = 0; behind < 2; behind = await http.metric('readers_behind')) await load(32);
  const fellBehindAt = published;
  await load(4 * RETENTION_BYTES / MESSAGE_BYTES);
  await until('retention has overtaken them', async () => {
    const metrics = await http.metrics();
    return metrics.get('tidings_log_oldest')! > fellBehindAt && metrics.get('tidings_log_bytes')! <= RETENTION_BYTES;
  });

  slow.resume();
  await slow.next(({ id }) => id !== undefined && seqOf(id) === published);
  // Retention may come once more meanwhile: then there is one more gap, which has to be as exact.
  let at = seqOf(opened.id);
  const missed: string[] = [];
  for (const { event, id, data } of slow.events.slice(1)) {
    if (event === '$gap') {
      const gap = JSON.parse(data) as { requested: string; resumed: string; oldest: string; reason: string };
      t.match([gap.reason, id, seqOf(gap.requested)], ['expired', gap.resumed, at], `it was told after ${at}`);
      t.ok(at > 1 && seqOf(gap.resumed) > at);
      t.equal(seqOf(gap.oldest), seqOf(gap.resumed) + 1);
      missed.push(gap.requested.replace(/\d+$/, String(at + 1)), gap.resumed);
    } else if (seqOf(id) !== at + 1) t.fail(`${id} came after ${at}`);
    at = seqOf(id);
  }
  t.equal(at, published, 'all but what a gap names, once, in order');
  t.ok(missed.length > 0);
  for (const id of missed) t.equal((await http.get(`/messages/${id}`)).status, 404, `${id} is gone`);

  silent.resume();
  await silent.next(({ id }) => id !== undefined && seqOf(id) === published);
  t.match(silent.comments[0], /^\s*gap expired, resumed at [a-z0-9]+-\d+\s*$/, 'as a comment where no control events are wanted');
  t.ok(silent.events.every(({ event }) => event === undefined));
  t.equal(await http.metric('gaps_total'), missed.length / 2 + silent.comments.length);
});
