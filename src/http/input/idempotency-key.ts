import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { Problem } from '../../model/problem.ts';
import type { IdempotencyKey } from '../../store/store.ts';
import { headerNamedBy, KEY_HEADER, readNamedHeader } from './named-header.ts';
import type { Query } from './query-string.ts';

/** Stops keys from filling the database: each is stored with its request. The key counts without its quotes. */
export const KEY_MAX_BYTES = 255;

const BARE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
/** A string of RFC 9651, section 4.2.5. */
const QUOTED = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/;

/** The parameter of a URL that stands for the header, for senders that cannot set headers, such as webhooks. */
const KEY_PARAMETER = 'idempotencyKey';

/**
 * The key of an `Idempotency-Key` header. The IETF's draft has it quoted, most clients send it bare; both are the same key.
 * @param field Where it was given.
 * @throws Problem `invalid-key`
 */
export function parseKey(value: string, field = 'Idempotency-Key'): string {
  const invalid = (why: string): Problem => new Problem('invalid-key', `The idempotency key is not valid: ${why}.`, { field });
  const quoted = QUOTED.exec(value)?.[1];
  const key = quoted === undefined ? value : quoted.replace(/\\(["\\])/g, '$1');
  if (key === '') throw invalid('it is empty');
  if (quoted === undefined && value.startsWith('"')) throw invalid('its quoting is broken');
  if (quoted === undefined && !BARE.test(value)) throw invalid('it has characters other than printable ASCII');
  if (key.length > KEY_MAX_BYTES) throw invalid(`it is longer than ${KEY_MAX_BYTES} characters`);
  return key;
}

/** Two requests are the same if these parts are equal. */
export interface RequestIdentity {
  readonly kind: 'text' | 'json' | 'array' | 'ndjson';
  /** undefined in a batch, whose body says it. */
  readonly topic?: string | undefined;
  readonly event?: string | undefined;
  readonly ttl?: number | undefined;
  readonly body: Uint8Array;
}

/** A digest of a request, 32 bytes. The parts cannot run into each other: a JSON array says itself where it ends. */
export function fingerprint({ kind, topic, event, ttl, body }: RequestIdentity): Uint8Array {
  return createHash('sha256').update(JSON.stringify([kind, topic ?? null, event ?? null, ttl ?? 0])).update(body).digest();
}

/** The parts of a request in which its key may be. */
export interface KeyParts {
  readonly headers: IncomingHttpHeaders;
  readonly query: Query;
  /** The namespace of the key: two senders never share one. */
  readonly scope: string;
}

/**
 * The key under which a request is stored once; undefined where it has none.
 * @throws Problem `invalid-key`
 */
export function requestKey({ headers, query, scope }: KeyParts, identity: RequestIdentity, windowSeconds: number): IdempotencyKey | undefined {
  const parameter = query[KEY_PARAMETER] as string | undefined;
  const header = headers['idempotency-key'] as string | undefined;
  const named = readNamedHeader(headers, query, KEY_HEADER);
  if (parameter === undefined && header === undefined && named === undefined) return undefined;
  const scoped = (key: string, of: string): IdempotencyKey => ({ scope: of, key, fingerprint: fingerprint(identity), window: windowSeconds * 1000 });
  if (named !== undefined) {
    if (parameter !== undefined || header !== undefined) throw new Problem('invalid-key', `There is an idempotency key beside the one that ${KEY_HEADER.parameter} names.`, { field: KEY_HEADER.parameter });
    return scoped(parseKey(named, KEY_HEADER.parameter), senderScope(headerNamedBy(query, KEY_HEADER)!, identity.topic ?? '', scope));
  }
  const keys = [...(parameter === undefined ? [] : [parseKey(parameter, KEY_PARAMETER)]), ...(header === undefined ? [] : [parseKey(header)])];
  if (keys.length === 2 && keys[0] !== keys[1]) throw new Problem('invalid-key', 'The idempotency key in the query is not the one in the header.', { field: KEY_PARAMETER });
  return scoped(keys[0]!, scope);
}

/**
 * The scope of a key that a sender made for its own ends. It sends the same one to each of its webhooks that an event concerns, and each may have another topic. In one
 * scope, all but the first would be refused. Neither a header's name nor a topic has a blank.
 */
function senderScope(header: string, topic: string, scope: string): string {
  const own = `sender ${header} ${topic}`;
  return scope === '' ? own : `${own} ${scope}`;
}
