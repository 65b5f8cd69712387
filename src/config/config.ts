import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseEnv } from 'node:util';
import { readRedisUrl } from './redis-url.ts';
import { choice, size, text, wholeNumber, WrongValue, type Setting } from './setting-kinds.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const DAY = 86_400;

/** Every setting there is. The README's table is checked against this one. */
export const SETTINGS = {
  HOST: text({ type: 'text', default: '127.0.0.1', allowed: 'an IP address or a host name', read: readHost,
    meaning: 'The address to listen on. As long as there is no access control, any but a loopback address needs `AUTH=off`.' }),
  PORT: wholeNumber({ default: '8080', min: 0, max: 65_535, meaning: 'The port to listen on; 0 takes any free one.' }),
  AUTH: choice({ default: '', choices: ['', 'off'], meaning: '`off`: everybody who reaches the port may publish and read.' }),
  DATABASE_URL: text({ type: 'URL', default: 'file:data/tidings.db', secret: true, allowed: 'file:<path of an SQLite database> or postgres://…', read: readDatabase,
    meaning: 'Where the log is: a file, which several processes of one host may share, or PostgreSQL, for any number of hosts.' }),
  DATABASE_CONNECTIONS: wholeNumber({ default: '10', unit: 'connections', min: 2, max: 1000, meaning: 'The most connections of this instance to PostgreSQL; one of them is for publishing.' }),
  REDIS_URL: text({ type: 'URL', default: '', secret: true, allowed: 'a URL of Redis', read: readRedis,
    meaning: 'What tells other instances of new messages at once: `redis://host:port`, `redis+sentinel://host:port,host:port/master` or `redis+cluster://host:port,host:port`; `rediss` for TLS, `user:password@` before the first host. Unset: there is one process, or they poll.' }),
  CORS_ORIGINS: text({ type: 'list', default: '', allowed: '* or origins such as https://app.example.com, separated by commas', read: readOrigins,
    meaning: 'The origins whose pages may read and publish from a browser, separated by commas, or `*` for all.' }),

  MESSAGE_BYTES: size({ default: '256KiB', min: 1, max: 16 * MIB, meaning: 'The largest data of a message.' }),
  EVENT_BYTES: wholeNumber({ default: '128', unit: 'bytes', min: 1, max: 1024, meaning: 'The longest event name.' }),
  BATCH_MESSAGES: wholeNumber({ default: '1000', unit: 'messages', min: 1, max: 10_000, meaning: 'The most messages of one batch.' }),
  BATCH_BYTES: size({ default: '16MiB', min: 1, max: 256 * MIB, meaning: 'The largest body of a batch.' }),
  MAX_STREAMS: wholeNumber({ default: '15000', unit: 'streams', min: 0, max: 1_000_000, meaning: 'Streams open at once on this instance; the next gets `$busy`.' }),
  TOPICS_PER_STREAM: wholeNumber({ default: '100', unit: 'topics', min: 1, max: 1000, meaning: 'The most topics and patterns of one stream or history request.' }),
  TAIL_BYTES: size({ default: '64MiB', min: KIB, max: 16 * GIB, meaning: 'Memory for the newest messages: what streams that keep up are served from.' }),
  APPEND_QUEUE_MESSAGES: wholeNumber({ default: '10000', unit: 'messages', min: 1, max: 1_000_000, meaning: 'Messages that may wait to be stored; beyond that a publish gets 503.' }),
  APPEND_QUEUE_BYTES: size({ default: '64MiB', min: 1, max: 16 * GIB, meaning: 'Bytes that may wait to be stored; beyond that a publish gets 503.' }),

  RETENTION_SECONDS: wholeNumber({ default: '604800', unit: 'seconds', min: 0, max: 36_500 * DAY, meaning: 'Older messages are deleted; 0 keeps them however old.' }),
  RETENTION_BYTES: size({ default: '1GiB', min: 0, max: 1024 * 1024 * GIB, meaning: 'Above so many bytes of messages the oldest are deleted; 0 keeps them however many.' }),
  IDEMPOTENCY_SECONDS: wholeNumber({ default: '86400', unit: 'seconds', min: 1, max: 365 * DAY, meaning: 'How long an `Idempotency-Key` is remembered.' }),

  HEARTBEAT_SECONDS: wholeNumber({ default: '25', unit: 'seconds', min: 1, max: 3600, meaning: 'A quiet stream gets a line so often; keep it below the idle timeout of every proxy between.' }),
  STALL_SECONDS: wholeNumber({ default: '120', unit: 'seconds', min: 1, max: 3600, meaning: 'A stream whose client took nothing for so long is closed.' }),
  DRAIN_SECONDS: wholeNumber({ default: '20', unit: 'seconds', min: 0, max: 3600, meaning: 'After SIGTERM, open streams are closed evenly over this time.' }),
  RETRY_MIN_MS: wholeNumber({ default: '1000', unit: 'milliseconds', min: 1, max: 600_000, meaning: 'The shortest time after which a client is told to come back.' }),
  RETRY_MAX_MS: wholeNumber({ default: '4000', unit: 'milliseconds', min: 1, max: 600_000, meaning: 'The longest; each stream gets its own time between the two.' }),
  POLL_MS: wholeNumber({ default: '1000', unit: 'milliseconds', min: 10, max: 60_000, meaning: 'How often the log is looked at for messages that nothing told of.' }),

  LOG_LEVEL: choice({ default: 'info', choices: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], meaning: 'The least serious log lines that are written.' }),
} as const satisfies Record<string, Setting<unknown>>;

export type SettingName = keyof typeof SETTINGS;

/** Every setting under its own name, as a checked value in the unit that its name or the table says. */
export type Config = { readonly [Name in SettingName]: ReturnType<(typeof SETTINGS)[Name]['read']> };

/** Where the log is. `shown` is what may be said of it: it holds no password. */
export type DatabaseLocation =
  | { readonly kind: 'sqlite'; readonly file: string }
  | { readonly kind: 'postgres'; readonly url: string; readonly shown: string };

/** The start is refused: one line for every wrong value. */
export class ConfigError extends Error {
  override name = 'ConfigError';
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines.join('\n'));
    this.lines = lines;
  }
}

/**
 * Reads the settings from the environment and from the file `.env` (the environment wins). A variable that is set but
 * empty counts as unset.
 * @param options.dotenv The path of the file; it need not exist. false reads none.
 * @throws ConfigError
 */
export function readConfig(environment: NodeJS.ProcessEnv, options: { dotenv: string | false } = { dotenv: '.env' }): Config {
  const given = readTexts(environment, options.dotenv);
  const lines: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries<Setting<unknown>>(SETTINGS)) {
    const text = given[name]?.trim() || setting.default;
    try {
      values[name] = setting.read(text);
    } catch (error) {
      if (!(error instanceof WrongValue)) throw error;
      const said = setting.secret ? 'the value given (not shown, it may hold a password)' : JSON.stringify(text);
      lines.push(error.message === '' ? `${name}: ${said} is not allowed; it must be ${setting.allowed}` : `${name}: ${error.message}`);
    }
  }
  const config = values as Config;
  lines.push(...contradictions(config));
  if (lines.length > 0) throw new ConfigError(lines);
  return Object.freeze(config);
}

/** What is set in either place. */
function readTexts(environment: NodeJS.ProcessEnv, dotenv: string | false): Readonly<Record<string, string | undefined>> {
  if (dotenv === false) return environment;
  try {
    return { ...parseEnv(readFileSync(dotenv, 'utf8')), ...environment };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return environment;
    throw new ConfigError([`${dotenv}: it cannot be read (${error instanceof Error ? error.message : String(error)})`]);
  }
}

/** What is wrong only together with another setting. A value that was refused already is not there. */
function contradictions(config: Partial<Config>): string[] {
  const lines: string[] = [];
  if (config.HOST !== undefined && config.AUTH === '' && !isLoopback(config.HOST)) {
    lines.push(`HOST: ${config.HOST} can be reached from other machines and there is no access control; set AUTH=off to allow everybody, or HOST=127.0.0.1`);
  }
  const ordered: readonly (readonly [SettingName, SettingName, string])[] = [
    ['RETRY_MIN_MS', 'RETRY_MAX_MS', 'the shortest time is longer than the longest'],
    ['MESSAGE_BYTES', 'BATCH_BYTES', 'a batch could not hold the largest message'],
    ['BATCH_BYTES', 'APPEND_QUEUE_BYTES', 'the largest batch could never be stored'],
    ['BATCH_MESSAGES', 'APPEND_QUEUE_MESSAGES', 'the largest batch could never be stored'],
  ];
  for (const [smaller, larger, why] of ordered) {
    const [low, high] = [config[smaller], config[larger]];
    if (typeof low === 'number' && typeof high === 'number' && low > high) {
      lines.push(`${smaller}: ${low} is more than ${larger}, which is ${high}: ${why}`);
    }
  }
  return lines;
}

function readHost(text: string): string {
  if (isIP(text) === 0 && !/^[a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?$/i.test(text)) throw new WrongValue();
  return text;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function readDatabase(text: string): DatabaseLocation {
  if (/^postgres(ql)?:/i.test(text)) return readPostgres(text);
  const path = /^file:([^?#]+)$/i.exec(text)?.[1];
  if (path === undefined || path.endsWith('/')) throw new WrongValue();
  // In memory, a log would keep none of its promises.
  if (path.includes(':memory:')) throw new WrongValue('a database in memory would lose every message; it must be file:<path of an SQLite database>');
  try {
    return { kind: 'sqlite', file: path.startsWith('//') ? fileURLToPath(text) : path };
  } catch {
    throw new WrongValue();
  }
}

function readPostgres(text: string): DatabaseLocation {
  // A socket's folder may stand in the query, with no host where hosts stand.
  const url = URL.parse(text.replace('@/', '@localhost/'));
  if (url === null || !/^postgres(ql)?:\/\//i.test(text)) {
    throw new WrongValue('that is no URL of PostgreSQL; it must be postgres://user:password@host:port/database, with what is special in user or password percent-encoded');
  }
  const host = url.searchParams.get('host') ?? (url.host === '' ? 'localhost' : url.host);
  if (host.includes(',')) throw new WrongValue('it names several hosts; it must name one, which stands for the primary');
  return { kind: 'postgres', url: text, shown: `PostgreSQL at ${host.replaceAll('%2F', '/')}${url.pathname}` };
}

function readRedis(text: string): string | undefined {
  if (text === '') return undefined;
  readRedisUrl(text);
  return text;
}

function readOrigins(text: string): '*' | readonly string[] {
  if (text === '*') return '*';
  return Object.freeze(text.split(',').map((part) => part.trim()).filter((part) => part !== '').map((origin) => {
    const url = URL.parse(origin);
    const meant = url !== null && /^https?:$/.test(url.protocol) && !url.hostname.includes('*') ? url.origin : undefined;
    if (meant === origin) return origin;
    throw new WrongValue(`${JSON.stringify(origin)} is not an origin${meant === undefined ? '' : ` (${meant} is)`}; it must be * or origins such as https://app.example.com, separated by commas`);
  }));
}
