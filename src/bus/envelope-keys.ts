import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto';

/** The length of a proof: half of the digest, which is the least that RFC 2104 (section 5) recommends. */
export const PROOF_BYTES = 16;

/** Makes and checks the proof that an envelope's sender can read the log. It is an HMAC-SHA256 with the secret of an epoch, cut to `PROOF_BYTES`. */
export class EnvelopeKeys {
  readonly #secretOf: (epoch: string) => string | undefined;
  /** The key that was used last, because making a key costs more than using it. */
  #secret = '';
  #key: KeyObject | undefined;

  /** @param secretOf The secret of an epoch, as hexadecimal digits; undefined if messages of that epoch cannot be proved. */
  constructor(secretOf: (epoch: string) => string | undefined) {
    this.#secretOf = secretOf;
  }

  /** Undefined if messages of this epoch cannot be proved. */
  of(epoch: string): KeyObject | undefined {
    const secret = this.#secretOf(epoch);
    if (secret === undefined) return undefined;
    if (secret !== this.#secret) {
      this.#key = createSecretKey(secret, 'hex');
      this.#secret = secret;
    }
    return this.#key;
  }
}

export function proof(key: KeyObject, bytes: Uint8Array): Buffer {
  return createHmac('sha256', key).update(bytes).digest().subarray(0, PROOF_BYTES);
}

export function isProof(key: KeyObject, bytes: Uint8Array, given: Uint8Array): boolean {
  return timingSafeEqual(proof(key, bytes), given);
}
