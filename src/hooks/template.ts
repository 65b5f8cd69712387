import type { IncomingHttpHeaders } from 'node:http';
import { checkPointer, resolvePointer } from './pointer.ts';

/** Where the values of a template come from. */
export interface TemplateSource {
  readonly headers: IncomingHttpHeaders;
  /** The parsed body; undefined where it is text. */
  readonly body: unknown;
  /** The element of the body that becomes the message; the body itself where a request is one message. */
  readonly element: unknown;
  /** Values that have names of their own, such as the subject of a message of NATS. */
  readonly fields?: Readonly<Record<string, string | undefined>>;
  /** A number as its sender wrote it. Of a large one the parsed value has lost digits: two ids would be one. */
  readonly numberText?: (kind: 'element' | 'body', pointer: readonly string[]) => string | undefined;
}

/** No value for a template is there. */
export class MissingValue extends Error {
  override name = 'MissingValue';
  /** The places where it could have been, as the template has them. */
  readonly places: string;

  constructor(places: string) {
    super(`there is no value at ${places}`);
    this.places = places;
  }
}

type Place =
  | { readonly kind: 'element' | 'body'; readonly pointer: readonly string[] }
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'field'; readonly name: string; readonly segment: number | undefined }
  | { readonly kind: 'text'; readonly text: string };

interface Part {
  readonly literal: string;
  /** Between braces; undefined where the literal ends the template. */
  readonly places: readonly Place[] | undefined;
  readonly source: string;
  /** Whether dots of the value divide it into segments. */
  readonly isDivided: boolean;
}

const HEADER = /^header:([a-z0-9-]+)$/i;
const FIELD = /^([a-z]+)(?:\.([1-9][0-9]?))?$/;
const BRACES = /\{([^{}]*)\}/g;

/** Stops a template from being a program. */
const TEMPLATE_MAX_CHARACTERS = 500;

/** In a topic these characters of a value become `_`. So no value brings a wildcard, a `$`, white space, or a slash, which URLs would have to encode. */
const OUTSIDE_TOPICS = /[^\p{L}\p{N}_~:@+=.-]/gu;

/**
 * A text with values of a request in it: `deploys.{/repository/name}.{header:X-GitHub-Event}`. Braces hold places, parted by `|`, and the first place with a value counts.
 * A JSON pointer (RFC 6901) looks into the message. `body:` and a pointer look into the whole body. `header:` and a name stand for a header, `=` and a text for that text.
 * Where there are fields, the name of one stands for its value, and `subject.2` for the second segment of the subject.
 */
export class Template {
  readonly #parts: readonly Part[];

  private constructor(parts: readonly Part[]) {
    this.#parts = parts;
  }

  /** @param fields The names that may stand for values. @throws Error that says what is wrong */
  static parse(text: string, fields: readonly string[] = []): Template {
    if (text === '') throw new Error('it is empty');
    if (text.length > TEMPLATE_MAX_CHARACTERS) throw new Error(`it is longer than ${TEMPLATE_MAX_CHARACTERS} characters`);
    const parts: Part[] = [];
    let at = 0;
    for (const { 0: braces, 1: inside = '', index } of text.matchAll(BRACES)) {
      const isDivided = inside.startsWith('+');
      const source = isDivided ? inside.slice(1) : inside;
      parts.push({ literal: literalOf(text.slice(at, index)), places: source.split('|').map((place) => placeOf(place, fields)), source, isDivided });
      at = index + braces.length;
    }
    parts.push({ literal: literalOf(text.slice(at)), places: undefined, source: '', isDivided: false });
    return new Template(parts);
  }

  /** The values as they are. @throws MissingValue */
  text(source: TemplateSource): string {
    return this.#fill(source, (value) => value);
  }

  /** Each value as one segment of a topic, or as several where the template has a `+`. @throws MissingValue */
  topic(source: TemplateSource): string {
    return this.#fill(source, (value, isDivided) => {
      const safe = value.replace(OUTSIDE_TOPICS, '_');
      return isDivided ? safe : safe.replaceAll('.', '_');
    });
  }

  /** A topic that it could give: for a check of its literal parts. */
  get example(): string {
    return this.#parts.map(({ literal, places }) => literal + (places === undefined ? '' : 'x')).join('');
  }

  /** Whether no value is in it. */
  get isFixed(): boolean {
    return this.#parts.every(({ places }) => places === undefined);
  }

  /** Whether it looks into the body. */
  get readsBody(): boolean {
    return this.#parts.some(({ places }) => places?.some(({ kind }) => kind === 'body' || kind === 'element'));
  }

  #fill(source: TemplateSource, written: (value: string, isDivided: boolean) => string): string {
    return this.#parts.map(({ literal, places, source: where, isDivided }) => {
      if (places === undefined) return literal;
      const value = places.map((place) => valueAt(place, source)).find((one) => one !== undefined);
      if (value === undefined) throw new MissingValue(where.replaceAll('|', ' or '));
      return literal + written(value, isDivided);
    }).join('');
  }
}

function literalOf(text: string): string {
  if (/[{}]/.test(text)) throw new Error('its braces do not match');
  return text;
}

function placeOf(text: string, fields: readonly string[]): Place {
  if (text.startsWith('=')) return { kind: 'text', text: text.slice(1) };
  const header = HEADER.exec(text)?.[1];
  if (header !== undefined) return { kind: 'header', name: header.toLowerCase() };
  const [, name = '', segment] = FIELD.exec(text) ?? [];
  if (fields.includes(name)) return { kind: 'field', name, segment: segment === undefined ? undefined : Number(segment) };
  const isWhole = text.startsWith('body:');
  const pointer = isWhole ? text.slice('body:'.length) : text;
  if (!pointer.startsWith('/')) throw new Error(`{${text}} is neither a JSON pointer such as /repository/name, nor body: with one, nor header: with a name, ${fields.length === 0 ? '' : `nor one of ${fields.join(', ')}, `}nor = with a text`);
  return { kind: isWhole ? 'body' : 'element', pointer: checkPointer(pointer) };
}

/** Objects, arrays, null and the empty text are no values. */
function valueAt(place: Place, { headers, body, element, fields, numberText }: TemplateSource): string | undefined {
  if (place.kind === 'text') return place.text;
  if (place.kind === 'field') {
    const field = fields?.[place.name];
    return (place.segment === undefined ? field : field?.split('.')[place.segment - 1]) || undefined;
  }
  const value = place.kind === 'header' ? headers[place.name] : resolvePointer(place.kind === 'body' ? body : element, place.pointer);
  const isRounded = typeof value === 'number' && !Number.isSafeInteger(value) && place.kind !== 'header';
  const text = typeof value === 'string' ? value
    : isRounded ? numberText?.(place.kind, place.pointer) ?? String(value)
    : typeof value === 'number' || typeof value === 'boolean' ? String(value)
    : '';
  return text === '' ? undefined : text;
}
