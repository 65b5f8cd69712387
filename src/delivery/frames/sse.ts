import { type Gap } from '../../model/gap.ts';
import { ERASED_EVENT, toJson, type Message } from '../../model/message.ts';
import { formatId, type Position } from '../../model/position.ts';

/**
 * The frames of Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as text for the body of
 * a response. http-chunk.ts puts HTTP/1.1's chunk around one; chunk-cache.ts keeps a message's frames with the message.
 *
 * The order of the fields is part of the contract: `event:` first and `id:` last. `@microsoft/fetch-event-source` resumes
 * from an id as soon as it has read that line: if the connection broke after an id that stood first, the message would be lost.
 */

/**
 * `data`: the event's data is the message's data. `object`: it is the whole message as JSON. In an unnamed form the event has no name: a browser hands every message to
 * `onmessage`, whatever its publisher called it. `websocket`: the message is a text frame (text-frame.ts).
 */
export type Form = NamedForm | `${NamedForm}-unnamed` | 'websocket';
export type NamedForm = 'data' | 'object';

const LF = 10;
const CR = 13;

/** The frame of a message, in parts: the data stands in it without a copy wherever it has one line. */
export function messageFrame(message: Message, form: Form): readonly Uint8Array[] {
  if (message.isErased) return [erasedFrame(message, { id: message.id, topic: isObject(form) ? message.topic : undefined })];
  const data = isObject(form) ? toJson(message) : message.data;
  const isNamed = message.event !== undefined && (form === 'data' || form === 'object');
  const event = !isNamed ? '' : `event: ${message.event}\n`;
  const id = `id: ${formatId(message.epoch, message.seq)}\n\n`;
  if (!data.includes(LF) && !data.includes(CR)) return [Buffer.from(`${event}data: `), data, Buffer.from(`\n${id}`)];
  // Invariant of the format: whichever of CRLF, CR and LF a text uses, each of its lines becomes a `data:` line of its own.
  const lines = decode(data).split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`).join('');
  return [Buffer.from(event + lines + id)];
}

/** Whether each event's data is a message, which tells its topic. */
export function isObject(form: Form): boolean {
  return form !== 'data' && form !== 'data-unnamed';
}

function decode(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.length).toString();
}

/** The comment that keeps proxies from cutting a quiet stream. No blank line: some clients dispatch an empty message for each. */
export const HEARTBEAT = Buffer.from(':\n');

/**
 * First in a stream. Without an `id:` when a `$gap` follows: a cut between the two must not hide the gap.
 *
 * @param stream By what its client can prolong it, where it may end with its credential.
 */
export function openFrame(at: Position | undefined, retryMs: number, stream?: object, write = sseFrame): Buffer {
  const cursor = at === undefined ? null : formatId(at.epoch, at.seq);
  return control(write, '$open', { cursor, stream }, at, retryMs);
}

export function cursorFrame(at: Position, write = sseFrame): Buffer {
  return control(write, '$cursor', {}, at);
}

/** The topics of the stream from this position on, after a change by its client. */
export function topicsFrame(at: Position, topics: readonly string[], write = sseFrame): Buffer {
  return control(write, '$topics', { topics, cursor: formatId(at.epoch, at.seq) }, at);
}

export function gapFrame(at: Position, gap: Gap, write = sseFrame): Buffer {
  return control(write, '$gap', gap, at);
}

export function expiringFrame(secondsLeft: number, write = sseFrame): Buffer {
  return control(write, '$expiring', { secondsLeft }, undefined);
}

/** @param json The members of a topic, or a change of them. */
export function presenceFrame(json: string): Buffer {
  return Buffer.from(`${PRESENCE_BEGIN}${json}\n\n`);
}

const PRESENCE_BEGIN = 'event: $presence\ndata: ';

/** The JSON of such a frame. */
export function presenceJson(frame: Buffer): string {
  return frame.toString('utf8', PRESENCE_BEGIN.length, frame.length - 2);
}

/** An erasure: one message, or all messages of a topic up to one. */
export type ErasedData = { readonly id: string; readonly topic: string | undefined } | { readonly topic: string; readonly through: string };

/** Stands in the place of an erased message. A live stream gets it at its own place, about a message that it may have got. */
export function erasedFrame(at: Position, data: ErasedData, write = sseFrame): Buffer {
  return control(write, ERASED_EVENT, data, at);
}

/**
 * Why a stream is sent away, in the words that clients see (docs/protocol-reading.md). `full`: the instance has no room. `too-many-streams`: the sender has as many as it may. `unavailable`: the log or
 * the credentials cannot be read. `credential`: it has ended. `dismissed`: by an administrator. `age`: nothing tells whether the client is still there.
 */
export type BusyReason = 'draining' | 'full' | 'too-many-streams' | 'unavailable' | 'credential' | 'taken-over' | 'rebalancing' | 'dismissed' | 'age';

export function busyFrame(retryMs: number, reason: BusyReason, write = sseFrame): Buffer {
  return control(write, '$busy', { retryMs, reason }, undefined, retryMs);
}

/** An event about the stream, before it is a frame. */
export interface ControlEvent {
  readonly event: string;
  readonly json: string;
  /** Undefined where it names no position. */
  readonly at?: Position | undefined;
  readonly retryMs?: number | undefined;
}

/** Makes a frame of such an event, as the transport of a stream has it. */
export type ControlWriter = (event: ControlEvent) => Buffer;

function control(write: ControlWriter, event: string, data: object, at: Position | undefined, retryMs?: number): Buffer {
  return write({ event, json: JSON.stringify(data), at, retryMs });
}

function sseFrame({ event, json, at, retryMs }: ControlEvent): Buffer {
  const retry = retryMs === undefined ? '' : `retry: ${retryMs}\n`;
  const id = at === undefined ? '' : `id: ${formatId(at.epoch, at.seq)}\n`;
  return Buffer.from(`event: ${event}\n${retry}data: ${json}\n${id}\n`);
}

/** For streams without control events: the reconnection time alone, which is no event. */
export function retryLine(retryMs: number): Buffer {
  return Buffer.from(`retry: ${retryMs}\n`);
}

/** For streams without control events: the gap as a comment. */
export function gapComment(gap: Gap): Buffer {
  return Buffer.from(`: gap ${gap.reason}, resumed at ${gap.resumed}\n`);
}
