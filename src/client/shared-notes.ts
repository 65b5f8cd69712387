import type { ChannelConstructor, LockManager } from './environment.ts';
import type { EventStream, EventStreamDependencies } from './stream.ts';

/** What tabs that share a stream say to each other, over a `BroadcastChannel`. Its name has the number of this protocol: tabs may have different versions of the library. */
export const PROTOCOL = 'tidings-1';

/** What a tab says to the one that leads. `want` without topics: it leaves. `ask`: whether anybody leads. */
export type MemberNote =
  | { readonly kind: 'want'; readonly member: string; readonly topics: readonly string[] }
  | { readonly kind: 'ask' };

/** Notes of the leader to all tabs. `began`: from this cursor on frames come for these topics. `leads`: a new leader asks for everybody's topics. */
export type LeaderContent =
  | { readonly kind: 'leads' | 'here' | 'failing' | 'denied' }
  | { readonly kind: 'refused'; readonly topic: string }
  | { readonly kind: 'began'; readonly topics: readonly string[]; readonly cursor: string }
  | { readonly kind: 'frame'; readonly event: string; readonly content: unknown; readonly id: string | undefined };

/** @property frames How many frames this leader has sent, with this one: a tab notices that one is missing. */
export type LeaderNote = LeaderContent & { readonly leader: string; readonly frames: number };

export type Note = MemberNote | LeaderNote;

export interface SharingDependencies extends EventStreamDependencies {
  /** Opens a stream at the service. */
  readonly open: (dependencies: EventStreamDependencies) => EventStream;
  /** Reads anew. */
  readonly restart: () => void;
}

/** The place where the tabs meet. */
export interface MeetingPlace {
  readonly name: string;
  readonly locks: LockManager;
  readonly Channel: ChannelConstructor;
}

/** Held while a tab takes part: a tab that gets the lock knows that the holder is gone. */
export function memberLock(name: string, member: string): string {
  return `${name} ${member}`;
}
