/** The parameters of a query string: a text, or a list where the name was given more than once. */
export type Query = Readonly<Record<string, string | readonly string[]>>;

/** Under this key stands the name of the first parameter that could not be decoded. */
const MALFORMED_PARAMETER = Symbol('malformed');

/** A query inherits nothing. Without a prototype it would be a hash table from the start, which takes several times as long to fill and to read. */
const NO_PARAMETERS: object = Object.create(null) as object;

/** The parameter in which a client passes on the last id that it got. */
const LAST_EVENT_ID = 'lastEventId';

/**
 * Whether a parameter passes on the last id, as a library or a page writes its name: `lastEventID`, `Last-Event-ID`, `last_event_id`. Unlike others it may come more than once: some
 * libraries append the newest id to a URL that already has one. The last that is not empty counts.
 */
function isLastEventId(name: string): boolean {
  return name.length >= LAST_EVENT_ID.length && name.length <= LAST_EVENT_ID.length + 2 && name.toLowerCase().replace(/[-_]/g, '') === 'lasteventid';
}

/**
 * Reads a query string as browsers write it: `+` is a space. Strict, unlike most parsers: what is no percent-encoding
 * of UTF-8 is not guessed at. It must not throw, since the router calls it outside of any request; `malformedQuery`
 * tells what was wrong.
 */
export function parseQuery(text: string): Query {
  const query: Record<string | symbol, string | string[]> = Object.create(NO_PARAMETERS) as Record<string, never>;
  if (text === '') return query;
  for (const part of text.split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const rawName = equals === -1 ? part : part.slice(0, equals);
    const name = decode(rawName);
    const value = equals === -1 ? '' : decode(part.slice(equals + 1));
    if (name === undefined || value === undefined) {
      query[MALFORMED_PARAMETER] ??= name ?? rawName;
      continue;
    }
    if (isLastEventId(name)) {
      if (value !== '' || query[LAST_EVENT_ID] === undefined) query[LAST_EVENT_ID] = value;
      continue;
    }
    const before = query[name];
    if (before === undefined) query[name] = value;
    else if (typeof before === 'string') query[name] = [before, value];
    else before.push(value);
  }
  return query;
}

/** The name of the parameter that is not percent-encoded UTF-8, if there is one. */
export function malformedQuery(query: object): string | undefined {
  return (query as { [MALFORMED_PARAMETER]?: string })[MALFORMED_PARAMETER];
}

function decode(text: string): string | undefined {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return undefined;
  }
}
