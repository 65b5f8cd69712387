import type { IncomingHttpHeaders } from 'node:http';
import type { Endpoint } from './endpoints.ts';
import type { Query } from '../input/query-string.ts';

/** The two listeners of an instance: for its clients, and for its operators (`OPS_PORT`). */
export type Listener = 'main' | 'operations';

/** A request before its body. Both edges make one, and admission reads nothing else of a request. */
export interface RequestHead {
  readonly method: string;
  /** The listener that accepted its connection. */
  readonly listener: Listener;
  /** The path and the query as they were sent. */
  readonly url: string;
  /** `1.1` or `1.0`. */
  readonly httpVersion: string;
  /** By their names in lower case. Node joins the values of a repeated header, or keeps only the first: see `repeated`. */
  readonly headers: IncomingHttpHeaders;
  /** The names, in lower case, of headers that came more than once. */
  readonly repeated: readonly string[];
  readonly query: Query;
  /** The requested endpoint; undefined if none has this path and method. */
  readonly endpoint: Endpoint | undefined;
  /** The methods that a path has; without an argument, the request's own path. Admission calls it only if `endpoint` is undefined. */
  allowedMethods(path?: string): readonly string[];
}

/** The other end of a connection. */
export interface Peer {
  readonly remoteAddress?: string | undefined;
}
