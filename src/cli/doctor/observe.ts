import { randomUUID } from 'node:crypto';
import { connect, type TLSSocket } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { credentials, idIn, jsonOf, keepAliveAgent, problemOf, send, serverName, type Ask, type Reply, type Target } from './exchange.ts';
import { DAY_MS, type Ending, type Idle, type Live, type Observations, type Openings, type Published, type Reached, type Requests, type TlsSeen } from './observations.ts';
import { StreamWatch, type StreamSeen } from './stream-watch.ts';
import { watchWebSocket } from './web-socket-watch.ts';

/** Makes all observations, with the requests that clients send. It judges nothing, and publishes to the target's topic only. */

/** The number of messages whose delivery is timed. */
const TIMED_MESSAGES = 3;
/** Removes doctor's messages from the log soon: nobody else needs them. */
const TTL_SECONDS = '60';
/** The number of streams that are opened for the median. */
const OPENED_STREAMS = 5;
/** Above nginx' default of 1 MiB, below the smallest useful bound of batches. */
const LARGE_BODY_BYTES = 2 * 1024 * 1024;
/** More than any service accepts, so it must refuse the head at once. */
const HELD_BODY_BYTES = 20 * 1024 * 1024;
/** How long to wait for an answer to the head alone. A proxy that buffers the body would never answer. Milliseconds. */
const HELD_BODY_MS = 1_500;
/** The largest `wait` that the service allows. */
const LONG_POLL_MAX_SECONDS = 50;
/** The newest messages to read: enough to find doctor's messages even if others publish to the topic. */
const HISTORY_MESSAGES = 100;
/** The interval between two reads of history. Milliseconds. */
const HISTORY_LOOK_MS = 200;
/** An id that no log has: it lacks the `-`. */
const UNKNOWN_ID = 'doctor';

export async function observe(target: Target): Promise<Observations> {
  const reached = await reach(target);
  if (isStoppedBy(reached)) return { ...reached, target };
  // Time the opening of streams alone, before all other requests run at once.
  const openings = await open(target);
  const [live, requests, idle, unknownId, ending, webSocket] = await Promise.all([watchLive(target), sendRequests(target), target.idleMs === 0 ? undefined : watchIdle(target), resumeFromUnknown(target), watchEnding(target), watchWebSocket(target, `${topicPath(target)}/events`)]);
  return { ...reached, target, rest: { live, requests, idle, unknownId, openings, ending, webSocket } };
}

/** Whether further checks are useless: no answer, an untrusted certificate, a redirect, or a refused host. */
function isStoppedBy({ health, tls }: Reached): boolean {
  if (health.kind === 'failure' || tls?.distrust !== undefined) return true;
  return (health.status >= 300 && health.status < 400) || problemOf(health)?.code === 'unknown-host';
}

async function reach(target: Target): Promise<Reached> {
  const agent = keepAliveAgent(target);
  try {
    const asked = Date.now();
    const health = await send(target, { path: '/healthz', agent });
    const date = health.kind === 'answer' ? Date.parse(health.headers['date'] ?? '') : Number.NaN;
    // `Date` has whole seconds, rounded down: add half a second on average.
    const dateAheadMs = Number.isNaN(date) || health.kind === 'failure' ? undefined : date + 500 - (asked + health.at) / 2;
    const again = health.kind === 'failure' ? undefined : await send(target, { path: '/healthz', agent });
    return { health, again, tls: target.url.protocol === 'https:' ? await tlsOf(target) : undefined, dateAheadMs };
  } finally {
    agent.destroy();
  }
}

/** The TLS handshake. Undefined if it failed: then the first request has the reason. */
function tlsOf({ url, timeoutMs }: Target): Promise<TlsSeen | undefined> {
  return new Promise((resolve) => {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const done = (seen: TlsSeen | undefined): void => {
      clearTimeout(limit);
      socket.destroy();
      resolve(seen);
    };
    // Accepts any certificate, to describe it. Nothing is sent over this connection.
    const socket: TLSSocket = connect({ host, port: Number(url.port === '' ? 443 : url.port), servername: serverName(host), ALPNProtocols: ['h2', 'http/1.1'], rejectUnauthorized: false }, () => {
      const validTo = Date.parse(socket.getPeerCertificate().valid_to ?? '');
      const daysLeft = Number.isNaN(validTo) ? undefined : Math.floor((validTo - Date.now()) / DAY_MS);
      done({ protocol: socket.alpnProtocol === false || socket.alpnProtocol === null ? undefined : socket.alpnProtocol, version: socket.getProtocol() ?? '', distrust: socket.authorized ? undefined : String(socket.authorizationError), daysLeft });
    });
    const limit = setTimeout(() => done(undefined), timeoutMs);
    socket.on('error', () => done(undefined));
  });
}

function topicPath({ topic }: Target): string {
  return `/topics/${encodeURIComponent(topic)}`;
}

/** Opens streams one after the other. Stops at the first one that does not open, because the others would wait as long. */
async function open(target: Target): Promise<Openings> {
  const openings: Openings & { readonly streams: number[]; readonly requests: number[] } = { streams: [], requests: [] };
  for (let count = 0; count < OPENED_STREAMS; count++) {
    const stream = new StreamWatch(target, `${topicPath(target)}/events`);
    const isOpen = await stream.opened(target.timeoutMs);
    const { began, events } = stream.close();
    if (!isOpen) break;
    openings.streams.push(events[0]!.at - began);
    const request = await send(target, { path: '/healthz' });
    if (request.kind === 'answer') openings.requests.push(request.headMs);
  }
  return openings;
}

/** Opens a stream, publishes, waits for the messages, and resumes after the first one. */
async function watchLive(target: Target): Promise<Live> {
  // Random keys: another doctor may use the same topic.
  const key = randomUUID();
  const history = { path: `${topicPath(target)}/messages?last=${HISTORY_MESSAGES}`, headers: credentials(target) };
  const stream = new StreamWatch(target, `${topicPath(target)}/events`);
  const isOpen = await stream.opened(target.timeoutMs);
  const publishes: Reply[] = [];
  const published: Published[] = [];
  const badTtl = await send(target, publication(target, { ttl: 'none' }));
  const historyBefore = await send(target, history);
  for (let count = 0; count < TIMED_MESSAGES; count++) {
    const reply = await send(target, publication(target, { 'idempotency-key': `${key}-${count}` }));
    publishes.push(reply);
    const id = idIn(reply);
    if (id === undefined) break;
    published.push({ id, storedAt: performance.now() });
  }
  if (published.length < TIMED_MESSAGES) return { stream: stream.close(), published, publishes, badTtl, historyBefore, historyAfter: undefined, replay: undefined };
  publishes.push(await send(target, publication(target, { 'idempotency-key': `${key}-${TIMED_MESSAGES - 1}` })));
  const has = ({ events }: Pick<StreamSeen, 'events'>, id: string): boolean => events.some((event) => event.id === id && !event.name.startsWith('$'));
  const last = published.at(-1)!.id;
  if (isOpen) await stream.when(() => published.every(({ id }) => has(stream, id)), target.timeoutMs);
  const seen = stream.close();
  const historyAfter = await until(target, () => send(target, history), (reply) => reply.kind === 'answer' && reply.body.includes(last));
  const replay = isOpen ? new StreamWatch(target, `${topicPath(target)}/events`, { 'last-event-id': published[0]!.id }) : undefined;
  await replay?.when(() => has(replay, last), target.timeoutMs);
  return { stream: seen, published, publishes, badTtl, historyBefore, historyAfter, replay: replay?.close() };
}

/** Asks until the answer passes, or the time is up. An instance may answer that does not have the newest message yet. */
async function until(target: Target, ask: () => Promise<Reply>, holds: (reply: Reply) => boolean): Promise<Reply> {
  const limit = performance.now() + target.timeoutMs;
  for (;;) {
    const reply = await ask();
    if (holds(reply) || performance.now() > limit) return reply;
    await sleep(HISTORY_LOOK_MS);
  }
}

function publication(target: Target, headers: Readonly<Record<string, string>>): Ask {
  return { method: 'POST', path: topicPath(target), headers: { 'content-type': 'text/plain', 'tidings-event': 'doctor', ttl: TTL_SECONDS, ...credentials(target), ...headers }, body: 'tidings doctor' };
}

async function sendRequests(target: Target): Promise<Requests> {
  const own = credentials(target);
  const post = { method: 'POST', headers: { ...own, 'content-type': 'application/json' } } as const;
  const messages = `${topicPath(target)}/messages`;
  const { token, origin } = target;
  const [streamQuery, historyQuery, slash, ownPage, ownPageWithSite, largeBody, heldBody, withToken, withNone, withBogus, preflight] = await Promise.all([
    send(target, { path: `${topicPath(target)}/events?sicne=1m`, headers: own }),
    send(target, { path: `${messages}?limt=1`, headers: own }),
    send(target, { path: `/topics/${encodeURIComponent(`${target.topic}/doctor`)}/messages`, headers: own }),
    send(target, { ...post, path: '/messages', headers: { ...post.headers, origin: target.url.origin }, body: '{}' }),
    send(target, { ...post, path: '/messages', headers: { ...post.headers, origin: target.url.origin, 'sec-fetch-site': 'same-origin' }, body: '{}' }),
    send(target, { ...post, path: '/messages', body: `[{}${' '.repeat(LARGE_BODY_BYTES)}]` }),
    send(target, { ...post, path: topicPath(target), body: ' ', announcedBytes: HELD_BODY_BYTES, timeoutMs: HELD_BODY_MS }),
    token === undefined ? undefined : send(target, { path: messages, headers: own }),
    send(target, { path: messages }),
    token === undefined ? send(target, { path: messages, headers: { authorization: 'Bearer doctor' } }) : undefined,
    origin === undefined ? undefined : send(target, { method: 'OPTIONS', path: topicPath(target), headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,content-type,last-event-id' } }),
  ]);
  return { streamQuery, historyQuery, slash, ownPage, ownPageWithSite, largeBody, heldBody, withToken, withNone, withBogus, preflight };
}

async function watchIdle(target: Target): Promise<Idle> {
  const longPollSeconds = Math.max(1, Math.min(LONG_POLL_MAX_SECONDS, Math.floor(target.idleMs / 1000)));
  const stream = new StreamWatch(target, `${topicPath(target)}/events`);
  const [longPoll] = await Promise.all([
    // A topic of its own, to which nobody publishes.
    send(target, { path: `/topics/${encodeURIComponent(`${target.topic}.quiet`)}/messages?last=0&wait=${longPollSeconds}`, headers: credentials(target), timeoutMs: longPollSeconds * 1000 + target.timeoutMs }),
    stream.when(() => false, target.idleMs),
  ]);
  return { stream: stream.close(), longPoll, longPollSeconds, until: performance.now() };
}

async function resumeFromUnknown(target: Target): Promise<StreamSeen> {
  const stream = new StreamWatch(target, `${topicPath(target)}/events`, { 'last-event-id': UNKNOWN_ID });
  // The gap comes in the same write as `$open`, or soon after it.
  await stream.when(() => stream.events.some(({ name }) => name === '$gap') || stream.events.some(({ name, id }) => name === '$open' && id !== undefined), target.timeoutMs);
  return stream.close();
}

/** A ticket opens one stream: the second that it opens makes the service end the first. */
async function watchEnding(target: Target): Promise<Ending | undefined> {
  if (target.token === undefined) return undefined;
  const made = await send(target, { method: 'POST', path: '/tickets', headers: { ...credentials(target), 'content-type': 'application/json' }, body: JSON.stringify({ topics: [target.topic] }) });
  const { ticket } = made.kind === 'answer' && made.status === 201 ? jsonOf(made) as { readonly ticket?: unknown } : {};
  if (typeof ticket !== 'string') return undefined;
  const path = `${topicPath(target)}/events?ticket=${encodeURIComponent(ticket)}`;
  const anonymous = { ...target, token: undefined };
  const first = new StreamWatch(anonymous, path);
  await first.opened(target.timeoutMs);
  const second = new StreamWatch(anonymous, path);
  await first.when(() => false, target.timeoutMs);
  second.close();
  return { stream: first.close() };
}
