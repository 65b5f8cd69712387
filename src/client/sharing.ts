import { environment } from './environment.ts';
import { Participation } from './participation.ts';
import { PROTOCOL, type MeetingPlace, type SharingDependencies } from './shared-notes.ts';
import type { SourceTaker, StreamSource } from './stream-source.ts';

/**
 * One stream for all tabs of an origin. Each tab with a subscription takes part (participation.ts). A Web Lock elects the leader (leader.ts), which opens the stream. It forwards each frame over a
 * `BroadcastChannel` to all tabs, its own included (shared-notes.ts). Each tab has a cursor of its own: after a change of leader or a lost note, it reads the missing messages as history, and
 * drops frames up to its cursor. So a leader may end at any time.
 *
 * @returns undefined if the browser has no Web Locks or no `BroadcastChannel`, or the page may not use them
 */
export async function shared(dependencies: SharingDependencies): Promise<StreamSource | undefined> {
  const { BroadcastChannel: Channel, navigator } = environment;
  const locks = navigator?.locks;
  if (locks === undefined || Channel === undefined) return undefined;
  const { requests, options: { share, as }, isWatching } = dependencies;
  const name = JSON.stringify([PROTOCOL, requests.url, share, ...(isWatching ? ['presence'] : []), ...(as === undefined ? [] : [{ as }])]);
  try {
    await locks.request(`${name} ${crypto.randomUUID()}`, {}, () => undefined);
  } catch {
    return undefined;
  }
  return new SharedSource({ name, locks, Channel }, dependencies);
}

class SharedSource implements StreamSource {
  readonly #place: MeetingPlace;
  readonly #dependencies: SharingDependencies;
  #participation: Participation | undefined;
  #isSuspended = false;

  constructor(place: MeetingPlace, dependencies: SharingDependencies) {
    this.#place = place;
    this.#dependencies = dependencies;
  }

  async read(taker: SourceTaker, topics: readonly string[], signal: AbortSignal): Promise<undefined> {
    if (this.#participation === undefined) {
      this.#participation = new Participation(this.#place, this.#dependencies);
      this.#listen('addEventListener');
    }
    await this.#participation.follow(taker, topics, signal);
  }

  leave(): void {
    this.#isSuspended = false;
    this.#end();
    this.#listen('removeEventListener');
  }

  #end(): void {
    this.#participation?.leave();
    this.#participation = undefined;
  }

  #listen(change: 'addEventListener' | 'removeEventListener'): void {
    for (const target of [environment, environment.document]) {
      for (const name of ['freeze', 'pagehide']) target?.[change]?.(name, this.#suspend);
      for (const name of ['resume', 'pageshow']) target?.[change]?.(name, this.#resume);
    }
  }

  /** A page that is frozen, or in the back/forward cache, must neither lead nor wait to lead: it could not forward frames. */
  readonly #suspend = (): void => {
    if (this.#participation === undefined) return;
    this.#isSuspended = true;
    this.#end();
  };

  readonly #resume = (): void => {
    if (!this.#isSuspended) return;
    this.#isSuspended = false;
    this.#dependencies.restart();
  };
}
