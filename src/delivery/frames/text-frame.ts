import { Sender } from 'ws';
import { formatId } from '../../model/position.ts';
import type { FrameChunk, Message } from '../../model/message.ts';
import { toJson } from '../../model/message.ts';
import { erasedFrame, presenceJson, type BusyReason, type ControlEvent } from './sse.ts';

declare module 'ws' {
  /** It is exported, but its types are not. */
  export const Sender: { frame(data: Uint8Array, options: { readonly fin: true; readonly opcode: number; readonly rsv1: false; readonly mask: false; readonly readOnly: true }): readonly [header: Uint8Array, payload: Uint8Array] };
}

/**
 * The frames of a WebSocket (RFC 6455, section 5.2), as a server sends them: without a mask. So one buffer serves every socket. `ws` makes their headers; readers write
 * the bytes to the sockets, in the order of everything else that a stream is sent.
 */

const OPCODE = { text: 1, close: 8, ping: 9 } as const;

/** RFC 6455, section 5.5. A longer frame is no control frame. */
const CLOSE_REASON_MAX_BYTES = 123;

function frame(opcode: number, payload: Uint8Array): readonly [header: Uint8Array, payload: Uint8Array] {
  return Sender.frame(payload, { fin: true, opcode, rsv1: false, mask: false, readOnly: true });
}

/** A text frame. */
export function textFrame(json: Uint8Array): Buffer {
  return Buffer.concat(frame(OPCODE.text, json));
}

/** The one that is the same for all. */
export const PING = Buffer.concat(frame(OPCODE.ping, new Uint8Array(0)));

/** Ends a WebSocket, with a reason for people and logs. */
export function closeFrame(code: number, reason: string): Buffer {
  const text = Buffer.from(reason).subarray(0, CLOSE_REASON_MAX_BYTES);
  const payload = Buffer.alloc(2 + text.length);
  payload.writeUInt16BE(code);
  payload.set(text, 2);
  return Buffer.concat(frame(OPCODE.close, payload));
}

/** An event about the stream: its id first, as in the frame of a message. */
export function controlTextFrame({ event, json, at, retryMs }: ControlEvent): Buffer {
  const id = at === undefined ? '' : `"id":${JSON.stringify(formatId(at.epoch, at.seq))},`;
  const retry = retryMs === undefined ? '' : `"retryMs":${retryMs},`;
  return textFrame(Buffer.from(`{${id}"event":${JSON.stringify(event)},${retry}"data":${json}}`));
}

/** A message as a text frame, in memory of its own: it is kept with the message. */
export function keptMessageTextFrame(message: Message): FrameChunk {
  const bytes = message.isErased ? erasedFrame(message, { id: message.id, topic: message.topic }, controlTextFrame) : undefined;
  const [header, payload] = bytes === undefined ? frame(OPCODE.text, toJson(message)) : [bytes, new Uint8Array(0)];
  const kept = Buffer.allocUnsafeSlow(header.length + payload.length);
  kept.set(header);
  kept.set(payload, header.length);
  return { bytes: kept, data: kept };
}

/** By the frame of an event stream: all streams get the same news. */
const presenceFrames = new WeakMap<Buffer, Buffer>();

/** News of presence as a text frame, encoded once for all sockets. */
export function presenceTextFrame(news: Buffer): Buffer {
  let encoded = presenceFrames.get(news);
  if (encoded === undefined) presenceFrames.set(news, (encoded = controlTextFrame({ event: '$presence', json: presenceJson(news) })));
  return encoded;
}

/**
 * The codes with which a WebSocket ends, for the reasons of `$busy`. IANA's registry has 1012 (the service restarts) and 1013 (try again later). 4001 and 4009 are our own, after HTTP's 401 and 409.
 */
export const CLOSE_CODES: Readonly<Record<BusyReason, number>> = {
  draining: 1012, rebalancing: 1012, full: 1013, 'too-many-streams': 1013, unavailable: 1013, age: 1013, dismissed: 1013, credential: 4001, 'taken-over': 4009,
};

/** The last frame to a client that is sent away: why, and when it may come back. */
export function busyCloseFrame(retryMs: number, reason: BusyReason): Buffer {
  return closeFrame(CLOSE_CODES[reason], `${reason}: come back after ${retryMs} ms`);
}
