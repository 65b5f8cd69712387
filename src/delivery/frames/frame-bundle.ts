import type { Message } from '../../model/message.ts';
import type { ChunkSource } from './chunk-cache.ts';
import type { Form } from './sse.ts';

const WAY: Readonly<Record<Form, number>> = { data: 0, object: 1, 'data-unnamed': 2, 'object-unnamed': 3, websocket: 4 };

/** The frames of some messages as one buffer for each way of writing them: encoded once, shared by every reader that is written the same. */
export class Bundle {
  readonly messages: readonly Message[];
  readonly last: Message | undefined;
  readonly #chunkOf: ChunkSource;
  /** By form, by whether the client reads chunks, and by whether it wants control events. */
  readonly #encoded: (Buffer | undefined)[] = [];

  constructor(messages: readonly Message[], chunkOf: ChunkSource) {
    this.messages = messages;
    this.last = messages.at(-1);
    this.#chunkOf = chunkOf;
  }

  /**
   * @param chunked False for a client of HTTP/1.0, which knows no chunks.
   * @param control False for a client that wants no control events: tombstones are some.
   */
  bytes(form: Form, chunked: boolean, control: boolean): Buffer {
    const way = 4 * WAY[form] + (chunked ? 0 : 1) + (control ? 0 : 2);
    return (this.#encoded[way] ??= this.#join(form, chunked, control));
  }

  #join(form: Form, chunked: boolean, control: boolean): Buffer {
    const shown = control ? this.messages : this.messages.filter(({ isErased }) => !isErased);
    const frames = shown.map((message) => {
      const chunk = this.#chunkOf(message, form);
      return chunked ? chunk.bytes : chunk.data;
    });
    return frames.length === 1 ? frames[0]! : Buffer.concat(frames);
  }
}
