import type { ConnectionOptions } from '@nats-io/transport-node';
import { isIP } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import type { NatsLocation } from '../config/nats-url.ts';

/**
 * This room holds what the bus and the connectors have in common that use NATS: how they connect. A place comes in, as config/ has read it. The options of a connection go out. Who connects, and what
 * is said over a connection, is decided elsewhere.
 */

/** How often a connection is probed, and how many probes may be unanswered. Stop a connection whose other end vanished without a word from looking alive. */
const PING_INTERVAL_MS = 2_000;
const PINGS_UNANSWERED_MAX_REQUESTS = 1;

/** How long setting up a connection may take. Stops a server that never finishes the handshake from being waited for. */
const CONNECT_MAX_MS = 5_000;

/** How we connect to a place. Reconnecting is the caller's own: the client would keep messages for a server that is away. */
export function optionsFor({ servers, isTls, user, password, token }: NatsLocation): ConnectionOptions {
  return {
    servers: [...servers], name: 'tidings', noEcho: true, reconnect: false, ignoreClusterUpdates: true, timeout: CONNECT_MAX_MS, pingInterval: PING_INTERVAL_MS, maxPingOut: PINGS_UNANSWERED_MAX_REQUESTS,
    tls: isTls ? tlsFor(servers) : null,
    ...(user === undefined ? {} : { user }), ...(password === undefined ? {} : { pass: password }), ...(token === undefined ? {} : { token }),
  };
}

/** Options of TLS beyond those that the client knows are handed to Node. For a server that is named by an address it would check the name localhost. */
function tlsFor(servers: readonly string[]): { readonly handshakeFirst: false; readonly checkServerIdentity: typeof checkServerIdentity } {
  const addresses = servers.map((server) => server.replace(/:[0-9]+$/, '').replace(/^\[|\]$/g, '')).filter((host) => isIP(host) !== 0);
  return {
    handshakeFirst: false,
    checkServerIdentity: (name, certificate) => {
      const wrong = checkServerIdentity(name, certificate);
      return wrong !== undefined && name === 'localhost' && addresses.some((address) => checkServerIdentity(address, certificate) === undefined) ? undefined : wrong;
    },
  };
}
