import { createHash, randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import t from 'tap';
import { EVENT_MAX_BYTES } from '../../../src/config/content-limits.ts';
import { KEY_MAX_BYTES } from '../../../src/http/input/idempotency-key.ts';
import type { Draft } from '../../../src/model/message.ts';
import { TOPIC_MAX_BYTES } from '../../../src/model/topic.ts';
import { rowBytes } from '../../../src/store/row-bytes.ts';
import { draft, keyed, openStore, range, request } from '../../contract/store-kit.ts';
import type { Scope } from '../../support/temp.ts';
import { SqliteDatabase } from './database.ts';

/** What docs/operations.md says that a log takes at most. This sends what takes most, at a thousandth of the size, and measures the files. */

const MIB = 1024 * 1024;
const BOUND_BYTES = MIB;
const BOUND_KEYS = 1_000;
/** What is stored between two steps of retention counts too: here one commit, which is a quarter of the bounds. */
const COMMIT_BYTES = BOUND_BYTES / 4;
const COMMIT_KEYS = BOUND_KEYS / 4;

/** By docs/operations.md: the file for each byte of RETENTION_BYTES, and for each key. */
const FILE_FACTOR = 2.2;
const KEY_FILE_BYTES = 2_400;
/** An empty database. */
const EMPTY_FILE_BYTES = 256 * 1024;

/** Different from each other, and in no order. */
function name(index: number): string {
  return createHash('md5').update(String(index)).digest('hex');
}

/** Publishes ten times the bound, with a step of retention after each commit, and answers with the size of the files. */
async function fill(t: Scope, make: (index: number) => Draft): Promise<number> {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  const perCommit = Math.ceil(COMMIT_BYTES / rowBytes(make(0), store.rowOverheadBytes));
  for (let commit = 0; commit < 40; commit++) {
    await store.append([request(...range(1, perCommit).map((index) => make(commit * perCommit + index)))]);
    let trimmed;
    do trimmed = await store.trim({ maxAge: 0, maxBytes: BOUND_BYTES, rows: 4_000 }); while (trimmed.more);
  }
  await store.close();
  return statSync(database.file).size;
}

const topicOf = (index: number): string => `${name(index).padEnd(TOPIC_MAX_BYTES - 2, 'x')}.${index % 10}`;
const SHAPES: Readonly<Record<string, (index: number) => Draft>> = {
  'ordinary messages': (index) => draft(`orders.${name(index % 1_000).slice(0, 8)}`, 'x'.repeat(100)),
  'the longest topics, in no order, without data': (index) => draft(topicOf(index)),
  'the longest topics and event names': (index) => draft(topicOf(index), '', { event: 'e'.repeat(128) }),
  'event names without data': (index) => draft(`a.${index % 10}`, '', { event: 'e'.repeat(128) }),
  'data of half a page': (index) => draft(`t${index % 10}`, randomBytes(2_050)),
};

for (const [shape, make] of Object.entries(SHAPES)) {
  t.test(`the file of a log keeps to its bound: ${shape}`, async (t) => {
    const size = await fill(t, make);
    t.ok(size <= FILE_FACTOR * (BOUND_BYTES + COMMIT_BYTES) + EMPTY_FILE_BYTES, `${size} bytes for a bound of ${BOUND_BYTES}`);
  });
}

t.test('the longest event names that any setting allows take no more', async (t) => {
  const size = await fill(t, () => draft('a', '', { event: 'e'.repeat(EVENT_MAX_BYTES) }));
  t.ok(size <= FILE_FACTOR * (BOUND_BYTES + COMMIT_BYTES) + EMPTY_FILE_BYTES, `${size} bytes`);
});

t.test('idempotency keys keep to their bound, also the longest, of the longest senders', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  const scope = `sender ${'h'.repeat(64)} ${'t'.repeat(TOPIC_MAX_BYTES)} ${'s'.repeat(270)}`;
  for (let commit = 0; commit < 40; commit++) {
    await store.append(range(1, COMMIT_KEYS).map((index) => keyed(name(commit * COMMIT_KEYS + index).padEnd(KEY_MAX_BYTES, 'k'), [draft('a')], { scope })));
    await store.trim({ maxAge: 0, maxBytes: 1, maxKeys: BOUND_KEYS, rows: 4_000 });
  }
  await store.close();
  const { size } = statSync(database.file);
  t.ok(size <= KEY_FILE_BYTES * (BOUND_KEYS + COMMIT_KEYS) + EMPTY_FILE_BYTES, `${size} bytes for ${BOUND_KEYS} keys`);
});
