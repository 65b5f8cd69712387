import { isLoopback } from '../config/loopback.ts';

/** The longest text of the servers of a system. Stops a long list from filling the log's table of origins. Characters. */
const SERVERS_MAX_CHARACTERS = 400;

/** The servers of a system as one text, equal for equal servers in any order. All names of this machine count as one. */
export function serverNames(servers: readonly { readonly host: string; readonly port: number | string }[]): string {
  return servers.map(({ host, port }) => `${isLoopback(host.replace(/^\[|\]$/g, '')) ? 'localhost' : host.toLowerCase()}:${port}`).toSorted().join().slice(0, SERVERS_MAX_CHARACTERS);
}
