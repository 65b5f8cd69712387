import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { randomName } from '../store/names.ts';
import type { KeySecret } from '../store/key-store.ts';

/** API keys as their owners hold them: `tdg_<id>_<secret>`. The id finds the key and is no secret. */

const KEY_ID_CHARACTERS = 12;
/** 256 bits. Nobody finds one by trying, so one round of SHA-256 is enough to store it. */
const SECRET_BYTES = 32;

const KEY = /^tdg_([a-z0-9]{12})_([0-9a-f]{64})$/;
const KEY_ID = /^[a-z0-9]{12}$/;

/** Whether a credential is an API key, well-formed or not; otherwise it is a token. */
export function isApiKey(text: string): boolean {
  return text.startsWith('tdg_');
}

/** Whether a text may be the id of an API key. */
export function isKeyId(text: string): boolean {
  return KEY_ID.test(text);
}

/** The parts of a key that are compared; undefined where the text is no key. */
export function readApiKey(text: string): { readonly id: string; readonly digest: Buffer } | undefined {
  const parts = KEY.exec(text);
  return parts === null ? undefined : { id: parts[1]!, digest: digestOf(parts[2]!) };
}

export interface MadeKey {
  readonly id: string;
  /** The whole key. It is shown once, and nowhere stored. */
  readonly text: string;
  readonly digest: Buffer;
}

/** Makes a key, or with an id a new secret for that key. */
export function makeApiKey(id = randomName(KEY_ID_CHARACTERS)): MadeKey {
  const secret = randomBytes(SECRET_BYTES).toString('hex');
  return { id, text: `tdg_${id}_${secret}`, digest: digestOf(secret) };
}

/** Which of the secrets that are good at a time has a digest. It takes the same time for all digests that none has. */
export function goodSecret(digest: Buffer, secrets: readonly KeySecret[], now: number): KeySecret | undefined {
  let found: KeySecret | undefined;
  for (const secret of secrets) {
    if (timingSafeEqual(digest, secret.digest) && (secret.expires === undefined || now < secret.expires)) found = secret;
  }
  return found;
}

function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
