import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Config } from '../../config/config.ts';
import type { HookPlan } from '../../hooks/plan.ts';
import { resolvePointer } from '../../hooks/pointer.ts';
import { MissingValue, type Template, type TemplateSource } from '../../hooks/template.ts';
import { checkEvent, checkText, whyNotJson } from '../../model/content.ts';
import type { Draft } from '../../model/message.ts';
import { Problem } from '../../model/problem.ts';
import { checkTopic } from '../../model/topic.ts';
import { ownText } from '../../runtime/memory.ts';
import type { IdempotencyKey } from '../../store/store.ts';
import { isJson, mediaType } from './content-headers.ts';
import { KEY_MAX_BYTES } from './idempotency-key.ts';
import { DuplicateMember, elementSpans, memberSpan, type Span } from './json-source.ts';

/** The body of a hook's request, after the check of its signature. */
export interface HookBody {
  readonly json: boolean;
  /** The text of the message, as it came. */
  readonly data: Buffer;
  /** Parsed; undefined where it is text. */
  readonly value: unknown;
}

/** The message that a hook publishes. */
export interface HookPublish {
  readonly drafts: readonly Draft[];
  readonly key: IdempotencyKey | undefined;
}

const FORM = 'application/x-www-form-urlencoded';
/** The field of a form in which some senders (GitHub, Slack) put their JSON. */
const PAYLOAD_FIELD = 'payload';

/** One fingerprint for all: the sender's own id says whether a request is the same one again. Some senders change their body between attempts. */
const FINGERPRINT = createHash('sha256').update('hook').digest();

/** @throws Problem `invalid-data`, or `too-large` where a form is larger as JSON */
export function readHookBody(headers: IncomingHttpHeaders, body: Buffer, maxBytes: number): HookBody {
  checkText(body);
  if (mediaType(headers) === FORM) {
    const fields = new URLSearchParams(body.toString());
    const text = fields.get(PAYLOAD_FIELD) ?? JSON.stringify(Object.fromEntries(fields));
    const data = Buffer.from(text);
    // Quotation marks and escapes make it up to six times as large.
    if (data.length > maxBytes) throw new Problem('too-large', `The form is larger than ${maxBytes} bytes as JSON, which is what MESSAGE_BYTES allows.`, { field: 'body' });
    return { json: true, data, value: parsed(text) };
  }
  return isJson(headers) ? { json: true, data: body, value: parsed(body.toString()) } : { json: false, data: body, value: undefined };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new Problem('invalid-data', `The body is not JSON: ${whyNotJson(error, text)}.`, { field: 'body', cause: error });
  }
}

/** The messages of a request, by the hook's templates. @throws Problem that names the place in the request */
export function readHookMessages(hook: Pick<HookPlan, 'topic' | 'event' | 'key' | 'each' | 'ttl' | 'name'>, scope: string, headers: IncomingHttpHeaders, body: HookBody, config: Pick<Config, 'BATCH_MESSAGES' | 'EVENT_BYTES' | 'IDEMPOTENCY_SECONDS'>): HookPublish {
  const parts = hook.each === undefined ? [{ data: body.data, value: body.value }] : elementsOf(body, hook.each, config.BATCH_MESSAGES);
  const numbers = new Map<readonly string[], string | undefined>();
  const ofBody = (pointer: readonly string[]): string | undefined => {
    if (!numbers.has(pointer)) numbers.set(pointer, sourceAt(body, pointer));
    return numbers.get(pointer);
  };
  const drafts = parts.map(({ data, value }): Draft => {
    const source: TemplateSource = { headers, body: body.value, element: value, numberText: (kind, pointer) => kind === 'body' ? ofBody(pointer) : sourceAt({ data, value }, pointer) };
    const topic = filled('topic', () => hook.topic.topic(source));
    const event = valueOf(hook.event, source);
    return { topic: ownText(checkTopic(topic)), event: event === undefined ? undefined : checkedEvent(event, config.EVENT_BYTES), json: body.json, data, ttl: hook.ttl };
  });
  const key = valueOf(hook.key, { headers, body: body.value, element: body.value, numberText: (_, pointer) => ofBody(pointer) });
  return { drafts, key: key === undefined ? undefined : { scope, key: storedKey(key), fingerprint: FINGERPRINT, window: config.IDEMPOTENCY_SECONDS * 1000 } };
}

function checkedEvent(event: string, maxBytes: number): string | undefined {
  const checked = checkEvent(event, maxBytes);
  return checked && ownText(checked);
}

function filled(what: string, fill: () => string): string {
  try {
    return fill();
  } catch (error) {
    if (!(error instanceof MissingValue)) throw error;
    throw new Problem('invalid-data', `The ${what} of the message cannot be made: there is nothing at ${error.places}.`, { field: error.places, cause: error });
  }
}

/** Undefined without a template: then the message has the default event, and no key. */
function valueOf(template: Template | undefined, source: TemplateSource): string | undefined {
  try {
    return template?.text(source);
  } catch (error) {
    if (error instanceof MissingValue) return undefined;
    throw error;
  }
}

/** A key as it may be stored: others are kept by their digests. */
function storedKey(key: string): string {
  return key.length <= KEY_MAX_BYTES && /^[\x21-\x7e]+$/.test(key) ? key : `sha256:${createHash('sha256').update(key).digest('hex')}`;
}

/** The elements of an array in the body, each with its text as it came. */
function elementsOf(body: HookBody, pointer: readonly string[], most: number): { readonly data: Buffer; readonly value: unknown }[] {
  const field = pointer.map((token) => `/${token}`).join('');
  const invalid = (why: string): Problem => new Problem('invalid-data', `${field === '' ? 'The body' : field} ${why}.`, { field: field === '' ? 'body' : field });
  if (!body.json) throw invalid('is text, and not an array of JSON');
  const source = sourceAt(body, pointer);
  if (source === undefined) throw invalid('is not there');
  const at = resolvePointer(body.value, pointer);
  if (!Array.isArray(at)) throw invalid('is no array');
  if (at.length === 0) throw invalid('has no element');
  if (at.length > most) throw invalid(`has more than ${most} elements`);
  const values: readonly unknown[] = at;
  return spansOf(source).map(({ start, end }, index) => ({ data: Buffer.from(source.slice(start, end)), value: values[index] }));
}

/** The text of the value that a pointer leads to; undefined if there is no such value. */
function sourceAt({ data, value }: Pick<HookBody, 'data' | 'value'>, pointer: readonly string[]): string | undefined {
  let source = data.toString();
  let at = value;
  for (const token of pointer) {
    const span = spanIn(source, at, token);
    if (span === undefined) return undefined;
    source = source.slice(span.start, span.end);
    at = (at as Readonly<Record<string, unknown>>)[token];
  }
  return source;
}

/** Where a member of an object, or an element of an array, stands in its text. */
function spanIn(source: string, value: unknown, token: string): Span | undefined {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, token)) return undefined;
  if (Array.isArray(value)) return spansOf(source)[Number(token)];
  try {
    return memberSpan(source, token);
  } catch (error) {
    if (!(error instanceof DuplicateMember)) throw error;
    throw new Problem('invalid-data', `The body is not valid: ${error.message}.`, { field: error.member, cause: error });
  }
}

function spansOf(source: string): Span[] {
  return [...elementSpans(source)].filter((span) => span !== undefined);
}
