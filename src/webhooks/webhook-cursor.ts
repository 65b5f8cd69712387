import type { Starts } from '../log/history/start-position.ts';
import type { Gap } from '../model/gap.ts';
import { formatId, parseId, type Position } from '../model/position.ts';
import type { Filter } from '../model/topic.ts';

/**
 * How far a webhook is in the log. It has three positions:
 * - `taken`: the last position that was delivered, given up or left out. The cursor.
 * - `at`: where the next read begins. Equal to `taken`, except while a gap is not delivered yet.
 * - `sent`: the last `taken` that the reader sent to the database.
 *
 * An example. The database has the cursor 40, and retention has deleted the messages up to 59:
 *
 *     before locate            taken 40   at 40              sent 40
 *     after locate             taken 40   at 59   a gap      sent 40
 *     the gap is delivered     taken 59   at 59              sent 40
 *     message 60 is delivered  taken 60   at 60              sent 40
 *     the turn is over         taken 60   at 60              sent 60
 */
export class WebhookCursor {
  #taken: string;
  #at: Position;
  #gap: Gap | undefined;
  #sent: string;
  #isLocated = false;

  /** @param stored The cursor in the database: an id. */
  constructor(stored: string) {
    this.#taken = stored;
    this.#sent = stored;
    this.#at = parseId(stored) ?? { epoch: '', seq: 0 };
  }

  /** As an id. */
  get taken(): string {
    return this.#taken;
  }

  get at(): Position {
    return this.#at;
  }

  /** A gap before `at` that the receiver has not taken yet. */
  get gap(): Gap | undefined {
    return this.#gap;
  }

  get isSent(): boolean {
    return this.#taken === this.#sent;
  }

  /** Finds the stored cursor in the log, once. Messages after it may have been deleted: then `gap` says so. */
  async locate(starts: Pick<Starts, 'resolve'>, filter: Filter, hasLeft: () => boolean): Promise<void> {
    if (this.#isLocated) return;
    const { at, gap } = await starts.resolve({ kind: 'after', position: this.#at }, { filter, hasLeft });
    this.#at = at;
    this.#gap = gap;
    this.#isLocated = true;
  }

  moveTo({ epoch, seq }: Position): void {
    this.#at = { epoch, seq };
    this.#taken = formatId(epoch, seq);
  }

  /** The receiver took the gap, or the reader gave it up. */
  passGap(): void {
    this.#gap = undefined;
  }

  markSent(): void {
    this.#sent = this.#taken;
  }
}
