import type { JsMsg } from '@nats-io/jetstream';
import { Inbox } from './inbox.ts';

export type Delivered = Pick<JsMsg, 'seq' | 'ack'> & { readonly info: Pick<JsMsg['info'], 'deliverySequence'> };

/**
 * The messages of one JetStream consumer, in the order of their deliveries. While the log cannot store them, the server delivers unacknowledged messages again and again. An example, with the log away:
 *
 *     delivery 1: message 7   →   queued
 *     delivery 2: message 8   →   queued
 *     delivery 3: message 7   →   dropped, because it is queued; acknowledged, if it is stored by then
 *     delivery 5: message 9   →   the inbox ends with an error, because delivery 4 did not come: a new consumer delivers everything in order
 */
export class Deliveries<Message extends Delivered> {
  readonly inbox = new Inbox<Message>();
  /** How many deliveries came. */
  #delivered = 0;
  /** The newest queued message. */
  #newest = 0;
  /** The newest stored message. */
  #stored = 0;

  hear(message: Message): void {
    const { seq, info: { deliverySequence } } = message;
    this.#delivered += 1;
    // A delivery was lost. The server would deliver its message again only after newer messages.
    if (deliverySequence !== this.#delivered) this.inbox.end(new Error(`delivery ${this.#delivered} of the consumer did not come`));
    else if (seq > this.#newest) {
      this.#newest = seq;
      this.inbox.push(message);
    } else if (seq <= this.#stored) {
      // The acknowledgment of a stored message was lost.
      message.ack();
    }
  }

  /** Acknowledges messages that the log has stored. */
  stored(messages: readonly Message[]): void {
    for (const message of messages) message.ack();
    this.#stored = messages.at(-1)?.seq ?? this.#stored;
  }
}
