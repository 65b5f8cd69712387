/**
 * What publishers and clients of a simulation write down. The checker reads this and nothing else; numbers are in ids, and a client must not
 * look inside one, but that they have no holes is a part of what is checked.
 */

/** One thing that a publisher wanted stored once. Each of its messages carries a text that no other has. */
export interface Publication {
  readonly name: string;
  readonly topic: string;
  readonly texts: readonly string[];
  readonly hasKey: boolean;
  /** It had a TTL: nobody need see it. */
  readonly isFleeting: boolean;
  /** The log was to refuse it. */
  readonly isPoison: boolean;
  readonly sentAt: number;
  /** The ids that were answered, by request; and the codes of what went wrong. `lost`: there was no answer. */
  readonly answers: { readonly ids: readonly string[] }[];
  readonly failures: string[];
}

/** What a client was handed, in order, over all of its connections. */
export type Entry =
  /** It came back, with the last id it saw. */
  | { readonly kind: 'asked'; readonly id: string | undefined }
  /** `$open`, with the place where reading begins unless a gap follows. */
  | { readonly kind: 'open'; readonly id: string | undefined }
  | { readonly kind: 'message'; readonly id: string; readonly text: string; /** Where the stream says it. */ readonly topic: string | undefined }
  /** `$topics`: what comes after it is of these. */
  | { readonly kind: 'topics'; readonly id: string; readonly wants: readonly string[] }
  /** `$cursor`, or a page's: everything up to here was handed over. */
  | { readonly kind: 'cursor'; readonly id: string }
  | { readonly kind: 'gap'; readonly requested: string | null; readonly id: string; readonly reason: string }
  /** Something that is not of the protocol. */
  | { readonly kind: 'strange'; readonly what: string };

export interface ClientRecord {
  readonly name: string;
  /** Topics and patterns that it asked for at first. */
  readonly wants: readonly string[];
  readonly entries: (Entry & { readonly time: number })[];
}

export interface LostEpoch {
  readonly epoch: string;
  /** The epoch of the number before its first; undefined when it gave the first of all. */
  readonly parent: string | undefined;
}

/** What was done to the log from outside, which excuses some of what clients see. */
export interface Deeds {
  readonly instances: number;
  /** The highest number that retention has deleted. */
  trimmedTo: number;
  /** Older copies that took the log's place: the last number each held, the epoch that began after it, and those that it did not have. Epochs sort by their names. */
  readonly restores: { readonly kept: number; readonly epoch: string; readonly lost: readonly LostEpoch[] }[];
}

export interface Stored {
  readonly id: string;
  readonly topic: string;
  readonly text: string;
}

export interface Run {
  readonly publications: readonly Publication[];
  readonly clients: readonly ClientRecord[];
  /** Everything that the history holds at the end. */
  readonly history: readonly Stored[];
  readonly deeds: Deeds;
  /** What the spine threw and nobody caught. */
  readonly crashes: readonly unknown[];
}
