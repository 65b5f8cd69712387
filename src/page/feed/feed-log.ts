import type { Message } from '../../client/api.ts';
import { dataText, type DataForm } from '../text.ts';

/** The rows of the feed: messages, and events of the stream, in the order of arrival. Its memory is bounded, and it counts the rows it dropped. */

/** Stops a feed that is open for days from filling the memory. */
const FEED_MAX_ROWS = 10_000;
const FEED_MAX_CHARACTERS = 32 * 1024 * 1024;
/** The share of rows that is dropped at once at the bounds: dropping one row for each message would move all others each time. */
const DROPPED_SHARE = 0.1;

export interface MessageRow {
  readonly kind: 'message';
  readonly key: number;
  /** Without its data: as a text that takes a tenth of the memory. */
  readonly message: Omit<Message, 'data'>;
  /** The data as text. */
  readonly text: string;
  readonly form: DataForm;
  readonly isErased: boolean;
}

export interface NoteRow {
  readonly kind: 'note';
  readonly key: number;
  readonly time: string;
  /** Its name on the wire, such as `$gap`; or what the client library saw. */
  readonly name: string;
  readonly text: string;
  readonly tone: 'quiet' | 'warn' | 'bad';
  /** The number of equal events in a row, shown as one row. */
  readonly times: number;
}

export type FeedRow = MessageRow | NoteRow;

export class FeedLog {
  #rows: FeedRow[] = [];
  #ids = new Set<string>();
  #characters = 0;
  #dropped = 0;
  #messages = 0;
  #key = 0;
  readonly #changed: () => void;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** The oldest first. */
  get rows(): readonly FeedRow[] {
    return this.#rows;
  }

  /** The number of messages that were dropped at the bounds. */
  get dropped(): number {
    return this.#dropped;
  }

  /** All messages that came. */
  get messages(): number {
    return this.#messages;
  }

  /** The key of the newest row. */
  get lastKey(): number {
    return this.#key;
  }

  /** Whether a message has come, and is held still. */
  has(id: string): boolean {
    return this.#ids.has(id);
  }

  message({ data, ...message }: Message): void {
    // Two patterns may match one topic.
    if (this.#ids.has(message.id)) return;
    this.#ids.add(message.id);
    this.#messages++;
    const { text, form } = dataText(data);
    const row: MessageRow = { kind: 'message', key: ++this.#key, message, text, form, isErased: false };
    // Earlier messages come after the stream has opened, of each topic in turn. Messages that a gap announces stay after it.
    let place = this.#rows.length;
    while (place > 0 && isLater(this.#rows[place - 1]!, message)) place--;
    this.#rows.splice(place, 0, row);
    this.#characters += text.length;
    this.#bound();
    this.#changed();
  }

  note({ name, text, tone = 'quiet', time = new Date().toISOString() }: { readonly name: string; readonly text: string; readonly tone?: NoteRow['tone']; readonly time?: string }): void {
    const last = this.#rows.at(-1);
    const isAgain = last?.kind === 'note' && last.name === name && name === '$cursor';
    const row: NoteRow = { kind: 'note', key: ++this.#key, time, name, text, tone, times: isAgain ? last.times + 1 : 1 };
    if (isAgain) this.#rows[this.#rows.length - 1] = row;
    else this.#rows.push(row);
    this.#bound();
    this.#changed();
  }

  /**
   * Drops the data of erased messages: of the message `id`, or of all messages of a topic up to `through`. The feed may lack `through`, for example because its
   * TTL has passed. So ids of one epoch are compared by number; a message of an earlier epoch is erased if it stands before `through`.
   */
  erase({ id, topic, through }: { readonly id?: string | undefined; readonly topic: string; readonly through?: string | undefined }): void {
    let isReached = through === undefined;
    for (let index = this.#rows.length - 1; index >= 0; index--) {
      const row = this.#rows[index]!;
      if (row.kind !== 'message') continue;
      isReached ||= row.message.id === through;
      const isCovered = through !== undefined && row.message.topic === topic && (isUpTo(row.message.id, through) ?? isReached);
      if (row.message.id !== id && !isCovered) continue;
      this.#characters -= row.text.length;
      this.#rows[index] = { ...row, text: '', isErased: true };
    }
    this.note({ name: '$erased', text: id === undefined ? `Messages of ${topic} were erased.` : `A message of ${topic} was erased.`, tone: 'warn' });
  }

  clear(): void {
    this.#rows = [];
    this.#ids = new Set();
    this.#characters = this.#dropped = this.#messages = 0;
    this.#changed();
  }

  #bound(): void {
    if (this.#rows.length <= FEED_MAX_ROWS && this.#characters <= FEED_MAX_CHARACTERS) return;
    const most = Math.ceil(this.#rows.length * DROPPED_SHARE);
    let characters = this.#characters;
    let gone = 0;
    while (gone < this.#rows.length - 1 && (gone < most || characters > FEED_MAX_CHARACTERS)) {
      const row = this.#rows[gone++]!;
      if (row.kind === 'note') continue;
      characters -= row.text.length;
      this.#ids.delete(row.message.id);
      this.#dropped++;
    }
    this.#rows = this.#rows.slice(gone);
    this.#characters = characters;
  }
}

/** Whether an id comes before another one, or is the same; undefined if their epochs differ. */
function isUpTo(id: string, other: string): boolean | undefined {
  const [end, otherEnd] = [id.lastIndexOf('-'), other.lastIndexOf('-')];
  return id.slice(0, end) === other.slice(0, otherEnd) ? Number(id.slice(end + 1)) <= Number(other.slice(otherEnd + 1)) : undefined;
}

function isLater(row: FeedRow, { time }: MessageRow['message']): boolean {
  return (row.kind === 'message' ? row.message.time : row.tone === 'quiet' ? row.time : '') > time;
}
