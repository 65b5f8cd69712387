import t from 'tap';
import { diagnose, type Check } from '../../src/cli/doctor/diagnosis.ts';
import type { Answer, Reply, Target } from '../../src/cli/doctor/exchange.ts';
import type { Idle, Live, Observations, Openings, Requests, TlsSeen } from '../../src/cli/doctor/observations.ts';
import { report } from '../../src/cli/doctor/report.ts';
import type { SeenEvent, StreamSeen } from '../../src/cli/doctor/stream-watch.ts';
import type { Level } from '../../src/cli/doctor/verdict.ts';
import type { WebSocketSeen } from '../../src/cli/doctor/web-socket-watch.ts';

/** What each check makes of what was seen: observations of a healthy service, with one thing changed at a time. */

const TARGET: Target = { url: new URL('http://127.0.0.1:8080/'), token: 'secret', origin: 'https://app.example', topic: 'doctor.x', timeoutMs: 10_000, idleMs: 30_000 };
const SECURE: Target = { ...TARGET, url: new URL('https://tidings.example.com/') };

function answer(status: number, body: object | string = '', headers: Readonly<Record<string, string>> = {}, changes: Partial<Answer> = {}): Answer {
  return { kind: 'answer', status, body: typeof body === 'string' ? body : JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers }, headMs: 5, at: Date.UTC(2026, 10, 30), isReused: false, ...changes };
}

function problem(status: number, code: string, detail = ''): Answer {
  return answer(status, { type: `urn:tidings:problem:${code}`, code, detail });
}

const HTML = { 'content-type': 'text/html' };
const failure: Reply = { kind: 'failure', code: 'ECONNREFUSED', reason: 'connect ECONNREFUSED' };
const timeout: Reply = { kind: 'failure', code: 'TIMEOUT', reason: 'nothing came within 10 s' };

const STREAM_HEADERS = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache, no-transform', 'access-control-allow-origin': 'https://app.example' };

function stream(events: readonly SeenEvent[], changes: Partial<StreamSeen> = {}): StreamSeen {
  return { began: 0, failure: undefined, status: 200, headers: STREAM_HEADERS, headAt: 4, body: '', events, arrivals: [5], end: undefined, ...changes };
}

function event(name: string, id?: string, at = 5): SeenEvent {
  return { name, id, at };
}

const OPEN = event('$open', 'log-0');
const GAP = event('$gap', 'log-0');

function stored(id: string, event = 'doctor'): Answer {
  return answer(201, { id, topic: 'doctor.x', event, time: new Date(Date.UTC(2026, 10, 30)).toISOString() }, { location: `/messages/${id}` });
}

const LIVE: Live = {
  stream: stream([OPEN, event('doctor', 'log-1', 104), event('doctor', 'log-2', 110), event('doctor', 'log-3', 120)]),
  published: [{ id: 'log-1', storedAt: 100 }, { id: 'log-2', storedAt: 111 }, { id: 'log-3', storedAt: 121 }],
  publishes: [stored('log-1'), stored('log-2'), stored('log-3'), stored('log-3')],
  badTtl: problem(400, 'invalid-ttl'),
  historyBefore: answer(200, { messages: [] }),
  historyAfter: answer(200, { messages: [{ id: 'log-3' }] }),
  replay: stream([OPEN, event('doctor', 'log-2'), event('doctor', 'log-3')]),
};
const REQUESTS: Requests = {
  streamQuery: problem(400, 'invalid-request'), historyQuery: problem(400, 'invalid-request'), slash: answer(200, { messages: [] }), ownPage: problem(400, 'invalid-batch'), ownPageWithSite: problem(400, 'invalid-batch'),
  largeBody: problem(400, 'invalid-batch'), heldBody: problem(413, 'too-large'),
  withToken: answer(200, { messages: [] }), withNone: problem(401, 'unauthorized'), withBogus: undefined,
  preflight: answer(204, '', { 'access-control-allow-origin': 'https://app.example', 'access-control-allow-headers': 'Content-Type, Last-Event-ID, Authorization' }),
};
const BEATS = [5, 15_000, 29_000];
const IDLE: Idle = { stream: stream([OPEN], { arrivals: BEATS }), longPoll: answer(200, { messages: [] }), longPollSeconds: 30, until: 30_000 };
const OPENINGS: Openings = { streams: [20, 6, 5, 6, 7], requests: [4, 3, 3, 4, 5] };
const WEB_SOCKET: WebSocketSeen = { isOpen: true, refusal: undefined, failure: undefined, hasFrame: true, isAnswered: true };
const TLS: TlsSeen = { protocol: 'h2', version: 'TLSv1.3', distrust: undefined, daysLeft: 60 };

interface Changes {
  readonly target?: Partial<Target>;
  readonly edge?: Partial<Observations>;
  readonly live?: Partial<Live>;
  readonly requests?: Partial<Requests>;
  readonly idle?: Partial<Idle>;
  readonly rest?: Partial<NonNullable<Observations['rest']>>;
}

function observed({ target, edge, live, requests, idle, rest }: Changes): Observations {
  return {
    target: { ...TARGET, ...target }, health: answer(200, { status: 'ok' }), again: answer(200, { status: 'ok' }, {}, { isReused: true }), tls: undefined, dateAheadMs: 100,
    rest: {
      live: { ...LIVE, ...live }, requests: { ...REQUESTS, ...requests }, idle: { ...IDLE, ...idle }, openings: OPENINGS, unknownId: stream([OPEN, GAP]),
      ending: { stream: stream([OPEN], { end: { at: 50, isClean: false } }) }, webSocket: WEB_SOCKET, ...rest,
    },
    ...edge,
  };
}

/** No more than the reach, as where nothing else could be asked. */
function alone(edge: Partial<Observations>): Changes {
  return { edge: { ...edge, rest: undefined } };
}

const RESULTS: readonly (readonly [check: Check, level: Level, said: RegExp, changes: Changes])[] = [
  ['reach', 'wrong', /cannot be reached: connect ECONNREFUSED/, alone({ health: failure })],
  ['reach', 'wrong', /redirects \(308\) to https:\/\/other\.example\/healthz/, alone({ health: answer(308, '', { location: 'https://other.example/healthz' }) })],
  ['reach', 'wrong', /refuses the host \(421\)/, alone({ health: problem(421, 'unknown-host', 'ALLOWED_HOSTS') })],
  ['reach', 'wrong', /502 text\/html: it reaches no instance/, { edge: { health: answer(502, '<h1>', HTML) } }],
  ['reach', 'warning', /200 text\/html: it is blocked/, { edge: { health: answer(200, '<h1>', HTML) } }],
  ['tls', 'warning', /everybody on the way/, { target: { url: new URL('http://tidings.example.com') } }],
  ['tls', 'good', /TLSv1\.3, the certificate is good for 60 days/, { target: SECURE, edge: { tls: TLS } }],
  ['tls', 'warning', /ends in 3 days/, { target: SECURE, edge: { tls: { ...TLS, daysLeft: 3 } } }],
  ['tls', 'wrong', /CERT_HAS_EXPIRED/, { target: SECURE, edge: { tls: { ...TLS, distrust: 'CERT_HAS_EXPIRED' } } }],
  ['tls', 'wrong', /no handshake/, { target: SECURE, edge: { health: failure, rest: undefined } }],
  ['http', 'good', /HTTP\/2/, { target: SECURE, edge: { tls: TLS } }],
  ['http', 'warning', /no HTTP\/2/, { target: SECURE, edge: { tls: { ...TLS, protocol: 'http/1.1' } } }],
  ['http', 'warning', /six connections/, { target: { url: new URL('http://tidings.example.com') } }],
  ['http', 'warning', /a new connection/, { edge: { again: answer(200) } }],
  ['clock', 'warning', /differ by 10 s \(it is ahead\)/, { live: { publishes: [answer(201, { time: new Date(Date.UTC(2026, 10, 30) + 10_000).toISOString() })] } }],
  ['clock', 'warning', /Date header .* 60 s \(it is behind\)/, { edge: { dateAheadMs: -60_000 }, live: { publishes: [] } }],
  ['clock', 'unseen', /no answer had a date/, { edge: { dateAheadMs: undefined }, live: { publishes: [] } }],
  ['stream', 'wrong', /502 text\/html/, { live: { stream: stream([], { status: 502, headers: HTML }) } }],
  ['stream', 'wrong', /200 text\/html, not text\/event-stream/, { live: { stream: stream([], { headers: HTML }) } }],
  ['stream', 'wrong', /401 unauthorized\): give a credential/, { target: { token: undefined }, live: { stream: stream([], { status: 401, headers: {}, body: problem(401, 'unauthorized').body }) } }],
  ['stream', 'wrong', /redirected \(301\) to \/other/, { live: { stream: stream([], { status: 301, headers: { location: '/other' } }) } }],
  ['stream', 'wrong', /no answer: connect/, { live: { stream: stream([], { status: undefined, headers: {}, failure }) } }],
  ['stream', 'wrong', /without \$open/, { live: { stream: stream([event('message')]) } }],
  ['stream', 'warning', /\$busy/, { live: { stream: stream([event('$busy')]) } }],
  ['stream', 'unseen', /see buffering/, { live: { stream: stream([]) } }],
  ['opening', 'warning', /2500 ms/, { rest: { openings: { streams: [2_500], requests: [2_400] } } }],
  ['opening', 'warning', /holds small frames/, { rest: { openings: { streams: [201, 210], requests: [3, 200] } } }],
  ['opening', 'good', /210 ms/, { rest: { openings: { streams: [201, 210, 290], requests: [3] } } }],
  ['opening', 'good', /300 ms/, { rest: { openings: { streams: [300, 310], requests: [150] } } }],
  ['opening', 'unseen', /no stream/, { rest: { openings: { streams: [], requests: [] } } }],
  ['buffering', 'good', /3 messages came at most 4 ms after/, {}],
  ['buffering', 'wrong', /only the head/, { live: { stream: stream([]) } }],
  ['buffering', 'wrong', /nothing of a stream/, { live: { stream: stream([], { status: undefined, headers: {}, failure: timeout }) } }],
  ['buffering', 'wrong', /2 of 3 messages did not come/, { live: { stream: stream([OPEN, event('doctor', 'log-1')]) } }],
  ['buffering', 'warning', /4000 ms .*for a while/, { live: { stream: stream([OPEN, event('doctor', 'log-1', 4_100), event('doctor', 'log-2', 4_100), event('doctor', 'log-3', 4_100)]) } }],
  ['buffering', 'good', /4000 ms/, { rest: { openings: { streams: [1_000], requests: [900] } }, live: { stream: stream([OPEN, event('doctor', 'log-1', 4_100), event('doctor', 'log-2', 4_100), event('doctor', 'log-3', 4_100)]) } }],
  ['buffering', 'unseen', /was cut/, { live: { stream: stream([OPEN], { end: { at: 90, isClean: false } }) } }],
  ['buffering', 'good', /nothing could be published/, { live: { published: [] } }],
  ['compression', 'warning', /compressed \(br\)/, { live: { stream: { ...LIVE.stream, headers: { ...STREAM_HEADERS, 'content-encoding': 'br' } } } }],
  ['compression', 'wrong', /held back/, { live: { stream: stream([], { headers: { ...STREAM_HEADERS, 'content-encoding': 'gzip' } }) } }],
  ['stream headers', 'wrong', /max-age=60/, { live: { stream: { ...LIVE.stream, headers: { ...STREAM_HEADERS, 'cache-control': 'no-cache, max-age=60' } } } }],
  ['stream headers', 'wrong', /no Cache-Control/, { live: { stream: { ...LIVE.stream, headers: { 'content-type': 'text/event-stream' } } } }],
  ['stream headers', 'warning', /without no-transform/, { live: { stream: { ...LIVE.stream, headers: { ...STREAM_HEADERS, 'cache-control': 'no-store' } } } }],
  ['idle', 'good', /stayed open for 30 s; its longest silence was 15 s/, {}],
  ['idle', 'wrong', /cut after 20 s, 5\.0 s after its last byte/, { idle: { stream: stream([OPEN], { arrivals: [5, 15_000], end: { at: 20_000, isClean: false } }) } }],
  ['idle', 'warning', /\$busy/, { idle: { stream: stream([OPEN, event('$busy')], { end: { at: 20_000, isClean: false } }) } }],
  ['idle', 'wrong', /long poll of 30 s was answered with 504/, { idle: { longPoll: answer(504, '', HTML) } }],
  ['idle', 'wrong', /long poll of 30 s got no answer/, { idle: { longPoll: failure } }],
  ['idle', 'wrong', /a stream got 504/, { idle: { stream: stream([], { status: 504, headers: HTML }) } }],
  ['idle', 'unseen', /no heartbeat came/, { idle: { stream: stream([OPEN]) } }],
  ['idle', 'unseen', /--idle 0/, { rest: { idle: undefined } }],
  ['resuming', 'wrong', /does not reach the service/, { rest: { unknownId: stream([OPEN]) } }],
  ['resuming', 'wrong', /1 of 2 missed/, { live: { replay: stream([OPEN, event('doctor', 'log-3')]) } }],
  ['resuming', 'wrong', /3 of 2 missed/, { live: { replay: stream([OPEN, event('doctor', 'log-2'), event('doctor', 'log-2'), event('doctor', 'log-3')]) } }],
  ['resuming', 'good', /once and in order/, { live: { replay: stream([OPEN, event('message', 'log-9'), event('doctor', 'log-2'), event('message', 'log-10'), event('doctor', 'log-3')]) } }],
  ['resuming', 'good', /nothing was published/, { live: { replay: undefined } }],
  ['ending', 'warning', /HTTP\/1\.0/, { rest: { ending: { stream: stream([OPEN], { end: { at: 9, isClean: true } }) } } }],
  ['ending', 'unseen', /Caddy/, { edge: { health: answer(200, { status: 'ok' }, { server: 'Caddy' }) }, rest: { ending: { stream: stream([OPEN], { end: { at: 9, isClean: true } }) } } }],
  ['ending', 'warning', /stayed open/, { rest: { ending: { stream: stream([OPEN]) } } }],
  ['ending', 'unseen', /--token/, { target: { token: undefined }, rest: { ending: undefined } }],
  ['authorization', 'wrong', /does not reach/, { requests: { withToken: problem(401, 'unauthorized') } }],
  ['authorization', 'wrong', /does not know the token/, { requests: { withToken: problem(401, 'invalid-credential') } }],
  ['authorization', 'warning', /--topic/, { requests: { withToken: problem(403, 'forbidden') } }],
  ['authorization', 'unseen', /anybody may read/, { requests: { withNone: answer(200) } }],
  ['authorization', 'good', /header reaches/, { requests: { withToken: undefined, withBogus: problem(401, 'invalid-credential') } }],
  ['authorization', 'wrong', /does not reach/, { requests: { withToken: undefined, withBogus: problem(401, 'unauthorized') } }],
  ['websocket', 'warning', /without its Upgrade/, { rest: { webSocket: { ...WEB_SOCKET, isOpen: false, refusal: { status: 200, type: 'text/event-stream' } } } }],
  ['websocket', 'warning', /refused: 502 text\/html/, { rest: { webSocket: { ...WEB_SOCKET, isOpen: false, refusal: { status: 502, type: 'text/html' } } } }],
  ['websocket', 'warning', /no handshake: nothing came/, { rest: { webSocket: { ...WEB_SOCKET, isOpen: false, failure: timeout } } }],
  ['websocket', 'warning', /holds its frames back/, { rest: { webSocket: { ...WEB_SOCKET, hasFrame: false, isAnswered: false } } }],
  ['websocket', 'warning', /no answer comes/, { rest: { webSocket: { ...WEB_SOCKET, isAnswered: false } } }],
  ['websocket', 'unseen', /no stream/, { live: { stream: stream([], { status: 502, headers: HTML }) } }],
  ['host', 'wrong', /Host header is changed.*Sec-Fetch-Site does not arrive: its host is other/, { requests: { ownPage: problem(403, 'cross-origin', 'its host is other'), ownPageWithSite: problem(403, 'cross-origin') } }],
  ['host', 'warning', /browsers send Sec-Fetch-Site here/, { target: SECURE, edge: { tls: TLS }, requests: { ownPage: problem(403, 'cross-origin') } }],
  ['host', 'wrong', /over plain http browsers send no Sec-Fetch-Site/, { target: { url: new URL('http://tidings.example.com') }, requests: { ownPage: problem(403, 'cross-origin') } }],
  ['host', 'unseen', /did not answer/, { requests: { ownPage: failure } }],
  ['query', 'wrong', /of streams does/, { requests: { streamQuery: answer(200, '', { 'content-type': 'text/event-stream' }) } }],
  ['query', 'wrong', /of history does/, { requests: { historyQuery: answer(200, { messages: [] }) } }],
  ['query', 'unseen', /before it came/, { requests: { streamQuery: problem(401, 'unauthorized'), historyQuery: problem(401, 'unauthorized') } }],
  ['path', 'warning', /%2F/, { requests: { slash: problem(404, 'not-found') } }],
  ['path', 'good', /as they were sent/, { requests: { slash: problem(403, 'forbidden') } }],
  ['publishing', 'wrong', /^Tidings-Event of a publish does not/, { live: { publishes: [stored('log-1', 'message'), stored('log-2'), stored('log-3'), stored('log-3')] } }],
  ['publishing', 'wrong', /^Idempotency-Key, TTL of a publish do not/, { live: { publishes: [...LIVE.publishes.slice(0, 3), stored('log-4')], badTtl: stored('log-0') } }],
  ['publishing', 'unseen', /may not publish/, { live: { publishes: [problem(403, 'forbidden')], published: [] } }],
  ['publishing', 'unseen', /limits how much/, { live: { publishes: [problem(429, 'rate-limited')], published: [] } }],
  ['publishing', 'wrong', /redirected \(302\)/, { live: { publishes: [answer(302, '', { location: '/' })], published: [] } }],
  ['publishing', 'wrong', /a publish fails: 405 text\/html/, { live: { publishes: [answer(405, '', HTML)], published: [] } }],
  ['publishing', 'warning', /is \/messages\/log-1, which is not below/, { target: { url: new URL('http://127.0.0.1/tidings') } }],
  ['body', 'wrong', /413 text\/html/, { requests: { largeBody: answer(413, '', HTML) } }],
  ['body', 'wrong', /no answer: connect/, { requests: { largeBody: failure } }],
  ['body', 'wrong', /504 .* in time/, { requests: { largeBody: answer(504, '', HTML) } }],
  ['body', 'wrong', /a slow body .*408/, { requests: { heldBody: answer(408, '', HTML) } }],
  ['body', 'good', /passes$/, {}],
  ['body', 'good', /gathers a body/, { requests: { heldBody: timeout } }],
  ['body', 'good', /the service itself bounds/, { requests: { largeBody: problem(413, 'too-large') } }],
  ['cache', 'wrong', /caches old answers/, { live: { historyAfter: answer(200, { messages: [] }) } }],
  ['cache', 'warning', /Age: 12/, { live: { historyAfter: answer(200, { messages: [{ id: 'log-3' }] }, { age: '12' }) } }],
  ['cache', 'unseen', /could not be read/, { live: { historyBefore: problem(401, 'unauthorized') } }],
  ['cors', 'wrong', /may not read streams \(no Access/, { live: { stream: { ...LIVE.stream, headers: { 'content-type': 'text/event-stream' } } } }],
  ['cors', 'wrong', /a proxy both answer/, { live: { stream: { ...LIVE.stream, headers: { ...STREAM_HEADERS, 'access-control-allow-origin': 'https://app.example, *' } } } }],
  ['cors', 'wrong', /preflight .*\(405\)/, { requests: { preflight: answer(405) } }],
  ['cors', 'wrong', /without last-event-id/, { requests: { preflight: answer(204, '', { 'access-control-allow-headers': 'authorization, content-type' }) } }],
];

t.test('of what a healthy service shows, every check is good', async (t) => {
  const { findings } = diagnose(observed({}));
  t.same(findings.filter(({ level }) => level !== 'good'), []);
  t.equal(findings.length, 21);
  t.notOk(diagnose(observed({ target: { origin: undefined } })).findings.some(({ check }) => check === 'cors'), 'without --origin nothing is said of pages');
});

for (const [check, level, said, changes] of RESULTS) {
  t.test(`${check} is ${level}: ${said.source}`, async (t) => {
    const finding = diagnose(observed(changes)).findings.find((one) => one.check === check);
    t.match(finding, { level, finding: said });
  });
}

t.test('what the other side sends is shown without control characters, and cut', async (t) => {
  const hostile = diagnose(observed({ live: { stream: stream([], { status: 302, headers: { location: `\u001b]0;x\u0007 ${'a'.repeat(500)}` } }) }, edge: { health: answer(200, '', { 'content-type': '\u009b31m\u202e' }) } }));
  for (const text of [report(hostile, process.stdout), JSON.stringify(hostile)]) {
    t.notMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
    t.match(text, /a{100,160}…/);
    t.match(text, String.raw`u001b]0;x`);
  }
});

t.test('below a fault stand the lines of the proxy that answers, or of all; untried ones are marked', async (t) => {
  const changes = { rest: { unknownId: stream([OPEN]) } };
  const lines = (edge: Partial<Observations>): string => report(diagnose(observed({ ...changes, edge })), process.stdout);
  const all = lines({});
  for (const line of [/^ {4}nginx {4}proxy_set_header Last-Event-ID \$http_last_event_id;$/m, /^ {4}HAProxy {2}remove: /m, /^ {4}Caddy {4}header_up /m, /^ {4}not tried: Cloudflare: /m]) t.match(all, line);
  const nginx = lines({ health: answer(200, { status: 'ok' }, { server: 'nginx/1.22.1' }) });
  t.match(nginx, /, through nginx\n/);
  t.match(nginx, 'proxy_set_header Last-Event-ID');
  t.notMatch(nginx, /HAProxy|Caddy|Traefik/);
  t.match(lines({ health: answer(200, { status: 'ok' }, { 'cf-ray': '1' }) }), /not tried: Cloudflare: /);
});
