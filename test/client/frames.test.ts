import { createParser } from 'eventsource-parser';
import fc from 'fast-check';
import t from 'tap';
import { frames, type Frame } from '../../src/client/frames.ts';
import { rounds } from '../support/rounds.ts';

/** The library's reading of a stream of text, beside a parser that we did not write. */

interface Heard {
  readonly frames: Frame[];
  readonly retries: number[];
}

function heard(pieces: readonly string[]): Heard {
  const all: Heard = { frames: [], retries: [] };
  const push = frames({ frame: (frame) => void all.frames.push(frame), retry: (milliseconds) => void all.retries.push(milliseconds) });
  for (const piece of pieces) push(piece);
  return all;
}

function expected(text: string): Heard {
  const all: Heard = { frames: [], retries: [] };
  const parser = createParser({
    onEvent: ({ event = 'message', data, id }) => void all.frames.push({ event, data, id }),
    onRetry: (milliseconds) => void all.retries.push(milliseconds),
  });
  parser.feed(text);
  return all;
}

const LINE = fc.oneof(
  fc.constantFrom('data', 'data:', 'data: x', 'data:  x', 'data: {"a":1}', 'event: shipped', 'event:', 'id: k3f9x2ab7c-1042', 'id', ': comment', ':', 'retry: 10', 'retry: x', 'other: y', 'data: a:b', ''),
  fc.string({ maxLength: 8 }).filter((text) => !/[\r\n\0]/.test(text)).map((text) => `data: ${text}`),
);

void t.test('it reads what another parser reads, however the text was cut', async (t) => {
  fc.assert(fc.property(fc.array(LINE, { maxLength: 30 }), fc.array(fc.nat(40), { maxLength: 12 }), (lines, cuts) => {
    const text = `${lines.join('\n')}\n\ndata: last\n\n`;
    const pieces: string[] = [];
    let rest = text;
    for (const cut of cuts) {
      pieces.push(rest.slice(0, cut));
      rest = rest.slice(cut);
    }
    pieces.push(rest);
    t.strictSame(heard(pieces), expected(text));
  }), { numRuns: rounds(500, 20_000) });
});

void t.test('an event that never ends is an error, not memory', async (t) => {
  const push = frames({ frame: () => undefined, retry: () => undefined });
  const piece = 'x'.repeat(16 * 1024 * 1024);
  push('data: ');
  t.throws(() => {
    for (let count = 0; count < 5; count++) push(piece);
  }, RangeError);
});
