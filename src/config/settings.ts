import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { readAllowedHosts } from './allowed-hosts.ts';
import { EVENT_MAX_BYTES } from './content-limits.ts';
import { readDatabaseUrl } from './database-url.ts';
import { readJwksUrl, readJwtPublicKey, readJwtSecret } from './jwt-keys.ts';
import { isKafkaUrl, readKafkaUrl } from './kafka-url.ts';
import { readOrigins } from './origins.ts';
import { readNatsUrl } from './nats-url.ts';
import { rate } from './rate.ts';
import { readRedisUrl } from './redis-url.ts';
import { choice, limit, optional, size, text, wholeNumber, WrongValue, type Setting } from './setting-kinds.ts';
import { readTrustedProxies } from './trusted-proxies.ts';
import { readWebhookAllow } from './webhook-allow.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const DAY_SECONDS = 86_400;

/** The most workers. Stops a typing mistake from starting hundreds of processes. */
const WORKERS_MAX_ENTRIES = 64;

/** All settings, by subject. A test compares this table with docs/settings.md. */
export const SETTINGS = {
  // Where it listens
  HOST: text({ type: 'text', default: '127.0.0.1', allowed: 'an IP address or a host name', read: readHost,
    meaning: 'The address to listen on. Any but a loopback address needs credentials, or `AUTH=off`.' }),
  PORT: wholeNumber({ default: '8080', min: 0, max: 65_535, meaning: 'The port to listen on; 0 takes any free one.' }),
  OPS_PORT: optional(wholeNumber({ default: '', min: 0, max: 65_535, meaning: 'A second port, for metrics, health, `/instances` and OpenAPI alone, without a credential; 0 takes any free one. Unset: no second port.' })),
  OPS_HOST: text({ type: 'text', default: '127.0.0.1', allowed: 'an IP address or a host name', read: readHost,
    meaning: 'The address to listen on for `OPS_PORT`. Everybody who reaches it may read metrics.' }),
  WORKERS: text({ type: 'number', default: '1', allowed: `auto, or a whole number from 1 to ${WORKERS_MAX_ENTRIES}`, read: readWorkers,
    meaning: 'The number of processes that serve. They share the port, and a supervisor watches over them. `auto`: one for each core. Bounds of memory, streams and connections then count for all together ([capacity.md](docs/capacity.md#all-cores-of-a-machine)).' }),
  ALLOWED_HOSTS: text({ type: 'list', default: '', allowed: '* or host names such as tidings.example.com, separated by commas', read: readAllowedHosts,
    meaning: 'The host names that clients may use, besides loopback names such as `localhost`: `tidings.example.com`, `*.example.com`, or `*` for all, separated by commas. Unset: all names; on a loopback `HOST` only loopback names. Behind a proxy on the same machine, name the public host.' }),
  CORS_ORIGINS: text({ type: 'list', default: '', allowed: '* or origins such as https://app.example.com, separated by commas', read: readOrigins,
    meaning: 'The origins whose pages may read and publish from a browser, separated by commas, or `*` for all. Apps and extensions have origins, too: `capacitor://localhost`, `chrome-extension://…`.' }),
  TRUST_PROXY: text({ type: 'list', default: '', allowed: 'addresses, ranges or names, separated by commas', read: readTrustedProxies,
    meaning: 'Proxies whose `X-Forwarded-For` counts: addresses, ranges such as `10.0.0.0/8`, or `loopback`, `linklocal`, `uniquelocal`, separated by commas. Unset: none, and the client is the other end of the connection.' }),

  // Who may publish and read
  AUTH: choice({ default: '', choices: ['', 'on', 'off'],
    meaning: '`on`: nobody may publish or read without a credential. `off`: everybody who reaches the port may. Unset: `on`, but a loopback `HOST` is open until you make a key, or set `PUBLIC_TOPICS`, `PUBLIC_PUBLISH`, `ACCESS_FILE` or a key of tokens.' }),
  AUTH_COOKIE: text({ type: 'text', default: '', allowed: 'the name of a cookie', read: readCookieName, meaning: 'The name of the cookie with a browser\'s credential: a session of `POST /session`, or a key or token that your application set. Over https call it, for example, `__Host-tidings`: then no neighbouring host can set it.' }),
  SESSION_SECONDS: wholeNumber({ default: '86400', unit: 'seconds', min: 60, max: 400 * DAY_SECONDS, meaning: 'The longest life of a session; it ends earlier with its key or token.' }),
  AUTH_QUERY_TOKEN: choice({ default: 'off', choices: ['off', 'on'], meaning: '`on`: a key or token may be in the URL, as `?access_token=`. Proxies write URLs into their logs: prefer a cookie.' }),
  PUBLIC_TOPICS: text({ type: 'list', default: '', allowed: 'topics and patterns, separated by commas', read: readNames, meaning: 'Topics and patterns that may be read without a credential, separated by commas.' }),
  PUBLIC_PUBLISH: text({ type: 'list', default: '', allowed: 'topics and patterns, separated by commas', read: readNames, meaning: 'Topics and patterns that may be published to without a credential, separated by commas.' }),
  ACCESS_FILE: text({ type: 'text', default: '', allowed: 'the path of a file', read: (text) => text || undefined, meaning: 'A JSON or YAML file that declares API keys by their digests; keep it with the rest of the configuration.' }),

  // Tokens of your application
  JWT_SECRET: text({ type: 'text', default: '', secret: true, allowed: 'a secret of at least 32 bytes', read: readJwtSecret,
    meaning: 'The secret that signs tokens with HS256, of at least 32 bytes: `openssl rand -hex 32`. Set at most one of `JWT_SECRET`, `JWT_PUBLIC_KEY` and `JWT_JWKS_URL`.' }),
  JWT_PUBLIC_KEY: text({ type: 'key', default: '', secret: true, allowed: 'a public key', read: readJwtPublicKey,
    meaning: 'The public key that checks tokens: RSA of at least 2048 bits (RS256), P-256 (ES256) or Ed25519 (EdDSA). As PEM (lines may end in `\\n`), as JWK, or `file:` and the path of one.' }),
  JWT_JWKS_URL: text({ type: 'URL', default: '', secret: true, allowed: 'an https URL, or an http URL of this machine such as http://localhost:3000/jwks.json', read: readJwksUrl,
    meaning: 'The URL at which the issuer of tokens publishes its public keys (JWKS). Needs `JWT_ISSUER` or `JWT_AUDIENCE`.' }),
  JWT_ISSUER: text({ type: 'text', default: '', allowed: 'a text', read: readOptional, meaning: 'The required `iss` of a token.' }),
  JWT_AUDIENCE: text({ type: 'text', default: '', allowed: 'a text', read: readOptional, meaning: 'A token\'s `aud` must be this text, or contain it.' }),
  JWT_CLAIM: text({ type: 'text', default: 'tidings', allowed: 'the name of a claim', read: (name) => name,
    meaning: 'The claim of a token that holds its rights. Some identity providers want a URL: `https://example.com/tidings`.' }),
  JWT_MAX_SECONDS: wholeNumber({ default: '86400', unit: 'seconds', min: 1, max: 365 * DAY_SECONDS, meaning: 'The longest time between `iat` and `exp` of a token.' }),

  // The database and the bus
  DATABASE_URL: text({ type: 'URL', default: 'file:data/tidings.db', secret: true, allowed: 'file:<path of an SQLite database> or postgres://…', read: readDatabaseUrl,
    meaning: 'The database with the log: a file, which several processes of one host may share, or PostgreSQL, for any number of hosts.' }),
  DATABASE_CONNECTIONS: wholeNumber({ default: '10', unit: 'connections', min: 2, max: 1000, meaning: 'The most connections of this instance to PostgreSQL; one of them is for publishing.' }),
  REDIS_URL: text({ type: 'URL', default: '', secret: true, allowed: 'a URL of Redis', read: readRedis,
    meaning: 'The Redis that tells other instances of new messages at once: `redis://host:port`, `redis+sentinel://host:port,host:port/master` or `redis+cluster://host:port,host:port`; `rediss` for TLS, `user:password@` before the first host. Unset: you run one process, or instances poll.' }),
  BUS_URL: text({ type: 'URL', default: '', secret: true, allowed: 'a URL of NATS, Kafka or Redis', read: readBus,
    meaning: 'Instead of `REDIS_URL`: `nats://host:port,host:port`, `tls` for TLS, `user:password@` or `token@` before the first host; or `kafka://host:port,host:port`, `kafka+ssl` for TLS, `user:password@`, and `?sasl=scram-sha-512` if it is not `plain`. A URL of Redis means the same as in `REDIS_URL` ([buses.md](docs/buses.md)).' }),
  POLL_MS: wholeNumber({ default: '1000', unit: 'milliseconds', min: 10, max: 60_000, meaning: 'How often to poll the log for messages that the bus missed.' }),

  // How long messages are kept
  RETENTION_SECONDS: wholeNumber({ default: '604800', unit: 'seconds', min: 0, max: 36_500 * DAY_SECONDS, meaning: 'Older messages are deleted; 0 disables the limit.' }),
  RETENTION_BYTES: size({ default: '1GiB', min: 0, max: 1024 * 1024 * GIB, meaning: 'The most bytes of messages; beyond that the oldest are deleted; 0 disables the limit.' }),
  TOPIC_RETENTION_SHARE: limit({ default: 'off', unit: 'percent', max: 100, meaning: 'The most of `RETENTION_BYTES` that one topic may hold; beyond that its publishers get 429 `topic-quota`. `off` for no limit. See [limits.md](docs/limits.md#room-in-the-log).' }),
  CREDENTIAL_RETENTION_SHARE: limit({ default: 'off', unit: 'percent', max: 100, meaning: 'The same for the messages of each key, or subject of tokens; all publishers without a credential share one quota.' }),
  IDEMPOTENCY_SECONDS: wholeNumber({ default: '86400', unit: 'seconds', min: 1, max: 365 * DAY_SECONDS, meaning: 'How long the log remembers an `Idempotency-Key`, if there are no more than `IDEMPOTENCY_MAX_KEYS`.' }),
  IDEMPOTENCY_MAX_KEYS: wholeNumber({ default: '4000000', unit: 'keys', min: 0, max: 1_000_000_000, meaning: 'The most idempotency keys; beyond that the oldest are forgotten; 0 disables the limit. A key takes some 200 bytes of the disk, and 2,400 at most.' }),

  // How large messages may be
  MESSAGE_BYTES: size({ default: '1MiB', min: 1, max: 16 * MIB, meaning: 'The largest data of a message.' }),
  EVENT_BYTES: wholeNumber({ default: '128', unit: 'bytes', min: 1, max: EVENT_MAX_BYTES, meaning: 'The longest event name.' }),
  BATCH_MESSAGES: wholeNumber({ default: '1000', unit: 'messages', min: 1, max: 10_000, meaning: 'The most messages of one batch.' }),
  BATCH_BYTES: size({ default: '16MiB', min: 1, max: 256 * MIB, meaning: 'The largest body of a batch.' }),

  // Streams
  MAX_STREAMS: wholeNumber({ default: '15000', unit: 'streams', min: 0, max: 1_000_000, meaning: 'Streams open at once on this instance; the next gets `$busy`.' }),
  TOPICS_PER_STREAM: wholeNumber({ default: '100', unit: 'topics', min: 1, max: 1000, meaning: 'The most topics and patterns of one stream or history request.' }),
  HEARTBEAT_SECONDS: wholeNumber({ default: '25', unit: 'seconds', min: 1, max: 3600, meaning: 'The time between lines on a quiet stream; keep it below the idle timeout of every proxy in between.' }),
  STALL_SECONDS: wholeNumber({ default: '120', unit: 'seconds', min: 1, max: 3600, meaning: 'A stream is closed when its client has read no byte, or has not answered, for this time.' }),
  DRAIN_SECONDS: wholeNumber({ default: '20', unit: 'seconds', min: 0, max: 3600, meaning: 'After SIGTERM, open streams are closed evenly over this time, and at least ten a second: a few streams are gone sooner.' }),
  RETRY_MIN_MS: wholeNumber({ default: '1000', unit: 'milliseconds', min: 1, max: 600_000, meaning: 'The shortest time after which a client is told to come back.' }),
  RETRY_MAX_MS: wholeNumber({ default: '4000', unit: 'milliseconds', min: 1, max: 600_000, meaning: 'The longest such time; each stream gets its own time between the two.' }),
  REBALANCE: choice({ default: 'on', choices: ['on', 'off'], meaning: '`on`: an instance with more than its share of all streams slowly sends some away. It needs Redis, and a balancer that goes by the fewest connections ([instances.md](docs/instances.md#fair-shares)).' }),
  REBALANCE_AGE_SECONDS: wholeNumber({ default: '30', unit: 'seconds', min: 1, max: 86_400, meaning: '`REBALANCE` leaves younger streams alone.' }),

  // Presence
  PRESENCE_TTL_SECONDS: wholeNumber({ default: '30', unit: 'seconds', min: 2, max: 3600, meaning: 'The longest time for which listeners of a killed or frozen instance stay present. See [presence.md](docs/presence.md).' }),
  PRESENCE_GRACE_SECONDS: wholeNumber({ default: '5', unit: 'seconds', min: 0, max: 3600, meaning: 'A member stays present for this time after its last stream has ended, because it may come back.' }),

  // Limits of one sender
  PUBLISH_LIMIT: rate({ default: '', unit: 'messages', meaning: 'How fast each key, or subject of tokens, may publish: `100/s burst 1000`; beyond that it gets 429. Unset: no limit.' }),
  ANONYMOUS_PUBLISH_LIMIT: rate({ default: '20/s burst 200', unit: 'messages', meaning: 'The same for each address that publishes without a credential, within `PUBLIC_PUBLISH`; `off` for no limit.' }),
  STREAMS_LIMIT: limit({ default: 'off', unit: 'streams', max: 1_000_000, meaning: 'Streams and long polls that each key, or subject of tokens, may have open at once, on all instances; the next gets `$busy`. `off` for no limit.' }),
  ANONYMOUS_STREAMS_LIMIT: limit({ default: '1000', unit: 'streams', max: 1_000_000, meaning: 'The same for each address without a credential.' }),
  FAILED_LOGINS_LIMIT: rate({ default: '30/m burst 100', unit: 'requests', meaning: 'For one address: requests with a bad credential, refused renewals of streams, and changes of streams with a wrong secret; beyond that they get 429 instead of 401. This never refuses good credentials. `off` for no limit.' }),
  TOPICS_LIMIT: limit({ default: '100000', unit: 'topics', max: 1_000_000, meaning: 'Different topics to which each key, subject of tokens, or address may publish in a day. `off` for no limit.' }),
  IDEMPOTENCY_KEYS_LIMIT: limit({ default: '4000000', unit: 'keys', max: 1_000_000_000, meaning: 'Idempotency keys that each key, subject of tokens, or address may use in `IDEMPOTENCY_SECONDS`. `off` for no limit.' }),

  // Memory and queues of an instance
  TAIL_BYTES: size({ default: '64MiB', min: KIB, max: 16 * GIB, meaning: 'Memory for the newest messages; it serves all streams that keep up.' }),
  APPEND_QUEUE_MESSAGES: wholeNumber({ default: '10000', unit: 'messages', min: 1, max: 1_000_000, meaning: 'Messages that may wait to be stored; beyond that the client with the most gets 503.' }),
  APPEND_QUEUE_BYTES: size({ default: '64MiB', min: 1, max: 16 * GIB, meaning: 'Bytes that may wait to be stored; beyond that the client with the most gets 503.' }),
  REQUEST_BYTES: size({ default: '128MiB', min: KIB, max: 16 * GIB, meaning: 'Memory for the bodies of requests, and for the messages of batches until they are stored; beyond that the client with the most gets 503. An instance\'s memory in all: [capacity.md](docs/capacity.md#memory).' }),
  ANSWER_BYTES: size({ default: '128MiB', min: KIB, max: 16 * GIB, meaning: 'Memory for answers that their clients have not read yet; beyond that the client with the most loses a connection, or gets 503.' }),
  FILTER_BYTES: size({ default: '128MiB', min: KIB, max: 16 * GIB, meaning: 'Memory for the topics of streams and long polls with many topics, or with deep patterns; beyond that the client with the most gets `$busy`.' }),
  UNREAD_BYTES: size({ default: '128MiB', min: KIB, max: 16 * GIB, meaning: 'Memory for bytes written to streams that their clients have not read; beyond that the stream that has waited longest is closed, and comes back.' }),

  // Other systems
  HOOKS_FILE: text({ type: 'text', default: '', allowed: 'the path of a file', read: (text) => text || undefined, meaning: 'A JSON or YAML file that declares [hooks](docs/hooks.md): the routes to which other systems such as GitHub send their webhooks, and the messages that Tidings makes of them.' }),
  CONNECTORS_FILE: text({ type: 'text', default: '', allowed: 'the path of a file', read: (text) => text || undefined, meaning: 'A JSON or YAML file that declares [connectors](docs/connectors.md): sources, which turn messages of NATS and Kafka into topics, and sinks, which send topics there.' }),
  WEBHOOK_ALLOW: text({ type: 'list', default: '', allowed: 'hosts, addresses and ranges, separated by commas', read: readWebhookAllow,
    meaning: 'Destinations of webhooks besides the public internet: hosts such as `hooks.internal`, addresses, and ranges such as `10.0.0.0/8`, separated by commas. See [webhooks.md](docs/webhooks.md#where-a-webhook-may-go).' }),
  WEBHOOK_TIMEOUT_SECONDS: wholeNumber({ default: '15', unit: 'seconds', min: 1, max: 300, meaning: 'How long a receiver of a webhook may take for its answer.' }),
  WEBHOOK_RETRY_MIN_MS: wholeNumber({ default: '5000', unit: 'milliseconds', min: 10, max: 3_600_000, meaning: 'The pause after the first failure of a webhook; it doubles with each, up to an hour.' }),
  WEBHOOK_RETRY_SECONDS: wholeNumber({ default: '259200', unit: 'seconds', min: 1, max: 30 * DAY_SECONDS, meaning: 'How long a webhook tries to deliver a message; then the message goes to the topic for dead letters, and the next one follows.' }),

  // The page, the fast path and log lines
  PAGE: choice({ default: 'on', choices: ['on', 'off'], meaning: '`off`: `/` serves no page, only the index of the API. See [page.md](docs/page.md).' }),
  HTTP_FAST_PATH: choice({ default: 'on', choices: ['on', 'off'], meaning: '`off`: every request goes through the framework. Answers are the same, but cost more.' }),
  LOG_LEVEL: choice({ default: 'info', choices: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], meaning: 'The least serious log lines that are written.' }),
} as const satisfies Record<string, Setting<unknown>>;

export type SettingName = keyof typeof SETTINGS;

/** The name of a cookie (RFC 6265): a token of RFC 9110, section 5.6.2. */
const COOKIE_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

function readCookieName(name: string): string | undefined {
  if (name !== '' && !COOKIE_NAME.test(name)) throw new WrongValue();
  return name || undefined;
}

/** Names, separated by commas. `access/` checks whether they are topics, because this room imports nothing of topics. */
function readNames(text: string): readonly string[] {
  return Object.freeze(text.split(',').map((part) => part.trim()).filter((part) => part !== ''));
}

/** The value that conda's compilers and configure scripts give HOST: the kind of machine that they build for. */
const BUILD_TRIPLE = /^[a-z0-9_]+-(conda\w*|apple|pc|unknown|w64)-(linux|darwin|mingw|freebsd)[a-z0-9._-]*$/i;

function readHost(text: string): string {
  if (BUILD_TRIPLE.test(text)) throw new WrongValue(`${JSON.stringify(text)} is no address but a kind of machine, set by conda or another build tool; unset HOST, or set HOST=127.0.0.1`);
  if (isIP(text) === 0 && !/^[a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?$/i.test(text)) throw new WrongValue();
  return text;
}

function readWorkers(text: string): number {
  if (text === 'auto') return Math.min(availableParallelism(), WORKERS_MAX_ENTRIES);
  const workers = /^[0-9]{1,2}$/.test(text) ? Number(text) : 0;
  if (workers < 1 || workers > WORKERS_MAX_ENTRIES) throw new WrongValue();
  return workers;
}

function readOptional(text: string): string | undefined {
  return text === '' ? undefined : text;
}

function readBus(text: string): string | undefined {
  if (text === '') return undefined;
  if (/^redis/i.test(text)) readRedisUrl(text);
  else if (isKafkaUrl(text)) readKafkaUrl(text);
  else if (/^(?:nats|tls):/i.test(text)) readNatsUrl(text);
  else throw new WrongValue('it must begin with nats:// or tls:// (NATS), kafka:// or kafka+ssl://, or redis://');
  return text;
}

function readRedis(text: string): string | undefined {
  if (text === '') return undefined;
  readRedisUrl(text);
  return text;
}
