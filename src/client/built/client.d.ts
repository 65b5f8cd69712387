import type { Connection, ConnectOptions } from './api.js';
import { TidingsError } from './requests.js';
/**
 * The client library, for browsers and for servers that have `fetch`. An application asks for topics, and gets messages: each once, in order, over reconnects. It imports nothing of the
 * service, and knows only what docs/protocol.md promises. `built/` has it as JavaScript; the service serves that at /client.js.
 */
export type * from './api.js';
export { TidingsError };
/**
 * A connection to a service; it opens with the first subscription.
 * @param url Where the service is: its origin, and the path below which it lies.
 * @throws TypeError that names the option that is wrong, or that there is not
 */
export declare function connect(url: string, options?: ConnectOptions): Connection;
