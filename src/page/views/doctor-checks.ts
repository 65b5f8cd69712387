import { frames } from '../../client/frames.ts';
import { ApiError, BASE, messageOf, query, topicPath, verdict, type Api } from '../api.ts';
import { bytes, count } from '../text.ts';

/** The checks of the page's own doctor: whether proxies between this browser and the service let streams through. */

export type Level = 'good' | 'warn' | 'bad' | 'unseen';

export interface Finding {
  readonly check: string;
  readonly level: Level;
  readonly text: string;
}

export interface DoctorOptions {
  readonly api: Api;
  /** The topic of the stream. */
  readonly topic: string;
  /** Whether one message may be published there. */
  readonly publishes: boolean;
  readonly signal: AbortSignal;
  readonly tell: (finding: Finding) => void;
}

/** The service sends `$open` at once. If it takes longer than this, a proxy holds it back. */
const HELD_BACK_AFTER_MS = 5_000;
/** A stream that opens later, or a message that takes longer, is worth a look. */
const QUICK_MS = 1_000;
/** A browser opens no more connections to one origin over HTTP/1.1. */
const CONNECTIONS_MAX_STREAMS = 6;
/** If the clocks differ by more, times on the page are wrong. */
const CLOCK_MAX_MS = 5_000;
/** Common proxies cut a connection after this time of silence. */
const QUIET_MAX_MS = 60_000;
const MESSAGE_TTL_SECONDS = 60;
/** Larger than what a proxy gathers before it passes something on. */
const PADDING_CHARACTERS = 40;
const SECOND_MS = 1000;

/** The same prefix as of the command `tidings doctor`. */
const OWN_PREFIX = 'tidings-doctor.';

/** A random topic, which nobody else uses. */
export function doctorTopic(): string {
  return `${OWN_PREFIX}${crypto.getRandomValues(new Uint32Array(2)).join('-')}`;
}

export function isOwnTopic(topic: string): boolean {
  return topic.startsWith(OWN_PREFIX);
}

/** @returns When all checks are done, or the signal is aborted. */
export async function diagnose(options: DoctorOptions): Promise<void> {
  const { signal, tell } = options;
  let check = 'service';
  try {
    await checkReach(options);
    check = 'stream';
    await checkStream(options);
  } catch (error) {
    if (!signal.aborted) tell({ check, level: 'bad', text: messageOf(error) });
  }
}

async function checkReach({ api, signal, tell }: DoctorOptions): Promise<void> {
  const begun = performance.now();
  const asked = Date.now();
  const answer = await ready(api, signal);
  const took = Math.round(performance.now() - begun);
  const { status } = await answer.json() as { readonly status: string };
  tell({ check: 'service', level: status === 'ready' ? 'good' : 'warn', text: `It says that it is ${status}, after ${count(took)} ms.` });
  const protocol = protocolOf('readyz');
  if (protocol === undefined) tell({ check: 'HTTP', level: 'unseen', text: 'The browser does not tell the version.' });
  else if (/^h[23]/.test(protocol)) tell({ check: 'HTTP', level: 'good', text: `${protocol}: about a hundred streams share one connection.` });
  else tell({ check: 'HTTP', level: 'warn', text: `${protocol}: this browser opens ${CONNECTIONS_MAX_STREAMS} connections to this origin over all of its tabs, streams among them. A proxy that speaks HTTP/2 lifts that.` });
  const date = Date.parse(answer.headers.get('date') ?? '');
  // The header has whole seconds.
  const apart = Math.max(0, Math.abs(date + SECOND_MS / 2 - (asked + took / 2)) - SECOND_MS / 2);
  if (Number.isNaN(date)) tell({ check: 'clock', level: 'unseen', text: 'The answer has no date.' });
  else tell({ check: 'clock', level: apart > CLOCK_MAX_MS ? 'warn' : 'good', text: apart > CLOCK_MAX_MS ? `This machine and the service are ${count(Math.round(apart / SECOND_MS))} s apart.` : 'This machine and the service agree, to the second.' });
}

/** `/readyz` has its JSON with 503, too. */
async function ready(api: Api, signal: AbortSignal): Promise<Response> {
  try {
    return await api.send('readyz', { signal });
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 503) throw error;
    return Response.json({ status: 'not ready' });
  }
}

function protocolOf(path: string): string | undefined {
  const entries = performance.getEntriesByName(new URL(path, BASE).href);
  const last = entries.at(-1);
  return last instanceof PerformanceResourceTiming && last.nextHopProtocol !== '' ? last.nextHopProtocol : undefined;
}

/** One stream: how it begins, how fast a message comes, and whether it lives while nothing is said. A check that the person has no right to is left out by its name. */
async function checkStream(options: DoctorOptions): Promise<void> {
  const { api, topic, publishes, signal, tell } = options;
  const read = await verdict(api, 'read', topic, signal);
  if (!read.allowed) {
    tell({ check: 'open', level: 'unseen', text: `${read.detail ?? 'You may not read this topic.'} Choose a topic that you may read.` });
    return;
  }
  const begun = performance.now();
  const answer = await api.send(`events${query({ topic })}`, { signal, isStream: true, headers: { accept: 'text/event-stream' } });
  const coding = answer.headers.get('content-encoding');
  tell(coding === null || coding === 'identity'
    ? { check: 'compression', level: 'good', text: 'The stream comes as it is.' }
    : { check: 'compression', level: 'warn', text: `Something compresses the stream (${coding}): it may hold messages back until it has enough of them.` });
  await watch({ api, topic, publishes, signal, tell, begun, body: answer.body! });
}

async function watch({ api, topic, publishes, signal, tell, begun, body }: DoctorOptions & { readonly begun: number; readonly body: ReadableStream<Uint8Array> }): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const events: string[] = [];
  let taken = 0;
  const push = frames({ frame: ({ event }) => void events.push(event), retry: () => undefined });
  /** Waits for the next bytes. @returns `something`, `nothing` within the time, or the `end` of the stream */
  let reading: Promise<ReadableStreamReadResult<Uint8Array>> | undefined;
  const next = async (ms: number): Promise<'something' | 'nothing' | 'end'> => {
    reading ??= reader.read();
    const read = await Promise.race([reading, pause(ms)]);
    if (read === undefined) return 'nothing';
    reading = undefined;
    if (read.done) return 'end';
    taken += read.value.length;
    push(decoder.decode(read.value, { stream: true }));
    return 'something';
  };
  /** @returns The time until the event came; undefined if it did not come in time */
  const until = async (event: string, from: number, ms: number): Promise<number | undefined> => {
    while (!events.includes(event)) {
      const left = ms - (performance.now() - from);
      if (left <= 0 || await next(left) !== 'something') return undefined;
    }
    return Math.round(performance.now() - from);
  };

  try {
    const opened = await until('$open', begun, HELD_BACK_AFTER_MS);
    if (opened === undefined) {
      tell({ check: 'open', level: 'bad', text: events.includes('$busy') ? 'The service sends streams away just now: it is full, or about to end.' : `The stream said nothing in ${HELD_BACK_AFTER_MS / SECOND_MS} s. Something on the way holds it back: switch response buffering off for it.` });
      return;
    }
    tell({ check: 'open', level: opened > QUICK_MS ? 'warn' : 'good', text: `A stream opens in ${count(opened)} ms.` });
    if (!publishes) tell({ check: 'delivery', level: 'unseen', text: 'No message was published, so none came back.' });
    else await checkDelivery({ api, signal, tell, topic, until });
    if (signal.aborted) return;
    const quiet = performance.now();
    const heard = await next(QUIET_MAX_MS);
    if (signal.aborted) return;
    const silence = Math.round((performance.now() - quiet) / SECOND_MS);
    if (heard === 'something') tell({ check: 'idle', level: 'good', text: `A quiet stream lives, and was heard after ${silence < 1 ? 'less than a second' : `${count(silence)} s`}. It brought ${bytes(taken)} in all.` });
    else if (heard === 'end') tell({ check: 'idle', level: 'bad', text: `A quiet stream was cut after ${count(silence)} s: raise the idle timeout on the way, or lower HEARTBEAT_SECONDS.` });
    else tell({ check: 'idle', level: 'bad', text: `Nothing was heard in ${QUIET_MAX_MS / SECOND_MS} s, not even a heartbeat: something holds it back, or HEARTBEAT_SECONDS is higher than common proxies allow.` });
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

async function checkDelivery({ api, signal, tell, topic, until }: Pick<DoctorOptions, 'api' | 'signal' | 'tell'> & { readonly topic: string; readonly until: (event: string, from: number, ms: number) => Promise<number | undefined> }): Promise<void> {
  const publish = await verdict(api, 'publish', topic, signal);
  if (!publish.allowed) {
    tell({ check: 'delivery', level: 'unseen', text: `${publish.detail ?? 'You may not publish to this topic.'} So no message was published.` });
    return;
  }
  const sent = performance.now();
  try {
    await api.send(topicPath(topic, query({ event: 'doctor' })), { method: 'POST', body: 'doctor '.repeat(PADDING_CHARACTERS), headers: { 'content-type': 'text/plain', ttl: String(MESSAGE_TTL_SECONDS) }, signal });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    tell({ check: 'delivery', level: 'bad', text: error.message });
    return;
  }
  const took = await until('doctor', sent, HELD_BACK_AFTER_MS);
  if (took === undefined) tell({ check: 'delivery', level: 'bad', text: `A message did not come in ${HELD_BACK_AFTER_MS / SECOND_MS} s: something on the way buffers the stream.` });
  else tell({ check: 'delivery', level: took > QUICK_MS ? 'warn' : 'good', text: `A message comes ${count(took)} ms after it was sent.` });
}

function pause(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}
