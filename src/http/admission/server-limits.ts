/** Timeouts and bounds of the HTTP server: what one client may hold, and for how long. */

/** Stops one request from costing unbounded work: 100 topics of 255 ASCII characters fit. */
export const URL_MAX_BYTES = 32 * 1024;

/** Stops a request's head from filling memory; held-heads.ts counts those of all connections together. It leaves 32 KiB for headers besides the longest URL, so that a URL that is too long gets its 414. */
export const HEAD_MAX_BYTES = URL_MAX_BYTES + 32 * 1024;

/** Stops a client that sends its head a byte at a time from holding a connection. */
export const HEAD_MAX_MS = 20_000;

/** Stops a client that does so with its body. A stream's request ends with its head: none of these limits ends an open stream. */
export const REQUEST_MAX_MS = 120_000;

/** How often the server looks for connections that are past the two limits above. */
const REQUEST_CHECK_MS = 5_000;

/** How long an idle connection is kept: longer than the 60 s of common load balancers. Stops them from sending a request into a connection that is closing. */
export const KEEP_ALIVE_MS = 72_000;

/**
 * How long a connection may stand still while an answer is due, or while its client does not take one. It is longer than the longest poll.
 * Stops clients that stopped reading from holding their answers for ever.
 */
export const STANDSTILL_MAX_MS = 120_000;

/** Connections besides streams. More are dropped: stops sockets from taking the files that the database must open. */
export const OTHER_MAX_CONNECTIONS = 4096;

/** Connections of the listener for operations: a few Prometheus servers and load balancers. Stops others from taking files there. */
export const OPERATIONS_MAX_CONNECTIONS = 64;

/** The same limits as options of Node's server. Admission refuses a request without `Host`. */
export const SERVER_OPTIONS = {
  maxHeaderSize: HEAD_MAX_BYTES, requireHostHeader: false, headersTimeout: HEAD_MAX_MS, requestTimeout: REQUEST_MAX_MS, connectionsCheckingInterval: REQUEST_CHECK_MS, keepAliveTimeout: KEEP_ALIVE_MS,
} as const;

/** Stops bodies where no route says otherwise: nothing there takes one. */
export const BODY_MAX_BYTES = 1024;
