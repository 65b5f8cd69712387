import type { ChannelConstructor, LockManager } from './environment.ts';
import type { EventStream, EventStreamDependencies } from './stream.ts';

/** The notes between tabs that share a stream. This version is part of the channel's name: tabs with another version of the library must not read them. */
export const PROTOCOL = 'tidings-1';

/** From a tab to the leader. `want`: the tab's topics; none if it leaves. `ask`: the leader must answer `here`. */
export type MemberNote =
  | { readonly kind: 'want'; readonly member: string; readonly topics: readonly string[] }
  | { readonly kind: 'ask' };

/**
 * From the leader to all tabs. `leads`: a new leader; each tab answers with `want`. `here`: answers `ask`. `failing`, `denied`: the state of its stream. `refused`: the service refuses a topic.
 * `began`: frames of these topics follow, from this cursor on. `frame`: an event of the stream.
 */
export type LeaderContent =
  | { readonly kind: 'leads' | 'here' | 'failing' | 'denied' }
  | { readonly kind: 'refused'; readonly topic: string }
  | { readonly kind: 'began'; readonly topics: readonly string[]; readonly cursor: string }
  | { readonly kind: 'frame'; readonly event: string; readonly content: unknown; readonly id: string | undefined };

/** @property frames The number of frames that this leader has sent, this note included. A tab that counts fewer has missed a frame. */
export type LeaderNote = LeaderContent & { readonly leader: string; readonly frames: number };

export type Note = MemberNote | LeaderNote;

export interface SharingDependencies extends EventStreamDependencies {
  /** Makes a stream that reads events from the service. */
  readonly open: (dependencies: EventStreamDependencies) => EventStream;
  /** Restarts the tab's own `EventStream`, so that it reads its source again. */
  readonly restart: () => void;
}

/** The APIs over which tabs meet, and the name of their channel and lock. */
export interface MeetingPlace {
  readonly name: string;
  readonly locks: LockManager;
  readonly Channel: ChannelConstructor;
}

/** The lock that a tab holds while it takes part. The leader queues for it, and gets it when the tab is gone. */
export function memberLock(name: string, member: string): string {
  return `${name} ${member}`;
}
