import { jsonOf, problemOf, seconds, type Answer } from './exchange.ts';
import { DAY_MS, type Live, type Openings, type Reached } from './observations.ts';
import { good, quoted, unseen, warning, wrong, type Verdict } from './verdict.ts';

/** Verdicts about the connection: whether requests reach the service, TLS, HTTP, the clock, and the time to open a stream. */

/** Allows for whole seconds in `Date`, a slow answer and ordinary drift. */
const CLOCK_MAX_MS = 5_000;
/** Renewal has failed if a certificate is this near its end: clients of Let's Encrypt renew 30 days before. */
const CERTIFICATE_MIN_MS = 14 * DAY_MS;
/** HAProxy without `option http-no-delay` holds each small frame for 200 ms. So the first event of each stream takes 200 ms and the network's time. Milliseconds. */
const HELD_FRAME_MIN_MS = 190;
const HELD_FRAME_MAX_MS = 300;
/** A timer delays all streams alike; a busy machine does not. The largest difference between streams for which a timer is assumed. Milliseconds. */
const HELD_FRAME_SPREAD_MAX_MS = 50;
/** A slow network delays requests, too. So a frame counts as held only if it takes this many times as long as a request. */
const HELD_FRAME_FACTOR = 3;
/** People notice a stream that takes longer to open. Milliseconds. */
const OPENING_MAX_MS = 2_000;

export function isRedirect({ status }: Answer): boolean {
  return status >= 300 && status < 400;
}

/** Status and content type of an answer, for people. */
export function shownAnswer({ status, headers }: Pick<Answer, 'headers'> & { readonly status: number | undefined }): string {
  return `${status ?? 'nothing'} ${quoted(headers['content-type'] ?? 'without a content type')}`;
}

export function judgeReach({ health, tls }: Reached, url: URL): Verdict {
  if (tls?.distrust !== undefined) return unseen('nothing was sent, because the certificate is not trusted');
  if (health.kind === 'failure') return wrong(`${quoted(url.origin)} cannot be reached: ${quoted(health.reason)} (${quoted(health.code)})`);
  if (isRedirect(health)) return wrong(`it redirects (${health.status}) to ${quoted(health.headers['location'] ?? 'nowhere')}: give clients that URL; a redirected POST may arrive as GET`, 'redirect');
  const problem = problemOf(health);
  if (problem?.code === 'unknown-host') return wrong(`the service refuses the host (421): ${quoted(problem.detail)}`, 'allowedHosts');
  if (health.status === 200 && 'status' in jsonOf(health)) return good(`the service answers /healthz in ${health.headMs.toFixed(0)} ms`);
  if ([502, 503, 504].includes(health.status)) return wrong(`something on the way answers ${shownAnswer(health)}: it reaches no instance`);
  return warning(`/healthz is answered with ${shownAnswer(health)}: it is blocked, or this is not the service`);
}

export function judgeTls({ tls, health }: Reached, url: URL): Verdict {
  if (url.protocol !== 'https:') return isLoopback(url.hostname) ? good('no TLS, on this machine alone') : warning('no TLS: everybody on the way can read messages and credentials');
  if (tls === undefined) return health.kind === 'failure' ? wrong(`no handshake: ${quoted(health.reason)}`) : unseen('the handshake could not be repeated');
  if (tls.distrust !== undefined) return wrong(`the certificate is not trusted: ${quoted(tls.distrust)}`);
  if (tls.daysLeft !== undefined && tls.daysLeft * DAY_MS < CERTIFICATE_MIN_MS) return warning(`the certificate ends in ${tls.daysLeft} days`);
  return good(`${quoted(tls.version)}${tls.daysLeft === undefined ? '' : `, the certificate is good for ${tls.daysLeft} days`}`);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host.startsWith('127.') || host === '[::1]';
}

export function judgeHttp({ again, tls }: Reached, url: URL): Verdict {
  const kept = again?.kind === 'answer' && again.isReused;
  if (!kept) return warning('each request needs a new connection: the proxy closes it after an answer', 'keepAlive');
  if (tls !== undefined && tls.protocol !== 'h2') return warning('no HTTP/2: a browser opens six connections to a host, for all of its tabs together', 'http2');
  if (tls === undefined && !isLoopback(url.hostname)) return warning('without TLS browsers use HTTP/1.1: six connections to a host, for all tabs together', 'http2');
  return good(`${tls?.protocol === 'h2' ? 'HTTP/2' : 'HTTP/1.1'}, connections are kept`);
}

export function judgeClock({ dateAheadMs }: Pick<Reached, 'dateAheadMs'>, live: Pick<Live, 'publishes'> | undefined): Verdict {
  const stored = live?.publishes.find((reply): reply is Answer & { readonly status: 201 } => reply.kind === 'answer' && reply.status === 201);
  const time = stored === undefined ? Number.NaN : Date.parse(String((jsonOf(stored) as { readonly time?: unknown }).time));
  const ahead = stored === undefined || Number.isNaN(time) ? dateAheadMs : time - (stored.at - stored.headMs / 2);
  if (ahead === undefined) return unseen('no answer had a date');
  const finding = `the ${stored === undefined ? 'Date header' : "log's clock"} and this machine differ by ${seconds(Math.abs(ahead))}`;
  return Math.abs(ahead) > CLOCK_MAX_MS ? warning(`${finding} (it is ${ahead > 0 ? 'ahead' : 'behind'}): since= and tokens go by it`) : good(finding);
}

export function judgeOpening({ streams, requests }: Openings): Verdict {
  const median = streams.toSorted((one, other) => one - other)[Math.floor((streams.length - 1) / 2)];
  if (median === undefined) return unseen('no stream was opened');
  const finding = `a stream has its first event after ${median.toFixed(0)} ms (median of ${streams.length})`;
  const [stream, request] = [Math.min(...streams), Math.min(...requests)];
  const isTimer = stream >= HELD_FRAME_MIN_MS && stream <= HELD_FRAME_MAX_MS && Math.max(...streams) - stream <= HELD_FRAME_SPREAD_MAX_MS;
  if (isTimer && stream >= HELD_FRAME_FACTOR * request) return warning(`a stream has its first event after ${stream.toFixed(0)} ms at least, and a request takes ${request.toFixed(0)} ms: something holds small frames`, 'noDelay');
  return median > OPENING_MAX_MS ? warning(finding) : good(finding);
}
