import t from 'tap';
import { Filter } from '../../../src/model/topic.ts';
import { PostgresStore } from '../../../src/store/postgres/postgres.ts';
import { StoreError, type Store } from '../../../src/store/store.ts';
import { draft, EVERYTHING, failure, keyed, request, stored } from '../../contract/store-kit.ts';
import { seeded, type Random } from '../../support/fleet-random.ts';
import { Liar } from '../../support/liar.ts';
import { mutant, type Script } from '../../support/mutants.ts';
import { quietLogger } from '../../support/logger.ts';
import { startPostgres } from '../../support/postgres.ts';
import { rounds } from '../../support/rounds.ts';
import { until } from '../../support/until.ts';
import { PostgresDatabase } from './database.ts';

/** Mutants, with and without a password: 100,000 in all where there is time. */
const MUTANTS = rounds(600, 50_000, 300);
/** Mutants after which an honest server takes the liar's place. */
const BATCH = 300;
/** Mutants that are played at a time. */
const LIARS = 8;

function said(type: string, body: string | Buffer = '', length = body.length + 4): Buffer {
  const head = Buffer.alloc(5, type);
  head.writeUInt32BE(length >>> 0, 1);
  return Buffer.concat([head, Buffer.from(body as string, 'latin1')]);
}

function error(severity: string, code: string): Buffer {
  return said('E', `S${severity}\0V${severity}\0C${code}\0Mlost\0\0`);
}

/** Two values, of which each ends before the other: pg would copy them again and again. */
const ENDLESS_ROW = Buffer.concat([Buffer.of(0x7f, 0xff), ...Array.from({ length: 2_000 }, () => Buffer.of(0, 0, 0x10, 0, 0xff, 0xff, 0xef, 0xf8))]);

const PHRASES = [
  said('D'), said('D', Buffer.of(0xff, 0xff)), said('D', Buffer.of(0, 1)), said('D', Buffer.of(0, 1, 0xff, 0xff, 0xff, 0)), said('D', Buffer.of(0, 0)), said('D', ENDLESS_ROW),
  said('E'), said('E', '\0'), said('E', 'SERROR'), said('E', 'SERROR\0'), said('E', 'SERROR\0C22003\0Mno\0\0'), said('N'), said('N', 'SNOTICE\0'),
  error('ERROR', '08P01'), error('FATAL', '57P01'), error('ERROR', '57014'),
  said('T'), said('T', Buffer.of(0x7f, 0xff)), said('T', Buffer.of(0, 0)), said('C'), said('C', 'SELECT 1\0'), said('Z'), said('Z', 'I'), said('I'), said('S', 'a'), said('K'), said('A', '\0\0\0\x01a\0b\0'),
  said('R', '\0\0\0\x03'), said('R', '\0\0\0\x05salt'), said('R', '\0\0\0\x0aSCRAM-SHA-256\0\0'), said('R', '\0\0\0\x0a'), said('R', '\0\0\0\x0br=x,s=eA==,i=1'), said('R', '\0\0\0\x0cv=x'), said('R', '\0\0\0\x07'), said('R'),
  said('G', '\0\0\0'), said('H', '\0\0\0'), said('d', 'x'), said('c'), said('W', '\0\0\0'), said('s'), said('1'), said('t', '\xff\xff'), said('v', '\0\0\0\0\0\0\0\0'),
  said('D', '', 0), said('D', '', 3), said('Z', '', 0xffffffff), said('D', '', 0x7fffffff), said('\0'), said('Z', 'I').subarray(0, 3),
  Buffer.concat(Array.from({ length: 5_000 }, () => said('Z', 'I'))), Buffer.concat(Array.from({ length: 5_000 }, () => said('N', 'Mx\0\0'))),
];

/** Calls everything that a store has. Answers with what was rejected. */
async function useAll(store: Store): Promise<readonly unknown[]> {
  const opened = await Promise.allSettled([store.open()]);
  const results = await Promise.allSettled([
    store.append([request(draft('a', 'one'), draft('a.b', 'two'))]), store.append([keyed('key', [draft('a')]), request(draft('c'))]),
    store.state(), store.read(EVERYTHING), store.seek(0), store.findBack({ before: 10, filter: new Filter(['a', 'a.*']), limit: 5 }), store.trim({ maxAge: 0, maxBytes: 0, rows: 10 }),
  ]);
  return [...opened, ...results].flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
}

t.setTimeout(MUTANTS * 60 + 120_000);

for (const password of [undefined, 'secret']) {
  t.test(`a server${password === undefined ? '' : ' with a password'} that lies loses its connection, and the process lives`, async (t) => {
    const random = seeded(t);
    const server = await startPostgres(t, password === undefined ? {} : { password });
    const database = await PostgresDatabase.create(server);
    const storeAt = (liar: Liar): PostgresStore => new PostgresStore({ url: server.url(database.name, liar), maxPgConnections: 2, logger: quietLogger });
    const liars = await Promise.all(Array.from({ length: LIARS }, () => Liar.start(t, server.port)));
    const recorder = liars[0]!;
    // The first opening migrates, which is another conversation.
    for (const store of [storeAt(liars[1]!), storeAt(recorder)]) {
      t.same(await useAll(store), []);
      await store.close();
    }
    await until('the ends are recorded', () => recorder.open === 0);
    const scripts = recorder.recordings.map(({ script }) => script);
    t.equal(scripts.length, 2, 'one connection for queries, and one that writes');
    let played = 0;
    const rejected = new Map<string, number>();
    while (played < MUTANTS) {
      const end = Math.min(MUTANTS, played + BATCH);
      await Promise.all(liars.map(async (liar) => {
        while (played < end) {
          played += 1;
          liar.lie(inTurn(scripts, random.fork()));
          const store = storeAt(liar);
          for (const reason of await useAll(store)) {
            if (!(reason instanceof StoreError)) throw new Error('a store rejects with a StoreError', { cause: reason });
            rejected.set(reason.kind, (rejected.get(reason.kind) ?? 0) + 1);
          }
          const closed = store.close();
          liar.reset();
          await closed;
        }
      }));
      const [liar] = liars as [Liar];
      const store = storeAt(liar);
      liar.lie(inTurn(scripts, random.fork()));
      await useAll(store);
      liar.beHonest();
      await until('it works again', async () => {
        const [opened, appended] = [await failure(store.open()), await failure(stored(store, [request(draft('a'))]))];
        return opened === 'none' && appended === 'none';
      });
      const page = await store.read(EVERYTHING);
      t.equal(page.scanned, page.log.head);
      await store.close();
    }
    t.comment(`${played} mutants, rejected: ${JSON.stringify(Object.fromEntries(rejected))}, ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB`);
    t.ok((rejected.get('unavailable') ?? 0) > played / 10, 'lies were noticed');
    // A recorded login with a password is of no use to another, so there is no commit then.
    if (password === undefined) t.ok((rejected.get('outcome-unknown') ?? 0) > played / 10, 'and in the middle of a commit too');
  });
}

/** Plays mutants of what was recorded, one for each connection in the order of the recordings, and again from the first. */
function inTurn(scripts: readonly Script[], random: Random): () => Script {
  let turn = 0;
  // One of the conversations stays as it was now and then: what comes after the opening is lied about too.
  const spared = random.below(scripts.length + 1);
  return () => {
    const index = turn++ % scripts.length;
    return index === spared ? scripts[index]! : mutant(scripts[index]!, random, PHRASES);
  };
}
