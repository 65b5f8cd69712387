import { members, readPatterns } from '../access/credentials/key-request.ts';
import { parseStructuredFile } from '../config/structured-file.ts';
import { oneOf, optionalTemplate, readTemplate, readTtl, wrong } from '../hooks/file-members.ts';
import { checkTopic, checkWish } from '../model/topic.ts';
import { MAX_CONNECTORS } from '../store/contracts/connector-store.ts';
import { FORMATS, MESSAGE_FIELDS, type ConnectorPlan, type SinkPlan, type SourcePlan } from './plan.ts';
import type { Declared, Transport } from './transport.ts';

/** Reads the file that declares connectors: an object `connectors`, whose keys are the names of connectors. Each transport reads its own members. */

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/;

export interface ConnectorsFileOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** By the names that the member `of` may have. */
  readonly transports: Readonly<Record<string, Transport>>;
  /** The most topics and patterns of a sink. */
  readonly maxTopics: number;
}

/** @throws Error or Problem that names the member */
export function readConnectors(text: string, options: ConnectorsFileOptions): readonly ConnectorPlan[] {
  const { connectors } = members(parseStructuredFile(text), ['connectors']);
  if (typeof connectors !== 'object' || connectors === null || Array.isArray(connectors)) throw wrong('connectors', 'it must be an object: a member for each connector');
  const entries = Object.entries(connectors);
  if (entries.length > MAX_CONNECTORS) throw wrong('connectors', `there are more than ${MAX_CONNECTORS}`);
  return entries.map(([name, value], index) => {
    if (!NAME.test(name)) throw wrong('connectors', `the name of connector ${index + 1} must be small letters, digits and hyphens, at most 64`);
    return readConnector(name, value, options);
  });
}

function readConnector(name: string, value: unknown, options: ConnectorsFileOptions): ConnectorPlan {
  const field = `connectors.${name}`;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(field, 'it must be an object');
  const { kind, of } = value as Readonly<Record<string, unknown>>;
  const isSource = oneOf(['source', 'sink'], kind, `${field}.kind`) === 'source';
  const transport = options.transports[oneOf(Object.keys(options.transports), of, `${field}.of`)]!;
  const declared: Declared = { name, field, env: options.env };
  return isSource ? readSource(value, transport, declared) : readSink(value, transport, declared, options.maxTopics);
}

const COMMON = ['kind', 'of', 'deadTopic'];

function readSource(value: unknown, { source }: Transport, declared: Declared): SourcePlan {
  const { name, field } = declared;
  const given = members(value, [...COMMON, 'topic', 'event', 'format', 'ttl', ...source.members], field);
  const topic = readTemplate(given['topic'] ?? source.topic, `${field}.topic`, source.fields);
  checkTopic(topic.example, `${field}.topic`);
  return {
    kind: 'source', name, of: String(given['of']), deadTopic: readDeadTopic(given['deadTopic'], declared), topic,
    event: optionalTemplate(given['event'], `${field}.event`, source.fields),
    format: oneOf(FORMATS, given['format'] ?? 'auto', `${field}.format`),
    ttl: readTtl(given['ttl'], `${field}.ttl`),
    opener: source.read(given, declared),
  };
}

function readSink(value: unknown, { sink }: Transport, declared: Declared, maxTopics: number): SinkPlan {
  const { name, field } = declared;
  const { member, otherwise, whyNot } = sink.target;
  const given = members(value, [...COMMON, 'topics', 'from', member, ...sink.members], field);
  const topics = readPatterns(given['topics'], `${field}.topics`, maxTopics, checkWish);
  if (topics.length === 0) throw wrong(`${field}.topics`, 'it must be an array of the topics and patterns that are sent');
  const target = readTemplate(given[member] ?? otherwise, `${field}.${member}`, MESSAGE_FIELDS);
  const fault = whyNot(target.example);
  if (fault !== undefined) throw wrong(`${field}.${member}`, fault);
  return {
    kind: 'sink', name, of: String(given['of']), deadTopic: readDeadTopic(given['deadTopic'], declared), topics,
    target,
    from: oneOf(['now', 'start'], given['from'] ?? 'now', `${field}.from`),
    opener: sink.read(given, declared),
  };
}

function readDeadTopic(value: unknown, { name, field }: Declared): string {
  if (value === undefined) return `dead.connectors.${name}`;
  if (typeof value !== 'string') throw wrong(`${field}.deadTopic`, 'it must be a topic');
  return checkTopic(value, `${field}.deadTopic`);
}
