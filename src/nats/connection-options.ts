import type { ConnectionOptions } from '@nats-io/transport-node';
import { isIP } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import type { NatsLocation } from '../config/nats-url.ts';

/**
 * This room makes the options of a connection to NATS, for the bus and the connectors. A location from config/ comes in; options for the client go out. The users connect themselves.
 */

/** How often a connection is probed, and how many probes may be unanswered. Detects a server that is gone without closing the connection. */
const PING_INTERVAL_MS = 2_000;
const PINGS_UNANSWERED_MAX_REQUESTS = 1;

/** The timeout of connecting. Stops an endless wait for a server that never finishes the handshake. */
const CONNECT_MAX_MS = 5_000;

/** The client must not reconnect by itself, because it would queue messages for a server that is away. So its users reconnect. */
export function optionsFor({ servers, isTls, user, password, token }: NatsLocation): ConnectionOptions {
  return {
    servers: [...servers], name: 'tidings', noEcho: true, reconnect: false, ignoreClusterUpdates: true, timeout: CONNECT_MAX_MS, pingInterval: PING_INTERVAL_MS, maxPingOut: PINGS_UNANSWERED_MAX_REQUESTS,
    tls: isTls ? tlsFor(servers) : null,
    ...(user === undefined ? {} : { user }), ...(password === undefined ? {} : { pass: password }), ...(token === undefined ? {} : { token }),
  };
}

/** For a server that is named by an IP address, the client would check a certificate for `localhost`. So check it for the address. The client passes options that it does not know to Node. */
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
