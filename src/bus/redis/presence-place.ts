import { readRedisUrl, type RedisLocation } from '../../config/redis-url.ts';
import { PlaceAway, type MemberPage, type PlaceListener, type PresenceChange, type PresenceChanges, type PresenceCount, type PresencePage, type PresencePlace, type PresentMember, type Telling } from '../../presence/place.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { randomName } from '../../store/names.ts';
import { RedisConnection } from './connection.ts';
import type { ServerDiscovery } from './discovery-contract.ts';
import { changesText, keysOf, readLines, readWrote, topicsKey, wroteKey } from './presence-lines.ts';
import { ACTIVATE, BEGIN, CHANGES, COUNT, LINES, PAGE, RENEW, WRITE } from './presence-scripts.ts';
import { redactedReason } from './redacted-reason.ts';
import { discoveryFor } from './redis.ts';
import { SlotDiscovery } from './slot-discovery.ts';

/** Keys that nobody writes any more are deleted after this time. */
const PRESENCE_KEPT_MS = 24 * 3_600_000;

/** How often everything is written again. Stops entries of living instances from expiring with the keys that nobody writes. */
const BEGIN_AGAIN_MS = 6 * 3_600_000;

/** A lease lasts for this share of the time to live. The rest is for others to notice its end, and sweep. */
const LEASE_SHARE = 0.5;

/** How often a lease is renewed, in the time of one. */
const RENEWALS_FACTOR = 3;

/** The longest time between renewals of a lease. Bounds how late an instance notices that Redis forgot it, and how long counts include members of a dead instance. */
const RENEW_MAX_MS = 1_000;

/** Stops one command from keeping Redis busy. */
const SWEEP_MAX_ENTRIES = 100;

/** How many instances whose leases have ended one answer names. */
const SWEPT_MAX_ENTRIES = 10;

/** Redis does a hundred changes in about a millisecond. Stops a command from blocking it for longer. */
const TELLING: Telling = { everyMs: 50, maxEntries: 100, maxRequests: 4 };

/** How many characters name an instance. */
const PRESENCE_NAME_CHARACTERS = 12;

export interface RedisPresencePlaceOptions {
  readonly url: string;
  /** The entries of a killed instance count for this time at most. */
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

/**
 * The place of several instances, in Redis. The keys of a log have its id in their names, as a hash tag: in a cluster they are all on one node. To be alive costs an instance one command every few seconds, however many
 * streams it has. An instance whose lease has ended is swept away by the others, or by the next one that starts.
 */
export class RedisPresencePlace implements PresencePlace {
  readonly telling = TELLING;
  /** Always false: no instance learns that it is the only one. */
  readonly isAlone = false;
  readonly #location: RedisLocation;
  readonly #clock: Clock;
  readonly #logger: Pick<Logger, 'info' | 'warn'>;
  readonly #leaseMs: number;
  #prefix = '';
  #listener: PlaceListener | undefined;
  #discovery: ServerDiscovery | undefined;
  #connection: RedisConnection | undefined;
  /** The name under which this instance writes now; the one that counted last. */
  #instance: string | undefined;
  #before: string | undefined;
  #isActive = false;
  #isSweeping = false;
  #isClosed = false;
  #isLoggedUp: boolean | undefined;
  #renewal: Timer | undefined;
  #again: Timer | undefined;

  /** Throws when the URL is not a Redis URL; the error repeats nothing of it. */
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
    const [streams, ...found] = await this.#askTexts(PAGE, ['leases', ...keysOf(topic)], [after, limit + 1]);
    const members: PresentMember[] = [];
    let next: string | undefined;
    for (let at = 0; at < found.length; at += 2) {
      if (at === 2 * limit) next = found[at - 2];
      const read = at === 2 * limit ? undefined : readLines(found[at + 1]!);
      if (read !== undefined) members.push({ id: found[at]!, ...read });
    }
    return { streams: Number(streams), members, next };
  }

  async counts(topics: readonly string[]): Promise<readonly PresenceCount[]> {
    const found = await this.#askTexts(COUNT, ['leases', ...topics.flatMap((topic) => keysOf(topic).slice(1))], []);
    return topics.map((topic, index) => ({ topic, streams: Number(found[2 * index]), members: Number(found[2 * index + 1]) }));
  }

  async topicsOf(member: string, after: string, limit: number): Promise<MemberPage> {
    const topics = await this.#command((connection) => connection.redis.zrangebylex(this.#prefix + topicsKey(member), after === '' ? '-' : `(${after}`, '+', 'LIMIT', 0, limit + 1));
    const some = topics.slice(0, limit);
    const found = await this.#askTexts(LINES, ['leases', ...some.map((topic) => keysOf(topic)[0]!)], [member]);
    return {
      topics: some.flatMap((topic, index) => {
        const read = readLines(found[index]!);
        return read === undefined ? [] : [{ topic, ...read }];
      }),
      next: topics.length > limit ? some.at(-1) : undefined,
    };
  }

  async changes(after: number): Promise<PresenceChanges> {
    const [newest, isAny, ...topics] = await this.#texts(CHANGES, ['changed', 'numbers'], [after]);
    return { newest: Number(newest), topics: isAny === '1' ? undefined : topics };
  }

  async close(lingerMs: number): Promise<void> {
    if (this.isUp) await this.#run(RENEW, ['leases'], [this.#instance!, lingerMs, PRESENCE_KEPT_MS, 0]).catch(awayOnly);
    this.#isClosed = true;
    this.#renewal?.cancel();
    this.#again?.cancel();
    await Promise.all([this.#connection?.close(), this.#discovery?.close()]);
  }

  /** Takes a new name, and writes everything under it. Until that is done, the entries under the old name count, while its lease lasts. */
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
    const [isAlive, ...ended] = answer.map(String);
    if (isAlive !== '1') this.#ended(instance);
    if (ended.length > 0) void this.#sweep(ended);
  }

  /** Redis has forgotten this instance, or it was silent for too long, and others may have swept it away. */
  #ended(instance: string): void {
    if (this.#instance !== instance || this.#isClosed || this.#connection?.isReady !== true) return;
    this.#isActive = false;
    this.#listener!.lost();
    void this.#begin();
  }

  /** Removes the entries of instances whose leases have ended. Several instances may do so at once: each step is done by one of them. */
  async #sweep(ended: readonly string[]): Promise<void> {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    try {
      for (const instance of ended) await this.#sweepOne(instance);
    } catch (error) {
      if (!(error instanceof PlaceAway)) throw error;
    } finally {
      this.#isSweeping = false;
    }
  }

  async #sweepOne(instance: string): Promise<void> {
    for (;;) {
      const wrote = await this.#command(({ redis }) => redis.srandmember(this.#prefix + wroteKey(instance), SWEEP_MAX_ENTRIES));
      if (wrote.length === 0) break;
      await this.#write(instance, wrote.map((text) => ({ ...readWrote(text), topicStreams: 0, isPresent: false, streams: 0, since: Number.MAX_SAFE_INTEGER, meta: undefined, metaAt: 0 })), true);
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

  /** Asks as an instance that counts. An instance that Redis has forgotten reports everything again, and meanwhile does not rely on receiving all changes. */
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
      // Redis refused: another server may do better, and this one later. A connection that broke says so itself.
      if (connection.isReady && error instanceof Error && error.name === 'ReplyError') connection.fail(error);
      throw new PlaceAway(redactedReason(error));
    }
  }
}

function awayOnly(error: unknown): undefined {
  if (!(error instanceof PlaceAway)) throw error;
  return undefined;
}
