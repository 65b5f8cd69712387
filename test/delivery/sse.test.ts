import { createParser, type EventSourceMessage } from 'eventsource-parser';
import fc from 'fast-check';
import { t } from 'tap';
import { busyFrame, cursorFrame, gapFrame, HEARTBEAT, messageFrame, openFrame, type Form } from '../../src/delivery/frames/sse.ts';
import { Message, toJson } from '../../src/model/message.ts';
import { rounds } from '../support/rounds.ts';

function parse(...frames: readonly Buffer[]): EventSourceMessage[] {
  const events: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => events.push(event) });
  parser.feed(Buffer.concat(frames).toString());
  return events;
}

function frame(message: Message, form: Form): Buffer {
  return Buffer.concat(messageFrame(message, form));
}

function message(data: Buffer, facts: { json?: boolean; event?: string } = {}): Message {
  return new Message('abcdefgh12', 7, 1_700_000_000_000, 0, { topic: 'a.b', event: facts.event, json: facts.json ?? false, data });
}

const lines = fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\r', '\n', '\r\n', '\n\n', ' ', ':', 'data: x', '\0', '\ufeff', 'id: 9\n')), { maxLength: 8 })
  .map((parts) => parts.join('').toWellFormed());

t.test('the parser reads the published text, with CR and CRLF as LF', (t) => {
  fc.assert(fc.property(lines, fc.option(fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/), { nil: undefined }), (text, event) => {
    const [read, ...rest] = parse(frame(message(Buffer.from(text), event === undefined ? {} : { event }), 'data'));
    t.equal(rest.length, 0);
    t.equal(read?.data, text.replaceAll(/\r\n|\r/g, '\n'));
    t.equal(read?.event, event);
    t.equal(read?.id, 'abcdefgh12-7');
  }), { numRuns: rounds(2000, 2000, 200) });
  t.end();
});

t.test('the whole message as JSON carries text unchanged, and JSON as its source text', (t) => {
  fc.assert(fc.property(lines, fc.json(), (text, json) => {
    const [asText] = parse(frame(message(Buffer.from(text)), 'object'));
    t.equal((JSON.parse(asText!.data) as { data: string }).data, text);
    const [asJson] = parse(frame(message(Buffer.from(json), { json: true }), 'object'));
    t.ok(asJson!.data.endsWith(`,"data":${json}}`));
  }), { numRuns: rounds(500, 500, 100) });
  const source = '{ "z": 12345678901234567890, "a":1e400, "__proto__": 1 }';
  const [read] = parse(frame(message(Buffer.from(source), { json: true }), 'data'));
  t.equal(read!.data, source);
  t.ok(toJson(message(Buffer.from(source), { json: true })).includes(source));
  t.end();
});

t.test('the id is the last field of a frame, the event the first', (t) => {
  const text = frame(message(Buffer.from('a\nb'), { event: 'e' }), 'data').toString();
  t.equal(text, 'event: e\ndata: a\ndata: b\nid: abcdefgh12-7\n\n');
  t.end();
});

t.test('control events are read by name, with data that parses; a heartbeat is no event', (t) => {
  const at = { epoch: 'abcdefgh12', seq: 3 };
  const gap = { requested: null, resumed: 'abcdefgh12-3', oldest: 'abcdefgh12-4', reason: 'expired' } as const;
  const events = parse(openFrame(at, 1500), HEARTBEAT, openFrame(undefined, 2), gapFrame(at, gap), HEARTBEAT, HEARTBEAT, cursorFrame(at), busyFrame(9, 'full'));
  t.same(events.map(({ event, id, data }) => [event, id, JSON.parse(data)]), [
    ['$open', 'abcdefgh12-3', { cursor: 'abcdefgh12-3' }],
    ['$open', undefined, { cursor: null }],
    ['$gap', 'abcdefgh12-3', gap],
    ['$cursor', 'abcdefgh12-3', {}],
    ['$busy', undefined, { retryMs: 9, reason: 'full' }],
  ]);
  t.end();
});
