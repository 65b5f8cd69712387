import { createCipheriv, hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { randomName } from '../../store/names.ts';

/** How many characters name an instance in the ids of its streams. */
const INSTANCE_CHARACTERS = 10;
/** One block of AES. Nobody finds a secret of 128 bits by trying. */
const STREAM_SECRET_BYTES = 16;
/** How many streams' secrets are computed together. One by one they would be a twentieth of the cost of opening a stream. */
const LOT_STREAMS = 256;

const INSTANCE = new RegExp(`^[a-z0-9]{${INSTANCE_CHARACTERS}}$`);
/** No number is above the largest safe integer. */
const ID = new RegExp(`^([a-z0-9]{${INSTANCE_CHARACTERS}})-(0|[1-9a-z][0-9a-z]{0,10})$`);
const SECRET = /^[A-Za-z0-9_-]{22}$/;

/** The id and secret by which a client names its stream, and shows that it is its own. */
export interface StreamHandle {
  readonly id: string;
  /** Never logged, and kept nowhere: it is computed from the number. */
  readonly secret: string;
}

export interface NamedStream {
  readonly id: string;
  /** The id of the instance that has it, or had. */
  readonly instance: string;
  readonly isHere: boolean;
  readonly number: number;
}

/** Ids and secrets for the streams of one process. A stream is a number here, so that it takes no memory. */
export class StreamHandles {
  /** The id of this process, which the ids of its streams begin with. */
  readonly instance = randomName(INSTANCE_CHARACTERS);
  readonly #key = randomBytes(32);
  #count = 0;
  /** The secrets of the numbers from `#first` on. */
  #secrets = Buffer.alloc(0);
  #first = -1;

  /** The number of a stream that begins. Numbers grow, and none is given twice. */
  next(): number {
    return ++this.#count;
  }

  of(number: number): StreamHandle {
    return { id: this.idOf(number), secret: this.#secret(number) };
  }

  idOf(number: number): string {
    return `${this.instance}-${number.toString(36)}`;
  }

  /** The stream that an id names; undefined where it is no id. */
  read(id: string): NamedStream | undefined {
    const named = readStreamId(id);
    return named && { id, ...named, isHere: named.instance === this.instance };
  }

  /** Whether a proof is the one of a stream's secret. */
  isProof(number: number, proof: Buffer): boolean {
    const expected = proofOf(this.#secret(number));
    return proof.length === expected.length && timingSafeEqual(proof, expected);
  }

  /** The key stream of AES in counter mode (NIST SP 800-38A, 6.5): the secret of a number is what its block is encrypted with. */
  #secret(number: number): string {
    const first = number - number % LOT_STREAMS;
    if (first !== this.#first) {
      const counter = Buffer.alloc(STREAM_SECRET_BYTES);
      counter.writeBigUInt64BE(BigInt(first), STREAM_SECRET_BYTES - 8);
      this.#secrets = createCipheriv('aes-256-ctr', this.#key, counter).update(Buffer.alloc(LOT_STREAMS * STREAM_SECRET_BYTES));
      this.#first = first;
    }
    const at = (number - first) * STREAM_SECRET_BYTES;
    return this.#secrets.toString('base64url', at, at + STREAM_SECRET_BYTES);
  }
}

/** The instance and the number in the id of a stream; undefined where it is no id. */
export function readStreamId(id: string): { readonly instance: string; readonly number: number } | undefined {
  const [, instance, digits = ''] = ID.exec(id) ?? [];
  const number = Number.parseInt(digits, 36);
  return instance === undefined || !Number.isSafeInteger(number) ? undefined : { instance, number };
}

/** Whether a text may be the id of an instance. */
export function isInstanceId(text: unknown): text is string {
  return typeof text === 'string' && INSTANCE.test(text);
}

export function isStreamSecret(text: unknown): text is string {
  return typeof text === 'string' && SECRET.test(text);
}

/** Proves knowledge of a secret: the secret itself never leaves the instance that it was sent to. */
export function proofOf(secret: string): Buffer {
  return hash('sha256', `tidings stream ${secret}`, 'buffer');
}
