import t from 'tap';
import { openStream } from '../support/client.ts';
import { each, Http, seqOf } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';

const MIB = 1024 * 1024;
const MESSAGE_BYTES = 128 * 1024;
const RETENTION_BYTES = 4 * MIB;

t.test('a slow reader that retention overtakes is told in the middle of its stream what it missed, and gets the rest', async (t) => {
  const instance = await startInstance(t, { RETENTION_BYTES: '4MiB', TAIL_BYTES: '1MiB', HEARTBEAT_SECONDS: '3600', STALL_SECONDS: '3600', POLL_MS: '50' });
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
  const oldest = await http.metric('log_oldest');

  slow.resume();
  await slow.next(({ id }) => id !== undefined && seqOf(id) === published);
  const messages = slow.events.filter(({ event }) => event === undefined).map(({ id }) => seqOf(id));
  const gaps = slow.events.filter(({ event }) => event === '$gap');
  t.equal(gaps.length, 1);
  const at = slow.events.indexOf(gaps[0]!);
  const before = slow.events[at - 1]!.id!;
  const resumed = opened.id!.replace(/\d+$/, String(oldest - 1));
  t.same(JSON.parse(gaps[0]!.data), { requested: before, resumed, oldest: slow.events[at + 1]!.id, reason: 'expired' });
  t.equal(gaps[0]!.id, resumed);
  t.ok(seqOf(before) > 1 && seqOf(before) <= fellBehindAt, `it was told behind ${seqOf(before)}`);
  const expected = Array.from({ length: published }, (_, index) => index + 1).filter((seq) => seq <= seqOf(before) || seq >= oldest);
  t.same(messages, expected, 'all but what the gap names, once, in order');

  silent.resume();
  await silent.next(({ id }) => id !== undefined && seqOf(id) === published);
  t.same(silent.comments.map((comment) => comment.trim()), [`gap expired, resumed at ${resumed}`], 'as a comment where no control events are wanted');
  t.ok(silent.events.every(({ event }) => event === undefined));
  t.equal(await http.metric('gaps_total'), 2);
});
