import { httpChunk, LAST_CHUNK, type StreamFraming } from './http-chunk.ts';
import { busyFrame, retryLine, type BusyReason } from './sse.ts';

export interface Dismissed extends StreamFraming {
  /** Whether control events are wanted. */
  readonly control: boolean;
}

/** The last bytes to a client that is sent away: when it may come back, and the last chunk if its stream ends with one. */
export function farewell({ control, chunked, lastChunk }: Dismissed, retryMs: number, reason: BusyReason): Buffer {
  const frame = control ? busyFrame(retryMs, reason) : retryLine(retryMs);
  if (!chunked) return frame;
  const chunk = httpChunk([frame]);
  return lastChunk ? Buffer.concat([chunk, LAST_CHUNK]) : chunk;
}
