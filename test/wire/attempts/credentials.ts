import { APP, batch, bearer, COOKIE, cookie, get, head, patch, post, refused, RENEWAL, remove, type Attempt, type Facts, type Headers, type Request } from './attempt.ts';
import { requestBytes } from '../../support/raw.ts';

/** Adds another's topic to a stream that is not there. */
const CHANGE = `{"secret":"${'x'.repeat(22)}","add":["user.bob.inbox"]}`;

/** Credentials that are nearly good, in odd places, several at once, or that somebody else has sent. */

const MINE = '/topics/user.alice.inbox/messages';
const BOBS = '/topics/user.bob.inbox/messages';

const basic = (pair: string | Buffer, encoding: BufferEncoding = 'base64'): Headers => ({ Authorization: `Basic ${Buffer.from(pair).toString(encoding)}` });

/** Each is refused where alice's key would do. */
const malformed = ({ alice, aliceId, bob, bobId, bobDigest }: Facts): Attempt[] => {
  const secret = alice.slice(-64);
  const tries: readonly (readonly [what: string, headers: Headers])[] = [
    ['nothing', {}],
    ['an empty header', { Authorization: '' }],
    ['another user\'s id with one\'s own secret', bearer(`tdg_${bobId}_${secret}`)],
    ['one\'s own id with another user\'s secret', bearer(`tdg_${aliceId}_${bob.slice(-64)}`)],
    ['the digest in place of the secret', bearer(`tdg_${bobId}_${bobDigest}`)],
    ['the secret alone', bearer(secret)],
    ['the secret in capitals', bearer(`tdg_${aliceId}_${secret.toUpperCase().replace(/^[0-9]+/, 'A')}`)],
    ['the key in capitals', bearer(alice.toUpperCase())],
    ['a secret that lacks its last character', bearer(alice.slice(0, -1))],
    ['a secret with one more character', bearer(`${alice}0`)],
    ['padding after the key', bearer(`${alice}=`)],
    ['a dot after the key', bearer(`${alice}.`)],
    ['two keys with a comma', bearer(`${alice},${alice}`)],
    ['two keys with a comma and a blank', bearer(`${alice}, Bearer ${alice}`)],
    ['something behind the key', bearer(`${alice} x`)],
    ['a quoted key', bearer(`"${alice}"`)],
    ['percent-encoding in the key', bearer(alice.replace('_', '%5F'))],
    ['a tab in place of the blank', { Authorization: `Bearer\t${alice}` }],
    ['no scheme', { Authorization: alice }],
    ['another scheme', { Authorization: `Token ${alice}` }],
    ['a scheme that begins like Bearer', { Authorization: `BearerX ${alice}` }],
    ['the header of proxies', { 'Proxy-Authorization': `Bearer ${alice}` }],
    ['a header of one\'s own', { 'X-Api-Key': alice, 'X-Authorization': `Bearer ${alice}`, 'X-Forwarded-User': 'root' }],
    ['what a proxy would say of a user', { 'X-Remote-User': 'root', 'X-Forwarded-For': '127.0.0.1', 'Forwarded': 'for=127.0.0.1' }],
    ['a certificate that a proxy would have checked', { 'X-Client-Cert': 'root', 'X-SSL-Client-Verify': 'SUCCESS' }],
    ['Basic with something after the key', basic(`:${alice} `)],
    ['Basic with a line break after the key', basic(`:${alice}\r\n`)],
    ['Basic with a zero after the key', basic(`:${alice}\0`)],
    ['Basic with one colon too many', basic(`x::${alice}`)],
    ['Basic with the key in quotes', basic(`:"${alice}"`)],
    ['Basic in UTF-16', basic(Buffer.from(`:${alice}`, 'utf16le'))],
    ['Basic with a byte order mark', basic(`\ufeff${alice}`)],
    ['Basic without encoding', { Authorization: `Basic :${alice}` }],
    ['Basic in the alphabet of URLs', { Authorization: `Basic ${Buffer.from(`\u00ff\u00ff\u00ff:${alice}`, 'latin1').toString('base64url')}` }],
    ['Basic in hexadecimal', basic(`:${alice}`, 'hex')],
    ['Basic with a key whose other half is a password', basic(`${alice.slice(0, 20)}:${alice.slice(20)}`)],
    ['Basic with the id and the secret', basic(`${aliceId}:${secret}`)],
    ['Basic with a good user and a bad password', basic(`${alice}:x`)],
    ['a cookie of another name', { Cookie: `token=${alice}` }],
    ['a cookie whose name is in capitals', { Cookie: `${COOKIE.toUpperCase()}=${alice}` }],
    ['a cookie whose name is percent-encoded', { Cookie: `%73ession=${alice}` }],
    ['a cookie with a prefix', { Cookie: `__Host-${COOKIE}=${alice}` }],
    ['a cookie whose name begins like it', { Cookie: `x${COOKIE}=${alice}` }],
    ['a cookie inside another, by a comma', { Cookie: `a=b, ${COOKIE}=${alice}` }],
    ['a cookie inside the quotes of another', { Cookie: `a="b; ${COOKIE}x=${alice}"` }],
    ['the same cookie twice', { Cookie: `${COOKIE}=${alice}; ${COOKIE}=${alice}` }],
    ['a cookie that a neighbouring host has set before', { Cookie: `${COOKIE}=${bob}; ${COOKIE}=${alice}` }],
    ['a cookie that a narrower path has set before, empty', { Cookie: `${COOKIE}=; ${COOKIE}=${alice}` }],
    ['a cookie twice, once with a blank in its name', { Cookie: `${COOKIE}=${alice}; ${COOKIE} =${bob}` }],
    ['a cookie twice, once with a tab', { Cookie: `${COOKIE}=${alice};\t${COOKIE}=${bob}` }],
    ['a cookie twice, once without a value', { Cookie: `${COOKIE}=${alice}; ${COOKIE}` }],
    ['a cookie with attributes', { Cookie: `${COOKIE}=${alice} Path=/` }],
    ['a cookie with two values', { Cookie: `${COOKIE}=${alice},${alice}` }],
    ['half a cookie', cookie(alice.slice(0, 40))],
    ['a bad header beside a good cookie', cookie(alice, { Authorization: 'Bearer x' })],
    ['an empty header beside a good cookie', cookie(alice, { Authorization: '' })],
    ['a bad header beside a good one of proxies', { 'Authorization': 'Bearer x', 'Proxy-Authorization': `Bearer ${alice}` }],
  ];
  return tries.map(([what, headers]) => refused(what, get(MINE), 401, headers, bearer(alice)));
};

/** In the URL. */
const inUrl = ({ alice, bob, root }: Facts): Attempt[] => {
  const at = (query: string, status: number, what: string, headers: Headers = {}): Attempt => refused(what, get(`${MINE}?${query}`), status, headers);
  return [
    at('access_token=x', 401, 'a bad token'),
    at(`access_token=${alice}&access_token=${alice}`, 401, 'a token twice'),
    at('access_token=', 401, 'an empty token'),
    at(`access_token[]=${alice}`, 401, 'a list of tokens'),
    at(`Access_Token=${alice}`, 401, 'the name in capitals'),
    at(`accesstoken=${alice}`, 401, 'the name without its line'),
    at(`access_token=${alice}%20`, 401, 'a blank after the token'),
    at(`access_token=${alice}%0d%0aX-Injected:%201`, 401, 'a line break after the token'),
    at(`token=${alice}&key=${alice}&api_key=${alice}&jwt=${alice}`, 401, 'other names'),
    at(`access_token=${alice}`, 400, 'another one beside the header', bearer(bob)),
    at('access_token=x', 400, 'a bad one beside a good header', bearer(alice)),
    at('access_token=x', 401, 'a bad one beside a good cookie', cookie(alice)),
    refused('a fragment with the token', get(`${MINE}#access_token=${alice}`), 400, {}),
    refused('a fragment with the token, in a path that is nearly one', get(`/Topics/user.alice.inbox/messages#access_token=${alice}`), 400, {}),
    refused('a bad token in the URL of metrics, which take the header only', get(`/metrics?access_token=${root}`), 401, {}, bearer(root)),
    refused('a token in the URL of keys', get(`/keys?access_token=${root}`), 401, {}, bearer(root)),
    refused('a token in the URL of revocations', get(`/revocations?access_token=${root}`), 401, {}, bearer(root)),
    refused('a token in a form', post('/topics/user.alice.inbox', `access_token=${alice}`, { 'Content-Type': 'application/x-www-form-urlencoded' }), 401, {}, bearer(alice)),
    refused('a user and a password in a URL', get(`http://:${alice}@localhost${MINE}`), 421, {}),
    refused('a user and a password in the host', get(MINE), 421, { Host: `alice:${alice}@localhost` }),
    refused('a user and a password in the origin', post('/topics/user.alice.inbox'), 403, { ...bearer(alice), Origin: `https://alice:${alice}@evil.example` }),
  ];
};

/** Tickets: alice may make one for her own topics; nothing opens by one that was not made. */
const tickets = ({ alice, bob, watcher }: Facts): Attempt[] => {
  const make = (topics: string): Request => post('/tickets', `{"topics":${topics}}`, { 'Content-Type': 'application/json' });
  const made = `tdt_${'a'.repeat(12)}_${'0'.repeat(64)}`;
  const stream = (query: string): Request => get(`/topics/user.bob.inbox/events?${query}`);
  return [
    refused('a ticket without a credential', make('["user.alice.inbox"]'), 401, {}, bearer(alice)),
    refused('a ticket for another\'s topic', make('["user.bob.inbox"]'), 403, bearer(alice), bearer(bob)),
    refused('a ticket for one\'s own topic and another\'s', make('["user.alice.inbox","user.bob.inbox"]'), 403, bearer(alice), bearer(watcher)),
    refused('a ticket for everything', make('[">"]'), 403, bearer(alice), bearer(watcher)),
    refused('a ticket for a pattern beyond one\'s own', make('["user.*.inbox"]'), 403, bearer(alice), bearer(watcher)),
    refused('a ticket by a cookie, of a page that does not say its origin', make('["user.alice.inbox"]'), 403, cookie(alice), cookie(alice, { Origin: APP })),
    refused('a ticket by a token in the URL', post(`/tickets?access_token=${alice}`, '{"topics":["user.alice.inbox"]}'), 401, {}, bearer(alice)),
    refused('a ticket by a ticket', make('["user.alice.inbox"]'), 401, bearer(made), bearer(alice)),
    refused('a ticket that was not made', stream(`ticket=${made}`), 401, {}),
    refused('a key in the place of a ticket', stream(`ticket=${bob}`), 401, {}),
    refused('a ticket in the place of a token', stream(`access_token=${made}`), 401, {}),
    refused('a ticket in the header', stream('x=1'), 401, bearer(made), bearer(bob)),
    refused('a ticket in the cookie', stream('x=1'), 401, cookie(made), bearer(bob)),
    refused('a ticket twice', stream(`ticket=${made}&ticket=${made}`), 401, {}),
    refused('a list of tickets', stream(`ticket[]=${made}`), 400, {}),
    refused('an empty ticket', stream('ticket='), 401, {}),
    refused('an empty ticket beside a good cookie', stream('ticket='), 401, cookie(bob)),
    refused('a ticket beside a good header', stream(`ticket=${made}`), 400, bearer(bob)),
    refused('a ticket beside a good token in the URL', stream(`ticket=${made}&access_token=${bob}`), 400, {}),
    refused('a ticket with a pattern of a database', stream(`ticket=tdt_%25_${'0'.repeat(64)}`), 401, {}),
    refused('a ticket with a line break', stream(`ticket=${made}%0d%0aX:1`), 401, {}),
    refused('a ticket for history', get(`${BOBS}?ticket=${made}`), 401, {}, bearer(bob)),
    refused('a ticket for a publish', post(`/topics/user.bob.inbox?ticket=${made}`), 401, {}, bearer(bob)),
  ];
};

/** Credentials of two senders: only the first of header, URL and cookie counts. */
const disagreeing = ({ alice, bob, root }: Facts): Attempt[] => [
  refused('one\'s own header, and another\'s cookie', get(BOBS), 403, cookie(bob, bearer(alice)), bearer(bob)),
  refused('one\'s own token in the URL, and another\'s cookie', get(`${BOBS}?access_token=${alice}`), 403, cookie(bob)),
  refused('one\'s own header, and a cookie of an administrator', get('/keys'), 403, cookie(root, bearer(alice)), bearer(root)),
  refused('a cookie of an administrator: metrics', get('/metrics'), 401, cookie(root), bearer(root)),
  refused('a cookie of an administrator: keys', get('/keys'), 401, cookie(root), bearer(root)),
  refused('a cookie of an administrator: a new key', post('/keys', '{"name":"x","admin":true}', { Origin: APP }), 401, cookie(root)),
  refused('a cookie of an administrator: a revocation', post('/revocations', '{"sub":"bob"}', { Origin: APP }), 401, cookie(root)),
  ...doubled('another\'s credential behind one\'s own', [`Authorization: Bearer ${alice}`, `Authorization: Bearer ${bob}`]),
  ...doubled('one\'s own credential behind another\'s', [`Authorization: Bearer ${bob}`, `Authorization: Bearer ${alice}`]),
  ...doubled('the same credential twice', [`Authorization: Bearer ${bob}`, `Authorization: Bearer ${bob}`]),
  ...doubled('a second one in capitals', [`Authorization: Bearer ${bob}`, `AUTHORIZATION: Basic ${Buffer.from(`:${alice}`).toString('base64')}`]),
  ...doubled('an empty one before a good one', ['Authorization:', `Authorization: Bearer ${bob}`]),
  ...doubled('a good one and an empty one', [`Authorization: Bearer ${bob}`, 'Authorization:']),
  ...doubled('a cookie in each of two headers', [`Cookie: ${COOKIE}=${bob}`, `Cookie: ${COOKIE}=${alice}`], 401),
  ...doubled('a blank before the colon', [`Authorization : Bearer ${bob}`], 400),
  ...doubled('a value on a second line', ['Authorization: Bearer', ` ${bob}`], 400),
  ...doubled('a header that begins with a blank', ['X-A: b', ` Authorization: Bearer ${bob}`], 400),
  ...doubled('a header behind a lone line feed', [`X-A: b\nAuthorization: Bearer ${bob}`], 400),
  ...doubled('a header behind a lone carriage return', [`X-A: b\rAuthorization: Bearer ${bob}`], 400),
  ...doubled('a header behind a zero', [`X-A: b\0Authorization: Bearer ${bob}`], 400),
];

function doubled(what: string, lines: readonly string[], status = 400): Attempt[] {
  const bytes = (method: string, path: string, end: string): Buffer => Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${lines.map((line) => `${line}\r\n`).join('')}${end}`, 'latin1');
  return [
    { what: `${what}: history`, bytes: bytes('GET', BOBS, '\r\n'), statuses: [status], methods: ['GET'], control: undefined },
    { what: `${what}: publishing`, bytes: bytes('POST', '/topics/user.bob.inbox', 'Content-Length: 1\r\n\r\nx'), statuses: [status], methods: ['POST'], control: undefined },
  ];
}

/** Messages and keys that are there, and may not be seen; and what is public, beyond which nothing is. */
const objects = ({ alice, aliceId, bob, bobId, message, watcher, root }: Facts): Attempt[] => {
  const request = (method: string): Request => (headers) => requestBytes(method, `/messages/${message}`, headers);
  return [
    refused('another\'s message', get(`/messages/${message}`), 404, bearer(alice), bearer(bob)),
    refused('the head of another\'s message', head(`/messages/${message}`), 404, bearer(alice), bearer(bob)),
    refused('another\'s message, by a whole epoch in capitals', get(`/messages/${message.toUpperCase()}`), 404, bearer(watcher)),
    refused('another\'s message, with a zero before its number', get(`/messages/${message.replace('-', '-0')}`), 404, bearer(alice)),
    refused('another\'s message, percent-encoded', get(`/messages/${message.replace('-', '%2d')}`), 404, bearer(alice), bearer(bob)),
    refused('another\'s message, with a query', get(`/messages/${message}?topic=user.alice.inbox`), 404, bearer(alice), bearer(bob)),
    refused('another\'s message, without a credential', get(`/messages/${message}`), 404, {}, bearer(bob)),
    refused('the erasure of another\'s message', remove(`/messages/${message}`), 403, bearer(alice)),
    refused('a new body for another\'s message', request('PUT'), 405, bearer(alice)),
    refused('the keys', get('/keys'), 403, bearer(alice), bearer(root)),
    refused('one\'s own key', get(`/keys/${aliceId}`), 403, bearer(alice), bearer(root)),
    refused('a new key', post('/keys', '{"name":"x","admin":true}', { 'Content-Type': 'application/json' }), 403, bearer(alice)),
    refused('a new secret for one\'s own key', post(`/keys/${aliceId}/rotate`, '{}'), 403, bearer(alice)),
    refused('a new secret for another\'s key', post(`/keys/${bobId}/rotate`, '{}'), 403, bearer(alice)),
    refused('the end of another\'s key', remove(`/keys/${bobId}`), 403, bearer(alice)),
    refused('the revocations', get('/revocations'), 403, bearer(alice), bearer(root)),
    refused('the streams', get('/streams'), 403, bearer(alice), bearer(root)),
    refused('the streams, without a credential, from this machine', get('/streams'), 401, {}),
    refused('the streams of one\'s own topic', get('/streams?topic=user.alice.inbox'), 403, bearer(alice)),
    refused('the head of the streams', head('/streams'), 403, bearer(alice), bearer(root)),
    refused('the streams, by a token in the URL', get(`/streams?access_token=${root}`), 401, {}),
    refused('the end of a stream', remove('/streams/aaaaaaaaaa-1'), 403, bearer(alice)),
    refused('the end of a stream, by a cookie of an administrator', remove('/streams/aaaaaaaaaa-1'), 401, cookie(root, { Origin: APP })),
    refused('the end of a stream, without a credential', remove('/streams/aaaaaaaaaa-1?retry=86400'), 401, {}),
    refused('the instances', get('/instances'), 403, bearer(alice), bearer(root)),
    refused('the instances, without a credential', get('/instances'), 401, {}),
    refused('the end of an instance', post('/instances/aaaaaaaaaa/drain', ''), 403, bearer(alice)),
    refused('even shares', post('/instances/rebalance', ''), 403, bearer(alice)),
    refused('the end of an instance, without a credential', post('/instances/aaaaaaaaaa/drain', ''), 401, {}),
    refused('a revocation of another\'s tokens', post('/revocations', '{"sub":"bob"}'), 403, bearer(alice)),
    refused('a revocation of all tokens, without a credential', post('/revocations', '{"issuedBefore":"2026-11-22T10:00:00Z"}'), 401, {}),
    refused('a stream that is prolonged without a credential', RENEWAL, 401, {}),
    refused('a stream that is not there', RENEWAL, 404, bearer(alice)),
    refused('other topics for a stream, without a credential', patch('/streams/aaaaaaaaaa-1', CHANGE), 404, {}),
    refused('other topics for a stream, by a credential that is none', patch('/streams/aaaaaaaaaa-1', CHANGE), 401, bearer('x')),
    refused('other topics for a stream, by a cookie of a page of another origin', patch('/streams/aaaaaaaaaa-1', CHANGE), 403, cookie(alice, { Origin: 'https://elsewhere.example' })),
    refused('other topics for a stream, by a cookie without an origin', patch('/streams/aaaaaaaaaa-1', CHANGE), 403, cookie(alice)),
    refused('other topics for a stream that is not there', patch('/streams/aaaaaaaaaa-1', CHANGE), 404, bearer(alice)),
    refused('other topics for a stream, by an override of the method', post('/streams/aaaaaaaaaa-1', CHANGE, { 'X-HTTP-Method-Override': 'PATCH' }), 405, bearer(alice)),
    refused('the end of another\'s key by an override of the method', post(`/keys/${bobId}`, '', { 'X-HTTP-Method-Override': 'DELETE', 'Content-Length': '0' }), 405, bearer(root)),
    refused('the end of another\'s key by a parameter', post(`/keys/${bobId}?_method=DELETE`, '', { 'Content-Length': '0' }), 405, bearer(root)),
    { what: 'an override of the method of a GET', bytes: requestBytes('GET', `/keys/${bobId}`, { ...bearer(root), 'X-HTTP-Method-Override': 'DELETE', 'X-HTTP-Method': 'DELETE', 'X-Method-Override': 'DELETE' }), statuses: [200], methods: ['GET'], control: undefined },
    { what: 'an override of the path', bytes: requestBytes('GET', MINE, { ...bearer(alice), 'X-Original-URL': BOBS, 'X-Rewrite-URL': BOBS, 'X-Forwarded-Prefix': BOBS, 'X-Forwarded-Path': BOBS }), statuses: [200], methods: ['GET'], control: undefined },
    { what: 'the messages after another\'s', bytes: requestBytes('GET', `${MINE}?after=${message}`, bearer(alice)), statuses: [200], methods: ['GET'], control: undefined },
    { what: 'the messages after another\'s, by its header', bytes: requestBytes('GET', MINE, { ...bearer(alice), 'Last-Event-ID': message }), statuses: [200], methods: ['GET'], control: undefined },
    refused('another\'s stream, from a message of its own', get(`/topics/user.bob.inbox/events?lastEventId=${message}`), 403, bearer(alice), bearer(bob)),
    refused('everything, without a credential', get('/messages?topic=%3E'), 401, {}, bearer(watcher)),
    refused('what is public and more', get('/messages?topic=status.a&topic=user.bob.inbox'), 401, {}, bearer(watcher)),
    refused('a pattern beyond what is public', get('/topics/*.a/events'), 401, {}, bearer(watcher)),
    refused('the parent of what is public', get('/topics/status/messages'), 401, {}, bearer(watcher)),
    refused('publishing to what may be read', post('/topics/status.a'), 401, {}, bearer(watcher)),
    refused('reading what may be published to', get('/topics/feedback/messages'), 401, {}, bearer(watcher)),
    refused('publishing to what is public and more', batch('[{"topic":"feedback","data":1},{"topic":"user.bob.inbox","data":1}]'), 401, {}, bearer(watcher)),
    refused('what is public, with a bad credential', get('/topics/status.a/messages'), 401, bearer('x'), {}),
    refused('publishing to what is public, with a bad credential', post('/topics/feedback'), 401, bearer('x'), {}),
  ];
};

export const credentialAttempts = (facts: Facts): Attempt[] => [malformed, inUrl, tickets, disagreeing, objects].flatMap((one) => one(facts));
