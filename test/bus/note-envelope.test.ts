import { randomBytes } from 'node:crypto';
import t from 'tap';
import { EnvelopeKeys } from '../../src/bus/envelope-keys.ts';
import { carriedOf, encode, SENDER_BYTES } from '../../src/bus/envelope.ts';
import { encodeNote, NoteReader } from '../../src/bus/note-envelope.ts';
import { EPOCH, message, secretOf } from '../contract/bus.ts';

const NOW = 1_800_000_000_000;
const KEYS = new EnvelopeKeys(secretOf);
const SENDER = randomBytes(SENDER_BYTES);

const sealed = (note = 'a note', { sender = SENDER, keys = KEYS, epoch = EPOCH, now = NOW } = {}): Buffer => encodeNote(note, sender, keys, { epoch, now })!;
const reader = (keys = KEYS): NoteReader => new NoteReader(randomBytes(SENDER_BYTES), keys);

t.test('a note arrives as it was, once', async (t) => {
  for (const note of ['', 'x', '{"größe":1}', '\0', 'x'.repeat(60_000)]) {
    const bytes = sealed(note);
    const to = reader();
    t.same(to.read(bytes, NOW), { kind: 'note', note });
    t.same(to.read(bytes, NOW), { kind: 'repeated' });
    t.same(to.read(sealed(note), NOW), { kind: 'note', note }, 'the same text again is another note');
  }
});

t.test('one that is too long, or of an epoch without a secret, is not made', async (t) => {
  t.equal(encodeNote('x'.repeat(70_000), SENDER, KEYS, { epoch: EPOCH, now: NOW }), undefined);
  t.equal(encodeNote('x', SENDER, new EnvelopeKeys(() => undefined), { epoch: EPOCH, now: NOW }), undefined);
});

t.test('it is good for some seconds by the clock of the log, and not before', async (t) => {
  const bytes = sealed();
  for (const [after, kind] of [[-11_000, 'late'], [-9_000, 'note'], [9_000, 'note'], [10_000, 'late'], [3_600_000, 'late'], [NaN, 'late']] as const) t.equal(reader().read(bytes, NOW + after).kind, kind, `${after} ms later`);
});

t.test('a nonce is remembered until its note expires, and no longer', async (t) => {
  const to = reader();
  const first = sealed();
  to.read(first, NOW);
  for (let second = 1; second < 30; second++) to.read(sealed('x', { now: NOW + second * 1_000 }), NOW + second * 1_000);
  t.equal(to.read(first, NOW + 30_000).kind, 'late');
});

t.test('a note from a sender that cannot read the log is refused, however it is changed', async (t) => {
  const bytes = sealed();
  t.equal(new NoteReader(SENDER, KEYS).read(bytes, NOW).kind, 'own');
  t.equal(reader(new EnvelopeKeys(() => undefined)).read(bytes, NOW).kind, 'other-epoch');
  t.equal(reader(new EnvelopeKeys(() => secretOf('another'))).read(bytes, NOW).kind, 'forged');
  for (let length = 0; length < bytes.length; length++) t.not(reader().read(bytes.subarray(0, length), NOW).kind, 'note', `${length} bytes of it`);
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = changed[at]! ^ 1;
    t.not(reader().read(changed, NOW).kind, 'note', `byte ${at} is another`);
  }
  for (let round = 0; round < 500; round++) t.not(reader().read(randomBytes(round), NOW).kind, 'note');
  t.equal(reader().read(encode(SENDER, carriedOf([message(1)], KEYS)), NOW).kind, 'other-version', 'an envelope of messages');
});
