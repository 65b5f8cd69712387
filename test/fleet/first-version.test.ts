import Database from 'better-sqlite3';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { tempFolder } from '../support/temp.ts';

/**
 * What is remembered for a day or longer, as the first version wrote it: the epoch in ids, the messages, the fingerprints of requests with a key. A program
 * that reads any of it otherwise would deliver everything again, or store a request twice.
 */

const FIRST_SCHEMA = join(import.meta.dirname, '../../migrations/sqlite/0000_log.sql');
const FIRST_MIGRATION = ['8d2bd96ff5d6e581420693ee39e8b1f78972cd2ebe6f5ffb669ef2a55006b844', 1_795_332_362_264] as const;
const DAY = 86_400_000;
const HOUR = 3_600_000;

const EPOCH = 'xj0msqb57p';
const LOG = 'emt5m9xv14p9wl72';

/** Each request, and the fingerprint of it that was stored. */
const REQUESTS = [
  { key: 'one', path: '/topics/a', type: 'text/plain', body: 'plain text', fingerprint: '0a60e8d86cfe5adde67e94da322513f7591d7e35c25e4c4e06088be479d566df', ids: [1] },
  { key: 'two', path: '/topics/b?event=tick&ttl=86400', type: 'text/plain', body: 'with an event', fingerprint: '1d756331f9905e755411fce02b19436220f61eecd55c58bf0f86aa12045720f3', ids: [2] },
  { key: 'three', path: '/topics/c', type: 'application/json', body: '{"n": 1}', fingerprint: '57a9e9903038bda5205f1621698d38f60c6fbf0a1920fadba65d8179c2577398', ids: [3] },
  { key: 'four', path: '/messages', type: 'application/x-ndjson', body: '{"topic":"a","data":"x"}\n{"topic":"b","data":{"y":2}}', fingerprint: '8b7ac2d6409e52dce1092af1bd47c630c3719d7f67d05afb1c8e079f0347d2a7', ids: [4, 5] },
];

/** The columns of a message beside its number, epoch and times. */
const MESSAGES = [
  ['a', null, 0, 'plain text'], ['b', 'tick', 0, 'with an event'], ['c', null, 1, '{"n": 1}'], ['a', null, 1, '"x"'], ['b', null, 1, '{"y":2}'],
] as const;

/** A file as the first version left it when it was killed an hour ago. */
function makeFirst(file: string, time: number): void {
  const db = new Database(file);
  db.pragma('journal_mode = WAL');
  db.exec(readFileSync(FIRST_SCHEMA, 'utf8'));
  db.exec('CREATE TABLE "__drizzle_migrations" (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric)');
  db.prepare('INSERT INTO "__drizzle_migrations" (hash, created_at) VALUES (?, ?)').run(...FIRST_MIGRATION);
  db.prepare('INSERT INTO epochs (id, epoch, first) VALUES (1, ?, 1)').run(EPOCH);
  db.prepare('INSERT INTO head (id, log, seq, epoch, time, bytes) VALUES (1, ?, ?, 1, ?, 366)').run(LOG, MESSAGES.length, time);
  db.prepare('INSERT INTO retention (id, oldest, bytes, time) VALUES (1, 1, 0, NULL)').run();
  const message = db.prepare('INSERT INTO messages (seq, epoch, time, expires, topic, event, json, data) VALUES (?, 1, ?, 0, ?, ?, ?, ?)');
  const recent = db.prepare('INSERT INTO recent (topic, seq) VALUES (?, ?)');
  MESSAGES.forEach(([topic, event, json, data], index) => {
    message.run(index + 1, time, topic, event, json, Buffer.from(data));
    recent.run(topic, index + 1);
  });
  const key = db.prepare("INSERT INTO keys (scope, key, fingerprint, epoch, first, time, expires) VALUES ('', ?, ?, 1, ?, ?, ?)");
  for (const { key: name, fingerprint, ids } of REQUESTS) key.run(name, Buffer.from(fingerprint, 'hex'), ids[0], time, time + DAY);
  db.close();
}

t.test('a file of the first version: its ids, its cursors and its keys are good', async (t) => {
  const file = join(tempFolder(t), 'log.db');
  const time = Date.now() - HOUR;
  makeFirst(file, time);
  const instance = await startInstance(t, { DATABASE_URL: `file:${file}` });
  const http = new Http(t, instance.url);

  const stream = await openStream(t, `${instance.url}/events?topic=>`, { headers: { 'last-event-id': `${EPOCH}-2` } });
  await stream.until(() => stream.events.length === 4);
  t.match(stream.events.slice(1).map(({ id, data }) => [id, data]), MESSAGES.slice(2).map(([, , , data], index) => [`${EPOCH}-${index + 3}`, data]), 'and no $gap');

  for (const { key, path, type, body, ids } of REQUESTS) {
    const answer = await http.send('POST', path, { 'content-type': type, 'idempotency-key': key }, body);
    t.match(answer, { status: 201, headers: { 'idempotency-replayed': 'true' } }, key);
    const shown = JSON.parse(answer.body) as { id?: string; messages?: { id: string }[] };
    t.same((shown.messages ?? [shown]).map(({ id }) => id), ids.map((seq) => `${EPOCH}-${seq}`));
    t.match(answer.body, new Date(time).toISOString());
  }

  t.match(await http.publish('a', 'new'), /^[a-z0-9]{8,32}-6$/, 'an id that the first version accepts');
});
