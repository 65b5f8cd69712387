import { hash } from 'node:crypto';
import type { Publisher } from '../log/publisher/publisher.ts';
import { FULL_GRANT } from '../model/grant.ts';
import type { Message } from '../model/message.ts';
import { Problem } from '../model/problem.ts';
import type { Delivery } from './body.ts';
import { DEAD_EVENT } from './settings.ts';

/** The window of a dead letter's idempotency key. Longer than any failure of the database that may delay storing the cursor after it. */
const DEAD_KEPT_MS = 30 * 86_400_000;

export interface DeadLetter {
  /** The id of the webhook. */
  readonly id: string;
  readonly topic: string;
  readonly delivery: Delivery;
  readonly failures: number;
  /** When it was first attempted. Milliseconds since 1970. */
  readonly since: number;
}

/** The data of each dead letter begin with this, and the id of its webhook follows. */
const BEGINNING = '{"webhook":"';

/** Whether a message is a dead letter. Publishers may use the same event name, so check the data too. @param webhook Only dead letters of this webhook. */
export function isDeadLetter({ event, json, data }: Pick<Message, 'event' | 'json' | 'data'>, webhook?: string): boolean {
  const beginning = Buffer.from(webhook === undefined ? BEGINNING : `${BEGINNING}${webhook}",`);
  return event === DEAD_EVENT && json && Buffer.compare(data.subarray(0, beginning.length), beginning) === 0;
}

/** Publishes undelivered messages to a dead letter topic. An idempotency key makes repetitions harmless. */
export class DeadLetters {
  readonly #publisher: Pick<Publisher, 'publish'>;

  constructor({ publisher }: { readonly publisher: Pick<Publisher, 'publish'> }) {
    this.#publisher = publisher;
  }

  /** Rejects with a `Problem` if the dead letter was not stored. */
  async publish({ id, topic, delivery, failures, since }: DeadLetter): Promise<void> {
    const head = JSON.stringify({ webhook: id, delivery: delivery.id, failures, since: new Date(since).toISOString() });
    const data = Buffer.concat([Buffer.from(`${head.slice(0, -1)},"body":`), delivery.body, Buffer.from('}')]);
    const key = { scope: `webhook:${id}`, key: delivery.id, fingerprint: hash('sha256', `${topic} ${delivery.id}`, 'buffer'), window: DEAD_KEPT_MS };
    try {
      await this.#publisher.publish(FULL_GRANT, [{ topic, event: DEAD_EVENT, json: true, data, ttl: 0 }], key);
    } catch (error) {
      // The dead letter was published before, when the webhook had another dead letter topic.
      if (!(error instanceof Problem) || error.code !== 'key-reused') throw error;
    }
  }
}
