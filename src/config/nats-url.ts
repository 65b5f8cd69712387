import { PERCENT_ENCODING_HINT, WrongValue } from './setting-kinds.ts';

/** The parts of a URL of NATS: servers of one cluster, and how a client logs in. */
export interface NatsLocation {
  /** Each is `host:port`. */
  readonly servers: readonly string[];
  readonly isTls: boolean;
  readonly user?: string;
  readonly password?: string;
  /** Instead of a user and a password. */
  readonly token?: string;
}

const URL_FORM = /^(nats|tls):\/\/(?:([^/?#@]*)@)?([^/?#@]+)\/?$/i;
const HOST = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?$/i;
const USUAL_PORT = 4222;

/**
 * Reads `nats://user:password@host:port,host:port`, with `tls` for TLS, and a token in the place of the user.
 * @throws WrongValue Its text names the error and repeats nothing of the URL, which may contain a password.
 */
export function readNatsUrl(text: string): NatsLocation {
  const [, scheme = '', access, hosts = ''] = URL_FORM.exec(text) ?? [];
  if (scheme === '') throw new WrongValue(`that is no URL of NATS; it must be nats:// or tls:// (for TLS) and hosts, and ${PERCENT_ENCODING_HINT}`);
  const parts = hosts.split(',');
  const servers = parts.map((host, index) => {
    const [whole, port = String(USUAL_PORT)] = HOST.exec(host) ?? [];
    if (whole === undefined || Number(port) < 1 || Number(port) > 65_535) throw new WrongValue(`${parts.length === 1 ? 'its host' : `host ${index + 1} of ${parts.length}`} is not a name or an address, with or without :port`);
    return /:[0-9]+$/.test(whole) && !whole.endsWith(']') ? whole : `${whole}:${port}`;
  });
  return { servers, isTls: scheme.toLowerCase() === 'tls', ...readAccess(access) };
}

function readAccess(text: string | undefined): Pick<NatsLocation, 'user' | 'password' | 'token'> {
  if (text === undefined || text === '') return {};
  const [first = '', ...rest] = text.split(':');
  return rest.length === 0 ? { token: decoded(first) } : { user: decoded(first), password: decoded(rest.join(':')) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new WrongValue(PERCENT_ENCODING_HINT, { cause: error });
  }
}
