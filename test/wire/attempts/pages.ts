import { APP, bearer, COOKIE, cookie, get, post, refused, RENEWAL, type Attempt, type Facts, type Headers } from './attempt.ts';
import { requestBytes } from '../../support/raw.ts';

/** What a web page can make a browser send, and requests for another host. */

const MINE = '/topics/user.alice.inbox';

/** Pages that are not the application's. The browser adds alice's cookie. */
const FOREIGN: readonly (readonly [what: string, headers: Headers])[] = [
  ['no origin', {}],
  ['an origin that is hidden', { Origin: 'null' }],
  ['another site', { Origin: 'https://evil.example' }],
  ['a neighbour below the application', { Origin: 'https://evil.app.example' }],
  ['a neighbour beside the application', { Origin: 'https://evil.example.app' }],
  ['the host above', { Origin: 'https://example' }],
  ['a name that begins like the application\'s', { Origin: `${APP}.evil.example` }],
  ['a name that ends like the application\'s', { Origin: 'https://evilapp.example' }],
  ['the application without TLS', { Origin: 'http://app.example' }],
  ['another port of the application', { Origin: `${APP}:8443` }],
  ['the application with a dot at its end', { Origin: `${APP}.` }],
  ['the application with a path', { Origin: `${APP}/` }],
  ['the application with a user', { Origin: 'https://app.example@evil.example' }],
  ['another port of this host', { Origin: 'http://localhost:1' }],
  ['another loopback name', { Origin: 'http://127.0.0.1' }],
  ['an extension', { Origin: 'chrome-extension://abcdefghijklmnop' }],
  ['a file', { Origin: 'file://' }],
  ['two origins in one', { Origin: `${APP} https://evil.example` }],
  ['a list of origins', { Origin: `${APP}, https://evil.example` }],
  ['the application as referrer', { Referer: `${APP}/` }],
  ['an origin that the browser contradicts', { 'Origin': 'http://localhost', 'Sec-Fetch-Site': 'cross-site' }],
  ['a neighbour, as the browser says', { 'Origin': 'https://evil.app.example', 'Sec-Fetch-Site': 'same-site' }],
  ['no origin, and another site, as the browser says', { 'Sec-Fetch-Site': 'cross-site' }],
  ['no origin, and nobody\'s wish, as the browser says', { 'Sec-Fetch-Site': 'none' }],
];

/** What a form or a script can send without asking first. */
const SIMPLE: readonly (readonly [what: string, headers: Headers])[] = [
  ['plain text', { 'Content-Type': 'text/plain' }],
  ['a form', { 'Content-Type': 'application/x-www-form-urlencoded' }],
  ['a form of parts', { 'Content-Type': 'multipart/form-data; boundary=x' }],
];

const crossSite = ({ alice }: Facts): Attempt[] => FOREIGN.flatMap(([what, headers], index) => {
  const [kind, type] = SIMPLE[index % SIMPLE.length]!;
  return [
    refused(`${what}: publishing ${kind} with a cookie`, post(MINE), 403, cookie(alice, { ...type, ...headers }), cookie(alice, { Origin: APP })),
    refused(`${what}: publishing JSON with a cookie`, post('/messages', '[{"topic":"user.alice.inbox","data":1}]'), 403, cookie(alice, { 'Content-Type': 'application/json', ...headers }), cookie(alice, { 'Content-Type': 'application/json', Origin: APP })),
    refused(`${what}: prolonging a stream with a cookie, as ${kind}`, RENEWAL, 403, cookie(alice, { ...type, ...headers })),
  ];
});

/** Reading with a cookie: a page of another site could open a stream, and would see nothing. It must not hold one either. */
const crossSiteReads = ({ alice }: Facts): Attempt[] => FOREIGN.filter(([, headers]) => 'Origin' in headers || headers['Sec-Fetch-Site'] === 'cross-site').flatMap(([what, headers]) => [
  refused(`${what}: a stream with a cookie`, get(`${MINE}/events`), 403, cookie(alice, headers), cookie(alice, { Origin: APP })),
  refused(`${what}: history with a cookie`, get(`${MINE}/messages`), 403, cookie(alice, headers), cookie(alice)),
]);

const otherWays = ({ alice, host }: Facts): Attempt[] => [
  refused('an upgrade with a cookie', (headers) => requestBytes('GET', `${MINE}/events`, { 'Connection': 'Upgrade', 'Upgrade': 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', ...headers }), 403, cookie(alice, { Origin: 'https://evil.example' })),
  refused('an upgrade with a cookie, and no origin', (headers) => requestBytes('GET', `${MINE}/messages`, { Connection: 'Upgrade', Upgrade: 'websocket', ...headers }), 403, cookie(alice)),
  refused('a cookie, and the origin twice', (headers) => requestBytes('POST', MINE, { ...headers, 'Origin': APP, 'origin': 'https://evil.example' }, 'x'), 400, cookie(alice)),
  refused('a cookie, and an override of the method', (headers) => requestBytes('POST', `${MINE}/messages?_method=GET`, { 'X-HTTP-Method-Override': 'GET', ...headers }, 'x'), 405, cookie(alice)),
  refused('another site without a cookie, with a header', post(MINE), 403, { ...bearer(alice), Origin: 'https://evil.example' }, bearer(alice)),
  refused('another site, publishing to what is public', post('/topics/feedback'), 403, { Origin: 'https://evil.example' }, {}),
  refused('a foreign host', get(`${MINE}/messages`), 421, { ...bearer(alice), Host: 'evil.example' }, { ...bearer(alice), Host: host }),
  refused('a foreign host: publishing with a cookie from a page of it', post(MINE), 421, cookie(alice, { Host: 'evil.example', Origin: 'http://evil.example' }), cookie(alice, { Host: host, Origin: `http://${host}` })),
  refused('a foreign host that begins like this one', get(`${MINE}/messages`), 421, { ...bearer(alice), Host: 'localhost.evil.example' }),
  refused('a foreign host behind a user', get(`${MINE}/messages`), 421, { ...bearer(alice), Host: 'localhost@evil.example' }),
  refused('a foreign host that a proxy would call this one', get(`${MINE}/messages`), 421, { ...bearer(alice), 'Host': 'evil.example', 'X-Forwarded-Host': host, 'Forwarded': `host=${host}` }),
  refused('two hosts', (headers) => requestBytes('GET', `${MINE}/messages`, { ...headers, Host: host, host: 'evil.example' }), 400, bearer(alice)),
  refused('two hosts in one', get(`${MINE}/messages`), 421, { ...bearer(alice), Host: `${host}, evil.example` }),
  refused('a whole URL of a foreign host', get(`http://evil.example${MINE}/messages`), 421, { ...bearer(alice), Host: host }),
  refused('a whole URL of this host, and a foreign one in the header', get(`http://${host}${MINE}/messages`), 421, { ...bearer(alice), Host: 'evil.example' }),
  { what: 'no host', bytes: Buffer.from(`GET ${MINE}/messages HTTP/1.1\r\nAuthorization: Bearer ${alice}\r\n\r\n`), statuses: [400], methods: ['GET'], control: undefined },
  ...['https://evil.example', 'null', 'https://evil.app.example'].map((Origin): Attempt => ({
    what: `a question of ${Origin} which requests it may send: it is answered, and allows nothing`,
    bytes: requestBytes('OPTIONS', MINE, { Origin, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'authorization,x-injected', 'Cookie': `${COOKIE}=${alice}` }), statuses: [204], methods: ['OPTIONS'], control: undefined,
  })),
];

export const pageAttempts = (facts: Facts): Attempt[] => [crossSite, crossSiteReads, otherWays].flatMap((one) => one(facts));
