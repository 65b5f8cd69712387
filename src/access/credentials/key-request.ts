import { checkPattern } from '../../model/topic.ts';
import { PERMISSION_MAX_PATTERNS, type Permissions } from '../../model/permissions.ts';
import { Problem } from '../../model/problem.ts';

/** Checks the request for a key, from an administrator or a file. */

/** Stops a name from filling a line. Characters. */
const NAME_MAX_CHARACTERS = 100;
/** The longest lifetime of a key, ten years: a longer one is a mistake. */
export const LIFETIME_MAX_SECONDS = 10 * 365 * 86_400;
/** How long a key's secret may stay good after its rotation. */
export const OVERLAP_MAX_SECONDS = 30 * 86_400;

export interface KeyRequest {
  readonly name: string;
  readonly permissions: Permissions;
  readonly lifetimeMs: number | undefined;
}

/**
 * Reads what a new key is to be: `{"name", "publish"?: […], "subscribe"?: […], "erase"?: […], "presence"?: […], "admin"?: true, "operate"?: true, "expiresInSeconds"?}`.
 * @throws Problem that names the member
 */
export function readKeyRequest(value: unknown): KeyRequest {
  const given = members(value, ['name', 'publish', 'subscribe', 'erase', 'presence', 'admin', 'operate', 'expiresInSeconds']);
  return { name: readName(given['name']), permissions: readPermissions(given), lifetimeMs: readLifetime(given['expiresInSeconds']) };
}

/** Reads how long the secret before stays good: `{"overlapSeconds"?}`, by default not at all. In milliseconds. @throws Problem */
export function readOverlap(value: unknown): number {
  const { overlapSeconds } = members(value, ['overlapSeconds']);
  if (overlapSeconds === undefined) return 0;
  if (!isWhole(overlapSeconds, 0, OVERLAP_MAX_SECONDS)) throw invalid('overlapSeconds', `it must be a whole number from 0 to ${OVERLAP_MAX_SECONDS}`);
  return overlapSeconds * 1000;
}

/** An object that has no other members than these. @throws Problem */
export function members(value: unknown, known: readonly string[], field = ''): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(field, 'it must be an object');
  const stranger = Object.keys(value).find((name) => !known.includes(name));
  if (stranger !== undefined) throw invalid(at(field, isWord(stranger) ? stranger : 'a member'), `it is not known here; known are ${known.join(', ')}`);
  return value as Readonly<Record<string, unknown>>;
}

/** Whether an error may repeat the text: a mistyped name, but nothing from a file that was named by mistake. */
function isWord(name: string): boolean {
  return /^[A-Za-z_]{1,20}$/.test(name);
}

function at(field: string, name: string): string {
  return field === '' ? name : `${field}.${name}`;
}

/** @throws Problem */
export function readName(name: unknown, field = 'name'): string {
  if (typeof name !== 'string' || name.trim() === '') throw invalid(field, 'it must be a text that says what the key is for');
  if (name.length > NAME_MAX_CHARACTERS) throw invalid(field, `it is longer than ${NAME_MAX_CHARACTERS} characters`);
  if (!name.isWellFormed() || /\p{C}/u.test(name)) throw invalid(field, 'it has characters that cannot be seen');
  return name;
}

/** The permissions of an object with the members `publish`, `subscribe`, `erase`, `presence`, `admin` and `operate`. @throws Problem */
export function readPermissions({ publish, subscribe, erase, presence, admin = false, operate = false }: Readonly<Record<string, unknown>>, field = ''): Permissions {
  if (typeof admin !== 'boolean') throw invalid(at(field, 'admin'), 'it must be true or false');
  if (typeof operate !== 'boolean') throw invalid(at(field, 'operate'), 'it must be true or false');
  const erased = readPatterns(erase, at(field, 'erase'));
  const seen = readPatterns(presence, at(field, 'presence'));
  const permissions = { publish: readPatterns(publish, at(field, 'publish')), subscribe: readPatterns(subscribe, at(field, 'subscribe')), ...(erased.length === 0 ? {} : { erase: erased }), ...(seen.length === 0 ? {} : { presence: seen }), admin, operate };
  if (!admin && !operate && permissions.publish.length + permissions.subscribe.length + erased.length + seen.length === 0) throw new Problem('invalid-request', 'The key would allow nothing: give it topics to publish or subscribe to, or operate, or admin.', { field: at(field, 'subscribe') });
  return permissions;
}

/** A list of topics and patterns, each checked by `check`, with a bound on their number. @throws Problem */
export function readPatterns(value: unknown, field: string, most = PERMISSION_MAX_PATTERNS, check = checkPattern): readonly string[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw invalid(field, 'it must be an array of topics and patterns');
  if (value.length > most) throw invalid(field, `it has more than ${most} topics and patterns`);
  return value.map((pattern: unknown, index) => {
    if (typeof pattern !== 'string') throw invalid(`${field}[${index}]`, 'it must be a text');
    return check(pattern, `${field}[${index}]`);
  });
}

function readLifetime(seconds: unknown): number | undefined {
  if (seconds === undefined || seconds === null) return undefined;
  if (!isWhole(seconds, 1, LIFETIME_MAX_SECONDS)) throw invalid('expiresInSeconds', `it must be a whole number from 1 to ${LIFETIME_MAX_SECONDS}`);
  return seconds * 1000;
}

function isWhole(value: unknown, min: number, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}

function invalid(field: string, why: string): Problem {
  return new Problem('invalid-request', field === '' ? `The request is not valid: ${why}.` : `${field} is not valid: ${why}.`, { field: field === '' ? undefined : field });
}
