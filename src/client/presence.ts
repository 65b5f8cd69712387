import type { PresenceEvents } from './api.ts';
import type { Emitter } from './emitter.ts';
import { onReturn } from './environment.ts';
import type { EventStream, StreamListener } from './event-stream.ts';
import { PresenceState, type PresenceEvent } from './presence-state.ts';

export interface PresenceDependencies {
  readonly open: (listener: StreamListener) => EventStream;
  /** Nothing is watched between a logout and a login, and after the end. */
  readonly isOut: () => boolean;
  readonly unheard: (error: Error) => void;
}

interface Watch {
  readonly topic: string;
  readonly events: Emitter<PresenceEvents>;
}

/**
 * Who listens, for all that watch. It has a stream of its own: a credential may often see who listens to some of its topics only, and the service refuses a stream that asks for more.
 */
export class PresenceStream {
  readonly #dependencies: PresenceDependencies;
  readonly #stream: EventStream;
  readonly #watches = new Set<Watch>();
  readonly #states = new Map<string, PresenceState>();
  readonly #refused = new Set<string>();
  readonly #stopListening: () => void;

  constructor(dependencies: PresenceDependencies) {
    this.#dependencies = dependencies;
    this.#stream = dependencies.open(this.#listener());
    this.#stopListening = onReturn((isOnline) => this.#stream.look(isOnline));
  }

  watch(topic: string, events: Emitter<PresenceEvents>, signal: AbortSignal): void {
    if (signal.aborted) return;
    const watch = { topic, events };
    this.#watches.add(watch);
    signal.addEventListener('abort', () => {
      this.#watches.delete(watch);
      this.#stream.change();
      this.#forget();
    });
    const known = this.#states.get(topic)?.change();
    if (known !== undefined) events.emit('change', known);
    this.#stream.change();
  }

  /** After a login or a logout: what was refused, and what was known, are of another user. */
  restart(): void {
    this.#refused.clear();
    this.#states.clear();
    this.#stream.restart();
  }

  close(): void {
    this.#stopListening();
    this.#stream.close();
  }

  #listener(): StreamListener {
    const ignore = (): void => undefined;
    return {
      wanted: () => this.#wanted(),
      presence: (event) => this.#take(event),
      refused: (error, topic) => {
        if (topic !== undefined) this.#refused.add(topic);
        for (const watch of this.#watches) {
          if ((topic === undefined || watch.topic === topic) && !watch.events.emit('error', error)) this.#dependencies.unheard(error);
        }
      },
      began: ignore, message: ignore, gap: ignore, erased: ignore, moved: ignore, stateChanged: ignore,
    };
  }

  #wanted(): string[] {
    if (this.#dependencies.isOut()) return [];
    return [...new Set([...this.#watches].map(({ topic }) => topic))].filter((topic) => !this.#refused.has(topic));
  }

  #take(event: PresenceEvent): void {
    const { topic } = event;
    if (!this.#wanted().includes(topic)) return;
    const state = this.#states.get(topic) ?? new PresenceState(topic);
    this.#states.set(topic, state);
    const change = state.apply(event);
    // The next stream begins with the state.
    if (change === 'missed') this.#stream.restart();
    else if (change !== undefined) for (const watch of [...this.#watches]) if (watch.topic === topic) watch.events.emit('change', change);
  }

  #forget(): void {
    const wanted = this.#wanted();
    for (const topic of this.#states.keys()) if (!wanted.includes(topic)) this.#states.delete(topic);
  }
}
