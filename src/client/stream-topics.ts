import type { Attempt, EventStream, EventStreamDependencies } from './stream.ts';
import { isRefusal, type Requests, type TidingsError } from './requests.ts';
import { topicQuery } from './topics.ts';

/** Requests about a stream: to change its topics while it is open, to renew its token, to find topics that the service refuses. */

/** The URL of the request, or its head, is too long for the service or for something before it. */
const TOO_LONG: readonly number[] = [414, 431];

export interface TopicsDependencies {
  readonly requests: Requests;
  readonly listener: { wanted(): string[]; refused(error: TidingsError, topic?: string): void };
  readonly isWatching?: boolean | undefined;
}

/** Changes the topics of an open stream to those wanted now. The service then sends `$topics` at the position where the change takes effect. */
export async function change(dependencies: TopicsDependencies, attempt: Attempt, stream: EventStream): Promise<void> {
  const { topics: had, handle, end: { signal } } = attempt;
  if (handle === undefined || attempt.next !== undefined || signal.aborted) return;
  const { requests, listener } = dependencies;
  const wanted = listener.wanted();
  const add = wanted.filter((topic) => !had.includes(topic));
  const remove = had.filter((topic) => !wanted.includes(topic));
  if (wanted.length === 0 || add.length + remove.length === 0) return;
  attempt.next = wanted;
  try {
    const answer = await requests.send(`/streams/${handle.id}`, { method: 'PATCH', body: JSON.stringify({ secret: handle.secret, add, remove }), signal });
    await answer.text();
  } catch (error) {
    const canGoOn = await isExplained(dependencies, error, had.filter((topic) => !remove.includes(topic)), add, signal);
    if (signal.aborted || attempt.handle === undefined) return;
    if (!canGoOn) return stream.restart();
    attempt.next = undefined;
    // Only a refused addition is worth another request: it may leave other topics to add. A refused removal costs nothing.
    if (add.length > 0) stream.change();
  }
}

/**
 * Finds the topics for which a change was refused, and reports them. For example: `add` is [a, b, c], and the service refuses b alone. Then b gets an error, and a and c are added next.
 * @returns Whether the stream may go on; otherwise it must be restarted
 */
async function isExplained(dependencies: TopicsDependencies, error: unknown, kept: readonly string[], add: readonly string[], signal: AbortSignal): Promise<boolean> {
  // No answer: the change may have been made.
  if (!isRefusal(error)) return false;
  if (add.length === 0) return true;
  if ((error.status !== 400 && error.status !== 403) || error.field === 'secret') return false;
  const isTold = await tellRefused(dependencies, add, signal);
  return isTold === true || (isTold === false && error.status === 400 && await tellTooMany(dependencies, error, kept, add, signal));
}

/** Gives the open stream a new token, before the old one expires. */
export async function renew({ requests, options }: EventStreamDependencies, { handle, end: { signal } }: Attempt): Promise<void> {
  if (options.getToken === undefined || handle === undefined || signal.aborted) return;
  requests.forget();
  await requests.send(`/streams/${handle.id}/credential`, { method: 'POST', body: JSON.stringify({ secret: handle.secret }), signal });
}

/** The service refused a stream: reports the topics that caused it. @returns Whether to retry at once without them (`again`), after a pause (`later`), or not (`denied`). */
export async function refused(dependencies: TopicsDependencies, error: TidingsError, topics: readonly string[], signal: AbortSignal): Promise<'again' | 'later' | 'denied'> {
  const { status, field } = error;
  const { listener } = dependencies;
  if (status !== 401 && field !== 'as' && field !== 'meta') {
    if (topics.length === 1) {
      listener.refused(error, topics[0]);
      return 'denied';
    }
    const isTold = await tellRefused(dependencies, topics, signal);
    if (isTold !== false) return isTold ? 'again' : 'later';
    if (field === 'topic' || TOO_LONG.includes(status)) return await tellTooMany(dependencies, error, [], topics, signal) ? 'again' : 'later';
  }
  listener.refused(error);
  return 'denied';
}

/**
 * Finds refused topics by halving the list, and reports each, so that the other topics keep their stream.
 * @returns Whether any was refused; undefined if the service cannot answer now
 */
async function tellRefused(dependencies: TopicsDependencies, topics: readonly string[], signal: AbortSignal): Promise<boolean | undefined> {
  const half = Math.ceil(topics.length / 2);
  let isFound = false;
  for (const part of [topics.slice(0, half), topics.slice(half)]) {
    if (part.length === 0) continue;
    const error = await refusalOf(dependencies, part, signal);
    if (error === undefined) return undefined;
    if (error === 'none') continue;
    if (part.length > 1) {
      const isInPart = await tellRefused(dependencies, part, signal);
      if (isInPart === undefined) return undefined;
      isFound ||= isInPart;
    } else {
      dependencies.listener.refused(error, part[0]);
      isFound = true;
    }
    if (signal.aborted) return undefined;
  }
  return isFound;
}

/**
 * Each topic is allowed, but together they are too many. A binary search finds how many of `add` fit; the others get an error.
 * @returns false if the service cannot answer now
 */
async function tellTooMany(dependencies: TopicsDependencies, error: TidingsError, kept: readonly string[], add: readonly string[], signal: AbortSignal): Promise<boolean> {
  let fitting = 0;
  for (let tooMany = add.length; tooMany - fitting > 1;) {
    const middle = Math.floor((fitting + tooMany) / 2);
    const refusal = await refusalOf(dependencies, [...kept, ...add.slice(0, middle)], signal);
    if (refusal === undefined || signal.aborted) return false;
    if (refusal === 'none') fitting = middle;
    else tooMany = middle;
  }
  // `fitting` is below `add.length`, so at least one topic gets an error. Otherwise the same request would repeat for ever.
  for (const topic of add.slice(fitting)) dependencies.listener.refused(error, topic);
  return true;
}

/** Asks whether the service refuses topics. @returns Its refusal, or `none`; undefined if it cannot answer now. */
async function refusalOf({ requests, isWatching }: TopicsDependencies, topics: readonly string[], signal: AbortSignal): Promise<TidingsError | 'none' | undefined> {
  try {
    const answer = await requests.send(`/${isWatching ? 'presence' : 'cursor'}?${topicQuery(topics).toString()}`, { signal });
    await answer.text();
    return 'none';
  } catch (error) {
    return isRefusal(error) ? error : undefined;
  }
}
