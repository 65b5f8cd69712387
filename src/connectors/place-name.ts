import { hash } from 'node:crypto';
import { isLoopback } from '../config/loopback.ts';
import { CONNECTOR_NAME_MAX_BYTES } from '../store/contracts/connector-store.ts';

/**
 * The name of a system, such as `nats:localhost:4222`. The order of its servers does not matter, and all loopback names count as `localhost`. A long name becomes its hash, because it is
 * stored with each range of messages.
 *
 * @param user Only for a system whose users see different messages.
 */
export function placeName(system: string, servers: readonly { readonly host: string; readonly port: number | string }[], user?: string): string {
  const names = servers.map(({ host, port }) => `${isLoopback(host.replace(/^\[|\]$/g, '')) ? 'localhost' : host.toLowerCase()}:${port}`).toSorted().join();
  const place = `${user === undefined ? '' : `${user}@`}${names}`;
  return `${system}:${system.length + 1 + Buffer.byteLength(place) > CONNECTOR_NAME_MAX_BYTES ? hash('sha256', place) : place}`;
}
