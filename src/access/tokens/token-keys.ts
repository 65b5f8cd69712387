import type { KeyObject } from 'node:crypto';
import type { CryptoKey } from 'jose';

/** A key, and the names of the algorithms that it may be used with. The key decides on them; the token does not (RFC 8725, 3.1). */
export interface TokenKey {
  readonly key: CryptoKey | KeyObject;
  readonly algorithms: readonly string[];
}

/** The key that a token's header names. Headers that bring a key or point to one, such as `jwk` and `jku`, are not read. */
export interface KeyHint {
  /** One of `TokenKeys.algorithms`. */
  readonly alg: string;
  readonly kid: string | undefined;
}

/** Where the keys of tokens come from. */
export interface TokenKeys {
  /** Every algorithm that some key may be used with. */
  readonly algorithms: readonly string[];
  /** Begins to fetch keys, if they are fetched. */
  open(): void;
  /** Ends the requests under way. */
  close(): void;
  /** The key of a token. Rejects with `TokenRefused`. */
  find(hint: KeyHint): Promise<TokenKey>;
}

/** The one key that a setting names. A token's `kid` does not matter. */
export class FixedKey implements TokenKeys {
  readonly #key: TokenKey;

  constructor(key: TokenKey) {
    this.#key = key;
  }

  get algorithms(): readonly string[] {
    return this.#key.algorithms;
  }

  open(): void {
    // Nothing is fetched.
  }

  close(): void {
    // Nothing is under way.
  }

  async find(): Promise<TokenKey> {
    return this.#key;
  }
}
