import type Database from 'better-sqlite3';
import { REMEMBERED_EPOCHS, type LostEpoch } from '../../../model/ancestry.ts';
import type { CallEffects, CallTable } from './side-call.ts';

/** `Store.keepLost` and `Store.lost`, as they cross to a worker. */
export interface LostEpochCalls {
  keepLost: { argument: readonly LostEpoch[]; answer: undefined };
  lost: { argument: undefined; answer: readonly LostEpoch[] };
}

export const LOST_EPOCH_EFFECTS: CallEffects<LostEpochCalls> = {
  lost: 'read',
  keepLost: 'write',
};

/** Stores and reads lost epochs, inside the caller's transaction. */
export class LostEpochs implements CallTable<LostEpochCalls> {
  readonly #keep: Database.Statement<[string, string, number]>;
  readonly #forget: Database.Statement<[]>;
  readonly #all: Database.Statement<[], { readonly epoch: string; readonly parent: string; readonly seq: number }>;

  constructor({ db }: { readonly db: Database.Database }) {
    this.#keep = db.prepare('INSERT INTO lost_epochs (epoch, parent, seq) VALUES (?, ?, ?) ON CONFLICT (epoch) DO NOTHING');
    this.#forget = db.prepare(`DELETE FROM lost_epochs WHERE id <= (SELECT id FROM lost_epochs ORDER BY id DESC LIMIT 1 OFFSET ${REMEMBERED_EPOCHS})`);
    this.#all = db.prepare('SELECT epoch, parent, seq FROM lost_epochs ORDER BY id');
  }

  keepLost(lost: readonly LostEpoch[]): undefined {
    for (const { epoch, before } of lost) this.#keep.run(epoch, before.epoch, before.seq);
    this.#forget.run();
  }

  lost(): readonly LostEpoch[] {
    return this.#all.all().map(({ epoch, parent, seq }) => ({ epoch, before: { epoch: parent, seq } }));
  }
}
