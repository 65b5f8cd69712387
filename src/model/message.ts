import { formatId, type Position } from './position.ts';

/**
 * This room has the plain types that all other rooms use: drafts, messages, topics, filters, positions, epochs, gaps, grants and problems. It does no input or
 * output, and imports no other room. Read `message.ts`, `position.ts` and `topic.ts` first; then `epochs.ts`, `ancestry.ts` and `gap.ts` for logs that were replaced.
 */

/** A checked message that has no number and time yet. */
export interface Draft {
  readonly topic: string;
  /** The SSE event name; undefined is the default, `message`. */
  readonly event: string | undefined;
  /** Whether `data` is JSON source text; otherwise it is plain text. */
  readonly json: boolean;
  /** UTF-8, exactly as it was published. */
  readonly data: Uint8Array;
  /** Seconds after which delivery must not begin (RFC 8030 TTL); 0 is never. */
  readonly ttl: number;
}

/** A message's frame as an HTTP chunk. */
export interface FrameChunk {
  /** The whole chunk: what an HTTP/1.1 stream is written. */
  readonly bytes: Buffer;
  /** The frame inside. */
  readonly data: Buffer;
}

/** The event name of a tombstone, in the log and in memory. No published name begins with `$`, so it marks tombstones alone. */
export const ERASED_EVENT = '$erased';

const NO_DATA = new Uint8Array(0);

/** The memory of a message besides its bytes: the objects around it. An estimate, for bounds only. */
const OBJECT_BYTES = 256;

/** The approximate size in memory of a message without frames. Bytes. */
export function messageBytes(topic: string, dataBytes: number): number {
  return OBJECT_BYTES + topic.length + dataBytes;
}

/** A message of the log. */
export class Message implements Position {
  readonly epoch: string;
  readonly seq: number;
  readonly topic: string;
  event: string | undefined;
  json: boolean;
  /** UTF-8. The bytes never change before the message is erased, but the buffer that holds them may. */
  data: Uint8Array;
  /** Milliseconds since 1970 by the store's clock; never decreases along the log. */
  readonly time: number;
  /** From this time on delivery must not begin; 0 is never. Milliseconds since 1970. */
  readonly expires: number;
  /** The message's frames as HTTP chunks (delivery/frames/chunk-cache.ts): encoded when first needed, and shared by every reader. */
  dataChunk: FrameChunk | undefined = undefined;
  objectChunk: FrameChunk | undefined = undefined;
  /** The message as a WebSocket's text frame. */
  textFrame: FrameChunk | undefined = undefined;
  /** Whether `data` is a part of `dataChunk`. */
  dataInChunk = false;

  constructor(epoch: string, seq: number, time: number, expires: number, draft: Omit<Draft, 'ttl'>) {
    this.epoch = epoch;
    this.seq = seq;
    this.topic = draft.topic;
    this.event = draft.event;
    this.json = draft.json;
    this.data = draft.data;
    this.time = time;
    this.expires = expires;
  }

  get id(): string {
    return formatId(this.epoch, this.seq);
  }

  /** Its approximate size in memory, in bytes. */
  get size(): number {
    return messageBytes(this.topic, this.dataInChunk ? 0 : this.data.length)
      + (this.dataChunk?.bytes.length ?? 0) + (this.objectChunk?.bytes.length ?? 0) + (this.textFrame?.bytes.length ?? 0);
  }

  /** Whether it is only a tombstone: its number, topic and time. */
  get isErased(): boolean {
    return this.event === ERASED_EVENT;
  }

  /**
   * Makes the message a tombstone: removes its data, its event name and its frames. The object stays the same, so every reference to it sees the tombstone.
   * @returns By how many bytes its size has changed.
   */
  erase(): number {
    if (this.isErased) return 0;
    const { size } = this;
    this.event = ERASED_EVENT;
    this.json = false;
    this.data = NO_DATA;
    this.dataChunk = undefined;
    this.objectChunk = undefined;
    this.textFrame = undefined;
    this.dataInChunk = false;
    return this.size - size;
  }

  /** Invariant 4: a message whose TTL has passed is not delivered, unless its frame was begun before. */
  isExpired(now: number): boolean {
    return this.expires !== 0 && this.expires <= now;
  }
}

/** Makes a message of a draft, with the number and time that the log gave it. */
export function numbered(draft: Draft, epoch: string, seq: number, time: number): Message {
  return new Message(epoch, seq, time, draft.ttl === 0 ? 0 : time + draft.ttl * 1000, draft);
}

const DEFAULT_EVENT = '"event":"message",';

/** The beginning of a message as JSON, without its data and the closing brace. */
export function describe(message: Pick<Message, 'topic' | 'event' | 'time'>, id: string): string {
  const event = message.event === undefined ? DEFAULT_EVENT : message.event === ERASED_EVENT ? '' : `"event":${JSON.stringify(message.event)},`;
  return `{"id":${JSON.stringify(id)},"topic":${JSON.stringify(message.topic)},${event}"time":"${timeText(message.time)}"`;
}

let textTime = 0;
let text = new Date(textTime).toISOString();

/** Keeps the text of the last time, because all messages of a commit have the same time. */
function timeText(time: number): string {
  if (time !== textTime) {
    text = new Date(time).toISOString();
    textTime = time;
  }
  return text;
}

/** The message as JSON, or a tombstone. JSON data is copied verbatim, so that large integers and the order of keys survive; other data becomes a string. */
export function toJson(message: Message): Buffer {
  return Buffer.concat(jsonParts(message));
}

/** The JSON in parts. The data is a part of its own, so that only the final buffer copies it. */
function jsonParts(message: Message): readonly Uint8Array[] {
  if (message.isErased) return [Buffer.from(`${describe(message, message.id)},"erased":true}`)];
  const data = message.json ? message.data : Buffer.from(JSON.stringify(Buffer.from(message.data.buffer, message.data.byteOffset, message.data.length).toString()));
  return [Buffer.from(`${describe(message, message.id)},"data":`), data, CLOSE];
}

/** The most data of one piece of JSON. Stops a large text from blocking the event loop: a piece takes far less than a millisecond. */
const PIECE_MAX_BYTES = 64 * 1024;

/** The JSON in small pieces, so that none blocks the event loop. */
export function* jsonPieces(message: Message): Generator<Uint8Array> {
  const { data } = message;
  if (message.isErased || message.json || data.length <= PIECE_MAX_BYTES) {
    yield* jsonParts(message);
    return;
  }
  yield Buffer.from(`${describe(message, message.id)},"data":"`);
  for (let from = 0; from < data.length;) {
    let to = Math.min(from + PIECE_MAX_BYTES, data.length);
    // No character may be cut.
    while (to < data.length && (data[to]! & 0xc0) === 0x80) to--;
    yield Buffer.from(JSON.stringify(Buffer.from(data.buffer, data.byteOffset + from, to - from).toString()).slice(1, -1));
    from = to;
  }
  yield TEXT_CLOSE;
}

const CLOSE = Buffer.from('}');
const TEXT_CLOSE = Buffer.from('"}');
