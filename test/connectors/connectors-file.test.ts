import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ConfigError } from '../../src/config/config.ts';
import { readConnectorsFile } from '../../src/connectors/connectors.ts';
import { readConnectors } from '../../src/connectors/connectors-file.ts';
import { KAFKA } from '../../src/connectors/kafka/kafka.ts';
import { NATS } from '../../src/connectors/nats/nats.ts';
import { Problem } from '../../src/model/problem.ts';
import { tempFolder } from '../support/temp.ts';

const URL = 'nats://me:not-to-be-seen@localhost';
const SOURCE = { kind: 'source', of: 'nats', url: URL, stream: 'ORDERS' };
const SINK = { kind: 'sink', of: 'nats', url: URL, topics: ['a.>'] };
const options = { env: { EMPTY: '' }, transports: { nats: NATS, kafka: KAFKA }, maxTopics: 3 };

t.test('a file of connectors', (t) => {
  const file = join(tempFolder(t), 'connectors.yaml');
  writeFileSync(file, `
connectors:
  orders:
    kind: source
    of: nats
    url: {env: NATS}
    stream: ORDERS
    subjects: [orders.>]
    topic: from.{subject.2}
    event: "{/kind|header:kind}"
    deadTopic: odd
    ttl: 60
  mirror:
    kind: sink
    of: nats
    url: nats://one,two:4223
    topics: [a, b.>]
    from: start
`);
  const config = { CONNECTORS_FILE: file, TOPICS_PER_STREAM: 10 };
  const [orders, mirror] = readConnectorsFile(config, { NATS: URL }, options.transports);
  t.match(orders, { name: 'orders', kind: 'source', of: 'nats', deadTopic: 'odd', format: 'auto', ttl: 60, opener: { place: 'nats:me@localhost:4222' } });
  t.match(mirror, { name: 'mirror', kind: 'sink', deadTopic: 'dead.connectors.mirror', topics: ['a', 'b.>'], from: 'start', opener: { place: 'nats:one:4222,two:4223' } });
  t.same(readConnectorsFile({ ...config, CONNECTORS_FILE: undefined }, {}, options.transports), []);
  t.throws(() => readConnectorsFile(config, {}, options.transports), new ConfigError(['CONNECTORS_FILE: connectors.orders.url.env is not valid: the variable NATS is not set.']));
  t.throws(() => readConnectorsFile({ ...config, CONNECTORS_FILE: '/nowhere/at/all' }, {}, options.transports), /CONNECTORS_FILE: .*ENOENT/);
  t.end();
});

t.test('what is wrong is named, and no secret is repeated', (t) => {
  const bad: readonly (readonly [connectors: unknown, field: string])[] = [
    [undefined, 'connectors'],
    [[], 'connectors'],
    [{ 'Not good': SOURCE }, 'connectors'],
    [Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`c${index}`, SOURCE])), 'connectors'],
    [{ a: 'text' }, 'connectors.a'],
    [{ a: { ...SOURCE, kind: 'both' } }, 'connectors.a.kind'],
    [{ a: { ...SOURCE, of: 'pigeons' } }, 'connectors.a.of'],
    [{ a: { ...SOURCE, topics: ['a'] } }, 'connectors.a.topics'],
    [{ a: { ...SOURCE, url: undefined } }, 'connectors.a.url'],
    [{ a: { ...SOURCE, url: 'http://me:not-to-be-seen@localhost' } }, 'connectors.a.url'],
    [{ a: { ...SOURCE, url: { env: 'EMPTY' } } }, 'connectors.a.url.env'],
    [{ a: { ...SOURCE, url: { file: 'x' } } }, 'connectors.a.url.file'],
    [{ a: { ...SOURCE, stream: 'a.b' } }, 'connectors.a.stream'],
    [{ a: { ...SOURCE, stream: undefined } }, 'connectors.a.subjects'],
    [{ a: { ...SOURCE, stream: undefined, subjects: ['a'], from: 'now' } }, 'connectors.a.from'],
    [{ a: { ...SOURCE, subjects: ['a..b'] } }, 'connectors.a.subjects[0]'],
    [{ a: { ...SOURCE, subjects: ['a', 'b.>.c'] } }, 'connectors.a.subjects[1]'],
    [{ a: { ...SOURCE, from: 'yesterday' } }, 'connectors.a.from'],
    [{ a: { ...SOURCE, topic: '{partition}' } }, 'connectors.a.topic'],
    [{ a: { ...SOURCE, topic: '$a' } }, 'connectors.a.topic'],
    [{ a: { ...SOURCE, event: 7 } }, 'connectors.a.event'],
    [{ a: { ...SOURCE, format: 'xml' } }, 'connectors.a.format'],
    [{ a: { ...SOURCE, ttl: 0 } }, 'connectors.a.ttl'],
    [{ a: { ...SOURCE, deadTopic: 'a.*' } }, 'connectors.a.deadTopic'],
    [{ a: { ...SINK, topics: [] } }, 'connectors.a.topics'],
    [{ a: { ...SINK, topics: ['a', 'b', 'c', 'd'] } }, 'connectors.a.topics'],
    [{ a: { ...SINK, topics: ['a..b'] } }, 'connectors.a.topics[0]'],
    [{ a: { ...SINK, subject: 'x.{subject}' } }, 'connectors.a.subject'],
    [{ a: { ...SINK, subject: 'x y.{topic}' } }, 'connectors.a.subject'],
    [{ a: { ...SINK, subject: '$SYS.{topic}' } }, 'connectors.a.subject'],
    [{ a: { ...SINK, of: 'kafka', url: 'kafka://localhost', topic: 'x y.{topic}' } }, 'connectors.a.topic'],
    [{ a: { ...SINK, jetstream: 'yes' } }, 'connectors.a.jetstream'],
    [{ a: { ...SINK, from: 'abc-1' } }, 'connectors.a.from'],
    [{ a: { ...SINK, stream: 'ORDERS' } }, 'connectors.a.stream'],
  ];
  for (const [connectors, field] of bad) {
    let thrown: unknown;
    try {
      readConnectors(JSON.stringify({ connectors }), options);
    } catch (error) {
      thrown = error;
    }
    if (!(thrown instanceof Problem)) throw new Error(`nothing was wrong with ${JSON.stringify(connectors)}`, { cause: thrown });
    t.equal(thrown.field, field);
    t.notMatch(thrown.message, /not-to-be-seen/);
  }
  t.throws(() => readConnectors('connectors: {a: [', options), /no JSON and no YAML/);
  t.end();
});
