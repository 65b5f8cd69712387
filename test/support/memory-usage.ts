import { USAGE_MAX_ENTRIES, USAGE_PAGE_ENTRIES, type StoredStretch, type UsageChanges, type UsageStore, type UsageStretch } from '../../src/store/contracts/usage-store.ts';

/** `UsageStore` in memory. */
export class MemoryUsage implements UsageStore {
  readonly #reply: <T>(answer: () => T) => Promise<T>;
  readonly #oldest: () => number;
  #stretches: readonly StoredStretch[] = [];
  #copy: readonly StoredStretch[] = [];
  writes = 0;

  constructor({ reply, oldest }: { reply: <T>(answer: () => T) => Promise<T>; oldest: () => number }) {
    this.#reply = reply;
    this.#oldest = oldest;
  }

  write(stretches: readonly UsageStretch[]): Promise<void> {
    this.writes++;
    return this.#reply(() => {
      const newest = Math.max(0, ...this.#stretches.map(({ version }) => version));
      const ids = new Set(stretches.map(({ id }) => id));
      this.#stretches = [...this.#stretches.filter(({ id }) => !ids.has(id)), ...stretches.map((stretch, index) => ({ ...stretch, version: newest + index + 1 }))]
        .filter(({ last }) => last >= this.#oldest()).sort((one, other) => other.last - one.last).slice(0, USAGE_MAX_ENTRIES);
    });
  }

  changes(after: number): Promise<UsageChanges> {
    return this.#reply(() => ({
      alive: this.#stretches.map(({ id, version }) => [id, version] as const),
      changed: this.#stretches.filter(({ version }) => version > after).sort((one, other) => one.version - other.version).slice(0, USAGE_PAGE_ENTRIES),
    }));
  }

  /** Takes a copy, which `restored` puts back. */
  backup(): void {
    this.#copy = this.#stretches;
  }

  restored(): void {
    this.#stretches = this.#copy;
  }
}
