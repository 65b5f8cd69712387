import type { Tail } from '../../log/tail/tail.ts';
import { FilterIndex, type Indexed } from '../../model/filter-index.ts';
import type { Message } from '../../model/message.ts';
import type { Position } from '../../model/position.ts';
import type { Backlog } from './catchup-backlog.ts';
import { STEP_MESSAGES } from './catchup-steps.ts';
import type { Group } from '../reader/reader-group.ts';
import type { Reader } from '../reader/reader.ts';

/** Topics and patterns in the index of one walk. Bounds the time to make it. A group with more has a walk of its own. */
const WALK_INDEX_ENTRIES = 2_048;
/** Messages found for all groups of one walk together: bounds the time before the first reader is served. */
const WALK_MAX_MESSAGES = 16_384;
/** The fewest and the most groups of a walk. The walk is wasted for groups that its turn does not reach. So walks take few groups where many messages match. */
const WALK_MIN_FILTERS = 32;
const WALK_MAX_FILTERS = 1_024;

/** Readers of a group that are near enough to the end of the tail to be served from memory. */
export interface NearReaders {
  readonly group: Group;
  readonly backlog: Backlog;
  readonly readers: readonly Reader[];
}

/** The messages that a walk found for one group. */
export interface Share extends NearReaders, Indexed {
  readonly messages: Message[];
  /** The walk found everything that the group wants up to here. */
  end: Position;
}

/** The end of a share that has room for more messages. */
const OPEN: Position = { epoch: '', seq: 0 };

export interface Walk {
  readonly shares: readonly Share[];
  /** How many messages were found for all groups together. */
  readonly matches: number;
  /** Where it ended. */
  readonly end: Position;
}

/** How many groups go into the next walk. Fewer after walks that found many messages. */
export class WalkSize {
  #groups = WALK_MIN_FILTERS;

  /** Whether these groups leave room for another one. */
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
  const shares = near.map((one): Share => ({ ...one, lastMatch: 0, messages: [], end: OPEN }));
  // Not before the first message: most streams open with nothing to catch up with.
  let index: FilterIndex<Share> | undefined;
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

function indexOf(shares: readonly Share[]): FilterIndex<Share> {
  const index = new FilterIndex<Share>();
  for (const share of shares) index.add(share.group.filter, share);
  return index;
}
