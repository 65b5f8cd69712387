import { fits } from '../support/checker.ts';
import type { ClientRecord, Entry, Publication, Run } from './record.ts';

/** What must hold, whatever happens: by these names a fault is reported. */
export type Invariant =
  /** A message that lies after a client's start, and was neither handed to it nor announced by a gap; nothing after it either. */
  | 'lost'
  /** The same, and the client was handed what lies after it. */
  | 'unannounced gap'
  /** The client was told a place that lies after a message that it had not been handed: cut there, it would come back without it. */
  | 'cursor ahead of its frames'
  /** A gap over messages that the log holds, or without any reason. */
  | 'needless gap'
  | 'doubled'
  | 'out of order'
  | 'wrong topic'
  /** One id, two messages; or one message, two ids. */
  | 'id not unique'
  /** A stream that was open before a message was sent begins after it. */
  | 'late start'
  | 'acknowledged and absent'
  | 'stored twice'
  /** The publisher was told that it was not stored. */
  | 'refused and stored'
  /** Of messages that were published together. */
  | 'stored in part'
  /** A publisher that tried again and again, also when all was well, was never answered. */
  | 'never answered'
  | 'key reused'
  /** A number of the log that no message has. */
  | 'hole'
  /** What nobody published. */
  | 'foreign'
  /** What is not of the protocol. */
  | 'strange'
  /** An error that nobody caught: the process would have ended. */
  | 'crash';

export interface Fault {
  readonly invariant: Invariant;
  readonly who: string;
  readonly what: string;
}

interface Place {
  readonly epoch: string;
  readonly seq: number;
}

interface Known extends Place {
  readonly id: string;
  readonly text: string;
  readonly topic: string;
  readonly isFleeting: boolean;
}

interface Wanted {
  readonly topics: ReadonlySet<string>;
  readonly wanted: readonly Known[];
}

/** Says what was wrong with a run, from what publishers and clients wrote down. Empty when nothing was. */
export function check(run: Run): Fault[] {
  return new Checker(run).check();
}

class Checker {
  readonly #run: Run;
  readonly #faults: Fault[] = [];
  readonly #published: ReadonlyMap<string, Publication>;
  /** All messages that are known to have been in the log at some time: answered, found in it at the end, or handed to anybody. By id, and by number. */
  readonly #known = new Map<string, Known>();
  #inOrder: readonly Known[] = [];
  readonly #wanted = new Map<string, Wanted>();

  constructor(run: Run) {
    this.#run = run;
    this.#published = new Map(run.publications.flatMap((publication) => publication.texts.map((text) => [text, publication] as const)));
  }

  check(): Fault[] {
    const { crashes, publications, clients, history } = this.#run;
    for (const crash of crashes) this.#fault('crash', 'an instance', crash instanceof Error ? crash.stack ?? crash.message : String(crash));
    for (const { answers, texts } of publications) for (const { ids } of answers) ids.forEach((id, index) => this.#know(id, texts[index]!));
    for (const { id, text } of history) this.#know(id, text);
    for (const { entries } of clients) for (const entry of entries) if (entry.kind === 'message') this.#know(entry.id, entry.text);
    this.#inOrder = [...this.#known.values()].sort((one, other) => one.seq - other.seq || (one.epoch < other.epoch ? -1 : 1));
    for (const publication of publications) this.#checkPublication(publication);
    this.#checkHistory();
    for (const client of clients) this.#checkClient(client);
    return this.#faults;
  }

  #fault(invariant: Invariant, who: string, what: string): void {
    this.#faults.push({ invariant, who, what });
  }

  #know(id: string, text: string): void {
    const before = this.#known.get(id);
    if (before !== undefined) {
      if (before.text !== text) this.#fault('id not unique', id, `${before.text} and ${text}`);
      return;
    }
    const publication = this.#published.get(text);
    if (publication === undefined) this.#fault('foreign', id, text);
    this.#known.set(id, { id, ...placeOf(id), text, topic: publication?.topic ?? '', isFleeting: publication?.isFleeting ?? false });
  }

  /** Whether a place is still one in a log that has come as far as `epoch`: no older copy has taken its place since. */
  #isHeld({ epoch, seq }: Place, upTo: string): boolean {
    return !this.#run.deeds.restores.some((restore) => restore.epoch > epoch && restore.epoch <= upTo && seq > restore.kept);
  }

  /** How far a place's log is the same as one that has come as far as `epoch`. */
  #shared({ epoch, seq }: Place, upTo: string): number {
    return Math.min(seq, ...this.#run.deeds.restores.filter((restore) => restore.epoch > epoch && restore.epoch <= upTo).map(({ kept }) => kept));
  }

  /** Whether a number is where a place's log and a copy that took its place part: the newest copy of which the instance had heard, whichever that was. */
  #isFork(place: Place, { seq }: Place): boolean {
    const later = this.#run.deeds.restores.filter(({ epoch }) => epoch > place.epoch);
    return seq < place.seq && later.some((_, index) => Math.min(place.seq, ...later.slice(0, index + 1).map(({ kept }) => kept)) === seq);
  }

  /** Whether an instance may know nothing of an epoch: it was lost, and the one that it came from was too. Then the client gets all that is held. */
  #mayBeUnknown(epoch: string, handed: ReadonlySet<string>): boolean {
    if (handed.has(epoch)) return false;
    const lost = new Map(this.#run.deeds.restores.flatMap((restore) => restore.lost.map(({ epoch, parent }) => [epoch, parent])));
    const parent = lost.get(epoch);
    return parent !== undefined && lost.has(parent);
  }

  #checkPublication({ name, texts, answers, failures, isPoison, hasKey }: Publication): void {
    if (isPoison) {
      if (answers.length > 0) this.#fault('refused and stored', name, 'it was answered');
      return;
    }
    if (failures.includes('key-reused')) this.#fault('key reused', name, 'nobody else has this key');
    if (answers.length === 0 && (hasKey || failures.every((code) => code === 'unavailable' || code === 'overloaded'))) {
      this.#fault('never answered', name, failures.join(', '));
    }
    const stored = texts.map((text) => this.#inOrder.filter((message) => message.text === text && this.#isHeld(message, LAST)));
    stored.forEach((messages, index) => {
      if (messages.length > 1) this.#fault('stored twice', texts[index]!, messages.map(({ id }) => id).join(', '));
    });
    // What nobody was told of may have been deleted before anybody saw it.
    const isWhole = answers.length > 0 || stored.every(([message]) => message === undefined || message.seq - texts.length > this.#run.deeds.trimmedTo);
    if (isWhole && new Set(stored.map((messages) => messages.length > 0)).size > 1) this.#fault('stored in part', name, stored.map((messages) => messages.length).join(', '));
  }

  #checkHistory(): void {
    const { history, deeds, publications } = this.#run;
    const held = new Set(history.map(({ id }) => id));
    for (const { name, answers, texts, topic } of publications) {
      for (const [index, id] of answers.flatMap(({ ids }) => ids).entries()) {
        const place = placeOf(id);
        if (place.seq > deeds.trimmedTo && this.#isHeld(place, LAST) && !held.has(id)) this.#fault('acknowledged and absent', name, `${id} ${texts[index]}`);
      }
      for (const message of history) if (texts.includes(message.text) && message.topic !== topic) this.#fault('wrong topic', 'the history', message.id);
    }
    history.forEach(({ id }, index) => {
      const before = history[index - 1];
      if (before !== undefined && placeOf(id).seq !== placeOf(before.id).seq + 1) this.#fault('hole', 'the history', `between ${before.id} and ${id}`);
    });
  }

  /** The topics that fit, and the messages of these. Many clients want the same. */
  #wantedBy(wants: readonly string[]): Wanted {
    const key = wants.join(' ');
    let known = this.#wanted.get(key);
    if (known === undefined) {
      const topics = new Set([...new Set(this.#inOrder.map(({ topic }) => topic))].filter((topic) => wants.some((pattern) => fits(pattern, topic))));
      known = { topics, wanted: this.#inOrder.filter(({ topic }) => topics.has(topic)) };
      this.#wanted.set(key, known);
    }
    return known;
  }

  #checkClient({ name, wants, entries }: ClientRecord): void {
    /** Everything up to here was handed over, or is excused. */
    let at: Place | undefined;
    let start: Place | undefined;
    let openedAt = Infinity;
    const seen = new Set<string>();
    /** The epochs of the ids that it was handed on the connection that it has: its instance knows where they came from. */
    let handed = new Set<string>();
    let { topics, wanted } = this.#wantedBy(wants);
    /** What lies after `at`, up to `to`, and was not handed over. */
    const missing = (to: Place): readonly Known[] => between(wanted, at!.seq, to.seq).filter((message) => !message.isFleeting
      && message.epoch <= to.epoch && this.#isHeld(message, to.epoch));
    const goTo = (id: string, invariant: Invariant, isIncluded: boolean): void => {
      const to = placeOf(id);
      if (at !== undefined) {
        if (!this.#isHeld(at, to.epoch)) this.#fault('unannounced gap', name, `${placeName(at)} was lost with a log that is not the one of ${id}`);
        const [first, ...others] = missing(isIncluded ? { ...to, seq: to.seq + 1 } : to);
        if (first !== undefined) this.#fault(invariant, name, `${first.id} ${first.text}${others.length === 0 ? '' : ` and ${others.length} more`} after ${placeName(at)}, and then ${id}`);
      }
      at = to;
    };

    for (const entry of entries) {
      if (entry.kind !== 'asked' && entry.kind !== 'strange' && entry.kind !== 'gap' && entry.id !== undefined) handed.add(placeOf(entry.id).epoch);
      switch (entry.kind) {
        case 'asked':
          handed = new Set();
          break;
        case 'open':
        case 'cursor':
          if (entry.id === undefined) break;
          if (at !== undefined && placeOf(entry.id).seq < at.seq) this.#fault('out of order', name, `${entry.kind} at ${entry.id}, behind ${placeName(at)}`);
          goTo(entry.id, 'cursor ahead of its frames', true);
          if (start === undefined) {
            start = at;
            openedAt = entry.time;
          }
          break;
        case 'topics':
          if (at !== undefined && placeOf(entry.id).seq < at.seq) this.#fault('out of order', name, `other topics at ${entry.id}, behind ${placeName(at)}`);
          goTo(entry.id, 'cursor ahead of its frames', true);
          ({ topics, wanted } = this.#wantedBy(entry.wants));
          break;
        case 'gap':
          this.#checkGap(name, entry, at, wanted, handed);
          at = placeOf(entry.id);
          start ??= at;
          // It goes on at the oldest, and whoever is handed that again was told so.
          if (entry.reason === 'unknown-log') seen.clear();
          // What was lost with a log may come once more from another instance, which has yet to look: the client was told that it counts for nothing.
          if (this.#run.deeds.instances > 1) for (const id of seen) if (!this.#isHeld(placeOf(id), LAST)) seen.delete(id);
          break;
        case 'message': {
          const { id } = entry;
          const message = this.#known.get(id)!;
          if (!topics.has(message.topic) || (entry.topic !== undefined && entry.topic !== message.topic)) this.#fault('wrong topic', name, `${id} of ${message.topic}`);
          if (at === undefined) this.#fault('strange', name, `${id} before a start`);
          if (seen.has(id)) this.#fault('doubled', name, id);
          else if (at !== undefined && message.seq <= at.seq) this.#fault('out of order', name, `${id} after ${placeName(at)}`);
          else goTo(id, 'unannounced gap', false);
          seen.add(id);
          break;
        }
        case 'strange':
          this.#fault('strange', name, entry.what);
          break;
      }
    }
    if (at === undefined) {
      this.#fault('lost', name, 'it never began');
      return;
    }
    const end: Place = { epoch: LAST, seq: Infinity };
    if (!this.#isHeld(at, LAST)) this.#fault('unannounced gap', name, `${placeName(at)} was lost with a log, and nobody said so`);
    for (const { id, text } of missing(end)) this.#fault('lost', name, `${id} ${text}`);
    for (const { sentAt, answers } of this.#run.publications) {
      for (const id of answers.flatMap(({ ids }) => ids)) {
        if (sentAt > openedAt && start !== undefined && placeOf(id).seq <= start.seq && this.#isHeld(start, placeOf(id).epoch)) this.#fault('late start', name, `it begins at ${placeName(start)}, and ${id} was sent later`);
      }
    }
  }

  #checkGap(name: string, gap: Entry & { readonly kind: 'gap' }, at: Place | undefined, wanted: readonly Known[], handed: ReadonlySet<string>): void {
    const { deeds, history } = this.#run;
    const to = placeOf(gap.id);
    const isExcused = gap.reason === 'expired' ? to.seq <= deeds.trimmedTo
      : gap.reason === 'unknown-log' ? gap.requested !== null && this.#mayBeUnknown(placeOf(gap.requested).epoch, handed)
        : gap.requested !== null && this.#isFork(placeOf(gap.requested), to);
    if (!isExcused) this.#fault('needless gap', name, `${gap.reason} at ${gap.id}`);
    if (at === undefined) return;
    const held = new Set(history.map(({ id }) => id));
    // What was published only after the end of the gap was itself lost was no message that it could skip.
    const skipped = wanted.find((message) => message.seq > this.#shared(at, message.epoch) && message.seq <= to.seq && held.has(message.id) && !message.isFleeting
      && this.#isHeld(to, message.epoch));
    if (skipped !== undefined) this.#fault('needless gap', name, `${gap.reason} from ${placeName(at)} to ${gap.id}, over ${skipped.id}, which the log holds`);
  }
}

/** Of messages in the order of their numbers, those after one number and before another. */
function between(messages: readonly Known[], after: number, before: number): readonly Known[] {
  let low = 0;
  for (let high = messages.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (messages[middle]!.seq <= after) low = middle + 1;
    else high = middle;
  }
  let end = low;
  while (end < messages.length && messages[end]!.seq < before) end++;
  return end === low ? NONE : messages.slice(low, end);
}

const NONE: readonly Known[] = [];

/** The name of an epoch after all others. */
const LAST = '~';

function placeOf(id: string): Place {
  const at = id.lastIndexOf('-');
  return { epoch: id.slice(0, at), seq: Number(id.slice(at + 1)) };
}

function placeName({ epoch, seq }: Place): string {
  return `${epoch}-${seq}`;
}
