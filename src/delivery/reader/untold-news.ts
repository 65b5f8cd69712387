import type { Position } from '../../model/position.ts';
import type { ErasureNews } from '../frames/erasure-news.ts';
import type { Fillable } from './full-sockets.ts';
import { topicsFrame } from '../frames/sse.ts';
import type { StreamSocket } from './stream-socket.ts';
import type { Unread } from './unread-writes.ts';

/** The most erasures that wait here for one stream. Stops erasures that come faster than catch-up from filling the memory. */
const NEWS_MAX_ENTRIES = 100;

/** Announcements that a stream must get before its next frame with a position: of erasures, and of a changed filter. Only a stream with such news has this object. */
export class UntoldNews {
  #erasures: ErasureNews[] = [];
  #topics: readonly string[] | undefined;

  /** Whether there is no room for another erasure. Call `tell` before `erased` then. */
  get isFull(): boolean {
    return this.#erasures.length >= NEWS_MAX_ENTRIES;
  }

  erased(news: ErasureNews): void {
    this.#erasures.push(news);
  }

  /** Call it when the stream has got another filter. Only the newest filter is announced. */
  changedTo(topics: readonly string[]): void {
    this.#topics = topics;
  }

  /**
   * Writes all announcements. If the socket is full, drops those of erasures, because catch-up brings tombstones instead, and keeps that of the filter.
   * @returns Whether all announcements were written or dropped
   */
  tell(socket: Pick<StreamSocket<Fillable & Unread>, 'isFull' | 'tellErased' | 'sayAt' | 'controlWriter'>, at: Position): boolean {
    const erasures = this.#erasures;
    this.#erasures = [];
    for (const news of erasures) if (!socket.isFull) socket.tellErased(news, at);
    if (this.#topics === undefined) return true;
    if (socket.isFull) return false;
    socket.sayAt(at, topicsFrame(at, this.#topics, socket.controlWriter));
    return true;
  }
}
