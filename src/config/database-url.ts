import { fileURLToPath } from 'node:url';
import { WrongValue } from './setting-kinds.ts';

/** Where the log is. `shown` is what may be said of it: it holds no password. */
export type DatabaseLocation =
  | { readonly kind: 'sqlite'; readonly file: string }
  | { readonly kind: 'postgres'; readonly url: string; readonly shown: string };

export function readDatabaseUrl(text: string): DatabaseLocation {
  if (/^postgres(ql)?:/i.test(text)) return readPostgres(text);
  const path = /^file:([^?#]+)$/i.exec(text)?.[1];
  if (path === undefined || path.endsWith('/')) throw new WrongValue();
  // In memory, a log would keep none of its promises.
  if (path.includes(':memory:')) throw new WrongValue('a database in memory would lose every message; it must be file:<path of an SQLite database>');
  try {
    return { kind: 'sqlite', file: path.startsWith('//') ? fileURLToPath(text) : path };
  } catch {
    throw new WrongValue();
  }
}

function readPostgres(text: string): DatabaseLocation {
  // A socket's folder may stand in the query, with no host where hosts stand.
  const url = URL.parse(text.replace('@/', '@localhost/'));
  if (url === null || !/^postgres(ql)?:\/\//i.test(text)) {
    throw new WrongValue('that is no URL of PostgreSQL; it must be postgres://user:password@host:port/database, with what is special in user or password percent-encoded');
  }
  const host = url.searchParams.get('host') ?? (url.host === '' ? 'localhost' : url.host);
  if (host.includes(',')) throw new WrongValue('it names several hosts; it must name one, which stands for the primary');
  return { kind: 'postgres', url: text, shown: `PostgreSQL at ${host.replaceAll('%2F', '/')}${url.pathname}` };
}
