import type { SourcePosition } from '../store/contracts/connector-store.ts';

/**
 * The client of one kind of system (NATS, Kafka): how connectors of that system are declared, and how the system is read and written. A transport stores nothing durably. The position of
 * a source is in the log's database, and `read` gets it as `positions`.
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
    /** The member with the template of the subject or topic that messages go to, and the default of that template. */
    readonly target: {
      readonly member: string;
      readonly otherwise: string;
      /** Why a name is invalid as a target; undefined if it is valid. */
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
  /** The environment variables, for secrets that the file refers to. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A connector of a transport, before anything is connected. */
export interface Opener<Opened> {
  /** The name of the system, without secrets. Two connectors of one system have equal names, so that no sink sends back the messages that a source took from there. */
  readonly place: string;
  /** Loads the client before `open` needs it, because an update may replace the packages on disk while the process runs. */
  load(): Promise<unknown>;
  /** Loads the client if needed, and connects. Rejects if the system is away; the runner retries with growing pauses. */
  open(context: OpenContext): Promise<Opened>;
}

export interface OpenContext {
  readonly name: string;
  /** The log's own id. A transport puts it into the names of its objects in the system, such as consumers, so that two logs never share one. */
  readonly logId: string;
  /** The fencing token of this owner, larger than the token of each earlier owner. */
  readonly fence: number;
  readonly signal: AbortSignal;
}

/** An open source. `read` is called once. When it ends, the runner closes the source and opens a new one. */
export interface Source {
  /**
   * Passes records to `reading.take` until `reading.signal` aborts; then it resolves. Rejects when the connection is lost. Records of one part come in the order of their positions.
   * A record may come again. Never skip one: the position moves past it, so it would be lost.
   */
  read(reading: Reading): Promise<void>;
  close(): Promise<void>;
}

export interface Reading {
  /** The stored position of each part: read on after it. A part without a position begins as declared (`from`). */
  readonly positions: ReadonlyMap<string, SourcePosition>;
  /**
   * Stores records. Make one call at a time. When it resolves, the records are durable: acknowledge them to the system. When it rejects, `read` must reject with the same error.
   */
  take(records: readonly SourceRecord[]): Promise<void>;
  /** Stores positions of parts without a record, all or none: where a new part begins, or where a reset part goes on. */
  startAt(places: ReadonlyMap<string, SourcePosition>): Promise<void>;
  /** Call it when the source is connected and all its subscriptions are active. */
  up(): void;
  /** Reports how many records the system has that this source has not read yet. */
  waiting(records: number): void;
  /** Reports records that were lost before this source got them. Core NATS, for example, drops records for a slow subscriber. */
  lost(records: number): void;
  readonly signal: AbortSignal;
}

/** A record from another system. */
export interface SourceRecord {
  /** The part that the record belongs to, such as a partition. Only records of one part are in order. '' if all records have one order. */
  readonly part: string;
  /** Undefined if the system has no positions: then each record counts as new. A source gives a position to all its records or to none. */
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
   * Sends messages in order. Calls `sent` for each message that the system has acknowledged, in the same order. Stops and rejects at the first message that it cannot send.
   * It rejects with `UnsendableMessage` if that message can never be sent.
   */
  send(messages: readonly Outgoing[], sent: () => void): Promise<void>;
  close(): Promise<void>;
  /** Resolves when the connection is lost, even if nothing is being sent. Never rejects. */
  readonly lost: Promise<Error | void>;
}

export interface Outgoing {
  /** The message's id, by which a system may deduplicate. */
  readonly id: string;
  /** The subject or topic that the template made. */
  readonly target: string;
  readonly topic: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly data: Uint8Array;
}

/** The system will never take this message: it is too large, or its target is no name there. */
export class UnsendableMessage extends Error {
  override name = 'UnsendableMessage';
}

/** The header of every sent message that names its log. A source skips the messages of its own log. */
export const LOG_HEADER = 'tidings-log';
