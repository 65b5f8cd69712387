import type { StreamHandle, StreamHandles } from './stream-handles.ts';

/** The stream for the proof of its secret. `missing`: there is no such stream. `foreign`: the secret is another stream's, or none's. */
export type Found<Stream> = { readonly stream: Stream } | 'missing' | 'foreign';

/** The streams of this instance that their clients can name, each with a secret that shows whose it is. */
export class OwnedStreams<Stream> {
  readonly #handles: Pick<StreamHandles, 'of' | 'isProof'>;
  readonly #streams = new Map<number, Stream>();

  constructor(handles: Pick<StreamHandles, 'of' | 'isProof'>) {
    this.#handles = handles;
  }

  /** A stream begins. Returns by what its client names it. */
  add(number: number, stream: Stream): StreamHandle {
    this.#streams.set(number, stream);
    return this.#handles.of(number);
  }

  delete(number: number): void {
    this.#streams.delete(number);
  }

  /** @param proof Of the stream's secret, hexadecimal digits. */
  find(number: number, proof: string): Found<Stream> {
    const stream = this.#streams.get(number);
    if (stream === undefined) return 'missing';
    return this.#handles.isProof(number, Buffer.from(proof, 'hex')) ? { stream } : 'foreign';
  }
}
