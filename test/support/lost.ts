import type { Entry, Run } from './checker.ts';
import { epochOf, numberOf } from './log-ids.ts';

/**
 * A copy took the place of the log, and what was stored after the copy was made is lost. Both times are of the clock of `Publication.sentAt`, and known of
 * the copy itself, not of what was answered.
 */
export interface Loss {
  /** Whatever had its 201 before is in the copy. */
  readonly copiedAt: number;
  /** From then on nothing was stored in the log that was lost. */
  readonly tookOverAt: number;
}

export interface LostMessage {
  readonly id: string;
  readonly topic: string;
  readonly text: string;
  readonly loss: Loss;
}

/** What is known of an id that was given to a message. */
interface Given extends Omit<LostMessage, 'loss'> {
  /** When anyone first knew of it. */
  readonly knownAt: number;
  /** When the last request was sent that was answered with it. */
  readonly sentAt: number;
}

/** The reasons of a `$gap` that goes on where two logs part. */
const PARTED: ReadonlySet<string> = new Set(['ahead', 'forked']);

/**
 * Which messages may be missing although they had their 201, and what streams are to be told of it. A message may be lost if it is not in the history, was
 * not known before the copy was made, was asked for before the copy took over, and has a later number than all that the copy must hold.
 */
export class Lost {
  /** By their ids. */
  readonly messages: ReadonlyMap<string, LostMessage>;
  readonly #kept: ReadonlySet<string>;
  readonly #losses: readonly Bounded[];

  constructor(run: Run) {
    const { publications, history = [] } = run;
    // What is not in a history that nobody read may be there.
    const losses = run.history === undefined ? [] : run.losses ?? [];
    const messages = new Map<string, LostMessage>();
    this.messages = messages;
    this.#kept = new Set(history.map(({ id }) => id));
    this.#losses = losses.map((loss) => ({ ...loss, held: heldBy(loss, publications, this.#kept) }));
    if (losses.length === 0) return;
    const newest = new Map(history.map(({ id }) => [epochOf(id), numberOf(id)]));
    for (const { knownAt, sentAt, ...given } of givenBesides(run, this.#kept)) {
      const { id } = given;
      // What is lost is the end of a log: nothing of the same epoch remains after it.
      if (numberOf(id) <= (newest.get(epochOf(id)) ?? 0)) continue;
      const loss = this.#losses.findLast(({ copiedAt, tookOverAt, held }) => knownAt > copiedAt && sentAt < tookOverAt && numberOf(id) > held);
      if (loss !== undefined) messages.set(id, { ...given, loss });
    }
  }

  /** Whether a place in a log is not in the history, so that whoever stood there has to be told. */
  isBeyond(id: string): boolean {
    return this.#losses.length > 0 && !this.#kept.has(id);
  }

  /** Whether a `$gap` says that a log was lost, and goes on where it parts from its copy. */
  isParting({ id, requested, reason, at = 0 }: Extract<Entry, { kind: 'gap' }>): boolean {
    return PARTED.has(reason) && requested !== undefined && requested !== null && this.isBeyond(requested) && (numberOf(id) === 0 || this.#kept.has(id))
      && this.#losses.some(({ tookOverAt, held }) => at > tookOverAt && numberOf(id) >= held && numberOf(requested) > numberOf(id));
  }
}

interface Bounded extends Loss {
  /** The last number that the copy must hold. */
  readonly held: number;
}

function heldBy({ copiedAt }: Loss, publications: Run['publications'], kept: ReadonlySet<string>): number {
  const before = publications.flatMap(({ answers }) => answers.filter(({ id, at = 0 }) => at <= copiedAt && kept.has(id)));
  return before.reduce((most, { id }) => Math.max(most, numberOf(id)), 0);
}

/** All ids that are not in the history. A message may have several: stored in a log that was lost, and again when its publisher asked again. */
function givenBesides({ publications, streams, receivers = [] }: Run, kept: ReadonlySet<string>): Iterable<Given> {
  const given = new Map<string, Given>();
  for (const { topic, text, answers } of publications) {
    for (const { id, sentAt = Infinity, at = 0 } of answers) {
      if (kept.has(id)) continue;
      const known = given.get(id);
      given.set(id, { id, topic, text, knownAt: Math.min(at, known?.knownAt ?? at), sentAt: Math.max(sentAt, known?.sentAt ?? sentAt) });
    }
  }
  // Streams and receivers may have got messages whose 201 was lost.
  const published = new Map(publications.map((publication) => [publication.text, publication]));
  for (const { entries } of [...streams, ...receivers]) {
    for (const entry of entries) {
      if (entry.kind !== 'message' || kept.has(entry.id)) continue;
      const { id, text, at = 0 } = entry;
      const known = given.get(id);
      const publication = published.get(text);
      if (known !== undefined) given.set(id, { ...known, knownAt: Math.min(known.knownAt, at) });
      // Without a key, what was answered is stored once; with one, what was answered is not stored again as long as the answer is in the log.
      else if (publication !== undefined) given.set(id, { id, topic: publication.topic, text, sentAt: publication.sentAt, knownAt: Math.min(at, publication.answeredAt ?? at) });
    }
  }
  return given.values();
}
