import type { IncomingHttpHeaders } from 'node:http';
import type { Endpoint } from './endpoints.ts';
import type { Query } from '../input/query-string.ts';

/** The two listeners of an instance: for its clients, and for its operators (`OPS_PORT`). */
export type Listener = 'main' | 'operations';

/** A request before its body, on whichever edge it came in: all that admission goes by. */
export interface RequestHead {
  readonly method: string;
  /** Through which listener it came. */
  readonly listener: Listener;
  /** The path and the query as they were sent. */
  readonly url: string;
  /** `1.1` or `1.0`. */
  readonly httpVersion: string;
  /** By their names in lower case. Values of a name that came more than once are joined, or the first one counts: see `repeated`. */
  readonly headers: IncomingHttpHeaders;
  /** The names, in lower case, of headers that came more than once. */
  readonly repeated: readonly string[];
  readonly query: Query;
  /** The requested endpoint; undefined if none has this path and method. */
  readonly endpoint: Endpoint | undefined;
  /** The methods that a path has, by default the request's own. Admission asks only where there is no endpoint. */
  allowedMethods(path?: string): readonly string[];
}

/** The other end of a connection. */
export interface Peer {
  readonly remoteAddress?: string | undefined;
}
