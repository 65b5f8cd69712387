import type { Tail } from '../../log/tail/tail.ts';
import { FilterIndex, type Indexed } from '../../model/filter-index.ts';
import type { Message } from '../../model/message.ts';
import type { Position } from '../../model/position.ts';
import type { Backlog } from './catchup-backlog.ts';
import { STEP_MESSAGES } from './catchup-steps.ts';
import type { Group } from '../reader/reader-group.ts';
import type { Reader } from '../reader/reader.ts';

/** The most topics and patterns in the index of one walk. Stops the index from taking long to make. A group with more gets a walk of its own. */
const WALK_INDEX_ENTRIES = 2_048;
/** The most messages that one walk finds, for all its groups together. Stops a walk from delaying its first reader. */
const WALK_MAX_MESSAGES = 16_384;
/** The fewest and the most groups of a walk. A turn that ends early wastes the walk for the groups that it did not reach. So if many messages match, walks take few groups. */
const WALK_MIN_FILTERS = 32;
const WALK_MAX_FILTERS = 1_024;

/** Readers of a group that the tail serves, because they are near its end (`isNear`). */
export interface NearReaders {
  readonly group: Group;
  readonly backlog: Backlog;
  readonly readers: readonly Reader[];
}

/** The messages that a walk found for one group. */
export interface WalkShare extends NearReaders, Indexed {
  readonly messages: Message[];
  /** The walk has looked for the group's messages up to this position. It is before the walk's end if the group had `STEP_MESSAGES` earlier. */
  end: Position;
}

/** The end of a share while it has room for more messages. */
const OPEN: Position = { epoch: '', seq: 0 };

export interface Walk {
  readonly shares: readonly WalkShare[];
  /** How many messages were found for all groups together. */
  readonly matches: number;
  /** The position where the walk ended: the end of the tail, or earlier if all shares were full or the walk had `WALK_MAX_MESSAGES`. */
  readonly end: Position;
}

/** The number of groups in the next walk. It halves after a walk that found many messages, and doubles after a walk that found few. */
export class WalkSize {
  #groups = WALK_MIN_FILTERS;

  /** Whether a walk with this many groups, and topics and patterns, has room for another group. */
  hasRoom(groups: number, names: number): boolean {
    return groups < this.#groups && names < WALK_INDEX_ENTRIES;
  }

  learn(matches: number): void {
    if (matches > WALK_MAX_MESSAGES / 2) this.#groups = Math.max(WALK_MIN_FILTERS, this.#groups / 2);
    else if (matches < WALK_MAX_MESSAGES / 8) this.#groups = Math.min(WALK_MAX_FILTERS, this.#groups * 2);
  }
}

/**
 * Finds the messages after a number of the tail that each group wants, at most `STEP_MESSAGES` for each group. It looks at each topic once, however many groups there
 * are, and makes no object of a message that none of them wants. So when thousands of streams with filters of their own come back, the walks cost no more than the deliveries.
 */
export function walk(near: readonly NearReaders[], tail: Pick<Tail, 'walk'>, after: number): Walk {
  const shares = near.map((one): WalkShare => ({ ...one, lastMatch: 0, messages: [], end: OPEN }));
  // Made at the first message, because most streams open with nothing to catch up with.
  let index: FilterIndex<WalkShare> | undefined;
  let matches = 0;
  let open = shares.length;
  const end = tail.walk(after, (topic, message) => {
    let wanted: Message | undefined;
    index ??= indexOf(shares);
    index.match(topic, (share) => {
      if (share.end !== OPEN) return;
      wanted ??= message();
      matches++;
      share.messages.push(wanted);
      if (share.messages.length < STEP_MESSAGES) return;
      share.end = wanted;
      open--;
    });
    return matches < WALK_MAX_MESSAGES && open > 0;
  });
  for (const share of shares) if (share.end === OPEN) share.end = end;
  return { shares, matches, end };
}

function indexOf(shares: readonly WalkShare[]): FilterIndex<WalkShare> {
  const index = new FilterIndex<WalkShare>();
  for (const share of shares) index.add(share.group.filter, share);
  return index;
}
