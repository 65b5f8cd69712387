import type { LogState } from '../../src/model/epochs.ts';
import type { Message } from '../../src/model/message.ts';
import type { Position } from '../../src/model/position.ts';
import { changesAfter, requireErasingLevel } from '../../src/store/rows/erasure-rows.ts';
import { ERASURES_MAX_ENTRIES, KEPT_ERASURES_MAX_ENTRIES, type ErasedMessage, type ErasedStep, type Erasure, type ErasureChanges, type ErasureStore, type TopicErasure, type Wiped } from '../../src/store/contracts/erasure-store.ts';

/** What it needs of the log in memory. */
export interface ErasableLog {
  held(): readonly Message[];
  level(): number;
  log(): LogState;
  reply<Answer>(answer: () => Answer): Promise<Answer>;
}

/** Erasures of a log in memory. */
export class MemoryErasures implements ErasureStore {
  readonly #log: ErasableLog;
  #erasures: (Erasure & { readonly version: number })[] = [];
  version = 0;

  constructor(log: ErasableLog) {
    this.#log = log;
  }

  /** What a restored copy does: nobody can tell what its versions were. */
  restored(): void {
    if (this.version === 0) return;
    this.version += 1_000_000;
    this.#erasures = [];
  }

  eraseMessage(position: Position): Promise<ErasedMessage> {
    return this.#log.reply(() => {
      requireErasingLevel(this.#log.level());
      const message = this.#log.held().find(({ seq, epoch }) => seq === position.seq && epoch === position.epoch);
      if (message === undefined) return 'absent';
      if (message.isErased) return 'before';
      this.#erase([message], false);
      return 'erased';
    });
  }

  eraseTopic({ topic, after, through, rows }: TopicErasure): Promise<ErasedStep> {
    return this.#log.reply(() => {
      requireErasingLevel(this.#log.level());
      const { lineage, head } = this.#log.log();
      if (through.seq > head || !lineage.isGood(through)) return { erased: 0, scanned: through.seq, more: false };
      const due = this.#log.held().filter((message) => message.topic === topic && message.seq > after && message.seq <= through.seq && !message.isErased);
      const some = due.slice(0, rows);
      if (some.length > 0) this.#erase(some, true);
      const more = due.length > some.length;
      return { erased: some.length, scanned: more ? some.at(-1)!.seq : through.seq, more };
    });
  }

  changes(after: number): Promise<ErasureChanges> {
    return this.#log.reply(() => {
      const rows = this.#erasures.filter(({ version }) => version > after).slice(0, ERASURES_MAX_ENTRIES);
      return { ...changesAfter(after, this.version, rows), log: this.#log.log() };
    });
  }

  wipe(): Promise<Wiped> {
    return this.#log.reply(() => 'done');
  }

  #erase(messages: readonly Message[], isPrefix: boolean): void {
    for (const message of messages) message.erase();
    const { seq, topic } = messages.at(-1)!;
    this.#erasures.push({ version: ++this.version, seq, topic, isPrefix });
    this.#erasures = this.#erasures.filter(({ version }) => version > this.version - KEPT_ERASURES_MAX_ENTRIES);
  }
}
