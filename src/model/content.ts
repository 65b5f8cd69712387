import { isUtf8 } from 'node:buffer';
import { Problem } from './problem.ts';

/**
 * Checks of the parts of a message that a publisher gives; `topic.ts` checks the topic. Each function throws a
 * `Problem` that names the field. Messages from the bus pass the same checks.
 */

/** The default event: its frame has no `event:` line. */
const DEFAULT_EVENT = 'message';

/** Events that a native EventSource fires by itself. A page's handlers would take such a message for a lost or opened connection. */
const RESERVED_EVENTS = new Set(['error', 'open']);

/** Checks the event name of a message. @returns undefined for the default name. */
export function checkEvent(event: string, maxBytes: number, field = 'event'): string | undefined {
  if (event === DEFAULT_EVENT) return undefined;
  const why = event === '' ? 'it is empty'
    : /[\r\n\0]/.test(event) ? 'it contains a line break or NUL'
    : event.startsWith('$') ? 'names that begin with $ are reserved'
    : RESERVED_EVENTS.has(event) ? "a browser's EventSource uses it for itself"
    : !event.isWellFormed() ? 'it is not well-formed Unicode'
    : Buffer.byteLength(event) > maxBytes ? `it is longer than ${maxBytes} bytes`
    : undefined;
  if (why !== undefined) throw new Problem('invalid-event', `The event name is not valid: ${why}.`, { field });
  return event;
}

/** Some editors and shells put this character before a text. */
const BYTE_ORDER_MARK = '\ufeff';

/** Text must only be UTF-8. */
export function checkText(data: Uint8Array, what = 'The body'): void {
  if (isUtf8(data)) return;
  const isUtf16 = (data[0] === 0xff && data[1] === 0xfe) || (data[0] === 0xfe && data[1] === 0xff);
  throw new Problem('invalid-data', `${what} is not UTF-8${isUtf16 ? ': it begins with the byte order mark of UTF-16' : ''}.`, { field: 'body' });
}

/** Checks that data is JSON. The log keeps its source text, so the parsed value is dropped. A byte order mark is not JSON (RFC 8259, section 8.1). */
export function checkJson(data: Buffer): void {
  checkText(data);
  const text = data.toString();
  try {
    JSON.parse(text);
  } catch (error) {
    throw new Problem('invalid-data', `The Content-Type says that the body is JSON, and it is not: ${whyNotJson(error, text)}.`, { field: 'body', cause: error });
  }
}

/** Why a text is no JSON: the parser's message, or a byte order mark. */
export function whyNotJson(error: unknown, text: string): string {
  if (text.startsWith(BYTE_ORDER_MARK)) return 'it begins with a byte order mark (the bytes EF BB BF), which JSON does not have';
  return error instanceof SyntaxError ? error.message : 'it cannot be parsed';
}
