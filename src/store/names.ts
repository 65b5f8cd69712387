import { randomInt } from 'node:crypto';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** Letters and digits that nobody else has: what logs and epochs are called. */
export function randomName(length: number): string {
  let name = '';
  while (name.length < length) name += ALPHABET[randomInt(ALPHABET.length)];
  return name;
}

/** Long enough that no two logs, and no two epochs of one log, are ever called alike. Characters. */
export const LOG_NAME = 16;
export const EPOCH_NAME = 10;

/** Epochs that are kept although nothing of them is: a client that comes back late is told `expired`, not `unknown-log`. */
export const KEPT_EPOCHS = 1_000;
