import { readPublicJwk, PUBLIC_KEY_ALGORITHMS, type PublicKey } from '../../config/jwt-keys.ts';
import { WrongValue } from '../../config/setting-kinds.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { JwksUnavailable, requestJwks } from './jwks-request.ts';
import type { KeyHint, TokenKey, TokenKeys } from './token-keys.ts';
import { TokenRefused } from './token-refused.ts';

/**
 * The keys that an issuer publishes (RFC 7517). They are fetched at the start and then regularly, so a request waits for a fetch only if its key is unknown.
 * While the endpoint is away, the known keys stay good.
 */

/** How often the set is fetched: a key that its issuer withdrew is good for at most this long. */
const REFRESH_MS = 300_000;
/** The least time between two fetches. Stops tokens with invented keys from making this service flood the endpoint. */
const COOLDOWN_MS = 30_000;
/** How long the keys outlast the last good answer of the endpoint. Stops an attacker who blocks the endpoint from keeping a withdrawn key alive for ever. */
const OUTAGE_MAX_MS = 86_400_000;
/** The most keys of a set. Issuers have two to ten; a longer answer is probably something else. */
const SET_MAX_KEYS = 100;

interface SetKey extends PublicKey {
  readonly kid: string | undefined;
}

export interface JwksOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly counters: Pick<Counters, 'jwks'>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Takes the keys that must not be used any more. */
  readonly onWithdrawn: (keys: readonly TokenKey[]) => void;
}

export class Jwks implements TokenKeys {
  readonly algorithms = PUBLIC_KEY_ALGORITHMS;
  readonly #url: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #counters: Pick<Counters, 'jwks'>;
  readonly #now: () => number;
  readonly #onWithdrawn: (keys: readonly TokenKey[]) => void;
  readonly #closing = new AbortController();
  #keys: readonly SetKey[] = [];
  /** When the last good answer came. */
  #loadedAt = -Infinity;
  #triedAt = -Infinity;
  #isAway = false;
  /** The fetch under way. All who wait for a key share it. Resolves with whether it brought a set. */
  #loading: Promise<boolean> | undefined;
  #timer: Timer | undefined;

  constructor({ url, clock, logger, counters, now, onWithdrawn }: JwksOptions) {
    this.#url = url;
    this.#clock = clock;
    this.#logger = logger;
    this.#counters = counters;
    this.#now = now;
    this.#onWithdrawn = onWithdrawn;
  }

  open(): void {
    void this.#load();
  }

  close(): void {
    this.#closing.abort();
    this.#timer?.cancel();
  }

  async find(hint: KeyHint): Promise<TokenKey> {
    const known = this.#match(hint);
    if (known !== undefined) return known;
    // A fetch that began before this may have been answered before the key was published.
    const isOwnFetch = this.#loading === undefined;
    if (isOwnFetch && this.#clock.monotonic() - this.#triedAt < COOLDOWN_MS) throw new TokenRefused('unavailable', 'its key is unknown, and the key set was fetched a moment ago');
    const isLoaded = await this.#load();
    const found = this.#match(hint);
    if (found !== undefined) return found;
    throw isLoaded && isOwnFetch ? new TokenRefused('bad', 'the key set does not have its key') : new TokenRefused('unavailable', 'its key is unknown, and the key set cannot be fetched now');
  }

  #match({ alg, kid }: KeyHint): TokenKey | undefined {
    const [key, ...others] = this.#keys.filter((one) => one.algorithms.includes(alg) && (kid === undefined || one.kid === kid));
    if (others.length > 0) throw new TokenRefused('bad', kid === undefined ? 'it has no kid, and the key set has several keys for its algorithm' : 'the key set has several keys with its kid');
    return key;
  }

  #load(): Promise<boolean> {
    this.#loading ??= this.#fetch().finally(() => (this.#loading = undefined));
    return this.#loading;
  }

  async #fetch(): Promise<boolean> {
    this.#timer?.cancel();
    this.#triedAt = this.#clock.monotonic();
    let isLoaded = true;
    try {
      this.#take(readSet(await requestJwks({ url: this.#url, clock: this.#clock, signal: this.#closing.signal })));
    } catch (error) {
      if (!(error instanceof JwksUnavailable)) throw error;
      isLoaded = false;
      this.#miss(error.message);
    }
    if (!this.#closing.signal.aborted) this.#timer = this.#clock.after(isLoaded ? REFRESH_MS : COOLDOWN_MS, () => void this.#load());
    return isLoaded;
  }

  #take({ keys, skipped }: { readonly keys: readonly SetKey[]; readonly skipped: readonly string[] }): void {
    const before = this.#keys;
    const isFirst = this.#loadedAt === -Infinity;
    // A key that was there before stays the same object: tokens that were verified with it stay good.
    const after = keys.map((key) => before.find((old) => old.kid === key.kid && old.key.equals(key.key)) ?? key);
    const isChanged = after.length !== before.length || after.some((key) => !before.includes(key));
    const facts = { url: this.#shown, keys: keys.length, skipped };
    if (keys.length === 0 && (isFirst || isChanged)) this.#logger.warn(facts, 'The key set has no key that can check a token');
    else if (isFirst || isChanged || this.#isAway) this.#logger.info(facts, 'The key set was fetched');
    this.#loadedAt = this.#clock.monotonic();
    this.#counters.jwks.fetched = Math.floor(this.#now() / 1000);
    this.#isAway = false;
    this.#replace(after);
  }

  #miss(reason: string): void {
    if (this.#closing.signal.aborted) return;
    this.#counters.jwks.failures++;
    if (!this.#isAway) this.#logger.warn({ url: this.#shown, reason, keys: this.#keys.length }, this.#keys.length === 0 ? 'The key set cannot be fetched, and no key is known: until it is fetched, all tokens are refused' : 'The key set cannot be fetched; the known keys stay in use');
    this.#isAway = true;
    if (this.#keys.length === 0 || this.#clock.monotonic() - this.#loadedAt < OUTAGE_MAX_MS) return;
    this.#logger.error({ url: this.#shown, reason }, 'The key set could not be fetched for too long; its keys are not used any more');
    this.#replace([]);
  }

  #replace(keys: readonly SetKey[]): void {
    const withdrawn = this.#keys.filter((key) => !keys.includes(key));
    this.#keys = keys;
    if (withdrawn.length > 0) this.#onWithdrawn(withdrawn);
  }

  /** A query may hold a key for the endpoint. */
  get #shown(): string {
    const { origin, pathname } = new URL(this.#url);
    return `${origin}${pathname}`;
  }
}

/** The keys of a set that can check tokens, and why others cannot. Sets may hold keys for other purposes, which are skipped (RFC 7517, 5). */
function readSet(set: unknown): { keys: SetKey[]; skipped: string[] } {
  if (!isObject(set) || !Array.isArray(set['keys'])) throw new JwksUnavailable('its answer is not a key set');
  if (set['keys'].length > SET_MAX_KEYS) throw new JwksUnavailable(`its answer has more than ${SET_MAX_KEYS} keys`);
  const keys: SetKey[] = [];
  const skipped: string[] = [];
  for (const [index, jwk] of set['keys'].entries()) {
    try {
      if (!isObject(jwk) || (jwk['kid'] !== undefined && typeof jwk['kid'] !== 'string')) throw new WrongValue('it is not a key');
      keys.push({ ...readPublicJwk(jwk), kid: jwk['kid'] });
    } catch (error) {
      if (!(error instanceof WrongValue)) throw error;
      skipped.push(`keys[${index}]: ${error.message}`);
    }
  }
  return { keys, skipped };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
