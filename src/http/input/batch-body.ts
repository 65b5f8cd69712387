import type { IncomingHttpHeaders } from 'node:http';
import type { Static } from 'typebox';
import { checkEvent, checkText, whyNotJson } from '../../model/content.ts';
import type { Draft } from '../../model/message.ts';
import { Problem } from '../../model/problem.ts';
import { checkTopic } from '../../model/topic.ts';
import { inOneBlock } from '../../runtime/memory.ts';
import type { Slices } from '../../runtime/slices.ts';
import { mediaType } from './content-headers.ts';
import { Type } from './json-schema.ts';
import { DuplicateMember, elementSpans, memberSpan, NotAnArray, TURN_CHARACTERS, type Span } from './json-source.ts';
import { TTL_MAX_SECONDS, ttlSeconds } from './ttl.ts';
import { checker } from './validation.ts';

/** One message of a batch. `data` is any JSON value; its source text is stored. */
export const BatchMessage = Type.Object({
  topic: Type.String({ description: 'Where the message goes.' }),
  event: Type.Optional(Type.String({ description: 'The SSE event name.' })),
  data: Type.Unknown({ description: 'Any JSON value, kept as it is written.' }),
  ttl: Type.Optional(Type.Integer({ minimum: 0, maximum: TTL_MAX_SECONDS, description: 'Seconds after which it is not delivered any more.' })),
}, { additionalProperties: false });

export type BatchFormat = 'array' | 'ndjson';

export interface BatchBounds {
  readonly messages: number;
  readonly messageBytes: number;
  readonly eventBytes: number;
}

/** The longest text of a message in a batch, besides its data. White space counts. Stops a parse of what can only be refused. */
const ENVELOPE_MAX_CHARACTERS = 16 * 1024;

const check = checker(BatchMessage, 'invalid-batch');

/** The format of a batch, by its media type; undefined where it has none. */
export function batchFormat(headers: IncomingHttpHeaders): BatchFormat | undefined {
  return FORMATS.get(mediaType(headers));
}

/**
 * Checks the headers of a batch. Headers that describe one message are refused rather than ignored: each message of a batch has members for that.
 */
export function batchProblem(headers: IncomingHttpHeaders): Problem | undefined {
  if (batchFormat(headers) === undefined) return new Problem('unsupported-media-type', 'A batch is application/json or application/x-ndjson.', { field: 'Content-Type' });
  if (headers.ttl !== undefined) return new Problem('invalid-ttl', 'A batch takes no TTL header: each message has a member "ttl".', { field: 'TTL' });
  if (headers['tidings-event'] !== undefined) return new Problem('invalid-event', 'A batch takes no Tidings-Event header: each message has a member "event".', { field: 'Tidings-Event' });
  return undefined;
}

const FORMATS: ReadonlyMap<string, BatchFormat> = new Map([['application/json', 'array'], ['application/x-ndjson', 'ndjson'], ['application/ndjson', 'ndjson']]);

/**
 * The messages of a batch: a JSON array, or NDJSON, where blank lines count as lines but hold no message. One mistake is
 * the whole batch's; the problem says where it is: `[3].ttl` counts elements from 0, `line 4.ttl` lines from 1.
 * @throws Problem
 */
export async function parseBatch(body: Buffer, format: BatchFormat, bounds: BatchBounds, slices: Slices): Promise<Draft[]> {
  await slices.enter();
  try {
    checkText(body);
    const source = body.toString();
    const offsets = new Offsets(source, body);
    const drafts: Draft[] = [];
    for (const place of format === 'array' ? elements(source, bounds) : lines(source)) {
      if (place !== undefined) {
        if (drafts.length === bounds.messages) throw new Problem('invalid-batch', `There are more than ${bounds.messages} messages.`);
        drafts.push(readMessage(place, { source, offsets, bounds }));
      }
      if (slices.isOver) await slices.pause();
    }
    if (drafts.length === 0) throw new Problem('invalid-batch', 'There is no message in it.');
    const data = inOneBlock(drafts.map((draft) => draft.data));
    return drafts.map((draft, index) => ({ ...draft, data: data[index]! }));
  } finally {
    slices.leave();
  }
}

interface Place {
  /** As the field of a problem calls it. Called only when there is one. */
  readonly where: () => string;
  readonly span: Span;
}

/** Yields undefined where the caller may pause, as `lines` does. */
function* elements(source: string, bounds: BatchBounds): Generator<Place | undefined, void> {
  let index = 0;
  try {
    for (const span of elementSpans(source, longestMessage(bounds))) {
      if (span === undefined) yield undefined;
      else {
        const at = index++;
        yield { where: () => `[${at}]`, span };
      }
    }
  } catch (error) {
    if (!(error instanceof NotAnArray)) throw error;
    throw new Problem('invalid-batch', error.index === 0 ? `The body is no JSON array${source.startsWith('\ufeff') ? ': it begins with a byte order mark (the bytes EF BB BF)' : ''}.` : `The body is no JSON array: after [${error.index - 1}] it does not go on as one.`, { cause: error });
  }
}

function* lines(source: string): Generator<Place | undefined, void> {
  let number = 0;
  let turn = TURN_CHARACTERS;
  for (let start = 0; start < source.length;) {
    const feed = source.indexOf('\n', start);
    const end = feed === -1 ? source.length : feed;
    const line = ++number;
    let at = start;
    for (; at < end && isBlank(source.charCodeAt(at)); at++) {
      if (at < turn) continue;
      turn = at + TURN_CHARACTERS;
      yield undefined;
    }
    if (at < end) yield { where: () => `line ${line}`, span: { start, end } };
    else if (end >= turn) {
      turn = end + TURN_CHARACTERS;
      yield undefined;
    }
    start = end + 1;
  }
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0d;
}

/** Characters. */
function longestMessage({ messageBytes }: BatchBounds): number {
  return messageBytes + ENVELOPE_MAX_CHARACTERS;
}

/**
 * Finds the bytes of a span of the text, for spans in ascending order. So the data of each message is a slice of the body. A copy of each would be a third copy,
 * besides the body and its text.
 */
class Offsets {
  readonly #source: string;
  readonly #body: Buffer;
  #character = 0;
  #byte = 0;

  constructor(source: string, body: Buffer) {
    this.#source = source;
    this.#body = body;
  }

  /** Each part lies after the one before. */
  bytes({ start, end }: Span): Buffer {
    const from = this.#at(start);
    return this.#body.subarray(from, this.#at(end));
  }

  #at(character: number): number {
    // As many bytes as characters: all are ASCII.
    if (this.#source.length === this.#body.length) return character;
    this.#byte += Buffer.byteLength(this.#source.slice(this.#character, character));
    this.#character = character;
    return this.#byte;
  }
}

interface BatchText {
  readonly source: string;
  readonly offsets: Offsets;
  readonly bounds: BatchBounds;
}

function readMessage({ where, span }: Place, { source: text, offsets, bounds }: BatchText): Draft {
  const source = text.slice(span.start, span.end);
  try {
    if (source.length > longestMessage(bounds)) throw tooLarge(bounds);
    const value = parse(source);
    const problem = check(value);
    if (problem !== undefined) throw problem;
    const { topic, event, ttl } = value as Static<typeof BatchMessage>;
    const { start, end } = memberSpan(source, 'data')!;
    const data = offsets.bytes({ start: span.start + start, end: span.start + end });
    if (data.length > bounds.messageBytes) throw tooLarge(bounds);
    return { topic: checkTopic(topic), event: event === undefined ? undefined : checkEvent(event, bounds.eventBytes), json: true, data, ttl: ttlSeconds(ttl) };
  } catch (error) {
    if (error instanceof DuplicateMember) throw located(new Problem('invalid-batch', `${error.member} is there twice.`, { field: error.member }), where());
    if (error instanceof Problem) throw located(error, where());
    throw error;
  }
}

function parse(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch (error) {
    throw new Problem('invalid-batch', `It is not JSON: ${whyNotJson(error, source)}.`, { cause: error });
  }
}

function tooLarge({ messageBytes }: BatchBounds): Problem {
  return new Problem('too-large', `The data is larger than ${messageBytes} bytes, which is what MESSAGE_BYTES allows.`, { field: 'data' });
}

function located(problem: Problem, where: string): Problem {
  return new Problem(problem.code, `At ${where}: ${problem.message}`, {
    field: problem.field === undefined ? where : `${where}.${problem.field}`,
    cause: problem.cause,
  });
}
