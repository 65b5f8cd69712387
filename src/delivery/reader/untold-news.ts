import type { Position } from '../../model/position.ts';
import type { ErasureNews } from '../frames/erasure-news.ts';
import type { Fillable } from './full-sockets.ts';
import { topicsFrame } from '../frames/sse.ts';
import type { StreamSocket } from './stream-socket.ts';
import type { Unread } from './unread-writes.ts';

/** How many erasures one stream may have yet to be told. Stops erasures that come faster than catch-up from filling the memory. */
const NEWS_MAX_ENTRIES = 100;

/** News for one stream, told before its next frame with a position: erasures, and its other filter. Only a stream with news has this object. */
export class UntoldNews {
  #erasures: ErasureNews[] = [];
  #topics: readonly string[] | undefined;

  /** Whether the news must be told now, before there are more erasures. */
  get isFull(): boolean {
    return this.#erasures.length >= NEWS_MAX_ENTRIES;
  }

  erased(news: ErasureNews): void {
    this.#erasures.push(news);
  }

  /** The stream has another filter. */
  changedTo(topics: readonly string[]): void {
    this.#topics = topics;
  }

  /**
   * Tells everything. A full socket gets nothing: its stream will be told of the filter later. Of erasures it need not hear, because catch-up brings tombstones.
   * @returns Whether nothing is left to be told.
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
