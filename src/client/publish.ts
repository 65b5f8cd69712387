import type { Published, PublishOptions } from './api.ts';
import { TidingsError, type Requests } from './requests.ts';
import { pause, pauseAfter } from './waiting.ts';

/** How long a publish is tried. Milliseconds. */
const TRIED_MAX_MS = 10 * 60 * 1000;

/** Publishes once, however often it has to be tried: each attempt has the same key. */
export async function publish(requests: Requests, topic: string, data: unknown, { event, ttl, idempotencyKey = randomKey(), signal = new AbortController().signal }: PublishOptions): Promise<Published> {
  const isText = typeof data === 'string';
  const body = isText ? data : JSON.stringify(data) as string | undefined;
  if (body === undefined) throw new TidingsError('The data is not JSON.', { code: 'invalid-data', field: 'data' });
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
      if (error instanceof TidingsError || performance.now() > end) throw error;
      await pause(pauseAfter(failures, error), signal);
    }
  }
}

/** 128 bits. `crypto.randomUUID` is missing on pages without TLS. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
