import type { Gap } from '../model/gap.ts';
import { toJson, type Message } from '../model/message.ts';
import { formatId, type Position } from '../model/position.ts';

/**
 * The SSE frames (https://html.spec.whatwg.org/multipage/server-sent-events.html), each encoded once as an HTTP/1.1
 * chunk and shared by every reader of it.
 *
 * The order of the fields is part of the contract: `event:` first and `id:` last, because
 * `@microsoft/fetch-event-source` resumes from an id as soon as its line is read; cut behind an id that stands first, it would
 * lose the message.
 */

/** `data`: the event's data is the message's data. `object`: it is the whole message as JSON. */
export type Form = 'data' | 'object';

/** The chunk of a message in one form: encoded when it is first asked for, then kept with the message. */
export function frame(message: Message, form: Form): Buffer {
  if (form === 'object') return (message.objectFrame ??= encode(message, toJson(message)));
  if (message.dataFrame === undefined) {
    const encoded = encode(message, message.data);
    message.dataFrame = encoded;
    adoptData(message, encoded);
  }
  return message.dataFrame;
}

const LF = 10;
const CR = 13;

function encode(message: Message, data: Uint8Array): Buffer {
  const event = message.event === undefined ? '' : `event: ${message.event}\n`;
  const id = `id: ${formatId(message.epoch, message.seq)}\n\n`;
  if (!data.includes(LF) && !data.includes(CR)) return keptChunk(Buffer.from(`${event}data: `), data, Buffer.from(`\n${id}`));
  // Invariant of the format: whichever of CRLF, CR and LF a text uses, each of its lines becomes a `data:` line of its own.
  const lines = decode(data).split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`).join('');
  return keptChunk(Buffer.from(event + lines + id));
}

function decode(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.length).toString();
}

/** Lets the message's data be a part of its frame, where it stands there unchanged, so that a message is held once. */
function adoptData(message: Message, encoded: Buffer): void {
  const at = encoded.indexOf(message.data);
  if (message.data.length === 0 || at === -1) return;
  message.data = encoded.subarray(at, at + message.data.length);
  message.dataInFrame = true;
}

const CHUNK_END = '\r\n';

/** One chunk of `Transfer-Encoding: chunked` (RFC 9112, section 7.1). */
function chunk(...parts: readonly Uint8Array[]): Buffer {
  return fill(parts, (length) => Buffer.allocUnsafe(length));
}

/** One that stays in memory with its message: in memory of its own (memory.ts). */
function keptChunk(...parts: readonly Uint8Array[]): Buffer {
  return fill(parts, (length) => Buffer.allocUnsafeSlow(length));
}

function fill(parts: readonly Uint8Array[], allocate: (length: number) => Buffer): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  const start = `${length.toString(16)}\r\n`;
  const buffer = allocate(start.length + length + CHUNK_END.length);
  let at = buffer.write(start, 'latin1');
  for (const part of parts) {
    buffer.set(part, at);
    at += part.length;
  }
  buffer.write(CHUNK_END, at, 'latin1');
  return buffer;
}

/** What is inside a chunk: for clients of HTTP/1.0, which know no chunks. */
export function unchunked(buffer: Buffer): Buffer {
  return buffer.subarray(buffer.indexOf(LF) + 1, buffer.length - CHUNK_END.length);
}

/** The comment that keeps proxies from cutting a quiet stream. No blank line: some clients dispatch an empty message for each. */
export const HEARTBEAT = chunk(Buffer.from(':\n'));

/** First in a stream. Without an `id:` when a `$gap` follows: a cut between the two must not hide the gap. */
export function openFrame(at: Position | undefined, retryMs: number): Buffer {
  const cursor = at === undefined ? null : formatId(at.epoch, at.seq);
  return control('$open', { cursor }, at, retryMs);
}

export function cursorFrame(at: Position): Buffer {
  return control('$cursor', {}, at);
}

export function gapFrame(at: Position, gap: Gap): Buffer {
  return control('$gap', gap, at);
}

export function busyFrame(retryMs: number): Buffer {
  return control('$busy', { retryMs }, undefined, retryMs);
}

function control(event: string, data: object, at: Position | undefined, retryMs?: number): Buffer {
  const retry = retryMs === undefined ? '' : `retry: ${retryMs}\n`;
  const id = at === undefined ? '' : `id: ${formatId(at.epoch, at.seq)}\n`;
  return chunk(Buffer.from(`event: ${event}\n${retry}data: ${JSON.stringify(data)}\n${id}\n`));
}

/** For streams without control events: the reconnection time alone, which is no event. */
export function retryLine(retryMs: number): Buffer {
  return chunk(Buffer.from(`retry: ${retryMs}\n`));
}

/** For streams without control events: the gap as a comment. */
export function gapComment(gap: Gap): Buffer {
  return chunk(Buffer.from(`: gap ${gap.reason}, resumed at ${gap.resumed}\n`));
}
