import t from 'tap';
import { check, untaken, type Run, type Stored } from '../support/checker.ts';
import type { Delivered, ReceiverRecord } from '../support/webhook-checker.ts';

/** Five messages, of which the webhook wants all but the fourth. */
const MESSAGES = [1, 2, 3, 4, 5];
const OTHER = 4;

function idOf(seq: number, epoch = 'abcdefgh'): string {
  return `${epoch}-${seq}`;
}

function topicOf(seq: number): string {
  return seq === OTHER ? 'b' : 'a';
}

const history: readonly Stored[] = MESSAGES.map((seq) => ({ id: idOf(seq), topic: topicOf(seq), data: `text ${seq}`, time: '2026-11-30T10:00:00.000Z' }));
const publications = history.map(({ id, topic, data, time }, index) => ({ topic, text: data, sentAt: index, answers: [{ id, topic, time, sentAt: index, at: index }] }));

/** A delivery of a message. It is taken before the next one comes. */
function got(seq: number, at: number, more: Partial<Delivered> = {}): Delivered {
  return { kind: 'message', id: idOf(seq), text: `text ${seq}`, topic: topicOf(seq), at, takenAt: at + 0.5, ...more } as Delivered;
}

function runOf(entries: readonly Delivered[], more: Partial<Run> = {}): Run {
  const receiver: ReceiverRecord = { name: 'webhook 0', wants: ['a'], cursor: idOf(0), entries };
  return { publications, streams: [], receivers: [receiver], history, ...more };
}

/** What the checker says, without the texts. */
function faultsOf(entries: readonly Delivered[], more: Partial<Run> = {}): string[] {
  return check(runOf(entries, more)).map(({ kind, who, what }) => `${who}: ${kind} ${what.split(' ')[0]}`);
}

const GOOD = [got(1, 1), got(2, 2), got(3, 3), got(5, 5)];

t.test('a webhook that delivers everything in order has no fault, also where deliveries fail, and come again', async (t) => {
  t.same(faultsOf(GOOD), []);
  t.same(faultsOf([got(1, 1, { takenAt: undefined }), got(1, 2), got(2, 3), got(1, 4), got(2, 5), got(3, 6), got(5, 7), got(2, 8)]), []);
});

t.test('the checker names each planted fault', async (t) => {
  for (const [what, entries, faults] of [
    ['never sent', [GOOD[0], GOOD[1], GOOD[3]], ['lost abcdefgh-3']],
    ['never taken', [GOOD[0], GOOD[1], GOOD[2], got(5, 5, { takenAt: undefined })], ['lost abcdefgh-5']],
    ['swapped', [GOOD[0], got(3, 2), got(2, 3), GOOD[3]], ['out of order abcdefgh-2']],
    ['sent before the one before it was taken', [GOOD[0], got(2, 2, { takenAt: 3.5 }), GOOD[2], GOOD[3]], ['out of order abcdefgh-3']],
    ['doubled with another id', [...GOOD, got(5, 6, { id: idOf(6) })], ['doubled text']],
    ['doubled with the id of another message', [...GOOD, got(1, 6, { id: idOf(2) })], ['doubled text']],
    ['never published', [...GOOD, got(6, 6)], ['foreign abcdefgh-6:']],
    ['another text', [GOOD[0], GOOD[1], got(3, 3, { text: 'another' }), GOOD[3]], ['altered abcdefgh-3:']],
    ['another topic', [...GOOD.slice(0, 3), got(4, 4), GOOD[3]], ['wrong topic abcdefgh-4']],
    ['a gap where nothing is missing', [...GOOD, { kind: 'gap', id: idOf(5), requested: idOf(5), reason: 'expired', at: 6 }], ['needless gap expired']],
  ] as readonly (readonly [string, readonly Delivered[], readonly string[]])[]) {
    t.same(faultsOf(entries), faults.map((fault) => `webhook 0: ${fault}`), what);
  }
});

t.test('what was lost with a log may have come, and its numbers are other messages later', async (t) => {
  const losses = [{ copiedAt: 3.5, tookOverAt: 10 }];
  const later = { id: idOf(4, 'lostepoch'), topic: 'a', time: '2026-11-30T10:00:00.000Z' };
  const lostOne = { topic: 'a', text: 'lost', sentAt: 4, answers: [{ ...later, sentAt: 4, at: 5 }] };
  const stored = history.map((message) => message.id === idOf(4) || message.id === idOf(5) ? { ...message, id: message.id.replace('abcdefgh', 'newepoch') } : message);
  const published = publications.map((one, index) => index < 3 ? one : { ...one, sentAt: 11, answers: one.answers.map((answer) => ({ ...answer, id: answer.id.replace('abcdefgh', 'newepoch'), sentAt: 11, at: 12 })) });
  const more = { losses, history: stored, publications: [...published, lostOne] };
  const lost = got(4, 6, { id: later.id, text: 'lost', topic: 'a' });
  const end = got(5, 13, { id: idOf(5, 'newepoch') });
  const gap: Delivered = { kind: 'gap', id: idOf(3), requested: later.id, reason: 'forked', at: 12, takenAt: 12 };
  t.same(faultsOf([...GOOD.slice(0, 3), lost, gap, end], more), []);
  // Its cursor was in the copy: it goes on there, and nothing is to be said.
  t.same(faultsOf([...GOOD.slice(0, 3), lost, got(3, 12), end], more), []);
  t.same(faultsOf([...GOOD.slice(0, 3), lost, gap], more), ['webhook 0: lost newepoch-5']);
});

t.test('what is awaited of each receiver is what it has not taken', async (t) => {
  t.same(untaken(runOf([got(1, 1), got(2, 2, { takenAt: undefined })])).map((ids) => [...ids]), [[idOf(2), idOf(3), idOf(5)]]);
});
