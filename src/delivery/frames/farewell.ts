import { httpChunk, LAST_CHUNK, type StreamFraming } from './http-chunk.ts';
import { busyFrame, retryLine, type BusyReason, type Form } from './sse.ts';
import { busyCloseFrame, controlTextFrame } from './text-frame.ts';

export interface Dismissed extends StreamFraming {
  /** Whether control events are wanted. */
  readonly control: boolean;
  readonly form?: Form;
}

/** The last bytes to a client that is sent away: when it may come back, and the last chunk if its stream ends with one. A WebSocket ends with a close frame. */
export function farewell({ control, chunked, lastChunk, form }: Dismissed, retryMs: number, reason: BusyReason): Buffer {
  if (form === 'websocket') return Buffer.concat([...(control ? [busyFrame(retryMs, reason, controlTextFrame)] : []), busyCloseFrame(retryMs, reason)]);
  const frame = control ? busyFrame(retryMs, reason) : retryLine(retryMs);
  if (!chunked) return frame;
  const chunk = httpChunk([frame]);
  return lastChunk ? Buffer.concat([chunk, LAST_CHUNK]) : chunk;
}
