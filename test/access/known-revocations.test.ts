import t from 'tap';
import { KnownRevocations } from '../../src/access/records/known-revocations.ts';
import { LIST_MAX_REVOCATIONS, type Revocation, type RevocationPage, type RevocationStore } from '../../src/store/contracts/revocation-store.ts';
import { StoreError } from '../../src/store/store.ts';

/** A list that a test changes. */
class List implements RevocationStore {
  rows: Revocation[] = [];
  version = 0;
  reads = 0;
  failsAfter = Infinity;

  add(kind: Revocation['kind'], name: string, before?: number, ends = Date.now() + 3_600_000): void {
    this.rows = [...this.rows.filter((row) => row.kind !== kind || row.name !== name), { kind, name, before, created: 0, ends, version: ++this.version }];
  }

  async listRevocations({ after, limit }: { readonly after: number; readonly limit: number }): Promise<RevocationPage> {
    if (++this.reads > this.failsAfter) throw new StoreError('unavailable', 'away');
    return { revocations: this.rows.filter(({ version }) => version > after).slice(0, limit), version: this.version };
  }

  revoke(): never {
    throw new Error('No instance does this here.');
  }
}

function begin(): { list: List; known: KnownRevocations; reviews: { count: number } } {
  const list = new List();
  const known = new KnownRevocations({ store: list, logger: { info: () => undefined } });
  const reviews = { count: 0 };
  known.watch({ review: () => void reviews.count++ });
  return { list, known, reviews };
}

const token = (subject: string, issuedAt: number, tokenId?: string) => ({ subject, issuedAt, tokenId });

t.test('a token is revoked by its id, by its subject up to a time, and by the time alone', async (t) => {
  const { list, known } = begin();
  list.add('jti', 'x');
  list.add('sub', 'alice', 5_000);
  await known.follow(list.version);
  t.equal(known.isRevoked(token('bob', 9_000, 'x')), true);
  t.equal(known.isRevoked(token('bob', 9_000, 'alice')), false, 'an id is no subject');
  t.equal(known.isRevoked(token('x', 9_000)), false);
  t.same([4_999, 5_000].map((issued) => known.isRevoked(token('alice', issued))), [true, false]);
  list.add('all', '', 3_000);
  await known.follow(list.version);
  t.same([2_999, 3_000].map((issued) => known.isRevoked(token('carol', issued, 'y'))), [true, false]);
  list.add('sub', 'alice', 8_000);
  await known.follow(list.version);
  t.equal(known.isRevoked(token('alice', 7_000)), true, 'it was extended');
  t.equal(known.size, 3);
});

t.test('it reads new revocations page by page, and reads nothing without new ones', async (t) => {
  const { list, known, reviews } = begin();
  await known.follow(0);
  t.equal(list.reads, 0);
  for (let count = 0; count < LIST_MAX_REVOCATIONS * 2 + 5; count++) list.add('jti', `t${count}`);
  await known.follow(list.version);
  t.same([known.size, list.reads, reviews.count], [LIST_MAX_REVOCATIONS * 2 + 5, 3, 1]);
  await known.follow(list.version);
  t.equal(list.reads, 3);
  list.add('jti', 'one more');
  await known.follow(list.version);
  t.same([known.isRevoked(token('a', 0, 'one more')), list.reads, reviews.count], [true, 4, 2]);
});

t.test('after a failed read the next one goes on: rows already read count', async (t) => {
  const { list, known, reviews } = begin();
  for (let count = 0; count < LIST_MAX_REVOCATIONS + 5; count++) list.add('jti', `t${count}`);
  list.failsAfter = 1;
  await t.rejects(known.follow(list.version), StoreError);
  t.same([known.size, reviews.count], [LIST_MAX_REVOCATIONS, 1]);
  list.failsAfter = Infinity;
  await known.follow(list.version);
  t.equal(known.size, LIST_MAX_REVOCATIONS + 5);
});

t.test('a database that has lost revocations takes none back here, and its new ones count', async (t) => {
  for (const isOtherServer of [false, true]) {
    const { list, known } = begin();
    for (const name of ['a', 'b', 'c']) list.add('jti', name);
    await known.follow(list.version);
    list.rows = list.rows.slice(0, 1);
    list.version = isOtherServer ? 1_000_000 : 1;
    await known.follow(list.version);
    list.add('jti', 'd');
    await known.follow(list.version);
    t.same(['a', 'b', 'c', 'd'].map((name) => known.isRevoked(token('s', 0, name))), [true, true, true, true], `another server: ${isOtherServer}`);
  }
});
