import { randomBytes } from 'node:crypto';
import { LEDGER_WAIT_MS, LedgerAway, type Balance, type Debit, type Holding, type Ledger, type TopicCount } from '../../limits/ledger.ts';
import { within, type Clock } from '../../runtime/clock.ts';
import type { HubCall, HubCalls } from './calls.ts';
import { awayOnly, HUB_CLOSE_MAX_MS, HubAway, type HubConnection, type HubUser } from './connection.ts';

/** The most topics of one call; a batch may have more. Stops a call from exceeding the hub's longest frame, which would end the connection. */
const ADDED_MAX_ENTRIES = 1_000;

export interface HubLedgerOptions {
  readonly connection: HubConnection;
  readonly clock: Clock;
}

/** A worker's side of the ledger in the hub (limit-book.ts). The hub frees a worker's places when its connection ends. While the hub is away or late, each worker counts alone. */
export class HubLedger implements Ledger {
  readonly #connection: HubConnection;
  readonly #clock: Clock;
  readonly #instance = randomBytes(8).toString('hex');
  readonly #user: HubUser;
  #logId = '';
  #onReturn: (mayHaveForgotten: boolean) => void = () => undefined;
  #hasJoined = false;
  /** Whether an answer of the hub is overdue. */
  #isLate = false;
  #isClosed = false;

  constructor({ connection, clock }: HubLedgerOptions) {
    this.#connection = connection;
    this.#clock = clock;
    this.#user = {
      onReady: () => void this.#join(),
      onLost: () => {
        this.#hasJoined = false;
      },
    };
  }

  get isUp(): boolean {
    return this.#hasJoined && this.#connection.isReady && !this.#isLate && !this.#isClosed;
  }

  join(logId: string, onReturn: (mayHaveForgotten: boolean) => void): void {
    this.#logId = logId;
    this.#onReturn = onReturn;
    this.#connection.attach(this.#user);
  }

  spend(debits: readonly Debit[]): Promise<readonly Balance[]> {
    return this.#ask('limits.spend', { debits });
  }

  async addTopics(owner: string, topics: readonly string[], windowMs: number): Promise<TopicCount> {
    let at = 0;
    for (; at + ADDED_MAX_ENTRIES < topics.length; at += ADDED_MAX_ENTRIES) await this.#ask('limits.addTopics', { owner, topics: topics.slice(at, at + ADDED_MAX_ENTRIES), windowMs });
    return this.#ask('limits.addTopics', { owner, topics: topics.slice(at), windowMs });
  }

  hold(holdings: readonly Holding[]): Promise<readonly boolean[]> {
    return this.#ask('limits.hold', { holdings });
  }

  async close(): Promise<void> {
    const isTold = this.#hasJoined ? this.#connection.ask('limits.leave', {}).catch(awayOnly) : undefined;
    this.#isClosed = true;
    if (isTold !== undefined) await within(this.#clock, HUB_CLOSE_MAX_MS, isTold);
    await this.#connection.detach(this.#user);
  }

  /** Called at each connection. The hub has no record of this worker yet. */
  async #join(): Promise<void> {
    try {
      await this.#connection.ask('limits.join', { log: this.#logId, instance: this.#instance });
    } catch (error) {
      awayOnly(error);
      return;
    }
    if (this.#isClosed || !this.#connection.isReady) return;
    this.#hasJoined = true;
    this.#isLate = false;
    this.#onReturn(true);
  }

  async #ask<Name extends HubCall>(name: Name, argument: HubCalls[Name]['argument']): Promise<HubCalls[Name]['value']> {
    if (!this.#hasJoined || this.#isClosed) throw new LedgerAway();
    let isOwed = true;
    // `soon`: this process may have been too busy to read an answer that has arrived. Read it first.
    const late = this.#clock.after(LEDGER_WAIT_MS, () => this.#clock.soon(() => {
      this.#isLate ||= isOwed;
    }));
    try {
      const answer = await this.#connection.ask(name, argument);
      this.#answered();
      return answer;
    } catch (error) {
      if (!(error instanceof HubAway)) throw error;
      throw new LedgerAway(error.message);
    } finally {
      isOwed = false;
      late.cancel();
    }
  }

  /** The hub answers again: its user must report the changes that it did not send while the hub was late. */
  #answered(): void {
    const wasLate = this.#isLate;
    this.#isLate = false;
    if (wasLate && this.isUp) this.#onReturn(false);
  }
}
