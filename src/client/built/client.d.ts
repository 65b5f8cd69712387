import type { Connection, ConnectOptions } from './api.js';
import { TidingsError } from './requests.js';
/**
 * The client library, for browsers and for servers that have `fetch`. An application subscribes to topics, and gets each message once, in order, over reconnects. The library imports nothing of
 * the service, and relies only on docs/protocol.md. `built/` has it as JavaScript; the service serves that at /client.js.
 *
 * Read in this order: api.ts (the public types), this file, event-stream.ts (the one stream), subscription.ts and history.ts (a topic, from history to live). Other sources of the stream are
 * long-poll.ts, web-socket.ts and sharing.ts.
 */
export type * from './api.js';
export { TidingsError };
/**
 * Makes a connection to a service. It opens its stream with the first subscription.
 * @param url The URL of the service: its origin, and the path prefix that a proxy gives it.
 * @throws TypeError that names an option with a wrong value, or an unknown option
 */
export declare function connect(url: string, options?: ConnectOptions): Connection;
