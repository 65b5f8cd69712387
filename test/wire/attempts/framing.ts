import { bearer, COOKIE, get, head, post, refused, type Attempt, type Facts } from './attempt.ts';
import { requestBytes } from '../../support/raw.ts';

/** Requests that hide in others, and lines that hide in values. The credential of one request never counts for the next. */

const MINE = '/topics/user.alice.inbox/messages';
const PUBLISH = '/topics/user.alice.inbox';

/** Several requests on one connection. */
function together(what: string, requests: readonly Buffer[], statuses: readonly number[]): Attempt {
  return { what, bytes: Buffer.concat(requests), statuses, methods: requests.map((bytes) => bytes.toString('latin1').split(' ', 1)[0]!), control: undefined };
}

/** Bytes as they stand here; `\n` is the end of a line. */
function raw(what: string, text: string, statuses: readonly number[], ...methods: readonly string[]): Attempt {
  return { what, bytes: Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1'), statuses, methods, control: undefined };
}

const pipelined = ({ alice, bob, root }: Facts): Attempt[] => {
  const mine = requestBytes('GET', MINE, bearer(alice));
  const none = requestBytes('GET', MINE);
  const publish = requestBytes('POST', PUBLISH, {}, 'from a stranger');
  return [
    together('the credential of the request before', [mine, none], [200, 401]),
    together('the credential of the request before: publishing', [mine, publish], [200, 401]),
    together('the credential of the request before, in a cookie', [requestBytes('GET', MINE, { Cookie: `${COOKIE}=${alice}` }), none], [200, 401]),
    together('the credential of the request before, in the URL', [requestBytes('GET', `${MINE}?access_token=${alice}`), none], [200, 401]),
    together('the credential of the request after', [none, mine], [401, 200]),
    together('the credential of an administrator, two requests before', [requestBytes('GET', '/keys', bearer(root)), mine, requestBytes('GET', '/keys', bearer(alice))], [200, 200, 403]),
    together('another\'s credential, two requests before', [requestBytes('GET', '/topics/user.bob.x/messages', bearer(bob)), requestBytes('HEAD', MINE), requestBytes('GET', '/topics/user.bob.inbox/messages', bearer(alice))], [200, 401, 403]),
    together('many without one, behind one with it', [mine, ...Array.from({ length: 20 }, () => publish)], [200, ...Array.from({ length: 20 }, () => 401)]),
    together('publishing behind a refused stream', [requestBytes('GET', '/topics/user.bob.inbox/events', bearer(alice)), requestBytes('POST', PUBLISH, bearer(alice), 'x')], [403]),
    together('publishing behind what is no HTTP', [Buffer.from('x\r\n\r\n'), requestBytes('POST', PUBLISH, bearer(alice), 'x')], [400]),
    together('health, which takes nobody\'s, before', [requestBytes('GET', '/healthz', bearer(alice)), none], [200, 401]),
  ];
};

/** A request in the body of another: its sender has no credential, or hopes for that of whoever comes next on a proxy's connection. */
const hidden = ({ alice }: Facts): Attempt[] => {
  const inner = `POST ${PUBLISH} HTTP/1.1\nHost: localhost\nAuthorization: Bearer ${alice}\nContent-Length: 1\n\nx`;
  const bytes = inner.replaceAll('\n', '\r\n').length;
  const next = `GET ${MINE} HTTP/1.1\nHost: localhost\nAuthorization: Bearer ${alice}\n\n`;
  const opening = (headers: string): string => `POST ${PUBLISH} HTTP/1.1\nHost: localhost\n${headers}\n`;
  return [
    raw('a request in the body of one without a credential', `${opening(`Content-Length: ${bytes}\n`)}${inner}`, [401], 'POST'),
    raw('a request in the body of a GET', `GET ${MINE} HTTP/1.1\nHost: localhost\nContent-Length: ${bytes}\n\n${inner}`, [401], 'GET'),
    raw('a request in the body of a DELETE', `DELETE /keys/x HTTP/1.1\nHost: localhost\nContent-Length: ${bytes}\n\n${inner}`, [401], 'DELETE'),
    raw('a request in a chunk', `${opening('Transfer-Encoding: chunked\n')}${bytes.toString(16)}\n${inner}\n0\n\n`, [401], 'POST'),
    raw('a length and chunks', `${opening('Content-Length: 5\nTransfer-Encoding: chunked\n')}0\n\n${inner}`, [400], 'POST'),
    raw('chunks and a length', `${opening(`Transfer-Encoding: chunked\nContent-Length: ${bytes + 5}\n`)}0\n\n${inner}`, [400], 'POST'),
    raw('two lengths', `${opening(`Content-Length: 0\nContent-Length: ${bytes}\n`)}${inner}`, [400], 'POST'),
    raw('two lengths that are the same', `${opening('Content-Length: 1\nContent-Length: 1\n')}x`, [400], 'POST'),
    raw('two lengths in one', `${opening(`Content-Length: 0, ${bytes}\n`)}${inner}`, [400], 'POST'),
    raw('a length with a sign', `${opening(`Content-Length: +${bytes}\n`)}${inner}`, [400], 'POST'),
    raw('a length below nothing', `${opening('Content-Length: -1\n')}${inner}`, [400], 'POST'),
    raw('a length in hexadecimal', `${opening(`Content-Length: 0x${bytes.toString(16)}\n`)}${inner}`, [400], 'POST'),
    raw('a length with a blank in it', `${opening('Content-Length: 0 1\n')}${inner}`, [400], 'POST'),
    raw('an empty length', `${opening('Content-Length:\n')}${inner}`, [400], 'POST'),
    raw('a length that overflows', `${opening(`Content-Length: ${2n ** 64n + BigInt(bytes)}\n`)}${inner}`, [400], 'POST'),
    raw('a blank before the colon of the length', `${opening(`Content-Length : ${bytes}\n`)}${inner}`, [400], 'POST'),
    raw('a blank before the colon of the coding', `${opening(`Content-Length: ${bytes}\nTransfer-Encoding : chunked\n`)}${inner}`, [400], 'POST'),
    raw('a coding that nobody knows', `${opening('Transfer-Encoding: xchunked\n')}${inner}`, [400], 'POST'),
    raw('two codings', `${opening('Transfer-Encoding: chunked\nTransfer-Encoding: identity\n')}0\n\n${inner}`, [400], 'POST'),
    raw('chunks that are not the last coding', `${opening('Transfer-Encoding: chunked, identity\n')}0\n\n${inner}`, [400], 'POST'),
    raw('a quoted coding', `${opening('Transfer-Encoding: "chunked"\n')}0\n\n${inner}`, [400], 'POST'),
    raw('a coding on a second line', `${opening('Transfer-Encoding:\n chunked\n')}0\n\n${inner}`, [400], 'POST'),
    raw('a chunk whose size has a sign', `${opening('Transfer-Encoding: chunked\n')}+0\n\n${inner}`, [400], 'POST'),
    raw('a chunk whose size is no number', `${opening('Transfer-Encoding: chunked\n')}0x0\n\n${inner}`, [400], 'POST'),
    raw('a chunk whose size overflows', `${opening('Transfer-Encoding: chunked\n')}10000000000000000\n${inner}`, [400], 'POST'),
    raw('a chunk that is longer than it says', `${opening('Transfer-Encoding: chunked\n')}1\nxy\n0\n\n${inner}`, [400], 'POST'),
    raw('a credential among the trailers', `${opening('Transfer-Encoding: chunked\nTrailer: Authorization\n')}1\nx\n0\nAuthorization: Bearer ${alice}\n\n`, [401], 'POST'),
    raw('a body that waits to be asked for', `${opening(`Content-Length: ${bytes}\nExpect: 100-continue\n`)}${inner}`, [401], 'POST'),
    raw('an upgrade to HTTP/2', `GET ${MINE} HTTP/1.1\nHost: localhost\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\n\n`, [401], 'GET'),
    raw('a tunnel', `CONNECT localhost:80 HTTP/1.1\nHost: localhost:80\n\n${next}`, [], 'CONNECT'),
    raw('a newer version', `GET ${MINE} HTTP/2.0\nHost: localhost\n\n`, [401], 'GET'),
    raw('the first version, without headers', `GET ${MINE}\n\n`, [401], 'GET'),
    raw('a tab between method and path', `GET\t${MINE} HTTP/1.1\nHost: localhost\n\n`, [400], 'GET'),
    raw('a method in small letters', `get ${MINE} HTTP/1.1\nHost: localhost\nAuthorization: Bearer ${alice}\n\n`, [400], 'get'),
    raw('a request in a path, behind a blank', `GET ${MINE} HTTP/1.1 HTTP/1.1\nHost: localhost\n\n`, [400], 'GET'),
  ];
};

/** Lines that a value brings along. */
const injected = ({ alice }: Facts): Attempt[] => {
  const event = (value: string, what: string): Attempt => refused(`an event whose name has ${what}`, post(`${PUBLISH}?event=${value}`), 400, bearer(alice));
  const name = (value: string, what: string): Attempt => refused(`an event whose name is ${what}`, post(PUBLISH, 'x', { 'Tidings-Event': value }), 400, bearer(alice));
  const more = (member: string, what: string): Attempt => refused(`an event of a batch whose name ${what}`, post('/messages', `[{"topic":"user.alice.inbox","data":1,"event":${member}}]`, { 'Content-Type': 'application/json' }), 400, bearer(alice));
  return [
    ...([['x%0Adata:%20forged', 'a line feed'], ['x%0D%0A%0D%0Adata:%20forged', 'whole lines'], ['x%0Did:%209', 'a carriage return'], ['x%00', 'a zero']] as const).map(([value, what]) => event(value, what)),
    name('$open', 'a control event\'s'), name('error', 'one of EventSource\'s own'), name('open', 'another of EventSource\'s own'), name('x\u00e9', 'beyond ASCII'),
    more('"x\\ndata: forged"', 'has a line feed'), more('"$busy"', 'is a control event\'s'), more('"\\u0000"', 'is a zero'),
    raw('an event on a second line', `POST ${PUBLISH} HTTP/1.1\nHost: localhost\nAuthorization: Bearer ${alice}\nTidings-Event: x\n data: forged\nContent-Length: 1\n\nx`, [400], 'POST'),
    refused('a topic with lines', post('/topics/user.alice.%0D%0AX-Injected:%201'), 400, bearer(alice)),
    refused('an id with lines', get('/messages/x%0d%0aX-Injected:%201'), 404, bearer(alice)),
    refused('a parameter\'s name with lines', get(`${MINE}?%0aafter=x`), 400, bearer(alice)),
    refused('a path with lines', get('/nothing%0d%0aX-Injected:%201'), 404, bearer(alice)),
    refused('a cursor with lines', get(`${MINE}?after=x%0d%0aX-Injected:%201`), 400, bearer(alice)),
    refused('an idempotency key with lines', post(`${PUBLISH}?idempotencyKey=x%0d%0aX-Injected:%201`), 400, bearer(alice)),
    refused('the credential as event name', post(`${PUBLISH}?eventHeader=authorization`), 400, bearer(alice)),
    refused('the cookie as event name', post(`${PUBLISH}?eventHeader=Cookie`), 400, { ...bearer(alice), Cookie: 'a=b' }),
    refused('the credential as idempotency key', post(`${PUBLISH}?idempotencyHeader=Authorization`), 400, bearer(alice)),
    refused('the cookie as idempotency key', post(`${PUBLISH}?idempotencyHeader=cookie`), 400, { ...bearer(alice), Cookie: 'a=b' }),
    refused('a question for allowed headers with lines', (headers) => requestBytes('OPTIONS', PUBLISH, { ...headers, 'Origin': 'https://app.example', 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'x\u0085y: 1' }), 204, bearer(alice)),
  ];
};

const methods = ({ alice, message }: Facts): Attempt[] => [
  refused('what is possible with another\'s message', (headers) => requestBytes('OPTIONS', `/messages/${message}`, headers), 204, bearer(alice)),
  refused('a trace', (headers) => requestBytes('TRACE', MINE, headers), 405, bearer(alice)),
  refused('a search', (headers) => requestBytes('QUERY', MINE, headers, 'x'), 405, bearer(alice)),
  refused('a folder of messages', (headers) => requestBytes('PROPFIND', '/messages', headers), 405, bearer(alice)),
  refused('a copy', (headers) => requestBytes('COPY', `/messages/${message}`, { ...headers, Destination: PUBLISH }), 405, bearer(alice)),
  refused('the head of what nobody may read without a credential', head(MINE), 401, {}, bearer(alice)),
  refused('the head of a stream without a credential', head(`${PUBLISH}/events`), 401, {}, bearer(alice)),
];

export const framingAttempts = (facts: Facts): Attempt[] => [pipelined, hidden, injected, methods].flatMap((one) => one(facts));
