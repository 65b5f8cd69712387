import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import type { BusListener } from './bus.ts';
import { EnvelopeKeys } from './envelope-keys.ts';
import { decode } from './envelope.ts';
import { NoteReader } from './note-envelope.ts';
import { WakeLimiter } from './wake-limiter.ts';

/** How often the same warning may be logged. Stops a stranger on the bus from filling the log of the process. */
const WARN_INTERVAL_MS = 60_000;

type Refused = keyof Counters['busRefused'];

/** The log line about a refused envelope. Another epoch is usual while an instance starts, and `late` after a freeze: both are only counted. */
function warningOf(kind: Refused, server: string): string | undefined {
  switch (kind) {
    case 'other-version': return `another version of Tidings, or something else, publishes on this ${server}: looking at the log instead`;
    case 'forged': return `a message from ${server} is not of an instance that can read the log: somebody else may publish on this ${server}. Looking at the log instead`;
    case 'malformed': return `a message from ${server} was malformed: looking at the log instead`;
    case 'repeated': return `a note from ${server} came again: somebody who may read and publish there has repeated it. It has no effect; this instance looks at the log`;
    case 'late':
    case 'other-epoch': return undefined;
  }
}

export interface IncomingOptions {
  readonly listener: BusListener;
  /** The random number of this process, by which it ignores its own envelopes. */
  readonly sender: Buffer;
  /** The name of the server in log lines. */
  readonly server: string;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'busRefused'>;
  readonly logger: Pick<Logger, 'warn'>;
}

/** Checks the envelopes from a server that strangers may use, too. Passes proved messages and notes to the listener. */
export class Incoming {
  readonly keys: EnvelopeKeys;
  readonly #listener: BusListener;
  readonly #sender: Buffer;
  readonly #server: string;
  readonly #clock: Clock;
  readonly #counters: Pick<Counters, 'busRefused'>;
  readonly #logger: Pick<Logger, 'warn'>;
  readonly #notes: NoteReader;
  /** Bounds the rate of looks at the log, because any stranger on the channel can cause them. */
  readonly #wakes: WakeLimiter;
  /** When each warning was logged last. */
  readonly #warnedAt = new Map<string, number>();

  constructor({ listener, sender, server, clock, counters, logger }: IncomingOptions) {
    this.keys = new EnvelopeKeys((epoch) => listener.secretOf(epoch));
    this.#listener = listener;
    this.#sender = sender;
    this.#server = server;
    this.#clock = clock;
    this.#counters = counters;
    this.#logger = logger;
    this.#notes = new NoteReader(sender, this.keys);
    this.#wakes = new WakeLimiter(clock, () => listener.wake());
  }

  commit(payload: Buffer): void {
    const envelope = decode(payload, this.#sender, this.keys);
    switch (envelope.kind) {
      case 'own':
        return;
      case 'messages':
        return this.#listener.receive(envelope.messages);
      case 'look':
        return this.#wakes.wake();
      case 'other-version':
      case 'other-epoch':
      case 'forged':
      case 'malformed':
        this.#refused(envelope.kind);
        // The envelope may have brought a commit, from another version or damaged.
        return this.#wakes.wake();
    }
  }

  /** @returns Whether the note came from another instance that can read the log. */
  note(payload: Buffer): boolean {
    const read = this.#notes.read(payload, this.#listener.sealing().now);
    if (read.kind === 'own') return false;
    if (read.kind === 'note') {
      this.#listener.told(read.note);
      return true;
    }
    this.#refused(read.kind);
    // The sender may know a newer epoch than this instance, or an older one.
    if (read.kind === 'other-epoch') this.#wakes.wake();
    // The note may have brought a revocation, from a newer version or late after a freeze. A look needs no proof.
    this.#listener.toldUnproved();
    return false;
  }

  stop(): void {
    this.#wakes.stop();
  }

  #refused(kind: Refused): void {
    this.#counters.busRefused[kind]++;
    const warning = warningOf(kind, this.#server);
    const now = this.#clock.monotonic();
    if (warning === undefined || now - (this.#warnedAt.get(kind) ?? -Infinity) < WARN_INTERVAL_MS) return;
    this.#warnedAt.set(kind, now);
    this.#logger.warn({}, warning);
  }
}
