/** Timeouts and bounds of the HTTP server: how much one client may use, and for how long. */

/** Stops one request from costing unbounded work: 100 topics of 255 ASCII characters fit. */
export const URL_MAX_BYTES = 32 * 1024;

/** Stops a request's head from filling memory; held-heads.ts counts the heads of all connections together. It is larger than the longest URL, so that a longer URL reaches admission and gets 414. */
export const HEAD_MAX_BYTES = URL_MAX_BYTES + 32 * 1024;

/** Stops a client that sends its head a byte at a time from holding a connection. */
export const HEAD_MAX_MS = 20_000;

/** Stops a client that sends its body a byte at a time. No open stream ends by this limit, because its request ended with the head. */
export const REQUEST_MAX_MS = 120_000;

/** How often the server looks for connections that exceed `HEAD_MAX_MS` or `REQUEST_MAX_MS`. */
const REQUEST_CHECK_MS = 5_000;

/** How long an idle connection stays open. Longer than the 60 s of common load balancers, so that they never send a request on a connection that is closing. */
export const KEEP_ALIVE_MS = 72_000;

/**
 * How long a connection may make no progress while an answer is due, or while its client reads none. Longer than the longest long poll.
 * Stops clients that stopped reading from keeping their answers in memory.
 */
export const STANDSTILL_MAX_MS = 120_000;

/** Connections besides streams; more are dropped. Stops sockets from using up the file descriptors that the database needs. */
export const OTHER_MAX_CONNECTIONS = 4096;

/** Connections of the operations listener, for a few Prometheus servers and load balancers. Stops other clients from using up file descriptors there. */
export const OPERATIONS_MAX_CONNECTIONS = 64;

/** These limits as options of Node's server. `requireHostHeader` is off, because the rule `hostMissing` answers better. */
export const SERVER_OPTIONS = {
  maxHeaderSize: HEAD_MAX_BYTES, requireHostHeader: false, headersTimeout: HEAD_MAX_MS, requestTimeout: REQUEST_MAX_MS, connectionsCheckingInterval: REQUEST_CHECK_MS, keepAliveTimeout: KEEP_ALIVE_MS,
} as const;

/** The longest body on an endpoint that takes none. Stops it from using memory. */
export const BODY_MAX_BYTES = 1024;
