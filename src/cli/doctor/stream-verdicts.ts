import { isRedirect, shownAnswer } from './edge-verdicts.ts';
import { idIn, isEventStream, problemOf, seconds, type Answer, type Target } from './exchange.ts';
import type { Ending, Idle, Observations } from './observations.ts';
import type { StreamSeen } from './stream-watch.ts';
import { good, quoted, unseen, warning, wrong, type Verdict } from './verdict.ts';

/** Verdicts about streams: whether they open, without buffering, stay open, resume and end as they should. */

/** Up to here a message is not late: without a bus, instances poll the log once a second. Milliseconds. */
const LATE_MIN_MS = 1_500;
/** Allows for a slow network: a message may take this number of times the opening of a stream, and is not late. */
const LATE_OPENINGS_FACTOR = 5;
/** Bytes that come later than this after the first ones are heartbeats. Milliseconds. */
const BEGINNING_MAX_MS = 500;

type Rest = NonNullable<Observations['rest']>;

function answerOf({ status = 0, headers, body }: StreamSeen): Answer {
  return { kind: 'answer', status, headers, body, headMs: 0, at: 0, isReused: false };
}

export function isOpen({ status, headers, events }: StreamSeen): boolean {
  return status === 200 && isEventStream(headers['content-type']) && events.some(({ name }) => name === '$open');
}

/** Whether a proxy buffers the stream: nothing came, or only a good head. */
function isHeldBack({ status, failure, headers, events }: StreamSeen): boolean {
  if (events.length > 0) return false;
  return status === undefined ? failure?.code === 'TIMEOUT' : status === 200 && isEventStream(headers['content-type']);
}

export function judgeStream({ live: { stream } }: Pick<Rest, 'live'>, { token, topic }: Target): Verdict {
  if (isHeldBack(stream)) return unseen('no event came; see buffering');
  if (stream.failure !== undefined) return wrong(`a stream gets no answer: ${quoted(stream.failure.reason)} (${quoted(stream.failure.code)})`, 'status');
  const answer = answerOf(stream);
  if (isRedirect(answer)) return wrong(`a stream is redirected (${answer.status}) to ${quoted(answer.headers['location'] ?? 'nowhere')}`, 'redirect');
  const problem = problemOf(answer);
  if (problem !== undefined) return wrong(`the service refuses ${quoted(topic)} (${answer.status} ${quoted(problem.code)}): ${token === undefined ? 'give a credential with --token' : quoted(problem.detail)}`);
  if (answer.status !== 200) return wrong(`something on the way answers a stream with ${shownAnswer(answer)}: an EventSource gives up for good`, 'status');
  if (!isEventStream(answer.headers['content-type'])) return wrong(`a stream is answered with ${shownAnswer(answer)}, not text/event-stream: an EventSource gives up for good`, 'contentType');
  if (stream.events.some(({ name }) => name === '$busy')) return warning('the service sends streams away just now ($busy): it is full, is being replaced, or has no database');
  if (!isOpen(stream)) return wrong('a stream begins without $open: something else answers');
  return good('200 text/event-stream, and $open comes first');
}

export function judgeBuffering({ live: { stream, published }, openings }: Pick<Rest, 'live' | 'openings'>, { timeoutMs }: Target): Verdict {
  if (isHeldBack(stream)) return wrong(`${stream.status === undefined ? 'nothing' : 'only the head'} of a stream came within ${seconds(timeoutMs)}: something gathers it`, 'buffering');
  if (!isOpen(stream)) return unseen('no stream was opened');
  if (published.length === 0) return good(`the first event came at once; nothing could be published, so no later one was timed`);
  const lags = published.map(({ id, storedAt }) => {
    const event = stream.events.find((one) => one.id === id && !one.name.startsWith('$'));
    return event === undefined ? undefined : Math.max(0, event.at - storedAt);
  });
  if (stream.end !== undefined && lags.includes(undefined)) return unseen(`the stream was cut ${seconds(stream.end.at - stream.began)} after its beginning, before all messages came; see idle`);
  const missing = lags.filter((lag) => lag === undefined).length;
  if (missing > 0) return wrong(`${missing} of ${lags.length} messages did not come within ${seconds(timeoutMs)} of being stored: something gathers them`, 'buffering');
  const latest = Math.max(...lags.map((lag) => lag ?? 0));
  const late = Math.max(LATE_MIN_MS, LATE_OPENINGS_FACTOR * Math.max(0, ...openings.streams));
  const finding = `${lags.length} messages came at most ${latest.toFixed(0)} ms after they were stored`;
  return latest > late ? warning(`${finding}: something gathers them for a while`, 'buffering') : good(finding);
}

export function judgeCompression(rest: Pick<Rest, 'live' | 'openings'>, target: Target): Verdict {
  const { stream } = rest.live;
  const { headers } = stream;
  if (!isOpen(stream) && !isHeldBack(stream)) return unseen('no stream was opened');
  const encoding = headers['content-encoding'];
  if (encoding === undefined || encoding === 'identity') return good('streams come as they were sent');
  const delays = judgeBuffering(rest, target).level;
  return delays === 'good'
    ? warning(`streams are compressed (${quoted(encoding)}): it delays events as soon as it does not flush each`, 'compression')
    : wrong(`streams are compressed (${quoted(encoding)}), and events are held back`, 'compression');
}

export function judgeStreamHeaders({ live: { stream } }: Pick<Rest, 'live'>): Verdict {
  if (!isOpen(stream)) return unseen('no stream was opened');
  const control = (stream.headers['cache-control'] ?? '').toLowerCase();
  const shown = control === '' ? 'no Cache-Control' : `Cache-Control: ${quoted(control)}`;
  if (/max-age=[1-9]|s-maxage|public/.test(control) || !/no-cache|no-store/.test(control)) return wrong(`a stream arrives with ${shown}: caches may keep it`, 'cacheControl');
  if (!control.includes('no-transform')) return warning(`a stream arrives with ${shown}, without no-transform: proxies may compress it`, 'cacheControl');
  return good(`Cache-Control: ${quoted(control)}`);
}

export function judgeIdle(idle: Idle | undefined, { idleMs }: Target): Verdict {
  if (idle === undefined) return unseen('--idle 0: not watched');
  const { stream, longPoll, longPollSeconds, until } = idle;
  if (stream.status === 504) return wrong('a stream got 504: the proxy does not wait until an instance answers', 'idle');
  if (!isOpen(stream)) return unseen('no stream was opened');
  const last = stream.arrivals.at(-1) ?? stream.began;
  if (stream.end !== undefined) {
    if (stream.events.some(({ name }) => name === '$busy')) return warning('the service ended the stream with $busy: it is being replaced');
    return wrong(`a quiet stream was cut after ${seconds(stream.end.at - stream.began)}, ${seconds(stream.end.at - last)} after its last byte`, 'idle');
  }
  const problem = problemOf(longPoll);
  if (longPoll.kind === 'failure') return wrong(`a long poll of ${longPollSeconds} s got no answer: ${quoted(longPoll.reason)}`, 'idle');
  if (longPoll.status !== 200 && problem === undefined) return wrong(`a long poll of ${longPollSeconds} s was answered with ${shownAnswer(longPoll)}`, 'idle');
  const times = [stream.began, ...stream.arrivals, until];
  const longest = Math.max(...times.slice(1).map((time, index) => time - times[index]!));
  const isBeating = stream.arrivals.some((time) => time - stream.arrivals[0]! > BEGINNING_MAX_MS);
  if (!isBeating) return unseen(`a stream stayed open for ${seconds(idleMs)}, in which no heartbeat came: HEARTBEAT_SECONDS may be longer; watch for longer with --idle`);
  return good(`a quiet stream stayed open for ${seconds(idleMs)}; its longest silence was ${seconds(longest)}`);
}

export function judgeResuming({ unknownId, live: { publishes, replay } }: Pick<Rest, 'unknownId' | 'live'>): Verdict {
  const names = unknownId.events.map(({ name }) => name);
  if (!names.includes('$open')) return unseen('no stream was opened');
  if (!names.includes('$gap')) return wrong('Last-Event-ID does not reach the service: a client that comes back misses the messages sent meanwhile', 'lastEventId');
  if (replay === undefined) return good('Last-Event-ID reaches the service; nothing was published to come back to');
  // The last publish repeats the one before it. If a proxy dropped its key, it is a message of its own.
  const expected = [...new Set(publishes.map(idIn))].slice(1);
  // Others may publish to the topic, too.
  const got = replay.events.filter(({ name, id }) => !name.startsWith('$') && expected.includes(id)).map(({ id }) => id);
  return got.length === expected.length && got.every((id, index) => id === expected[index])
    ? good('a stream that comes back gets its missed messages, once and in order')
    : wrong(`a stream that came back got ${got.length} of ${expected.length} missed messages, or others`, 'lastEventId');
}

/** @param cannot Why no setting of the proxy mends it. */
export function judgeEnding(ending: Ending | undefined, { token }: Target, cannot?: string): Verdict {
  if (ending === undefined) return unseen(token === undefined ? 'how a stream ends is seen with --token only' : 'no ticket was made, so no stream could be ended');
  const { end } = ending.stream;
  if (!isOpen(ending.stream)) return unseen('no stream was opened with a ticket');
  if (end === undefined) return warning('the service ended a stream, and the connection stayed open: its client waits for nothing', 'ending');
  if (end.isClean && cannot !== undefined) return unseen(cannot);
  return end.isClean
    ? warning('the end of a stream arrives as a complete answer: fetch-event-source takes it for finished. The proxy asks by HTTP/1.0, or ends it itself', 'ending')
    : good('a stream that the service ends breaks off, so that every client comes back');
}

/** WebSockets are optional, so the verdict is never worse than a warning. */
export function judgeWebSocket({ webSocket: { isOpen: hasOpened, refusal, failure, hasFrame, isAnswered }, live: { stream } }: Pick<Rest, 'webSocket' | 'live'>): Verdict {
  if (!isOpen(stream)) return unseen('no stream was opened');
  if (refusal !== undefined && isEventStream(refusal.type)) return warning('a WebSocket arrives without its Upgrade: the service answers with an event stream', 'webSocket');
  if (refusal !== undefined) return warning(`a WebSocket is refused: ${refusal.status} ${quoted(refusal.type)}`, 'webSocket');
  if (!hasOpened) return warning(`a WebSocket gets no handshake: ${quoted(failure?.reason ?? 'the connection ended')}`, 'webSocket');
  if (!hasFrame) return warning('a WebSocket opens, and nothing of the service comes on it: something holds its frames back', 'webSocket');
  return isAnswered ? good('a WebSocket opens, and frames pass both ways') : warning('on a WebSocket no answer comes to what a client sends', 'webSocket');
}
