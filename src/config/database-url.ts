import { fileURLToPath } from 'node:url';
import { PERCENT_ENCODING_HINT, WrongValue } from './setting-kinds.ts';

/** Where the message log is stored. `shown` names the database without its password, for log lines. */
export type DatabaseLocation =
  | { readonly kind: 'sqlite'; readonly file: string }
  | { readonly kind: 'postgres'; readonly url: string; readonly shown: string };

/**
 * Reads `DATABASE_URL`: the path of an SQLite file, or a URL that the driver of PostgreSQL understands.
 * @throws WrongValue Its text repeats nothing of the URL, which may hold a password.
 */
export function readDatabaseUrl(text: string): DatabaseLocation {
  if (/^postgres(ql)?:/i.test(text)) return readPostgres(text);
  const path = /^file:([^?#]+)$/i.exec(text)?.[1];
  if (path === undefined || path.endsWith('/')) throw new WrongValue();
  // A 201 promises that the message survives a crash, so the log must not be in memory.
  if (path.includes(':memory:')) throw new WrongValue('a database in memory would lose every message; it must be file:<path of an SQLite database>');
  try {
    return { kind: 'sqlite', file: path.startsWith('//') ? fileURLToPath(text) : path };
  } catch {
    throw new WrongValue();
  }
}

function readPostgres(text: string): DatabaseLocation {
  // A URL may have the folder of a Unix socket in its query, and then no host.
  const url = URL.parse(text.replace('@/', '@localhost/'));
  const isForm = /^postgres(ql)?:\/\//i.test(text);
  // If the password holds a /, ? or #, an @ follows later. Then `host` is the beginning of the password, and drivers would put it into their errors.
  if (url === null || !isForm || `${url.pathname}${url.search}`.includes('@') || url.hash !== '' || !isDecodable(`${url.username} ${url.password}`)) {
    throw new WrongValue(`that is no URL of PostgreSQL; it must be postgres://user:password@host:port/database, and ${PERCENT_ENCODING_HINT}`);
  }
  const host = url.searchParams.get('host') ?? (url.host === '' ? 'localhost' : url.host);
  if (host.includes(',')) throw new WrongValue('it names several hosts; it must name one, which stands for the primary');
  return { kind: 'postgres', url: text, shown: `PostgreSQL at ${host.replaceAll('%2F', '/')}${url.pathname}` };
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
