import type { Published, PublishOptions } from './api.ts';
import { PUBLISH, checkOptions } from './options.ts';
import { isRefusal, type Requests, type TidingsError } from './requests.ts';
import { pause, pauseAfter } from './waiting.ts';

/** How long a publish is tried. Milliseconds. */
const TRIED_MAX_MS = 10 * 60 * 1000;

export interface Publication {
  readonly requests: Requests;
  readonly topic: string;
  /** Undefined where the data is not JSON. */
  readonly body: string | undefined;
  readonly isText: boolean;
  readonly options: PublishOptions;
  readonly refusal: typeof TidingsError;
}

/** Publishes once, however often it has to be tried: each attempt has the same key. */
export async function publish({ requests, topic, body, isText, options, refusal }: Publication): Promise<Published> {
  checkOptions('topic', topic, options, PUBLISH);
  if (body === undefined) throw new refusal('The data is not JSON.', { code: 'invalid-data', field: 'data' });
  const { event, ttl, idempotencyKey = randomKey(), signal = new AbortController().signal } = options;
  const path = `/topics/${encodeURIComponent(topic)}${event === undefined ? '' : `?event=${encodeURIComponent(event)}`}`;
  const headers = { 'content-type': isText ? 'text/plain' : 'application/json', 'idempotency-key': idempotencyKey, ...(ttl === undefined ? {} : { ttl: String(ttl) }) };
  const end = performance.now() + TRIED_MAX_MS;
  for (let failures = 1; ; failures++) {
    signal.throwIfAborted();
    try {
      const answer = await requests.send(path, { method: 'POST', headers, body, signal });
      return await answer.json() as Published;
    } catch (error) {
      signal.throwIfAborted();
      if (isRefusal(error) || performance.now() > end) throw error;
      await pause(pauseAfter(failures, error), signal);
    }
  }
}

/** 128 bits. `crypto.randomUUID` is missing on pages without TLS. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
