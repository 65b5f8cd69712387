import { members, readPatterns } from '../access/credentials/key-request.ts';
import { EVENT_MAX_BYTES } from '../config/content-limits.ts';
import type { WebhookAllow } from '../config/webhook-allow.ts';
import { parseSince } from '../log/history/since-time.ts';
import type { StartRequest } from '../log/history/start-position.ts';
import { parseId } from '../model/position.ts';
import { Problem } from '../model/problem.ts';
import { checkTopic, checkWish } from '../model/topic.ts';
import { WEBHOOK_TEXT_MAX_BYTES } from '../store/contracts/webhook-store.ts';
import { FORMATS, settingsText, type WebhookFormat, type WebhookSettings } from './settings.ts';
import { makeSecret, readSecret } from './signature.ts';
import { readTarget } from './target.ts';

/** Checks the requests of administrators. */

/** The most event names of one webhook. Bounds the list that each message is compared with. */
const EVENTS_MAX_ENTRIES = 100;
/** The longest overlap, during which the old secret stays valid: 30 days. */
export const OVERLAP_MAX_SECONDS = 30 * 86_400;

/** The bound of the database, less the bytes that a rotation of the secret adds. Stops settings whose members are valid, but too long for the database together. */
const SETTINGS_MAX_BYTES = WEBHOOK_TEXT_MAX_BYTES - 1024;

export interface WebhookBounds {
  readonly allow: WebhookAllow;
  /** The most topics and patterns of one webhook. */
  readonly maxTopics: number;
}

export interface WebhookRequest {
  readonly settings: WebhookSettings;
  readonly from: StartRequest;
}

const CHANGEABLE = ['url', 'topics', 'events', 'format', 'deadTopic'] as const;

/** Reads the request for a new webhook: `{"url", "topics", "events"?, "format"?, "deadTopic"?, "secret"?, "from"?}`. @throws Problem that names the member */
export function readWebhookRequest(value: unknown, bounds: WebhookBounds): WebhookRequest {
  const given = members(value, [...CHANGEABLE, 'secret', 'from']);
  const { secret, from } = given;
  const settings: WebhookSettings = {
    url: readTarget(given['url'], bounds.allow),
    topics: readTopics(given['topics'], bounds),
    events: readEvents(given['events']),
    format: readFormat(given['format']),
    deadTopic: readDeadTopic(given['deadTopic']),
    secrets: [{ secret: secret === undefined ? makeSecret() : readSecret(secret) }],
  };
  return { settings: ofSize(settings), from: from === undefined ? { kind: 'now' } : readFrom(from) };
}

/** The settings after a change. `null` removes `events` or `deadTopic`. @throws Problem */
export function changedSettings(settings: WebhookSettings, value: unknown, bounds: WebhookBounds): WebhookSettings {
  const given = members(value, CHANGEABLE);
  if (Object.keys(given).length === 0) throw invalid('', `there is nothing to change; what can be changed is ${CHANGEABLE.join(', ')}`);
  return ofSize({
    ...settings,
    ...('url' in given ? { url: readTarget(given['url'], bounds.allow) } : {}),
    ...('topics' in given ? { topics: readTopics(given['topics'], bounds) } : {}),
    ...('events' in given ? { events: readEvents(given['events'] ?? undefined) } : {}),
    ...('format' in given ? { format: readFormat(given['format']) } : {}),
    ...('deadTopic' in given ? { deadTopic: readDeadTopic(given['deadTopic'] ?? undefined) } : {}),
  });
}

/** `{"overlapSeconds"?, "secret"?}`. In milliseconds. @throws Problem */
export function readRotation(value: unknown): { readonly overlapMs: number; readonly secret: string } {
  const { overlapSeconds = 0, secret } = members(value, ['overlapSeconds', 'secret']);
  if (!Number.isInteger(overlapSeconds) || (overlapSeconds as number) < 0 || (overlapSeconds as number) > OVERLAP_MAX_SECONDS) throw invalid('overlapSeconds', `it must be a whole number from 0 to ${OVERLAP_MAX_SECONDS}`);
  return { overlapMs: (overlapSeconds as number) * 1000, secret: secret === undefined ? makeSecret() : readSecret(secret) };
}

/** `{"from"}`. @throws Problem */
export function readReplay(value: unknown): StartRequest {
  return readFrom(members(value, ['from'])['from']);
}

function readFrom(value: unknown): StartRequest {
  if (value === 'start' || value === 'now') return { kind: value };
  const position = typeof value === 'string' ? parseId(value) : undefined;
  if (position !== undefined) return { kind: 'after', position };
  const since = typeof value === 'string' ? parseSince(value) : undefined;
  if (since === undefined) throw new Problem('invalid-cursor', 'from must be the id of a message, a cursor, start, now, a duration back from now such as 10m, or a time of RFC 3339.', { field: 'from' });
  return since;
}

function readTopics(value: unknown, { maxTopics }: WebhookBounds): readonly string[] {
  const topics = readPatterns(value, 'topics', maxTopics, checkWish);
  if (topics.length === 0) throw invalid('topics', 'it must have at least one topic or pattern');
  return topics;
}

function readEvents(value: unknown): readonly string[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.length === 0 || value.length > EVENTS_MAX_ENTRIES) throw invalid('events', `it must be an array of 1 to ${EVENTS_MAX_ENTRIES} event names; without it every message is sent`);
  return value.map((name: unknown, index) => {
    if (typeof name !== 'string' || name === '' || !name.isWellFormed() || Buffer.byteLength(name) > EVENT_MAX_BYTES || /[\r\n\0]/.test(name)) throw invalid(`events[${index}]`, 'it must be an event name');
    return name;
  });
}

function ofSize(settings: WebhookSettings): WebhookSettings {
  if (Buffer.byteLength(settingsText(settings)) <= SETTINGS_MAX_BYTES) return settings;
  const { topics, events } = settings;
  throw invalid(JSON.stringify(events ?? []).length > JSON.stringify(topics).length ? 'events' : 'topics', `with everything else of the webhook it takes more than ${SETTINGS_MAX_BYTES} bytes; make several webhooks, or name patterns`);
}

function readFormat(value: unknown): WebhookFormat {
  const found = FORMATS.find((one) => one === (value ?? 'json'));
  if (found === undefined) throw invalid('format', `it must be ${FORMATS.join(' or ')}`);
  return found;
}

function readDeadTopic(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'string') throw invalid('deadTopic', 'it must be a topic');
  return checkTopic(value, 'deadTopic');
}

function invalid(field: string, why: string): Problem {
  return new Problem('invalid-request', field === '' ? `The request is not valid: ${why}.` : `${field} is not valid: ${why}.`, { field: field === '' ? undefined : field });
}
