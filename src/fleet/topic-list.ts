import type { Answers } from '../bus/control-channel.ts';
import { TOPICS_PAGE_MAX_ENTRIES, type SomeNames, type TopicReads } from '../log/history/topic-reads.ts';
import { byBytes } from '../model/byte-order.ts';
import type { Grant } from '../model/grant.ts';
import { formatId } from '../model/position.ts';
import { Problem } from '../model/problem.ts';
import { prefixesWithin } from '../model/topic-ranges.ts';
import { isTopicPart } from '../model/topic.ts';
import type { Holder } from '../runtime/sharing/fair-shares.ts';
import type { TopicHolding } from '../store/contracts/topic-store.ts';
import type { NamedTopics } from './named-topics.ts';
import { wholeOf, type Whole } from './stream-list.ts';
import { busiest, countRecent, isRecent, type RecentPlace } from './topic-rates.ts';
import type { Wanted, WantedTopics } from './wanted-topics.ts';

/** The orders of the list. */
export const TOPIC_SORTS = ['name', 'newest', 'rate'] as const;
export type TopicSort = (typeof TOPIC_SORTS)[number];

export interface TopicsRequest {
  readonly sort: TopicSort;
  /** The prefix of the names; `''` for all. */
  readonly prefix: string;
  /** The cursor of the page before. */
  readonly after: string | undefined;
  /** At most `TOPICS_PAGE_MAX_ENTRIES`. */
  readonly limit: number;
  /** The list has only topics whose listeners this grant may see. */
  readonly grant: Grant;
  readonly holder: Holder;
}

/** A topic as the list shows it. */
export interface TopicRow {
  readonly topic: string;
  /** The streams that get its messages, by its name or by a pattern. */
  readonly streams: number;
  readonly messages: number;
  /** Set if there are more messages than were counted. */
  readonly more?: true;
  /** The bytes of the counted messages. */
  readonly bytes: number;
  readonly newest?: string;
  readonly time?: string;
  /** Messages per second. */
  readonly rate?: number;
}

export interface TopicsPage extends Whole {
  readonly topics: readonly TopicRow[];
  readonly cursor?: string;
  readonly more: boolean;
  /** The time in which messages were counted for rates. */
  readonly windowMs?: number;
}

/** The topics of a page, without the counts of streams. */
interface Found {
  readonly topics: readonly { readonly topic: string; readonly holding?: TopicHolding | undefined; readonly rate?: number }[];
  readonly cursor: string | undefined;
  readonly more: boolean;
  readonly windowMs?: number;
  /** The answers of other instances to the question for names, if there was one. */
  readonly asked?: { readonly answers: Answers; readonly missing: readonly string[]; readonly isPartial: boolean };
}

export interface TopicListDependencies {
  readonly reads: TopicReads;
  readonly named: NamedTopics;
  readonly wanted: WantedTopics;
}

/**
 * Lists topics in pages, in one of three orders. By name: the topics with messages, and the topics that streams of all instances name. By newest message, and by rate: computed from the end of the log,
 * because there is no index for these orders.
 */
export class TopicList {
  readonly #reads: TopicReads;
  readonly #named: NamedTopics;
  readonly #wanted: WantedTopics;

  constructor({ reads, named, wanted }: TopicListDependencies) {
    this.#reads = reads;
    this.#named = named;
    this.#wanted = wanted;
  }

  /** @throws Problem `invalid-request`, `overloaded`, `unavailable` */
  async page(request: TopicsRequest): Promise<TopicsPage> {
    const found = await this.#find(request);
    const names = found.topics.map(({ topic }) => topic);
    const known = new Map(found.topics.flatMap(({ topic, holding }) => holding === undefined ? [] : [[topic, holding] as const]));
    const { asked } = found;
    // Do not wait again for an instance that did not answer the first question.
    const [held, counted] = await Promise.all([
      this.#reads.holdings(names.filter((name) => !known.has(name)), request.holder),
      names.length === 0 && asked !== undefined ? { wanted: [], ...asked } : this.#wanted.count(names, request.holder, asked === undefined ? undefined : (answers) => [...asked.answers.keys()].every((id) => answers.has(id))),
    ]);
    for (const holding of held) known.set(holding.topic, holding);
    const rows = found.topics.map(({ topic, rate }, index) => rowOf(known.get(topic)!, counted.wanted[index]!, rate));
    return {
      topics: rows.filter(({ messages, streams }) => messages > 0 || streams > 0),
      ...(found.cursor === undefined ? {} : { cursor: found.cursor }), more: found.more, ...(found.windowMs === undefined ? {} : { windowMs: found.windowMs }),
      ...wholeOf({ missing: [...new Set([...counted.missing, ...(asked?.missing ?? [])])], isPartial: counted.isPartial || asked?.isPartial === true }),
    };
  }

  #find(request: TopicsRequest): Promise<Found> {
    switch (request.sort) {
      case 'name': return this.#byName(request);
      case 'newest': return this.#byNewest(request);
      case 'rate': return this.#byRate(request);
    }
  }

  async #byName({ prefix, after = '', limit, grant, holder }: TopicsRequest): Promise<Found> {
    if (after !== '' && !isTopicPart(after)) throw badCursor();
    const scope = grant.presenceScope ?? EVERYTHING;
    const [held, { lists, collected }] = await Promise.all([
      this.#reads.names({ prefixes: prefixesWithin(scope, prefix), after, limit, isNarrow: !scope.includes('>'), isShown: (topic) => grant.maySeePresence(topic), holder }),
      this.#named.list({ scope, prefix, after, limit }, holder),
    ]);
    const { names, upTo } = merged([held, ...lists]);
    const shown = names.filter((name) => grant.maySeePresence(name));
    const page = shown.slice(0, limit);
    const isCut = shown.length > limit;
    return { topics: page.map((topic) => ({ topic })), cursor: isCut ? page.at(-1) : upTo ?? page.at(-1), more: isCut || upTo !== undefined, asked: collected };
  }

  /** Walks back from the head. A topic is at its newest message. A topic that got a message since the first page has moved to the front, so a later page leaves it out. */
  async #byNewest({ prefix, after, limit, grant, holder }: TopicsRequest): Promise<Found> {
    if (after !== undefined && !/^[1-9]\d{0,14}$/.test(after)) throw badCursor();
    const { head, oldest } = await this.#reads.state(holder);
    const before = Math.min(after === undefined ? Infinity : Number(after), head + 1);
    const topics: { topic: string; holding: TopicHolding }[] = [];
    const seen = new Set<string>();
    let last = before;
    let asked = limit;
    for await (const { messages, from } of this.#reads.back(before, oldest - 1, holder)) {
      const candidates: { topic: string; seq: number }[] = [];
      for (const { topic, seq } of messages) {
        if (seen.has(topic)) continue;
        seen.add(topic);
        if (topic.startsWith(prefix) && grant.maySeePresence(topic)) candidates.push({ topic, seq });
      }
      last = from;
      for (let at = 0; at < candidates.length;) {
        const some = candidates.slice(at, at + asked);
        at += asked;
        // Ask for more each time: if nearly all topics have moved to the front, a page of one topic would take thousands of reads.
        asked = Math.min(2 * asked, TOPICS_PAGE_MAX_ENTRIES);
        const holdings = await this.#reads.holdings(some.map(({ topic }) => topic), holder);
        for (const [index, { topic, seq }] of some.entries()) {
          const newest = holdings[index]!.newest?.seq ?? 0;
          if (newest !== seq && (after !== undefined || newest <= head)) continue;
          topics.push({ topic, holding: holdings[index]! });
          if (topics.length === limit) return { topics, cursor: String(seq), more: seq > oldest };
        }
      }
    }
    return { topics, cursor: String(last), more: last > oldest };
  }

  async #byRate({ prefix, after, limit, grant, holder }: TopicsRequest): Promise<Found> {
    const place = after === undefined ? undefined : placeIn(after);
    if (after !== undefined && place === undefined) throw badCursor();
    const recent = await countRecent(this.#reads, place, holder);
    const shown = [...recent.counts].filter(([topic]) => topic.startsWith(prefix) && grant.maySeePresence(topic));
    const page = busiest(shown, place, limit + 1);
    const last = page.slice(0, limit).at(-1);
    return {
      topics: page.slice(0, limit).map(([topic, count]) => ({ topic, rate: Math.round(count / recent.windowMs * 1e6) / 1e3 })),
      cursor: last === undefined ? after : cursorOf({ ...recent, topic: last[0], count: last[1] }), more: page.length > limit, windowMs: recent.windowMs,
    };
  }
}

const EVERYTHING: readonly string[] = ['>'];

/** Merges lists of names, up to the first name after which a list is incomplete. */
function merged(lists: readonly SomeNames[]): SomeNames {
  const [upTo] = lists.flatMap((list) => list.upTo ?? []).sort(byBytes);
  const names = [...new Set(lists.flatMap((list) => list.names))].filter((name) => upTo === undefined || byBytes(name, upTo) <= 0);
  return { names: names.sort(byBytes), upTo };
}

function rowOf({ topic, messages, more, bytes, newest }: TopicHolding, { streams }: Wanted, rate: number | undefined): TopicRow {
  return {
    topic, streams, messages, ...(more ? { more } : {}), bytes,
    ...(newest === undefined ? {} : { newest: formatId(newest.epoch, newest.seq), time: new Date(newest.time).toISOString() }), ...(rate === undefined ? {} : { rate }),
  };
}

const RATE_CURSOR = /^(\d{1,15})-(\d{1,15})-(\d{1,5})-(\d{1,5})-(.+)$/;

function cursorOf({ after, before, windowMs, count, topic }: RecentPlace): string {
  return `${after}-${before}-${windowMs}-${count}-${topic}`;
}

function placeIn(cursor: string): RecentPlace | undefined {
  const [, after, before, windowMs, count, topic] = RATE_CURSOR.exec(cursor) ?? [];
  if (topic === undefined || !isTopicPart(topic)) return undefined;
  const place = { after: Number(after), before: Number(before), windowMs: Number(windowMs), count: Number(count), topic };
  return isRecent(place) ? place : undefined;
}

function badCursor(): Problem {
  return new Problem('invalid-request', 'after must be the cursor of a page before, with the same sort.', { field: 'after' });
}
