/**
 * Says what a run of the service did wrong, from nothing but what its clients wrote down: what publishers sent and were
 * answered, what each stream received, and what the history shows afterwards. It shares no code with the service.
 */

import { numberOf } from './log-ids.ts';
import { Lost, type Loss, type LostMessage } from './lost.ts';
import { checkReceiver, type ReceiverRecord } from './webhook-checker.ts';

/** One thing that a publisher wanted stored once: all requests it sent for it carry one text that no other has. */
export interface Publication {
  readonly topic: string;
  /** The text that was published, and what it is recognised by. */
  readonly text: string;
  /** When its first request was sent: milliseconds of any clock that streams are noted with too. */
  readonly sentAt: number;
  /** What came back with a 201: once for each of its requests that were answered. */
  readonly answers: readonly PublicationAnswer[];
  /** It had a TTL: nobody need see it. */
  readonly fleeting?: boolean;
  /** The one request sent for it was refused with a code that says that nothing was stored. */
  readonly refused?: string | undefined;
  /** When the first 201 was there. */
  readonly answeredAt?: number | undefined;
}

/** What a 201 said, when its request was sent, and when it came: where a log was lost, that decides what may be missing. */
export interface PublicationAnswer {
  readonly id: string;
  readonly topic: string;
  readonly time: string;
  readonly sentAt?: number;
  readonly at?: number;
}

/** What a stream was handed by its client, in order, over all of its connections. */
export type Entry = (
  | { readonly kind: 'message'; readonly id: string; readonly text: string; /** Where the stream says it. */ readonly topic?: string }
  | { readonly kind: 'gap'; readonly id: string; /** Where the stream stood. */ readonly requested?: string | null; readonly reason: string }
) & { /** When it came. Nothing is decided by it but what may have been lost with a log. */ readonly at?: number };

export interface StreamRecord {
  readonly name: string;
  /** Topics and patterns that it asked for. */
  readonly wants: readonly string[];
  /** What it asked for later, in that order, and up to which id it had what was before. */
  readonly changes?: readonly { readonly after: string; readonly wants: readonly string[] }[];
  /** The cursor of its first `$open`: it gets everything after it. */
  readonly cursor: string;
  /** When that came, by the clock of `Publication.sentAt`. */
  readonly openedAt: number;
  readonly entries: readonly Entry[];
  /** Why a browser would never have come back: it was answered with something else than a stream. */
  readonly gaveUp?: string | undefined;
}

/** A message as GET shows it. */
export interface Stored {
  readonly id: string;
  readonly topic: string;
  readonly data: string;
  readonly time: string;
}

export type FaultKind =
  /** A stream did not get it, and nothing that came after it either. */
  | 'lost'
  /** A stream did not get it, but got later ones, and no `$gap` between them. */
  | 'unannounced gap'
  /** A `$gap`, where the log holds everything. */
  | 'needless gap'
  /** A log was lost, and the `$gap` that says so has not the right reason, or does not go on where the logs part. */
  | 'wrong gap'
  | 'doubled'
  | 'out of order'
  /** A stream got what it did not ask for. */
  | 'wrong topic'
  /** A stream or the history has it with another topic, text or id than it was published with. */
  | 'altered'
  /** A stream or the history has what nobody published. */
  | 'foreign'
  /** A stream was answered in a way that ends a browser's EventSource for good. */
  | 'gave up'
  /** A stream opened before a message was sent begins after it. */
  | 'late start'
  /** It got its 201 and is not in the history. */
  | 'absent'
  /** It was refused as certainly not stored, and is in the history. */
  | 'refused and stored'
  | 'stored twice'
  /** Two answers to requests for one thing name two ids. */
  | 'two answers'
  /** A number of the log is not there. */
  | 'hole'
  | 'history out of order'
  /** A time that is smaller than the one before. */
  | 'time went back';

export interface Fault {
  readonly kind: FaultKind;
  /** The stream, the publication or the number. */
  readonly who: string;
  readonly what: string;
}

/** Stops a run that went wrong altogether from printing for ever. */
const SUMMARY = 20;

export interface Run {
  readonly publications: readonly Publication[];
  readonly streams: readonly StreamRecord[];
  /** Of webhooks. */
  readonly receivers?: readonly ReceiverRecord[];
  /** When a copy took the place of the log, the earliest first. */
  readonly losses?: readonly Loss[];
  /** Everything that the history holds at the end, as it was answered; undefined when nobody looked. */
  readonly history?: readonly Stored[];
  /** The history is shown from after this number on; without it, from the first. */
  readonly behind?: number;
}

/** Everything that was wrong with a run; empty when nothing was. Nothing may have been deleted meanwhile. */
export function check(run: Run): Fault[] {
  const lost = new Lost(run);
  const expected = whatIsStored(run, lost);
  const known = new Map<string, Pick<Expected, 'topic' | 'text'>>([...lost.messages, ...expected.map((message) => [message.id, message] as const)]);
  const log = { expected, known, lost, topics: topicsOf(expected) };
  return [
    ...run.publications.flatMap((publication) => checkAnswers(publication, lost)),
    ...(run.history === undefined ? [] : checkHistory(run.history, run.publications, lost, run.behind ?? 0)),
    ...run.streams.flatMap((stream) => checkStream(stream, log, run.publications)),
    ...(run.receivers ?? []).flatMap((receiver) => checkReceiver(receiver, { owed: owedTo(receiver, expected), known, lost })),
  ];
}

/** Faults for people: those of one kind and one stream in one line, since what is wrong once is mostly wrong often. */
export function summarise(faults: readonly Fault[]): string[] {
  return [...Map.groupBy(faults, ({ kind, who }) => `${kind}: ${who}`)].map(([name, some]) => `${name}: ${some.length}, first ${some[0]!.what}`).slice(0, SUMMARY);
}

/** What each stream has to get and has not got: ids. */
export function missing(run: Run): Set<string>[] {
  const expected = whatIsStored(run, new Lost(run));
  const topics = topicsOf(expected);
  return run.streams.map((stream) => {
    const wanted = wantedOf(stream, topics);
    const ids = new Set(expected.filter((message) => isOwed(message, stream, wanted)).map(({ id }) => id));
    for (const { id } of stream.entries) ids.delete(id);
    return ids;
  });
}

/** What the receiver of each webhook has to take and has not taken: ids. */
export function untaken(run: Run): Set<string>[] {
  const expected = whatIsStored(run, new Lost(run));
  return (run.receivers ?? []).map((receiver) => {
    const taken = new Set(receiver.entries.filter(({ takenAt }) => takenAt !== undefined).map(({ id }) => id));
    return new Set(owedTo(receiver, expected).map(({ id }) => id).filter((id) => !taken.has(id)));
  });
}

function owedTo({ cursor, wants }: ReceiverRecord, expected: readonly Expected[]): Expected[] {
  return expected.filter(({ number, topic, fleeting }) => !fleeting && number > numberOf(cursor) && wants.some((pattern) => fits(pattern, topic)));
}

interface Expected {
  readonly id: string;
  readonly number: number;
  readonly topic: string;
  readonly text: string;
  readonly fleeting: boolean;
}

/** By their numbers: what was answered and not lost, and what is in the history though its answer was lost. */
function whatIsStored({ publications, history }: Run, lost: Lost): Expected[] {
  const byId = new Map<string, Expected>();
  for (const { topic, text, answers, fleeting } of publications) {
    for (const { id } of answers) if (!lost.messages.has(id)) byId.set(id, { id, number: numberOf(id), topic, text, fleeting: fleeting === true });
  }
  for (const { id, topic, data } of history ?? []) if (!byId.has(id)) byId.set(id, { id, number: numberOf(id), topic, text: data, fleeting: false });
  return [...byId.values()].sort((one, other) => one.number - other.number);
}

function topicsOf(expected: readonly Expected[]): readonly string[] {
  return [...new Set(expected.map(({ topic }) => topic))];
}

/** Which of all topics there are a stream asked for, after which number. */
type Wanted = readonly { readonly after: number; readonly topics: ReadonlySet<string> }[];

function wantedOf({ wants, changes = [] }: StreamRecord, topics: readonly string[]): Wanted {
  return [{ after: -1, wants }, ...changes.map(({ after, wants: later }) => ({ after: numberOf(after), wants: later }))]
    .map(({ after, wants: names }) => ({ after, topics: new Set(topics.filter((topic) => names.some((pattern) => fits(pattern, topic)))) }));
}

function isWanted(topic: string, number: number, wanted: Wanted): boolean {
  return wanted.findLast(({ after }) => after < number)!.topics.has(topic);
}

function isOwed({ number, topic, fleeting }: Expected, { cursor }: StreamRecord, wanted: Wanted): boolean {
  return !fleeting && number > numberOf(cursor) && isWanted(topic, number, wanted);
}

function checkAnswers({ topic, text, answers }: Publication, lost: Lost): Fault[] {
  const faults: Fault[] = [];
  // One that was lost may be followed by another, but not before a copy took over.
  const ids = [...new Set(answers.map(({ id }) => id))].filter((id) => {
    const loss = lost.messages.get(id)?.loss;
    return loss === undefined || answers.some((answer) => answer.id !== id && (answer.at ?? 0) < loss.tookOverAt);
  });
  if (ids.length > 1) faults.push({ kind: 'two answers', who: text, what: ids.join(', ') });
  for (const answer of answers) {
    if (answer.topic !== topic) faults.push({ kind: 'altered', who: text, what: `sent to ${topic}, answered with ${answer.topic}` });
  }
  return faults;
}

function checkHistory(history: readonly Stored[], publications: readonly Publication[], lost: Lost, behind: number): Fault[] {
  const faults: Fault[] = [];
  const byId = new Map(history.map((message) => [message.id, message]));
  const idsOf = Map.groupBy(history, ({ data }) => data);
  const published = new Map(publications.map((publication) => [publication.text, publication]));

  for (const { text, answers, fleeting, refused } of publications) {
    if (refused !== undefined && idsOf.has(text)) faults.push({ kind: 'refused and stored', who: text, what: `${refused}, and it is ${idsOf.get(text)![0]!.id}` });
    const answer = answers.find(({ id }) => !lost.messages.has(id));
    if (answer === undefined || fleeting === true) continue;
    const stored = byId.get(answer.id);
    if (stored === undefined) faults.push({ kind: 'absent', who: text, what: answer.id });
    else if (!idsOf.has(text)) faults.push({ kind: 'absent', who: text, what: `${answer.id} is ${JSON.stringify(stored.data)}` });
    else if (stored.data !== text || stored.topic !== answer.topic || stored.time !== answer.time) {
      faults.push({ kind: 'altered', who: text, what: `${JSON.stringify(stored)}, answered with ${JSON.stringify(answer)}` });
    }
  }
  for (const [text, messages] of idsOf) {
    if (messages.length > 1) faults.push({ kind: 'stored twice', who: text, what: messages.map(({ id }) => id).join(', ') });
    const publication = published.get(text);
    if (publication === undefined) faults.push({ kind: 'foreign', who: 'history', what: JSON.stringify(messages[0]) });
    else if (messages[0]!.topic !== publication.topic) faults.push({ kind: 'altered', who: text, what: `sent to ${publication.topic}, stored for ${messages[0]!.topic}` });
  }
  return [...faults, ...checkNumbers(history, publications, behind)];
}

function checkNumbers(history: readonly Stored[], publications: readonly Publication[], behind: number): Fault[] {
  const faults: Fault[] = [];
  // What had a TTL is a number too, and need not be shown.
  const hidden = new Set(publications.filter(({ fleeting }) => fleeting === true).flatMap(({ answers }) => answers.map(({ id }) => numberOf(id))));
  let last = behind;
  let time = '';
  for (const message of history) {
    const number = numberOf(message.id);
    if (number <= last) faults.push({ kind: 'history out of order', who: message.id, what: `after ${last}` });
    for (let missing = last + 1; missing < number; missing++) {
      if (!hidden.has(missing)) faults.push({ kind: 'hole', who: String(missing), what: `between ${last} and ${number}` });
    }
    if (message.time < time) faults.push({ kind: 'time went back', who: message.id, what: `${time}, then ${message.time}` });
    last = Math.max(last, number);
    ({ time } = message);
  }
  return faults;
}

interface Log {
  readonly expected: readonly Expected[];
  /** What is stored, and what was lost. */
  readonly known: ReadonlyMap<string, Pick<Expected, 'topic' | 'text'>>;
  readonly lost: Lost;
  readonly topics: readonly string[];
}

function checkStream(stream: StreamRecord, { expected, known, lost, topics }: Log, publications: readonly Publication[]): Fault[] {
  const faults: Fault[] = [];
  const fault = (kind: FaultKind, what: string): void => void faults.push({ kind, who: stream.name, what });
  const wanted = wantedOf(stream, topics);
  const seen = new Set<string>();
  if (stream.gaveUp !== undefined) fault('gave up', stream.gaveUp);
  // A stream never goes back to before the place where it began.
  let furthest = numberOf(stream.cursor);
  /** What it got last that was lost, while no `$gap` has said so. */
  let astray: LostMessage | undefined;
  /** When a `$gap` last said that a log was lost. */
  let partedAt = 0;

  for (const entry of stream.entries) {
    if (entry.kind === 'gap') {
      astray = undefined;
      if (lost.isParting(entry)) {
        furthest = numberOf(entry.id);
        partedAt = entry.at ?? 0;
      } else {
        const { requested = null } = entry;
        fault(requested !== null && lost.isBeyond(requested) ? 'wrong gap' : 'needless gap', `${entry.reason} after ${requested}, goes on at ${entry.id}`);
      }
      continue;
    }
    const { id, text, topic } = entry;
    const message = known.get(id);
    if (seen.has(id)) fault('doubled', id);
    else if (numberOf(id) <= furthest) fault('out of order', `${id} after ${furthest}`);
    const gone = lost.messages.get(id);
    if (message === undefined) fault('foreign', `${id}: ${text}`);
    else {
      if (gone !== undefined && gone.loss.tookOverAt < partedAt) fault('foreign', `${id}, which was lost before the $gap`);
      if (gone === undefined && astray !== undefined) fault('unannounced gap', `${id} after ${astray.id}, which was lost`);
      astray = gone;
      // In a log that was lost, its topics may have changed at numbers that are other messages now.
      if (gone === undefined && !isWanted(message.topic, numberOf(id), wanted)) fault('wrong topic', `${id} of ${message.topic}`);
      if (message.text !== text || (topic !== undefined && message.topic !== topic)) fault('altered', `${id}: ${topic} ${text}, published ${message.topic} ${message.text}`);
    }
    seen.add(id);
    furthest = Math.max(furthest, numberOf(id));
  }

  for (const message of expected) {
    if (!isOwed(message, stream, wanted) || seen.has(message.id)) continue;
    fault(message.number < furthest ? 'unannounced gap' : 'lost', `${message.id} of ${message.topic}`);
  }
  for (const { sentAt, answers, text } of publications) {
    const [answer] = answers;
    if (answer !== undefined && sentAt > stream.openedAt && numberOf(answer.id) <= numberOf(stream.cursor)) {
      fault('late start', `begins at ${stream.cursor}, but ${text} was sent later and is ${answer.id}`);
    }
  }
  return faults;
}

/** Whether a topic fits a pattern, the simplest way: `*` is one segment, `>` at the end is one or more. */
export function fits(pattern: string, topic: string): boolean {
  const [head, ...rest] = pattern.split('.');
  const [segment, ...segments] = topic.split('.');
  if (head === '>') return true;
  if (head !== '*' && head !== segment) return false;
  if (rest.length === 0 || segments.length === 0) return rest.length === 0 && segments.length === 0;
  return fits(rest.join('.'), segments.join('.'));
}
