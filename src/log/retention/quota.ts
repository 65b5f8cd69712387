import type { Draft } from '../../model/message.ts';
import { Problem } from '../../model/problem.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { LineWindow } from '../../runtime/logging/line-window.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { printable } from '../../runtime/logging/printable.ts';
import { rowBytes } from '../../store/row-bytes.ts';
import { StoreError, type Store } from '../../store/store.ts';
import { Holders } from './holders.ts';
import { UsageRecord } from './usage-record.ts';

/** How often this instance and the others exchange their counts of stored messages. */
const QUOTA_LOOK_MS = 5_000;
/** An instance reports its counts at once after it has stored this share of `RETENTION_BYTES`. Bounds the bytes that a crash leaves uncounted. */
const REPORT_SHARE = 1 / 128;
/** The `Retry-After` of a refusal. It is a guess: nobody can predict when retention will have deleted enough. */
const QUOTA_RETRY_SECONDS = 60;

/** The sender for whom a request's messages count. */
export interface QuotaSender {
  /** Identifies the sender. '' for all senders without a credential, which share one quota. */
  readonly scope: string;
  /** For error messages; undefined without a credential. */
  readonly name: string | undefined;
}

/**
 * Refuses messages beyond a quota. The publisher calls:
 *
 *     take ─┬─► a Problem: the request is refused
 *           └─► undefined: the request is queued ─┬─► stored: stored, then giveBack
 *                                                 └─► refused or unknown: giveBack
 */
export interface PublishQuota {
  /** Reserves room for all messages of a request, or for none. @returns Why the publish is refused. */
  take(drafts: readonly Draft[], sender: QuotaSender | undefined): Problem | undefined;
  /** Ends the reservation of `take`. */
  giveBack(drafts: readonly Draft[], sender: QuotaSender | undefined): void;
  /** Counts stored messages. @param first The number of the first message. */
  stored(drafts: readonly Draft[], sender: QuotaSender | undefined, first: number): void;
}

/** The null object: no quota. */
export const NO_QUOTA: PublishQuota = { take: () => undefined, giveBack: () => undefined, stored: () => undefined };

export interface QuotaDependencies {
  readonly store: Pick<Store, 'usage' | 'rowOverheadBytes'>;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  /** `RETENTION_BYTES`, of which quotas are shares. */
  readonly maxBytes: number;
  /** The quota of one topic, and of one sender, in percent of `maxBytes`. 0 disables it. */
  readonly topicShare: number;
  readonly senderShare: number;
  /** The oldest number of the log. */
  readonly oldest: () => number;
}

/**
 * Stops one topic or sender from filling the log, because retention would then delete the messages of others. Counting topics in the database would change one more row for each topic of
 * each commit. So each instance counts its own messages in memory, and stores a summary every few seconds (usage-record.ts). All instances add up all summaries.
 *
 * A count is therefore an estimate, and at most too small by three amounts:
 *
 * - the bytes that other instances have stored since their last summary;
 * - 1/128 of the bound for each instance that crashed before its report;
 * - 1/128 of the bound for names that summaries leave out, because a summary lists only the largest (heavy-hitters.ts).
 *
 * When retention has deleted the messages of a summary, its bytes no longer count.
 */
export class Quota implements PublishQuota {
  readonly #clock: Clock;
  readonly #logger: Pick<Logger, 'info' | 'warn'>;
  readonly #overheadBytes: number;
  readonly #reportBytes: number;
  readonly #topics: Holders | undefined;
  readonly #senders: Holders | undefined;
  readonly #record: UsageRecord;
  readonly #lines = new LineWindow();
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;
  #hasFailed = false;
  #isStopped = false;

  constructor({ store, clock, logger, maxBytes, topicShare, senderShare, oldest }: QuotaDependencies) {
    this.#clock = clock;
    this.#logger = logger;
    this.#overheadBytes = store.rowOverheadBytes;
    this.#reportBytes = maxBytes * REPORT_SHARE;
    this.#topics = topicShare === 0 ? undefined : new Holders(maxBytes * topicShare / 100);
    this.#senders = senderShare === 0 ? undefined : new Holders(maxBytes * senderShare / 100);
    this.#record = new UsageRecord({ store: store.usage, topics: this.#topics, senders: this.#senders, stretchBytes: this.#reportBytes, oldest });
  }

  /** Reads the stored counts, and then again every `QUOTA_LOOK_MS`. Call it before the first publish: without the counts, every topic seems empty. */
  async open(): Promise<void> {
    await this.#look();
    this.#lookLater();
  }

  /** Reports the remaining counts, if the store still accepts them. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    void this.#attempt(() => this.#record.tell());
  }

  take(drafts: readonly Draft[], sender: QuotaSender | undefined): Problem | undefined {
    for (const [index, draft] of drafts.entries()) {
      const bytes = this.#bytesOf(draft);
      const problem = this.#topicProblem(draft.topic, bytes, drafts.length === 1 ? '' : `[${index}]`) ?? this.#senderProblem(sender, bytes, drafts.length === 1 ? '' : `[${index}]`);
      if (problem !== undefined) {
        this.giveBack(drafts.slice(0, index), sender);
        return problem;
      }
      this.#topics?.wait(draft.topic, bytes);
      if (sender !== undefined) this.#senders?.wait(sender.scope, bytes);
    }
    return undefined;
  }

  stored(drafts: readonly Draft[], sender: QuotaSender | undefined, first: number): void {
    let sum = 0;
    for (const draft of drafts) {
      const bytes = this.#bytesOf(draft);
      sum += bytes;
      this.#topics?.store(draft.topic, bytes);
      if (sender !== undefined) this.#senders?.store(sender.scope, bytes);
    }
    this.#record.stored(first, first + drafts.length - 1, sum);
    if (this.#record.untoldBytes < this.#reportBytes || this.#looking !== undefined || this.#hasFailed || this.#isStopped) return;
    this.#timer?.cancel();
    void this.#look().then(() => this.#lookLater());
  }

  giveBack(drafts: readonly Draft[], sender: QuotaSender | undefined): void {
    for (const draft of drafts) {
      const bytes = this.#bytesOf(draft);
      this.#topics?.wait(draft.topic, -bytes);
      if (sender !== undefined) this.#senders?.wait(sender.scope, -bytes);
    }
  }

  #bytesOf(draft: Draft): number {
    return rowBytes(draft, this.#overheadBytes);
  }

  #topicProblem(topic: string, bytes: number, element: string): Problem | undefined {
    if (this.#topics?.hasRoom(topic, bytes) !== false) return undefined;
    return this.#problem(this.#topics, 'topic', topic, `The topic ${topic} holds`, element === '' ? 'topic' : `${element}.topic`);
  }

  #senderProblem(sender: QuotaSender | undefined, bytes: number, element: string): Problem | undefined {
    if (sender === undefined || this.#senders?.hasRoom(sender.scope, bytes) !== false) return undefined;
    const who = sender.name === undefined ? 'All who publish without a credential hold' : `The credential ${printable(sender.name)} holds`;
    return this.#problem(this.#senders, 'credential', sender.scope, who, element === '' ? 'Authorization' : element);
  }

  #problem(holders: Holders, kind: 'topic' | 'credential', name: string, who: string, field: string): Problem {
    const omitted = this.#lines.admit(`${kind} ${name}`);
    if (omitted !== undefined) this.#logger.info({ [kind]: printable(name), bytes: Math.round(holders.held(name)), ...(omitted === 0 ? {} : { omitted }) }, 'a quota of the log was reached');
    return new Problem('topic-quota', `${who} ${Math.round(holders.held(name))} of the ${Math.floor(holders.limitBytes)} bytes that one ${kind} may hold of the log. Nothing was stored; there is room again when retention has deleted older messages.`,
      { field, retrySeconds: QUOTA_RETRY_SECONDS });
  }

  #lookLater(): void {
    if (this.#isStopped) return;
    this.#timer = this.#clock.after(QUOTA_LOOK_MS, () => void this.#look().then(() => this.#lookLater()));
  }

  /** Exchanges counts with the other instances. A second call during an exchange waits for the same one. */
  #look(): Promise<void> {
    return (this.#looking ??= this.#attempt(() => this.#record.exchange()).finally(() => {
      this.#looking = undefined;
    }));
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.#hasFailed = false;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (!this.#hasFailed && !this.#isStopped) this.#logger.warn({ err: error }, 'this instance cannot store its counts of topics and senders: other instances count too little for the quotas');
      this.#hasFailed = true;
    }
  }
}
