import { createHistogram } from 'node:perf_hooks';
import t from 'tap';
import { Answers } from '../../bench/load/answers.ts';
import { now } from '../../bench/load/clock.ts';
import { Gaps } from '../../bench/load/gaps.ts';
import { Histogram, percentilesOf } from '../../bench/load/histogram.ts';
import { isMarker, makeMarker, runOf, seqOf, stamp, timeOf, topicOf } from '../../bench/load/marker.ts';
import { nameOf, TopicIndex } from '../../bench/load/names.ts';
import { makeRequest, wires } from '../../bench/load/wires.ts';
import { matches } from '../../src/model/topic.ts';

/** What the load generator is made of. */

t.test('the histogram says what Node\'s own says, to three figures', (t) => {
  const own = new Histogram();
  const other = new Histogram();
  const nodes = createHistogram({ lowest: 1, highest: 2 ** 31 - 1, figures: 3 });
  // Evenly over the orders of magnitude, by a generator that gives the same every time.
  let state = 7;
  for (let count = 0; count < 50_000; count++) {
    state = (state * 48_271) % 2_147_483_647;
    const value = Math.max(1, Math.floor(10 ** (9 * state / 2_147_483_647)));
    (count % 2 === 0 ? own : other).record(value);
    nodes.record(value);
  }
  own.add(other.counts);
  t.equal(own.count, nodes.count);
  for (const percent of [0.1, 1, 25, 50, 75, 90, 99, 99.9, 100]) t.ok(Math.abs(own.percentile(percent) / nodes.percentile(percent) - 1) <= 0.001, `${percent} %`);
  t.same(percentilesOf([]), { count: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 });
  const edges = new Histogram();
  for (const value of [-5, 0, 2047, 2048, 2 ** 40]) edges.record(value);
  t.equal(edges.percentile(40), 0);
  t.equal(edges.percentile(60), 2047);
  t.equal(edges.percentile(80), 2049);
  t.equal(edges.percentile(100), 2 ** 31 - 1);
  t.end();
});

t.test('a marker returns its numbers, up to the largest', (t) => {
  const bytes = Buffer.from(`..${makeMarker(9999, 999_999)}..`);
  stamp(bytes, 2, 99_999_999, 9_999_999_999);
  t.ok(isMarker(bytes, 2));
  t.notOk(isMarker(bytes, 3));
  t.same([runOf(bytes, 2), topicOf(bytes, 2), seqOf(bytes, 2), timeOf(bytes, 2)], [9999, 999_999, 99_999_999, 9_999_999_999]);
  t.end();
});

t.test('the clock is the machine\'s monotonic one', (t) => {
  const before = Number(process.hrtime.bigint()) / 1e6;
  const between = now();
  const after = Number(process.hrtime.bigint()) / 1e6;
  t.ok(before - 0.1 <= between && between <= after + 0.1);
  t.end();
});

t.test('names are made by number, and patterns find what the service\'s own find', (t) => {
  t.equal(nameOf('a.{i}.b{i%10}.c', 123), 'a.123.b3.c');
  const topics = ['a', 'a.b', 'a.b.c', 'a.x.c', 'b', 'b.b', 'x.b.c.d'];
  const index = new TopicIndex(topics);
  const patterns = ['a', '*', '>', 'a.>', 'a.*', 'a.*.c', '*.b', '*.b.>', 'x.*.*.d', 'nothing', 'a.b.c.d', '*.*.*'];
  for (const pattern of patterns) t.same(index.find([pattern]).map((number) => topics[number]!), topics.filter((topic) => matches(pattern, topic)), pattern);
  t.same(index.find(['a.>', 'a.b', 'b']), [1, 2, 3, 4], 'without doubles');
  t.end();
});

t.test('a skipped message that comes late is recognised, also with too many holes to keep apart', (t) => {
  const gaps = new Gaps();
  const all = (first: number, end: number): number => end - first;
  gaps.add(1, 3, 7);
  gaps.add(1, 10, 11);
  t.same([gaps.fill(1, 4), gaps.fill(1, 4), gaps.fill(1, 8), gaps.fill(1, 10), gaps.fill(2, 4)], [true, false, false, true, false]);
  t.equal(gaps.missing(1, all), 3);
  t.same([3, 5, 6].map((number) => gaps.fill(1, number)), [true, true, true]);
  t.equal(gaps.missing(1, all), 0);
  for (let number = 0; number < 1000; number++) gaps.add(3, 10 * number, 10 * number + 2);
  t.equal(gaps.missing(3, all), 2000);
  // Every number that ends with 0 was refused.
  t.equal(gaps.missing(3, (first, end) => end - first - (Math.ceil(end / 10) - Math.ceil(first / 10))), 1000);
  t.end();
});

t.test('answers are told apart wherever they are cut', (t) => {
  const bytes = Buffer.from([
    'HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}',
    'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nRetry-After: 1\r\n\r\n',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1f\r\n{"content-length": 1, "a": true}\r\n0\r\n\r\n'.replace('1f', '20'),
    'HTTP/1.1 204 No Content\r\nDate: today\r\n\r\n',
    'HTTP/1.1 400 Bad Request\r\nX: y\r\ncontent-length: 11\r\n\r\n0123456789a',
  ].join(''));
  for (let split = 0; split < bytes.length; split++) {
    const came: number[] = [];
    const answers = new Answers((status) => came.push(status));
    answers.read(bytes.subarray(0, split));
    answers.read(bytes.subarray(split));
    if (came.join() !== '201,503,202,204,400') t.fail(`cut at ${split}: ${came.join()}`);
  }
  t.throws(() => new Answers(() => undefined).read(Buffer.from('SSH-2.0-OpenSSH_9.2\r\n\r\n')), /not an answer/);
  t.end();
});

t.test('a request has exactly the bytes of data that were asked for, and a place for each number', (t) => {
  const one = makeRequest(wires.tidings, { run: 3, number: 7, topic: 'a/b', bytes: 100, key: true });
  const [head, body] = one.bytes.toString().split('\r\n\r\n') as [string, string];
  t.match(head, /^POST \/topics\/a%2Fb HTTP\/1\.1\r\n/);
  t.equal(body.length, 100);
  t.match(head, /\r\nContent-Length: 100$/);
  t.type(JSON.parse(body), 'string');
  t.equal(one.bytes.toString('latin1', one.key, one.key! + 14), '000000000000\r\n');
  const batch = makeRequest(wires.tidings, { run: 3, number: 7, topic: 'a', bytes: 50, batch: 20, key: false });
  t.equal(batch.markers.length, 20);
  t.equal(batch.key, undefined);
  const lines = batch.bytes.toString().split('\r\n\r\n')[1]!.trimEnd().split('\n').map((line) => JSON.parse(line) as { topic: string; data: string });
  t.ok(lines.length === 20 && lines.every(({ topic, data }) => topic === 'a' && data.length === 48));
  t.throws(() => makeRequest(wires.nchan, { run: 3, number: 7, topic: 'a', bytes: 50, batch: 20, key: false }), /no batches/);
  t.throws(() => makeRequest(wires.nchan, { run: 3, number: 7, topic: 'a', bytes: 33, key: false }), /at least 34/);
  t.end();
});
