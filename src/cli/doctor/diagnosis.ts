import { judgeClock, judgeHttp, judgeOpening, judgeReach, judgeTls } from './edge-verdicts.ts';
import { MENDS, type Mend, type Proxy } from './mends.ts';
import type { Observations } from './observations.ts';
import { judgeAuthorization, judgeBody, judgeCache, judgeCors, judgeHost, judgePath, judgePublishing, judgeQuery } from './request-verdicts.ts';
import { judgeBuffering, judgeCompression, judgeEnding, judgeIdle, judgeResuming, judgeStream, judgeStreamHeaders, judgeWebSocket } from './stream-verdicts.ts';
import type { Level, Verdict } from './verdict.ts';

/** All checks, in the order in which they are shown. */

const CHECKS = [
  'reach', 'tls', 'http', 'clock', 'stream', 'opening', 'buffering', 'compression', 'stream headers', 'idle', 'resuming', 'ending', 'websocket',
  'authorization', 'host', 'query', 'path', 'publishing', 'body', 'cache', 'cors',
] as const;

export type Check = (typeof CHECKS)[number];

/** Caddy 2.6 does this, and no setting changes it. */
const CADDY_ENDS = 'Caddy completes streams that break off: in fetch-event-source, throw an error in onclose to come back';

export interface Finding {
  readonly check: Check;
  readonly level: Level;
  readonly finding: string;
  readonly mend: Mend | undefined;
}

export interface Diagnosis {
  readonly url: string;
  /** The proxy that the answers name; undefined if they name none. */
  readonly proxy: Proxy | undefined;
  readonly findings: readonly Finding[];
}

/** Makes the verdict of each check. A pure function: the checks use only the observations. */
export function diagnose(observed: Observations): Diagnosis {
  const { target } = observed;
  const verdicts = verdictsOf(observed);
  return {
    url: target.url.href,
    proxy: proxyOf(observed),
    findings: CHECKS.flatMap((check) => {
      const verdict = verdicts[check];
      if (verdict === undefined) return [];
      const { level, finding, mend } = verdict;
      return [{ check, level, finding, mend: mend === undefined ? undefined : MENDS[mend] }];
    }),
  };
}

function verdictsOf(observed: Observations): Partial<Record<Check, Verdict>> {
  const { target, rest } = observed;
  const edge = {
    reach: judgeReach(observed, target.url), tls: judgeTls(observed, target.url), clock: judgeClock(observed, rest?.live),
  };
  if (rest === undefined) return edge;
  const { live, requests, idle, ending } = rest;
  const cors = judgeCors(live.stream, requests, target);
  return {
    ...edge,
    http: judgeHttp(observed, target.url),
    stream: judgeStream(rest, target),
    opening: judgeOpening(rest.openings),
    buffering: judgeBuffering(rest, target),
    compression: judgeCompression(rest, target),
    'stream headers': judgeStreamHeaders(rest),
    idle: judgeIdle(idle, target),
    resuming: judgeResuming(rest),
    ending: judgeEnding(ending, target, proxyOf(observed) === 'Caddy' ? CADDY_ENDS : undefined),
    websocket: judgeWebSocket(rest),
    authorization: judgeAuthorization(requests),
    host: judgeHost(requests, target.url),
    query: judgeQuery(requests),
    path: judgePath(requests),
    publishing: judgePublishing(live, target),
    body: judgeBody(requests),
    cache: judgeCache(live),
    ...(cors === undefined ? {} : { cors }),
  };
}

function proxyOf({ health, rest }: Observations): Proxy | undefined {
  const all = [health.kind === 'answer' ? health.headers : {}, rest?.live.stream.headers ?? {}];
  for (const headers of all) {
    const names = `${headers['server'] ?? ''} ${headers['via'] ?? ''}`.toLowerCase();
    if (headers['cf-ray'] !== undefined || names.includes('cloudflare')) return 'Cloudflare';
    if (names.includes('awselb')) return 'ALB';
    if (/nginx|openresty/.test(names)) return 'nginx';
    if (names.includes('caddy')) return 'Caddy';
  }
  return undefined;
}
