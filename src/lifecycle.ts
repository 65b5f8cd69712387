import closeWithGrace from 'close-with-grace';
import type { Logger } from 'pino';
import type { Access } from './access/access.ts';
import type { Bus } from './bus/bus.ts';
import type { ControlChannel } from './bus/control-channel.ts';
import type { Config } from './config/config.ts';
import type { Connectors } from './connectors/connectors.ts';
import type { Delivery } from './delivery/delivery.ts';
import type { Fleet } from './fleet/fleet.ts';
import type { Limits } from './limits/limits.ts';
import { Listeners, type Served } from './listeners.ts';
import type { MessageLog } from './log/log.ts';
import type { LogState } from './model/epochs.ts';
import type { Presence } from './presence/presence.ts';
import { waitAtMost, type Clock } from './runtime/clock.ts';
import type { Counters } from './runtime/counters.ts';
import { LastChange } from './runtime/last-change.ts';
import { StoreError, type Store } from './store/store.ts';
import type { Webhooks } from './webhooks/webhooks.ts';
import { CLOSE_MS } from './workers/closing-time.ts';
import { ENDING_SIGNALS, type EndingSignal } from './workers/signals.ts';
import type { Worker } from './workers/worker.ts';

/** The pause before the log that could not be opened is opened again; it doubles each time, up to the second. */
const OPEN_RETRY_MIN_MS = 1_000;
const OPEN_RETRY_MAX_MS = 30_000;
/**
 * How long the port stays closed while the log is opened for the first time: earlier clients would be told `$busy`, and stay away for
 * longer than that takes. After it, or when the log cannot be opened, `/healthz` answers.
 */
const OPEN_FIRST_MS = 5_000;
/**
 * The window ends early when no request has come for this time. Load balancers ask for `/readyz` every second: so they learn that the instance is going, and send no
 * request into a connection that is closing.
 */
const QUIET_MS = 1_500;
const QUIET_LOOK_MS = 50;
/** How long last frames and answers have to leave when the window is over. */
const LAST_WORDS_MS = 1_000;
/** How long publishers wait for the log when the window is over. Stops a log that does not answer from keeping them without an answer until the process is killed. */
const LAST_PUBLISHES_MS = 7_000;

export interface LifecycleDependencies {
  readonly config: Config;
  readonly logger: Logger;
  readonly store: Store;
  readonly bus: Bus;
  readonly control: Pick<ControlChannel, 'told' | 'toldUnproved'>;
  readonly log: MessageLog;
  readonly delivery: Delivery;
  readonly access: Access;
  readonly limits: Pick<Limits, 'join' | 'close'>;
  readonly fleet: Pick<Fleet, 'open' | 'leave'>;
  readonly presence: Pick<Presence, 'join' | 'close'>;
  readonly webhooks: Pick<Webhooks, 'open' | 'close'>;
  readonly connectors: Pick<Connectors, 'open' | 'close'>;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'requests'>;
  /** The id of this process. */
  readonly instance: string;
  /** A description of the database, without secrets. */
  readonly databaseName: string;
  /** Where this process is one of several workers. */
  readonly worker: Pick<Worker, 'place' | 'whenEnded' | 'tellAccepting' | 'tellListening'> | undefined;
}

/** The life of an instance: it opens the log, listens, drains, and closes everything in the reverse order. */
export class Lifecycle {
  readonly #config: Config;
  readonly #logger: Logger;
  readonly #store: Store;
  readonly #bus: Bus;
  readonly #control: Pick<ControlChannel, 'told' | 'toldUnproved'>;
  readonly #log: MessageLog;
  readonly #delivery: Delivery;
  readonly #access: Access;
  readonly #limits: Pick<Limits, 'join' | 'close'>;
  readonly #fleet: Pick<Fleet, 'open' | 'leave'>;
  readonly #presence: Pick<Presence, 'join' | 'close'>;
  readonly #webhooks: Pick<Webhooks, 'open' | 'close'>;
  readonly #connectors: Pick<Connectors, 'open' | 'close'>;
  readonly #clock: Clock;
  readonly #lastRequest: LastChange;
  readonly #instance: string;
  readonly #databaseName: string;
  readonly #worker: LifecycleDependencies['worker'];
  #isOpening = true;
  #openFailure: string | undefined;
  #isDraining = false;
  #isToldToDrain = false;

  constructor({ config, logger, store, bus, control, log, delivery, access, limits, fleet, presence, webhooks, connectors, clock, counters, instance, databaseName, worker }: LifecycleDependencies) {
    this.#config = config;
    this.#logger = logger;
    this.#store = store;
    this.#bus = bus;
    this.#control = control;
    this.#log = log;
    this.#delivery = delivery;
    this.#access = access;
    this.#limits = limits;
    this.#fleet = fleet;
    this.#presence = presence;
    this.#webhooks = webhooks;
    this.#connectors = connectors;
    this.#clock = clock;
    this.#lastRequest = new LastChange(clock, () => counters.requests.fast + counters.requests.ordinary);
    this.#instance = instance;
    this.#databaseName = databaseName;
    this.#worker = worker;
  }

  /** Until the log was opened for the first time. */
  get isOpening(): boolean {
    return this.#isOpening;
  }

  /** Why the log could not be opened when that was last tried; undefined before it failed. */
  get openFailure(): string | undefined {
    return this.#openFailure;
  }

  /** From the first SIGTERM on. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Ends the process as SIGTERM does. A second signal would end it at once. */
  drain(): void {
    if (this.#isDraining || this.#isToldToDrain) return;
    this.#isToldToDrain = true;
    process.kill(process.pid, 'SIGTERM');
  }

  /** Opens the log. Resolves with the reason if it cannot be opened. */
  async openLog(): Promise<StoreError | undefined> {
    let state: LogState;
    try {
      state = await this.#store.open();
      await this.#access.open();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#openFailure = error.message;
      return error;
    }
    if (this.#access.hasNobody) {
      process.stderr.write(`HOST: ${this.#config.HOST} can be reached from other machines, and there is no key; make one (npx tidings keys create --name me --publish '>' --subscribe '>' --admin), or set AUTH=off to allow everybody, or HOST=127.0.0.1\n`);
      process.exit(1);
    }
    await this.#log.open(state, this.#delivery.fanout);
    if (this.#isDraining) return undefined;
    const { tail, retention, eraser } = this.#log;
    this.#bus.join(this.#store.logId, {
      instance: this.#instance,
      receive: (messages) => tail.receive(messages), wake: () => void tail.look(), told: (note) => this.#control.told(note), toldUnproved: () => this.#control.toldUnproved(),
      sealing: () => this.#log.sealing(), secretOf: (epoch) => this.#log.secretOf(epoch),
    });
    this.#limits.join(this.#store.logId);
    this.#fleet.open();
    this.#presence.join(this.#store.logId);
    retention.run();
    eraser.run();
    this.#webhooks.open();
    this.#connectors.open();
    this.#isOpening = false;
    this.#logger.info({ database: this.#databaseName, oldest: state.oldest, head: state.head, instance: this.#instance }, 'the log is open');
    return undefined;
  }

  /**
   * Serves until a signal ends the process. Resolves when the log is open and the port listens.
   *
   * @param firstTry What `openLog` returned when it was first called.
   */
  async serve(served: Served, firstTry: Promise<StoreError | undefined>): Promise<void> {
    const listeners = new Listeners({ served, config: this.#config, logger: this.#logger, worker: this.#worker });
    const drainMs = this.#config.DRAIN_SECONDS * 1000;
    let told: EndingSignal | undefined;
    const skip = this.#worker === undefined ? [] : [...ENDING_SIGNALS];
    const { close } = closeWithGrace({ delay: drainMs + CLOSE_MS, logger: this.#logger, skip }, async ({ signal = told, err }) => {
      if (err !== undefined) this.#logger.fatal({ err }, 'the service ends because of an error');
      // Ctrl-C means now; an orchestrator's SIGTERM leaves time for a drain.
      await this.#close(listeners, signal === 'SIGTERM' ? drainMs : 0);
    });
    this.#worker?.whenEnded((signal) => {
      // An error has ended it before.
      if (this.#isDraining) return;
      told = signal;
      close();
    });
    // Before the other port: somebody may want to know why that one is not open yet.
    await listeners.listenForOperations();
    await Promise.race([firstTry, pause(OPEN_FIRST_MS)]);
    if (!this.#isDraining) await listeners.listen(() => this.#isOpening);
    await this.#keepOpening(firstTry);
    if (this.#isDraining) return;
    const greeting = listeners.greeting({ databaseName: this.#databaseName, isOpen: this.#access.isOpen === true });
    // Not on standard output, where every line is a line of the logger.
    if (this.#worker === undefined) process.stderr.write(greeting);
    else this.#worker.tellListening(greeting);
  }

  /** Opens the log again and again until it is open. Meanwhile publishes get 503 and streams `$busy`. */
  async #keepOpening(tried: Promise<StoreError | undefined>): Promise<void> {
    for (let wait = OPEN_RETRY_MIN_MS; ; wait = Math.min(wait * 2, OPEN_RETRY_MAX_MS)) {
      const failure = await tried;
      if (failure === undefined || this.#isDraining) return;
      this.#logger.error({ err: failure, database: this.#databaseName, retryMs: wait }, 'the log cannot be opened');
      await pause(wait);
      if (this.#isDraining) return;
      tried = this.openLog();
    }
  }

  /**
   * Closes every stream over the window, and answers every long poll. Publishes are taken until the window is over. The window ends early when no stream is open and no
   * request comes. A request that is still being sent then has the rest of the window. Operations are answered until the end.
   */
  async #close(listeners: Listeners, windowMs: number): Promise<void> {
    if (this.#isDraining) return;
    this.#isDraining = true;
    const { streams, longPolls } = this.#delivery;
    this.#logger.info({ streams: streams.size, seconds: windowMs / 1000 }, 'draining');
    const end = this.#clock.monotonic() + windowMs;
    longPolls.drain();
    // Another instance goes on with them at once.
    const letGo = Promise.all([this.#webhooks.close(), this.#connectors.close()]);
    const drained = streams.drain(windowMs);
    while (!this.#isQuiet && this.#clock.monotonic() < end) await pause(QUIET_LOOK_MS);
    await Promise.race([drained, pause(LAST_WORDS_MS)]);
    this.#delivery.stop();
    const closed = listeners.close();
    await waitAtMost(Math.max(0, end - this.#clock.monotonic()), closed);
    await Promise.race([closed, this.#answered()]);
    // Only requests that never came to their end remain: they must not keep the process from ending.
    listeners.closeAllConnections();
    await closed;
    await letGo;
    this.#access.stop();
    this.#fleet.leave();
    this.#log.stop();
    await Promise.all([this.#bus.close(), this.#limits.close(), this.#presence.close()]);
    await this.#store.close();
    listeners.closeOperations();
  }

  /** Nothing is under way, and nobody seems to be about to ask. */
  get #isQuiet(): boolean {
    const { streams, longPolls } = this.#delivery;
    return streams.size === 0 && longPolls.waiting === 0 && this.#log.publisher.waiting === 0 && this.#lastRequest.quietMs >= QUIET_MS;
  }

  /** Resolves when every publish has been answered, and the answers have had time to leave. */
  async #answered(): Promise<void> {
    const { publisher } = this.#log;
    const giveUp = setTimeout(() => publisher.giveUp(), LAST_PUBLISHES_MS);
    do await pause(LAST_WORDS_MS);
    while (publisher.waiting > 0);
    clearTimeout(giveUp);
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds));
}
