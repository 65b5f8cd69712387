/** Listeners by name. One that throws harms no other. */
export class Emitter<Events> {
  readonly #listeners = new Map<PropertyKey, Set<(value: never) => void>>();

  on<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** @returns Whether anybody heard it. */
  emit<Name extends keyof Events>(name: Name, value: Events[Name]): boolean {
    const listeners = [...this.#listeners.get(name) ?? []] as ((value: Events[Name]) => void)[];
    for (const listener of listeners) {
      try {
        listener(value);
      } catch (error) {
        // It reaches the page's or the process's own handler, as from any listener of events.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    return listeners.length > 0;
  }
}
