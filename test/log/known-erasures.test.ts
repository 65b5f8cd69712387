import t from 'tap';
import { among, type KnownErasure } from '../../src/log/tail/known-erasures.ts';
import { Lineage } from '../../src/model/epochs.ts';
import { Message } from '../../src/model/message.ts';

/** A log, and a copy that took its place after number 4: both have given the later numbers to messages of their own. */
const LOST = new Lineage([{ epoch: 'commonaa', first: 1 }, { epoch: 'lostaaaa', first: 5 }]);
const COPY = new Lineage([{ epoch: 'commonaa', first: 1 }, { epoch: 'copyaaaa', first: 5 }]);

const message = (lineage: Lineage, seq: number, topic = 'a'): Message => new Message(lineage.at(seq).epoch, seq, 0, 0, { topic, event: undefined, json: false, data: Buffer.from('secret') });
const erasure = (lineage: Lineage, seq: number, isPrefix: boolean, version = 1): KnownErasure => ({ version, at: lineage.at(seq), topic: 'a', isPrefix, lineage });

t.test('an erasure has its own message, and none that a copy of the log has under the same number', (t) => {
  const isErased = among([erasure(LOST, 6, false), erasure(COPY, 2, false, 2)]);
  t.same([message(LOST, 6), message(COPY, 6), message(LOST, 2), message(COPY, 2), message(LOST, 7)].map(isErased), [true, false, true, true, false]);
  t.end();
});

t.test('an erasure of a topic has the messages of its log up to a number, and none of another topic or of a copy', (t) => {
  const isErased = among([erasure(LOST, 6, true)]);
  t.same([message(LOST, 1), message(LOST, 6), message(LOST, 7), message(COPY, 6), message(COPY, 3), message(LOST, 3, 'b')].map(isErased), [true, true, false, false, true, false]);
  t.end();
});

t.test('of two erasures of one topic, in two logs, each has its own', (t) => {
  const isErased = among([erasure(LOST, 8, true), erasure(COPY, 6, true, 2)]);
  t.same([message(LOST, 8), message(COPY, 6), message(COPY, 7), message(LOST, 9)].map(isErased), [true, true, false, false]);
  t.end();
});

t.test('a tombstone stays as it is: its size changes once', (t) => {
  const one = message(LOST, 1);
  const { size } = one;
  t.equal(one.erase(), one.size - size);
  t.ok(one.size < size);
  one.dataChunk = { bytes: Buffer.alloc(100), data: Buffer.alloc(90) };
  t.equal(one.erase(), 0, 'a frame that was made of it is counted elsewhere');
  t.ok(one.dataChunk);
  t.end();
});
