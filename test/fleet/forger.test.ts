import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { EnvelopeKeys } from '../../src/bus/envelope-keys.ts';
import { carriedOf, encode, SENDER_BYTES } from '../../src/bus/envelope.ts';
import { Message } from '../../src/model/message.ts';
import { check, summarise } from '../support/checker.ts';
import { Publishers, readHistory } from '../support/fleet-publishers.ts';
import { Random } from '../support/fleet-random.ts';
import { RoamingStream } from '../support/fleet-stream.ts';
import { Http, seqOf } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { allSay } from '../support/readiness.ts';
import { redisClient } from '../support/redis-client.ts';
import { startRedis } from '../support/redis.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** Nothing but the bus makes an instance look at the log within this test. Milliseconds. */
const NO_POLL = '60000';

interface Forgery {
  readonly topic?: string;
  readonly event?: string;
  readonly json?: boolean;
  readonly text?: string;
}

/** What a forger says in place of the next message. */
const FORGERIES: readonly Forgery[] = [
  {}, { event: '$gap', json: true, text: '{"reason":"expired"}' }, { event: '$busy' }, { topic: '$clients' }, { topic: 'news.*' },
  { json: true, text: '{"a":' }, { json: true, text: '1},{"id":"abcdefgh-1"' }, { topic: 'a..b' },
];

const file = join(tempFolder(t), 'log.db');
const redis = await startRedis(t);
const shared = { DATABASE_URL: `file:${file}`, POLL_MS: NO_POLL, RETRY_MIN_MS: '20', RETRY_MAX_MS: '200', LOG_LEVEL: 'trace' };
const [one, two, alone] = await Promise.all([redis.url, redis.url, ''].map((url) => startInstance(t, { ...shared, REDIS_URL: url }))) as [Instance, Instance, Instance];
await allSay(t, 'ready', [one, two]);

const stranger = redisClient(t, redis);
/** The one for messages; beside it is one for notes, in no order. */
const channel = ((await stranger.pubsub('CHANNELS')) as string[]).find((name) => !name.includes(':notes'))!;
const db = new Database(file, { readonly: true });
t.teardown(() => db.close());
/** The epochs of the log, of which each start began one, and their secrets. */
const epochs = db.prepare('SELECT epoch, first, secret FROM epochs ORDER BY id').all() as { readonly epoch: string; readonly first: number; readonly secret: string }[];
const head = (): { readonly epoch: string; readonly seq: number } => db.prepare('SELECT e.epoch, h.seq FROM head h JOIN epochs e ON e.id = h.epoch').get() as { readonly epoch: string; readonly seq: number };

const publishers = new Publishers(t, [one.url], new Random(1));
const streams = [one, two].flatMap(({ url }) => ['>', 'news.today'].map((wants) => new RoamingStream(t, { name: `${wants} of ${url}`, wants: [wants], urls: [url] })));
for (const stream of streams) await stream.when(() => stream.isOpen);

function forged(epoch: string, seq: number, { topic = 'news.today', event, json = false, text = 'forged' }: Forgery): Message {
  return new Message(epoch, seq, Date.now(), 0, { topic, event, json, data: Buffer.from(text) });
}

/** An envelope of version 2 with a secret of the forger's choice. */
function sealed(message: Message, secret: string): Buffer {
  return encode(randomBytes(SENDER_BYTES), carriedOf([message], new EnvelopeKeys(() => secret)));
}

/** An envelope of version 1, as a program writes it that knows no proofs. */
function unproved({ epoch, seq, time, expires, topic, event = '', json, data }: Message): Buffer {
  const numbers = Buffer.alloc(34);
  numbers.writeUInt8((json ? 1 : 0) | (event === '' ? 0 : 2) | 4);
  [seq, time, expires].forEach((number, index) => numbers.writeDoubleBE(number, 1 + index * 8));
  const lengths = Buffer.alloc(10);
  lengths.writeUInt16BE(Buffer.byteLength(topic));
  lengths.writeUInt32BE(Buffer.byteLength(event), 2);
  lengths.writeUInt32BE(data.length, 6);
  return Buffer.concat([Buffer.of(1), randomBytes(SENDER_BYTES), Buffer.of(0, 0, 0, 1), numbers.subarray(0, 25), lengths, Buffer.of(epoch.length), Buffer.from(epoch + topic + event), data]);
}

/** Publishes, and waits until the tail of each instance has a message of that number, whichever it is. */
async function publish(): Promise<void> {
  const { answers } = await publishers.publish('news.today', `message ${publishers.notes.length}`);
  await Promise.all([one, two].map(({ url }) => until('the tail has it', async () => await new Http(t, url).metric('tail_last') >= seqOf(answers[0]!.id))));
}

/** What was wrong with all streams, once the newest message of the log has come to each. */
async function faults(): Promise<string[]> {
  const history = await readHistory(new Http(t, two.url));
  await Promise.all(streams.map((stream) => stream.when(() => stream.entries.at(-1)?.id === history.at(-1)!.id)));
  return summarise(check({ publications: publishers.notes, streams: streams.map(({ record }) => record), history }));
}

async function refused(): Promise<number> {
  const metrics = await new Http(t, two.url).metrics();
  return [...metrics].filter(([name]) => name.startsWith('tidings_bus_refused_total')).reduce((sum, [, count]) => sum + count, 0);
}

t.test('a stranger on Redis sends forgeries under the next number: every stream gets the real message and nothing else', async (t) => {
  await publish();
  const genuine = Promise.withResolvers<Buffer>();
  const listener = redisClient(t, redis);
  await listener.subscribe(channel);
  listener.on('messageBuffer', (_channel: Buffer, payload: Buffer) => genuine.resolve(payload));
  await publish();
  const real = await genuine.promise;
  await listener.unsubscribe();

  const newest = epochs.at(-1)!;
  const older = epochs.at(-2)!;
  t.ok(older.secret !== newest.secret && /^[0-9a-f]{64}$/.test(older.secret), 'each epoch has a secret of its own');
  t.equal(head().epoch, newest.epoch);
  const told = await refused();
  let lies = 0;
  for (const forgery of FORGERIES) {
    const next = head().seq + 1;
    const message = forged(newest.epoch, next, forgery);
    const renumbered = Buffer.from(real);
    renumbered.writeDoubleBE(next, real.length - 16 - 'message 1'.length - 'news.today'.length - 34);
    const flipped = Buffer.from(real);
    flipped[(lies * 7) % (real.length - 9) + 9]! ^= 1 << (lies & 7);
    const envelopes = [
      unproved(message), sealed(message, randomBytes(32).toString('hex')), sealed(message, older.secret), sealed(forged(older.epoch, next, forgery), older.secret),
      sealed(forged('nosuchepoch', next, forgery), randomBytes(32).toString('hex')), renumbered, flipped,
    ];
    for (const envelope of envelopes) t.equal(await stranger.publish(channel, envelope), 2, 'both instances hear it');
    lies += envelopes.length;
    // The same again is nothing new.
    await stranger.publish(channel, real);
    await publish();
  }
  await publish();

  t.same(await faults(), []);
  t.ok(await refused() >= told + lies, 'each lie was counted');
  t.same(streams.filter(({ connections }) => connections > 1).map(({ name }) => name), [], 'no stream was closed');
  t.same(streams.flatMap(({ entries }) => entries).filter(({ kind }) => kind === 'gap'), []);
});

t.test('an instance of a program without proofs is heard: its messages come at once, from the log', async (t) => {
  const stored = new Publishers(t, [alone.url], new Random(2));
  const { answers } = await stored.publish('news.today', 'stored by another program');
  publishers.notes.push(...stored.notes);
  const { epoch } = head();
  await stranger.publish(channel, unproved(forged(epoch, seqOf(answers[0]!.id), { text: 'not what was stored' })));
  t.same(await faults(), []);
});

t.test('a secret of the log is in the log only: no line, no answer, no metric and nothing on the bus has it', async (t) => {
  const heard: Buffer[] = [];
  const listener = redisClient(t, redis);
  await listener.subscribe(channel);
  listener.on('messageBuffer', (_channel: Buffer, payload: Buffer) => void heard.push(payload));
  await publish();
  const said: string[] = [];
  for (const instance of [one, two, alone]) {
    const http = new Http(t, instance.url);
    for (const path of ['/metrics', '/readyz', '/healthz', '/openapi.json', '/messages', `/messages/${epochs[0]!.epoch}-1`, `/topics/a/messages?after=${epochs[0]!.epoch}-7`, '/topics/a/messages?after=unknown99-7']) {
      said.push((await http.get(path)).body);
    }
    said.push(instance.output);
  }
  await until('it was on the bus', () => heard.length > 0);
  const all = Buffer.concat([Buffer.from(said.join('\n')), ...heard]);
  const secrets = (db.prepare('SELECT secret FROM epochs').all() as { readonly secret: string }[]).map(({ secret }) => secret);
  t.ok(secrets.length >= 3);
  const forms = secrets.flatMap((secret) => [Buffer.from(secret), Buffer.from(secret, 'hex'), Buffer.from(Buffer.from(secret, 'hex').toString('base64'))]);
  t.same(forms.filter((form) => all.includes(form)).length, 0);
  const log = Buffer.concat(readdirSync(dirname(file), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map(({ name, parentPath }) => readFileSync(join(parentPath, name))));
  t.ok(log.includes(secrets.at(-1)!), 'there it is found');
});
