import type { Clock } from '../../runtime/clock.ts';

/** How long an answer may take, with its body. Stops an endpoint that sends a byte a minute. */
const FETCH_MAX_MS = 5000;
/** The longest answer, uncompressed. Stops one without an end; key sets have some kilobytes. */
const SET_MAX_BYTES = 128 * 1024;

/** Why a key set cannot be had. The text repeats nothing that the endpoint sent. */
export class JwksUnavailable extends Error {
  override name = 'JwksUnavailable';
}

export interface JwksRequest {
  readonly url: string;
  readonly clock: Clock;
  /** Ends it early. */
  readonly signal: AbortSignal;
}

/**
 * Fetches the JSON that a URL answers with. It follows no redirect: only the host that the setting names is trusted. jose's own client has no bound for the size.
 * @throws JwksUnavailable
 */
export async function requestJwks({ url, clock, signal }: JwksRequest): Promise<unknown> {
  const late = new AbortController();
  const timer = clock.after(FETCH_MAX_MS, () => late.abort(new JwksUnavailable(`it took longer than ${FETCH_MAX_MS / 1000} seconds`)));
  try {
    const response = await fetch(url, { redirect: 'error', signal: AbortSignal.any([signal, late.signal]), headers: { accept: 'application/jwk-set+json, application/json' } });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new JwksUnavailable(`it answered ${response.status}`);
    }
    return parse(await readBounded(response));
  } catch (error) {
    throw error instanceof JwksUnavailable ? error : new JwksUnavailable(reasonOf(error));
  } finally {
    timer.cancel();
  }
}

async function readBounded(response: Response): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    // Leaving the loop ends the connection.
    if (bytes > SET_MAX_BYTES) throw new JwksUnavailable(`its answer is longer than ${SET_MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    throw new JwksUnavailable('its answer is not JSON');
  }
}

/** `fetch` says no more than that it failed; the cause has the code of the system or of TLS. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return 'an error without a text';
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message;
}
