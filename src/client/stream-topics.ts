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

/** Gives an open stream the topics that are wanted. The service says where in the stream they change: it tells `$topics` there. */
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
    const isDone = await isAnswered(dependencies, error, had.filter((topic) => !remove.includes(topic)), add, signal);
    if (signal.aborted || attempt.handle === undefined) return;
    if (!isDone) return stream.restart();
    attempt.next = undefined;
    // A topic that nobody wants any more is no reason to ask again, or to open another stream.
    if (add.length > 0) stream.change();
  }
}

/** A change was refused. @returns Whether the stream may go on; otherwise it is opened anew. */
async function isAnswered(dependencies: TopicsDependencies, error: unknown, kept: readonly string[], add: readonly string[], signal: AbortSignal): Promise<boolean> {
  // It may have been changed.
  if (!isRefusal(error)) return false;
  if (add.length === 0) return true;
  if ((error.status !== 400 && error.status !== 403) || error.field === 'secret') return false;
  const isTold = await tellRefused(dependencies, add, signal);
  return isTold === true || (isTold === false && error.status === 400 && await tellTooMany(dependencies, error, kept, add, signal));
}

/** The stream goes on by a new token. */
export async function renew({ requests, options }: EventStreamDependencies, { handle, end: { signal } }: Attempt): Promise<void> {
  if (options.getToken === undefined || handle === undefined || signal.aborted) return;
  requests.forget();
  await requests.send(`/streams/${handle.id}/credential`, { method: 'POST', body: JSON.stringify({ secret: handle.secret }), signal });
}

/** The service refuses a stream. @returns Whether to ask again at once, or later, or not at all. */
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

/** One topic that is refused must not cost the others their stream: halves of them are asked for, to find which it is. @returns Whether any was refused; undefined where that cannot be asked now. */
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

/** Each topic is valid, but together they are too many: the newest of `add` do not fit, and get an error. @returns Whether the stream could be asked. */
async function tellTooMany(dependencies: TopicsDependencies, error: TidingsError, kept: readonly string[], add: readonly string[], signal: AbortSignal): Promise<boolean> {
  let fitting = 0;
  for (let tooMany = add.length; tooMany - fitting > 1;) {
    const middle = Math.floor((fitting + tooMany) / 2);
    const refusal = await refusalOf(dependencies, [...kept, ...add.slice(0, middle)], signal);
    if (refusal === undefined || signal.aborted) return false;
    if (refusal === 'none') fitting = middle;
    else tooMany = middle;
  }
  // At least one, so that it is not asked for ever.
  for (const topic of add.slice(fitting)) dependencies.listener.refused(error, topic);
  return true;
}

/** How the service refuses topics; undefined where it cannot be asked now. */
async function refusalOf({ requests, isWatching }: TopicsDependencies, topics: readonly string[], signal: AbortSignal): Promise<TidingsError | 'none' | undefined> {
  try {
    const answer = await requests.send(`/${isWatching ? 'presence' : 'cursor'}?${topicQuery(topics).toString()}`, { signal });
    await answer.text();
    return 'none';
  } catch (error) {
    return isRefusal(error) ? error : undefined;
  }
}
