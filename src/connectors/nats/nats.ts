import { members } from '../../access/credentials/key-request.ts';
import { readNatsUrl, type NatsLocation } from '../../config/nats-url.ts';
import { described, oneOf, secretOf, wrong } from '../../hooks/file-members.ts';
import { placeName } from '../place-name.ts';
import type { Declared, Opener, Sink, Source, Transport } from '../transport.ts';
import { whyNoSubject } from './subject.ts';

/**
 * This room connects sources and sinks to NATS. A source with a `stream` reads JetStream: the log stores each message exactly once. A source without one listens to subjects: at most once.
 * A sink publishes to subjects, and waits until JetStream has stored each message. Declarations come in here; the client is loaded when a connector opens.
 */

/** The most subjects of one source. Stops a mistaken file from becoming a consumer that the server refuses. */
const SUBJECTS_MAX_ENTRIES = 100;

const SUBJECT = /^(?:[^\s.*>]+|\*)(?:\.(?:[^\s.*>]+|\*))*(?:\.>)?$|^>$/;
/** Valid names of streams. */
const STREAM = /^[^\s.*>/\\]{1,255}$/;

/** Loads a client only when a connector needs it. */
const loadCoreSource = () => import('./core-source.ts');
const loadJetStreamSource = () => import('./jetstream-source.ts');
const loadSink = () => import('./sink.ts');

export const NATS: Transport = {
  source: { members: ['url', 'stream', 'subjects', 'from'], fields: ['subject', 'stream'], topic: '{+subject}', read: readSource },
  sink: { members: ['url', 'jetstream'], target: { member: 'subject', otherwise: '{+topic}', whyNot: whyNoSubject }, read: readSink },
};

function readSource(given: Readonly<Record<string, unknown>>, declared: Declared): Opener<Source> {
  const { field } = declared;
  const location = readLocation(given['url'], declared);
  const subjects = readSubjects(given['subjects'], `${field}.subjects`);
  const { stream } = given;
  if (stream === undefined) {
    if (subjects.length === 0) throw wrong(`${field}.subjects`, 'it must be an array of subjects, or stream must name a stream of JetStream');
    if (given['from'] !== undefined) throw wrong(`${field}.from`, 'subjects without a stream are heard from now on; only a stream has a beginning');
    return { place: placeOf(location), load: loadCoreSource, open: async ({ signal }) => (await loadCoreSource()).openCoreSource({ location, subjects, signal }) };
  }
  if (typeof stream !== 'string' || !STREAM.test(stream)) throw wrong(`${field}.stream`, 'it must be the name of a stream');
  const from = oneOf(['now', 'start'], given['from'] ?? 'start', `${field}.from`);
  return { place: placeOf(location), load: loadJetStreamSource, open: async (context) => (await loadJetStreamSource()).openJetStreamSource({ location, stream, subjects, from, context }) };
}

function readSink(given: Readonly<Record<string, unknown>>, declared: Declared): Opener<Sink> {
  const { jetstream = true } = given;
  if (typeof jetstream !== 'boolean') throw wrong(`${declared.field}.jetstream`, 'it must be true, or false where no stream stores the messages');
  const location = readLocation(given['url'], declared);
  return { place: placeOf(location), load: loadSink, open: async ({ name }) => (await loadSink()).openNatsSink({ location, name, isStored: jetstream }) };
}

/** Reads a URL, which may have a password. So it may be `{"env": "NAME"}`, and no error repeats a part of it. */
function readLocation(value: unknown, { field, env }: Declared): NatsLocation {
  if (value === undefined) throw wrong(`${field}.url`, 'it must be a URL such as nats://localhost:4222, or {"env": "NAME"} with the variable that has it');
  const url = typeof value === 'string' ? value : secretOf(members(value, ['env'], `${field}.url`), `${field}.url`, env);
  return described(`${field}.url`, () => readNatsUrl(url));
}

/** The place has the user's name, because users belong to accounts, and accounts separate subjects. */
function placeOf({ servers, user }: NatsLocation): string {
  return placeName('nats', servers.map((server) => ({ host: server.slice(0, server.lastIndexOf(':')), port: server.slice(server.lastIndexOf(':') + 1) })), user);
}

function readSubjects(value: unknown, field: string): readonly string[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length === 0 || value.length > SUBJECTS_MAX_ENTRIES) throw wrong(field, `it must be an array of 1 to ${SUBJECTS_MAX_ENTRIES} subjects`);
  return value.map((subject: unknown, index) => {
    if (typeof subject !== 'string' || !SUBJECT.test(subject)) throw wrong(`${field}[${index}]`, 'it must be a subject of NATS, such as orders.>');
    return subject;
  });
}
