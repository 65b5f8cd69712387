import { randomBytes, randomInt } from 'node:crypto';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** Letters and digits that nobody else has: what logs and epochs are called. */
export function randomName(length: number): string {
  let name = '';
  while (name.length < length) name += ALPHABET[randomInt(ALPHABET.length)];
  return name;
}

/** Long enough that no two logs are ever called alike. */
export const LOG_NAME_CHARACTERS = 16;

/** Bytes that an epoch's secret has: as many as the digest that is made with it. */
const SECRET_BYTES = 32;

/** A secret that only readers of the log know, in hexadecimal digits. */
export function randomSecret(): string {
  return randomBytes(SECRET_BYTES).toString('hex');
}
