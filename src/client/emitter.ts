/** Listeners by event name. An error that a listener throws does not stop the other listeners. */
export interface Emitter<Events> {
  on<Name extends keyof Events>(this: void, name: Name, listener: (value: Events[Name]) => void): () => void;
  /** @returns Whether the event had a listener. */
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
          // Reaches the handler for uncaught errors of the page or process, as an error of a DOM listener does.
          queueMicrotask(() => {
            throw error;
          });
        }
      }
      return named.length > 0;
    },
  };
}
