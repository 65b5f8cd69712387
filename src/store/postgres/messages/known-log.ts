import { Lineage, type Epoch, type LogState } from '../../../model/epochs.ts';
import type { Position } from '../../../model/position.ts';
import type { Row } from '../connection/connection.ts';
import { nameIn, wholeNumber } from '../connection/literals.ts';

/** The version of the newest erasure, as an expression. */
export const NEWEST_ERASURE = '(SELECT coalesce(max(version), 0) FROM tidings.erasures)';

/** Lineages that are kept besides the newest: bounds their memory. Answers that are under way at the same time may be of several. */
const KEPT_LINEAGES = 4;

/** The columns of `tidings.state`, in the order in which every call answers them, last. */
const STATE_COLUMNS = 6;

/**
 * The state of the log according to the answers. The name of the newest epoch identifies a lineage. Its number does not: a log that lost its newest epochs
 * gives their numbers again.
 */
export class KnownLog {
  #lineages = new Map<string, Lineage>();
  #newest = new Lineage([]);
  #seen: Position = { epoch: '', seq: 0 };

  /** The lineage that a question need not be answered with again. It goes with the question, and back to `state` with its answer. */
  get lineage(): Lineage {
    return this.#newest;
  }

  /** The newest epoch and the highest number in it that this instance has seen. If the log has not come so far, it was exchanged (invariant 8). */
  get seen(): Position {
    return this.#seen;
  }

  /** The state of the log, from the last columns of a row. */
  state(row: Row, asked: Lineage): LogState {
    const [head, oldest, now, , epochs = null] = row.slice(-STATE_COLUMNS);
    const state = { lineage: epochs === null ? asked : this.#learn(epochs), oldest: wholeNumber(oldest), head: wholeNumber(head), now: wholeNumber(now) };
    this.see(state);
    return state;
  }

  #learn(epochs: string): Lineage {
    const list = (JSON.parse(epochs) as [unknown, unknown, unknown][]).map(([epoch, first, secret]): Epoch => ({
      epoch: nameIn(epoch), first: wholeNumber(String(first)), secret: secret === null ? undefined : nameIn(secret),
    }));
    const name = list.at(-1)!.epoch;
    const lineage = this.#lineages.get(name) ?? new Lineage(list);
    this.#lineages.delete(name);
    this.#lineages.set(name, lineage);
    if (this.#lineages.size > KEPT_LINEAGES) this.#lineages.delete(this.#lineages.keys().next().value!);
    this.#newest = lineage;
    return lineage;
  }

  /** @param isOurs Whether this instance has just begun the newest epoch. Then its lineage replaces the known one. */
  see({ lineage, head }: LogState, isOurs = false): void {
    const { epoch } = lineage.epochs.at(-1)!;
    // Answers may arrive out of order. One without the newest known epoch is older, or comes from a log that lost the epoch: the next append finds out.
    const isNewer = epoch === this.#seen.epoch ? head >= this.#seen.seq : lineage.knows(this.#seen.epoch);
    if (isOurs || isNewer || this.#seen.epoch === '') this.#seen = { epoch, seq: head };
  }
}
