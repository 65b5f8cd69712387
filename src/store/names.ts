import { randomInt } from 'node:crypto';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** Letters and digits that nobody else has: what logs and epochs are called. */
export function randomName(length: number): string {
  let name = '';
  while (name.length < length) name += ALPHABET[randomInt(ALPHABET.length)];
  return name;
}

/** Long enough that no two logs, and no two epochs of one log, are ever called alike. */
export const LOG_NAME_CHARACTERS = 16;
export const EPOCH_NAME_CHARACTERS = 10;
