import type { Requests, TidingsError } from './requests.ts';

/** Requests about an open stream: to change its topics, to renew its token, to find topics that the service refuses. The library loads this module with the first of them. */

/** By what the service knows an open stream. */
export interface StreamHandle {
  readonly id: string;
  readonly secret: string;
}

export interface TopicsDependencies {
  readonly requests: Requests;
  readonly listener: { wanted(): string[]; refused(error: TidingsError, topic?: string): void };
  readonly isWatching?: boolean;
}

export interface TopicChange {
  readonly handle: StreamHandle;
  /** The topics of the stream; undefined once the stream has ended. */
  readonly topics: () => readonly string[] | undefined;
  /** Called before the request, with the topics that the stream will have. */
  readonly begin: (next: readonly string[]) => void;
  readonly signal: AbortSignal;
}

/** What to do after a change: wait for its `$topics`, look again at what is wanted, go on with the topics before, or open another stream. */
export type ChangeOutcome = 'wait' | 'again' | 'keep' | 'restart';

/** The service says where in the stream the topics change: it tells `$topics` there. */
export async function changeTopics(dependencies: TopicsDependencies, { handle, topics, begin, signal }: TopicChange): Promise<ChangeOutcome> {
  const had = topics();
  if (had === undefined || signal.aborted) return 'wait';
  const { requests, listener } = dependencies;
  const wanted = listener.wanted();
  const add = wanted.filter((topic) => !had.includes(topic));
  const remove = had.filter((topic) => !wanted.includes(topic));
  if (wanted.length === 0 || add.length + remove.length === 0) return 'keep';
  begin(wanted);
  try {
    const answer = await requests.send(`/streams/${handle.id}`, { method: 'PATCH', body: JSON.stringify({ secret: handle.secret, add, remove }), signal });
    await answer.text();
    return 'wait';
  } catch (error) {
    // It may have been changed.
    if (!isRefusal(error)) return 'restart';
    // A topic that nobody wants any more is no reason to open another stream.
    if (add.length === 0) return 'keep';
    const isAboutTopics = (error.status === 400 || error.status === 403) && error.field !== 'secret';
    const isTold = isAboutTopics && await tellRefused(dependencies, add, signal);
    // Each of them is good, and all together are too many.
    if (isAboutTopics && isTold === false && error.status === 400) listener.refused(error, add.at(-1));
    else if (isTold !== true) return 'restart';
    return 'again';
  }
}

/** The stream goes on by a new token. */
export async function renew(requests: Requests, { id, secret }: StreamHandle, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  requests.forgetToken();
  await requests.send(`/streams/${id}/credential`, { method: 'POST', body: JSON.stringify({ secret }), signal });
}

/** One topic that is refused must not cost the others their stream: which one it is, each is asked for. @returns Whether any was refused; undefined where that cannot be asked now. */
export async function tellRefused({ requests, listener, isWatching }: TopicsDependencies, topics: readonly string[], signal: AbortSignal): Promise<boolean | undefined> {
  let isFound = false;
  for (const topic of topics) {
    try {
      await requests.send(`/${isWatching ? 'presence' : 'cursor'}?topic=${encodeURIComponent(topic)}`, { signal });
    } catch (error) {
      if (!isRefusal(error)) return undefined;
      isFound = true;
      listener.refused(error, topic);
    }
    if (signal.aborted) return undefined;
  }
  return isFound;
}

/** By its name: the class is the library's, and this module has none of it. */
function isRefusal(error: unknown): error is TidingsError {
  return error instanceof Error && error.name === 'TidingsError';
}
