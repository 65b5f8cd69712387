import { t } from 'tap';
import { Ancestry } from '../../src/model/ancestry.ts';
import { Lineage, type LogState } from '../../src/model/epochs.ts';
import { locate } from '../../src/model/gap.ts';
import { formatId, parseId } from '../../src/model/position.ts';

const lineage = new Lineage([
  { epoch: 'aaaaaaaa01', first: 1 },
  { epoch: 'bbbbbbbb02', first: 101 },
  { epoch: 'cccccccc03', first: 101 },
  { epoch: 'dddddddd04', first: 151 },
]);
/** Of an instance that has seen nothing of another log. */
const ancestry = new Ancestry();
const log: LogState = { lineage, oldest: 51, head: 200, now: 0 };

function where(id: string): string {
  const { at, gap } = locate(parseId(id)!, log, ancestry);
  return `${formatId(at.epoch, at.seq)}${gap === undefined ? '' : ` ${gap.reason}`}`;
}

t.test('ids are read strictly', (t) => {
  t.same(parseId('aaaaaaaa01-7'), { epoch: 'aaaaaaaa01', seq: 7 });
  for (const text of ['', 'a-1', 'aaaaaaaa01', 'aaaaaaaa01-', 'aaaaaaaa01-01', 'aaaaaaaa01--1', 'aaaaaaaa01-1e3', 'aaaaaaaa01-9999999999999999', 'AAAAAAAA01-1', ' aaaaaaaa01-1', 'aaaaaaaa01-1\n']) {
    t.equal(parseId(text), undefined, JSON.stringify(text));
  }
  t.end();
});

t.test('a position carries the epoch in which its number was given', (t) => {
  t.same([0, 1, 100, 101, 150, 151, 999].map((seq) => lineage.at(seq).epoch.slice(0, 1)).join(''), 'aaaccdd');
  t.end();
});

t.test('a cursor is good only where its epoch gave its number', (t) => {
  t.equal(where('aaaaaaaa01-100'), 'aaaaaaaa01-100');
  t.equal(where('aaaaaaaa01-50'), 'aaaaaaaa01-50', 'the place before the oldest misses nothing');
  t.equal(where('dddddddd04-200'), 'dddddddd04-200');
  t.equal(where('aaaaaaaa01-49'), 'aaaaaaaa01-50 expired');
  t.equal(where('aaaaaaaa01-101'), 'aaaaaaaa01-100 forked', 'given by a copy of the log that was lost');
  t.equal(where('bbbbbbbb02-101'), 'aaaaaaaa01-100 forked', 'an epoch that gave no number here');
  t.equal(where('cccccccc03-151'), 'cccccccc03-150 forked');
  t.equal(where('dddddddd04-201'), 'dddddddd04-200 ahead');
  t.equal(where('dddddddd04-9'), 'aaaaaaaa01-50 unknown-log', 'a number from before its epoch was never given');
  t.equal(where('eeeeeeee05-120'), 'aaaaaaaa01-50 unknown-log');
  t.end();
});

t.test('a gap names the requested id, the place where it goes on, and the oldest id', (t) => {
  t.same(locate(parseId('aaaaaaaa01-3')!, log, ancestry).gap, { requested: 'aaaaaaaa01-3', resumed: 'aaaaaaaa01-50', oldest: 'aaaaaaaa01-51', reason: 'expired' });
  t.end();
});

t.test('the place before the first message of a new log is good, and so after restarts without a message', (t) => {
  const fresh: LogState = { lineage: new Lineage([{ epoch: 'aaaaaaaa01', first: 1 }, { epoch: 'bbbbbbbb02', first: 1 }]), oldest: 1, head: 0, now: 0 };
  t.same(fresh.lineage.at(0), { epoch: 'aaaaaaaa01', seq: 0 });
  t.equal(locate({ epoch: 'aaaaaaaa01', seq: 0 }, fresh, ancestry).gap, undefined);
  t.equal(locate({ epoch: 'aaaaaaaa01', seq: 1 }, fresh, ancestry).gap?.reason, 'forked');
  t.equal(locate({ epoch: 'bbbbbbbb02', seq: 1 }, fresh, ancestry).gap?.reason, 'ahead');
  t.end();
});
