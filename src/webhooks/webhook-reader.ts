import type { Audience } from '../delivery/audience.ts';
import { MessageWait } from '../delivery/message-wait.ts';
import type { History } from '../log/history/history-pages.ts';
import type { Found } from '../log/history/page.ts';
import type { Starts } from '../log/history/start-position.ts';
import type { Tail } from '../log/tail/tail.ts';
import type { Message } from '../model/message.ts';
import { parseId, type Position } from '../model/position.ts';
import { Problem } from '../model/problem.ts';
import { Filter } from '../model/topic.ts';
import { Hold, type Budget } from '../runtime/sharing/budget.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import { StoreError } from '../store/store.ts';
import type { WebhookRecord } from '../store/contracts/webhook-store.ts';
import { Attempts, type Attempt, type AttemptsDependencies } from './attempts.ts';
import { gapDelivery, messageDelivery } from './body.ts';
import { isDeadLetter } from './dead-letters.ts';
import { FailureStreak, type FailureStreakOptions } from './failure-streak.ts';
import type { Notes } from './notes.ts';
import { settingsOf, wantsDeadLetters, type WebhookSettings } from './settings.ts';
import type { Turns } from './turns.ts';
import { WebhookCursor } from './webhook-cursor.ts';

/** The most messages of one turn, and the most that are sent again after a crash. */
const WEBHOOK_TURN_MAX_MESSAGES = 16;
/** The longest turn. Other webhooks get their turns then. */
const WEBHOOK_TURN_MS = 1_000;
/** A read ends with the message that reaches this size. Stops a few hanging receivers from taking the memory that hundreds of others need. */
const WEBHOOK_READ_MAX_BYTES = 32 * 1024;
/** How often the cursor of a webhook without messages moves on in the database. Stops retention from overtaking the cursor. */
const WEBHOOK_QUIET_MS = 60_000;
/** The pause after a failed read of the log. */
const WEBHOOK_READ_RETRY_MS = 1_000;
export interface WebhookReaderDependencies extends FailureStreakOptions, AttemptsDependencies {
  readonly history: Pick<History, 'findInTail'>;
  readonly starts: Pick<Starts, 'resolve'>;
  readonly tail: Pick<Tail, 'last' | 'log' | 'clean' | 'erasures'>;
  readonly audience: Pick<Audience, 'makeRoom' | 'join' | 'leave'>;
  readonly turns: Turns;
  readonly notes: Pick<Notes, 'note'>;
  /** Bounds the messages in the turns of all webhooks that did not fail last time. */
  readonly budget: Budget;
  /** Bounds the messages of webhooks that failed last time. Stops hanging receivers from taking the memory of the others. */
  readonly suspectBudget: Budget;
  readonly clock: Clock;
}

/** The next action after a read, an attempt or a turn. */
type Next =
  /** More messages may follow at once. */
  | 'more'
  /** The log has no more messages: wait for new ones. */
  | 'quiet'
  /** The receiver did not take a delivery: wait for the end of the pause. */
  | 'pause'
  /** The turn failed because of the service, not of the receiver: the log, a dead letter or the lease. Try again a little later. */
  | 'retry'
  /** The reader is stopping, or the receiver has disabled its webhook. */
  | 'stop';

/**
 * Sends one webhook's messages to its receiver, in the order of the log. It sends one message at a time. It goes on when the receiver accepts the message, or
 * the reader skips it or gives it up.
 *
 *     start ─► #askTurn ─► #take: read, #attempt (attempts.ts), read, … ─► #note: store the cursor ─► #goOn ─┬─► more messages: #askTurn
 *                                                                                             ├─► quiet: #waitForMessages ─► #askTurn
 *                                                                                             └─► a failure: a pause ─► #askTurn
 *
 * The reader waits for new messages in the audience, as a long poll does: the fan-out matches a message once for all webhooks. It reads from the tail, unless it is far behind.
 */
export class WebhookReader {
  readonly #deps: WebhookReaderDependencies;
  readonly #record: WebhookRecord;
  readonly #settings: WebhookSettings;
  readonly #filter: Filter;
  readonly #events: ReadonlySet<string> | undefined;
  readonly #origin: string;
  readonly #wait: MessageWait;
  readonly #ended = new AbortController();
  #timer: Timer | undefined;
  /** Resolves when the database has the outcome of the latest turn. */
  #turn: Promise<void> = Promise.resolve();
  readonly #cursor: WebhookCursor;
  readonly #streak: FailureStreak;
  readonly #attempts: Attempts;
  #isStopping = false;

  constructor(record: WebhookRecord, deps: WebhookReaderDependencies) {
    this.#deps = deps;
    this.#record = record;
    this.#settings = settingsOf(record.settings);
    this.#filter = new Filter(this.#settings.topics);
    this.#events = this.#settings.events && new Set(this.#settings.events);
    this.#origin = new URL(this.#settings.url).origin;
    this.#wait = new MessageWait({ ...deps, filter: this.#filter, quietMs: WEBHOOK_QUIET_MS });
    this.#cursor = new WebhookCursor(record.cursor);
    this.#streak = new FailureStreak(record, deps);
    this.#attempts = new Attempts({ id: record.id, settings: this.#settings, streak: this.#streak, signal: this.#ended.signal, isStopping: () => this.#isStopping, moveTo: (position) => this.#moveTo(position) }, deps);
  }

  get version(): number {
    return this.#record.version;
  }

  get fence(): number {
    return this.#record.fence;
  }

  get isFailing(): boolean {
    return this.#streak.isFailing;
  }

  get isCircuitOpen(): boolean {
    return this.#streak.isCircuitOpen;
  }

  /** How many numbers of the log the reader has not read yet; 0 while it waits for a new message. */
  get behind(): number {
    return this.#wait.isUnderWay ? 0 : Math.max(0, this.#deps.tail.last - this.#cursor.at.seq);
  }

  start(): void {
    const pause = this.#streak.pauseLeft;
    if (pause > 0) this.#after(pause, () => this.#askTurn());
    else this.#askTurn();
  }

  /** Aborts the current attempt. Resolves when the turn is over. */
  async stop(): Promise<void> {
    this.#ended.abort();
    await this.finish();
  }

  /** Begins no further attempt. Resolves when the current attempt has ended by itself and the turn is over. */
  async finish(): Promise<void> {
    this.#isStopping = true;
    this.#timer?.cancel();
    this.#wait.cancel();
    await this.#turn;
  }

  #after(milliseconds: number, then = () => this.start()): void {
    this.#timer = this.#deps.clock.after(milliseconds, then);
  }

  #askTurn(): void {
    if (this.#isStopping) return;
    this.#deps.turns.ask({ origin: this.#origin, isSuspect: this.#streak.isFailing, run: async () => {
      // `finish` was called while the reader waited for its turn.
      if (this.#isStopping) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#turn = promise;
      const following = await this.#take();
      // Do not wait for the database here: the turn's place is free for other webhooks now.
      void this.#note().then((isNoted) => {
        resolve();
        if (isNoted) this.#goOn(following);
      });
    } });
  }

  #goOn(next: Next): void {
    if (this.#isStopping || next === 'stop') return;
    if (next === 'more') this.#askTurn();
    else if (next === 'quiet') void this.#waitForMessages();
    else if (next === 'retry') this.#after(WEBHOOK_READ_RETRY_MS);
    // Do not call `start`: it would compute the pause anew by the wall clock, and wait again if somebody set that clock back.
    else this.#after(this.#streak.pauseLeft, () => this.#askTurn());
  }

  /** Reads messages and attempts them until the turn is over. */
  async #take(): Promise<Next> {
    const end = this.#deps.clock.monotonic() + WEBHOOK_TURN_MS;
    const isSuspect = this.#streak.isFailing;
    const hold = new Hold(isSuspect ? this.#deps.suspectBudget : this.#deps.budget);
    try {
      await this.#cursor.locate(this.#deps.starts, this.#filter, () => this.#isStopping);
      for (let taken = 0; taken < WEBHOOK_TURN_MAX_MESSAGES && this.#deps.clock.monotonic() < end;) {
        if (this.#isStopping) return 'stop';
        const { erasures } = this.#deps.tail;
        const found = await this.#deps.history.findInTail({ at: this.#cursor.at, gap: this.#cursor.gap }, { filter: this.#filter, limit: isSuspect ? 1 : WEBHOOK_TURN_MAX_MESSAGES - taken, maxBytes: WEBHOOK_READ_MAX_BYTES, hold, ofHeld: false, readTo: 0 });
        if (found.gap !== undefined) {
          const { gap } = found;
          const delivery = gapDelivery(gap, this.#cursor.taken, this.#settings.format, this.#deps.now());
          const next = await this.#attempt({ delivery, after: parseId(gap.resumed)!, read: undefined });
          // The cursor keeps the gap, so the next turn sends it again.
          if (next !== 'more') return next;
          this.#cursor.passGap();
          taken += 1;
          continue;
        }
        const next = await this.#deliver(found, erasures, end);
        if (next !== undefined) return next;
        taken += found.messages.length;
        if (found.messages.length === 0 && !found.more) return 'quiet';
      }
      return 'more';
    } catch (error) {
      if (!(error instanceof StoreError) && !(error instanceof Problem)) throw error;
      return 'retry';
    } finally {
      hold.release();
    }
  }

  /** Attempts the messages of one read. @returns The reason to end the turn; undefined if all messages were processed. */
  async #deliver(found: Found, erasures: number, end: number): Promise<Next | undefined> {
    for (const message of found.messages) {
      if (this.#isStopping) return 'stop';
      if (this.#deps.clock.monotonic() >= end) return 'more';
      // Do not send a message that was erased during the attempts before it. If the tail has forgotten the erasures, read again.
      if (!this.#deps.tail.clean([message], { erasures })) return 'more';
      if (!this.#wants(message)) {
        this.#moveTo(message);
        continue;
      }
      const next = await this.#attempt({ delivery: messageDelivery(message, this.#settings.format), after: message, read: { message, erasures } });
      if (next !== 'more') return next;
    }
    this.#moveTo(found.at);
    return undefined;
  }

  #wants(message: Message): boolean {
    if (message.isErased || message.isExpired(this.#deps.now())) return false;
    if (isDeadLetter(message) && (isDeadLetter(message, this.#record.id) || !wantsDeadLetters(this.#settings, message.topic))) return false;
    return this.#events?.has(message.event ?? 'message') !== false;
  }

  async #attempt(attempt: Attempt): Promise<Next> {
    const outcome = await this.#attempts.make(attempt);
    return outcome === 'gone' ? this.#disable() : outcome;
  }

  async #disable(): Promise<Next> {
    this.#streak.refused();
    await this.#note('its receiver answered 410: it wants no more');
    return 'stop';
  }

  #moveTo(position: Position): void {
    this.#cursor.moveTo(position);
    this.#streak.moved();
  }

  /** Sends the cursor and the attempts to the database. Resolves with false if another instance owns the webhook, or an administrator restarted it. */
  #note(disabled?: string): Promise<boolean> {
    const attempts = this.#attempts.takeTexts();
    const isUnchanged = disabled === undefined && attempts.length === 0 && this.#cursor.isSent;
    if (isUnchanged) return Promise.resolve(true);
    this.#cursor.markSent();
    return this.#deps.notes.note({ id: this.#record.id, fence: this.#record.fence, cursor: this.#cursor.taken, ...this.#streak.row, disabled, attempts });
  }

  /** Waits in the audience until a new message may match. */
  async #waitForMessages(): Promise<void> {
    if (!this.#wait.makeRoom()) {
      this.#after(WEBHOOK_READ_RETRY_MS);
      return;
    }
    // No message up to `quietTo` matches: advance the cursor.
    const quietTo = await this.#wait.after(this.#cursor.at.seq);
    const { log } = this.#deps.tail;
    const { at } = this.#cursor;
    if (quietTo !== undefined && quietTo > at.seq && log?.lineage.isGood(at) === true) this.#moveTo(log.lineage.at(quietTo));
    this.#askTurn();
  }
}
