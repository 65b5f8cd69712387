import type { Channel } from './environment.ts';
import type { EventStream, StreamListener } from './stream.ts';
import { PresenceState, type PresenceEvent } from './presence-state.ts';
import { memberLock, type LeaderContent, type MeetingPlace, type Note, type SharingDependencies } from './shared-notes.ts';
import { lookOnReturn } from './watch.ts';

export interface LeaderDependencies {
  readonly place: MeetingPlace;
  readonly sharing: SharingDependencies;
  /** The topics of each tab, as this tab has heard them. */
  readonly wants: ReadonlyMap<string, readonly string[]>;
  /** The cursor of this tab, at which the stream begins. */
  readonly cursor: string | undefined;
}

/** The control events that are forwarded to the tabs. The others concern the leader's stream only. */
const FORWARDED: readonly string[] = ['$gap', '$erased', '$cursor'];

/** The leader's side of sharing: opens the stream, and forwards its events to all tabs, its own included. */
export class Leader {
  readonly #id = crypto.randomUUID();
  readonly #place: MeetingPlace;
  readonly #channel: Channel;
  readonly #stream: EventStream;
  /** The topics of each tab. */
  readonly #wants = new Map<string, readonly string[]>();
  readonly #refused = new Set<string>();
  readonly #end = new AbortController();
  readonly #stopListening: () => void;
  /** The topics that the open stream delivers. */
  #begun: readonly string[] = [];
  /** The presence of each topic, for tabs that join later. */
  readonly #presence = new Map<string, PresenceState>();
  #frames = 0;

  constructor({ place, sharing, wants, cursor }: LeaderDependencies) {
    this.#place = place;
    this.#channel = new place.Channel(place.name);
    this.#channel.addEventListener('message', ({ data }) => this.#take(data as Note));
    this.#stream = sharing.open({ ...sharing, listener: this.#listener(), cursor, isLeading: true });
    this.#stopListening = lookOnReturn(this.#stream, sharing.options);
    this.#tell({ kind: 'leads' });
    for (const [member, topics] of wants) this.#want(member, topics);
  }

  /** Ends the lead. Notes already posted still arrive. */
  close(): void {
    this.#end.abort();
    this.#stopListening();
    this.#stream.close();
    this.#channel.close();
  }

  #take(note: Note): void {
    if (note.kind === 'ask') this.#tell({ kind: 'here' });
    if (note.kind === 'want') this.#want(note.member, note.topics);
  }

  #want(member: string, topics: readonly string[]): void {
    if (topics.length === 0) return this.#forget(member);
    if (!this.#wants.has(member)) this.#watch(member);
    this.#wants.set(member, topics);
    for (const topic of topics) this.#refused.delete(topic);
    const { state, cursor } = this.#stream;
    if (state === 'offline') this.#tell({ kind: 'failing' });
    if (cursor === undefined || !topics.every((topic) => this.#stream.tells(topic))) return this.#stream.change();
    this.#tell({ kind: 'began', topics: this.#begun, cursor });
    for (const topic of topics) {
      const content = this.#presence.get(topic)?.event();
      if (content !== undefined) this.#tell({ kind: 'frame', event: '$presence', content, id: undefined });
    }
  }

  /** Forgets a tab once its lock is free: the browser frees it even if the tab crashed. */
  #watch(member: string): void {
    this.#place.locks.request(memberLock(this.#place.name, member), { signal: this.#end.signal }, () => {
      this.#forget(member);
      return undefined;
    }).catch(() => undefined);
  }

  #forget(member: string): void {
    this.#wants.delete(member);
    this.#stream.change();
  }

  #listener(): StreamListener {
    return {
      wanted: () => [...new Set([...this.#wants.values()].flat())].filter((topic) => !this.#refused.has(topic)),
      began: (topics, cursor) => {
        this.#begun = topics;
        for (const topic of this.#presence.keys()) if (!topics.includes(topic)) this.#presence.delete(topic);
        this.#tell({ kind: 'began', topics, cursor });
      },
      take: (event, content) => {
        if (event === '$presence') this.#takePresence(content as PresenceEvent);
        else if (FORWARDED.includes(event) || !event.startsWith('$')) this.#tell({ kind: 'frame', event, content, id: this.#stream.cursor });
      },
      refused: (_error, topic) => {
        if (topic === undefined) return;
        this.#refused.add(topic);
        this.#tell({ kind: 'refused', topic });
      },
      changed: () => {
        const { state } = this.#stream;
        if (state === 'offline') this.#tell({ kind: 'failing' });
        else if (state === 'denied') this.#tell({ kind: state });
      },
    };
  }

  #takePresence(content: PresenceEvent): void {
    const state = this.#presence.get(content.topic) ?? new PresenceState(content.topic);
    this.#presence.set(content.topic, state);
    if (state.apply(content) === 'missed') this.#stream.restart();
    else this.#tell({ kind: 'frame', event: '$presence', content, id: undefined });
  }

  #tell(content: LeaderContent): void {
    if (this.#end.signal.aborted) return;
    if (content.kind === 'frame') this.#frames++;
    this.#channel.postMessage({ ...content, leader: this.#id, frames: this.#frames } satisfies Note);
  }
}
