import { t } from 'tap';
import { readCredential, type Credential, type CredentialPlaces } from '../../../src/http/input/credential.ts';
import { parseQuery } from '../../../src/http/input/query-string.ts';
import { Problem } from '../../../src/model/problem.ts';

const KEY = `tdg_abcdefghijkl_${'0123456789abcdef'.repeat(4)}`;
const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;

const HEADER_ONLY: CredentialPlaces = { cookie: undefined, isQueryTaken: false, isTicketTaken: false };
const ANYWHERE: CredentialPlaces = { cookie: 'session', isQueryTaken: true, isTicketTaken: true };

interface Sent {
  readonly authorization?: string;
  readonly cookie?: string;
  readonly query?: string;
}

function read({ authorization, cookie, query = '' }: Sent, places: CredentialPlaces): Credential | Problem | undefined {
  return readCredential({ headers: { authorization, cookie }, query: parseQuery(query) }, places);
}

const READ: readonly (readonly [sent: Sent, places: CredentialPlaces, credential: Credential | undefined, why: string])[] = [
  [{}, ANYWHERE, undefined, 'there is none'],
  [{ authorization: `Bearer ${KEY}` }, HEADER_ONLY, { text: KEY, source: 'header' }, 'RFC 6750'],
  [{ authorization: `bearer ${KEY}` }, HEADER_ONLY, { text: KEY, source: 'header' }, 'a scheme has no case (RFC 9110, section 11.1)'],
  [{ authorization: `BEARER   ${KEY}` }, HEADER_ONLY, { text: KEY, source: 'header' }, 'blanks'],
  [{ authorization: 'Bearer a.b-c_d~e+f/g==' }, HEADER_ONLY, { text: 'a.b-c_d~e+f/g==', source: 'header' }, 'all that a token may have'],
  [{ authorization: basic(`me:${KEY}`) }, HEADER_ONLY, { text: KEY, source: 'header' }, 'curl -u me:key'],
  [{ authorization: basic(`:${KEY}`) }, HEADER_ONLY, { text: KEY, source: 'header' }, 'curl -u :key'],
  [{ authorization: basic(`${KEY}:`) }, HEADER_ONLY, { text: KEY, source: 'header' }, 'curl -u key:'],
  [{ authorization: basic('me:a:b') }, HEADER_ONLY, { text: 'a:b', source: 'header' }, 'a password may have colons (RFC 7617)'],
  [{ query: `access_token=${KEY}` }, ANYWHERE, { text: KEY, source: 'query' }, 'in the URL'],
  [{ query: `access_token=${KEY}` }, HEADER_ONLY, undefined, 'in the URL, where it does not count'],
  [{ cookie: `session=${KEY}` }, ANYWHERE, { text: KEY, source: 'cookie' }, 'in a cookie'],
  [{ cookie: `a=b; session=${KEY}; c=d` }, ANYWHERE, { text: KEY, source: 'cookie' }, 'in one of several cookies'],
  [{ cookie: `session=${KEY}` }, HEADER_ONLY, undefined, 'in a cookie, where it does not count'],
  [{ cookie: `sessions=${KEY}; xsession=${KEY}` }, ANYWHERE, undefined, 'in cookies of other names'],
  [{ cookie: 'session=' }, ANYWHERE, undefined, 'a cookie that was emptied'],
  [{ authorization: `Bearer ${KEY}`, cookie: 'session=other' }, ANYWHERE, { text: KEY, source: 'header' }, 'the header goes before a cookie'],
  [{ query: `access_token=${KEY}`, cookie: 'session=other' }, ANYWHERE, { text: KEY, source: 'query' }, 'the URL goes before a cookie'],
  [{ authorization: `Bearer ${KEY}`, query: 'access_token=x' }, HEADER_ONLY, { text: KEY, source: 'header' }, 'what does not count is not looked at'],
];

const REFUSED: readonly (readonly [sent: Sent, field: string, why: RegExp])[] = [
  [{ authorization: '' }, 'Authorization', /takes Bearer/],
  [{ authorization: 'Bearer' }, 'Authorization', /takes Bearer/],
  [{ authorization: 'Bearer ' }, 'Authorization', /takes Bearer/],
  [{ authorization: KEY }, 'Authorization', /takes Bearer/],
  [{ authorization: `Token ${KEY}` }, 'Authorization', /takes Bearer/],
  [{ authorization: 'Digest username="x"' }, 'Authorization', /takes Bearer/],
  [{ authorization: `Bearer ${KEY} ${KEY}` }, 'Authorization', /takes Bearer/],
  [{ authorization: `Bearer ${KEY}, Bearer ${KEY}` }, 'Authorization', /takes Bearer/],
  [{ authorization: `Bearer ${KEY}\u00e9` }, 'Authorization', /no key and no token/],
  [{ authorization: 'Basic !!!' }, 'Authorization', /takes Bearer/],
  [{ authorization: basic('') }, 'Authorization', /takes Bearer/],
  [{ authorization: basic(':') }, 'Authorization', /no password/],
  [{ authorization: basic('no colon') }, 'Authorization', /no password/],
  [{ authorization: `Bearer ${'x'.repeat(9_000)}` }, 'Authorization', /longer than 8192 bytes/],
  [{ query: 'access_token=' }, 'access_token', /no key and no token/],
  [{ query: 'access_token=a%20b' }, 'access_token', /no key and no token/],
  [{ query: `access_token=${KEY}&access_token=${KEY}` }, 'access_token', /more than once/],
  [{ query: `access_token=${'x'.repeat(9_000)}` }, 'access_token', /longer than 8192 bytes/],
  [{ authorization: `Bearer ${KEY}`, query: 'access_token=x' }, 'access_token', /another in the header/],
  [{ cookie: `session=${KEY}; session=${KEY}` }, 'Cookie', /sent more than once/],
  [{ cookie: `session=a; a=b;session =${KEY}` }, 'Cookie', /sent more than once/],
  [{ cookie: 'session=a b' }, 'Cookie', /no key and no token/],
  [{ cookie: 'session="%22"' }, 'Cookie', /no key and no token/],
];

t.test('a credential is in the header, in the URL or in a cookie, where that may be', (t) => {
  for (const [sent, places, credential, why] of READ) t.same(read(sent, places), credential, why);
  t.end();
});

t.test('what can be no credential is refused, and the answer does not repeat it', (t) => {
  for (const [sent, field, why] of REFUSED) {
    const problem = read(sent, ANYWHERE);
    t.match(problem, { field, message: why }, JSON.stringify(sent).slice(0, 60));
    t.ok(problem instanceof Problem && !problem.message.includes(KEY.slice(-20)));
  }
  t.end();
});
