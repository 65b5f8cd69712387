import { readRedisUrl, type RedisLocation } from '../../config/redis-url.ts';
import { PlaceAway, type MemberPage, type PlaceListener, type PresenceChange, type PresenceChanges, type PresenceCount, type PresencePage, type PresencePlace, type PresentMember, type Telling } from '../../presence/place.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { randomName } from '../../store/names.ts';
import { RedisConnection } from './connection.ts';
import type { ServerDiscovery } from './discovery-contract.ts';
import { changesText, linesKey, membersKey, readLines, readWrote, streamsKey, topicsKey, wroteKey } from './presence-lines.ts';
import { ACTIVATE, BEGIN, CHANGES, COUNT, LINES, PAGE, RENEW, WRITE } from './presence-scripts.ts';
import { redactedReason } from './redacted-reason.ts';
import { discoveryFor } from './redis.ts';
import { SlotDiscovery } from './slot-discovery.ts';

/** Redis deletes a key this long after its last write. */
const PRESENCE_KEPT_MS = 24 * 3_600_000;

/** How often an instance writes all its entries again. Stops the entries of living instances from expiring. */
const BEGIN_AGAIN_MS = 6 * 3_600_000;

/** The lease's share of the time to live. In the rest of it, other instances notice that a lease has ended, and sweep. */
const LEASE_SHARE = 0.5;

/** How many times an instance renews its lease within one lease. */
const RENEWALS_FACTOR = 3;

/** The longest time between renewals. Bounds how late an instance learns that Redis forgot its lease, and that another instance's lease has ended. */
const RENEW_MAX_MS = 1_000;

/** How many entries one command sweeps. Stops the command from blocking Redis. */
const SWEEP_MAX_ENTRIES = 100;

/** How many dead instances the answer to a renewal names. Bounds the answer. */
const SWEPT_MAX_ENTRIES = 10;

/** Stops a command from blocking Redis for more than about a millisecond, which a hundred changes take. */
const TELLING: Telling = { everyMs: 50, maxEntries: 100, maxRequests: 4 };

/** The length of an instance's random name. */
const PRESENCE_NAME_CHARACTERS = 12;

export interface RedisPresencePlaceOptions {
  readonly url: string;
  /** The time to live: how long the entries of a killed instance count at most. Milliseconds. */
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

/**
 * Keeps the presence of several instances in Redis. The keys of a log have its id as their hash tag, so a cluster keeps them all on one node.
 *
 * However many streams an instance has, it renews its lease with one command at least every second. When a lease ends, other instances sweep the entries, or the next instance
 * to start does.
 */
export class RedisPresencePlace implements PresencePlace {
  readonly telling = TELLING;
  /** Always false: an instance cannot learn that it is the only one. */
  readonly isAlone = false;
  readonly #location: RedisLocation;
  readonly #clock: Clock;
  readonly #logger: Pick<Logger, 'info' | 'warn'>;
  readonly #leaseMs: number;
  #prefix = '';
  #listener: PlaceListener | undefined;
  #discovery: ServerDiscovery | undefined;
  #connection: RedisConnection | undefined;
  /** The name under which this instance writes; undefined without a connection. */
  #instance: string | undefined;
  /** The last activated name. Its entries count until the next activation. */
  #before: string | undefined;
  #isActive = false;
  #isSweeping = false;
  #isClosed = false;
  #isLoggedUp: boolean | undefined;
  #renewal: Timer | undefined;
  #again: Timer | undefined;

  /** Throws if the URL is not a Redis URL. The error does not quote the URL, which may hold a password. */
  constructor({ url, ttlMs, clock, logger }: RedisPresencePlaceOptions) {
    this.#location = readRedisUrl(url);
    this.#leaseMs = Math.round(ttlMs * LEASE_SHARE);
    this.#clock = clock;
    this.#logger = logger;
  }

  get isUp(): boolean {
    return this.#isActive && this.#connection?.isReady === true && !this.#isClosed;
  }

  join(logId: string, listener: PlaceListener): void {
    this.#prefix = `tidings:{${logId}}:presence:`;
    this.#listener = listener;
    const discovery = this.#location.kind === 'cluster' ? new SlotDiscovery(this.#location, this.#prefix) : discoveryFor(this.#location);
    this.#discovery = discovery;
    this.#connection = new RedisConnection({ discovery, name: 'tidings-presence', onReady: () => void this.#begin(), onLost: (reason) => this.#lost(reason) });
  }

  async write(changes: readonly PresenceChange[]): Promise<void> {
    const instance = this.#instance;
    if (instance === undefined) throw new PlaceAway();
    if (Number(await this.#write(instance, changes, false)) === 1) return;
    this.#ended(instance);
    throw new PlaceAway('the lease has ended');
  }

  async activate(): Promise<void> {
    const instance = this.#instance;
    if (instance === undefined) throw new PlaceAway();
    if (Number(await this.#run(ACTIVATE, ['leases'], [instance, this.#leaseMs, this.#before ?? ''])) !== 1) {
      this.#ended(instance);
      throw new PlaceAway('the lease has ended');
    }
    if (instance !== this.#instance) throw new PlaceAway();
    this.#before = instance;
    this.#isActive = true;
    this.#connection?.succeeded();
    this.#say(true);
  }

  async page(topic: string, after: string, limit: number): Promise<PresencePage> {
    // The answer: the streams, then a member and its lines, the next member and its lines, …
    const [streams, ...found] = await this.#askTexts(PAGE, ['leases', linesKey(topic), membersKey(topic), streamsKey(topic)], [after, limit + 1]);
    const members: PresentMember[] = [];
    const hasMore = found.length > 2 * limit;
    const end = hasMore ? 2 * limit : found.length;
    for (let at = 0; at < end; at += 2) {
      const read = readLines(found[at + 1]!);
      if (read !== undefined) members.push({ id: found[at]!, ...read });
    }
    return { streams: Number(streams), members, next: hasMore ? found[end - 2] : undefined };
  }

  async counts(topics: readonly string[]): Promise<readonly PresenceCount[]> {
    // The answer: streams and members of the first topic, streams and members of the second, …
    const found = await this.#askTexts(COUNT, ['leases', ...topics.flatMap((topic) => [membersKey(topic), streamsKey(topic)])], []);
    return topics.map((topic, index) => ({ topic, streams: Number(found[2 * index]), members: Number(found[2 * index + 1]) }));
  }

  async topicsOf(member: string, after: string, limit: number): Promise<MemberPage> {
    const topics = await this.#command((connection) => connection.redis.zrangebylex(this.#prefix + topicsKey(member), after === '' ? '-' : `(${after}`, '+', 'LIMIT', 0, limit + 1));
    const some = topics.slice(0, limit);
    const found = await this.#askTexts(LINES, ['leases', ...some.map(linesKey)], [member]);
    return {
      topics: some.flatMap((topic, index) => {
        const read = readLines(found[index]!);
        return read === undefined ? [] : [{ topic, ...read }];
      }),
      next: topics.length > limit ? some.at(-1) : undefined,
    };
  }

  async changes(after: number): Promise<PresenceChanges> {
    const [newest, isUnknown, ...topics] = await this.#texts(CHANGES, ['changed', 'numbers'], [after]);
    return { newest: Number(newest), topics: isUnknown === '1' ? undefined : topics };
  }

  async close(lingerMs: number): Promise<void> {
    if (this.isUp) await this.#run(RENEW, ['leases'], [this.#instance!, lingerMs, PRESENCE_KEPT_MS, 0]).catch(awayOnly);
    this.#isClosed = true;
    this.#renewal?.cancel();
    this.#again?.cancel();
    await Promise.all([this.#connection?.close(), this.#discovery?.close()]);
  }

  /** Takes a new name, and has the listener write everything under it. The entries under the old name count until `activate`, if its lease lasts. */
  async #begin(): Promise<void> {
    const instance = randomName(PRESENCE_NAME_CHARACTERS);
    this.#instance = instance;
    const isBegun = await this.#run(BEGIN, ['leases'], [instance, this.#leaseMs, PRESENCE_KEPT_MS]).catch(awayOnly);
    if (isBegun === undefined || this.#instance !== instance || this.#isClosed) return;
    this.#renewLater();
    this.#again?.cancel();
    this.#again = this.#clock.after(BEGIN_AGAIN_MS, () => void this.#begin());
    this.#listener!.begin();
  }

  #renewLater(): void {
    this.#renewal?.cancel();
    this.#renewal = this.#clock.after(Math.min(RENEW_MAX_MS, this.#leaseMs / RENEWALS_FACTOR), () => void this.#renew());
  }

  async #renew(): Promise<void> {
    const instance = this.#instance;
    if (instance === undefined || this.#isClosed) return;
    this.#renewLater();
    const answer = await this.#run(RENEW, ['leases'], [instance, this.#leaseMs, PRESENCE_KEPT_MS, SWEPT_MAX_ENTRIES]).catch(awayOnly);
    if (!Array.isArray(answer)) return;
    const [isAlive, ...dead] = answer.map(String);
    if (isAlive !== '1') this.#ended(instance);
    if (dead.length > 0) void this.#sweep(dead);
  }

  /** Begins again after a lease has ended. Redis has forgotten the lease, or this instance was silent for too long. */
  #ended(instance: string): void {
    if (this.#instance !== instance || this.#isClosed || this.#connection?.isReady !== true) return;
    this.#isActive = false;
    this.#listener!.lost();
    void this.#begin();
  }

  /** Removes the entries of dead instances. Other instances may sweep at the same time: a repeated step changes nothing. */
  async #sweep(dead: readonly string[]): Promise<void> {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    try {
      for (const instance of dead) await this.#sweepInstance(instance);
    } catch (error) {
      if (!(error instanceof PlaceAway)) throw error;
    } finally {
      this.#isSweeping = false;
    }
  }

  /** Removes the entries of one dead instance, some at a time, and then its lease. */
  async #sweepInstance(instance: string): Promise<void> {
    for (;;) {
      const wrote = await this.#command(({ redis }) => redis.srandmember(this.#prefix + wroteKey(instance), SWEEP_MAX_ENTRIES));
      if (wrote.length === 0) break;
      await this.#write(instance, wrote.map(removalOf), true);
    }
    await this.#command(({ redis }) => redis.zrem(`${this.#prefix}leases`, instance));
  }

  #write(instance: string, changes: readonly PresenceChange[], isSweep: boolean): Promise<unknown> {
    return this.#run(WRITE, ['leases'], [this.#prefix, instance, PRESENCE_KEPT_MS, isSweep ? 1 : 0, changesText(changes)]);
  }

  #lost(reason: string): void {
    this.#instance = undefined;
    this.#isActive = false;
    this.#renewal?.cancel();
    this.#again?.cancel();
    this.#listener!.lost();
    this.#say(false, reason);
  }

  #say(isUp: boolean, reason?: string): void {
    if (this.#isClosed || this.#isLoggedUp === isUp) return;
    this.#isLoggedUp = isUp;
    if (isUp) this.#logger.info('presence covers all instances, through Redis');
    else this.#logger.warn({ reason }, 'presence cannot be sent to Redis: each instance answers with its own knowledge, marked partial');
  }

  /** Asks Redis, and rejects if this instance's lease has ended. The instance then begins again, because it may have missed changes. */
  async #askTexts(script: string, keys: readonly string[], values: readonly (string | number)[]): Promise<string[]> {
    const instance = this.#instance;
    if (instance === undefined || !this.#isActive) throw new PlaceAway();
    const [isCounted, ...answer] = await this.#texts(script, keys, [...values, instance]);
    if (isCounted === '1') return answer;
    this.#ended(instance);
    throw new PlaceAway('the lease has ended');
  }

  async #texts(script: string, keys: readonly string[], values: readonly (string | number)[]): Promise<string[]> {
    const answer = await this.#run(script, keys, values);
    if (!Array.isArray(answer)) throw new PlaceAway('Redis answered a script with something else');
    return answer.map(String);
  }

  #run(script: string, keys: readonly string[], values: readonly (string | number)[]): Promise<unknown> {
    return this.#command(({ redis }) => redis.eval(script, keys.length, ...keys.map((key) => this.#prefix + key), ...values));
  }

  async #command<Answer>(send: (connection: RedisConnection) => Promise<Answer>): Promise<Answer> {
    const connection = this.#connection;
    if (connection?.isReady !== true || this.#isClosed) throw new PlaceAway();
    try {
      return await send(connection);
    } catch (error) {
      // Redis refused the command: reconnect, perhaps to another server. A broken connection reports itself.
      if (connection.isReady && error instanceof Error && error.name === 'ReplyError') connection.fail(error);
      throw new PlaceAway(redactedReason(error));
    }
  }
}

/** The change that removes an entry. */
function removalOf(wrote: string): PresenceChange {
  return { ...readWrote(wrote), topicStreams: 0, isPresent: false, streams: 0, since: Number.MAX_SAFE_INTEGER, meta: undefined, metaAt: 0 };
}

function awayOnly(error: unknown): undefined {
  if (!(error instanceof PlaceAway)) throw error;
  return undefined;
}
