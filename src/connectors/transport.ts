import type { SourcePosition } from '../store/contracts/connector-store.ts';

/**
 * A kind of system (NATS, Kafka): how its connectors are declared, and how it is read and written. A transport keeps nothing that must outlast its process. Where a source
 * stands is in the log's database, and comes back as `positions`.
 */
export interface Transport {
  readonly source: {
    /** Members of a declared source that belong to this transport. */
    readonly members: readonly string[];
    /** Names that templates of its sources may use for values of a record. */
    readonly fields: readonly string[];
    /** The topic of a source that has no template. */
    readonly topic: string;
    /** @throws Problem that names the member */
    read(given: Readonly<Record<string, unknown>>, declared: Declared): Opener<Source>;
  };
  readonly sink: {
    readonly members: readonly string[];
    /** The member that holds the template of where messages go, and its default. */
    readonly target: {
      readonly member: string;
      readonly otherwise: string;
      /** Why the system can have no such target; undefined where it may. */
      readonly whyNot: (target: string) => string | undefined;
    };
    /** @throws Problem that names the member */
    read(given: Readonly<Record<string, unknown>>, declared: Declared): Opener<Sink>;
  };
}

/** Where a connector is declared. */
export interface Declared {
  readonly name: string;
  /** Names the connector in errors: `connectors.orders`. */
  readonly field: string;
  /** Has the secrets that the file names. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A connector of a transport, before anything is connected. */
export interface Opener<Opened> {
  /** The system, without secrets. Equal for two connectors of one system: what a source takes from it no sink sends back. */
  readonly place: string;
  /** Loads the client ahead of `open`: while the process runs, the packages may be replaced on the disk. */
  load(): Promise<unknown>;
  /** Loads the client, if it is not loaded, and connects. Rejects where the system is away; the runner tries again, later each time. */
  open(context: OpenContext): Promise<Opened>;
}

export interface OpenContext {
  readonly name: string;
  /** The log's own id: what a transport makes on the other side, such as a consumer, must not be another log's. */
  readonly logId: string;
  /** The fence of this ownership, larger than the fence of each owner before. */
  readonly fence: number;
  readonly signal: AbortSignal;
}

/** An open source. It is used once: when `read` ends, the runner closes it, and opens another one. */
export interface Source {
  /**
   * Hands records over until `reading.signal` aborts; then it resolves. Rejects when the connection is lost. Records of one part come in the order of their positions; the same record may come
   * again. A record that is left out between two others is lost.
   */
  read(reading: Reading): Promise<void>;
  close(): Promise<void>;
}

export interface Reading {
  /** Where to read on, by part: after these. A part that is not there begins where the declaration says. */
  readonly positions: ReadonlyMap<string, SourcePosition>;
  /**
   * Stores records. One call at a time. When it resolves they are durable, and can be acknowledged to the other side. When it rejects, `read` rejects with the same error.
   */
  take(records: readonly SourceRecord[]): Promise<void>;
  /** Stores where parts begin, or go back to, without a record: all of them, or none. */
  startAt(places: ReadonlyMap<string, SourcePosition>): Promise<void>;
  /** Tells that records can come in: everything that `read` listens to is there. */
  up(): void;
  /** Tells how many records wait on the other side. */
  waiting(records: number): void;
  /** Tells that records were lost before this source had them, as core NATS does where nobody listens fast enough. */
  lost(records: number): void;
  readonly signal: AbortSignal;
}

/** A record from another system. */
export interface SourceRecord {
  /** A part with an order of its own, such as a partition; '' if the whole has one order. */
  readonly part: string;
  /** undefined where the system has no positions: then each record is taken as a new one. */
  readonly at: SourcePosition | undefined;
  /** By the names of `Transport.source.fields`. */
  readonly fields: Readonly<Record<string, string | undefined>>;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly data: Uint8Array;
}

/** An open sink. When `send` rejects, the runner closes it and opens another one. */
export interface Sink {
  /**
   * Sends messages in their order. Calls `sent` after each that the other side has acknowledged, in order too. Rejects at the first that it cannot send, and sends none after it.
   * With `UnsendableMessage` it says that this message can never be sent.
   */
  send(messages: readonly Outgoing[], sent: () => void): Promise<void>;
  close(): Promise<void>;
  /** Resolves when the connection is lost, also while nothing is sent. It never rejects. */
  readonly lost: Promise<Error | void>;
}

export interface Outgoing {
  /** The message's id. A system that remembers ids takes it once. */
  readonly id: string;
  /** Where it goes: what the template has made. */
  readonly target: string;
  readonly topic: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly data: Uint8Array;
}

/** The system will never take this message: it is too large, or its target is no name there. */
export class UnsendableMessage extends Error {
  override name = 'UnsendableMessage';
}

/** A header of all that a sink sends: the log that it came from. A source passes over what its own log has sent. */
export const LOG_HEADER = 'tidings-log';
