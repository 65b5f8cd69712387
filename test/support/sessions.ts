import { parseSetCookie, type SetCookie } from 'cookie';
import type { Answer, Http } from './http.ts';
import { bearer } from './keys-command.ts';

/** The cookie that an answer sets. */
export function setCookie({ headers }: Answer): SetCookie {
  const [line, ...others] = headers['set-cookie'] ?? [];
  if (line === undefined || others.length > 0) throw new Error(`${others.length} cookies are set`);
  return parseSetCookie(line);
}

/** What a browser sends from a page of this host once it has a session. */
export type PageHeaders = Readonly<Record<'cookie' | 'origin', string>>;

/** Exchanges a key or token for a session, as a page of this host does. */
export async function logIn(http: Http, credential: string, headers: Readonly<Record<string, string>> = {}): Promise<PageHeaders> {
  const answer = await http.send('POST', '/session', { ...bearer(credential), origin: http.url, ...headers });
  if (answer.status !== 201) throw new Error(`${answer.status} ${answer.body}`);
  const { name, value } = setCookie(answer);
  return { cookie: `${name}=${value}`, origin: http.url };
}
