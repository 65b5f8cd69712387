import { randomBytes, randomInt } from 'node:crypto';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** A random name of lower-case letters and digits, for logs and epochs. */
export function randomName(length: number): string {
  let name = '';
  while (name.length < length) name += ALPHABET[randomInt(ALPHABET.length)];
  return name;
}

/** The length of a log's name. So long that no two logs get the same one. */
export const LOG_NAME_CHARACTERS = 16;

/** The length of an epoch's secret: as long as the SHA-256 digests that are made with it. */
const SECRET_BYTES = 32;

/** A secret that only readers of the log know, in hexadecimal digits. */
export function randomSecret(): string {
  return randomBytes(SECRET_BYTES).toString('hex');
}
