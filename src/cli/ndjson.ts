import { onInterruption } from './interruption.ts';
import { answerIn, CommandError, report, say, wrongUsage } from './outcome.ts';
import type { Sender } from './sending.ts';

/** The most lines and bytes of one request: well below the defaults of BATCH_MESSAGES and BATCH_BYTES, so that the service accepts it. */
const BATCH_MAX_MESSAGES = 100;
const BATCH_MAX_BYTES = 256 * 1024;
/** Stops a file without line breaks from filling the memory. */
const LINE_MAX_CHARACTERS = 16 * 1024 * 1024;

/** The lines of one request. */
interface LineBatch {
  /** The number of its first line, from 1. */
  readonly first: number;
  readonly lines: readonly string[];
}

export interface LinesPublished {
  readonly messages: number;
  /** The id of the last message; absent if there was none. */
  readonly last?: string;
}

interface LineOptions {
  /** The beginning of each message's JSON, up to its data. */
  readonly members: string;
  /** Each request has the idempotency key `<key>-<number of its first line>`. */
  readonly key: string;
  /** Whether the user chose the key, and can pass it again. */
  readonly isResumable: boolean;
}

/** Publishes lines in order, one batch after the other. If a batch fails, it says which lines are stored. */
export async function publishLines(sender: Sender, batches: AsyncIterable<LineBatch>, { members, key, isResumable }: LineOptions): Promise<LinesPublished> {
  let stored = 0;
  let messages = 0;
  let last: string | undefined;
  /** The number of lines in the request that is under way. */
  let sending = 0;
  const progress = new Progress();
  const listenNoMore = onInterruption((code) => {
    progress.end();
    say(howFar({ stored, sending, isResumable }));
    process.exit(code);
  });
  try {
    for await (const { first, lines } of batches) {
      const body = lines.filter((line) => line.trim() !== '').map((line) => `${members}${line}}\n`);
      sending = lines.length;
      if (body.length > 0) {
        const { text } = await sender.send({ path: '/messages', headers: { 'content-type': 'application/x-ndjson' }, body: body.join(''), key: `${key}-${first}` });
        last = answerIn<{ readonly messages: readonly { readonly id: string }[] }>(text).messages.at(-1)!.id;
      }
      sending = 0;
      stored += lines.length;
      messages += body.length;
      progress.show(messages);
    }
  } catch (error) {
    progress.end();
    const code = report(error);
    throw new CommandError(howFar({ stored, sending: 0, isResumable }), code);
  } finally {
    listenNoMore();
  }
  progress.end();
  return { messages, ...(last === undefined ? {} : { last }) };
}

/** Says which lines are stored, which may be, and where the next run must begin. */
function howFar({ stored, sending, isResumable }: { readonly stored: number; readonly sending: number; readonly isResumable: boolean }): string {
  const known = stored === 0 ? 'No line is known to be stored.' : `The first ${stored} lines are stored.`;
  const unknown = sending === 0 ? '' : ` Lines ${stored + 1} to ${stored + sending} were on their way, and may be stored, too.`;
  const way = isResumable ? ' The same command with the same input and --key goes on there.' : stored === 0 || sending > 0 ? '' : ' Begin after it next time.';
  return known + unknown + (stored === 0 && sending === 0 ? '' : way);
}

/** Shows the number of published messages, if standard error is a terminal. */
class Progress {
  #isShown = false;

  show(messages: number): void {
    if (!process.stderr.isTTY) return;
    process.stderr.write(`\r${messages} published`);
    this.#isShown = true;
  }

  end(): void {
    if (this.#isShown) say('');
    this.#isShown = false;
  }
}

/**
 * Groups lines of JSON into batches.
 * @param isSteady Yields full batches only, and the rest at the end. So the same input makes the same batches, whose keys a repeated run uses again. Otherwise a batch also ends when no more
 *   input is there yet.
 */
export async function* lineBatches(input: AsyncIterable<Buffer>, { isSteady }: { readonly isSteady: boolean }): AsyncGenerator<LineBatch> {
  let lines: string[] = [];
  let bytes = 0;
  let number = 0;
  const take = (): LineBatch => {
    const batch = { first: number - lines.length + 1, lines };
    lines = [];
    bytes = 0;
    return batch;
  };
  for await (const piece of linesOf(input)) {
    for (const line of piece) {
      checkLine(line, number + 1);
      const size = Buffer.byteLength(line);
      if (lines.length === BATCH_MAX_MESSAGES || (lines.length > 0 && bytes + size > BATCH_MAX_BYTES)) yield take();
      lines.push(line);
      bytes += size;
      number++;
    }
    if (!isSteady && lines.length > 0) yield take();
  }
  if (lines.length > 0) yield take();
}

/** Splits at line feeds only. `node:readline` also splits at U+2028, which JSON may contain. */
async function* linesOf(input: AsyncIterable<Buffer>): AsyncGenerator<string[]> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let rest = '';
  const decode = (piece?: Buffer): string => {
    try {
      return piece === undefined ? decoder.decode() : decoder.decode(piece, { stream: true });
    } catch {
      throw wrongUsage('standard input is not UTF-8');
    }
  };
  for await (const piece of input) {
    const lines = (rest + decode(piece)).split('\n');
    rest = lines.pop()!;
    if (rest.length > LINE_MAX_CHARACTERS) throw wrongUsage(`a line of standard input is longer than ${LINE_MAX_CHARACTERS} characters`);
    if (lines.length > 0) yield lines;
  }
  rest += decode();
  if (rest !== '') yield [rest];
}

/** Refuses a line that is not JSON: `1},{"topic":"other","data":2` would otherwise become two messages in the request's JSON. */
function checkLine(line: string, number: number): void {
  if (line.trim() === '') return;
  try {
    JSON.parse(line);
  } catch {
    throw wrongUsage(`line ${number} of standard input is not JSON`);
  }
}
