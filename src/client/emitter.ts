/** Listeners by name. One that throws harms no other. */
export interface Emitter<Events> {
  on<Name extends keyof Events>(this: void, name: Name, listener: (value: Events[Name]) => void): () => void;
  /** @returns Whether anybody heard it. */
  emit<Name extends keyof Events>(this: void, name: Name, value: Events[Name]): boolean;
}

export function emitter<Events>(): Emitter<Events> {
  const listeners = new Map<PropertyKey, Set<(value: never) => void>>();
  return {
    on(name, listener) {
      const named = listeners.get(name) ?? new Set();
      listeners.set(name, named.add(listener));
      return () => void named.delete(listener);
    },
    emit<Name extends keyof Events>(name: Name, value: Events[Name]) {
      const named = [...listeners.get(name) ?? []] as ((value: Events[Name]) => void)[];
      for (const listener of named) {
        try {
          listener(value);
        } catch (error) {
          // It reaches the page's or the process's own handler, as from any listener of events.
          queueMicrotask(() => {
            throw error;
          });
        }
      }
      return named.length > 0;
    },
  };
}
