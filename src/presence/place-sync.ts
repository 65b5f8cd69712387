import type { Clock, Timer } from '../runtime/clock.ts';
import { changeOf, type LocalPresence, type PresenceRecord } from './local-presence.ts';
import { PlaceAway, type PresencePlace } from './place.ts';

export interface PlaceSyncDependencies {
  readonly place: PresencePlace;
  readonly clock: Clock;
  readonly local: () => LocalPresence;
}

/** Writes the changes of this instance to the place, many at a time, and everything if the place may have forgotten it. */
export class PlaceSync {
  readonly #place: PresencePlace;
  readonly #clock: Clock;
  readonly #local: () => LocalPresence;
  /** Changes to send, once for each record, in the order of the first change. */
  readonly #changed = new Set<PresenceRecord>();
  #telling = 0;
  #timer: Timer | undefined;
  /** Counts the full reports. Changes of an earlier one are forgotten. 0 while there is nothing to send. */
  #round = 0;
  #rounds = 0;

  constructor({ place, clock, local }: PlaceSyncDependencies) {
    this.#place = place;
    this.#clock = clock;
    this.#local = local;
  }

  /** A record has changed. Returns whether to keep it until the change was written. */
  changed(record: PresenceRecord): boolean {
    if (this.#round === 0) return false;
    this.#changed.add(record);
    if (this.#telling < this.#place.telling.maxRequests) this.#timer ??= this.#clock.after(this.#place.telling.everyMs, () => this.#tell());
    return true;
  }

  /** Writes everything. Changes that come meanwhile follow in their order. */
  async begin(): Promise<void> {
    this.lost();
    const round = ++this.#rounds;
    this.#round = round;
    try {
      let some: PresenceRecord[] = [];
      for (const record of this.#local().records()) {
        some.push(record);
        if (some.length < this.#place.telling.maxEntries) continue;
        await this.#write(some);
        if (this.#round !== round) return;
        some = [];
      }
      await this.#write(some);
      if (this.#round === round) await this.#place.activate();
    } catch (error) {
      // The place reports its state itself.
      if (!(error instanceof PlaceAway)) throw error;
    }
  }

  /** Stops writing: the place is away, or no other instance reads it. */
  lost(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#round = 0;
    const gone = [...this.#changed];
    this.#changed.clear();
    for (const record of gone) this.#local().drop(record);
  }

  /** Sends the waiting changes at once. Resolves when they were answered. */
  async flush(): Promise<void> {
    while (this.#changed.size > 0 && this.#round !== 0) await this.#writeOrLose(this.#take());
  }

  #tell(): void {
    this.#timer = undefined;
    while (this.#changed.size > 0 && this.#telling < this.#place.telling.maxRequests) void this.#writeSome();
  }

  async #writeSome(): Promise<void> {
    const some = this.#take();
    if (some.length === 0) return;
    this.#telling++;
    await this.#writeOrLose(some);
    this.#telling--;
    if (this.#changed.size > 0) this.#timer ??= this.#clock.after(this.#place.telling.everyMs, () => this.#tell());
  }

  /** The next changes to send. A record that is gone before it was sent is left out. */
  #take(): PresenceRecord[] {
    const some: PresenceRecord[] = [];
    for (const record of this.#changed) {
      if (some.length === this.#place.telling.maxEntries) break;
      this.#changed.delete(record);
      if (record.isPresent || record.toldIn === this.#round) some.push(record);
      else this.#local().drop(record);
    }
    return some;
  }

  async #writeOrLose(records: readonly PresenceRecord[]): Promise<void> {
    try {
      await this.#write(records);
    } catch (error) {
      if (!(error instanceof PlaceAway)) throw error;
    }
  }

  #write(records: readonly PresenceRecord[]): Promise<void> {
    if (records.length === 0) return Promise.resolve();
    const changes = records.map(changeOf);
    for (const record of records) {
      record.toldIn = record.isPresent ? this.#round : 0;
      this.#local().drop(record);
    }
    return this.#place.write(changes);
  }
}
