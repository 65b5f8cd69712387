import { hash } from 'node:crypto';
import { MissingValue } from '../hooks/template.ts';
import type { Publisher } from '../log/publisher/publisher.ts';
import { FULL_GRANT } from '../model/grant.ts';
import type { Message } from '../model/message.ts';
import { Problem } from '../model/problem.ts';
import type { Counters } from '../runtime/counters.ts';
import { countConnector } from './connector-state.ts';
import type { SinkPlan } from './plan.ts';
import { deadMessage } from './record-draft.ts';
import { LOG_HEADER, UnsendableMessage, type Outgoing, type Sink } from './transport.ts';

/** The window of a dead letter's idempotency key: for so long, the log publishes it once. */
const DEAD_KEPT_MS = 30 * 86_400_000;

export interface SinkSenderDependencies {
  readonly publisher: Pick<Publisher, 'publish'>;
  readonly logId: () => string;
  readonly counters: Pick<Counters, 'connectors'>;
  /** Called for each message that the system acknowledged. */
  readonly succeeded: () => void;
}

/** The callbacks of one `send`. */
export interface SendSteps {
  /** Called before each hand-over and each dead letter, because those before may have taken long. It makes tombstones of erased messages. If it returns false, `send` ends. */
  readonly mayHandOver: (messages: readonly Message[]) => boolean;
  /** Called for each message that was acknowledged or became a dead letter, in order. */
  readonly passed: (message: Message) => void;
}

/** Makes the target and headers of each message, and hands the message to the transport. A message that can never be sent becomes a dead letter, and the next message follows. */
export class SinkSender {
  readonly #plan: SinkPlan;
  readonly #deps: SinkSenderDependencies;

  constructor(plan: SinkPlan, deps: SinkSenderDependencies) {
    this.#plan = plan;
    this.#deps = deps;
  }

  /**
   * Sends messages in order, except erased ones. Rejects if the system cannot be reached; some of the messages may have been sent by then.
   * @returns False if `mayHandOver` ended it early.
   */
  async send(sink: Sink, messages: readonly Message[], { mayHandOver, passed }: SendSteps): Promise<boolean> {
    for (let rest = messages; rest.length > 0;) {
      if (!mayHandOver(rest)) return false;
      rest = rest.filter(({ isErased }) => !isErased);
      const { sent, unsendable } = await this.#handOver(sink, rest, passed);
      rest = rest.slice(sent);
      const [dead] = rest;
      if (unsendable === undefined || dead === undefined) continue;
      // Check again: a dead letter of an erased message would put its data into the log again.
      if (!mayHandOver([dead])) return false;
      if (!dead.isErased) await this.#giveUp(dead, unsendable);
      passed(dead);
      rest = rest.slice(1);
    }
    return true;
  }

  /** Hands messages to the transport, up to the first that can never be sent. @returns How many were acknowledged, and why the next cannot be sent. */
  async #handOver(sink: Sink, messages: readonly Message[], passed: SendSteps['passed']): Promise<{ readonly sent: number; readonly unsendable: string | undefined }> {
    const outgoing: Outgoing[] = [];
    let unsendable: string | undefined;
    for (const message of messages) {
      const made = this.#outgoing(message);
      if (typeof made === 'string') {
        unsendable = made;
        break;
      }
      outgoing.push(made);
    }
    let sent = 0;
    try {
      await sink.send(outgoing, () => {
        passed(messages[sent]!);
        sent += 1;
        countConnector(this.#deps.counters.connectors, this.#plan.name, 'sent');
        this.#deps.succeeded();
      });
    } catch (error) {
      if (!(error instanceof UnsendableMessage)) throw error;
      unsendable = error.message;
    }
    return { sent, unsendable };
  }

  /** @returns The message for the transport; or a text, why it can never be sent. */
  #outgoing(message: Message): Outgoing | string {
    const { id, topic, event = 'message', json, data } = message;
    const fields = { id, topic, event };
    try {
      const target = this.#plan.target.topic({ headers: {}, fields, body: undefined, element: json ? this.#valueOf(data) : undefined });
      const headers = { [LOG_HEADER]: this.#deps.logId(), 'tidings-topic': encodeURI(topic), 'tidings-event': encodeURI(event), 'content-type': json ? 'application/json' : 'text/plain; charset=utf-8' };
      return { id, target, topic, headers, data };
    } catch (error) {
      if (error instanceof MissingValue) return error.message;
      throw error;
    }
  }

  /** Parses the data only if the template uses it. */
  #valueOf(data: Uint8Array): unknown {
    return this.#plan.target.readsBody ? JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.length).toString()) as unknown : undefined;
  }

  /** Publishes a dead letter. Its idempotency key is the message's id, so a repetition stores no second one. */
  async #giveUp(message: Message, reason: string): Promise<void> {
    const { name, deadTopic } = this.#plan;
    const draft = deadMessage(name, deadTopic, { id: message.id, topic: message.topic, target: '', data: message.data }, reason);
    try {
      await this.#deps.publisher.publish(FULL_GRANT, [draft], { scope: `connector:${name}`, key: message.id, fingerprint: hash('sha256', message.id, 'buffer'), window: DEAD_KEPT_MS });
    } catch (error) {
      // The dead letter exists already.
      if (!(error instanceof Problem) || error.code !== 'key-reused') throw error;
    }
    countConnector(this.#deps.counters.connectors, name, 'dead');
  }
}
