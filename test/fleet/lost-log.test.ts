import t from 'tap';
import { check, missing, type Entry, type Publication, type PublicationAnswer, type Run, type Stored } from '../support/checker.ts';
import type { Loss } from '../support/lost.ts';

/**
 * What the checker allows, and does not, where a copy took the place of the log: `one-1` to `one-6` are in the copy. After it came `one-7`, `one-8`, and
 * an epoch with `two-9` and `two-10`; in the copy's own epoch the log goes on with `new-7`.
 */
const LOSS: Loss = { copiedAt: 66, tookOverAt: 106 };

interface Said {
  readonly text: number;
  readonly id: string;
  readonly sentAt?: number;
}

function answer({ text, id, sentAt = 10 * text }: Said): PublicationAnswer {
  return { id, topic: 'a', time: '2026', sentAt, at: sentAt + 5 };
}

/** Each text is published at ten times its number, and answered five later. */
function publication(text: number, ...answers: readonly Omit<Said, 'text'>[]): Publication {
  const all = answers.map((one) => answer({ text, ...one }));
  return { topic: 'a', text: `text ${text}`, sentAt: 10 * text, answers: all, answeredAt: all[0]?.at };
}

function entry(text: number, id: string, at = 10 * text + 6): Entry {
  return { kind: 'message', id, text: `text ${text}`, at };
}

function gap(id: string, requested: string, reason = 'forked', at = 115): Entry {
  return { kind: 'gap', id, requested, reason, at };
}

const SHARED = [1, 2, 3, 4, 5, 6];

const publications: readonly Publication[] = [
  ...SHARED.map((text) => publication(text, { id: `one-${text}` })),
  publication(7, { id: 'one-7' }),
  // Its publisher asked again when it was lost.
  publication(8, { id: 'one-8' }, { id: 'new-7', sentAt: 110 }),
  // Its 201 was lost with it.
  publication(9),
  publication(10, { id: 'two-10' }),
  publication(12, { id: 'new-8' }),
  publication(13, { id: 'new-9' }),
];
const history: readonly Stored[] = [...SHARED.map((text) => [text, `one-${text}`] as const), [8, 'new-7'] as const, [12, 'new-8'] as const, [13, 'new-9'] as const]
  .map(([text, id]) => ({ id, topic: 'a', data: `text ${text}`, time: '2026' }));
const shared = SHARED.map((text) => entry(text, `one-${text}`));
const lost = [entry(7, 'one-7'), entry(8, 'one-8'), entry(9, 'two-9'), entry(10, 'two-10')];
const fresh = [entry(8, 'new-7', 116), entry(12, 'new-8'), entry(13, 'new-9')];
const told = gap('one-6', 'two-10');

function run(entries: readonly Entry[], other: Partial<Run> = {}): Run {
  return { publications, history, losses: [LOSS], streams: [{ name: 'all', wants: ['a'], cursor: 'one-0', openedAt: 0, entries }], ...other };
}

/** The kinds of what is wrong, each once. */
function found(entries: readonly Entry[], other: Partial<Run> = {}): string[] {
  return [...new Set(check(run(entries, other)).map(({ kind, who }) => `${kind}: ${who}`))].sort();
}

const right = [...shared, ...lost, told, ...fresh];

t.test('messages stored after the copy may be lost, if streams that had them are told where the logs part', async (t) => {
  t.same(found(right), []);
  t.same(found([...shared, ...lost.slice(0, 2), gap('one-6', 'two-9', 'ahead'), ...fresh]), [], 'a stream that had read only some of it, and stood behind it');
  t.same(found([...shared, ...fresh]), [], 'a stream that was away meanwhile');
  t.same(missing(run(shared)).map((ids) => [...ids]), [['new-7', 'new-8', 'new-9']]);
  t.same(found(right, { losses: [] }), ['absent: text 10', 'absent: text 7', 'absent: text 8', 'foreign: all', 'needless gap: all', 'out of order: all', 'two answers: text 8'], 'without a copy it is all wrong');
});

t.test('nothing else may be lost', async (t) => {
  t.same(found([...shared, ...fresh], { losses: [{ ...LOSS, copiedAt: 76 }] }), ['absent: text 7', 'unannounced gap: all'], 'its 201 came before the copy');
  t.same(found([...shared, entry(7, 'one-7', 60), told, ...fresh]), ['absent: text 7'], 'a stream had it before the copy');
  t.same(found([...shared, ...fresh], { losses: [{ ...LOSS, tookOverAt: 99 }] }), ['absent: text 10', 'lost: all'], 'it was asked for after the copy took over');
  const replayed = publications.with(9, publication(10, { id: 'two-10' }, { id: 'two-10', sentAt: 120 }));
  t.same(found([...shared, ...fresh], { publications: replayed }), ['absent: text 10', 'lost: all'], 'it was answered again after the copy took over');
  t.same(found([...shared, ...fresh], { publications: publications.with(6, publication(7, { id: 'two-5' })) }), ['absent: text 7', 'unannounced gap: all'], 'it stands before what the copy must hold');
  const later = history.with(-1, { ...history.at(-1)!, id: 'one-9' });
  t.ok(found([...shared, ...fresh], { history: later }).includes('absent: text 7'), 'something of its epoch is there that came after it');
  t.same(found([...shared, ...fresh], { history: history.toSpliced(2, 1) }), ['absent: text 3', 'hole: 3'], 'in the middle of the copy');
  t.same(found(right, { publications: publications.filter(({ text }) => text !== 'text 9') }), ['foreign: all'], 'nobody published it');
  t.same(found([...shared, entry(6, 'two-9', 96), told, ...fresh]), ['foreign: all'], 'its publisher was answered before, with another id');
});

t.test('a publisher that asks again gets another id only after the copy took over', async (t) => {
  const two = publications.with(7, publication(8, { id: 'one-8' }, { id: 'new-7', sentAt: 90 }));
  t.same(found(right, { publications: two }), ['two answers: text 8']);
  const both = publications.with(7, publication(8, { id: 'one-8' }, { id: 'two-9', sentAt: 90 }));
  t.ok(found([...shared, ...fresh], { publications: both }).includes('two answers: text 8'), 'twice in the log that was lost');
});

t.test('a stream that is told wrongly, or not, is named', async (t) => {
  t.same(found([...shared, ...lost, ...fresh]), ['out of order: all', 'unannounced gap: all'], 'it is not told');
  t.same(found([...shared, ...lost, gap('new-0', 'two-10', 'unknown-log'), ...shared, ...fresh]), ['doubled: all', 'out of order: all', 'wrong gap: all'], 'everything comes again');
  t.same(found([...shared, ...lost, gap('one-6', 'two-10', 'expired'), ...fresh]), ['out of order: all', 'wrong gap: all'], 'another reason');
  t.same(found([...shared, ...lost, gap('one-4', 'two-10'), ...shared.slice(4), ...fresh]), ['doubled: all', 'out of order: all', 'wrong gap: all'], 'it goes on before the logs part');
  t.same(found([...shared, ...lost, gap('one-7', 'two-10'), ...fresh]), ['out of order: all', 'wrong gap: all'], 'it goes on at what was lost');
  t.same(found([...shared, gap('one-6', 'two-5'), ...fresh]), ['wrong gap: all'], 'it stood nowhere that was lost');
  t.same(found([...shared, ...lost, gap('new-7', 'two-10'), ...fresh.slice(1)]), ['unannounced gap: all'], 'it goes on after the logs part');
  t.same(found([...shared, ...lost, gap('one-6', 'two-10', 'forked', 100), ...fresh]), ['out of order: all', 'wrong gap: all'], 'nothing is lost yet');
  t.same(found([...right, gap('one-6', 'new-9')]), ['needless gap: all'], 'it stood in the log that goes on');
  t.same(found([...shared, ...lost.slice(0, 2), told, lost[2]!, ...fresh]), ['foreign: all', 'out of order: all', 'unannounced gap: all'], 'what was lost comes after it was told');
  t.same(found([...shared, lost[0]!, { ...lost[1]!, id: 'one-7' }, told, ...fresh]), ['altered: all', 'doubled: all'], 'an id means two messages');
});
