import t from 'tap';
import { check, fits, missing, summarise, type Entry, type FaultKind, type Publication, type Run, type Stored, type StreamRecord } from '../support/checker.ts';

/** A checker that finds nothing is worth nothing: here it is shown histories that are damaged, and has to say how. */

const COUNT = 12;

function idOf(number: number): string {
  return `epochone-${number}`;
}

function topicOf(number: number): string {
  return number % 3 === 0 ? 'a.c' : 'a.b';
}

function timeOf(number: number): string {
  return new Date(1_000 * number).toISOString();
}

function publication(number: number): Publication {
  return { topic: topicOf(number), text: `text ${number}`, sentAt: number, answers: [{ id: idOf(number), topic: topicOf(number), time: timeOf(number) }] };
}

function stored(number: number): Stored {
  return { id: idOf(number), topic: topicOf(number), data: `text ${number}`, time: timeOf(number) };
}

function entry(number: number): Entry {
  return { kind: 'message', id: idOf(number), text: `text ${number}` };
}

const numbers = Array.from({ length: COUNT }, (_, index) => index + 1);
const all: StreamRecord = { name: 'all', wants: ['a.*'], cursor: idOf(0), openedAt: 0, entries: numbers.map(entry) };
const some: StreamRecord = { name: 'some', wants: ['a.b', 'x'], cursor: idOf(2), openedAt: 2.5, entries: numbers.filter((number) => number > 2 && number % 3 !== 0).map(entry) };
const sound: Run = { publications: numbers.map(publication), streams: [all, some], history: numbers.map(stored) };

/** What is found when one stream's entries, the history or the publications are other ones. */
function found(damage: Partial<Run> & { readonly entries?: readonly Entry[] }): string[] {
  const { entries, ...run } = damage;
  const faults = check({ ...sound, ...run, ...(entries === undefined ? {} : { streams: [{ ...all, entries }, some] }) });
  return faults.map(({ kind, who }) => `${kind}: ${who}`);
}

function only(kind: FaultKind, who: string): string[] {
  return [`${kind}: ${who}`];
}

t.test('a sound run has no faults, and a stream is owed matching messages after its cursor', async (t) => {
  t.same(check(sound), []);
  t.same(missing(sound).map(({ size }) => size), [0, 0]);
  const empty = sound.streams.map((stream) => ({ ...stream, entries: [] }));
  t.same(missing({ ...sound, streams: empty }).map(({ size }) => size), [COUNT, 6]);
});

t.test('a damaged stream is named with its fault', async (t) => {
  const entries = all.entries;
  t.same(found({ entries: entries.toSpliced(5, 1) }), only('unannounced gap', 'all'), 'one in the middle is missing');
  t.same(found({ entries: entries.slice(0, -1) }), only('lost', 'all'), 'the last one is missing');
  t.same(found({ entries: entries.slice(0, -3) }), ['lost: all', 'lost: all', 'lost: all'], 'the last ones are missing');
  t.same(found({ entries: [] }).length, COUNT, 'a stream that got nothing lost everything');
  t.same(found({ entries: entries.toSpliced(5, 0, entry(6)) }), only('doubled', 'all'), 'one came twice in a row');
  t.same(found({ entries: [...entries, entry(2)] }), only('doubled', 'all'), 'one came again much later');
  t.same(found({ entries: entries.with(5, entry(7)).with(6, entry(6)) }), only('out of order', 'all'), 'two changed places');
  t.same(found({ entries: [...entries, entry(99)] }), only('foreign', 'all'), 'one was published by nobody');
  t.same(found({ entries: entries.with(5, { kind: 'message', id: idOf(6), text: 'text 7' }) }), only('altered', 'all'), 'one has the text of another');
  t.same(found({ entries: entries.with(5, { kind: 'message', id: idOf(6), text: 'text 6', topic: 'a.b' }) }), only('altered', 'all'), 'one says another topic');
  t.same(found({ entries: entries.toSpliced(5, 0, { kind: 'gap', id: idOf(5), reason: 'expired' }) }), only('needless gap', 'all'), 'a gap where nothing is missing');
  t.same(found({ streams: [{ ...some, entries: [...some.entries, entry(12)] }] }), only('wrong topic', 'some'), 'one that was not asked for');
  t.same(found({ streams: [{ ...some, entries: [entry(2), ...some.entries] }] }), only('out of order', 'some'), 'what lies before the place where it began');
  t.same(found({ streams: [{ ...some, openedAt: 1.5, cursor: idOf(2) }] }), only('late start', 'some'), 'it begins after what was sent after it was open');
});

t.test('a frequent fault is reported once, with its count', async (t) => {
  const faults = check({ ...sound, streams: [{ ...all, entries: all.entries.slice(0, -3) }, { ...some, entries: some.entries.toSpliced(1, 1) }] });
  t.same(summarise(faults), ['lost: all: 3, first epochone-10 of a.b', 'unannounced gap: some: 1, first epochone-5 of a.b']);
});

t.test('a message in another epoch with the same number is another message', async (t) => {
  const entries = all.entries.with(5, { kind: 'message', id: 'epochtwo-6', text: 'text 6' });
  t.same(found({ entries }), ['foreign: all', 'unannounced gap: all']);
});

t.test('a damaged history is named with its fault', async (t) => {
  const history = sound.history!;
  const streams: StreamRecord[] = [];
  t.same(found({ streams, history: history.slice(0, -1) }), only('absent', 'text 12'), 'acknowledged and not there');
  t.same(found({ streams, history: history.toSpliced(5, 1) }), ['absent: text 6', 'hole: 6'], 'in the middle it leaves a hole');
  t.same(found({ streams, history: [...history, { ...stored(14), data: 'text 3', topic: 'a.c' }] }), ['stored twice: text 3', 'hole: 13'], 'twice, and a number skipped');
  t.same(found({ streams, history: history.with(5, stored(7)).with(6, stored(6)) }), ['hole: 6', 'history out of order: epochone-6', 'time went back: epochone-6'], 'two changed places');
  t.same(found({ streams, history: history.with(5, { ...stored(6), topic: 'a.b' }) }), ['altered: text 6', 'altered: text 6'], 'another topic');
  t.same(found({ streams, history: history.with(5, { ...stored(6), time: timeOf(7) }) }), only('altered', 'text 6'), 'another time than was answered');
  t.same(found({ streams, history: [...history, { ...stored(13), data: 'what is this' }] }), only('foreign', 'history'), 'what nobody sent');
});

t.test('a damaged publisher is named with its fault', async (t) => {
  const replace = (number: number, answers: Publication['answers']): Partial<Run> => ({
    streams: [], publications: sound.publications.with(number - 1, { ...publication(number), answers }),
  });
  const [answer] = publication(5).answers;
  t.same(found(replace(5, [answer!, answer!])), [], 'the same answer again is what a retry gets');
  t.same(found(replace(5, [answer!, { ...answer!, id: idOf(4) }])), only('two answers', 'text 5'));
  t.same(found(replace(5, [{ ...answer!, topic: 'a.x' }])).sort(), ['altered: text 5', 'altered: text 5'], 'the answer and the history disagree');
  t.same(found(replace(5, [])), [], 'without an answer it may be there or not');
});

t.test('what had a TTL may be seen or not, and its number is no hole', async (t) => {
  const publications = sound.publications.with(5, { ...publication(6), fleeting: true });
  const history = sound.history!.toSpliced(5, 1);
  t.same(found({ publications, history }), []);
  t.same(found({ publications, history, entries: all.entries.toSpliced(5, 1) }), []);
  t.same(found({ publications, history, entries: all.entries.toSpliced(4, 2) }), only('unannounced gap', 'all'));
});

t.test('the matcher of the checker knows the rules', async (t) => {
  for (const [pattern, topic] of [['a', 'a'], ['a.b', 'a.b'], ['*', 'a'], ['a.*', 'a.b'], ['*.b', 'a.b'], ['*.*', 'a.b'], ['>', 'a'], ['>', 'a.b.c'], ['a.>', 'a.b'], ['a.>', 'a.b.c'], ['*.>', 'a.b.c']] as const) {
    t.ok(fits(pattern, topic), `${pattern} takes ${topic}`);
  }
  for (const [pattern, topic] of [['a', 'b'], ['a', 'a.b'], ['a.b', 'a'], ['*', 'a.b'], ['a.*', 'a'], ['a.*', 'a.b.c'], ['a.>', 'a'], ['a.>', 'b.c'], ['*.>', 'a']] as const) {
    t.notOk(fits(pattern, topic), `${pattern} leaves ${topic}`);
  }
});
