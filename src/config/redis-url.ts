import { isIP } from 'node:net';
import { PERCENT_ENCODING_HINT, WrongValue } from './setting-kinds.ts';

/** The address of a server. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** How a client connects: its user and password, and whether it uses TLS. */
export interface Access {
  readonly username?: string;
  readonly password?: string;
  readonly isTls: boolean;
}

/** The kinds of `REDIS_URL`: one server, the sentinels that know a master, or nodes of one cluster. */
export type RedisLocation = ServerLocation | SentinelLocation | ClusterLocation;

export interface ServerLocation {
  readonly kind: 'server';
  readonly server: Address;
  readonly access: Access;
}

export interface SentinelLocation {
  readonly kind: 'sentinel';
  readonly sentinels: readonly Address[];
  readonly sentinelAccess: Access;
  /** The name by which the sentinels know the master. */
  readonly master: string;
  /** The access to the master itself. */
  readonly access: Access;
}

export interface ClusterLocation {
  readonly kind: 'cluster';
  readonly nodes: readonly Address[];
  readonly access: Access;
}

/** The ports of a URL that names none. */
const DEFAULT_SERVER_PORT = 6379;
const DEFAULT_SENTINEL_PORT = 26379;

/** Splits a URL into its parts without validation. The function that reads a part reports its errors. */
const URL_FORM = /^(rediss?)(\+sentinel|\+cluster)?:\/\/(?:([^/?#]*)@)?([^/?#@]*)([^?#]*)(?:\?([^#]*))?$/i;

/**
 * Reads a URL of Redis. URLs of several servers have the form that most programs accept; their parameters have ioredis' names. The number
 * of a database is allowed and ignored, because Redis' pub/sub knows no databases.
 * @throws WrongValue Its text names the error and repeats nothing of the URL, which may contain a password.
 */
export function readRedisUrl(text: string): RedisLocation {
  const [, scheme, kind = '', user = '', hosts = '', path = '', query = ''] = URL_FORM.exec(text) ?? [];
  if (scheme === undefined) throw new WrongValue(`that is no URL of Redis; it must begin with redis://, redis+sentinel:// or redis+cluster:// (rediss for TLS), and ${PERCENT_ENCODING_HINT}`);
  const isTls = scheme.toLowerCase() === 'rediss';
  const access = { ...readUser(user), isTls };
  const isSentinel = kind.toLowerCase() === '+sentinel';
  const servers = readHosts(hosts, isSentinel ? DEFAULT_SENTINEL_PORT : DEFAULT_SERVER_PORT);
  // If the password holds a / or a ?, an @ follows later. Then `hosts` is the beginning of the password, and no error may name it. In a sentinel URL, a query may hold an @.
  if ((isSentinel ? path : `${path}${query}`).includes('@')) throw new WrongValue(`it has an @ after its host; ${PERCENT_ENCODING_HINT}`);
  if (isSentinel) {
    return { kind: 'sentinel', access, sentinels: servers, master: readMaster(path), sentinelAccess: { ...readSentinelUser(query), isTls } };
  }
  if (!/^(\/[0-9]{0,5})?$/.test(path)) throw new WrongValue('what follows the host can only be / and the number of a database');
  if (kind.toLowerCase() === '+cluster') return { kind: 'cluster', access, nodes: servers };
  const [server] = servers;
  if (server === undefined || servers.length > 1) throw new WrongValue('it names several hosts; nodes of a cluster are named by redis+cluster://, sentinels by redis+sentinel://');
  return { kind: 'server', access, server };
}

/** The server name of TLS (SNI): the name in the server's certificate. TLS allows no IP address here. */
export function serverName(host: string): { readonly servername?: string } {
  return isIP(host) === 0 ? { servername: host } : {};
}

/** Reads `user:password`. */
export function readUser(text: string): { username?: string; password?: string } {
  const [, username = '', password = ''] = /^([^:]*):?(.*)$/s.exec(text) ?? [];
  return { ...(username === '' ? {} : { username: decode(username) }), ...(password === '' ? {} : { password: decode(password) }) };
}

/** Reads `host:port,host:port`. */
export function readHosts(text: string, usualPort: number): Address[] {
  const parts = text.split(',');
  return parts.map((part, index) => {
    const [, six, name, port = String(usualPort)] = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::([0-9]{1,5}))?$/i.exec(part) ?? [];
    const host = six ?? name;
    if (host === undefined || (six !== undefined && isIP(six) !== 6) || Number(port) < 1 || Number(port) > 65_535) {
      throw new WrongValue(`${parts.length === 1 ? 'its host' : `host ${index + 1} of ${parts.length}`} is not a name or an address, with or without :port`);
    }
    return { host, port: Number(port) };
  });
}

function readMaster(path: string): string {
  const name = /^\/([a-z0-9._-]+)(\/[0-9]{0,5})?$/i.exec(path)?.[1];
  if (name === undefined) throw new WrongValue('after the sentinels the name of their master is missing, or has letters that no such name has; it must be redis+sentinel://host:26379,host:26379/name');
  return name;
}

function readSentinelUser(query: string): { username?: string; password?: string } {
  const given = new Map(query.split('&').filter((part) => part !== '').map((part) => {
    const [, name, value] = /^([^=]*)=?(.*)$/s.exec(part)!;
    return [name, decode(value!)];
  }));
  const [username, password] = ['sentinelUsername', 'sentinelPassword'].map((name) => {
    const value = given.get(name);
    given.delete(name);
    return value;
  });
  if (given.size > 0) throw new WrongValue('it has a parameter that is neither sentinelUsername nor sentinelPassword');
  return { ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new WrongValue(`a user or password in it is not percent-encoded properly; ${PERCENT_ENCODING_HINT}`);
  }
}
