import type { Entry, Fault, FaultKind } from './checker.ts';
import { numberOf } from './log-ids.ts';
import type { Lost } from './lost.ts';

/** A delivery as its receiver got it, in the order in which they came. */
export type Delivered = Entry & {
  /** When the receiver answered it with 2xx, by the clock of `at`; undefined where it answered otherwise, or not at all. */
  readonly takenAt?: number | undefined;
};

/** The notes of one webhook's receiver. */
export interface ReceiverRecord {
  readonly name: string;
  readonly wants: readonly string[];
  /** The webhook's cursor when it was made: it gets everything after it. */
  readonly cursor: string;
  readonly entries: readonly Delivered[];
}

/** A message that a webhook has to deliver, as `checker.ts` knows it. */
interface Owed {
  readonly id: string;
  readonly number: number;
  readonly topic: string;
}

export interface DeliveredLog {
  /** What this receiver has to get, by the numbers. */
  readonly owed: readonly Owed[];
  /** What is stored, and what was lost with a log. */
  readonly known: ReadonlyMap<string, { readonly topic: string; readonly text: string }>;
  readonly lost: Lost;
}

/**
 * Says what was wrong with the deliveries of one webhook. A message may come again, with its id. All that is owed has to be taken. A message comes for the first time only when the one before it
 * was taken. What was lost with a log has no order: its number is another message's later.
 */
export function checkReceiver({ name, entries }: ReceiverRecord, { owed, known, lost }: DeliveredLog): Fault[] {
  const faults: Fault[] = [];
  const fault = (kind: FaultKind, what: string): void => void faults.push({ kind, who: name, what });
  const wanted = new Set(owed.map(({ id }) => id));
  const taken = new Map<string, number>();
  for (const { kind, id, takenAt } of entries) if (kind === 'message' && takenAt !== undefined) taken.set(id, Math.min(takenAt, taken.get(id) ?? Infinity));
  const idOf = new Map<string, string>();
  const seen = new Set<string>();
  let newest: { readonly id: string; readonly number: number } | undefined;

  for (const entry of entries) {
    if (entry.kind === 'gap') {
      if (!lost.isParting(entry)) fault('needless gap', `${entry.reason} after ${entry.requested}, goes on at ${entry.id}`);
      continue;
    }
    const { id, text, topic, at = 0 } = entry;
    const other = idOf.get(text);
    idOf.set(text, id);
    // Stored again after its log was lost, it has another id.
    if (other !== undefined && other !== id && !lost.messages.has(other) && !lost.messages.has(id)) {
      fault('doubled', `${text} came as ${other}, and as ${id}`);
      continue;
    }
    const message = known.get(id);
    if (message === undefined) {
      fault('foreign', `${id}: ${text}`);
      continue;
    }
    if (message.text !== text || message.topic !== topic) fault('altered', `${id}: ${topic} ${text}, published ${message.topic} ${message.text}`);
    if (lost.messages.has(id) || seen.has(id)) continue;
    seen.add(id);
    if (!wanted.has(id)) fault('wrong topic', `${id} of ${message.topic}`);
    const number = numberOf(id);
    if (newest !== undefined && number < newest.number) fault('out of order', `${id} after ${newest.id}`);
    else {
      if (newest !== undefined && (taken.get(newest.id) ?? Infinity) > at) fault('out of order', `${id} before ${newest.id} was taken`);
      newest = { id, number };
    }
  }
  for (const { id, topic } of owed) if (!taken.has(id)) fault('lost', `${id} of ${topic} ${seen.has(id) ? 'came, and was never taken' : 'never came'}`);
  return faults;
}
