import type { Receipt } from '../../src/log/publisher/receipt.ts';
import type { Draft } from '../../src/model/message.ts';
import { formatId } from '../../src/model/position.ts';
import { Problem } from '../../src/model/problem.ts';
import type { IdempotencyKey } from '../../src/store/store.ts';
import type { Balancer } from './clients.ts';
import type { Publication } from './record.ts';
import type { World } from './world.ts';

/** How long a request or an answer is on its way. Milliseconds. */
const REQUEST_MS = 5;
/** The longest time until a publisher tries again. Milliseconds. */
const RETRY_MS = 400;
/** The data that the log is told to refuse. */
export const POISON = 'poison';

export interface PublicationOptions {
  readonly topic: string;
  readonly messages: number;
  readonly hasKey: boolean;
  readonly isFleeting: boolean;
  readonly isPoison: boolean;
  /** How much is in each message, besides its text. Bytes. */
  readonly padding: number;
}

/** Publishes one thing, as a careful publisher does: again where nothing was stored for certain, and with a key also where nobody knows. */
export class Publishing {
  readonly record: Publication;
  readonly #world: World;
  readonly #balance: Balancer;
  readonly #drafts: readonly Draft[];
  readonly #key: IdempotencyKey | undefined;
  #isOver = false;

  constructor(name: string, { world, balance, ...options }: PublicationOptions & { world: World; balance: Balancer }) {
    const { topic, hasKey, isFleeting, isPoison } = options;
    const texts = Array.from({ length: options.messages }, (_, index) => (isPoison ? POISON : `${name}.${index}`));
    this.record = { name, topic, texts, hasKey, isFleeting, isPoison, sentAt: world.now, answers: [], failures: [] };
    this.#world = world;
    this.#balance = balance;
    const filling = options.padding === 0 || isPoison ? '' : ` ${'x'.repeat(options.padding)}`;
    this.#drafts = texts.map((text) => ({ topic, event: undefined, json: false, data: Buffer.from(text + filling), ttl: isFleeting ? 1 : 0 }));
    this.#key = hasKey ? { scope: '', key: name, fingerprint: Buffer.from(name), window: 86_400_000 } : undefined;
  }

  begin(): void {
    const instance = this.#balance(this.record.name);
    if (instance === undefined) return this.#later();
    let isAnswered = false;
    const settle = (what: () => void): void => {
      if (isAnswered) return;
      isAnswered = true;
      instance.connections.delete(connection);
      this.#world.after(this.#within(REQUEST_MS), undefined, what);
    };
    const connection = { lost: () => settle(() => this.#failed('lost')) };
    instance.connections.add(connection);
    this.#world.after(this.#within(REQUEST_MS), instance, () => {
      // Each request has bytes of its own.
      const drafts = this.#drafts.map((draft) => ({ ...draft, data: Buffer.from(draft.data) }));
      instance.publish(drafts, this.#key).then(
        (receipt) => settle(() => this.#stored(receipt)),
        (error: unknown) => {
          if (!(error instanceof Problem)) throw error;
          settle(() => this.#failed(error.code));
        },
      );
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  #stored({ epoch, first }: Receipt): void {
    this.#isOver = true;
    this.record.answers.push({ ids: this.record.texts.map((_, index) => formatId(epoch, first + index)) });
  }

  #failed(code: string): void {
    this.record.failures.push(code);
    const isUnstored = code === 'unavailable' || code === 'overloaded';
    if (isUnstored || (this.record.hasKey && (code === 'outcome-unknown' || code === 'lost'))) this.#later();
    else this.#isOver = true;
  }

  #later(): void {
    this.#world.after(this.#within(RETRY_MS), undefined, () => this.begin());
  }

  #within(milliseconds: number): number {
    return this.#world.chance(this.record.name).next() * milliseconds;
  }
}
