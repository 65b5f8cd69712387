import { hash, randomBytes } from 'node:crypto';
import { randomName } from '../../store/names.ts';

/** A secret as its owner holds it: `<prefix>_<id>_<secret>`. The id finds its row and is no secret. */

const ID_CHARACTERS = 12;
/** 256 bits. Nobody finds one by trying, so one round of SHA-256 is enough to store it. */
const SECRET_BYTES = 32;

const ID = /^[a-z0-9]{12}$/;

/** The parts of a secret text that are compared. */
export interface ReadSecret {
  readonly id: string;
  /** SHA-256 of the secret. */
  readonly digest: Buffer;
}

export interface MadeSecret extends ReadSecret {
  /** The whole text. It is shown once, and nowhere stored. */
  readonly text: string;
}

/** Whether a text may be an id. */
export function isSecretId(text: string): boolean {
  return ID.test(text);
}

/** The texts of one prefix. */
export class SecretText {
  readonly #prefix: string;
  readonly #form: RegExp;

  /** @param prefix Three letters. */
  constructor(prefix: string) {
    this.#prefix = `${prefix}_`;
    this.#form = new RegExp(`^${prefix}_([a-z0-9]{12})_([0-9a-f]{64})$`);
  }

  /** Whether a credential is one of these, well-formed or not. */
  is(text: string): boolean {
    return text.startsWith(this.#prefix);
  }

  /** The parts; undefined where the text is not whole. */
  read(text: string): ReadSecret | undefined {
    const parts = this.#form.exec(text);
    return parts === null ? undefined : { id: parts[1]!, digest: digestOf(parts[2]!) };
  }

  /** Makes a new one, or with an id a new secret for that id. */
  make(id = randomName(ID_CHARACTERS)): MadeSecret {
    const secret = randomBytes(SECRET_BYTES).toString('hex');
    return { id, text: `${this.#prefix}${id}_${secret}`, digest: digestOf(secret) };
  }
}

function digestOf(secret: string): Buffer {
  return hash('sha256', secret, 'buffer');
}
