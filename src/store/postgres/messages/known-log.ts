import { Lineage, type Epoch, type LogState } from '../../../model/epochs.ts';
import type { Position } from '../../../model/position.ts';
import type { Row } from '../connection/connection.ts';
import { nameIn, wholeNumber } from '../connection/literals.ts';

/** SQL: the version of the newest erasure. */
export const NEWEST_ERASURE = '(SELECT coalesce(max(version), 0) FROM tidings.erasures)';

/** The most lineages that are kept. Bounds their memory. Several are needed, because answers that are under way may belong to different lineages. */
const KEPT_LINEAGES = 4;

/** How many columns `tidings.state` has. They are the last columns of every answer. */
const STATE_COLUMNS = 6;

/**
 * The log as the answers of the database describe it. An answer has the list of all epochs only if the caller does not know the newest one:
 *
 * 1. The call sends the name of the newest epoch that this instance knows (`lineage`).
 * 2. If the log has a newer one, the answer has all epochs, and this instance learns a new lineage. Otherwise the answer belongs to the lineage of step 1.
 *
 * The name of the newest epoch identifies a lineage, and not the number of its epochs: a log that lost its newest epochs gives those numbers again.
 */
export class KnownLog {
  #lineages = new Map<string, Lineage>();
  #newest = new Lineage([]);
  #seen: Position = { epoch: '', seq: 0 };

  /** The newest lineage. A caller sends it with its call (`stateCall`), and passes it to `state` with the answer. */
  get lineage(): Lineage {
    return this.#newest;
  }

  /** The newest epoch, and the highest number in it, that this instance has seen. If the log does not have this position, somebody has exchanged it (invariant 8). */
  get seen(): Position {
    return this.#seen;
  }

  /** Reads the state of the log from the last columns of an answer. @param asked The lineage that the call was sent with. */
  state(row: Row, asked: Lineage): LogState {
    const [head, oldest, now, , epochs = null] = row.slice(-STATE_COLUMNS);
    const state = { lineage: epochs === null ? asked : this.#learn(epochs), oldest: wholeNumber(oldest), head: wholeNumber(head), now: wholeNumber(now) };
    this.see(state);
    return state;
  }

  /** The lineage of a list of epochs. Returns the known object if there is one, so that all states share it. */
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

  /** Moves `seen` forward. @param isOurs Whether this instance has just begun the newest epoch. Then the state is certainly the newest. */
  see({ lineage, head }: LogState, isOurs = false): void {
    const { epoch } = lineage.epochs.at(-1)!;
    // Answers may arrive out of order. An answer that lacks the newest known epoch is an older one, or the log has lost that epoch. The next append finds out.
    const isNewer = epoch === this.#seen.epoch ? head >= this.#seen.seq : lineage.knows(this.#seen.epoch);
    if (isOurs || isNewer || this.#seen.epoch === '') this.#seen = { epoch, seq: head };
  }
}
