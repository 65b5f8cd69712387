import { createHmac, createSecretKey, randomBytes, timingSafeEqual } from 'node:crypto';
import { randomName } from '../store/names.ts';

/** How many characters name an instance in the ids of its streams. */
const INSTANCE_CHARACTERS = 10;
/** Nobody finds a secret of 128 bits by trying. */
const STREAM_SECRET_BYTES = 16;

const ID = new RegExp(`^([a-z0-9]{${INSTANCE_CHARACTERS}})-([0-9a-z]{1,11})$`);
const SECRET = /^[A-Za-z0-9_-]{22}$/;

/** By what the client of a stream can name it, and show that it is its own. */
export interface StreamHandle {
  readonly id: string;
  /** Never logged, and kept nowhere: it is computed from the id. */
  readonly secret: string;
}

export interface NamedStream {
  readonly id: string;
  readonly isHere: boolean;
  readonly number: number;
}

/** Ids and secrets for the streams of one process. A stream is a number here, so that it takes no memory. */
export class StreamHandles {
  readonly #instance = randomName(INSTANCE_CHARACTERS);
  /** Made once: a key that is given as bytes costs each HMAC several times as much. */
  readonly #key = createSecretKey(randomBytes(32));

  of(number: number): StreamHandle {
    const id = `${this.#instance}-${number.toString(36)}`;
    return { id, secret: this.#secret(id).toString('base64url') };
  }

  /** Which stream an id names; undefined where it is no id. */
  read(id: string): NamedStream | undefined {
    const [, instance, digits = ''] = ID.exec(id) ?? [];
    return instance === undefined ? undefined : { id, isHere: instance === this.#instance, number: Number.parseInt(digits, 36) };
  }

  /** Whether a proof is the one of a stream's secret. */
  isProof(id: string, proof: Buffer): boolean {
    const expected = proofOf(this.#secret(id).toString('base64url'));
    return proof.length === expected.length && timingSafeEqual(proof, expected);
  }

  #secret(id: string): Buffer {
    return createHmac('sha256', this.#key).update(id).digest().subarray(0, STREAM_SECRET_BYTES);
  }
}

export function isStreamSecret(text: unknown): text is string {
  return typeof text === 'string' && SECRET.test(text);
}

/** What shows that somebody knows a secret: the secret itself never leaves the instance that it was sent to. */
export function proofOf(secret: string): Buffer {
  return createHmac('sha256', 'tidings stream').update(secret).digest();
}
