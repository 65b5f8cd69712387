import { Lineage } from '../../../model/epochs.ts';
import { StoreError } from '../../store.ts';
import type { EpochRow } from '../files/log-state.ts';

/** The main thread's list of the log's epochs, from the answers of both workers. All states of the log share one `Lineage`. */
export class KnownEpochs {
  lineage = new Lineage([]);
  #newest = 0;
  #names = new Map<number, string>();

  learn(rows: readonly EpochRow[]): void {
    const newest = rows.at(-1)?.id ?? 0;
    // The answers of the two workers may arrive out of order: ignore the older list.
    if (newest <= this.#newest) return;
    this.#newest = newest;
    this.#names = new Map(rows.map(({ id, epoch }) => [id, epoch]));
    this.lineage = new Lineage(rows.map(({ epoch, first, secret }) => ({ epoch, first, secret: secret ?? undefined })));
  }

  /** The name of the epoch with an id. */
  readonly name = (id: number): string => {
    const name = this.#names.get(id);
    if (name === undefined) throw new StoreError('unavailable', `the database file is damaged: it names an epoch (${id}) that it does not hold`);
    return name;
  };
}
