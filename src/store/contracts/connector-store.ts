/**
 * Connectors in the database of the log: which instance owns each, the positions up to which a source has read, and the cursor of a sink.
 * `test/contract/connector-store.ts` checks both stores. Leases and fences are as in webhook-store.ts. The positions of a source move only in
 * `Store.append`, in the transaction of its messages (`SourceStep`).
 */
export interface ConnectorStore {
  /**
   * Renews the lease of an owner, and ends the leases that have expired. Then the owner takes connectors without an owner, up to its share of the named
   * connectors. An owner that has more than its share sees so in the answer, and releases the surplus.
   */
  leaseConnectors(owner: ConnectorOwner): Promise<LeasedConnectors>;

  /** Releases connectors, so that other instances can take them at once. If `names` is undefined, releases all connectors of the owner and ends its lease. */
  letGoOfConnectors(owner: string, names: readonly string[] | undefined): Promise<void>;

  /** Reads the connectors with these names, at most `MAX_CONNECTORS`, in any order. */
  findConnectors(names: readonly string[]): Promise<readonly ConnectorRecord[]>;

  /** Reads the position of each part of a source. */
  sourcePositions(connector: string): Promise<readonly StoredPosition[]>;

  /** Moves the cursor of a sink, and stores the status of a connector. @returns Whether the fence is the newest. If it is not, nothing was stored. */
  noteConnector(note: ConnectorNote): Promise<boolean>;

  /** Reads from which systems the messages `first` to `last` came, in the order of their numbers. Messages that no source stored are in no range. */
  originsWithin(first: number, last: number): Promise<readonly OriginRange[]>;
}

/** The most connectors of one file. Stops a mistaken file from taking the memory and the connections of instances. */
export const MAX_CONNECTORS = 100;
/** The most parts of one source, such as partitions of a Kafka topic. Bounds the positions that one append moves. */
export const SOURCE_MAX_PARTS = 1_000;
/** The longest name of a connector, part, identity or origin. Bounds the size of a row. */
export const CONNECTOR_NAME_MAX_BYTES = 512;
/** The longest status of a connector. Bounds the size of a row. */
export const CONNECTOR_STATUS_MAX_BYTES = 4 * 1024;

export interface ConnectorOwner {
  /** A random name, new for each process. */
  readonly owner: string;
  readonly leaseMs: number;
  /** The connectors that the file of this instance declares. */
  readonly names: readonly string[];
}

export interface LeasedConnectors {
  /** The named connectors of the owner. `version` is always 0. */
  readonly held: readonly { readonly id: string; readonly version: number; readonly fence: number }[];
  /** How many connectors the owner should have at most: an equal share of the named ones. */
  readonly share: number;
}

export interface ConnectorRecord {
  readonly name: string;
  /** The owner; '' if it has none. */
  readonly owner: string;
  readonly fence: number;
  /** The position up to which a sink has sent everything. '' for a sink that has not begun, and for a source. */
  readonly cursor: string;
  /** The status that its owner stored last, as text; '' before the first. */
  readonly status: string;
}

export interface ConnectorNote {
  readonly name: string;
  readonly fence: number;
  /** Undefined: leaves the cursor as it is. */
  readonly cursor: string | undefined;
  readonly status: string;
}

/** A position in the stream or topic that a source reads. */
export interface SourcePosition {
  /** The identity of the stream or topic in the other system. If somebody deletes it and makes a new one of the same name, the identity changes, and positions begin again. Empty if that system has no identities. */
  readonly identity: string;
  readonly position: number;
}

export interface StoredPosition extends SourcePosition {
  /** A part with an order of its own, such as a partition. */
  readonly part: string;
}

/** Moves the position of a part, if the stored position is still `from` (compare and swap). */
export interface PositionMove {
  readonly part: string;
  /** The stored position that the source has read; undefined if the part has none. */
  readonly from: SourcePosition | undefined;
  readonly to: SourcePosition;
}

/** Goes with a request of a source. The append stores its messages and moves its positions if the fence is the newest, and every stored position is the `from` of its move. */
export interface SourceStep {
  readonly connector: string;
  readonly fence: number;
  /** The system that the messages came from. No sink sends them back to it. */
  readonly origin: string;
  /** Empty if the other system has no positions. Then the fence alone decides. */
  readonly moves: readonly PositionMove[];
}

/** The messages `first` to `last` came from one system. Retention may have deleted some of them. */
export interface OriginRange {
  readonly first: number;
  readonly last: number;
  readonly origin: string;
}
