import { isCode } from '../../kafka/broker-connection.ts';

/** The most bytes that are published and not yet confirmed. Stops a Kafka that is slow, paused or gone from filling the memory. */
const UNCONFIRMED_MAX_BYTES = 8 * 1024 * 1024;

/** An estimate of what an envelope costs in memory and in a batch besides its bytes, so that many small envelopes reach the bounds too. */
const ENVELOPE_OVERHEAD_BYTES = 1024;

/** The most bytes of a batch. Well below a topic's default limit of 1 MiB, because Kafka refuses a batch that is too large as a whole. */
const TOGETHER_MAX_BYTES = 512 * 1024;

/** Kafka's codes for a batch or a record that is too large for the topic. */
export const TOO_LARGE_CODES = ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'] as const;

export interface Envelope {
  readonly key: Buffer;
  readonly value: Buffer;
  /** Whether it is a "look at the head", which has no messages. It is sent instead of an envelope that is too large. */
  readonly isHint?: boolean;
}

export interface OutboxOptions {
  /** Resolves when Kafka has confirmed the envelopes. */
  readonly send: (envelopes: readonly Envelope[]) => Promise<unknown>;
  /** Kafka refused a batch because of its size. */
  readonly tooLarge: () => void;
  readonly failed: (error: unknown) => void;
}

/** Sends envelopes over one connection, one batch at a time, to keep the order. Envelopes that come during a batch share the next one. */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #waiting: Envelope[] = [];
  #unconfirmedBytes = 0;
  #sending: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** @returns Whether there is room for it. */
  hasRoom(bytes: number): boolean {
    return !this.#isClosed && this.#unconfirmedBytes + bytes + ENVELOPE_OVERHEAD_BYTES <= UNCONFIRMED_MAX_BYTES;
  }

  put(envelope: Envelope): void {
    this.#unconfirmedBytes += costOf(envelope);
    this.#waiting.push(envelope);
    this.#sending ??= this.#send();
  }

  /** Resolves when all envelopes are sent. */
  async empty(): Promise<void> {
    await this.#sending;
  }

  close(): void {
    this.#isClosed = true;
    this.#waiting.length = 0;
  }

  async #send(): Promise<void> {
    while (this.#waiting.length > 0) {
      const { batch, bytes } = this.#nextBatch();
      try {
        await this.#options.send(batch);
      } catch (error) {
        if (this.#isClosed) return;
        const isSmallest = batch.length === 1 && batch[0]!.isHint === true;
        // Do not answer the refusal of a hint with another hint: that would repeat for ever.
        if (isCode(error, ...TOO_LARGE_CODES) && !isSmallest) this.#options.tooLarge();
        else this.#options.failed(error);
      }
      this.#unconfirmedBytes -= bytes;
    }
    this.#sending = undefined;
  }

  #nextBatch(): { readonly batch: readonly Envelope[]; readonly bytes: number } {
    let bytes = costOf(this.#waiting[0]!);
    let count = 1;
    for (; count < this.#waiting.length; count++) {
      const cost = costOf(this.#waiting[count]!);
      if (bytes + cost > TOGETHER_MAX_BYTES) break;
      bytes += cost;
    }
    return { batch: this.#waiting.splice(0, count), bytes };
  }
}

function costOf({ value }: Envelope): number {
  return value.length + ENVELOPE_OVERHEAD_BYTES;
}
