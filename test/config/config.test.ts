import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { t } from 'tap';
import { ConfigError, readConfig, type Config } from '../../src/config/config.ts';
import { PERCENT_ENCODING_HINT } from '../../src/config/setting-kinds.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { tempFolder } from '../support/temp.ts';

function read(environment: Record<string, string>, dotenv: string | false = false): Config {
  return readConfig(environment, { dotenv });
}

/** The lines of the refusal; none if the settings are accepted. */
function lines(environment: Record<string, string>, dotenv: string | false = false): readonly string[] {
  try {
    read(environment, dotenv);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
}

t.test('without an environment everything has its default', (t) => {
  const config = read({});
  t.match(config, {
    HOST: '127.0.0.1', PORT: 8080, OPS_PORT: undefined, OPS_HOST: '127.0.0.1', WORKERS: 1, AUTH: '', PUBLIC_TOPICS: [], PUBLIC_PUBLISH: [], ACCESS_FILE: undefined, HOOKS_FILE: undefined, CONNECTORS_FILE: undefined, DATABASE_URL: { kind: 'sqlite', file: 'data/tidings.db' }, DATABASE_CONNECTIONS: 10, REDIS_URL: undefined, BUS_URL: undefined, ALLOWED_HOSTS: undefined, CORS_ORIGINS: [], TRUST_PROXY: undefined,
    JWT_SECRET: undefined, JWT_PUBLIC_KEY: undefined, JWT_JWKS_URL: undefined, JWT_ISSUER: undefined, JWT_AUDIENCE: undefined, JWT_CLAIM: 'tidings', JWT_MAX_SECONDS: 86_400, SESSION_SECONDS: 86_400,
    MESSAGE_BYTES: 1024 ** 2, EVENT_BYTES: 128, BATCH_MESSAGES: 1000, MAX_STREAMS: 15_000, TOPICS_PER_STREAM: 100, TAIL_BYTES: 64 * 1024 ** 2,
    PUBLISH_LIMIT: undefined, ANONYMOUS_PUBLISH_LIMIT: { tokens: 20, milliseconds: 1000, burst: 200 }, STREAMS_LIMIT: 0, ANONYMOUS_STREAMS_LIMIT: 1000, FAILED_LOGINS_LIMIT: { tokens: 30, milliseconds: 60_000, burst: 100 },
    TOPICS_LIMIT: 100_000, IDEMPOTENCY_KEYS_LIMIT: 4_000_000, APPEND_QUEUE_MESSAGES: 10_000, APPEND_QUEUE_BYTES: 64 * 1024 ** 2, REQUEST_BYTES: 128 * 1024 ** 2, ANSWER_BYTES: 128 * 1024 ** 2, FILTER_BYTES: 128 * 1024 ** 2, UNREAD_BYTES: 128 * 1024 ** 2, RETENTION_SECONDS: 7 * 86_400, RETENTION_BYTES: 1024 ** 3, TOPIC_RETENTION_SHARE: 0, CREDENTIAL_RETENTION_SHARE: 0,
    IDEMPOTENCY_SECONDS: 86_400, IDEMPOTENCY_MAX_KEYS: 4_000_000, HEARTBEAT_SECONDS: 25, STALL_SECONDS: 120, DRAIN_SECONDS: 20, RETRY_MIN_MS: 1000, RETRY_MAX_MS: 4000, REBALANCE: 'on', REBALANCE_AGE_SECONDS: 30, POLL_MS: 1000, PRESENCE_TTL_SECONDS: 30, PRESENCE_GRACE_SECONDS: 5, WEBHOOK_TIMEOUT_SECONDS: 15, WEBHOOK_RETRY_MIN_MS: 5000, WEBHOOK_RETRY_SECONDS: 259_200, PAGE: 'on', HTTP_FAST_PATH: 'on', LOG_LEVEL: 'info',
  });
  t.ok(config.IDEMPOTENCY_KEYS_LIMIT <= config.IDEMPOTENCY_MAX_KEYS, 'one sender does not go on faster than keys are remembered');
  t.same(Object.keys(config).sort(), Object.keys(SETTINGS).sort());
  t.end();
});

t.test('the value cannot be changed afterwards', (t) => {
  t.throws(() => Object.assign(read({}), { PORT: 1 }), TypeError);
  t.end();
});

t.test('an empty variable counts as unset', (t) => {
  t.same(read({ PORT: '', HOST: ' ', REDIS_URL: '', CORS_ORIGINS: '' }), read({}));
  t.end();
});

t.test('the defaults of the table are within its bounds', (t) => {
  for (const [name, setting] of Object.entries(SETTINGS)) {
    t.doesNotThrow(() => setting.read(setting.default), name);
    t.not(setting.meaning, '', name);
  }
  t.end();
});

t.test('webhooks: bad hosts, ranges and times', (t) => {
  for (const WEBHOOK_ALLOW of ['10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/8/8', '10.0.0/8', '10.0.0', '300.1.1.1', 'fd00::/129', 'fe80::1%eth0', 'https://hooks.internal', 'hooks.internal:8080', '*.internal', '*', 'a b', 'hooks.internal/24']) {
    t.match(lines({ WEBHOOK_ALLOW }), [/^WEBHOOK_ALLOW: ".*" is no host name, no address and no range/], WEBHOOK_ALLOW);
  }
  t.same(read({ WEBHOOK_ALLOW: ' Hooks.Internal, 10.0.0.0/8,::1 ,' }).WEBHOOK_ALLOW.hosts, new Set(['hooks.internal']));
  for (const text of ['0', '301', '1.5', '15s', 'off']) t.match(lines({ WEBHOOK_TIMEOUT_SECONDS: text }), [/^WEBHOOK_TIMEOUT_SECONDS: .*from 1 to 300/], text);
  for (const text of ['9', '3600001', '-5']) t.match(lines({ WEBHOOK_RETRY_MIN_MS: text }), [/^WEBHOOK_RETRY_MIN_MS: .*from 10 to 3600000/], text);
  for (const text of ['0', '2592001', '3d']) t.match(lines({ WEBHOOK_RETRY_SECONDS: text }), [/^WEBHOOK_RETRY_SECONDS: .*from 1 to 2592000/], text);
  t.end();
});

t.test('the times of presence are whole seconds within their bounds', (t) => {
  for (const text of ['1', '3601', '-1', '2.5', '30s', 'off']) t.match(lines({ PRESENCE_TTL_SECONDS: text }), [/^PRESENCE_TTL_SECONDS: .*from 2 to 3600/], text);
  for (const text of ['3601', '-1', '0.5', '5s', 'off']) t.match(lines({ PRESENCE_GRACE_SECONDS: text }), [/^PRESENCE_GRACE_SECONDS: .*from 0 to 3600/], text);
  t.match(read({ PRESENCE_TTL_SECONDS: '2', PRESENCE_GRACE_SECONDS: '0' }), { PRESENCE_TTL_SECONDS: 2, PRESENCE_GRACE_SECONDS: 0 });
  t.end();
});

t.test('workers are a number, or as many as there are cores', (t) => {
  for (const text of ['0', '65', '-1', '1.5', 'all', 'AUTO', '4x']) t.match(lines({ WORKERS: text }), [/^WORKERS: ".*" is not allowed; it must be auto, or a whole number from 1 to 64$/], text);
  t.equal(read({ WORKERS: '64' }).WORKERS, 64);
  t.equal(read({ WORKERS: 'auto' }).WORKERS, Math.min(64, availableParallelism()));
  t.end();
});

t.test('sizes are written in bytes or with a unit', (t) => {
  for (const [text, bytes] of [['65536', 65_536], ['64KiB', 65_536], ['64kib', 65_536], ['1 MiB', 1024 ** 2], ['2GiB', 2 * 1024 ** 3], ['2048B', 2048]] as const) {
    t.equal(read({ TAIL_BYTES: text }).TAIL_BYTES, bytes, text);
  }
  for (const text of ['64KB', '1.5MiB', '-1', '1e6', '0x10', 'MiB', '64 Ki B', '99999999GiB']) t.equal(lines({ TAIL_BYTES: text }).length, 1, text);
  t.end();
});

t.test('each wrong value gets a line of its own, all at once', (t) => {
  t.same(lines({ PORT: 'x', MESSAGE_BYTES: '12 apples', LOG_LEVEL: 'loud', AUTH: 'yes', EVENT_BYTES: '0' }), [
    'PORT: "x" is not allowed; it must be a whole number from 0 to 65535',
    'AUTH: "yes" is not allowed; it must be unset or on or off',
    'MESSAGE_BYTES: "12 apples" is not allowed; it must be from 1 to 16777216 bytes, also written as 64KiB, 64MiB or 1GiB',
    'EVENT_BYTES: "0" is not allowed; it must be a whole number from 1 to 1024',
    'LOG_LEVEL: "loud" is not allowed; it must be fatal or error or warn or info or debug or trace or silent',
  ]);
  t.end();
});

t.test('a session lasts from a minute to the longest time that browsers keep a cookie', (t) => {
  for (const IDEMPOTENCY_MAX_KEYS of ['-1', '1.5', '1e6', '1000000001', 'off', '4 000 000']) {
    t.match(lines({ IDEMPOTENCY_MAX_KEYS }), [/^IDEMPOTENCY_MAX_KEYS: ".*" is not allowed; it must be a whole number from 0 to 1000000000$/], IDEMPOTENCY_MAX_KEYS);
  }
  for (const SESSION_SECONDS of ['0', '59', String(400 * 86_400 + 1), '1d', '-1']) t.match(lines({ SESSION_SECONDS }), [/^SESSION_SECONDS: ".*" is not allowed; it must be a whole number from 60 to 34560000$/], SESSION_SECONDS);
  for (const AUTH_COOKIE of ['a b', 'a=b', 'a;b', 'ä']) t.match(lines({ AUTH_COOKIE }), [/^AUTH_COOKIE: /], AUTH_COOKIE);
  t.end();
});

t.test('shares are evened out, or not, and the age of streams for that is a whole number of seconds', (t) => {
  for (const PAGE of ['true', 'ON', '1', '/page']) t.match(lines({ PAGE }), [/^PAGE: ".*" is not allowed; it must be on or off$/], PAGE);
  for (const REBALANCE of ['true', 'ON', '1', 'slowly']) t.match(lines({ REBALANCE }), [/^REBALANCE: ".*" is not allowed; it must be on or off$/], REBALANCE);
  for (const REBALANCE_AGE_SECONDS of ['0', '-1', '1.5', '86401', '30s', 'off']) t.match(lines({ REBALANCE_AGE_SECONDS }), [/^REBALANCE_AGE_SECONDS: ".*" is not allowed; it must be a whole number from 1 to 86400$/], REBALANCE_AGE_SECONDS);
  t.end();
});

t.test('a limit is a whole number; off and 0 mean no limit', (t) => {
  t.equal(read({}).STREAMS_LIMIT, 0);
  for (const [text, streams] of [['off', 0], ['0', 0], ['1', 1], ['1000000', 1_000_000]] as const) t.equal(read({ STREAMS_LIMIT: text }).STREAMS_LIMIT, streams, text);
  for (const text of ['-1', '1.5', '1000001', 'OFF', 'none', '5/s']) t.same(lines({ STREAMS_LIMIT: text }), [`STREAMS_LIMIT: "${text}" is not allowed; it must be off, or a whole number from 0 to 1000000`]);
  t.end();
});

t.test('a rate is a number for a time, with a burst or without; off means no limit', (t) => {
  for (const [text, tokens, milliseconds, burst] of [['100/s', 100, 1000, 100], ['30/m burst 100', 30, 60_000, 100], ['1 / h', 1, 3_600_000, 1], ['5000/d burst 9', 5000, 86_400_000, 9]] as const) {
    t.same(read({ PUBLISH_LIMIT: text }).PUBLISH_LIMIT, { tokens, milliseconds, burst }, text);
  }
  t.equal(read({ ANONYMOUS_PUBLISH_LIMIT: 'off', PUBLISH_LIMIT: 'off' }).ANONYMOUS_PUBLISH_LIMIT, undefined);
  for (const text of ['100', '100/', '/s', '0/s', '-1/s', '1.5/s', '100/sec', '100/s burst', '100/s burst 0', '100/s burst 1e3', '100/s, burst 5', '100/S', 'none', '99999999/s', '100/s off']) {
    t.same(lines({ PUBLISH_LIMIT: text }), [`PUBLISH_LIMIT: ${JSON.stringify(text)} is not allowed; it must be off, or a rate such as 100/s, 30/m or 1000/d, with "burst 500" after it if more may come at once`]);
  }
  t.end();
});

t.test('whole numbers are nothing else', (t) => {
  for (const text of ['-1', '1.5', '1e3', '0x1F', '65536', '９', '1 000', 'NaN']) t.equal(lines({ PORT: text }).length, 1, text);
  t.equal(read({ PORT: ' 0 ' }).PORT, 0);
  t.end();
});

t.test('a port for operations is another one, and its host needs it', (t) => {
  const refused: readonly (readonly [Record<string, string>, RegExp])[] = [
    ...['-1', '1.5', '1e3', '0x1F', '65536', '9090 9091', ':9090', 'on'].map((OPS_PORT) => [{ OPS_PORT }, /^OPS_PORT: ".*" is not allowed; it must be a whole number from 0 to 65535$/] as const),
    [{ OPS_PORT: '8080' }, /^OPS_PORT: 8080 is PORT, too; set another one$/],
    [{ OPS_PORT: '9090', PORT: '9090' }, /^OPS_PORT: 9090 is PORT, too/],
    [{ OPS_PORT: '9090', OPS_HOST: 'a b' }, /^OPS_HOST: "a b" is not allowed/],
    [{ OPS_HOST: '0.0.0.0' }, /^OPS_HOST: nothing listens on 0\.0\.0\.0; set OPS_PORT as well$/],
  ];
  for (const [environment, line] of refused) t.match(lines(environment), [line], JSON.stringify(environment));
  t.match(read({ OPS_PORT: ' 9090 ', OPS_HOST: '::' }), { OPS_PORT: 9090, OPS_HOST: '::' });
  t.match(read({ OPS_PORT: '0', PORT: '0' }), { OPS_PORT: 0 });
  t.end();
});

t.test('a host is an address or a name', (t) => {
  for (const HOST of ['0.0.0.0', '::', '192.168.1.5', 'example.com', '127.0.0.1.example.com', '::ffff:10.0.0.1', '0', '10.1']) {
    t.equal(read({ HOST }).HOST, HOST);
  }
  for (const HOST of ['127.0.0.1', '127.9.9.9', '::1', 'localhost', '127.1', '::ffff:127.0.0.1']) t.equal(read({ HOST }).HOST, HOST);
  for (const HOST of ['a b', 'http://x', '-x', 'x:80', '[::1]']) t.match(lines({ HOST, AUTH: 'off' }), [/^HOST: /], HOST);
  t.end();
});

t.test('a HOST that a build tool has set is explained', (t) => {
  for (const HOST of ['x86_64-conda-linux-gnu', 'x86_64-conda_cos6-linux-gnu', 'aarch64-conda-linux-gnu', 'arm64-apple-darwin20.0.0', 'x86_64-pc-linux-gnu', 'x86_64-w64-mingw32']) {
    t.match(lines({ HOST, AUTH: 'off' }), [/^HOST: ".*" is no address but a kind of machine, set by conda .*; unset HOST/], HOST);
  }
  t.end();
});

t.test('a URL is checked, and no line repeats its password', (t) => {
  const secret = 'hunter2';
  const refused = [
    ...[`postgres://u:${secret}@a,b/d`, `postgres://u:${secret}#@h/d`, `postgres:u:${secret}@h/d`, `mysql://u:${secret}@h/d`].flatMap((DATABASE_URL) => lines({ DATABASE_URL })),
    ...lines({ REDIS_URL: `http://u:${secret}@h` }),
    ...lines({ REDIS_URL: `redis://u:${secret}@h/name` }),
    ...lines({ REDIS_URL: `redis+sentinel://u:${secret}@h1,h2` }),
  ];
  t.equal(refused.length, 7);
  t.notOk(refused.some((line) => line.includes(secret)));
  t.match(refused[0], /^DATABASE_URL: it names several hosts/);
  t.match(refused[6], /^REDIS_URL: after the sentinels the name of their master is missing/);
  for (const url of ['redis://h', 'redis://h:6379/3', `rediss://:${secret}@h:6380`, 'redis://[::1]:6379', `redis+sentinel://u:${secret}@h1,h2/name`, 'redis+cluster://h1,h2']) t.equal(read({ REDIS_URL: url }).REDIS_URL, url);
  t.end();
});

t.test('a bus is NATS, Kafka or Redis, and one setting names it', (t) => {
  const secret = 'hunter2';
  for (const url of ['nats://h', `tls://u:${secret}@h:4223,[::1]`, `nats://${secret}@h`]) t.equal(read({ BUS_URL: url }).BUS_URL, url);
  t.match(read({ BUS_URL: 'rediss://h:6380' }), { BUS_URL: undefined, REDIS_URL: 'rediss://h:6380' }, 'a URL of Redis means the same in both');
  t.same(lines({ BUS_URL: `nats://u:${secret}@h/x` }), [`BUS_URL: that is no URL of NATS; it must be nats:// or tls:// (for TLS) and hosts, and ${PERCENT_ENCODING_HINT}`]);
  t.match(lines({ BUS_URL: `nats://u:${secret}@h:0` }), [/^BUS_URL: its host is not a name or an address/]);
  t.match(lines({ BUS_URL: `redis://u:${secret}@h/name` }), [/^BUS_URL: what follows the host/]);
  for (const url of ['kafka://h', `kafka+ssl://u:${secret}@h:9093,[::1]?sasl=scram-sha-256`]) t.equal(read({ BUS_URL: url }).BUS_URL, url);
  t.same(lines({ BUS_URL: `kafka://u:${secret}@h/x` }), [`BUS_URL: that is no URL of Kafka; it must be kafka:// or kafka+ssl:// (for TLS) and hosts, and ${PERCENT_ENCODING_HINT}`]);
  t.match(lines({ BUS_URL: `kafka://u:${secret}@h:0` }), [/^BUS_URL: its host is not a name or an address/]);
  t.match(lines({ BUS_URL: `kafka://u:${secret}@h?sasl=gssapi` }), [/^BUS_URL: its only parameter is sasl, which is plain or/]);
  t.match(lines({ BUS_URL: `kafka://${secret}@h` }), [/^BUS_URL: before the first host stands user:password@/]);
  t.match(lines({ BUS_URL: 'kafka://h?sasl=plain' }), [/^BUS_URL: sasl= takes a user and a password/]);
  t.same(lines({ BUS_URL: `amqp://u:${secret}@h` }), ['BUS_URL: it must begin with nats:// or tls:// (NATS), kafka:// or kafka+ssl://, or redis://']);
  t.same(lines({ BUS_URL: 'nats://h', REDIS_URL: 'redis://h' }), ['BUS_URL: REDIS_URL is set, too; set only one of the two']);
  t.end();
});

t.test('a URL whose password was not encoded is refused with a hint, before any part of it is taken for a host', (t) => {
  for (const password of ['p@ss/hunter2', '12/hunter2', '12?hunter2', '12#hunter2', 'ss/hunter2@x', '12/h@hunter2', 'p%zzhunter2', '100%', '12?a=b&c']) {
    for (const rest of ['h/d', 'h:5432/d?sslmode=require', '127.0.0.1/d']) {
      const [line = '', ...others] = lines({ DATABASE_URL: `postgres://u:${password}@${rest}` });
      t.match(line, /^DATABASE_URL: .*percent-encoded: @ is %40, \/ is %2F/, password);
      t.notMatch(line, /hunter2|p@ss|12/);
      t.equal(others.length, 0);
    }
  }
  for (const password of ['p@ss/hunter2', '12/hunter2', '12?hunter2', '12#hunter2', '12?a=b&c', 'p%zzhunter2']) {
    for (const REDIS_URL of [`redis://u:${password}@h`, `rediss://u:${password}@h:6380/0`, `redis+cluster://u:${password}@h1,h2`, `redis+sentinel://u:${password}@h1/name`]) {
      const [line = ''] = lines({ REDIS_URL });
      t.match(line, /^REDIS_URL: /, REDIS_URL);
      t.notMatch(line, /hunter2|p@ss|12/);
    }
  }
  t.match(lines({ REDIS_URL: 'redis://u:12?hunter2@h' }), [/an @ after its host; .*percent-encoded/]);
  // What works without encoding, or is encoded, goes on working.
  for (const DATABASE_URL of ['postgres://u:p@ss@h/d', 'postgres://u:p%40ss%2Fword@h/d', 'postgres://u:p:w@h/d', 'postgres://u:p@/d?host=/run/pg', 'postgres://u%40srv:p@h/d?application_name=a%40b']) t.same(lines({ DATABASE_URL }), [], DATABASE_URL);
  for (const REDIS_URL of ['redis://u:p@ss@h', 'redis://:p%40ss%2Fword@h/1', 'redis+sentinel://h/m?sentinelPassword=p@ss']) t.same(lines({ REDIS_URL }), [], REDIS_URL);
  t.end();
});

t.test('a database is a file, or PostgreSQL', (t) => {
  for (const [url, file] of [['file:data/x.db', 'data/x.db'], ['file:/srv/x.db', '/srv/x.db'], ['file:///srv/a%20b.db', '/srv/a b.db'], ['FILE:x', 'x']] as const) {
    t.same(read({ DATABASE_URL: url }).DATABASE_URL, { kind: 'sqlite', file }, url);
  }
  for (const url of ['data/x.db', 'file:', 'file:data/', 'file:x.db?mode=ro', 'file::memory:', 'file://host/x.db', ':memory:']) t.match(lines({ DATABASE_URL: url }), [/^DATABASE_URL: /], url);
  for (const [url, shown] of [
    ['postgres://u:hunter2@db.internal:5433/log?sslmode=verify-full', 'db.internal:5433/log'], ['postgresql://u@h/d', 'h/d'], ['postgres://[::1]/d', '[::1]/d'],
    ['postgres://%2Frun%2Fpg/d', '/run/pg/d'], ['postgres://u:hunter2@/d?host=/run/pg', '/run/pg/d'], ['postgres:///d', 'localhost/d'],
  ] as const) t.same(read({ DATABASE_URL: url }).DATABASE_URL, { kind: 'postgres', url, shown: `PostgreSQL at ${shown}` }, url);
  t.end();
});

t.test('origins are origins', (t) => {
  t.equal(read({ CORS_ORIGINS: '*' }).CORS_ORIGINS, '*');
  t.same(read({ CORS_ORIGINS: 'https://a.example, http://localhost:3000,' }).CORS_ORIGINS, ['https://a.example', 'http://localhost:3000']);
  for (const CORS_ORIGINS of ['https://a.example/', 'https://a.example/x', 'a.example', 'https://*.example', 'null', '*,https://a.example', 'https://A.example', 'https://a.example:443', 'ftp://a.example']) {
    t.match(lines({ CORS_ORIGINS }), [/^CORS_ORIGINS: "/], CORS_ORIGINS);
  }
  t.same(read({ CORS_ORIGINS: 'capacitor://localhost,tauri://localhost,chrome-extension://abcdefghij,app://my.app' }).CORS_ORIGINS, ['capacitor://localhost', 'tauri://localhost', 'chrome-extension://abcdefghij', 'app://my.app']);
  for (const CORS_ORIGINS of ['capacitor://', 'capacitor://localhost/', 'chrome-extension://*', 'wss://a.example', 'file://a', 'localhost:3000', 'Capacitor://localhost']) t.match(lines({ CORS_ORIGINS }), [/^CORS_ORIGINS: "/], CORS_ORIGINS);
  t.match(lines({ CORS_ORIGINS: 'https://a.example/x' }), [/\(https:\/\/a\.example is\)/]);
  t.end();
});

t.test('allowed hosts are names', (t) => {
  t.equal(read({ ALLOWED_HOSTS: '*' }).ALLOWED_HOSTS, '*');
  t.same(read({ ALLOWED_HOSTS: 'Tidings.Example.com, *.example.org,tidings-1,10.0.0.1,[2001:db8::1],xn--tdings-iwa.example,' }).ALLOWED_HOSTS, ['tidings.example.com', '*.example.org', 'tidings-1', '10.0.0.1', '[2001:db8::1]', 'xn--tdings-iwa.example']);
  for (const [ALLOWED_HOSTS, meant] of [
    ['https://tidings.example', 'tidings.example'], ['tidings.example:8443', 'tidings.example'], ['tidings.example/', 'tidings.example'], ['t\u00efdings.example', 'xn--tdings-iwa.example'],
    ['a b', undefined], ['*.*', undefined], ['a.*.b', undefined], ['.a', undefined],
  ] as const) t.match(lines({ ALLOWED_HOSTS }), [new RegExp(`^ALLOWED_HOSTS: ".*" is not a host name${meant === undefined ? ';' : ` \\(${meant.replaceAll('.', '\\.')} is\\)`}`)], ALLOWED_HOSTS);
  t.end();
});

t.test('a secret of tokens is long, private, and no public key', (t) => {
  const secret = 'x'.repeat(32);
  t.same((read({ JWT_SECRET: secret }).JWT_SECRET as KeyObject).export(), Buffer.from(secret));
  t.same((read({ JWT_SECRET: 'é'.repeat(16) }).JWT_SECRET as KeyObject).export().length, 32);
  t.notMatch(JSON.stringify(read({ JWT_SECRET: secret })), /xxx/, 'not even the settings as a whole show it');
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  for (const [JWT_SECRET, why] of [
    ['hunter2hunter2hunter2hunter2hunt', /^$/], ['x'.repeat(31), /shorter than 32 bytes/], ['!ChangeThisMercureHubJWTSecretKey!', /the example of a well-known document/],
    [publicKey.export({ type: 'spki', format: 'pem' }) as string, /not a secret; a public key belongs in JWT_PUBLIC_KEY/], [JSON.stringify(publicKey.export({ format: 'jwk' })), /not a secret/],
    [publicKey.export({ type: 'spki', format: 'der' }).toString('base64'), /not a secret/], [privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, /not a secret/],
  ] as const) {
    const [line = '', ...others] = lines({ JWT_SECRET });
    t.match(line.replace(/^JWT_SECRET: /, ''), why);
    if (line !== '') t.notOk(line.includes(JWT_SECRET.slice(0, 20)), 'the line does not show it');
    t.equal(others.length, 0);
  }
  t.end();
});

t.test('a public key of tokens has a kind that is supported, in any common spelling', (t) => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ed = generateKeyPairSync('ed25519');
  const file = join(tempFolder(t), 'key.pem');
  const pem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }) as string;
  for (const [{ publicKey }, algorithms] of [[rsa, ['RS256']], [ec, ['ES256']], [ed, ['EdDSA', 'Ed25519']]] as const) {
    writeFileSync(file, pem(publicKey));
    const jwk = publicKey.export({ format: 'jwk' });
    for (const JWT_PUBLIC_KEY of [
      pem(publicKey), pem(publicKey).replaceAll('\n', '\\n'), pem(publicKey).replaceAll('\n', '\r\n'), publicKey.export({ type: 'spki', format: 'der' }).toString('base64'), `file:${file}`,
      JSON.stringify(jwk), JSON.stringify({ ...jwk, kid: 'x', use: 'sig', alg: algorithms[0], key_ops: ['verify'], x5t: 'x' }),
    ]) {
      const value = read({ JWT_PUBLIC_KEY }).JWT_PUBLIC_KEY!;
      t.ok(value.key.equals(publicKey), JWT_PUBLIC_KEY.slice(0, 30));
      t.same(value.algorithms, algorithms);
    }
  }
  t.ok(read({ JWT_PUBLIC_KEY: rsa.publicKey.export({ type: 'pkcs1', format: 'pem' }) as string }).JWT_PUBLIC_KEY!.key.equals(rsa.publicKey));
  const jwk = ec.publicKey.export({ format: 'jwk' });
  for (const [JWT_PUBLIC_KEY, why] of [
    ['hunter2', /is not a public key; it must be PEM/], ['file:/nowhere/key.pem', /cannot be read \(ENOENT\)/], ['-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----', /is not a public key/],
    [pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey), /fewer than 2048 bits/], [pem(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey), /another kind/],
    [pem(generateKeyPairSync('ed448').publicKey), /another kind/], [pem(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey), /another kind/],
    [ec.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, /a private key/], [ec.privateKey.export({ type: 'sec1', format: 'pem' }) as string, /a private key/], [JSON.stringify(ec.privateKey.export({ format: 'jwk' })), /a private key/],
    ['{"kty":"oct","k":"aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnRlcjI"}', /it is a secret/], ['{"kty":', /is not JSON/], ['{"kty":"EC"}', /not a public key that is supported/], [JSON.stringify({ keys: [jwk] }), /it is a set of keys/],
    [JSON.stringify({ ...jwk, use: 'enc' }), /not for signatures/], [JSON.stringify({ ...jwk, key_ops: ['sign'] }), /not for the verification/], [JSON.stringify({ ...jwk, alg: 'ES384' }), /another algorithm/], [JSON.stringify({ ...jwk, x: jwk.y }), /not a public key that is supported/],
  ] as const) {
    const [line = '', ...others] = lines({ JWT_PUBLIC_KEY });
    t.match(line, /^JWT_PUBLIC_KEY: /);
    t.match(line, why);
    t.notMatch(line, /hunter2|-----BEGIN [A-Z ]*-----\n/);
    t.equal(others.length, 0);
  }
  t.end();
});

t.test('a key set has a URL that nobody on the way can change', (t) => {
  for (const url of ['https://issuer.example/.well-known/jwks.json', 'https://issuer.example:8443/jwks?key=1', 'http://localhost:3000/jwks', 'http://127.0.0.1/', 'http://[::1]:3000/jwks']) t.equal(read({ JWT_JWKS_URL: url, JWT_ISSUER: 'x' }).JWT_JWKS_URL, url);
  for (const url of ['http://issuer.example/jwks', 'http://10.0.0.1/jwks', 'http://localhost.example.com/', 'ftp://localhost/', 'file:///etc/jwks.json', 'issuer.example/jwks', 'https://', 'https://u:hunter2@issuer.example/', 'data:application/json,{}']) {
    const [line = '', ...others] = lines({ JWT_JWKS_URL: url, JWT_ISSUER: 'x' });
    t.match(line, /^JWT_JWKS_URL: /, url);
    t.notMatch(line, /hunter2/);
    t.equal(others.length, 0);
  }
  t.end();
});

t.test('tokens have one source of keys, and their other settings need one', (t) => {
  const JWT_SECRET = 'x'.repeat(32);
  const JWT_PUBLIC_KEY = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }) as string;
  const JWT_JWKS_URL = 'https://issuer.example/jwks';
  t.match(lines({ JWT_SECRET, JWT_PUBLIC_KEY }), [/^JWT_SECRET: it is set together with JWT_PUBLIC_KEY; set one of them/]);
  t.match(lines({ JWT_SECRET, JWT_PUBLIC_KEY, JWT_JWKS_URL, JWT_ISSUER: 'x' }), [/^JWT_SECRET: it is set together with JWT_PUBLIC_KEY and JWT_JWKS_URL;/]);
  t.match(lines({ JWT_ISSUER: 'x', JWT_AUDIENCE: 'y' }), [/^JWT_ISSUER: nothing checks tokens/, /^JWT_AUDIENCE: nothing checks tokens/]);
  t.match(lines({ JWT_JWKS_URL }), [/^JWT_JWKS_URL: others may have tokens signed with the same keys; set JWT_ISSUER or JWT_AUDIENCE as well/]);
  t.match(lines({ JWT_SECRET: 'short', JWT_ISSUER: 'x' }), [/^JWT_SECRET: it is shorter/], 'the wrong one is told, and not that it is missing');
  t.same(lines({ JWT_JWKS_URL, JWT_AUDIENCE: 'x' }), []);
  t.same(lines({ JWT_SECRET, JWT_ISSUER: 'x', JWT_AUDIENCE: 'y' }), []);
  t.same(lines({ JWT_PUBLIC_KEY }), []);
  t.end();
});

t.test('settings that contradict each other are refused', (t) => {
  t.match(lines({ RETRY_MIN_MS: '5000' }), [/^RETRY_MIN_MS: 5000 is more than RETRY_MAX_MS, which is 4000/]);
  t.match(lines({ BATCH_MESSAGES: '100', APPEND_QUEUE_MESSAGES: '99' }), [/^BATCH_MESSAGES: /]);
  for (const name of ['TOPIC_RETENTION_SHARE', 'CREDENTIAL_RETENTION_SHARE']) {
    for (const text of ['101', '-1', '0.5', '10%', 'half']) t.match(lines({ [name]: text }), [new RegExp(`^${name}: "${text}" is not allowed; it must be off, or a whole number from 0 to 100$`)]);
    t.match(lines({ [name]: '10', RETENTION_BYTES: '0' }), [new RegExp(`^${name}: RETENTION_BYTES is 0`)]);
    t.match(lines({ [name]: '10', RETENTION_BYTES: '10MiB' }), [new RegExp(`^${name}: 10 percent of RETENTION_BYTES, which is 10485760, has no room for a message of MESSAGE_BYTES`)]);
    t.same(lines({ [name]: '10', RETENTION_BYTES: '11MiB' }), []);
  }
  t.match(lines({ APPEND_QUEUE_BYTES: '1MiB' }), [/^BATCH_BYTES: /]);
  t.match(lines({ REQUEST_BYTES: '1MiB' }), [/^BATCH_BYTES: /]);
  t.match(lines({ MESSAGE_BYTES: '2MiB', BATCH_BYTES: '1MiB' }), [/^MESSAGE_BYTES: /]);
  t.same(lines({ RETRY_MIN_MS: '2', RETRY_MAX_MS: '2' }), []);
  t.end();
});

t.test('the file .env is read, and the environment wins', (t) => {
  const dotenv = join(tempFolder(t), '.env');
  t.equal(readConfig({ PORT: '1' }, { dotenv }).PORT, 1, 'there need be no file');
  writeFileSync(dotenv, '# comment\nPORT=9000\nLOG_LEVEL="debug"\nUNKNOWN=1\n');
  t.match(readConfig({ PORT: '9001' }, { dotenv }), { PORT: 9001, LOG_LEVEL: 'debug' });
  t.equal(readConfig({}, { dotenv }).PORT, 9000);
  writeFileSync(dotenv, 'PORT=many\n');
  t.match(lines({}, dotenv), [/^PORT: "many"/]);
  t.end();
});

t.test('variables whose names are nearly settings are reported, those of the file too, and settings keep their values', (t) => {
  const dotenv = join(tempFolder(t), '.env');
  writeFileSync(dotenv, 'CORS_ORIGIN=https://secret.example\nPORT=9000\n');
  const said: string[] = [];
  const config = readConfig({ REDISURL: 'redis://:hunter2@h', '\ufeffHOST': 'x', PATH: '/bin' }, { dotenv, warn: (line) => said.push(line) });
  t.match(config, { PORT: 9000, REDIS_URL: undefined, CORS_ORIGINS: [] });
  t.strictSame(said, [
    'CORS_ORIGIN: no setting has this name, so it has no effect; did you mean CORS_ORIGINS?',
    'REDISURL: no setting has this name, so it has no effect; did you mean REDIS_URL?',
    '\\ufeffHOST: no setting has this name, so it has no effect; did you mean HOST?',
  ]);
  t.end();
});

t.test('a line of .env that means nothing refuses the settings', (t) => {
  const dotenv = join(tempFolder(t), '.env');
  writeFileSync(dotenv, 'PORT=9000\nAUTH: off\n');
  t.same(lines({}, dotenv), [`${dotenv}: line 2 is not NAME=value`]);
  t.end();
});

t.test('a .env that cannot be read refuses the settings', (t) => {
  const dotenv = join(tempFolder(t), '.env');
  mkdirSync(dotenv);
  t.match(lines({}, dotenv), [/\.env: it cannot be read/]);
  t.end();
});

t.test('the environment itself is left as it was', (t) => {
  const environment = { PORT: '1', OTHER: 'x' };
  read(environment);
  t.same(environment, { PORT: '1', OTHER: 'x' });
  t.end();
});

t.test('trusted proxies are addresses, ranges and names', (t) => {
  t.equal(read({}).TRUST_PROXY, undefined);
  t.equal(read({ TRUST_PROXY: ' , ' }).TRUST_PROXY, undefined);
  const trusted = read({ TRUST_PROXY: 'loopback, 10.0.0.0/8,192.0.2.7,fd00::/8' }).TRUST_PROXY!;
  for (const address of ['127.0.0.1', '10.255.0.1', '192.0.2.7']) t.ok(trusted.check(address), address);
  for (const address of ['::1', 'fd12::1']) t.ok(trusted.check(address, 'ipv6'), address);
  for (const address of ['11.0.0.1', '192.0.2.8', '0.0.0.0']) t.notOk(trusted.check(address), address);
  for (const TRUST_PROXY of ['yes', 'true', '1', '*', '10.0.0.0/33', '10.0.0.0/0', '::/0', '10.0.0.0/-1', '10.0.0.0/8/8', '10.0.0.0/', '10.0.0/8', 'fd00::/129', 'proxy.example', '127.0.0.1:80', 'loopback/8', 'constructor', '__proto__', 'toString']) {
    t.match(lines({ TRUST_PROXY }), [/^TRUST_PROXY: ".*" is no address and no range/], TRUST_PROXY);
  }
  t.end();
});
