import type { NamedHolder } from '../runtime/fair-shares.ts';

/** Whose stream it is, for those who administer streams. What costs memory is read when somebody asks. */
export interface StreamClient {
  /** Names the stream on this instance. */
  readonly number: number;
  /** Who is present by it, as presence calls them; undefined where that is nobody in particular. */
  readonly member: string | undefined;
  /** The name of its credential, as log lines have it; undefined where it has none. */
  readonly credential: string | undefined;
  /** The address as a trusted proxy told it; undefined where it is the other end of the connection. */
  readonly address: string | undefined;
  /** What the client calls itself. */
  readonly agent: string | undefined;
  /** By whom its place is counted. */
  holder(): NamedHolder;
  /** By what its next attempt can be refused: the use of a ticket, or the id of a session. */
  readonly ownIdentity: { readonly ticket: string; readonly generation: number } | { readonly session: string } | undefined;
}
