import { isLoopback } from '../../config/loopback.ts';
import { shownAnswer, isRedirect } from './edge-verdicts.ts';
import { idIn, isEventStream, jsonOf, pathPrefix, problemOf, type Answer, type Reply, type Target } from './exchange.ts';
import type { Live, Requests } from './observations.ts';
import type { StreamSeen } from './stream-watch.ts';
import { isOpen } from './stream-verdicts.ts';
import { good, quoted, unseen, warning, wrong, type Verdict } from './verdict.ts';

/** Verdicts about requests: whether their parts reach the service, and whether its answers come back unchanged. */

const REFUSALS: readonly (string | undefined)[] = ['unauthorized', 'invalid-credential', 'forbidden', 'rate-limited'];

/** The statuses of a proxy that got no answer in time. */
const GATEWAY: readonly number[] = [502, 503, 504];

/** Whether the service refused the request by an earlier rule than the one under test. */
function isKeptOut(reply: Reply): boolean {
  return REFUSALS.includes(problemOf(reply)?.code);
}

function isStored(reply: Reply | undefined): reply is Answer & { readonly status: 201 } {
  return reply?.kind === 'answer' && reply.status === 201;
}

export function judgeQuery({ streamQuery, historyQuery }: Pick<Requests, 'streamQuery' | 'historyQuery'>): Verdict {
  const dropped = [['streams', streamQuery], ['history', historyQuery]] as const;
  const of = dropped.filter(([, reply]) => reply.kind === 'answer' && reply.status === 200 && (isEventStream(reply.headers['content-type']) || 'messages' in jsonOf(reply))).map(([name]) => name);
  if (of.length > 0) return wrong(`the query of ${of.join(' and ')} does not reach the service: ?since=, ?topic= and others have no effect`, 'query');
  return problemOf(streamQuery)?.code === 'invalid-request' || problemOf(historyQuery)?.code === 'invalid-request' ? good('the query reaches the service') : unseen('the service answered before it came to the query');
}

export function judgePath({ slash }: Pick<Requests, 'slash'>): Verdict {
  if (problemOf(slash)?.code === 'not-found') return warning('an encoded slash (%2F) arrives decoded: topics must not have slashes', 'path');
  return slash.kind === 'answer' && (slash.status === 200 || isKeptOut(slash)) ? good('paths arrive as they were sent') : unseen('no answer tells');
}

/** On https and loopback, browsers send `Sec-Fetch-Site`. Over plain http they do not, and the service compares `Origin` with `Host`. */
export function judgeHost({ ownPage, ownPageWithSite }: Pick<Requests, 'ownPage' | 'ownPageWithSite'>, url: URL): Verdict {
  const problem = problemOf(ownPage);
  if (problem === undefined) return unseen('the service did not answer a page of this host');
  if (problem.code !== 'cross-origin') return good('the Host header reaches the service');
  const saysSite = url.protocol === 'https:' || isLoopback(url.hostname);
  if (saysSite && problemOf(ownPageWithSite)?.code !== 'cross-origin') return warning('the Host header is changed: a page of this host may publish because browsers send Sec-Fetch-Site here, but those from before 2023 do not, nor with a WebSocket', 'host');
  return wrong(`the Host header is changed, so a page of this host may not publish${saysSite ? ', and Sec-Fetch-Site does not arrive' : ' (over plain http browsers send no Sec-Fetch-Site)'}: ${quoted(problem.detail)}`, 'host');
}

export function judgeAuthorization({ withToken, withNone, withBogus }: Pick<Requests, 'withToken' | 'withNone' | 'withBogus'>): Verdict {
  const none = problemOf(withNone)?.code;
  const code = problemOf(withToken ?? withBogus)?.code;
  if (code === 'unauthorized') return wrong('the Authorization header does not reach the service', 'authorization');
  if (withToken === undefined) {
    if (code === 'invalid-credential') return good('the Authorization header reaches the service');
    return unseen('the service takes no credential here');
  }
  if (code === 'invalid-credential') return wrong('the service does not know the token: it has ended, or is of another service');
  if (code === 'forbidden') return warning('the credential may not read the topic: name one that it may read and publish to with --topic');
  if (none === 'unauthorized') return good('the token reaches the service');
  return withNone.kind === 'failure' || withNone.status !== 200 ? unseen('no answer tells') : unseen('anybody may read the topic, so nothing shows whether the token arrives');
}

export function judgePublishing({ publishes, badTtl, published }: Pick<Live, 'publishes' | 'badTtl' | 'published'>, target: Target): Verdict {
  const [first] = publishes;
  if (first === undefined) return unseen('nothing was published');
  if (problemOf(first)?.code === 'rate-limited') return unseen('the service limits how much this sender publishes; try again later');
  if (isKeptOut(first)) return unseen('the credential may not publish to the topic: name one that it may with --topic');
  if (first.kind === 'answer' && isRedirect(first)) return wrong(`a publish is redirected (${first.status}) to ${quoted(first.headers['location'] ?? 'nowhere')}: it may arrive as GET`, 'redirect');
  const failed = publishes.find((reply) => !isStored(reply));
  if (failed !== undefined) return wrong(`a publish fails: ${quoted(failed.kind === 'failure' ? failed.reason : problemOf(failed)?.detail ?? shownAnswer(failed))}`);
  // For the type only: no publish has failed here.
  if (!isStored(first)) return unseen('nothing was published');
  const stripped = [
    ...(jsonOf(first) as { readonly event?: unknown }).event === 'doctor' ? [] : ['Tidings-Event'],
    ...idIn(publishes.at(-1)) === published.at(-1)?.id ? [] : ['Idempotency-Key'],
    ...isStored(badTtl) ? ['TTL'] : [],
  ];
  if (stripped.length > 0) return wrong(`${stripped.join(', ')} of a publish ${stripped.length === 1 ? 'does' : 'do'} not reach the service`, 'requestHeaders');
  const { location } = first.headers;
  if (location === undefined) return warning('the Location header of a publish does not arrive');
  const { pathname } = new URL(location, target.url);
  if (!pathname.startsWith(`${pathPrefix(target)}/messages/`)) return warning(`the Location header of a publish is ${quoted(location)}, which is not below this URL`, 'location');
  return good('a publish is stored once, with its event name, key and TTL');
}

export function judgeBody({ largeBody, heldBody }: Pick<Requests, 'largeBody' | 'heldBody'>): Verdict {
  const problem = problemOf(largeBody);
  if (problem === undefined) {
    if (largeBody.kind === 'answer' && GATEWAY.includes(largeBody.status)) return wrong(`a body of 2 MiB is answered with ${shownAnswer(largeBody)}: no instance answered in time`, 'idle');
    if (largeBody.kind === 'answer') return isRedirect(largeBody) ? unseen('publishes are redirected') : wrong(`a body of 2 MiB is refused on the way: ${shownAnswer(largeBody)}`, 'body');
    return wrong(`a body of 2 MiB gets no answer: ${quoted(largeBody.reason)}`, 'body');
  }
  if (heldBody.kind === 'answer' && heldBody.status === 408 && problemOf(heldBody) === undefined) return wrong(`a slow body is refused on the way: ${shownAnswer(heldBody)}`, 'heldBody');
  const finding = problem.code === 'too-large' ? 'the service itself bounds bodies below 2 MiB' : isKeptOut(largeBody) ? 'a body of 2 MiB is refused by the service alone' : 'a body of 2 MiB passes';
  return good(`${finding}${heldBody.kind === 'failure' && heldBody.code === 'TIMEOUT' ? '; something gathers a body before it passes it on' : ''}`);
}

export function judgeCache({ historyBefore, historyAfter, published }: Pick<Live, 'historyBefore' | 'historyAfter' | 'published'>): Verdict {
  if (historyBefore?.kind !== 'answer' || historyBefore.status !== 200) return unseen('history could not be read');
  const last = published.at(-1)?.id;
  if (historyAfter?.kind === 'answer' && last !== undefined && !historyAfter.body.includes(last)) return wrong('history does not show the message just published: something caches old answers', 'cache');
  const { age } = (historyAfter?.kind === 'answer' ? historyAfter : historyBefore).headers;
  if (age !== undefined && age !== '0') return warning(`history comes from a cache (Age: ${quoted(age)})`, 'cache');
  return historyAfter === undefined ? good('history does not look cached; no message was published to compare') : good('nothing caches old answers');
}

/** Whether a page of `--origin` may use the service. Undefined without `--origin`. */
export function judgeCors(stream: StreamSeen, { preflight }: Pick<Requests, 'preflight'>, { origin }: Target): Verdict | undefined {
  if (origin === undefined || preflight === undefined) return undefined;
  if (!isOpen(stream)) return unseen('no stream was opened');
  const allowed = stream.headers['access-control-allow-origin'];
  if (allowed?.includes(',') === true) return wrong(`the service and a proxy both answer for pages of other origins (Access-Control-Allow-Origin: ${quoted(allowed)}): browsers refuse that`, 'cors');
  if (allowed !== origin && allowed !== '*') return wrong(`a page of ${quoted(origin)} may not read streams (${allowed === undefined ? 'no Access-Control-Allow-Origin' : `Access-Control-Allow-Origin: ${quoted(allowed)}`})`, 'cors');
  const names = preflight.kind === 'answer' ? (preflight.headers['access-control-allow-headers'] ?? '').toLowerCase() : '';
  const missing = ['authorization', 'content-type', 'last-event-id'].filter((name) => !names.includes(name) && names !== '*');
  if (preflight.kind === 'failure' || preflight.status >= 300 || missing.length > 0) return wrong(`a preflight of ${quoted(origin)} fails${preflight.kind === 'answer' ? ` (${preflight.status})` : ''}: ${missing.length > 0 ? `without ${missing.join(', ')}` : 'no answer'}`, 'cors');
  return good(`a page of ${quoted(origin)} may read and publish`);
}
