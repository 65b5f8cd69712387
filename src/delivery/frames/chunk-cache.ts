import type { Tail } from '../../log/tail/tail.ts';
import type { FrameChunk, Message } from '../../model/message.ts';
import { keptHttpChunk } from './http-chunk.ts';
import { messageFrame, type Form } from './sse.ts';
import { keptMessageTextFrame } from './text-frame.ts';

/** Gives the chunk of a message's frame in one form. */
export type ChunkSource = (message: Message, form: Form) => FrameChunk;

/** Encodes a message's chunk when it is first asked for, and keeps it with the message: every reader of the message shares it. */
export const cachedChunk: ChunkSource = (message, form) => {
  if (form === 'data-unnamed' || form === 'object-unnamed') {
    // A frame that differs from the named one is not kept: few streams leave names out, and only some messages have one.
    return message.event === undefined ? cachedChunk(message, form === 'data-unnamed' ? 'data' : 'object') : keptHttpChunk(messageFrame(message, form));
  }
  if (form === 'websocket') return (message.textFrame ??= keptMessageTextFrame(message));
  if (form === 'object') return (message.objectChunk ??= keptHttpChunk(messageFrame(message, form)));
  if (message.dataChunk === undefined) {
    const encoded = keptHttpChunk(messageFrame(message, form));
    message.dataChunk = encoded;
    adoptData(message, encoded);
  }
  return message.dataChunk;
};

/** As `cachedChunk`, for messages of the tail, which counts the memory of their frames. */
export function tailChunks(tail: Tail): ChunkSource {
  return (message, form) => {
    const before = message.size;
    const encoded = cachedChunk(message, form);
    tail.countFrame(message, message.size - before);
    return encoded;
  };
}

/** Makes the message's data a part of its frame, where it stands there unchanged, so that memory holds it once. */
function adoptData(message: Message, { bytes }: FrameChunk): void {
  const at = bytes.indexOf(message.data);
  if (message.data.length === 0 || at === -1) return;
  message.data = bytes.subarray(at, at + message.data.length);
  message.dataInChunk = true;
}
