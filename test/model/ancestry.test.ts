import { t } from 'tap';
import { Ancestry } from '../../src/model/ancestry.ts';
import { epochName, Lineage, namedOrigin, type LogState } from '../../src/model/epochs.ts';
import { locate } from '../../src/model/gap.ts';
import { formatId, parseId } from '../../src/model/position.ts';

const FIRST = { epoch: 'aaaaaaaa', first: 1 };
const SECOND = { epoch: epochName('bbbbbbbb', FIRST.epoch, 101), first: 101 };
const THIRD = { epoch: epochName('cccccccc', SECOND.epoch, 151), first: 151 };
const FOURTH = { epoch: epochName('dddddddd', THIRD.epoch, 201), first: 201 };
/** The log that was lost. */
const before = new Lineage([FIRST, SECOND, THIRD, FOURTH]);

/** Where an instance sends a client with an id, in a log that has other epochs. */
function where(id: string, epochs: LogState['lineage']['epochs'], { head = 300, oldest = 51, ancestry = new Ancestry() } = {}): string {
  const { at, gap } = locate(parseId(id)!, { lineage: new Lineage(epochs), oldest, head, now: 0 }, ancestry);
  return `${formatId(at.epoch, at.seq)}${gap === undefined ? '' : ` ${gap.reason}`}`;
}

t.test('an epoch\'s name tells where it began, and nothing else is read as such a name', (t) => {
  t.same(namedOrigin(SECOND.epoch), { parent: 'aaaaaa', seq: 100 });
  t.same(namedOrigin(epochName('zzzzzzzz', 'k3f9x2ab7c', 1)), { parent: 'k3f9x2', seq: 0 }, 'of an epoch that an older program began');
  t.same(namedOrigin(epochName('zzzzzzzz', 'k3f9x2ab7c', Number.MAX_SAFE_INTEGER)), { parent: 'k3f9x2', seq: Number.MAX_SAFE_INTEGER - 1 });
  for (const name of ['', 'aaaaaaaa', 'k3f9x2ab7c', 'zzzzzzzzaaaaaa', 'zzzzzzzzaaaaaa0', 'zzzzzzzzaaaaaa01', 'zzzzzzzzaaaaaag', 'zzzzzzzzaaaaaa20000000000000', 'zzzzzzzzaaaaaaffffffffffffffffff']) {
    t.equal(namedOrigin(name), undefined, name);
  }
  t.end();
});

t.test('an id of a lost epoch leads to where the logs part, on an instance that never saw that epoch', (t) => {
  const id = (seq: number): string => formatId(SECOND.epoch, seq);
  t.equal(where(id(120), [FIRST], { head: 100 }), 'aaaaaaaa-100 forked', 'before the copy has an epoch of its own');
  t.equal(where(id(120), [FIRST], { head: 90 }), 'aaaaaaaa-90 forked', 'the copy lacks messages of the epoch before too');
  t.equal(where(id(120), [FIRST, { epoch: 'newnewne', first: 91 }]), 'aaaaaaaa-90 forked', 'also after it has counted past them');
  t.equal(where(id(120), [FIRST, { epoch: 'newnewne', first: 101 }]), 'aaaaaaaa-100 forked');
  t.equal(where(id(101), [FIRST, { epoch: 'newnewne', first: 101 }]), 'aaaaaaaa-100 forked');
  t.equal(where(id(120), [FIRST, { epoch: 'newnewne', first: 91 }], { oldest: 200 }), 'newnewne-199 expired', 'retention went past that place');
  t.equal(where(id(100), [FIRST]), 'aaaaaaaa-50 unknown-log', 'a number from before the epoch was never given in it');
  t.end();
});

t.test('an id never leads past the common part of both logs, with any name of its epoch', (t) => {
  const epochs = [FIRST, { epoch: epochName('newnewne', FIRST.epoch, 91), first: 91 }];
  t.equal(where('zzzzzzzzqqqqqq65-120', epochs), 'aaaaaaaa-50 unknown-log', 'of an epoch that nobody knows');
  t.equal(where('zzzzzzzzaaaaaafffffffffffff-4503599627370494', epochs), 'aaaaaaaa-50 unknown-log', 'from before its own epoch');
  t.equal(where(`${epochName('zzzzzzzz', FIRST.epoch, 5_000)}-6000`, epochs), 'aaaaaaaa-90 forked');
  t.equal(where(`${epochName('zzzzzzzz', 'newnewne', 91)}-100`, epochs), 'aaaaaaaa-50 unknown-log', 'no epoch comes from one that began with its own number');
  const alike = [{ epoch: 'aaaaaa11', first: 1 }, { epoch: 'aaaaaa22', first: 61 }, { epoch: 'newnewne', first: 91 }];
  t.equal(where(`${epochName('zzzzzzzz', 'aaaaaa22', 81)}-85`, alike), 'aaaaaa11-60 forked', 'of two epochs that it may come from, the earlier one');
  t.end();
});

t.test('of several epochs that were lost at once, an instance that saw them knows the parent', (t) => {
  const ancestry = new Ancestry();
  ancestry.learn(before);
  const after = [FIRST, { epoch: epochName('newnewne', FIRST.epoch, 96), first: 96 }];
  const ids = [SECOND, THIRD, FOURTH].map(({ epoch, first }) => formatId(epoch, first + 3));
  t.same(ids.map((id) => where(id, after)), ['aaaaaaaa-95 forked', 'aaaaaaaa-50 unknown-log', 'aaaaaaaa-50 unknown-log'], 'another instance');
  t.same(ids.map((id) => where(id, after, { ancestry })), Array(3).fill('aaaaaaaa-95 forked'));
  t.equal(where(`${epochName('eeeeeeee', FOURTH.epoch, 221)}-230`, after, { ancestry }), 'aaaaaaaa-95 forked', 'an epoch after them that it never saw');
  ancestry.learn(new Lineage(after));
  const later = [FIRST, { epoch: 'newest00', first: 61 }];
  t.same(ids.map((id) => where(id, later, { ancestry })), Array(3).fill('aaaaaaaa-60 forked'), 'an even older copy took its place');
  t.equal(where(formatId(after[1]!.epoch, 150), later, { ancestry }), 'aaaaaaaa-60 forked');
  t.end();
});

t.test('epochs with random names only, of an older program, are remembered too', (t) => {
  const ancestry = new Ancestry();
  ancestry.learn(new Lineage([FIRST, { epoch: 'k3f9x2ab7c', first: 101 }]));
  t.equal(where('k3f9x2ab7c-120', [FIRST], { head: 100, ancestry }), 'aaaaaaaa-100 forked');
  t.end();
});

t.test('the memory of epochs has a bound: the oldest are forgotten', (t) => {
  const ancestry = new Ancestry();
  const epochs = Array.from({ length: 1_500 }, (_, index) => ({ epoch: `old${String(index).padStart(7, '0')}`, first: index + 1 }));
  ancestry.learn(new Lineage(epochs));
  t.equal(where(formatId(epochs.at(-1)!.epoch, 1_600), epochs.slice(0, 600), { ancestry, head: 600 }), 'old0000599-600 forked', 'through nine hundred that were lost');
  t.equal(where(formatId(epochs.at(-1)!.epoch, 1_600), epochs.slice(0, 400), { ancestry, head: 600 }), 'old0000049-50 unknown-log');
  t.end();
});
