import type { KnownErasure } from '../../log/tail/known-erasures.ts';
import { formatId, type Position } from '../../model/position.ts';
import { httpChunk } from './http-chunk.ts';
import { erasedFrame, isObject, type Form } from './sse.ts';
import { controlTextFrame } from './text-frame.ts';

/** Tells the readers of one group about erasures. Most of them stand at the same cursor, so their frames are the same, and are encoded once. */
export class ErasureNews {
  readonly #erasures: readonly KnownErasure[];
  readonly #encoded = new Map<string, Buffer | undefined>();

  constructor(erasures: readonly KnownErasure[]) {
    this.#erasures = erasures;
  }

  /** The news for a reader at a position; undefined if everything erased lies after it, so that the reader will get tombstones. */
  bytes(at: Position, form: Form, chunked: boolean): Buffer | undefined {
    const key = `${at.seq} ${form === 'websocket' ? form : isObject(form)} ${chunked}`;
    if (!this.#encoded.has(key)) this.#encoded.set(key, this.#encode(at, form, chunked));
    return this.#encoded.get(key);
  }

  /** Whether one of the messages between two numbers, both included, may be among them. */
  isAbout(from: number, to: number): boolean {
    return this.#erasures.some(({ at: { seq }, isPrefix }) => seq >= from && (isPrefix || seq <= to));
  }

  #encode(at: Position, form: Form, chunked: boolean): Buffer | undefined {
    const frames = this.#erasures.filter(({ at: { seq }, isPrefix }) => isPrefix || seq <= at.seq).map(({ at: { epoch, seq }, topic, isPrefix }) => {
      const id = formatId(epoch, seq);
      return erasedFrame(at, isPrefix ? { topic, through: id } : { id, topic: isObject(form) ? topic : undefined }, form === 'websocket' ? controlTextFrame : undefined);
    });
    if (frames.length === 0) return undefined;
    return chunked ? httpChunk(frames) : Buffer.concat(frames);
  }
}
