import fc from 'fast-check';
import { t } from 'tap';
import { parseBatch } from '../../../src/http/input/batch-body.ts';
import type { Draft } from '../../../src/model/message.ts';
import { Problem } from '../../../src/model/problem.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { Slices } from '../../../src/runtime/slices.ts';

const BOUNDS = { messages: 100, messageBytes: 1000, eventBytes: 16 };

const slices = new Slices(systemClock);

function plain({ data, ...rest }: Draft): object {
  return { ...rest, data: Buffer.from(data).toString() };
}

async function parse(text: string | Buffer, format: 'array' | 'ndjson'): Promise<object[]> {
  return (await parseBatch(Buffer.from(text), format, BOUNDS, slices)).map(plain);
}

async function problem(text: string | Buffer, format: 'array' | 'ndjson'): Promise<{ code: string; field: string | undefined; detail: string }> {
  try {
    await parse(text, format);
  } catch (error) {
    if (error instanceof Problem) return { code: error.code, field: error.field, detail: error.message };
    throw error;
  }
  throw new Error(`It was accepted: ${text.toString()}`);
}

const A = '{"topic":"a","data":1}';

t.test('the data of a batch hold no memory but their own', async (t) => {
  const drafts = await parseBatch(Buffer.from(`[${A},${A.replace('1', '234')},${A.replace('1', '"ü"')}]`), 'array', BOUNDS, slices);
  t.same(drafts.map(({ data }) => Buffer.from(data).toString()), ['1', '234', '"ü"']);
  for (const { data } of drafts) t.equal(data.buffer.byteLength, 1 + 3 + 4);
});

t.test('messages of an array and of lines are the same', async (t) => {
  const messages = ['{"topic":"a","data":1.0}', ' {"data": {"b" : [1e400,"\\u00e9"]} ,"ttl":5,"event":"e","topic":"b.c"} ', '{"topic":"\\u0061","data":"ü","event":"message"}'];
  const expected = [
    { topic: 'a', event: undefined, json: true, data: '1.0', ttl: 0 },
    { topic: 'b.c', event: 'e', json: true, data: '{"b" : [1e400,"\\u00e9"]}', ttl: 5 },
    { topic: 'a', event: undefined, json: true, data: '"ü"', ttl: 0 },
  ];
  t.same(await parse(`[${messages.join(',')}]`, 'array'), expected);
  t.same(await parse(messages.join('\n'), 'ndjson'), expected);
  t.same(await parse(`${messages.join('\r\n')}\r\n`, 'ndjson'), expected);
  t.same(await parse(`\n \t\r\n${messages.join('\n\n\r\n')}\n\n`, 'ndjson'), expected, 'blank lines hold nothing');
});

t.test('data keeps its source text, of every kind', async (t) => {
  await fc.assert(fc.asyncProperty(fc.array(fc.jsonValue(), { minLength: 1, maxLength: 20 }), fc.constantFrom('array', 'ndjson'), async (values, format) => {
    const lines = values.map((value) => `{"data":${JSON.stringify(value)},"topic":"t"}`);
    const drafts = await parse(format === 'array' ? `[${lines.join(' , ')}]` : lines.join('\n'), format);
    t.same(drafts.map((draft) => (draft as { data: string }).data), values.map((value) => JSON.stringify(value)));
  }));
});

t.test('one bad message: where it is, which member, and what', async (t) => {
  const cases: readonly (readonly [message: string, code: string, member: string, detail: RegExp])[] = [
    ['{"topic":"a"}', 'invalid-data', '.data', /data is missing/],
    ['{"data":1}', 'invalid-topic', '.topic', /topic is missing/],
    ['{"topic":1,"data":1}', 'invalid-topic', '.topic', /must be string/],
    ['{"topic":"","data":1}', 'invalid-topic', '.topic', /it is empty/],
    ['{"topic":"a.*","data":1}', 'invalid-topic', '.topic', /wildcard/],
    ['{"topic":"$a","data":1}', 'invalid-topic', '.topic', /reserved/],
    ['{"topic":"\\ud800","data":1}', 'invalid-topic', '.topic', /Unicode/],
    ['{"topic":"a","data":1,"event":"a\\nb"}', 'invalid-event', '.event', /line break/],
    ['{"topic":"a","data":1,"event":null}', 'invalid-event', '.event', /must be string/],
    ['{"topic":"a","data":1,"event":"error"}', 'invalid-event', '.event', /EventSource/],
    ['{"topic":"a","data":1,"event":"open"}', 'invalid-event', '.event', /EventSource/],
    ['{"topic":"a","data":1,"event":"$open"}', 'invalid-event', '.event', /reserved/],
    ['{"topic":"a","data":1,"event":""}', 'invalid-event', '.event', /empty/],
    ['{"topic":"a","data":1,"event":"12345678901234567"}', 'invalid-event', '.event', /longer than 16/],
    ['{"topic":"a","data":1,"event":"\\udc00"}', 'invalid-event', '.event', /Unicode/],
    ['{"topic":"a","data":1,"ttl":-1}', 'invalid-ttl', '.ttl', />= 0/],
    ['{"topic":"a","data":1,"ttl":1.5}', 'invalid-ttl', '.ttl', /integer/],
    ['{"topic":"a","data":1,"ttl":"5"}', 'invalid-ttl', '.ttl', /integer/],
    ['{"topic":"a","data":1,"ttl":1e15}', 'invalid-ttl', '.ttl', /<=/],
    ['{"topic":"a","data":1,"tll":5}', 'invalid-batch', '.tll', /not known/],
    ['{"topic":"a","data":1,"id":"x"}', 'invalid-batch', '.id', /not known/],
    ['{"topic":"a","data":1,"__proto__":{"ttl":1}}', 'invalid-batch', '.__proto__', /not known/],
    ['{"topic":"a","data":1,"constructor":1}', 'invalid-batch', '.constructor', /not known/],
    ['{"topic":"a","data":1,"data":2}', 'invalid-batch', '.data', /twice/],
    ['{"topic":"a","top\\u0069c":"b","data":2}', 'invalid-batch', '.topic', /twice/],
    [`{"topic":"a","data":"${'x'.repeat(999)}"}`, 'too-large', '.data', /1000 bytes/],
    [`{"topic":"a","data":"${'ü'.repeat(500)}"}`, 'too-large', '.data', /1000 bytes/],
    [`{"topic":"a","data":[${' '.repeat(40_000)}]}`, 'too-large', '.data', /1000 bytes/],
    ['[]', 'invalid-batch', '', /must be object/],
    ['null', 'invalid-batch', '', /must be object/],
    ['"a"', 'invalid-batch', '', /must be object/],
    ['{"topic":"a","data":}', 'invalid-batch', '', /not JSON/],
    ['{"topic":"a","data":01}', 'invalid-batch', '', /not JSON/],
  ];
  for (const [message, code, member, detail] of cases) {
    t.match(await problem(`${A}\n\n${A}\n${message}\n${A}`, 'ndjson'), { code, field: `line 4${member}`, detail }, message.slice(0, 80));
    t.match(await problem(`[${A},${A},${message},${A}]`, 'array'), { code, field: `[2]${member}`, detail }, message.slice(0, 80));
  }
});

t.test('an invalid batch', async (t) => {
  for (const [text, format, detail] of [
    ['', 'array', /no JSON array/], ['{}', 'array', /no JSON array/], [A, 'array', /no JSON array/], ['[]', 'array', /no message/], [`[${A}`, 'array', /after \[0\]/], [`[${A},]`, 'array', /after \[0\]/],
    [`[${A}] x`, 'array', /after \[0\]/], [`\ufeff[${A}]`, 'array', /no JSON array/], ['', 'ndjson', /no message/], ['\n\r\n \n', 'ndjson', /no message/],
  ] as const) {
    const { code, field, detail: said } = await problem(text, format);
    t.same({ code, field }, { code: 'invalid-batch', field: undefined }, text);
    t.match(said, detail, text);
  }
  t.match(await problem(`\ufeff${A}`, 'ndjson'), { code: 'invalid-batch', field: 'line 1' });
  t.match(await problem(Buffer.from([...Buffer.from('{"topic":"a","data":"'), 0xff, ...Buffer.from('"}')]), 'ndjson'), { code: 'invalid-data', field: 'body' });
});

t.test('the limit of messages, and one more', async (t) => {
  const lines = (count: number): string => Array.from({ length: count }, () => A).join('\n');
  t.equal((await parse(lines(100), 'ndjson')).length, 100);
  t.match(await problem(lines(101), 'ndjson'), { code: 'invalid-batch', detail: /more than 100/ });
  t.match(await problem(`[${lines(101).replaceAll('\n', ',')}]`, 'array'), { code: 'invalid-batch', detail: /more than 100/ });
});

t.test('data of exactly the largest size', async (t) => {
  t.equal((await parse(`{"topic":"a","data":"${'x'.repeat(998)}"}`, 'ndjson')).length, 1);
});

t.test('while a large batch is read, other things get their turn', async (t) => {
  const line = `{"topic":"a","data":[${Array.from({ length: 50_000 }, () => '{}').join(',')}]}`;
  let turns = 0;
  const turn = setInterval(() => turns++, 0);
  await parseBatch(Buffer.from(Array.from({ length: 60 }, () => line).join('\n')), 'ndjson', { messages: 100, messageBytes: 1_000_000, eventBytes: 16 }, slices);
  clearInterval(turn);
  t.ok(turns > 5, `${turns} turns`);
});

t.test('so do they while there is nothing to read in a large one', async (t) => {
  const nothing = 48 * 1024 * 1024;
  for (const [format, text] of [
    ['ndjson', '\n'.repeat(nothing)], ['ndjson', ' '.repeat(nothing)], ['ndjson', `${A}\n${' \r\n'.repeat(nothing / 3)}`],
    ['array', ' '.repeat(nothing)], ['array', `[${'\n'.repeat(nothing)}${A}]`], ['array', `[${A}]${' '.repeat(nothing)}`],
  ] as const) {
    let turns = 0;
    const turn = setInterval(() => turns++, 0);
    await parse(text, format).catch((error: unknown) => t.match(error, { code: 'invalid-batch' }));
    clearInterval(turn);
    t.ok(turns > 1, `${turns} turns`);
  }
});

t.test('a message kept from a batch does not keep the whole batch', async (t) => {
  const body = Buffer.from(`${A}\n${' '.repeat(100_000)}`);
  const [draft] = await parseBatch(body, 'ndjson', BOUNDS, slices);
  t.not(draft!.data.buffer, body.buffer);
  t.ok(draft!.data.buffer.byteLength < 100_000);
});
