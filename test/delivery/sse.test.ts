import { createParser, type EventSourceMessage } from 'eventsource-parser';
import fc from 'fast-check';
import { t } from 'tap';
import { busyFrame, cursorFrame, frame, gapFrame, HEARTBEAT, openFrame, unchunked } from '../../src/delivery/sse.ts';
import { Message, toJson } from '../../src/model/message.ts';

function parse(...frames: readonly Buffer[]): EventSourceMessage[] {
  const events: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => events.push(event) });
  parser.feed(Buffer.concat(frames.map(unchunked)).toString());
  return events;
}

function message(data: Buffer, facts: { json?: boolean; event?: string } = {}): Message {
  return new Message('abcdefgh12', 7, 1_700_000_000_000, 0, { topic: 'a.b', event: facts.event, json: facts.json ?? false, data });
}

const lines = fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\r', '\n', '\r\n', '\n\n', ' ', ':', 'data: x', '\0', '\ufeff', 'id: 9\n')), { maxLength: 8 })
  .map((parts) => parts.join('').toWellFormed());

t.test('whatever text is published, the parser reads the same text, with CR and CRLF as LF', (t) => {
  fc.assert(fc.property(lines, fc.option(fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/), { nil: undefined }), (text, event) => {
    const [read, ...rest] = parse(frame(message(Buffer.from(text), event === undefined ? {} : { event }), 'data'));
    t.equal(rest.length, 0);
    t.equal(read?.data, text.replaceAll(/\r\n|\r/g, '\n'));
    t.equal(read?.event, event);
    t.equal(read?.id, 'abcdefgh12-7');
  }), { numRuns: 2000 });
  t.end();
});

t.test('the whole message as JSON carries text unchanged, and JSON as its source text', (t) => {
  fc.assert(fc.property(lines, fc.json(), (text, json) => {
    const [asText] = parse(frame(message(Buffer.from(text)), 'object'));
    t.equal((JSON.parse(asText!.data) as { data: string }).data, text);
    const [asJson] = parse(frame(message(Buffer.from(json), { json: true }), 'object'));
    t.ok(asJson!.data.endsWith(`,"data":${json}}`));
  }), { numRuns: 500 });
  const source = '{ "z": 12345678901234567890, "a":1e400, "__proto__": 1 }';
  const [read] = parse(frame(message(Buffer.from(source), { json: true }), 'data'));
  t.equal(read!.data, source);
  t.ok(toJson(message(Buffer.from(source), { json: true })).includes(source));
  t.end();
});

t.test('the id is the last field of a frame, the event the first', (t) => {
  const text = unchunked(frame(message(Buffer.from('a\nb'), { event: 'e' }), 'data')).toString();
  t.equal(text, 'event: e\ndata: a\ndata: b\nid: abcdefgh12-7\n\n');
  t.end();
});

t.test('what is kept with a message holds no memory but its own', (t) => {
  for (const form of ['data', 'object'] as const) {
    for (const text of ['x', 'two\nlines']) {
      const encoded = frame(message(Buffer.from(text)), form);
      t.equal(encoded.buffer.byteLength, encoded.length, `${form} ${text}`);
    }
  }
  t.end();
});

t.test('a frame is one chunk, encoded once, and holds the data of its message', (t) => {
  const one = message(Buffer.from('x'.repeat(5000)));
  const encoded = frame(one, 'data');
  t.equal(frame(one, 'data'), encoded);
  const [length] = encoded.toString('latin1').split('\r\n');
  t.equal(Number.parseInt(length!, 16), unchunked(encoded).length);
  t.ok(encoded.toString('latin1').endsWith('\n\n\r\n'));
  t.equal(Buffer.from(one.data).toString(), 'x'.repeat(5000));
  t.equal(one.data.buffer, encoded.buffer, 'the data is not held twice');
  t.end();
});

t.test('control events are read by name, with data that parses; a heartbeat is no event', (t) => {
  const at = { epoch: 'abcdefgh12', seq: 3 };
  const gap = { requested: null, resumed: 'abcdefgh12-3', oldest: 'abcdefgh12-4', reason: 'expired' } as const;
  const events = parse(openFrame(at, 1500), HEARTBEAT, openFrame(undefined, 2), gapFrame(at, gap), HEARTBEAT, HEARTBEAT, cursorFrame(at), busyFrame(9));
  t.same(events.map(({ event, id, data }) => [event, id, JSON.parse(data)]), [
    ['$open', 'abcdefgh12-3', { cursor: 'abcdefgh12-3' }],
    ['$open', undefined, { cursor: null }],
    ['$gap', 'abcdefgh12-3', gap],
    ['$cursor', 'abcdefgh12-3', {}],
    ['$busy', undefined, { retryMs: 9 }],
  ]);
  t.end();
});
