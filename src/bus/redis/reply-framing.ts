import type { Framing } from '../../runtime/sockets/guarded-socket.ts';

/**
 * Checks replies of Redis before ioredis reads them (https://redis.io/docs/latest/develop/reference/protocol-spec). A reply without a command, or of an unexpected
 * form, makes ioredis throw where nobody can catch the error. ioredis also reserves as much memory as an array announces.
 *
 *     *3\r\n $7\r\nmessage\r\n $2\r\nch\r\n $4\r\ndata\r\n   →   type `*`, shape `$$$`, first value `message`: a message of pub/sub
 */

/** The longest reply. The longest expected reply is an envelope of 1 MiB. Stops an endless reply from filling the memory: while it grows, its beginning is kept twice. */
export const REPLY_MAX_BYTES = 2 * 1024 * 1024;
/** The most values in one reply, and their deepest nesting. HELLO lists the modules of a server, and SENTINEL MASTER some fifty fields. Stops a reply from reserving the memory that it announces. */
const REPLY_MAX_VALUES = 10_000;
const REPLY_MAX_LEVELS = 8;
/** How many values of one reply are read in all. Each received piece makes the whole reply be read again. Stops tiny pieces from keeping this thread busy. */
const REPLY_MAX_READS = 2_000_000;
/** The longest line, which is a short answer or an error. Stops an endless line from being searched again with each piece. */
const LINE_MAX_BYTES = 1024 * 1024;
/** The longest number, with its sign: Redis' numbers have 64 bits. */
const NUMBER_MAX_CHARACTERS = 20;

const NUMBER = /^[+-]?\d+$/;
const CR = 13;
const LF = 10;

/** The state of a connection at the time of a reply: the command that the reply answers. */
export interface Conversation {
  /** The oldest unanswered command, in lower case; undefined if all are answered. */
  readonly question: string | undefined;
  /** Whether the connection subscribes with RESP2, where messages are ordinary arrays. */
  readonly isSubscriber: boolean;
}

/** A framing for one connection. It finds one reply at a time, because each reply is checked against its command. */
export function replyFraming(conversation: () => Conversation): Framing {
  /** How many values of the incomplete reply were read in all. */
  let reads = 0;
  return (bytes) => {
    const reply = new Reply(bytes);
    const end = reply.read();
    if (end > REPLY_MAX_BYTES) throw new Error(`Redis announced a reply of ${end} bytes`);
    reads += reply.values;
    if (end <= bytes.length) {
      reads = 0;
      check(reply, conversation());
    } else if (reads > REPLY_MAX_READS) throw new Error('Redis sent a reply in too many pieces');
    return end;
  };
}

function check(reply: Reply, { question, isSubscriber }: Conversation): void {
  const isPush = reply.type === '>';
  const isList = reply.type === '*';
  if (reply.isList('message', '$$$') && (isPush || isSubscriber)) return;
  if (question === undefined) throw new Error('Redis sent a reply that answers no command');
  if (question === 'subscribe') {
    if (reply.type !== '-' && !((isPush || isList) && reply.isList('subscribe', '$$:'))) throw new Error('Redis answered SUBSCRIBE with something else');
  } else if (isPush) throw new Error('Redis sent a push message that nobody asked for');
  else if (isSubscriber && isList && !reply.isList('pong', '$$')) throw new Error('Redis sent a subscriber something that it did not ask for');
}

/** The first reply in some bytes. Call `read`, and then the other members. */
class Reply {
  readonly #bytes: Buffer;
  /** The types of the direct values of an array or push message: `$$:` is two texts and a number. `_` is null. */
  #shape = '';
  /** The first value, if it is a short text. */
  #first = '';
  #values = 0;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** How many values were read, with nested values. */
  get values(): number {
    return this.#values;
  }

  get type(): string {
    return String.fromCharCode(this.#bytes[0]!);
  }

  isList(first: string, shape: string): boolean {
    return this.#shape === shape && this.#first === first;
  }

  /** @returns The end of the reply. Larger than the length of the bytes if the reply is incomplete. */
  read(): number {
    this.#value(0);
    return this.#at;
  }

  /** Reads one value, and moves `#at` to its end, or beyond the bytes if the value is incomplete. */
  #value(depth: number): void {
    const line = this.#line();
    if (line === undefined) return;
    if (++this.#values > REPLY_MAX_VALUES || depth > REPLY_MAX_LEVELS) throw new Error('Redis sent a reply of too many values');
    const type = line[0] ?? '';
    const text = line.slice(1);
    let shown = type;
    switch (type) {
      case '+':
        break;
      case '-':
        if (depth > 0) throw malformed(type);
        break;
      case ':':
        number(text);
        break;
      case '_':
        if (text !== '') throw malformed(type);
        break;
      case '$':
      case '=':
        if (type === '$' && text === '-1') shown = '_';
        else this.#text(type, length(text, REPLY_MAX_BYTES), depth);
        break;
      case '*':
      case '>':
      case '%':
        if (type === '>' && depth > 0) throw malformed(type);
        if (type === '*' && text === '-1') shown = '_';
        else this.#list(length(text, REPLY_MAX_VALUES) * (type === '%' ? 2 : 1), depth);
        break;
      default:
        throw malformed(type);
    }
    if (depth === 1) this.#shape += shown;
  }

  #list(values: number, depth: number): void {
    for (let value = 0; value < values && this.#at <= this.#bytes.length; value++) this.#value(depth + 1);
  }

  #text(type: string, bytes: number, depth: number): void {
    // `=` has three letters for the kind of text, and a colon.
    if (type === '=' && bytes < 4) throw malformed(type);
    const from = this.#at;
    this.#at += bytes + 2;
    if (this.#at > this.#bytes.length) return;
    if (this.#bytes[this.#at - 2] !== CR || this.#bytes[this.#at - 1] !== LF) throw malformed(type);
    if (depth === 1 && this.#shape === '' && bytes <= NUMBER_MAX_CHARACTERS) this.#first = this.#bytes.toString('latin1', from, from + bytes);
  }

  /** Reads a line. @returns Its first characters. If the line is incomplete, undefined; `#at` is then beyond the bytes. */
  #line(): string | undefined {
    const end = this.#bytes.indexOf(CR, this.#at);
    if (end === -1 || end + 1 >= this.#bytes.length) {
      if (this.#bytes.length - this.#at > LINE_MAX_BYTES) throw malformed('line');
      this.#at = this.#bytes.length + 1;
      return undefined;
    }
    if (this.#bytes[end + 1] !== LF) throw malformed('line');
    const line = this.#bytes.toString('latin1', this.#at, Math.min(end, this.#at + 2 + NUMBER_MAX_CHARACTERS));
    this.#at = end + 2;
    return line;
  }
}

function number(text: string): number {
  if (text.length > NUMBER_MAX_CHARACTERS || !NUMBER.test(text)) throw malformed('number');
  return Number(text);
}

function length(text: string, most: number): number {
  const value = number(text);
  if (value < 0 || value > most || text.startsWith('+')) throw new Error(`Redis announced ${value} bytes or values`);
  return value;
}

function malformed(what: string): Error {
  return new Error(`Redis sent a malformed reply (${JSON.stringify(what)})`);
}
