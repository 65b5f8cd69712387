import { timingSafeEqual } from 'node:crypto';
import type { KeySecret } from '../../store/contracts/key-store.ts';
import { isSecretId, SecretText, type MadeSecret, type ReadSecret } from './secret-text.ts';

/** API keys as their owners hold them: `tdg_<id>_<secret>`. */
const API_KEYS = new SecretText('tdg');

/** Whether a credential is an API key, well-formed or not. */
export function isApiKey(text: string): boolean {
  return API_KEYS.is(text);
}

/** Whether a text may be the id of an API key. */
export function isKeyId(text: string): boolean {
  return isSecretId(text);
}

/** The parts of a key that are compared; undefined where the text is no key. */
export function readApiKey(text: string): ReadSecret | undefined {
  return API_KEYS.read(text);
}

/** Makes a key, or with an id a new secret for that key. */
export function makeApiKey(id?: string): MadeSecret {
  return API_KEYS.make(id);
}

/** Whether one of the secrets has a digest, though its time may be over. */
export function hasSecret(digest: Uint8Array, secrets: readonly KeySecret[]): boolean {
  return secrets.some((secret) => timingSafeEqual(digest, secret.digest));
}

/** The secret with this digest, if it is good at this time. It takes the same time for all unknown digests. */
export function goodSecret(digest: Uint8Array, secrets: readonly KeySecret[], now: number): KeySecret | undefined {
  let found: KeySecret | undefined;
  for (const secret of secrets) {
    if (timingSafeEqual(digest, secret.digest) && (secret.expires === undefined || now < secret.expires)) found = secret;
  }
  return found;
}
