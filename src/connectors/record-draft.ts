import { MissingValue, type TemplateSource } from '../hooks/template.ts';
import { checkEvent, checkText, whyNotJson } from '../model/content.ts';
import type { Draft } from '../model/message.ts';
import { Problem } from '../model/problem.ts';
import { checkTopic } from '../model/topic.ts';
import { ownCopy, ownText } from '../runtime/memory.ts';
import { DEAD_EVENT, type Format, type SourcePlan } from './plan.ts';
import type { Outgoing, SourceRecord } from './transport.ts';

/** Makes a message of a record, or a dead letter that says why that is impossible. */

/** How much of the data a dead letter repeats. Stops large records that cannot be stored from filling the log. */
const DEAD_DATA_MAX_BYTES = 64 * 1024;
/** The longest reason in a dead letter. */
const DEAD_REASON_MAX_CHARACTERS = 500;
/** The longest value of a field in a dead letter. */
const DEAD_FIELD_MAX_CHARACTERS = 1_000;

export interface ContentBounds {
  /** MESSAGE_BYTES. */
  readonly messageBytes: number;
  /** EVENT_BYTES. */
  readonly eventBytes: number;
}

/** @throws Problem if the record cannot become a message */
export function draftOf({ topic, event, format, ttl }: SourcePlan, record: SourceRecord, { messageBytes, eventBytes }: ContentBounds): Draft {
  if (record.data.length > messageBytes) throw new Problem('too-large', `it is larger than ${messageBytes} bytes, which is what MESSAGE_BYTES allows`);
  checkText(record.data, 'it');
  const { json, value } = parsed(record.data, format);
  const source: TemplateSource = { headers: record.headers, fields: record.fields, body: value, element: value };
  try {
    const eventName = eventOf(event, source);
    return { topic: ownText(checkTopic(topic.topic(source))), event: eventName === undefined ? undefined : checkEvent(eventName, eventBytes), json, data: ownCopy(record.data), ttl };
  } catch (error) {
    if (error instanceof MissingValue) throw new Problem('invalid-data', `its topic cannot be made: ${error.message}`, { cause: error });
    throw error;
  }
}

/** Undefined if the plan has no event, or the record lacks a field of its template: then the message has the default event. */
function eventOf(event: SourcePlan['event'], source: TemplateSource): string | undefined {
  try {
    return event?.text(source);
  } catch (error) {
    if (error instanceof MissingValue) return undefined;
    throw error;
  }
}

function parsed(data: Uint8Array, format: Format): { readonly json: boolean; readonly value: unknown } {
  if (format === 'text') return { json: false, value: undefined };
  const text = Buffer.from(data.buffer, data.byteOffset, data.length).toString();
  // `5` and `true` are JSON, but most senders mean text.
  if (format === 'auto' && !/^\s*[[{]/.test(text)) return { json: false, value: undefined };
  try {
    return { json: true, value: JSON.parse(text) as unknown };
  } catch (error) {
    if (format === 'auto') return { json: false, value: undefined };
    throw new Problem('invalid-data', `it is not JSON: ${whyNotJson(error, text)}`, { cause: error });
  }
}

/** The dead letter of a record that cannot be stored: the reason, the record's position, and the beginning of its data. */
export function deadRecord(connector: string, topic: string, { part, at, fields, data }: SourceRecord, reason: string): Draft {
  const known = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, value?.slice(0, DEAD_FIELD_MAX_CHARACTERS).toWellFormed()]));
  return deadLetter(topic, { connector, reason, part, ...at, fields: known }, data);
}

/** The dead letter of a message that cannot be sent. */
export function deadMessage(connector: string, topic: string, { id, topic: of, target, data }: Omit<Outgoing, 'headers'>, reason: string): Draft {
  return deadLetter(topic, { connector, reason, id, topic: of, target }, data);
}

function deadLetter(topic: string, facts: Readonly<Record<string, unknown>> & { readonly reason: string }, data: Uint8Array): Draft {
  const beginning = Buffer.from(data.buffer, data.byteOffset, Math.min(data.length, DEAD_DATA_MAX_BYTES)).toString('base64');
  const body = { ...facts, reason: facts.reason.slice(0, DEAD_REASON_MAX_CHARACTERS).toWellFormed(), bytes: data.length, dataBase64: beginning, isWhole: data.length <= DEAD_DATA_MAX_BYTES };
  return { topic, event: DEAD_EVENT, json: true, ttl: 0, data: Buffer.from(JSON.stringify(body)) };
}
