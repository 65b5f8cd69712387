import type { Msg, MsgHdrs } from '@nats-io/transport-node';
import type { SourceRecord } from '../transport.ts';

/** Makes a record of a NATS message, for templates. Of a header with several values, the first value counts. */
export function recordOf({ subject, headers, data }: Pick<Msg, 'subject' | 'headers' | 'data'>, at: SourceRecord['at'], stream?: string): SourceRecord {
  return { part: '', at, fields: { subject, stream }, headers: headers === undefined ? {} : plainHeaders(headers), data };
}

function plainHeaders(headers: MsgHdrs): Readonly<Record<string, string>> {
  const plain: Record<string, string> = {};
  for (const [name, [first = '']] of headers) plain[name.toLowerCase()] ??= first;
  return plain;
}
