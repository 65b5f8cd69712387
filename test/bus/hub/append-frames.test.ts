import { t, type Test } from 'tap';
import { packAppend, unpackAppend } from '../../../src/bus/hub/append-frames.ts';
import { packAppended, packFailure, unpackAppended } from '../../../src/bus/hub/appended-frames.ts';
import { FRAME, FRAME_HEAD_BYTES, framesIn, HANDED } from '../../../src/bus/hub/frames.ts';
import { Lineage } from '../../../src/model/epochs.ts';
import { StoreError, type Appended, type AppendRequest } from '../../../src/store/store.ts';

const REQUESTS: readonly AppendRequest[] = [
  { drafts: [], key: undefined },
  { drafts: [{ topic: 'größe.日本', event: 'created', json: true, data: Buffer.from('{"a":1}'), ttl: 60 }, { topic: 'b', event: undefined, json: false, data: Buffer.from([0xc3, 0xa9, 0, 10, 13]), ttl: 0 }],
    key: { scope: 'somebody', key: 'kéy', fingerprint: Buffer.alloc(32, 7), window: 86_400_000 } },
  { drafts: [{ topic: 'c', event: 'e', json: false, data: Buffer.alloc(0), ttl: 2 ** 40 }], key: { scope: '', key: 'k', fingerprint: Buffer.alloc(0), window: 0 } },
];

const APPENDED: Appended = {
  outcomes: [{ kind: 'stored', epoch: 'e2e2e2e2', first: 2 ** 40, time: 1_700_000_000_000 }, { kind: 'conflict' }, { kind: 'replayed', epoch: 'e1e1e1e1', first: 1, time: 0 }],
  log: { lineage: new Lineage([{ epoch: 'e1e1e1e1', first: 1 }, { epoch: 'e2e2e2e2', first: 9 }]), oldest: 1, head: 2 ** 40, now: 1_700_000_000_000, erasures: 5 },
  isPublished: true,
};

/** The body of the one frame. */
function bodyOf(t: Test, frame: Buffer, expected: number): Buffer {
  const frames = [...framesIn(frame)];
  t.match(frames, [{ kind: expected, end: frame.length }]);
  return frames[0]!.body;
}

t.test('requests arrive at the writer as they were given', async (t) => {
  const { callId, requests } = unpackAppend(bodyOf(t, packAppend(2 ** 32 - 1, REQUESTS), FRAME.append));
  t.equal(callId, 2 ** 32 - 1);
  t.same(requests, REQUESTS);
});

t.test('what the writer says arrives as it was said', async (t) => {
  const { outcomes, log: { lineage: _, ...log }, isPublished } = APPENDED;
  t.same(unpackAppended(bodyOf(t, packAppended(7, APPENDED), FRAME.appended)), { callId: 7, handed: HANDED.answered, answer: { written: { outcomes, log: { ...log, epoch: 'e2e2e2e2' }, isPublished } } });
  const { erasures: _erasures, ...less } = APPENDED.log;
  t.equal(unpackAppended(bodyOf(t, packAppended(7, { outcomes, log: less }), FRAME.appended)).answer.written?.log.erasures, undefined);
  for (const kind of ['unavailable', 'outcome-unknown', 'refused'] as const) t.same(unpackAppended(bodyOf(t, packFailure(8, new StoreError(kind, 'why')), FRAME.appended)), { callId: 8, handed: HANDED.answered, answer: { failure: { kind, message: 'why' } } });
});

t.test('what is cut short, longer, or none of what may come is not read: requests are undefined, an answer counts as lost', async (t) => {
  const [asked, answered] = [packAppend(1, REQUESTS), packAppended(1, APPENDED)].map((frame) => frame.subarray(FRAME_HEAD_BYTES)) as [Buffer, Buffer];
  for (let length = 4; length < asked.length; length++) t.equal(unpackAppend(asked.subarray(0, length)).requests, undefined);
  t.equal(unpackAppend(Buffer.concat([asked, Buffer.alloc(1)])).requests, undefined);
  for (let length = 5; length < answered.length; length++) t.same(unpackAppended(answered.subarray(0, length)), { callId: 1, handed: HANDED.lost, answer: {} });
  t.equal(unpackAppended(Buffer.concat([answered, Buffer.alloc(1)])).handed, HANDED.lost);
  // Any byte may be another: that is read, or it is not, and nothing is thrown.
  for (const bytes of [asked, answered]) {
    for (let at = 4; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = 0xff;
      t.doesNotThrow(() => bytes === asked ? unpackAppend(changed) : unpackAppended(changed));
    }
  }
  for (const long of [{ scope: 'x'.repeat(2_001), key: 'k' }, { scope: 's', key: 'x'.repeat(2_001) }]) {
    t.equal(unpackAppend(packAppend(1, [{ drafts: [], key: { ...long, fingerprint: Buffer.alloc(1), window: 1 } }]).subarray(FRAME_HEAD_BYTES)).requests, undefined);
  }
});
