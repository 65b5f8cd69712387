import { members } from '../../access/credentials/key-request.ts';
import { readKafkaUrl, type KafkaLocation } from '../../config/kafka-url.ts';
import { described, oneOf, secretOf, wrong } from '../../hooks/file-members.ts';
import { placeName } from '../place-name.ts';
import type { Declared, Opener, Sink, Source, Transport } from '../transport.ts';
import { NO_TOPIC_NAME, TOPIC_NAME } from './topic-name.ts';

/**
 * This room connects sources and sinks to Kafka. A source reads topics, each partition in its order, and each record is stored exactly once. A sink writes to topics, and waits until all replicas
 * that are in sync have each message. Declarations come in here; the client is loaded when a connector opens.
 */

/** The most topics of one source. Stops a mistaken file from causing very large requests. */
const SOURCE_TOPICS_MAX_ENTRIES = 100;

/** Loads a client only when a connector needs it. */
const loadSource = () => import('./source.ts');
const loadSink = () => import('./sink.ts');

export const KAFKA: Transport = {
  source: { members: ['url', 'topics', 'from'], fields: ['topic', 'partition', 'key'], topic: '{+topic}', read: readSource },
  sink: { members: ['url'], target: { member: 'topic', otherwise: '{+topic}', whyNot: (topic) => TOPIC_NAME.test(topic) ? undefined : NO_TOPIC_NAME }, read: readSink },
};

function readSource(given: Readonly<Record<string, unknown>>, declared: Declared): Opener<Source> {
  const location = readLocation(given['url'], declared);
  const topics = readTopics(given['topics'], `${declared.field}.topics`);
  const from = oneOf(['now', 'start'], given['from'] ?? 'start', `${declared.field}.from`);
  return { place: placeOf(location), load: loadSource, open: async () => (await loadSource()).openKafkaSource({ location, topics, from }) };
}

function readSink(given: Readonly<Record<string, unknown>>, declared: Declared): Opener<Sink> {
  const location = readLocation(given['url'], declared);
  return { place: placeOf(location), load: loadSink, open: async () => (await loadSink()).openKafkaSink(location) };
}

/** Reads a URL, which may have a password. So it may be `{"env": "NAME"}`, and no error repeats a part of it. */
function readLocation(value: unknown, { field, env }: Declared): KafkaLocation {
  if (value === undefined) throw wrong(`${field}.url`, 'it must be a URL such as kafka://localhost:9092, or {"env": "NAME"} with the variable that has it');
  const url = typeof value === 'string' ? value : secretOf(members(value, ['env'], `${field}.url`), `${field}.url`, env);
  return described(`${field}.url`, () => readKafkaUrl(url));
}

function placeOf({ brokers }: KafkaLocation): string {
  return placeName('kafka', brokers);
}

function readTopics(value: unknown, field: string): readonly string[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > SOURCE_TOPICS_MAX_ENTRIES) throw wrong(field, `it must be an array of 1 to ${SOURCE_TOPICS_MAX_ENTRIES} topics of Kafka`);
  const topics = value.map((topic: unknown, index) => {
    if (typeof topic !== 'string' || !TOPIC_NAME.test(topic)) throw wrong(`${field}[${index}]`, 'it must be a name that Kafka takes for a topic: letters, digits, dots, hyphens and underscores');
    return topic;
  });
  if (new Set(topics).size < topics.length) throw wrong(field, 'it names a topic twice');
  return topics;
}
