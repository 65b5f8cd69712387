import type { JsMsg } from '@nats-io/jetstream';
import { Inbox } from './inbox.ts';

export type Delivered = Pick<JsMsg, 'seq' | 'ack'> & { readonly info: Pick<JsMsg['info'], 'deliverySequence'> };

/**
 * The messages of one consumer of JetStream, in the order of their deliveries. While the log is away, the server sends unacknowledged messages again and again. A message that is held already is
 * not held a second time. Where a delivery does not come, the inbox ends: nothing is left out.
 */
export class Deliveries<Message extends Delivered> {
  readonly inbox = new Inbox<Message>();
  #delivered = 0;
  #newest = 0;
  #stored = 0;

  hear(message: Message): void {
    const { seq, info: { deliverySequence } } = message;
    this.#delivered += 1;
    // Something was lost on its way: the server would send it again later, after newer messages.
    if (deliverySequence !== this.#delivered) this.inbox.end(new Error(`delivery ${this.#delivered} of the consumer did not come`));
    else if (seq > this.#newest) {
      this.#newest = seq;
      this.inbox.push(message);
    } else if (seq <= this.#stored) {
      // Its acknowledgment was lost.
      message.ack();
    }
  }

  /** The log has these. */
  stored(messages: readonly Message[]): void {
    for (const message of messages) message.ack();
    this.#stored = messages.at(-1)?.seq ?? this.#stored;
  }
}
