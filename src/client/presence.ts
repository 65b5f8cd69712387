import type { ConnectOptions, PresenceEvents } from './api.ts';
import type { Emitter } from './emitter.ts';
import type { EventStream, StreamListener } from './stream.ts';
import { PresenceState, type PresenceEvent } from './presence-state.ts';
import { lookOnReturn } from './watch.ts';

export interface PresenceDependencies {
  readonly options: ConnectOptions;
  readonly open: (listener: StreamListener, isWatching: boolean) => EventStream;
  /** Whether nothing may be watched: after a logout until the next login, and after `close()`. */
  readonly isOut: () => boolean;
  /** Takes an error for which the watch has no listener. */
  readonly emit: (name: 'error', error: Error) => void;
}

interface Watch {
  readonly topic: string;
  readonly events: Emitter<PresenceEvents>;
}

/**
 * The presence of all watched topics, over a stream of its own. The service refuses a stream with `presence=1` if one of its topics may not be watched. So the stream of the messages, whose
 * topics may often be read but not watched, must not carry presence.
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
    this.#stream = dependencies.open(this.#listener(), true);
    this.#stopListening = lookOnReturn(this.#stream, dependencies.options);
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

  /** After a login or logout: refusals and known states belong to another user. */
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
      take: (event, content) => {
        if (event === '$presence') this.#take(content as PresenceEvent);
      },
      refused: (error, topic) => {
        if (topic !== undefined) this.#refused.add(topic);
        for (const watch of this.#watches) {
          if ((topic === undefined || watch.topic === topic) && !watch.events.emit('error', error)) this.#dependencies.emit('error', error);
        }
      },
      began: ignore, changed: ignore,
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
    // A change is missing: the next stream begins with the whole state.
    if (change === 'missed') this.#stream.restart();
    else if (change !== undefined) for (const watch of [...this.#watches]) if (watch.topic === topic) watch.events.emit('change', change);
  }

  #forget(): void {
    const wanted = this.#wanted();
    for (const topic of this.#states.keys()) if (!wanted.includes(topic)) this.#states.delete(topic);
  }
}
