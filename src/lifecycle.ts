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

/** The pause after a failed opening of the log. It doubles with each failure, up to the maximum. */
const OPEN_RETRY_MIN_MS = 1_000;
const OPEN_RETRY_MAX_MS = 30_000;
/**
 * How long the port stays closed while the log opens for the first time. With an open port, clients would get `$busy`, and stay away for longer than the opening
 * takes. After this time, or if the opening fails, the port opens, so that `/healthz` answers.
 */
const OPEN_FIRST_MS = 5_000;
/**
 * The drain ends early if no request came for this time. Load balancers ask for `/readyz` every second. So the instance waits until they know that it drains: later they would
 * send requests into connections that it closes.
 */
const QUIET_MS = 1_500;
const QUIET_LOOK_MS = 50;
/** After the drain's window: the time for the last frames and answers to leave the sockets. */
const LAST_WORDS_MS = 1_000;
/** After the drain's window: how long publishers wait for the log. Stops a database that hangs from leaving them without an answer when the process is killed. */
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
  /** This process's side of the supervisor, if it is one of several workers. */
  readonly worker: Pick<Worker, 'place' | 'whenEnded' | 'tellAccepting' | 'tellListening'> | undefined;
}

/**
 * The life of an instance.
 *
 * ```
 * opening ── the log is open ──► serving ── SIGTERM ──► draining ──► closed: the process ends
 *    └── fails: tries again        └─────── SIGINT, an error ─────────────┘
 * ```
 *
 * `isOpening` and `isDraining` are separate flags, because a signal may come while the log opens.
 */
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

  /** True until the log was opened for the first time. */
  get isOpening(): boolean {
    return this.#isOpening;
  }

  /** The reason why the last opening of the log failed; undefined if none failed. */
  get openFailure(): string | undefined {
    return this.#openFailure;
  }

  /** True from the first signal on. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Sends SIGTERM to this process, at most once: a second signal would end it at once. */
  drain(): void {
    if (this.#isDraining || this.#isToldToDrain) return;
    this.#isToldToDrain = true;
    process.kill(process.pid, 'SIGTERM');
  }

  /** Opens the log, and everything that needs it. Resolves with the database's error if the log cannot be opened. */
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
   * @param firstTry The result of the first call of `openLog`.
   */
  async serve(served: Served, firstTry: Promise<StoreError | undefined>): Promise<void> {
    const listeners = new Listeners({ served, config: this.#config, logger: this.#logger, worker: this.#worker });
    const drainMs = this.#config.DRAIN_SECONDS * 1000;
    let told: EndingSignal | undefined;
    const skip = this.#worker === undefined ? [] : [...ENDING_SIGNALS];
    const { close } = closeWithGrace({ delay: drainMs + CLOSE_MS, logger: this.#logger, skip }, async ({ signal = told, err }) => {
      if (err !== undefined) this.#logger.fatal({ err }, 'the service ends because of an error');
      // SIGTERM comes from an orchestrator, which leaves time for a drain. SIGINT comes from Ctrl-C: close at once.
      await this.#close(listeners, signal === 'SIGTERM' ? drainMs : 0);
    });
    this.#worker?.whenEnded((signal) => {
      // An error has already begun the end.
      if (this.#isDraining) return;
      told = signal;
      close();
    });
    // Before the port for clients: `/readyz` on this port says why the other port is not open yet.
    await listeners.listenForOperations();
    await Promise.race([firstTry, pause(OPEN_FIRST_MS)]);
    if (!this.#isDraining) await listeners.listen(() => this.#isOpening);
    await this.#keepOpening(firstTry);
    if (this.#isDraining) return;
    const greeting = listeners.greeting({ databaseName: this.#databaseName, isOpen: this.#access.isOpen === true });
    // Not on standard output: programs that read it expect lines of the logger.
    if (this.#worker === undefined) process.stderr.write(greeting);
    else this.#worker.tellListening(greeting);
  }

  /** Waits for the first opening of the log, and tries again until one succeeds. Meanwhile publishes get 503 and streams `$busy`. */
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
   * 1. Drains: answers all long polls, and closes the streams evenly over the window. Publishes are still taken. It ends early if no stream is open and no request comes.
   * 2. Closes the port for clients. Requests that are still arriving have the rest of the window.
   * 3. Closes the other rooms, the database, and the port for operations, in this order.
   */
  async #close(listeners: Listeners, windowMs: number): Promise<void> {
    if (this.#isDraining) return;
    this.#isDraining = true;
    const { streams, longPolls } = this.#delivery;
    this.#logger.info({ streams: streams.size, seconds: windowMs / 1000 }, 'draining');
    const end = this.#clock.monotonic() + windowMs;
    longPolls.drain();
    // Releases webhooks and connectors first, so that other instances continue them at once.
    const letGo = Promise.all([this.#webhooks.close(), this.#connectors.close()]);
    const drained = streams.drain(windowMs);
    while (!this.#isQuiet && this.#clock.monotonic() < end) await pause(QUIET_LOOK_MS);
    await Promise.race([drained, pause(LAST_WORDS_MS)]);
    this.#delivery.stop();
    const closed = listeners.close();
    await waitAtMost(Math.max(0, end - this.#clock.monotonic()), closed);
    await Promise.race([closed, this.#answered()]);
    // Only requests that never arrived completely are left. They must not keep the process from ending.
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

  /** No stream, long poll or publish is open, and no request came for `QUIET_MS`. */
  get #isQuiet(): boolean {
    const { streams, longPolls } = this.#delivery;
    return streams.size === 0 && longPolls.waiting === 0 && this.#log.publisher.waiting === 0 && this.#lastRequest.quietMs >= QUIET_MS;
  }

  /** Resolves when every publish has its answer, and the answers had time to leave. */
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
