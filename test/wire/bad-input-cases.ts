import type { ProblemCode } from '../../src/model/problem.ts';
import { requestBytes } from '../support/raw.ts';

/** What the service must refuse, as a table: topics, cursors, names, bodies, batches, paths, methods, headers, and what is no HTTP. */

/** A request that must be refused, and how. */
export interface BadInput {
  readonly name: string;
  readonly request: Buffer;
  readonly status: number;
  readonly code: ProblemCode;
  /** The part of the request that is said to be wrong; undefined where it is the request as a whole. */
  readonly field: string | undefined;
  /** What the answer's `Allow` says. */
  readonly allow: string | undefined;
}

/** The service's own bounds, as they are by default: the data of a message and the body of a batch, in bytes; messages; topics. */
const MESSAGE_BYTES = 1024 * 1024;
const BATCH_BYTES = 16 * 1024 * 1024;
const BATCH_MESSAGES = 1000;
const TOPICS_PER_STREAM = 100;

const JSON_TYPE = { 'Content-Type': 'application/json' };
const NDJSON_TYPE = { 'Content-Type': 'application/x-ndjson' };
const STREAM = { Accept: 'text/event-stream' };

const cases: BadInput[] = [];

function add(name: string, request: Buffer, [status, code]: readonly [number, ProblemCode], field?: string, allow?: string): void {
  cases.push({ name, request, status, code, field, allow });
}

const post = (path: string, headers: Readonly<Record<string, string>> = {}, body: string | Uint8Array = 'x'): Buffer => requestBytes('POST', path, body.length === 0 ? { ...headers, 'Content-Length': '0' } : headers, body);
const get = (path: string, headers: Readonly<Record<string, string>> = {}): Buffer => requestBytes('GET', path, headers);
const raw = (text: string): Buffer => Buffer.from(text, 'latin1');

const REQUEST = [400, 'invalid-request'] as const;
const TOPIC = [400, 'invalid-topic'] as const;
const EVENT = [400, 'invalid-event'] as const;
const DATA = [400, 'invalid-data'] as const;
const CURSOR = [400, 'invalid-cursor'] as const;
const TTL = [400, 'invalid-ttl'] as const;
const KEY = [400, 'invalid-key'] as const;
const BATCH = [400, 'invalid-batch'] as const;
const UNAUTHORIZED = [401, 'unauthorized'] as const;
const CREDENTIAL = [401, 'invalid-credential'] as const;
const ORIGIN = [403, 'cross-origin'] as const;
const NOT_FOUND = [404, 'not-found'] as const;
const NO_MESSAGE = [404, 'message-not-found'] as const;
const METHOD = [405, 'method-not-allowed'] as const;
const NOT_ACCEPTABLE = [406, 'not-acceptable'] as const;
const LENGTH = [411, 'length-required'] as const;
const LARGE = [413, 'too-large'] as const;
const LONG_URL = [414, 'uri-too-long'] as const;
const MEDIA_TYPE = [415, 'unsupported-media-type'] as const;
const LARGE_HEAD = [431, 'header-too-large'] as const;

// Credentials: one that is not good is never taken for none, not even where none is needed.
for (const authorization of ['', 'Bearer', 'Bearer a b', 'Token x', 'Basic', 'Basic Og==', 'Bearer tdg_x', `Bearer tdg_abcdefghijkl_${'0'.repeat(64)}`, 'Bearer x.y.z', `Bearer ${'x'.repeat(9_000)}`]) {
  const headers = { Authorization: authorization };
  const requests = { 'a publish': post('/topics/a', headers), 'a batch': post('/messages', { ...headers, ...JSON_TYPE }, '[]'), 'a stream': get('/topics/a/events', headers), 'a page': get('/messages?topic=a', headers), metrics: get('/metrics', headers), keys: get('/keys', headers), revocations: get('/revocations', headers), 'a renewal': post('/streams/x/credential', headers) };
  for (const [name, request] of Object.entries(requests)) add(`${name} with the credential ${authorization.slice(0, 20)}`, request, CREDENTIAL, 'Authorization');
}
for (const request of [get('/keys'), post('/keys'), get('/keys/abcdefghijkl'), requestBytes('DELETE', '/keys/abcdefghijkl'), post('/keys/abcdefghijkl/rotate'), get('/revocations'), post('/revocations'), post('/streams/x/credential')]) add('administration, or a renewal, without a credential', request, UNAUTHORIZED, 'Authorization');

// Topics to publish to.
for (const topic of ['*', '>', 'a.*', 'a.>', 'a*', 'a.b>', '$', '$sys.a', 'a%20b', 'a%09b', 'a%0D%0Ab', 'a%00b', 'a%7Fb', 'a%C2%85b', 'a%C2%A0b', 'a%E2%80%A8b', '.a', 'a.', 'a..b', '.']) {
  add(`topic ${topic}`, post(`/topics/${topic}`), TOPIC, 'topic');
}
add('a topic of 256 bytes', post(`/topics/${'a'.repeat(256)}`), TOPIC, 'topic');
add('a topic of 20,000 bytes, which is no URL that is too long', post(`/topics/${'a'.repeat(20_000)}`), TOPIC, 'topic');
add('a topic of 256 bytes that is 128 characters', post(`/topics/${'%C3%A9'.repeat(128)}`), TOPIC, 'topic');
for (const topic of ['%FF', '%C3', '%ED%A0%80', '%C0%AF', '%zz', '%2']) add(`a path that is no UTF-8: ${topic}`, post(`/topics/${topic}`), REQUEST);

// Patterns to read.
for (const pattern of ['%3E.a', 'a.%3E.b', 'a.b%3E', 'a*', '**', 'a.*b', 'a..%3E', '.%3E', 'a%20b', 'a%0Ab', 'a'.repeat(256), `${'a.'.repeat(16)}%3E`, `${'a.'.repeat(8)}*`]) {
  add(`history of ${pattern.slice(0, 20)}`, get(`/topics/${pattern}/messages`), TOPIC, 'topic');
  add(`a stream of ${pattern.slice(0, 20)}`, get(`/topics/${pattern}/events`, STREAM), TOPIC, 'topic');
}
for (const path of ['/messages', '/events', '/cursor']) {
  add(`${path} without a topic`, get(path), TOPIC, 'topic');
  add(`${path} with an empty topic`, get(`${path}?topic=`), TOPIC, 'topic');
  add(`${path} with one bad topic of three`, get(`${path}?topic=a&topic=b..c&topic=d`), TOPIC, 'topic');
  add(`${path} with one pattern of too many segments`, get(`${path}?topic=a&topic=${'*.'.repeat(8)}${'a.'.repeat(8)}a`), TOPIC, 'topic');
  add(`${path} with a topic too many`, get(`${path}?${Array.from({ length: TOPICS_PER_STREAM + 1 }, (_, index) => `topic=t${index}`).join('&')}`), TOPIC, 'topic');
  add(`${path} with a topic that is no UTF-8`, get(`${path}?topic=a&topic=%C3%28`), REQUEST, 'topic');
  add(`${path} with half a percent-encoding`, get(`${path}?topic=a&topic=%`), REQUEST, 'topic');
  add(`${path} with a topic as it is forbidden in frames`, get(`${path}?topic=a%0Adata:%20x`), TOPIC, 'topic');
}

// Cursors in the query; the header is never refused, nor is what pages pass on in its place.
for (const path of ['/topics/a/messages?', '/messages?topic=a&', '/topics/a/events?', '/events?topic=a&']) {
  for (const value of ['1', 'abc-1', 'abcdefgh', 'abcdefgh-', 'abcdefgh-01', 'abcdefgh--1', 'abcdefgh-1.5', 'ABCDEFGH-1', 'abcdefgh-99999999999999999999', 'abcdefgh-1%0Adata', 'latest', '%20']) {
    add(`${path}after=${value}`, get(`${path}after=${value}`), CURSOR, 'after');
  }
  for (const value of ['10', '1y', '-1m', 'm', '1m30', '99999999999d', '2026-11-22', '2026-11-22T10:15', '2026-11-22T10:15:30', '2026-02-30T00:00:00Z', '2026-11-22T24:00:00Z', '2026-11-22T10:15:30%2B2', '%00']) {
    add(`${path}since=${value}`, get(`${path}since=${value}`), CURSOR, 'since');
  }
  for (const value of ['', '-1', '1001', '1.5', '1e2', '0x10', 'ten', '+5', '%205', 'null', '99999999999999999999']) add(`${path}last=${value}`, get(`${path}last=${value}`), CURSOR, 'last');
  for (const other of ['since=10m', 'after=start', 'after=abcdefgh-1']) add(`${path}last=5&${other}`, get(`${path}last=5&${other}`), CURSOR, 'last');
  add(`${path}last=5&since=10m with an id, as a browser that comes back says it`, get(`${path}last=5&since=10m`, { 'Last-Event-ID': 'abcdefgh-1' }), CURSOR, 'last');
  add(`${path} with two counts`, get(`${path}last=5&last=6`), REQUEST, 'last');
}
for (const path of ['/topics/a/messages?', '/messages?topic=a&']) {
  for (const value of ['1', 'abc-1', 'abcdefgh-01', 'start', 'latest', 'abcdefgh-1']) add(`${path}until=${value}`, get(`${path}until=${value}`), CURSOR, 'until');
}
// Names that are nearly one of ours.
const MISTAKES = {
  after: ['After', 'AFTER', 'aftr', 'fater', 'afters', 'cursor', 'Cursor'],
  since: ['sicne', 'Since', 'sinse', 'sinc', 'since_'],
  lastEventId: ['lastEvent', 'lastEventIds', 'last-evnt-id', 'lastEvntID', 'LastEventI'],
  last: ['Last', 'lsat', 'lasts', 'las_t_', 'laast', 'tail', 'latest'],
  control: ['Control', 'contrl', 'controls'],
  limit: ['limt', 'Limit', 'limits', 'lmiit'],
  wait: ['Wait', 'wiat', 'waits'],
  until: ['Until', 'untl', 'untill'],
  topic: ['topic[]', 'topic[0]', 'topic%5B%5D', 'topics', 'Topic', 'tpoic'],
} as const;
for (const [path, names] of [
  ['/topics/a/events?', ['after', 'since', 'lastEventId', 'last', 'control']], ['/events?topic=a&', ['after', 'since', 'lastEventId', 'last', 'control', 'topic']],
  ['/topics/a/messages?', ['after', 'since', 'lastEventId', 'last', 'until', 'limit', 'wait']], ['/messages?topic=a&', ['after', 'since', 'lastEventId', 'last', 'until', 'limit', 'wait', 'topic']],
] as const) {
  for (const meant of names) for (const name of MISTAKES[meant]) add(`${path}${name} for ${meant}`, get(`${path}${name}=1`), REQUEST, decodeURIComponent(name));
}
for (const [name, path] of [['eventHeder', '/topics/a'], ['event_header', '/topics/a'], ['EventHeader', '/topics/a'], ['idempotencyheader', '/topics/a'], ['Idempotency-Header', '/messages'], ['idempotencyHeder', '/messages']] as const) {
  add(`${path} with the parameter ${name}`, post(`${path}?${name}=X-Event`, JSON_TYPE, '[{"topic":"a","data":1}]'), REQUEST, name);
}
for (const name of ['Event', 'evnet', 'events', 'event[]']) add(`an event name in the parameter ${name}`, post(`/topics/a?${name}=x`), REQUEST, name);
for (const path of ['/topics/a/events', '/topics/a/messages']) add(`${path} with another topic in the query`, get(`${path}?topic=b`), REQUEST, 'topic');
add('two cursors', get('/topics/a/messages?after=start&after=start'), REQUEST, 'after');
add('two cursors of a stream', get('/topics/a/events?after=start&after=start', STREAM), REQUEST, 'after');
for (const value of ['0', '1001', '-1', '1.5', '1e2', 'ten', '', '0x10', '99999999999999999999']) add(`limit=${value}`, get(`/topics/a/messages?limit=${value}`), REQUEST, 'limit');
for (const value of ['51', '-1', '0.5', 'true', '']) add(`wait=${value}`, get(`/topics/a/messages?wait=${value}`), REQUEST, 'wait');
for (const value of ['2', 'true', '']) add(`control=${value}`, get(`/topics/a/events?control=${value}`, STREAM), REQUEST, 'control');
for (const value of ['2', 'false', '']) {
  add(`names=${value}`, get(`/topics/a/events?names=${value}`, STREAM), REQUEST, 'names');
  for (const path of ['/topics/a/events?', '/events?topic=a&', '/topics/a/messages?', '/messages?topic=a&']) add(`${path}pattern=${value}`, get(`${path}pattern=${value}`), REQUEST, 'pattern');
}
for (const path of ['/topics/%3E/events?', '/events?topic=%3E&', '/topics/a.*/messages?', '/messages?topic=a.*&']) add(`${path}pattern=0`, get(`${path}pattern=0`), TOPIC, 'topic');
// Presence.
for (const path of ['/topics/a/events?', '/events?topic=a&']) {
  for (const value of ['', '%00', 'a%00b', 'x'.repeat(256), '%C3%A9'.repeat(128)]) add(`${path}as=${value.slice(0, 20)}`, get(`${path}as=${value}`, STREAM), REQUEST, 'as');
  for (const value of ['2', 'true', '']) add(`${path}presence=${value}`, get(`${path}presence=${value}`, STREAM), REQUEST, 'presence');
  add(`${path} with presence and no control events`, get(`${path}presence=1&control=0`, STREAM), REQUEST, 'presence');
  add(`${path} with the parameter presense`, get(`${path}presense=1`, STREAM), REQUEST, 'presense');
  add(`${path} with two members`, get(`${path}as=a&as=b`, STREAM), REQUEST, 'as');
  for (const value of ['', '{', 'x', '{}x', "{'a':1}", '%EF%BB%BF{}', '1e', `"${'x'.repeat(1023)}"`, '['.repeat(17) + ']'.repeat(17), '{"a":1,"a":2}']) add(`${path}meta=${value.slice(0, 20)}`, get(`${path}as=a&meta=${value}`, STREAM), REQUEST, 'meta');
  add(`${path} with metadata twice`, get(`${path}as=a&meta=1&meta=2`, STREAM), REQUEST, 'meta');
  add(`${path} with metadata of nobody`, get(`${path}meta={}`, STREAM), REQUEST, 'meta');
  add(`${path} with the parameter Meta`, get(`${path}as=a&Meta={}`, STREAM), REQUEST, 'Meta');
}
for (const path of ['/topics/a/presence?', '/members/a?']) {
  for (const value of ['0', '1001', '-1', 'ten', '']) add(`${path}limit=${value}`, get(`${path}limit=${value}`), REQUEST, 'limit');
  for (const name of ['limt', 'afters', 'cursor']) add(`${path}${name}`, get(`${path}${name}=1`), REQUEST, name);
  add(`${path} with two cursors`, get(`${path}after=a&after=b`), REQUEST, 'after');
}
for (const value of ['a..b', 'a.>.b', '%20', `${'x'.repeat(256)}`]) {
  add(`presence of ${value.slice(0, 20)}`, get(`/topics/${value}/presence`), TOPIC, 'topic');
  add(`how many are at ${value.slice(0, 20)}`, get(`/presence?topic=${value}`), TOPIC, 'topic');
}
for (const path of ['/topics/%3E/presence?', '/presence?topic=a&topic=b.*&']) add(`${path}pattern=0`, get(`${path}pattern=0`), TOPIC, 'topic');
add('how many are at no topic', get('/presence'), TOPIC, 'topic');
add('how many are at too many topics', get(`/presence?${Array.from({ length: 101 }, (_, index) => `topic=t${index}`).join('&')}`), TOPIC, 'topic');
for (const [path, max] of [['/topics/a/presence', 300], ['/members/a', 255]] as const) add(`${path}?after= with what is longer than a cursor`, get(`${path}?after=${'x'.repeat(max + 1)}`), REQUEST, 'after');
for (const id of ['%00', 'x'.repeat(301)]) add(`the member ${id.slice(0, 20)}`, get(`/members/${id}`), REQUEST, 'id');
// The list of topics.
for (const [query, kind, field] of [
  ['limit=0', REQUEST, 'limit'], ['limit=101', REQUEST, 'limit'], ['limit=x', REQUEST, 'limit'], ['sort=', REQUEST, 'sort'], ['sort=size', REQUEST, 'sort'], ['sort=name&sort=rate', REQUEST, 'sort'], ['sorts=name', REQUEST, 'sorts'],
  ['prefix=', TOPIC, 'prefix'], ['prefix=a*', TOPIC, 'prefix'], ['prefix=%3E', TOPIC, 'prefix'], ['prefix=a%20b', TOPIC, 'prefix'], ['prefix=%00', TOPIC, 'prefix'], [`prefix=${'x'.repeat(256)}`, TOPIC, 'prefix'], ['prefix=%FF', REQUEST, 'prefix'], ['prefix=a&prefix=b', REQUEST, 'prefix'],
  ['after=%00', REQUEST, 'after'], [`after=${'x'.repeat(256)}`, REQUEST, 'after'], ['sort=newest&after=a', REQUEST, 'after'], ['sort=newest&after=0', REQUEST, 'after'], ['sort=newest&after=-1', REQUEST, 'after'], ['sort=newest&after=9999999999999999', REQUEST, 'after'],
  ['sort=rate&after=a', REQUEST, 'after'], ['sort=rate&after=0-1-60000-0-a', REQUEST, 'after'], ['sort=rate&after=0-10002-60000-1-a', REQUEST, 'after'], ['sort=rate&after=5-5-60000-1-a', REQUEST, 'after'], ['sort=rate&after=0-5-60001-1-a', REQUEST, 'after'], ['sort=rate&after=0-5-0-1-a', REQUEST, 'after'], ['sort=rate&after=0-5-60000-1-a%00', REQUEST, 'after'],
] as const) add(`GET /topics?${query}`, get(`/topics?${query}`), kind, field);
add('POST /topics', post('/topics'), METHOD, undefined, 'GET, HEAD');
for (const value of ['2', 'true', '']) add(`a publish with report=${value}`, post(`/topics/a?report=${value}`), REQUEST, 'report');
add('a publish with two reports', post('/topics/a?report=1&report=1'), REQUEST, 'report');
add('a publish with a parameter like report', post('/topics/a?reports=1'), REQUEST, 'reports');
for (const path of ['/topics/a/presence', '/presence?topic=a', '/members/a']) add(`POST ${path}`, post(path), METHOD, undefined, 'GET, HEAD');
for (const id of ['x', 'abcdefgh-1', 'abcdefgh-0', '%00', 'a%2Fb']) add(`message ${id}`, get(`/messages/${id}`), NO_MESSAGE);

// Event names.
for (const event of ['', 'a%0Ab', 'a%0Db', 'a%0D%0Adata:%20x', 'a%00b', '%24open', '$x', 'error', 'open', 'e'.repeat(129), '%C3%A9'.repeat(65)]) {
  add(`event ${JSON.stringify(event.slice(0, 30))}`, post(`/topics/a?event=${event}`), EVENT, 'event');
}
for (const event of ['$open', 'error', 'open', '', 'e'.repeat(129), 'caf\u{e9}', 'a\tb']) add(`Tidings-Event: ${event.slice(0, 30)}`, post('/topics/a', { 'Tidings-Event': event }), EVENT, 'Tidings-Event');
add('two event names', post('/topics/a?event=x&event=x'), REQUEST, 'event');
add('an event name in the query and another in the header', post('/topics/a?event=x', { 'Tidings-Event': 'y' }), EVENT, 'event');
add('an event name that is no UTF-8', post('/topics/a?event=%FF'), REQUEST, 'event');

// TTLs and keys.
for (const value of ['-1', '1.5', '1e3', 'soon', '', '1s', '315360001', '99999999999999999999']) add(`TTL: ${value}`, post('/topics/a', { TTL: value }), TTL, 'TTL');
add('two TTLs', raw('POST /topics/a HTTP/1.1\r\nHost: localhost\r\nTTL: 1\r\nTTL: 2\r\nContent-Length: 1\r\n\r\nx'), TTL, 'TTL');
for (const value of ['', '""', '"a', '"a"b"', '"a\\b"', 'k'.repeat(256), `"${'k'.repeat(256)}"`, 'caf\u{e9}', '"caf\u{e9}"', 'a\tb']) {
  add(`Idempotency-Key: ${value.slice(0, 20)}`, post('/topics/a', { 'Idempotency-Key': value }), KEY, 'Idempotency-Key');
}
for (const value of ['', '%22%22', '%22a', 'k'.repeat(256), 'caf%C3%A9', 'a%09b']) {
  for (const path of ['/topics/a', '/messages']) add(`${path}?idempotencyKey=${value.slice(0, 20)}`, post(`${path}?idempotencyKey=${value}`, JSON_TYPE, '[{"topic":"a","data":1}]'), KEY, 'idempotencyKey');
}
add('a key in the query and another in the header', post('/topics/a?idempotencyKey=a', { 'Idempotency-Key': 'b' }), KEY, 'idempotencyKey');
// Headers that the URL names.
for (const name of ['', 'X%20Delivery', 'X-Delivery:', 'caf%C3%A9', 'X-Delivery', 'constructor', '__proto__', 'Authorization', 'cookie', 'Proxy-Authorization']) {
  for (const path of ['/topics/a', '/messages']) {
    add(`${path}?idempotencyHeader=${name}`, post(`${path}?idempotencyHeader=${name}`, { ...JSON_TYPE, Cookie: 'a=b', 'Proxy-Authorization': 'Basic YTpi' }, '[{"topic":"a","data":1}]'), KEY, 'idempotencyHeader');
  }
}
for (const value of ['', '""', 'k'.repeat(256), 'caf\u{e9}']) add(`a key ${value.slice(0, 20)} in a named header`, post('/topics/a?idempotencyHeader=X-Delivery', { 'X-Delivery': value }), KEY, 'idempotencyHeader');
const LONG_NAME = 'x'.repeat(256);
add('a named header with a long name', post(`/topics/a?idempotencyHeader=${LONG_NAME}`, { [LONG_NAME]: 'a' }), KEY, 'idempotencyHeader');
add('a key in a named header and one in the query', post('/topics/a?idempotencyHeader=X-Delivery&idempotencyKey=a', { 'X-Delivery': 'a' }), KEY, 'idempotencyHeader');
add('a key in a named header and one in ours', post('/topics/a?idempotencyHeader=X-Delivery', { 'X-Delivery': 'a', 'Idempotency-Key': 'a' }), KEY, 'idempotencyHeader');
add('two headers with keys that are named', post('/topics/a?idempotencyHeader=X-A&idempotencyHeader=X-B', { 'X-A': 'a', 'X-B': 'a' }), REQUEST, 'idempotencyHeader');
for (const name of ['', 'X-Secret', 'Authorization', 'Eventful', 'X-Events', 'X-Event:', 'X-Event', 'X-Topic']) {
  add(`eventHeader=${name}`, post(`/topics/a?eventHeader=${name}`, { 'X-Secret': 's', Eventful: 'x', 'X-Events': 'x' }), EVENT, 'eventHeader');
}
for (const event of ['$open', 'error', '', 'e'.repeat(129), 'caf\u{e9}']) add(`the event name ${event.slice(0, 20)} in a named header`, post('/topics/a?eventHeader=X-Event', { 'X-Event': event }), EVENT, 'eventHeader');
add('an event name in a named header and another in the query', post('/topics/a?eventHeader=X-Event&event=a', { 'X-Event': 'b' }), EVENT, 'event');
add('an event name in a named header and another in ours', post('/topics/a?eventHeader=X-Event', { 'X-Event': 'b', 'Tidings-Event': 'a' }), EVENT, 'eventHeader');
add('two headers with event names that are named', post('/topics/a?eventHeader=X-Event&eventHeader=X-Topic', { 'X-Event': 'a', 'X-Topic': 'a' }), REQUEST, 'eventHeader');
add('two keys in the query', post('/topics/a?idempotencyKey=a&idempotencyKey=a'), REQUEST, 'idempotencyKey');
for (const name of ['idempotency_key', 'Idempotency-Key', 'idempotencykey', 'idempotentKey']) add(`a key in the parameter ${name}`, post(`/topics/a?${name}=a`), REQUEST, name);
// Headers of which one counts, twice, whether they say the same or not.
for (const [name, kind] of [
  ['Host', REQUEST], ['Origin', REQUEST], ['Sec-Fetch-Site', REQUEST], ['Authorization', REQUEST], ['Content-Type', REQUEST], ['Idempotency-Key', KEY], ['Tidings-Event', EVENT], ['TTL', TTL],
] as const) {
  for (const second of ['1', '2']) add(`${name} twice, 1 and ${second}`, raw(`POST /topics/a HTTP/1.1\r\n${name === 'Host' ? '' : 'Host: localhost\r\n'}${name}: 1\r\n${name}: ${second}\r\nContent-Length: 1\r\n\r\nx`), kind, name);
}

// And those that the URL names.
for (const [parameter, name, kind] of [['idempotencyHeader', 'X-Delivery', KEY], ['eventHeader', 'X-Event', EVENT]] as const) {
  add(`${name} twice, named by ${parameter}`, raw(`POST /topics/a?${parameter}=${name} HTTP/1.1\r\nHost: localhost\r\n${name}: 1\r\n${name}: 1\r\nContent-Length: 1\r\n\r\nx`), kind, parameter);
}

// Bodies of one message.
const BAD_UTF8 = Buffer.from([0x22, 0xc3, 0x28, 0x22]);
add('text that is no UTF-8', post('/topics/a', {}, BAD_UTF8), DATA, 'body');
add('text that ends within a character', post('/topics/a', { 'Content-Type': 'text/plain' }, Buffer.from([0x61, 0xe2, 0x82])), DATA, 'body');
add('JSON that is no UTF-8', post('/topics/a', JSON_TYPE, BAD_UTF8), DATA, 'body');
for (const body of ['', ' ', '{', '{"a":1,}', "{'a':1}", '01', 'NaN', '1 2', '[1,]', '"a\nb"', '"\\x41"', '\u{feff}1', 'undefined']) {
  add(`JSON ${JSON.stringify(body)}`, post('/topics/a', JSON_TYPE, body), DATA, 'body');
  add(`problem+json ${JSON.stringify(body)}`, post('/topics/a', { 'Content-Type': 'application/problem+json' }, body), DATA, 'body');
}
add('a message of one byte too much', post('/topics/a', {}, Buffer.alloc(MESSAGE_BYTES + 1, 'x')), LARGE);
add('JSON of one byte too much', post('/topics/a', JSON_TYPE, `"${'x'.repeat(MESSAGE_BYTES - 1)}"`), LARGE);
add('a Content-Length beyond reason, of which nothing is sent', raw('POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\n\r\n'), LARGE);
add('a Content-Length beyond reason, which waits to be told to go on', raw('POST /topics/a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9999999999\r\n\r\n'), LARGE);
add('chunks that are too much together', Buffer.concat([requestBytes('POST', '/topics/a', { 'Transfer-Encoding': 'chunked' }), raw(`10000\r\n${'x'.repeat(0x10000)}\r\n`.repeat(1 + MESSAGE_BYTES / 0x10000)), raw('0\r\n\r\n')]), LARGE);

// Headers that announce a body of which nobody knows how long it is.
for (const path of ['/topics/a', '/messages']) {
  for (const [name, value] of [['Content-Type', 'application/json'], ['Content-Type', 'text/plain'], ['Expect', '100-continue']] as const) {
    add(`${path} with ${name}: ${value} and no length`, raw(`POST ${path} HTTP/1.1\r\nHost: localhost\r\n${name}: ${value}\r\n\r\n`), LENGTH, 'Content-Length');
    add(`${path} of HTTP/1.0 with ${name}: ${value} and no length`, raw(`POST ${path} HTTP/1.0\r\n${name}: ${value}\r\n\r\n[]`), LENGTH, 'Content-Length');
  }
  add(`${path} with a body of no length`, raw(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\r\n[{"topic":"a","data":1}]`), LENGTH, 'Content-Length');
}

// Content types and encodings.
for (const type of ['multipart/form-data; boundary=x', 'Multipart/Form-Data', 'multipart/mixed; boundary=x']) {
  add(`Content-Type: ${type}`, post('/topics/a', { 'Content-Type': type }, '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'), MEDIA_TYPE, 'Content-Type');
}
for (const type of ['garbage', 'application/', '/json', 'text plain']) add(`Content-Type: ${type}`, post('/topics/a', { 'Content-Type': type }), MEDIA_TYPE, 'Content-Type');
for (const path of ['/topics/a', '/messages']) {
  for (const charset of ['iso-8859-1', 'UTF-16', '"windows-1252"']) add(`${path} in ${charset}`, post(path, { 'Content-Type': `application/json; charset=${charset}` }, '[]'), MEDIA_TYPE, 'Content-Type');
  for (const encoding of ['gzip', 'br', 'identity, gzip', 'x']) add(`${path} in ${encoding}`, post(path, { ...JSON_TYPE, 'Content-Encoding': encoding }, '[]'), MEDIA_TYPE, 'Content-Encoding');
}
for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/json-seq', 'application/problem+json', 'multipart/form-data; boundary=x']) add(`a batch as ${type}`, post('/messages', { 'Content-Type': type }, '[]'), MEDIA_TYPE, 'Content-Type');
add('a batch without a content type', post('/messages', {}, '[{"topic":"a","data":1}]'), MEDIA_TYPE, 'Content-Type');

// Batches: one mistake is the whole batch's, and it is said where it is.
const GOOD = '{"topic":"a","data":1}';
const ITEMS: readonly (readonly [name: string, item: string, kind: readonly [number, ProblemCode], member: string])[] = [
  ['no object', '1', BATCH, ''],
  ['null', 'null', BATCH, ''],
  ['an array', '[]', BATCH, ''],
  ['no topic', '{"data":1}', TOPIC, '.topic'],
  ['a topic that is no text', '{"topic":7,"data":1}', TOPIC, '.topic'],
  ['a pattern for a topic', '{"topic":"a.*","data":1}', TOPIC, '.topic'],
  ['a reserved topic', '{"topic":"$a","data":1}', TOPIC, '.topic'],
  ['half a surrogate pair in its topic', '{"topic":"\\ud800","data":1}', TOPIC, '.topic'],
  ['no data', '{"topic":"a"}', DATA, '.data'],
  ['an unknown member', '{"topic":"a","data":1,"TTL":5}', BATCH, '.TTL'],
  ['__proto__', '{"topic":"a","data":1,"__proto__":{"ttl":5}}', BATCH, '.__proto__'],
  ['a member twice', '{"topic":"a","data":1,"data":2}', BATCH, '.data'],
  ['a member twice, once escaped', '{"topic":"a","data":1,"t\\u006fpic":"b"}', BATCH, '.topic'],
  ['an empty event', '{"topic":"a","data":1,"event":""}', EVENT, '.event'],
  ['a line feed in its event', '{"topic":"a","data":1,"event":"x\\ndata: y"}', EVENT, '.event'],
  ['a carriage return in its event', '{"topic":"a","data":1,"event":"x\\u000dy"}', EVENT, '.event'],
  ['NUL in its event', '{"topic":"a","data":1,"event":"x\\u0000"}', EVENT, '.event'],
  ['half a surrogate pair in its event', '{"topic":"a","data":1,"event":"\\udc00"}', EVENT, '.event'],
  ['a reserved event', '{"topic":"a","data":1,"event":"$gap"}', EVENT, '.event'],
  ['an event of its own of EventSource', '{"topic":"a","data":1,"event":"error"}', EVENT, '.event'],
  ['an event that is null', '{"topic":"a","data":1,"event":null}', EVENT, '.event'],
  ['a negative TTL', '{"topic":"a","data":1,"ttl":-1}', TTL, '.ttl'],
  ['a TTL that is text', '{"topic":"a","data":1,"ttl":"5"}', TTL, '.ttl'],
  ['half a second of TTL', '{"topic":"a","data":1,"ttl":0.5}', TTL, '.ttl'],
  ['too much data', `{"topic":"a","data":"${'x'.repeat(MESSAGE_BYTES)}"}`, LARGE, '.data'],
];
for (const [name, item, kind, member] of ITEMS) {
  add(`an array whose third message has ${name}`, post('/messages', JSON_TYPE, `[${GOOD}, ${GOOD},\n${item},${GOOD}]`), kind, `[2]${member}`);
  add(`NDJSON whose fourth line has ${name}`, post('/messages', NDJSON_TYPE, `${GOOD}\n\n${GOOD}\r\n${item}\n${GOOD}`), kind, `line 4${member}`);
}
add('a batch with a TTL header', post('/messages', { ...NDJSON_TYPE, TTL: '5' }, GOOD), TTL, 'TTL');
add('a batch with an event header', post('/messages', { ...JSON_TYPE, 'Tidings-Event': 'x' }, `[${GOOD}]`), EVENT, 'Tidings-Event');
add('an array with a message that is no JSON', post('/messages', JSON_TYPE, `[${GOOD},{"topic":"a","data":01}]`), BATCH, '[1]');
add('NDJSON with a line that is no JSON', post('/messages', NDJSON_TYPE, `${GOOD}\n{"topic":"a","data":\n1}\n${GOOD}\n`), BATCH, 'line 2');
add('NDJSON with two messages on a line', post('/messages', NDJSON_TYPE, `${GOOD}${GOOD}\n`), BATCH, 'line 1');
add('NDJSON that is an array', post('/messages', NDJSON_TYPE, `[${GOOD}]`), BATCH, 'line 1');
for (const body of ['', '{}', GOOD, 'null', '[]', `[${GOOD}`, `[${GOOD},]`, `[${GOOD} ${GOOD}]`, `[${GOOD}]]`, `[${GOOD}] x`]) add(`the batch ${JSON.stringify(body)}`, post('/messages', JSON_TYPE, body), BATCH);
for (const body of ['', '\n', ' \r\n\t\n']) add(`the NDJSON ${JSON.stringify(body)}`, post('/messages', NDJSON_TYPE, body), BATCH);
add('a message too many', post('/messages', JSON_TYPE, `[${Array<string>(BATCH_MESSAGES + 1).fill(GOOD).join(',')}]`), BATCH);
add('a line too many', post('/messages', NDJSON_TYPE, `${GOOD}\n`.repeat(BATCH_MESSAGES + 1)), BATCH);
add('a batch that is no UTF-8', post('/messages', JSON_TYPE, Buffer.concat([Buffer.from('[{"topic":"a","data":'), BAD_UTF8, Buffer.from('}]')])), DATA, 'body');
add('a batch that is too large', post('/messages', JSON_TYPE, Buffer.alloc(BATCH_BYTES + 1, ' ')), LARGE);
add('a batch with two keys', raw(`POST /messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: ${GOOD.length + 2}\r\n\r\n[${GOOD}]`), KEY, 'Idempotency-Key');

// Paths and methods.
for (const path of ['/page', '/index.html', '/nothing', '/topics/a/', '/topics/a/b', '/topics/a/events/', '/topics/a/messages/', '/topics/a/b/events', '/Topics/a', '/events/', '/events/a', '/messages/a/b', '/healthz/', '/admin', '/.env', '/topics/a;x=1/nothing', '/topics/..%2F..%2Fetc/passwd', '//topics/a']) {
  add(`GET ${path}`, get(path), NOT_FOUND);
}
for (const file of ['none.js', 'page.js.map', '%2e%2e', '..%2Fpage.js', 'built%2Fpage.js', 'page.js%00', '__proto__']) add(`GET /page/${file}`, get(`/page/${file}`), NOT_FOUND, 'file');
add('POST with a trailing slash', post('/topics/a/'), NOT_FOUND);
add('an empty topic', post('/topics/'), TOPIC, 'topic');
add('POST to a topic with a bare slash', post('/topics/a/b'), NOT_FOUND);
const PATHS: Readonly<Record<string, string>> = {
  '/topics/a': 'POST', '/topics/': 'POST', '/messages': 'GET, HEAD, POST', '/topics/a/events': 'GET, HEAD', '/events?topic=a': 'GET, HEAD', '/topics/a/messages': 'DELETE, GET, HEAD',
  '/messages/abcdefgh-1': 'DELETE, GET, HEAD', '/healthz': 'GET, HEAD', '/readyz': 'GET, HEAD', '/metrics': 'GET, HEAD', '/openapi.json': 'GET, HEAD', '/': 'GET, HEAD', '/page/page.js': 'GET, HEAD',
};
for (const [path, allow] of Object.entries(PATHS)) {
  for (const method of ['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'QUERY', 'PROPFIND', 'GET', 'POST']) {
    if (!allow.includes(method)) add(`${method} ${path}`, requestBytes(method, path, {}, method === 'PUT' ? 'x' : ''), METHOD, undefined, allow);
  }
}

// The streams and instances of all.
for (const [query, kind, field] of [
  ['after=x', REQUEST, 'after'], ['after=aaaaaaaaaa-', REQUEST, 'after'], ['after=aaaaaaaaaa-zzzzzzzzzzz', REQUEST, 'after'], ['after=aaaaaaaaaa-01', REQUEST, 'after'], ['after=', REQUEST, 'after'], ['cursor=aaaaaaaaaa-1', REQUEST, 'cursor'],
  ['limit=0', REQUEST, 'limit'], ['limit=1001', REQUEST, 'limit'], ['limit=x', REQUEST, 'limit'], ['limit=1&limit=2', REQUEST, 'limit'],
  ['member=', REQUEST, 'member'], ['credential=', REQUEST, 'credential'], ['credential=a&credential=b', REQUEST, 'credential'], ['credentials=a', REQUEST, 'credentials'], ['member=a&member=b', REQUEST, 'member'], ['instance=x', REQUEST, 'instance'], ['instance=', REQUEST, 'instance'], ['instance=AAAAAAAAAA', REQUEST, 'instance'],
  ['behind=yes', REQUEST, 'behind'], ['topic=a..b', TOPIC, 'topic'], ['topic=', TOPIC, 'topic'], ['topic=a.b*', TOPIC, 'topic'], ['topic=a+b', TOPIC, 'topic'], ['topics=a', REQUEST, 'topics'], ['member=%FF', REQUEST, 'member'],
] as const) add(`GET /streams?${query}`, get(`/streams?${query}`), kind, field);
for (const id of ['x', '0', 'abcdefgh-0', 'abcdefgh-7', '%00', 'abcdefgh-99999999999999999999']) add(`GET /messages/${id}/delivery`, get(`/messages/${id}/delivery`), NO_MESSAGE, 'id');
for (const [query, kind, field] of [
  ['topic=a', REQUEST, 'action'], ['action=', REQUEST, 'action'], ['action=write&topic=a', REQUEST, 'action'], ['action=read&action=read&topic=a', REQUEST, 'action'], ['action=read', TOPIC, 'topic'], ['action=read&topic=', TOPIC, 'topic'],
  ['action=read&topic=a..b', TOPIC, 'topic'], ['action=read&topic=a&topic=b', REQUEST, 'topic'], ['action=publish&topic=a.*', TOPIC, 'topic'], ['action=publish&topic=$a', TOPIC, 'topic'], ['action=erase&topic=%3E', TOPIC, 'topic'], ['action=presence&topic=a+b', TOPIC, 'topic'],
  ['action=operate&topic=a', TOPIC, 'topic'], ['actions=read', REQUEST, 'actions'],
] as const) add(`GET /access?${query}`, get(`/access?${query}`), kind, field);
for (const request of [get('/webhooks'), post('/webhooks', JSON_TYPE, '{}'), get('/webhooks/a'), requestBytes('PATCH', '/webhooks/a', JSON_TYPE, '{}'), requestBytes('DELETE', '/webhooks/a'), ...['pause', 'resume', 'replay', 'rotate', 'test'].map((action) => post(`/webhooks/a/${action}`)), get('/webhooks/a/attempts')]) add('a webhook, without a credential', request, UNAUTHORIZED, 'Authorization');
for (const path of ['/webhooks', '/webhooks/a', '/webhooks/a/pause', '/webhooks/a/attempts']) add(`PUT ${path}`, requestBytes('PUT', path, {}, 'x'), METHOD, undefined, path === '/webhooks' ? 'GET, HEAD, POST' : path === '/webhooks/a' ? 'DELETE, GET, HEAD, PATCH' : path === '/webhooks/a/pause' ? 'POST' : 'GET, HEAD');
for (const path of ['/access', '/keys/abcdefghijkl/access', '/messages/x/delivery']) add(`PUT ${path}`, requestBytes('PUT', path, {}, 'x'), METHOD, undefined, 'GET, HEAD');
add('what a key may do, without a credential', get('/keys/abcdefghijkl/access'), UNAUTHORIZED, 'Authorization');
const patch = (body: string, path = '/streams/aaaaaaaaaa-1'): Buffer => requestBytes('PATCH', path, {}, body);
const streamSecret = '"secret":"abcdefghijklmnopqrstuv"';
for (const [body, kind, field] of [
  ['{', REQUEST], ['[]', REQUEST], ['"add"', REQUEST], ['null', REQUEST], ['{}', REQUEST, 'secret'], ['{"add":["a"]}', REQUEST, 'secret'], ['{"secret":"short","add":["a"]}', REQUEST, 'secret'], ['{"secret":7,"add":["a"]}', REQUEST, 'secret'],
  [`{${streamSecret}}`, REQUEST, 'add'], [`{${streamSecret},"topics":["a"]}`, REQUEST, 'topics'], [`{${streamSecret},"add":"a"}`, REQUEST, 'add'], [`{${streamSecret},"remove":null}`, REQUEST, 'remove'], [`{${streamSecret},"add":[7]}`, REQUEST, 'add[0]'],
  [`{${streamSecret},"add":["a"],"remove":["b",{}]}`, REQUEST, 'remove[1]'], [`{${streamSecret},"add":["a","b"],"remove":["c","b"]}`, REQUEST, 'remove[1]'], [`{${streamSecret},"add":["a"],"add":["b"]}`, REQUEST],
  [`{${streamSecret},"add":["a",""]}`, TOPIC, 'add[1]'], [`{${streamSecret},"add":["a b"]}`, TOPIC, 'add[0]'], [`{${streamSecret},"add":["a..b"]}`, TOPIC, 'add[0]'], [`{${streamSecret},"add":["a.>.b"]}`, TOPIC, 'add[0]'], [`{${streamSecret},"remove":["a*"]}`, TOPIC, 'remove[0]'],
  [`{${streamSecret},"add":["${'x'.repeat(256)}"]}`, TOPIC, 'add[0]'], [`{${streamSecret},"add":["\\ud800"]}`, TOPIC, 'add[0]'], [`{${streamSecret},"add":["*.*.*.*.*.*.*.*.*"]}`, TOPIC, 'add[0]'],
  [`{${streamSecret},"add":[${Array(TOPICS_PER_STREAM + 1).fill('"a"').join()}]}`, REQUEST, 'add'], [`{${streamSecret},"remove":[${Array(TOPICS_PER_STREAM + 1).fill('"a"').join()}]}`, REQUEST, 'remove'],
] as const) add(`PATCH /streams/… with ${body.slice(0, 100)}`, patch(body), kind, field);
for (const id of ['aaaaaaaaaa-1', 'x', 'aaaaaaaaaa-', '%00']) add(`PATCH /streams/${id}`, patch(`{${streamSecret},"add":["a"]}`, `/streams/${id}`), NOT_FOUND, 'id');
for (const query of ['pattern=x', 'pattern=0&pattern=1']) add(`PATCH /streams/… with ${query}`, patch(`{${streamSecret},"add":["a"]}`, `/streams/aaaaaaaaaa-1?${query}`), REQUEST, 'pattern');
add('PATCH /streams/… with a pattern, where only topics are asked for', patch(`{${streamSecret},"add":["a.*"]}`, '/streams/aaaaaaaaaa-1?pattern=0'), TOPIC, 'add[0]');
add('PATCH /streams/… with too much', patch(`{${streamSecret},"add":[],"remove":[]${' '.repeat(64 * 1024)}}`), LARGE);
add('PATCH /streams/… from a page of another origin', requestBytes('PATCH', '/streams/aaaaaaaaaa-1', { Origin: 'https://elsewhere.example' }, '{}'), ORIGIN, 'Origin');
const remove = (path: string): Buffer => requestBytes('DELETE', path, {});
for (const retry of ['', '0', '-1', '1.5', '01', '86401', '9999999', 'soon', '1&retry=2']) add(`DELETE /streams/… with retry=${retry}`, remove(`/streams/aaaaaaaaaa-1?retry=${retry}`), REQUEST, 'retry');
for (const id of ['aaaaaaaaaa-1', 'x', 'aaaaaaaaaa-', '%00', 'aaaaaaaaaa-1%2Fcredential']) add(`DELETE /streams/${id}`, remove(`/streams/${id}`), NOT_FOUND, 'id');
for (const [path, allow] of [['/streams', 'GET, HEAD'], ['/streams/x', 'DELETE, PATCH'], ['/instances', 'GET, HEAD'], ['/instances/x', 'GET, HEAD'], ['/instances/x/drain', 'POST'], ['/instances/rebalance', 'GET, HEAD, POST']] as const) add(`PUT ${path}`, requestBytes('PUT', path, {}, 'x'), METHOD, undefined, allow);
for (const id of ['x', 'aaaaaaaaaa', 'AAAAAAAAAA', '%00', 'aaaaaaaaaa-1']) add(`GET /instances/${id}`, get(`/instances/${id}`), NOT_FOUND, 'id');
for (const query of ['after=-1', 'after=x', 'after=', 'after=1.5', 'after=9007199254740993']) add(`GET /instances/…?${query}`, get(`/instances/aaaaaaaaaa?${query}`), CURSOR, 'after');
add('a time of figures twice', get('/instances/aaaaaaaaaa?after=1&after=2'), REQUEST, 'after');
add('even shares without a credential', post('/instances/rebalance', {}, ''), UNAUTHORIZED, 'Authorization');
add('even shares for a page of another origin', post('/instances/rebalance', { Origin: 'https://elsewhere.example' }, ''), ORIGIN, 'Origin');
add('the end of an instance without a credential', post('/instances/aaaaaaaaaa/drain', {}, ''), UNAUTHORIZED, 'Authorization');

// What a client says of the answer, and of itself.
for (const accept of ['application/json', 'text/html', 'text/event-stream;q=0', '*/*, text/event-stream;q=0.0', 'text/plain, application/*']) {
  for (const path of ['/topics/a/events', '/events?topic=a']) add(`${path} for ${accept}`, get(path, { Accept: accept }), NOT_ACCEPTABLE, 'Accept');
}
for (const path of ['/topics/a', '/messages']) {
  add(`${path} from a page of another origin`, post(path, { ...JSON_TYPE, Origin: 'https://elsewhere.example' }, `[${GOOD}]`), ORIGIN, 'Origin');
  add(`${path} from a page of another site that hides its origin`, post(path, { ...JSON_TYPE, 'Sec-Fetch-Site': 'cross-site' }, `[${GOOD}]`), ORIGIN, 'Sec-Fetch-Site');
  add(`${path} from a page of another site`, post(path, { ...JSON_TYPE, 'Sec-Fetch-Site': 'cross-site', Origin: 'http://localhost' }, `[${GOOD}]`), ORIGIN, 'Origin');
  add(`${path} from a page without an origin`, post(path, { ...JSON_TYPE, Origin: 'null' }, `[${GOOD}]`), ORIGIN, 'Origin');
}
add('HTTP/1.1 without Host', raw('GET /healthz HTTP/1.1\r\n\r\n'), REQUEST, 'Host');

// Bounds of the head.
add('a path that is too long', post(`/topics/${'a'.repeat(33 * 1024)}`), LONG_URL);
add('a path with a fragment', get('/topics/a/messages#x'), REQUEST);
add('a query with a fragment', get('/events?topic=a#x'), REQUEST);
add('a query that is too long', get(`/events?topic=a&x=${'a'.repeat(33 * 1024)}`), LONG_URL);
add('headers that are too large', get('/healthz', { 'X-Large': 'a'.repeat(70 * 1024) }), LARGE_HEAD);
add('too many headers', get('/healthz', Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`X-Header-Number-${index}`, 'x'.repeat(10)]))), LARGE_HEAD);

// No HTTP at all.
for (const [name, text] of [
  ['no request line', 'hello\r\n\r\n'],
  ['an unknown version', 'GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n'],
  ['an unknown method', 'PUBLISH /topics/a HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  ['a space in the path', 'POST /topics/a b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx'],
  ['a header without a colon', 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n'],
  ['a space before a header\u{2019}s colon', 'POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length : 1\r\n\r\nx'],
  ['a NUL in a header', 'POST /topics/a HTTP/1.1\r\nHost: localhost\r\nTidings-Event: a\0b\r\nContent-Length: 1\r\n\r\nx'],
  ['a folded header', 'POST /topics/a HTTP/1.1\r\nHost: localhost\r\nTidings-Event: a\r\n data: x\r\nContent-Length: 1\r\n\r\nx'],
  ['a length that is no number', 'POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\nx'],
  ['a negative length', 'POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\nx'],
  ['two lengths', 'POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy'],
  ['a length and chunks', 'POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a chunk that is no number', 'POST /topics/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n'],
  ['a chunk that is longer than it says', 'POST /topics/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxxxxx\r\n0\r\n\r\n'],
  ['an encoding of the transfer that nobody knows', 'POST /topics/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\nx'],
  ['TLS', '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03'],
] as const) add(name, raw(text), REQUEST);

export const BAD_INPUT: readonly BadInput[] = cases;
