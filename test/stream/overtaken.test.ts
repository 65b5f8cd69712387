import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openStream, type SseStream } from '../support/client.ts';
import { each, Http, seqOf } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

const MIB = 1024 * 1024;
const MESSAGE_BYTES = 128 * 1024;
const RETENTION_BYTES = 4 * MIB;
/** Stops a test that waits for a gap that never comes. */
const ROUNDS_MAX = 20;

/**
 * Checks that a stream got every number once, in order, or in a gap that names exactly what it did not get. Retention may come more than once: then there is more than one gap.
 *
 * @param at Where it began.
 * @returns Where it ended, and of each gap the first and the last id that it names.
 */
function checked(t: Test, stream: SseStream, at: number): { readonly at: number; readonly missed: readonly string[] } {
  const missed: string[] = [];
  for (const { event, id, data } of stream.events.slice(1)) {
    if (event === '$gap') {
      const gap = JSON.parse(data) as { requested: string; resumed: string; oldest: string; reason: string };
      t.match([gap.reason, id, seqOf(gap.requested)], ['expired', gap.resumed, at], `it was told after ${at}`);
      t.ok(seqOf(gap.resumed) > at);
      t.equal(seqOf(gap.oldest), seqOf(gap.resumed) + 1);
      missed.push(gap.requested.replace(/\d+$/, String(at + 1)), gap.resumed);
    } else if (seqOf(id) !== (event === '$cursor' ? at : at + 1)) t.fail(`${id} came after ${at}`);
    at = seqOf(id);
  }
  return { at, missed };
}

t.test('a slow reader that retention overtakes gets a gap in the middle of its stream, and the rest', async (t) => {
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
  const { at, missed } = checked(t, slow, seqOf(opened.id));
  t.equal(at, published, 'all but what a gap names, once, in order');
  t.ok(missed.length > 0);
  for (const id of missed) t.equal((await http.get(`/messages/${id}`)).status, 404, `${id} is gone`);

  silent.resume();
  await silent.next(({ id }) => id !== undefined && seqOf(id) === published);
  t.match(silent.comments[0], /^\s*gap expired, resumed at [a-z0-9]+-\d+\s*$/, 'as a comment where no control events are wanted');
  t.ok(silent.events.every(({ event }) => event === undefined));
  t.equal(await http.metric('gaps_total'), missed.length / 2 + silent.comments.length);
});

t.test('where retention overtakes the tail of an instance, its live streams get a gap and the rest', async (t) => {
  const shared = { DATABASE_URL: `file:${join(tempFolder(t), 'log.db')}`, RETENTION_BYTES: '64KiB' };
  // The second hears of what the first publishes only when it publishes itself.
  const [first, second] = await Promise.all([startInstance(t, shared), startInstance(t, { ...shared, POLL_MS: '60000' })]);
  const [elsewhere, here] = [new Http(t, first.url), new Http(t, second.url)];
  const live = await openStream(t, `${second.url}/topics/load/events`);
  const opened = await live.next();
  let last = '';
  // By chance it looks between a commit and its deletion. Then it misses nothing of that round.
  for (let round = 0; round < ROUNDS_MAX && await here.metric('gaps_total') === 0; round++) {
    const ids = await elsewhere.batch(Array.from({ length: 100 }, () => ({ topic: 'load', data: 'x'.repeat(2_048) })));
    await until('retention has deleted the beginning', async () => await elsewhere.metric('log_oldest') > seqOf(ids[50]));
    last = await here.publish('load', 'the last');
    await live.next(({ id }) => id === last);
  }
  const { at, missed } = checked(t, live, seqOf(opened.id));
  t.ok(missed.length > 0);
  t.equal(at, seqOf(last), 'all but what a gap names, once, in order');
  for (const id of missed) t.equal((await here.get(`/messages/${id}`)).status, 404, `${id} is gone`);
  t.equal(await here.metric('gaps_total'), missed.length / 2);
});
