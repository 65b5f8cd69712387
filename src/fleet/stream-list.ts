import type { StreamHandles } from '../access/leases/stream-handles.ts';
import type { Answers, ControlChannel } from '../bus/control-channel.ts';
import type { Holder } from '../runtime/sharing/fair-shares.ts';
import { isObject } from './notes.ts';
import type { OpenStreams, RowPage, StreamQuery, StreamRow } from './open-streams.ts';
import type { Collected, Roster } from './roster.ts';

/** The longest answer of one instance. It fits into a note. */
const ROWS_MAX_BYTES = 48 * 1024;
/** How long to collect one page. After it, the page is shorter than asked for. Stops slow instances from delaying a request without end. */
const PAGE_MAX_MS = 5_000;

/** The most streams of one page. Stops one answer from taking much memory. */
export const PAGE_MAX_STREAMS = 1_000;

/** The kinds of the questions. */
const COUNT = 'streams-count';
const PAGE = 'streams-page';

/** A place in the list: after the stream with this instance and number. */
export interface StreamPlace {
  readonly instance: string;
  readonly number: number;
}

export interface StreamsRequest extends StreamQuery {
  /** Only streams after it. */
  readonly after?: StreamPlace | undefined;
  readonly limit: number;
  /** Only streams of this instance. */
  readonly instance?: string | undefined;
}

/** Whether an answer about all instances is incomplete, and which instances did not answer. */
export interface Whole {
  readonly partial?: true;
  readonly missing?: readonly string[];
}

export interface StreamsPage extends Whole {
  readonly streams: readonly StreamRow[];
  /** The next page comes after it. */
  readonly cursor?: string;
  readonly more: boolean;
}

export interface StreamListDependencies {
  readonly local: OpenStreams;
  readonly handles: Pick<StreamHandles, 'instance'>;
  readonly roster: Pick<Roster, 'ask'>;
  readonly control: Pick<ControlChannel, 'ask' | 'answer'>;
  readonly clock: { monotonic(): number };
}

/**
 * Lists the streams of all instances in pages, ordered by instance and then by number. First all instances count their matching streams. Then only the instances that the page needs
 * send rows, one after the other, to save the bus.
 */
export class StreamList {
  readonly #local: OpenStreams;
  readonly #self: string;
  readonly #roster: Pick<Roster, 'ask'>;
  readonly #control: StreamListDependencies['control'];
  readonly #clock: StreamListDependencies['clock'];

  constructor({ local, handles, roster, control, clock }: StreamListDependencies) {
    this.#local = local;
    this.#self = handles.instance;
    this.#roster = roster;
    this.#control = control;
    this.#clock = clock;
    control.answer(COUNT, (body) => this.#countHere(body));
    control.answer(PAGE, (body) => this.#pageHere(body));
  }

  async page({ after, limit, instance, ...query }: StreamsRequest, asker?: Holder): Promise<StreamsPage> {
    const until = this.#clock.monotonic() + PAGE_MAX_MS;
    const counted = instance === this.#self ? ALONE : await this.#roster.ask(COUNT, { query, after, instance }, asker, (answers) => instance !== undefined && answers.has(instance));
    const missing = counted.missing.filter((id) => isWithin(id, after, instance));
    const streams: StreamRow[] = [];
    let place = after;
    let more = false;
    for (const holder of await this.#holders(counted.answers, query, after, instance)) {
      let from = holder === after?.instance ? after.number : 0;
      let isRead = false;
      while (!isRead && !more) {
        more = streams.length >= limit || this.#clock.monotonic() >= until;
        if (more) break;
        const found = await this.#ask(holder, { query, after: from, limit: limit - streams.length }, asker);
        if (found === undefined) missing.push(holder);
        else streams.push(...found.streams);
        isRead = found?.more !== true;
        // Move on even without rows, so that the next page does not ask this instance again.
        from = (found === undefined ? undefined : numberIn(found.streams.at(-1))) ?? (isRead ? Number.MAX_SAFE_INTEGER : from);
        place = { instance: holder, number: from };
      }
      if (more) break;
    }
    const isPartial = instance === undefined ? counted.isPartial : instance !== this.#self && counted.isPartial && !counted.answers.has(instance);
    return { streams, ...(place === undefined ? {} : { cursor: `${place.instance}-${place.number.toString(36)}` }), more, ...wholeOf({ missing, isPartial }) };
  }

  /** The instances that have matching streams, in order. */
  async #holders(answers: Answers, query: StreamQuery, after: StreamPlace | undefined, instance: string | undefined): Promise<readonly string[]> {
    const holders = [...answers].filter(([, answer]) => countIn(answer) > 0).map(([id]) => id);
    if (isWithin(this.#self, after, instance) && await this.#local.count(query, after?.instance === this.#self ? after.number : 0) > 0) holders.push(this.#self);
    return holders.filter((id) => isWithin(id, after, instance)).sort();
  }

  #ask(holder: string, { query, after, limit }: { readonly query: StreamQuery; readonly after: number; readonly limit: number }, asker: Holder | undefined): Promise<RowPage | undefined> {
    if (holder === this.#self) return this.#local.page(query, { after, limit, maxBytes: Infinity });
    return this.#control.ask(PAGE, { to: holder, query, after, limit }, asker).then((answer) => isRowPage(answer) ? answer : undefined);
  }

  /** Counts nothing if this instance comes before the place, or another instance was asked for. */
  #countHere(body: unknown): unknown {
    if (!isObject(body)) return undefined;
    const { query, after, instance } = body;
    const place = isObject(after) ? after : { instance: '', number: 0 };
    const isElsewhere = (typeof instance === 'string' && instance !== this.#self) || String(place['instance']) > this.#self;
    if (isElsewhere) return { count: 0 };
    return this.#local.count(queryIn(query), place['instance'] === this.#self ? Number(place['number']) : 0).then((count) => ({ count }));
  }

  #pageHere(body: unknown): unknown {
    if (!isObject(body) || body['to'] !== this.#self) return undefined;
    const { query, after, limit } = body;
    if (!isCount(after) || !isCount(limit) || limit > PAGE_MAX_STREAMS) return undefined;
    return this.#local.page(queryIn(query), { after, limit, maxBytes: ROWS_MAX_BYTES });
  }
}

/** Whether an instance may have streams after a place. */
function isWithin(id: string, after: StreamPlace | undefined, instance: string | undefined): boolean {
  return (instance === undefined || id === instance) && (after === undefined || id >= after.instance);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** As if all others had answered: no other instance was asked. */
const ALONE: Collected = { answers: new Map(), missing: [], isPartial: false };

/** The members `partial` and `missing` of an answer, if it is incomplete. */
export function wholeOf({ missing, isPartial }: Pick<Collected, 'missing' | 'isPartial'>): Whole {
  return { ...(isPartial || missing.length > 0 ? { partial: true } : {}), ...(missing.length > 0 ? { missing: [...missing].sort() } : {}) };
}

function queryIn(query: unknown): StreamQuery {
  const { member, credential, topic, isBehind } = isObject(query) ? query : {};
  return { member: textIn(member), credential: textIn(credential), topic: textIn(topic), isBehind: isBehind === true };
}

function textIn(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function countIn(answer: unknown): number {
  return isObject(answer) && typeof answer['count'] === 'number' ? answer['count'] : 0;
}

function numberIn(row: StreamRow | undefined): number | undefined {
  return row === undefined ? undefined : Number.parseInt(row.id.split('-')[1] ?? '', 36);
}

/** The value comes from an instance, perhaps of another version. */
function isRowPage(value: unknown): value is RowPage {
  return isObject(value) && typeof value['more'] === 'boolean' && Array.isArray(value['streams']) && value['streams'].every((row) => isObject(row) && typeof row['id'] === 'string');
}
