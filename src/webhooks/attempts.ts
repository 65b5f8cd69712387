import type { Tail } from '../log/tail/tail.ts';
import type { Message } from '../model/message.ts';
import type { Position } from '../model/position.ts';
import type { Counters } from '../runtime/counters.ts';
import { attemptText, isTaken } from './attempt.ts';
import type { Delivery } from './body.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { FailureStreak } from './failure-streak.ts';
import type { Sender } from './sender.ts';
import { deadTopicOf, type WebhookSettings } from './settings.ts';
import { signatureHeaders } from './signature.ts';

/** RFC 9110: the receiver will never want another delivery. */
const GONE_CODE = 410;

/** A delivery to send. */
export interface Attempt {
  readonly delivery: Delivery;
  /** Where the cursor moves when the receiver takes the delivery, or the reader gives it up. */
  readonly after: Position;
  /** The message; undefined if the delivery is a gap. */
  readonly read: ReadMessage | undefined;
}

/** A message, and the version of the erasures with which it was read. */
interface ReadMessage {
  readonly message: Message;
  readonly erasures: number;
}

/**
 * The outcome of an attempt:
 *
 * - `more`: the receiver took the delivery, or it became a dead letter. The cursor has moved past it.
 * - `pause`: the receiver did not take the delivery. Attempt it again after the pause.
 * - `gone`: the receiver wants no more deliveries. Disable the webhook.
 * - `retry`: the attempt was aborted, or this instance lost its lease. It counts neither way.
 */
export type AttemptOutcome = 'more' | 'pause' | 'gone' | 'retry';

export interface AttemptsDependencies {
  readonly tail: Pick<Tail, 'clean'>;
  readonly sender: Pick<Sender, 'send'>;
  readonly deadLetters: Pick<DeadLetters, 'publish'>;
  readonly counters: Pick<Counters, 'webhookDeliveries' | 'webhookFailures' | 'webhookDeadLetters'>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Whether this instance still has its lease. Called before each attempt. */
  readonly ownsNow: () => boolean;
}

/** The webhook of these attempts, and its reader's state. */
interface AttemptedWebhook {
  readonly id: string;
  readonly settings: WebhookSettings;
  readonly streak: FailureStreak;
  /** Aborts the current attempt. */
  readonly signal: AbortSignal;
  readonly isStopping: () => boolean;
  readonly moveTo: (position: Position) => void;
}

/** Sends the deliveries of one webhook, and judges the answers. After too long a time of failures it publishes a dead letter instead. */
export class Attempts {
  readonly #webhook: AttemptedWebhook;
  readonly #deps: AttemptsDependencies;
  /** The attempts since `takeTexts`, as texts for administrators. */
  #texts: string[] = [];

  constructor(webhook: AttemptedWebhook, deps: AttemptsDependencies) {
    this.#webhook = webhook;
    this.#deps = deps;
  }

  /** Sends a delivery once. */
  async make(attempt: Attempt): Promise<AttemptOutcome> {
    const { delivery } = attempt;
    const { counters, now, ownsNow, sender } = this.#deps;
    const { settings, signal, streak, isStopping } = this.#webhook;
    const since = streak.attempt();
    // An instance that was frozen may have lost its lease, and another instance may own the webhook.
    const mayStillSend = (): boolean => ownsNow() && !isStopping();
    if (!mayStillSend()) return 'retry';
    const outcome = await sender.send({ url: settings.url, delivery, headers: signatureHeaders(delivery.id, delivery.body, settings.secrets, now()), signal, mayStillSend });
    // Do not count an aborted attempt, or an attempt without a lease, as a failure of the receiver.
    if (signal.aborted || (outcome.status === undefined && !mayStillSend())) return 'retry';
    this.#texts.push(attemptText(delivery.id, outcome, now()));
    if (isTaken(outcome.status)) {
      counters.webhookDeliveries += 1;
      streak.taken();
      this.#webhook.moveTo(attempt.after);
      return 'more';
    }
    counters.webhookFailures += 1;
    if (outcome.status === GONE_CODE) return 'gone';
    streak.failed(outcome.retryAfter);
    // Give up only after an attempt that failed after the limit: before it, this service itself may have been away. Without its lease, this instance must not give up.
    return streak.isTooLong && ownsNow() ? this.#giveUp(attempt, since) : 'pause';
  }

  /** Publishes a dead letter of the delivery, and moves the cursor past it. An erased message gets no dead letter. */
  async #giveUp({ delivery, after, read }: Attempt, since: number): Promise<AttemptOutcome> {
    const { id, settings, streak, moveTo } = this.#webhook;
    // A dead letter of a message that was erased during the attempt would put its data into the log again.
    if (read !== undefined && !this.#deps.tail.clean([read.message], read)) return 'pause';
    if (read?.message.isErased !== true) {
      await this.#deps.deadLetters.publish({ id, topic: deadTopicOf(id, settings), delivery, failures: streak.count, since });
      this.#deps.counters.webhookDeadLetters += 1;
    }
    moveTo(after);
    return 'more';
  }

  /** The attempts since the last call, for the database. */
  takeTexts(): readonly string[] {
    const texts = this.#texts;
    this.#texts = [];
    return texts;
  }
}
