import type { NamedHolder } from '../../runtime/sharing/fair-shares.ts';

/** The client of a stream, for administrators. Values that cost memory are read when an administrator asks. */
export interface StreamClient {
  /** Names the stream on this instance. */
  readonly number: number;
  /** Who is present by it, as presence calls them; undefined where that is nobody in particular. */
  readonly member: string | undefined;
  /** The name of its credential, as log lines have it; undefined where it has none. */
  readonly credential: string | undefined;
  /** The address as a trusted proxy told it; undefined where it is the other end of the connection. */
  readonly address: string | undefined;
  /** The client's name for itself. */
  readonly agent: string | undefined;
  /** The holder on whom its place counts. */
  holder(): NamedHolder;
  /** By what its next attempt can be refused: the use of a ticket, or the id of a session. */
  readonly ownIdentity: { readonly ticket: string; readonly generation: number } | { readonly session: string } | undefined;
}
