import { readHosts, readUser, type Address } from './redis-url.ts';
import { PERCENT_ENCODING_HINT, WrongValue } from './setting-kinds.ts';

/** The mechanisms of SASL for a user and a password, by their names in a URL. */
const MECHANISMS = { plain: 'PLAIN', 'scram-sha-256': 'SCRAM-SHA-256', 'scram-sha-512': 'SCRAM-SHA-512' } as const;

export interface KafkaUser {
  readonly mechanism: (typeof MECHANISMS)[keyof typeof MECHANISMS];
  readonly username: string;
  readonly password: string;
}

/** The parts of a URL of Kafka: brokers of one cluster, and how a client logs in. */
export interface KafkaLocation {
  /** The first brokers that a client asks: any of them names all others. */
  readonly brokers: readonly Address[];
  readonly isTls: boolean;
  readonly user?: KafkaUser;
}

const URL_FORM = /^kafka(\+ssl)?:\/\/(?:([^/?#@]*)@)?([^/?#@]+)\/?(?:\?([^#@]*))?$/i;
const KAFKA_USUAL_PORT = 9092;

/** Whether a URL names Kafka, even if the rest of it is wrong. */
export function isKafkaUrl(text: string): boolean {
  return /^kafka\b/i.test(text);
}

/**
 * Reads `kafka://user:password@host:port,host:port?sasl=scram-sha-512`, with `kafka+ssl` for TLS.
 * @throws WrongValue Its text names the error and repeats nothing of the URL, which may contain a password.
 */
export function readKafkaUrl(text: string): KafkaLocation {
  const parts = URL_FORM.exec(text);
  if (parts === null) throw new WrongValue(`that is no URL of Kafka; it must be kafka:// or kafka+ssl:// (for TLS) and hosts, and ${PERCENT_ENCODING_HINT}`);
  const [, ssl, access = '', hosts = '', query = ''] = parts;
  const location = { brokers: readHosts(hosts, KAFKA_USUAL_PORT), isTls: ssl !== undefined };
  const mechanism = readMechanism(query);
  const { username, password } = readUser(access);
  if (username === undefined && password === undefined) {
    if (mechanism !== undefined) throw new WrongValue('sasl= takes a user and a password before the first host');
    return location;
  }
  if (username === undefined || password === undefined) throw new WrongValue(`before the first host stands user:password@, and neither is empty; ${PERCENT_ENCODING_HINT}`);
  return { ...location, user: { mechanism: mechanism ?? 'PLAIN', username, password } };
}

function readMechanism(query: string): KafkaUser['mechanism'] | undefined {
  if (query === '') return undefined;
  const name = /^sasl=([a-z0-9-]+)$/i.exec(query)?.[1]?.toLowerCase();
  if (name === undefined || !isMechanism(name)) throw new WrongValue(`its only parameter is sasl, which is ${Object.keys(MECHANISMS).join(' or ')}`);
  return MECHANISMS[name];
}

function isMechanism(name: string): name is keyof typeof MECHANISMS {
  return Object.hasOwn(MECHANISMS, name);
}
