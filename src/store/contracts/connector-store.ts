/**
 * Connectors in the database of the log: which instance runs each, how far a source has read, where a sink stands. Both stores implement this contract, and `test/contract/connector-store.ts`
 * checks them. A source's position moves in `Store.append`, in the transaction of its messages; nothing here moves it.
 *
 * One instance at a time owns a connector, by a lease as webhooks have it (webhook-store.ts). Each new owner has the next fence. Under an older fence nothing is stored and nothing is noted.
 * Methods reject with a `StoreError` and nothing else. None blocks the event loop or waits without end. Changes are durable when they resolve.
 */
export interface ConnectorStore {
  /**
   * Keeps the lease of an owner, and ends the leases of owners that did not call in time. Then the owner takes named connectors that have no owner, up to its share.
   * An owner with more than its share learns that, and releases some.
   */
  leaseConnectors(owner: ConnectorOwner): Promise<LeasedConnectors>;

  /** Lets go of connectors, so that another instance takes them at once. Where `names` is undefined the owner releases all, and its lease ends. */
  letGoOfConnectors(owner: string, names: readonly string[] | undefined): Promise<void>;

  /** The connectors with these names, at most `MAX_CONNECTORS` of them, in any order. */
  findConnectors(names: readonly string[]): Promise<readonly ConnectorRecord[]>;

  /** How far a source has read, for each of its parts. */
  sourcePositions(connector: string): Promise<readonly StoredPosition[]>;

  /** Moves a sink's cursor, and notes how a connector is. @returns Whether the fence was the newest. Otherwise nothing was noted. */
  noteConnector(note: ConnectorNote): Promise<boolean>;

  /** Where messages with the numbers `first` to `last` came from, in order of their numbers. Messages that no source stored are in none of the ranges. */
  originsWithin(first: number, last: number): Promise<readonly OriginRange[]>;
}

/** The most connectors that are declared. Stops a mistaken file from taking the memory and the connections of instances. */
export const MAX_CONNECTORS = 100;
/** The most parts of one source, such as partitions of a Kafka topic. Bounds what one append moves. */
export const SOURCE_MAX_PARTS = 1_000;
/** The longest name, part, identity or place. */
export const CONNECTOR_NAME_MAX_BYTES = 512;
/** The longest note of how a connector is. */
export const CONNECTOR_STATUS_MAX_BYTES = 4 * 1024;

export interface ConnectorOwner {
  /** A name that lives once. */
  readonly owner: string;
  readonly leaseMs: number;
  /** The connectors that the owner's file declares. */
  readonly names: readonly string[];
}

export interface LeasedConnectors {
  /** The named connectors that the owner has. */
  readonly held: readonly { readonly id: string; readonly version: number; readonly fence: number }[];
  /** How many it should have at most. */
  readonly share: number;
}

export interface ConnectorRecord {
  readonly name: string;
  /** The instance that runs it; '' for none. */
  readonly owner: string;
  readonly fence: number;
  /** The position up to which a sink has sent everything; '' before it began, and for a source. */
  readonly cursor: string;
  /** How it is, as its owner noted it last; '' before. */
  readonly status: string;
}

export interface ConnectorNote {
  readonly name: string;
  readonly fence: number;
  /** undefined leaves it as it is. */
  readonly cursor: string | undefined;
  readonly status: string;
}

/** A position in the stream or topic that a source reads. */
export interface SourcePosition {
  /** Identifies the stream or topic on the other side. A new one of the same name has another identity, and positions begin again. Empty if the other side does not tell. */
  readonly identity: string;
  readonly position: number;
}

export interface StoredPosition extends SourcePosition {
  /** A part with an order of its own, such as a partition. */
  readonly part: string;
}

/** How the position of a part moves: only from the position that the source believes to be stored. */
export interface PositionMove {
  readonly part: string;
  /** undefined where nothing is stored of the part. */
  readonly from: SourcePosition | undefined;
  readonly to: SourcePosition;
}

/** An append of a source. Its messages are stored if its owner is the newest one, and all positions stand where that owner believes. */
export interface SourceStep {
  readonly connector: string;
  readonly fence: number;
  /** The system that the messages came from: no sink sends them back there. */
  readonly origin: string;
  /** Empty where the other side has no positions. Then the fence alone decides. */
  readonly moves: readonly PositionMove[];
}

export interface OriginRange {
  readonly first: number;
  readonly last: number;
  readonly origin: string;
}
