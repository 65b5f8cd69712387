import type { Published, PublishOptions } from './api.ts';
import { PUBLISH, checkOptions } from './options.ts';
import { isRefusal, type Requests, type TidingsError } from './requests.ts';
import { pause, pauseAfter } from './waiting.ts';

/** How long a publish is retried. Bounds the wait of its caller while the service is away. Milliseconds. */
const TRIED_MAX_MS = 10 * 60 * 1000;

export interface Publication {
  readonly requests: Requests;
  readonly topic: string;
  /** The JSON or the text; undefined if the data has no JSON, such as a function. */
  readonly body: string | undefined;
  readonly isText: boolean;
  readonly options: PublishOptions;
  /** The error class of the library: this module is loaded later, and must not have a copy of it. */
  readonly refusal: typeof TidingsError;
}

/** Publishes a message. Each attempt has the same idempotency key, so the service stores the message once. */
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
